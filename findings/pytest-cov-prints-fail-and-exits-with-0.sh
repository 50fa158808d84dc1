#!/usr/bin/env bash
# pytest-cov 7.1.0 with coverage.py 7.17.5 and pytest 9.2.0.
#
# pytest-cov compares the total with --cov-fail-under twice. For the exit code it asks coverage.py, which first rounds the total to
# [report] precision, 0 digits by default. For the line on the terminal it takes the total unrounded. With 79.6 % and a limit of 80 it
# prints "FAIL Required test coverage of 80% not reached" and exits with 0; with 79.4 % it prints the same and exits with 1. The log shows
# a gate that failed, in a build that passed.
#
# Set precision = 2, or compare line-rate in coverage.xml.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-cov==7.1.0 coverage==7.17.5
mkdir "$tmp/project"
cd "$tmp/project"
printf 'import app\n\ndef test_used():\n    app.used()\n' >test_app.py

run() { # MISSED OPTION...: of 1,000 lines, MISSED are not reached
	local missed=$1 code=0
	shift
	{
		echo 'def used():'
		for i in $(seq $((998 - missed))); do echo "    a$i = $i"; done
		echo 'def unused():'
		for i in $(seq "$missed"); do echo "    b$i = $i"; done
	} >app.py
	"$tmp/venv/bin/python" -m pytest -q --cov=app --cov-fail-under=80 "$@" >out.txt 2>&1 || code=$?
	local printed
	printed=$(grep -c '^FAIL Required test coverage of 80% not reached' out.txt)
	echo "$printed line with FAIL, $(grep -o 'Total coverage: .*' out.txt), exit $code"
}
worse=$(run 206)
below=$(run 204)
precise=$(run 204 --cov-precision=2)
printf '%s\n%s\n%s, with precision 2\n' "$worse" "$below" "$precise"
[ "$worse" = "1 line with FAIL, Total coverage: 79.40%, exit 1" ] && [ "$below" = "1 line with FAIL, Total coverage: 79.60%, exit 0" ] &&
	[ "$precise" = "1 line with FAIL, Total coverage: 79.60%, exit 1" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
