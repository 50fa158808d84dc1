"""Keep the newest proofs, a file each, in a directory that outlives runs.

usage: memory.py recall DIRECTORY
       memory.py remember DIRECTORY KEY FILE

"recall" prints one JSON object, proof by key; a file that cannot be read is left out.
"remember" keeps the file under its key, whole or not at all.
"""

import json
import os
import sys

KEEP = 50


def age(path: str) -> float:
    """The time of a file; one that another run has just removed is the oldest."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def recall(directory: str) -> None:
    proofs = {}
    for name in os.listdir(directory):
        key, suffix = os.path.splitext(name)
        if suffix != ".json":
            continue
        try:
            with open(os.path.join(directory, name), encoding="utf-8") as f:
                proofs[key] = json.load(f)
        except (OSError, ValueError):
            continue
    json.dump(proofs, sys.stdout)


def remember(directory: str, key: str, file: str) -> None:
    with open(file, encoding="utf-8") as f:
        proof = f.read()
    path = os.path.join(directory, key + ".json")
    part = f"{path}.{os.getpid()}.part"
    with open(part, "w", encoding="utf-8") as f:
        f.write(proof)
        f.flush()
        os.fsync(f.fileno())
    os.replace(part, path)
    paths = sorted((os.path.join(directory, name) for name in os.listdir(directory)), key=age)
    for old in paths[:-KEEP]:
        try:
            os.remove(old)
        except FileNotFoundError:
            pass


def main() -> None:
    what, directory, *rest = sys.argv[1:]
    if what == "recall":
        recall(directory)
    else:
        remember(directory, *rest)


main()
