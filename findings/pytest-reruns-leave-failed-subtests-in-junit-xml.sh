#!/usr/bin/env bash
# pytest-rerunfailures 16.7 with pytest 9.2.0 and its own subtests.
#
# A test that fails and passes in its rerun has a test case for each attempt in --junitxml; both look passed, and failures is 0. If what
# failed is a subtest (the fixture subtests), pytest prints "1 passed, 1 rerun" and exits with 0 as well, but the file has failures="1"
# and a failed test case beside a passed one of the same name. The plugin removes the reports of the failed attempt from the terminal's
# summary and from the exit code, not from the JUnit file. A CI system that reads the file shows a failed test in a run that passed.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-rerunfailures==16.7
mkdir "$tmp/project"
cd "$tmp/project"
cat >test_plain.py <<'PY'
import itertools

attempts = itertools.count(1)


def test_second_time():
    assert next(attempts) == 2
PY
cat >test_parts.py <<'PY'
import itertools

attempts = itertools.count(1)


def test_second_time(subtests):
    with subtests.test("part"):
        assert next(attempts) == 2
PY

run() {
	local code=0
	"$tmp/venv/bin/python" -m pytest -q --reruns 1 --junitxml=junit.xml "$1" >out.txt 2>&1 || code=$?
	count() { grep -o "$1" junit.xml | wc -l; }
	echo "$1: exit $code, $(grep -o 'failures="[0-9]*"' junit.xml), $(count '<testcase') test cases, $(count '<failure') failed"
}
plain=$(run test_plain.py)
parts=$(run test_parts.py)
printf '%s\n%s\n' "$plain" "$parts"
[ "$plain" = 'test_plain.py: exit 0, failures="0", 2 test cases, 0 failed' ] &&
	[ "$parts" = 'test_parts.py: exit 0, failures="1", 2 test cases, 1 failed' ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
