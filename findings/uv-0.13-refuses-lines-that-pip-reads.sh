#!/usr/bin/env bash
# uv 0.13.9 beside pip 26.3.
#
# pip's format of requirements files takes an option with its value in one word (-rbase.txt, usual in tox.ini after a substitution) and a
# backslash at the end of any line. `uv pip` takes a backslash before --hash, as locks have it, but not within a requirement, and no option
# in one word. It refuses both files with a parse error, so a project that installs with one tool does not with the other.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check pip==26.3 uv==0.13.9
cd "$tmp"
echo 'six==1.17.0' >base.txt
echo '-r base.txt' >plain.txt
echo '-rbase.txt' >oneword.txt
printf 'six \\\n  ==1.17.0\n' >continued.txt

try() { # FILE: whether each tool would install it
	local pip=reads uv=reads
	venv/bin/pip install --quiet --disable-pip-version-check --dry-run -r "$1" >pip.log 2>&1 || pip=refuses
	venv/bin/uv pip install --quiet --dry-run --python venv -r "$1" >uv.log 2>&1 || uv=refuses
	echo "$1: pip $pip, uv $uv"
}
found=$(for file in plain.txt oneword.txt continued.txt; do try $file; done)
echo "$found"
[ "$found" = "plain.txt: pip reads, uv reads
oneword.txt: pip reads, uv refuses
continued.txt: pip reads, uv refuses" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
