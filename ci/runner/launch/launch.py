"""Run one command for a runner and write its result to a file.

Usage: python -I launch.py SPEC.json

The specification and the result are described by package launch, which embeds this
file. The command gets a session of its own, exactly the environment of the
specification, and no input. Both its streams are passed on live and in whole lines,
with the values of secrets masked. When the command ends, runs out of time, or this
process is told to stop (SIGTERM, SIGINT, or the end of its input when asked to watch
it), everything that the command left behind is ended as well.

The exit code is 0 whenever the result could be written, whatever the command did, and
28 (ENOSPC) when a full disk kept it from being written.
"""

from __future__ import annotations

import base64
import contextlib
import ctypes
import datetime
import errno
import hashlib
import json
import os
import re
import selectors
import shutil
import signal
import stat
import subprocess
import sys
import time
from io import FileIO
from typing import IO, Any
from urllib.parse import quote

TAIL_BYTES = 64 * 1024
LONGEST_LINE = 8 * 1024
READ_BYTES = 64 * 1024
DRAIN_SECONDS = 2.0
LARGEST_COPY = 256 * 1024 * 1024
MOST_FILES = 100_000
MOST_MADE = 200
LARGEST_CODE = 16 * 1024 * 1024
LONGEST_NAME = 300
MASK = b"***"

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_CHILD_SUBREAPER = 36
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

# By machine: the kernel's name of its system calls, and the number of socket(2).
MACHINES = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}


class SpecError(Exception):
    """The specification cannot be carried out."""


class Spec:
    """What to run; see the Go type of the same name for the meaning of the fields."""

    def __init__(self, path: str) -> None:
        with open(path, encoding="utf-8") as file:
            raw: dict[str, Any] = json.load(file)
        try:
            self.args: list[str] = [str(arg) for arg in raw["args"]]
            self.cwd: str = raw["cwd"]
            self.env: dict[str, str] = dict(raw.get("env") or {})
            self.timeout: float = float(raw.get("timeout_seconds") or 0)
            self.grace: float = float(raw.get("grace_seconds") or 10)
            self.stdout: str = raw.get("stdout") or ""
            self.stderr: str = raw.get("stderr") or ""
            self.result: str = raw["result"]
            self.watch_stdin: bool = bool(raw.get("watch_stdin"))
            self.offline: bool = bool(raw.get("offline"))
            self.own_files: bool = bool(raw.get("own_files"))
            self.list_made: bool = bool(raw.get("list_made"))
            self.list_altered: bool = bool(raw.get("list_altered"))
            names: list[str] = list(raw.get("secret_names") or [])
        except (KeyError, TypeError, ValueError) as error:
            raise SpecError(f"read {path}: {error!r}") from error
        if not self.args:
            raise SpecError(f"read {path}: no command")
        missing = [name for name in names if name not in os.environ]
        if missing:
            raise SpecError(f"secrets {', '.join(missing)} are not in the environment")
        self.secrets: dict[str, str] = {name: os.environ[name] for name in names}


class Masker:
    """Replaces secrets in a stream, even where reads cut them in two."""

    def __init__(self, values: list[str]) -> None:
        forms: set[bytes] = set()
        for value in values:
            raw = os.fsencode(value)
            forms |= {raw, raw.strip(), base64.b64encode(raw)}
            forms.add(json.dumps(value)[1:-1].encode("ascii"))
            forms.add(quote(raw, safe="").encode("ascii"))
            # The lines of a key may be printed one by one.
            lines = (line.strip() for line in raw.splitlines())
            forms |= {line for line in lines if len(line) >= 16}
        # What looks like the mask itself needs none.
        forms = {form for form in forms if form.strip(b"*")}
        # The longest first: one secret may begin like another.
        self.forms = sorted(forms, key=lambda form: (-len(form), form))
        self.pattern = re.compile(b"|".join(re.escape(form) for form in self.forms))
        self.rest = b""

    def feed(self, data: bytes, end: bool = False) -> bytes:
        """Return what is safe to show; keep back what may begin a secret."""
        data = self.rest + data
        if not self.forms:
            return data
        shown = []
        position = 0
        while True:
            keep = len(data) if end else len(data) - self.open_end(data, position)
            match = self.pattern.search(data, position)
            if match is None or match.start() >= keep:
                break
            shown += [data[position : match.start()], MASK]
            position = match.end()
        self.rest = data[keep:]
        return b"".join([*shown, data[position:keep]])

    def open_end(self, data: bytes, position: int) -> int:
        """Return how many of the last bytes may be the beginning of a secret."""
        longest = 0
        for form in self.forms:
            for size in range(min(len(form) - 1, len(data) - position), longest, -1):
                if data.endswith(form[:size]):
                    longest = size
                    break
        return longest


