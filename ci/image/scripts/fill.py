"""Copy a tree into an image's root file system, independent of how it was checked out.

usage: fill.py ROOT SOURCE DESTINATION [--want FILE SHA256] [--own UID PATH...] [--manifest FILE JSON]

Modes become those of a fresh checkout under umask 022, times one fixed time, owners root.
With --want the file must be in SOURCE with that content. The paths of --own, where they
exist below DESTINATION, are given to that user. With --manifest the JSON is written to FILE,
with the SHA-256 of every file of SOURCE added to its "model". Prints these hashes as a JSON
object, where --want asks for them.
"""

import argparse
import hashlib
import json
import os
import shutil
import sys
import time

EPOCH = 315532800  # as in prepare.py


def digest(path: str) -> str:
    total = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            total.update(chunk)
    return total.hexdigest()


def check(args: argparse.Namespace) -> dict[str, str]:
    """The hashes of all files; the process ends if the wanted one is not as wanted."""
    hashes = {}
    for directory, names, files in os.walk(args.source):
        names.sort()
        for name in sorted(files):
            path = os.path.join(directory, name)
            if not os.path.islink(path):
                hashes[os.path.relpath(path, args.source)] = digest(path)
    if args.want:
        name, want = args.want
        got = hashes.get(name)
        if got != want:
            sys.exit(f"error: {name} " + (f"has sha256 {got}, not {want}" if got else "is not there"))
    return hashes


def settle(path: str, owner: int) -> None:
    """Give a copied file or directory its mode, owner and time."""
    os.chown(path, owner, owner, follow_symlinks=False)
    if not os.path.islink(path):
        executable = os.path.isdir(path) or os.lstat(path).st_mode & 0o100
        os.chmod(path, 0o755 if executable else 0o644)
    os.utime(path, (EPOCH, EPOCH), follow_symlinks=False)


def copy(args: argparse.Namespace) -> None:
    top = os.path.join(args.root, args.destination.lstrip("/"))
    shutil.copytree(args.source, top, symlinks=True, dirs_exist_ok=True)
    uid = int(args.own[0]) if args.own else 0
    owned = [os.path.normpath(os.path.join(top, path)) for path in args.own[1:]]
    # Along the source: what was in the destination before keeps what it had.
    for directory, names, files in os.walk(args.source):
        for name in [*names, *files]:
            path = os.path.normpath(os.path.join(top, os.path.relpath(directory, args.source), name))
            mine = any(path == o or path.startswith(o + "/") for o in owned)
            settle(path, uid if mine else 0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root")
    parser.add_argument("source")
    parser.add_argument("destination")
    parser.add_argument("--want", nargs=2)
    parser.add_argument("--own", nargs="+", default=[])
    parser.add_argument("--manifest", nargs=2, metavar=("FILE", "JSON"))
    args = parser.parse_args()
    started = time.time() - 1
    hashes = check(args) if args.want else {}
    copy(args)
    top = os.path.join(args.root, args.destination.lstrip("/"))
    os.utime(top, (EPOCH, EPOCH))  # copytree gave it the time of the source
    touched = [top]
    if args.manifest:
        path = os.path.join(args.root, args.manifest[0].lstrip("/"))
        content = json.loads(args.manifest[1])
        content["model"]["files"] = hashes
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as f:
            json.dump(content, f, indent=2, sort_keys=True)
            f.write("\n")
        settle(path, 0)
        touched.append(path)
    for path in touched:
        while len(path) >= len(args.root):
            if os.lstat(path).st_mtime >= started:
                os.utime(path, (EPOCH, EPOCH))
            path = os.path.dirname(path)
    json.dump(hashes, sys.stdout, sort_keys=True)


main()
