"""Look through a finished image for what must not be in it. Prints one JSON object.

usage: inspect.py APPLICATION UID [VOLUME...] -- MODULE...

A volume hides what is below its path. The modules are imported by the application's
interpreter, as its user, one after the other.
"""

import glob
import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from typing import Any

SKIP = {"/proc", "/sys", "/dev", "/run"}
TOOLS = ["pip", "pip3", "uv", "gcc", "g++", "cc", "clang", "make", "ld"]
# setuptools is not among them: some packages import it when they run.
MODULES = ["pip", "ensurepip", "uv"]
# What installing leaves that serving never reads.
CACHES = ["/root/.cache", "/home/app/.cache", "/var/cache/apt/archives", "/var/lib/apt/lists", "/tmp", "/var/tmp"]
HISTORY = {".bash_history", ".python_history", ".ash_history", ".sh_history", ".netrc", ".pypirc"}
SECRET_NAMES = re.compile(
    r"^(\.env(\..+)?|id_(rsa|dsa|ecdsa|ed25519)|.*\.(p12|pfx|kdbx)|\.netrc|\.pypirc|credentials)$"
)
CODE = (".py", ".pyc", ".pyd", ".so")
PRIVATE_KEY = b"-----BEGIN "


IMPORT = """
import importlib, importlib.util, sys
for module in sys.argv[1:]:
    try:
        there = importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        there = False
    result = "absent"
    if there:
        try:
            importlib.import_module(module)
            result = "ok"
        except BaseException as error:
            result = " ".join(f"{type(error).__name__}: {error}".split())
    print(f"\\n@import {module} {result}", flush=True)
"""


def imported(modules: list[str], application: str, uid: int) -> dict[str, str]:
    """Say for each module "ok", "absent", or how importing ended."""

    def user() -> None:
        os.setgid(uid)
        os.setuid(uid)

    environment = {**os.environ, "PYTHONPATH": application + os.pathsep + os.environ.get("PYTHONPATH", "")}
    try:
        ran = subprocess.run(
            ["python", "-c", IMPORT, *modules],
            capture_output=True,
            text=True,
            timeout=180,
            cwd=application,
            preexec_fn=user,
            env=environment,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return {module: str(error) for module in modules}
    found = dict(line.split(" ", 2)[1:] for line in ran.stdout.splitlines() if line.startswith("@import "))
    # The first without a line is the one that ended the interpreter.
    died = (ran.stderr.strip().splitlines() or [""])[-1] + f" (the interpreter ended with {ran.returncode})"
    return {module: found.get(module, died.strip()) for module in modules}


# What a program says in its header that it is for, by the kernel's numbers.
MACHINES = {0x3E: "linux/amd64", 0xB7: "linux/arm64"}


def machine(program: str) -> str:
    """The platform that a program is for. Not the kernel's: it may run the program by emulation."""
    with open(program, "rb") as f:
        header = f.read(20)
    if header[:4] != b"\x7fELF":
        return "unknown"
    number = int.from_bytes(header[18:20], "little" if header[5] == 1 else "big")
    return MACHINES.get(number, f"machine {number}")


def packaged(paths: list[str]) -> list[str]:
    """Those of the files that are as a package of Debian brought them, by its own record."""
    recorded: dict[str, str] = {}
    for record in glob.glob("/var/lib/dpkg/info/*.md5sums"):
        with open(record, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                digest, _, name = line.rstrip("\n").partition("  ")
                recorded["/" + name] = digest
    same = []
    for path in paths:
        with open(path, "rb") as f:
            digest = hashlib.md5(f.read(), usedforsecurity=False).hexdigest()
        # Where /bin is a link to /usr/bin, a package may name either.
        if digest in (recorded.get(path), recorded.get(path.removeprefix("/usr"))):
            same.append(path)
    return same


def main() -> None:
    application, uid = sys.argv[1], int(sys.argv[2])
    end = sys.argv.index("--")
    volumes = tuple(volume.rstrip("/") + "/" for volume in sys.argv[3:end])
    found: dict[str, Any] = {
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "platform": machine(sys.executable),
        "setuid": [],
        "writable": [],
        "secrets": [],
        "leftovers": [],
        "hidden_code": [],
        "hidden_files": [],
    }
    device = os.lstat("/").st_dev
    for directory, names, files in os.walk("/"):
        keep = []
        for name in names:
            path = os.path.join(directory, name)
            info = os.lstat(path)
            if path in SKIP or info.st_dev != device:
                continue
            keep.append(name)
            if stat.S_ISDIR(info.st_mode) and info.st_mode & 0o002 and not info.st_mode & stat.S_ISVTX:
                found["writable"].append(path)
        names[:] = keep
        for name in files:
            path = os.path.join(directory, name)
            if path in SKIP:
                continue
            info = os.lstat(path)
            if not stat.S_ISREG(info.st_mode) or info.st_dev != device:
                continue
            if info.st_mode & 0o6000:
                found["setuid"].append(path)
            if info.st_mode & 0o002:
                found["writable"].append(path)
            if path.startswith(volumes):
                if name.endswith(CODE):
                    found["hidden_code"].append(path)
                elif info.st_size and not name.startswith("."):
                    found["hidden_files"].append(path)
            if name in HISTORY:
                found["leftovers"].append(path)
            if path.startswith(application + "/"):
                if SECRET_NAMES.match(name) and not name.endswith((".example", ".template", ".sample")):
                    found["secrets"].append(path)
                elif name.endswith((".pem", ".key")) and info.st_size < 1 << 20:
                    with open(path, "rb") as f:
                        content = f.read()
                    if PRIVATE_KEY in content and b"PRIVATE KEY" in content:
                        found["secrets"].append(path)
    found["packaged"] = packaged(found["setuid"])
    found["tools"] = [tool for tool in TOOLS if shutil.which(tool)]
    found["caches"] = [path for path in CACHES if any(files for _, _, files in os.walk(path))]
    probe = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m)])"
    # The application's interpreter, which need not be the one that runs this.
    ran = subprocess.run(["python", "-c", probe, *MODULES], capture_output=True, text=True, cwd="/")
    found["modules"] = ran.stdout.split()
    found["error"] = ran.stderr[-2000:] if ran.returncode else ""
    found["user"] = uid
    found["imports"] = imported(sys.argv[end + 1 :], application, uid)
    for key in ("setuid", "writable", "secrets", "leftovers", "hidden_code", "hidden_files"):
        found[key].sort()
    json.dump(found, sys.stdout)


main()
