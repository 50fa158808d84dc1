#!/usr/bin/env bash
# pytest-cov 7.1.0 with pytest 9.2.0.
#
# pytest ends a session of `-x` (or --maxfail) by an exception that leaves pytest_runtestloop. pytest-cov saves and reports its data in a
# wrapper around that hook, after the yield, and the exception passes it by. So the run with the first failure leaves no coverage.xml and no
# report on the terminal, without a word; the same run without -x writes both, with the same failing test.
#
# A gate that reads "no coverage.xml" as "coverage was not asked for" then judges nothing.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-cov==7.1.0 coverage==7.17.3
mkdir "$tmp/project"
cd "$tmp/project"
printf 'def double(x):\n    return 2 * x\n' >app.py
printf 'import app\n\ndef test_double():\n    assert app.double(2) == 5\n' >test_app.py

run() {
	local code=0
	rm -f coverage.xml .coverage
	"$tmp/venv/bin/python" -m pytest -q --cov=app --cov-report=xml --cov-report=term "$@" >out.txt 2>&1 || code=$?
	echo "pytest $*: exit $code, coverage.xml $([ -f coverage.xml ] && echo written || echo missing), TOTAL line $(grep -c '^TOTAL' out.txt)"
}
all=$(run)
first=$(run -x)
echo "$all"
echo "$first"
[ "$all" = "pytest : exit 1, coverage.xml written, TOTAL line 1" ] && [ "$first" = "pytest -x: exit 1, coverage.xml missing, TOTAL line 0" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
