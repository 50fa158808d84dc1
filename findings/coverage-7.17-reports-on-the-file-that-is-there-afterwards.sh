#!/usr/bin/env bash
# coverage.py 7.17.5.
#
# The data of a run are the numbers of the lines that ran. What a line is, and how many there are, coverage.py reads from the source when it
# reports. A module that is generated again while the tests run, by a test of the generator for example, is reported by its new text: here a
# run that reached 3 of 9 lines is a report of 3 of 3 lines, 100 %, without a warning and with the same data. Nothing in the data tells
# of which text they are.
#
# A gate for coverage has to see for itself that the sources are those that ran.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check coverage==7.17.5
mkdir "$tmp/project"
cd "$tmp/project"
cat >generator.py <<'PY'
"""Writes table.py: a function that names codes."""

import pathlib
import sys


def write(codes: dict[int, str]) -> None:
    """Write a branch for each code."""
    lines = ["def known(code):\n"]
    for code, name in codes.items():
        lines.append(f"    if code == {code}:\n        return {name!r}\n")
    pathlib.Path("table.py").write_text("".join(lines))


if __name__ == "__main__":
    write(dict(enumerate(sys.argv[1:], 1)))
PY
python3 generator.py one two three four
cat >check.py <<'PY'
import generator
import table

assert table.known(1) == "one"
generator.write({1: "one"})
PY
cp table.py before.py
"$tmp/venv/bin/coverage" run --include=table.py check.py
total() { "$tmp/venv/bin/coverage" report 2>&1 | awk '/^table.py/ {print $2 " lines, " $3 " missed, " $4}'; }
after=$(total)
cp before.py table.py
ran=$(total)
echo "by the text that is there afterwards: $after"
echo "by the text that ran: $ran"
[ "$after" = "3 lines, 0 missed, 100%" ] && [ "$ran" = "9 lines, 6 missed, 33%" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
