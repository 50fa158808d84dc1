#!/usr/bin/env bash
# coverage.py 7.17.5 with diff-cover 11.0.1.
#
# coverage.xml names a file relative to its source folder. If two source folders have a file of the same name, only the one of the last
# folder is in the document; lines-valid counts both. diff-cover looks for the name in every source folder, so it applies the lines of
# the one file to the other, and reports covered code as missing. The LCOV report of the same data has both files: from it, the same
# program computes another percentage for the same change.
#
# Measure from one folder above both (source = .), and compare lines-valid with the number of lines.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check coverage==7.17.5 diff-cover==11.0.1
mkdir -p "$tmp/project"/{client,server}
cd "$tmp/project"
PATH=$tmp/venv/bin:$PATH
export GIT_CONFIG_GLOBAL=/dev/null GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@example.org GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@example.org
printf '[run]\nsource =\n    client\n    server\n' >.coveragerc
echo 'import runpy' >check.py
printf 'runpy.run_path("client/util.py")["new"]()\nrunpy.run_path("server/util.py")\n' >>check.py
echo 'LIMIT = 1' | tee client/util.py >server/util.py
git init --quiet --initial-branch main .
git add . && git commit --quiet -m "before"
git checkout --quiet -b change
printf '\n\ndef new():\n    return LIMIT\n' | tee -a client/util.py >>server/util.py
git commit --quiet -a -m "change"
coverage run check.py
coverage xml --quiet
coverage lcov --quiet
report() { diff-cover "$1" --compare-branch main | grep -E '^(client|server|Coverage)' | paste -sd ';'; }
count() { grep -c "$1" coverage.xml; }
totals="XML: $(grep -o 'lines-valid="[0-9]*"' coverage.xml) over $(count '<line ') lines in $(count '<class ') file"
xml=$(report coverage.xml)
lcov=$(report coverage.lcov)
printf '%s\nby XML:  %s\nby LCOV: %s\n' "$totals" "$xml" "$lcov"
[ "$totals" = 'XML: lines-valid="6" over 3 lines in 1 file' ] &&
	[ "$xml" = "client/util.py (50.0%): Missing lines 5;server/util.py (50.0%): Missing lines 5;Coverage: 50%" ] &&
	[ "$lcov" = "client/util.py (100%);server/util.py (50.0%): Missing lines 5;Coverage: 75%" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
