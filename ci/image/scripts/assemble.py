"""Normalise a tree for the image and say what is in it.

usage: assemble.py DIRECTORY [--want FILE SHA256] [--own UID PATH...]

Modes become those of a fresh checkout under umask 022, whatever the machine that checked
it out had, and times one fixed time. With --want the file must be there with that
content. The paths of --own, where they exist, are given to that user. Prints a JSON
object: path to SHA-256 of every regular file.
"""

import argparse
import hashlib
import json
import os
import sys

EPOCH = 315532800  # as in prepare.py


def digest(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("top")
    parser.add_argument("--want", nargs=2)
    parser.add_argument("--own", nargs="+", default=[])
    args = parser.parse_args()
    owned = tuple(os.path.join(args.top, path) for path in args.own[1:])
    hashes: dict[str, str] = {}
    for directory, names, files in os.walk(args.top):
        names.sort()
        os.chmod(directory, 0o755)
        if any(directory == path or directory.startswith(path + "/") for path in owned):
            for path in [directory, *(os.path.join(directory, name) for name in files)]:
                os.chown(path, int(args.own[0]), int(args.own[0]), follow_symlinks=False)
        for name in sorted(files):
            path = os.path.join(directory, name)
            if os.path.islink(path):
                continue
            os.chmod(path, 0o755 if os.lstat(path).st_mode & 0o100 else 0o644)
            hashes[os.path.relpath(path, args.top)] = digest(path)
        for name in [*files, *names]:
            os.utime(os.path.join(directory, name), (EPOCH, EPOCH), follow_symlinks=False)
    os.utime(args.top, (EPOCH, EPOCH))
    if args.want:
        name, want = args.want
        got = hashes.get(name)
        if got != want:
            sys.exit(f"error: {name} " + (f"has sha256 {got}, not {want}" if got else "is not there"))
    json.dump(hashes, sys.stdout, sort_keys=True)


main()
