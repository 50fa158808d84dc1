"""Keep the newest proofs, a file each, in a directory that outlives runs.

usage: memory.py recall DIRECTORY TO
       memory.py remember DIRECTORY FROM

Each proof is a file KEY.json, what else was found a file KEY.found. "recall" copies all to a
directory and prints one JSON object: for each key of a proof what it says is its key without
the model, and the names of the others; a file that cannot be read is left out. "remember" keeps
the files of a directory, each whole or not at all.
"""

import json
import os
import shutil
import sys

KEEP = 60
KEEP_BYTES = 64 << 20


def age(path: str) -> float:
    """The time of a file; one that another run has just removed is the oldest."""
    try:
        return os.stat(path).st_mtime
    except FileNotFoundError:
        return 0.0


def size(path: str) -> int:
    """The size of a file; one that another run has just removed has none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def recall(directory: str, to: str) -> None:
    known = {}
    os.makedirs(to, exist_ok=True)
    for name in os.listdir(directory):
        key, suffix = os.path.splitext(name)
        if suffix not in (".json", ".found"):
            continue
        try:
            copy = shutil.copyfile(os.path.join(directory, name), os.path.join(to, name))
            if suffix == ".found":
                known[name] = ""
                continue
            with open(copy, encoding="utf-8") as f:
                proof = json.load(f)
        except (OSError, ValueError):
            continue
        if isinstance(proof, dict):
            known[key] = str(proof.get("without_model", ""))
    json.dump(known, sys.stdout)


def remember(directory: str, source: str) -> None:
    for name in os.listdir(source):
        path = os.path.join(directory, name)
        part = f"{path}.{os.getpid()}.part"
        with open(os.path.join(source, name), "rb") as f:
            proof = f.read()
        with open(part, "wb") as f:
            f.write(proof)
            f.flush()
            os.fsync(f.fileno())
        os.replace(part, path)
    paths = sorted((os.path.join(directory, name) for name in os.listdir(directory)), key=age)
    total = 0
    for i, path in enumerate(reversed(paths)):
        total += size(path)
        if i < KEEP and total <= KEEP_BYTES:
            continue
        try:
            os.remove(path)
        except FileNotFoundError:
            pass


def main() -> None:
    what, directory, other = sys.argv[1:]
    if what == "recall":
        recall(directory, other)
    else:
        remember(directory, other)


main()