class Stream:
    """Passes one stream on and keeps its end."""

    def __init__(self, source: IO[bytes] | None, target: int, log: FileIO | None, masker: Masker) -> None:
        if source is None:
            raise SpecError("the command has no stream")
        # A descriptor of its own, which nobody else closes.
        self.source = os.dup(source.fileno())
        source.close()
        self.target: int | None = target
        self.masker = masker
        self.pending = b""
        self.tail = b""
        self.log = log
        os.set_blocking(self.source, False)

    def read(self) -> bool:
        """Take what is there; return False at the end of the stream."""
        try:
            data = os.read(self.source, READ_BYTES)
        except BlockingIOError:
            return True
        if not data:
            return False
        self.take(data)
        return True

    def take(self, data: bytes, end: bool = False) -> None:
        """Pass on whole lines, or everything at the end."""
        self.pending += self.masker.feed(data, end)
        cut = len(self.pending)
        if not end and cut <= LONGEST_LINE:
            # Progress bars end their lines with a carriage return.
            cut = max(self.pending.rfind(b"\n"), self.pending.rfind(b"\r")) + 1
        data, self.pending = self.pending[:cut], self.pending[cut:]
        if not data:
            return
        self.tail = (self.tail + data)[-TAIL_BYTES:]
        if self.log is not None:
            self.log.write(data)
        self.tee(data)

    def tee(self, data: bytes) -> None:
        while data and self.target is not None:
            try:
                data = data[os.write(self.target, data) :]
            except OSError:
                # Nobody listens any more; the result still counts.
                self.target = None

    def close(self) -> str:
        """End the stream and return its tail as text of at most TAIL_BYTES."""
        self.take(b"", end=True)
        os.close(self.source)
        if self.log is not None:
            self.log.close()
        # Replacing invalid bytes makes the text longer, so it is cut once more.
        text = whole_characters(self.tail).decode("utf-8", "replace").encode("utf-8")
        return whole_characters(text[-TAIL_BYTES:]).decode("utf-8", "replace")


def whole_characters(data: bytes) -> bytes:
    """Drop the rest of a character that a cut left at the beginning of a full tail."""
    if len(data) < TAIL_BYTES:
        return data
    start = 0
    while start < 3 and data[start] & 0xC0 == 0x80:
        start += 1
    return data[start:]


def prctl(option: int, value: int) -> None:
    """Set a process attribute where there is such a thing (Linux)."""
    if sys.platform != "linux":
        return
    # Without it, only an additional safety net is missing.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


