"""Make a base image fit to serve from: a user without rights, no installers, no setuid files.

usage: prepare.py ROOT UID DIRECTORY... -- DIRECTORY...

ROOT is the image's root file system, mounted; this runs in a container of the same image.
Makes the directories. Those before -- stay root's (the application: its user may read it,
not change it), those after it are given to the user. Everything this touches gets one fixed
time, so that the layer is the same whenever it is made.
"""

import os
import shutil
import sys
import sysconfig
import time
from collections.abc import Iterator

EPOCH = 315532800  # 1980-01-01: the oldest time that a zip file can hold


def walk(top: str) -> Iterator[str]:
    """Every path below top."""
    for directory, names, files in os.walk(top):
        yield from (os.path.join(directory, name) for name in files + names)


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


def remove_installers(root: str) -> None:
    paths = sysconfig.get_paths()
    for library in {paths["purelib"], paths["platlib"], "/usr/lib/python3/dist-packages"}:
        library = root + library
        for name in os.listdir(library) if os.path.isdir(library) else []:
            package = name.lower().split("-")[0].removesuffix(".dist")
            if (
                package in {"pip", "setuptools", "wheel", "pkg_resources", "_distutils_hack"}
                or name == "distutils-precedence.pth"
            ):
                remove(os.path.join(library, name))
    remove(root + os.path.join(paths["stdlib"], "ensurepip"))
    for scripts in {paths["scripts"], "/usr/local/bin", "/usr/bin"}:
        scripts = root + scripts
        for name in os.listdir(scripts) if os.path.isdir(scripts) else []:
            if name.startswith(("pip", "easy_install", "wheel", "idle", "2to3")) or name in {"uv", "uvx"}:
                remove(os.path.join(scripts, name))


def main() -> None:
    started = time.time() - 1
    root, uid, split = sys.argv[1], int(sys.argv[2]), sys.argv.index("--")
    add_line(root + "/etc/group", f"app:x:{uid}:")
    add_line(root + "/etc/passwd", f"app:x:{uid}:{uid}::/home/app:/usr/sbin/nologin")
    remove_installers(root)
    for path in (
        "/root/.cache",
        "/root/.bash_history",
        "/root/.python_history",
        "/var/cache/apt",
        "/var/lib/apt/lists",
    ):
        remove(root + path)
    for path in walk(root):
        mode = os.lstat(path).st_mode
        if not os.path.islink(path) and os.path.isfile(path) and mode & 0o6000:
            os.chmod(path, mode & 0o1777)
    for directory in sys.argv[3:split]:
        os.makedirs(root + directory, exist_ok=True)
    for directory in sys.argv[split + 1 :]:
        os.makedirs(root + directory, exist_ok=True)
        os.chown(root + directory, uid, uid)
    for path in [*walk(root), root]:
        if os.lstat(path).st_mtime >= started:
            os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


main()
