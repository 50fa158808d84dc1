"""Read what a probed application left in the directory that it shares with this container.

usage: evidence.py DIRECTORY [ended SECONDS | healthcheck SECONDS]

With "ended" it waits until the application has ended or answers only elsewhere, with
"healthcheck" until the image's health check has been run once, in both cases at most
SECONDS. Prints one JSON object.
"""

import json
import os
import sys
import time

TAIL = 64 << 10


def read(path: str) -> str | None:
    try:
        with open(path, "rb") as f:
            f.seek(max(0, os.fstat(f.fileno()).st_size - TAIL))
            return f.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return None


def main() -> None:
    directory, what = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else ""
    awaited = {"ended": ("exit", "elsewhere"), "healthcheck": ("health",)}.get(what)
    if what == "healthcheck":
        open(os.path.join(directory, "check"), "w").close()
    if awaited:
        end = time.monotonic() + float(sys.argv[3])
        files = [os.path.join(directory, name) for name in awaited]
        while not any(map(os.path.exists, files)) and time.monotonic() < end:
            time.sleep(0.2)
    names = ("out", "exit", "tcp", "health", "health.log", "outside", "root", "elsewhere")
    json.dump({name: read(os.path.join(directory, name)) for name in names}, sys.stdout)


main()
