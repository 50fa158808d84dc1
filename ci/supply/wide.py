"""Run a scanner of secrets with copies in UTF-8 of files in UTF-16, which it would search without understanding them.

usage: wide.py FROM TO COMMAND...

Windows PowerShell writes UTF-16 where it redirects output. Files below FROM that begin with its mark are written
below TO, with the same names and lines; then COMMAND takes the place of this program.
"""

import codecs
import os
import sys

LIMIT = 64 << 20  # bytes of a file


def main() -> None:
    source, copies, command = sys.argv[1], sys.argv[2], sys.argv[3:]
    for directory, _, names in os.walk(source):
        for name in names:
            path = os.path.join(directory, name)
            if os.path.islink(path) or not os.path.isfile(path) or os.path.getsize(path) > LIMIT:
                continue
            with open(path, "rb") as f:
                if f.read(2) not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
                    continue
                f.seek(0)
                text = f.read().decode("utf-16", "replace")
            copy = os.path.join(copies, os.path.relpath(path, source))
            os.makedirs(os.path.dirname(copy), exist_ok=True)
            with open(copy, "w", encoding="utf-8", newline="") as to:
                to.write(text)
    os.execv(command[0], command)


main()
