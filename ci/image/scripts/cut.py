"""Run a command that reaches nothing but this host, and note what it tried to reach.

usage: cut.py FILE COMMAND...

A filter of the kernel (seccomp, no privilege needed) hands each connect() and each addressed
sendto() of the command and its children to this process, which lets through what stays on the
host and answers "network is unreachable" to the rest, noting the address in FILE. Connections
from outside are not touched. It is a test's fence, not a prison: a program that wants out
through other calls is not held. The exit code is the command's. Where the kernel or the
container's own rules refuse the filter, the command runs all the same and FILE says so.
"""

import ctypes
import fcntl
import ipaddress
import os
import platform
import select
import socket
import struct
import sys

# connect and sendto, by the kernel's name of the machine: audit number, then the calls.
MACHINES = {"x86_64": (0xC000003E, 42, 44, 317), "aarch64": (0xC00000B7, 203, 206, 277)}
NO_NEW_PRIVS, SET_FILTER, NEW_LISTENER = 38, 1, 8
RECEIVE, SEND, GO_ON = 0xC0502100, 0xC0182101, 1
ALLOW, NOTIFY = 0x7FFF0000, 0x7FC00000
UNREACHABLE = 101


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def fence(audit: int, connect: int, sendto: int, seccomp: int) -> int:
    """Put the filter on this process; return the descriptor that its questions come from."""
    load, equal = 0x20, 0x15  # BPF_LD|W|ABS, BPF_JMP|JEQ|K

    def step(code: int, then: int, otherwise: int, value: int) -> bytes:
        return struct.pack("HBBI", code, then, otherwise, value)

    # seccomp_data: the call's number at 0, the machine at 4, argument n at 16 + 8n.
    steps = b"".join(
        [
            step(load, 0, 0, 4),
            step(equal, 0, 7, audit),  # another machine's calls: allowed
            step(load, 0, 0, 0),
            step(equal, 6, 0, connect),
            step(equal, 0, 4, sendto),
            step(load, 0, 0, 16 + 8 * 4),  # the address, lower half
            step(equal, 0, 3, 0),
            step(load, 0, 0, 16 + 8 * 4 + 4),
            step(equal, 0, 1, 0),
            step(0x06, 0, 0, ALLOW),
            step(0x06, 0, 0, NOTIFY),
        ]
    )
    libc = ctypes.CDLL(None, use_errno=True)
    buffer = ctypes.create_string_buffer(steps)
    program = Program(len(steps) // 8, ctypes.addressof(buffer))
    if libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")
    listener = libc.syscall(seccomp, SET_FILTER, NEW_LISTENER, ctypes.byref(program))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


def address(raw: bytes) -> str | None:
    """Name the address that leaves this host, or None when it does not."""
    if len(raw) < 2:
        return None
    family = struct.unpack_from("=H", raw)[0]
    if family == socket.AF_INET and len(raw) >= 8:
        ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(raw[4:8])
    elif family == socket.AF_INET6 and len(raw) >= 24:
        six = ipaddress.IPv6Address(raw[8:24])
        ip = six.ipv4_mapped or six
    else:
        return None  # between processes, to the kernel
    if ip.is_loopback or ip.is_unspecified:
        return None
    return f"{ip}:{struct.unpack_from('!H', raw, 2)[0]}"


def answer(listener: int, connect: int, seen: set[str], file: str) -> None:
    question = bytearray(80)
    try:
        fcntl.ioctl(listener, RECEIVE, question)
    except (FileNotFoundError, InterruptedError):
        return  # who asked is gone
    number, pid, _, call = struct.unpack_from("=QIIi", question)
    arguments = struct.unpack_from("=6Q", question, 32)
    where, length = (arguments[1], arguments[2]) if call == connect else (arguments[4], arguments[5])
    try:
        with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
            memory.seek(where)
            outside = address(memory.read(min(length, 28)))
    except (OSError, ValueError, OverflowError):
        outside = None  # an address that cannot be read: the kernel says so itself
    if outside and outside not in seen and len(seen) < 100:
        seen.add(outside)
        with open(file, "a", encoding="utf-8") as f:
            f.write(outside + "\n")
    reply = (number, 0, -UNREACHABLE, 0) if outside else (number, 0, 0, GO_ON)
    try:
        fcntl.ioctl(listener, SEND, bytearray(struct.pack("=QqiI", *reply)))
    except (FileNotFoundError, InterruptedError):
        pass


def main() -> int:
    file, command = sys.argv[1], sys.argv[2:]
    machine = MACHINES.get(platform.machine())
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        try:
            try:
                if machine is None:
                    raise OSError(0, platform.machine())
                listener = fence(*machine)
                socket.send_fds(theirs, [b"x"], [listener])
                os.close(listener)
            except OSError as error:
                theirs.send(f"n{error.strerror}".encode())
            ours.close()
            theirs.close()
            os.execvp(command[0], command)
        except OSError as error:
            print(f"{command[0]}: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)
    theirs.close()
    said, listeners, _, _ = socket.recv_fds(ours, 200, 1)
    with open(file, "w", encoding="utf-8") as f:
        f.write("" if listeners else f"not cut: {said[1:].decode()}\n")
    if not listeners or machine is None:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) % 256
    poll = select.poll()
    poll.register(listeners[0], select.POLLIN)
    seen: set[str] = set()
    while True:
        if any(event & select.POLLIN for _, event in poll.poll(200)):
            answer(listeners[0], machine[1], seen, file)
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


sys.exit(main())
