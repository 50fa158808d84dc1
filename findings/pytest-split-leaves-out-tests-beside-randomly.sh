#!/usr/bin/env bash
# pytest-split 0.11.0 with pytest-randomly 5.1.0 and pytest 9.2.0.
#
# pytest-randomly gives each job of a split run an order of its own. The README of pytest-split says that its algorithm least_duration works
# with that: it sorts the tests before it deals them out. It sorts by str(item), which is the name of the function without its module. Tests
# of one name in several modules, such as test_empty, keep the random order among themselves if their durations are equal, as all are
# where no file has them. So some run in both jobs, others in none, and every job passes. With names of their own, each test runs once.
# jerry-git/pytest-split#109 would sort by the whole id.
#
# Give all jobs the same --randomly-seed, and compare the number of test cases of all jobs with the number collected.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check pytest==9.2.0 pytest-split==0.11.0 pytest-randomly==5.1.0

run() { # FOLDER SEED...: how many of its 12 tests two jobs with these seeds run
	local folder=$1 job=0
	shift
	cd "$tmp/$folder"
	for seed in "$@"; do
		job=$((job + 1))
		"$tmp/venv/bin/python" -m pytest -v --splits 2 --group $job --splitting-algorithm least_duration --randomly-seed="$seed" >"$tmp/job$job"
	done
	grep -ho '^test_.* PASSED' "$tmp"/job[12] | sort | uniq -c |
		awk -v of="$folder" '{n[$1]++} END {print of ": " n[1] + 0 " tests ran once, " n[2] + 0 " twice, " 12 - n[1] - n[2] " never"}'
}
mkdir "$tmp/same" "$tmp/own"
for i in $(seq 12); do
	printf 'def test_empty():\n    pass\n' >"$tmp/same/test_part$i.py"
	printf 'def test_empty%s():\n    pass\n' "$i" >"$tmp/own/test_part$i.py"
done
found=$(
	run same 1 2
	run own 1 2
	run same 1 1
)
echo "$found"
never=$(sed -n '1s/.* \([0-9]*\) never/\1/p' <<<"$found")
[ "$never" -gt 0 ] && [ "$(sed 1d <<<"$found")" = "own: 12 tests ran once, 0 twice, 0 never
same: 12 tests ran once, 0 twice, 0 never" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