class Instruction(ctypes.Structure):
    """One instruction of a filter of system calls (struct sock_filter)."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    """A filter of system calls (struct sock_fprog)."""

    _fields_ = (("length", ctypes.c_uint16), ("code", ctypes.POINTER(Instruction)))


class Offline:
    """Refuses sockets of a network to the process that enters it, and to its children.

    A namespace of its own would need privileges that a container does not have. This
    filter needs none, and cannot be taken off again. Sockets of the kind AF_UNIX stay,
    and AF_NETLINK, by which programs ask the kernel for its interfaces.
    """

    def __init__(self) -> None:
        if sys.platform != "linux":
            raise OSError("no filter of system calls on this system")
        if os.uname().machine not in MACHINES:
            raise OSError("no filter of system calls for this machine")
        kind, socket_call = MACHINES[os.uname().machine]
        load, equal, at_least, answer = 0x20, 0x15, 0x35, 0x06
        error, allow = 0x00050000, 0x7FFF0000
        steps = [
            (load, 0, 0, 4),  # which system calls: a 32-bit program has others
            (equal, 0, 8, kind),
            (load, 0, 0, 0),  # the number of the call
            (at_least, 6, 0, 0x40000000),  # the x32 calls of x86-64
            (equal, 5, 0, 425),  # io_uring_setup, which makes sockets without socket(2)
            (equal, 0, 5, socket_call),
            (load, 0, 0, 16),  # the family, its first argument
            (equal, 3, 0, 1),  # AF_UNIX
            (equal, 2, 0, 16),  # AF_NETLINK
            (answer, 0, 0, error | 101),  # network is unreachable
            (answer, 0, 0, error | 38),  # function not implemented
            (answer, 0, 0, allow),
        ]
        self.code = (Instruction * len(steps))(*(Instruction(*step) for step in steps))
        self.program = Program(len(steps), self.code)
        self.prctl = ctypes.CDLL(None, use_errno=True).prctl
        self.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]

    def enter(self) -> None:
        """Cut this process off; OSError when the kernel does not have it."""
        address = ctypes.addressof(self.program)
        if self.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or self.prctl(
            PR_SET_SECCOMP, SECCOMP_MODE_FILTER, address, 0, 0
        ):
            raise OSError(ctypes.get_errno(), "filter system calls")


def offline() -> Offline | None:
    """Return the filter if it works here, which a short-lived child finds out."""
    try:
        cut = Offline()
    except OSError:
        return None
    child = os.fork()
    if child == 0:
        try:
            cut.enter()
        except OSError:
            os._exit(1)
        os._exit(0)
    return cut if os.waitpid(child, 0)[1] == 0 else None


def descendants() -> list[int]:
    """Return children of this process: orphans of the command, once it has ended."""
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


class Command:
    """A running command with everything it started."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        cut = offline() if spec.offline else None
        self.network_open = spec.offline and cut is None

        def prepare() -> None:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if cut is not None:
                cut.enter()

        self.started = datetime.datetime.now(datetime.timezone.utc)
        self.begin = time.monotonic()
        self.seconds = 0.0
        self.timed_out = False
        self.stopped = False
        self.exit_code: int | None = None
        self.kill_at: float | None = None
        self.process = subprocess.Popen(
            spec.args,
            cwd=spec.cwd,
            env={**spec.env, **spec.secrets},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
            umask=0o022,
            # Safe between fork and exec: this process has one thread.
            preexec_fn=prepare,  # noqa: PLW1509
        )

    def signal_group(self, number: int) -> None:
        # The group may be gone, or consist of zombies only.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def end(self) -> None:
        """Ask the command to end; after the grace period it has to."""
        if self.kill_at is None:
            self.kill_at = time.monotonic() + self.spec.grace
            self.signal_group(signal.SIGTERM)

    def wait_seconds(self) -> float | None:
        """Return how long nothing has to be done unless something happens."""
        limit = self.kill_at
        if limit is None and self.spec.timeout > 0:
            limit = self.begin + self.spec.timeout
        return None if limit is None else max(0.0, limit - time.monotonic())

    def check(self) -> bool:
        """Enforce the limits; return True once the command has ended."""
        code = self.process.poll()
        if code is not None:
            self.seconds = time.monotonic() - self.begin
            self.exit_code = 128 - code if code < 0 else code
            self.sweep()
            return True
        now = time.monotonic()
        if self.kill_at is not None:
            if now >= self.kill_at:
                self.signal_group(signal.SIGKILL)
                self.kill_at = now + 1
        elif self.spec.timeout > 0 and now >= self.begin + self.spec.timeout:
            self.timed_out = True
            self.end()
        return False

    def sweep(self) -> None:
        """Kill what the command left behind, in its group or out of it."""
        self.signal_group(signal.SIGKILL)
        deadline = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < deadline:
            # Orphans become our children, and their children do when they die.
            for pid in descendants():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return


def watch(command: Command, streams: list[Stream], wake: int) -> None:
    """Pass the streams on until the command and all its writers have ended."""
    with selectors.DefaultSelector() as selector:
        selector.register(wake, selectors.EVENT_READ, None)
        if command.spec.watch_stdin:
            selector.register(0, selectors.EVENT_READ, None)
        for stream in streams:
            selector.register(stream.source, selectors.EVENT_READ, stream)
        unread = len(streams)
        drained: float | None = None
        while drained is None or unread:
            if drained is None:
                wait = command.wait_seconds()
            else:
                # A process that cannot be ended may keep the streams open.
                wait = drained - time.monotonic()
                if wait <= 0:
                    return
            for key, _ in selector.select(wait):
                if isinstance(key.data, Stream):
                    if not key.data.read():
                        selector.unregister(key.fd)
                        unread -= 1
                elif key.fd == wake:
                    for number in os.read(wake, 512):
                        if number in (signal.SIGTERM, signal.SIGINT):
                            command.stopped = True
                            command.end()
                elif not os.read(key.fd, 512):
                    selector.unregister(key.fd)
                    command.stopped = True
                    command.end()
            if drained is None and command.check():
                drained = time.monotonic() + DRAIN_SECONDS


def write_result(path: str, result: dict[str, Any]) -> None:
    """Write the result so that it is there completely or not at all."""
    partial = path + ".partial"
    with open(partial, "w", encoding="utf-8") as file:
        json.dump(result, file, ensure_ascii=False)
    os.replace(partial, path)


def separate(directory: str) -> None:
    """Copy each file below a directory that has further names, so that it has one."""
    for folder, _, names in os.walk(directory):
        before = os.stat(folder)
        for name in names:
            path = os.path.join(folder, name)
            file = os.lstat(path)
            if stat.S_ISREG(file.st_mode) and file.st_nlink > 1 and file.st_size <= LARGEST_COPY:
                shutil.copy2(path, path + ".copy")
                os.replace(path + ".copy", path)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))


