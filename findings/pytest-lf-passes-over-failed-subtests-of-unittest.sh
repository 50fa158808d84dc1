#!/usr/bin/env bash
# pytest 9.2.0 and its own support for unittest.TestCase.subTest.
#
# "pytest || pytest --lf" runs what failed a second time, and is how many pipelines bear with flaky tests. A test of unittest with a failed
# subTest is reported as failed and makes the first run exit with 1. But the report of the whole test, which comes after those of its parts,
# says passed, and takes the test out of the list that --lf reads. So if another test failed too, the second run is of that one only, and
# passes: the pipeline is green, with a subtest that fails every time. Alone, the failed subtest leaves an empty list, with which --lf runs
# everything. A test with the fixture subtests is kept. pytest-dev/pytest#14575 is about the list.
#
# Read the failures of the first run from its report.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0
mkdir "$tmp/unittest" "$tmp/fixture"
cat >"$tmp/unittest/test_parts.py" <<'PY'
import unittest


class Parts(unittest.TestCase):
    def test_parts(self):
        for part in range(3):
            with self.subTest(part=part):
                self.assertNotEqual(part, 1)
PY
cat >"$tmp/fixture/test_parts.py" <<'PY'
def test_parts(subtests):
    for part in range(3):
        with subtests.test(part=part):
            assert part != 1
PY
cat >"$tmp/flaky.py" <<'PY'
import pathlib

seen = pathlib.Path("seen")


def test_second_time():
    before = seen.exists()
    seen.touch()
    assert before
PY

run() {
	local code=0
	"$tmp/venv/bin/python" -m pytest -q "$@" >out.txt 2>&1 || code=$?
	echo "exit $code ($(tail -n 1 out.txt | sed 's/ in .*//'))"
}
twice() { # FOLDER: both runs
	cd "$tmp/$1"
	cp ../flaky.py test_flaky.py
	echo "$1: $(run), then with --lf $(run --lf)"
}
found=$(
	twice unittest
	twice fixture
)
echo "$found"
[ "$found" = "unittest: exit 1 (2 failed, 1 passed, 2 subtests passed), then with --lf exit 0 (1 passed)
fixture: exit 1 (3 failed, 2 subtests passed), then with --lf exit 1 (2 failed, 1 passed, 2 subtests passed)" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
