"""Make a base image fit to serve from: a user without rights, no installers, no setuid files.

usage: prepare.py UID DIRECTORY... -- DIRECTORY...

Runs as root in the base image and makes the directories. Those before -- stay root's (the
application: its user may read it, not change it), those after it are given to the user.
Everything this touches gets one fixed time, so that the layer is the same whenever it is made.
"""

import os
import shutil
import sys
import sysconfig
import time

EPOCH = 315532800  # 1980-01-01: the oldest time that a zip file can hold
SKIP = {"/proc", "/sys", "/dev", "/run"}


def walk(top: str):
    """Every path below top on the same file system, directories after their content."""
    device = os.lstat(top).st_dev
    for directory, names, files in os.walk(top, topdown=True):
        names[:] = [n for n in names if os.path.join(directory, n) not in SKIP and same(directory, n, device)]
        # Files may be mounts too: the engine lends /etc/hosts and /etc/resolv.conf.
        yield from (os.path.join(directory, name) for name in files + names if same(directory, name, device))


def same(directory: str, name: str, device: int) -> bool:
    return os.lstat(os.path.join(directory, name)).st_dev == device


def add_line(path: str, line: str) -> None:
    """Add an account unless its name or number is taken: then the base image has it."""
    key = line.split(":")
    with open(path, encoding="utf-8") as f:
        known = [entry.split(":") for entry in f.read().splitlines()]
    if any(entry[0] == key[0] or (len(entry) > 2 and entry[2] == key[2]) for entry in known):
        return
    with open(path, "a", encoding="utf-8") as f:
        f.write(line + "\n")


def remove(path: str) -> None:
    if os.path.islink(path) or os.path.isfile(path):
        os.unlink(path)
    elif os.path.isdir(path):
        shutil.rmtree(path)


def remove_installers() -> None:
    paths = sysconfig.get_paths()
    for library in {paths["purelib"], paths["platlib"], "/usr/lib/python3/dist-packages"}:
        for name in os.listdir(library) if os.path.isdir(library) else []:
            package = name.lower().split("-")[0].removesuffix(".dist")
            if package in {"pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack"} or name == "distutils-precedence.pth":
                remove(os.path.join(library, name))
    remove(os.path.join(paths["stdlib"], "ensurepip"))
    for scripts in {paths["scripts"], "/usr/local/bin", "/usr/bin"}:
        for name in os.listdir(scripts) if os.path.isdir(scripts) else []:
            if name.startswith(("pip", "easy_install", "wheel", "idle", "2to3")) or name in {"uv", "uvx"}:
                remove(os.path.join(scripts, name))


def main() -> None:
    started = time.time() - 1
    uid, split = int(sys.argv[1]), sys.argv.index("--")
    add_line("/etc/group", f"app:x:{uid}:")
    add_line("/etc/passwd", f"app:x:{uid}:{uid}::/home/app:/usr/sbin/nologin")
    remove_installers()
    for path in ("/root/.cache", "/root/.bash_history", "/root/.python_history", "/var/cache/apt", "/var/lib/apt/lists"):
        remove(path)
    for path in walk("/"):
        mode = os.lstat(path).st_mode
        if not os.path.islink(path) and os.path.isfile(path) and mode & 0o6000:
            os.chmod(path, mode & 0o1777)
    for directory in sys.argv[2:split]:
        os.makedirs(directory, exist_ok=True)
    for directory in sys.argv[split + 1 :]:
        os.makedirs(directory, exist_ok=True)
        os.chown(directory, uid, uid)
    for path in [*walk("/"), "/"]:
        info = os.lstat(path)
        if info.st_mtime >= started:
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


main()