def files_of(directory: str) -> dict[str, tuple[int, int]]:
    """Return the files below a directory by relative path, with what tells that they changed."""
    found: dict[str, tuple[int, int]] = {}
    for folder, below, names in os.walk(directory):
        below[:] = [name for name in below if not name.startswith((".", "__pycache__"))]
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                file = os.lstat(path)
                if stat.S_ISREG(file.st_mode) and not name.startswith("."):
                    found[os.path.relpath(path, directory)] = (file.st_mtime_ns, file.st_size)
        if len(found) > MOST_FILES:
            break
    return found


def made(directory: str, before: dict[str, tuple[int, int]]) -> list[str]:
    """Return the files that are new or changed, those nearest to the root first."""
    if len(before) > MOST_FILES:  # not all of them are known, and so not what is new
        return []
    after = files_of(directory)
    names = [
        name
        for name, seen in after.items()
        if before.get(name) != seen and name.isprintable() and len(name) <= LONGEST_NAME
    ]
    return sorted(names, key=lambda name: (name.count("/"), name))[:MOST_MADE]


def code_of(directory: str) -> dict[str, bytes]:
    """Return the digests of the Python files below a directory, by relative path."""
    found: dict[str, bytes] = {}
    for folder, below, names in os.walk(directory):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                if name.endswith(".py") and stat.S_ISREG(os.lstat(path).st_mode):
                    with open(path, "rb") as file:
                        found[os.path.relpath(path, directory)] = hashlib.sha256(file.read(LARGEST_CODE)).digest()
        if len(found) > MOST_FILES:
            break
    return found


def altered(directory: str, before: dict[str, bytes]) -> list[str]:
    """Return the Python files that are no longer what they were, or no longer there."""
    after = code_of(directory)
    names = [name for name, digest in before.items() if after.get(name) != digest]
    return sorted(name for name in names if name.isprintable() and len(name) <= LONGEST_NAME)[:MOST_MADE]


def run(spec: Spec) -> dict[str, Any]:
    """Run the command and return its result."""
    if spec.own_files:
        separate(spec.cwd)
    before = files_of(spec.cwd) if spec.list_made else {}
    code = code_of(spec.cwd) if spec.list_altered else {}
    logs = [FileIO(path, "w") if path else None for path in (spec.stdout, spec.stderr)]
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
        # A signal has to do nothing but wake the loop in watch.
        signal.signal(number, lambda *_: None)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Other processes of this user, but for those of root, do not get to see the secrets here.
    prctl(PR_SET_DUMPABLE, 0)
    try:
        command = Command(spec)
    except OSError as error:
        if error.filename == spec.cwd:
            raise
        return not_started(spec, error)
    except ValueError as error:  # A NUL in an argument or a variable.
        raise SpecError(str(error)) from error
    secrets = list(spec.secrets.values())
    streams = [
        Stream(command.process.stdout, 1, logs[0], Masker(secrets)),
        Stream(command.process.stderr, 2, logs[1], Masker(secrets)),
    ]
    watch(command, streams, read_end)
    stdout, stderr = (stream.close() for stream in streams)
    more: dict[str, Any] = {"network_open": True} if command.network_open else {}
    if spec.list_made:
        more["made"] = made(spec.cwd, before)
    if spec.list_altered:
        more["altered"] = altered(spec.cwd, code)
    return {
        **more,
        "exit_code": command.exit_code,
        "timed_out": command.timed_out,
        "stopped": command.stopped,
        "seconds": round(command.seconds, 3),
        "started": timestamp(command.started),
        "stdout": stdout,
        "stderr": stderr,
    }


def not_started(spec: Spec, error: OSError) -> dict[str, Any]:
    """Return what a shell reports for a command that does not exist or cannot run."""
    message = f"run {spec.args[0]}: {error.strerror or error}\n"
    os.write(2, message.encode("utf-8", "replace"))
    return {
        "exit_code": 127 if isinstance(error, FileNotFoundError) else 126,
        "timed_out": False,
        "stopped": False,
        "seconds": 0.0,
        "started": timestamp(datetime.datetime.now(datetime.timezone.utc)),
        "stdout": "",
        "stderr": message,
    }


def timestamp(moment: datetime.datetime) -> str:
    """Return a moment in UTC as RFC 3339 writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def main() -> int:
    """Carry out the specification named on the command line."""
    if len(sys.argv) != 2:
        print("usage: launch.py SPEC.json", file=sys.stderr)
        return 2
    try:
        spec = Spec(sys.argv[1])
        write_result(spec.result, run(spec))
    except (SpecError, OSError, ValueError) as error:
        print(f"launch: {error}", file=sys.stderr)
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        return errno.ENOSPC if full else 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
