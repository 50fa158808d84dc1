"""Run a command for which the root file system is read-only.

usage: readonly.py FILE WRITABLE... -- COMMAND...

A rule of the kernel (Landlock, no privilege needed) takes from the command and its children the
right to make, change, rename and remove files anywhere but below the WRITABLE paths, /dev and
/proc: as with `docker run --read-only`, where these are mounts of their own. The kernel says
"permission denied" where a read-only mount would say "read-only file system"; modes and times
it does not guard. FILE becomes "held", or says why it is not, and the command runs all the same.
"""

import contextlib
import ctypes
import os
import struct
import sys
import tempfile

NO_NEW_PRIVS = 38
# The calls have the same number on every machine.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
VERSION, PATH_BENEATH = 1, 1
# Rights of the kernel's header: write; remove, make in a directory; move to another; shorten.
WRITE, DIRECTORIES, MOVE, SHORTEN = 1 << 1, 0b1_1111_1111 << 4, 1 << 13, 1 << 14


def call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(number, *arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def restrict(writable: list[str]) -> None:
    """Take the rights from this process, for good."""
    version = call(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION)
    if version < 2:
        # It would refuse renames from one directory to another even where all is allowed.
        raise OSError(0, f"version {version} of the kernel's rules is too old")
    rights = WRITE | DIRECTORIES | MOVE | (SHORTEN if version > 2 else 0)
    rules = call(CREATE_RULESET, struct.pack("=Q", rights), ctypes.c_size_t(8), 0)
    for path in writable:
        try:
            top = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        here = rights if os.path.isdir(path) else rights & (WRITE | SHORTEN)
        call(ADD_RULE, rules, PATH_BENEATH, struct.pack("=Qi", here, top), 0)
        os.close(top)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    call(RESTRICT_SELF, rules, 0)
    os.close(rules)


def leaks(writable: list[str]) -> list[str]:
    """The places that most users may write to, and this process still can."""
    found = []
    for path in (os.path.expanduser("~"), os.getcwd(), "/var/tmp"):
        real = os.path.realpath(path)
        if any(real == w or real.startswith(w.rstrip("/") + "/") for w in map(os.path.realpath, writable)):
            continue
        with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=path):
            found.append(path)
    return found


def main() -> None:
    split = sys.argv.index("--")
    file, writable, command = sys.argv[1], [*sys.argv[2:split], "/dev", "/proc"], sys.argv[split + 1 :]
    with open(file, "w", encoding="utf-8") as f:  # it may not be opened any more afterwards
        try:
            restrict(writable)
            still = leaks(writable)
            f.write(f"not held: {', '.join(still)} can be written to\n" if still else "held\n")
        except OSError as error:
            f.write(f"not held: {error.strerror}\n")
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)


main()
