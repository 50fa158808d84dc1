#!/usr/bin/env bash
# uv 0.13.9 with pip 23.2.1 (which Python 3.11.5 to 3.11.7 install) and pip 23.3.2.
#
# pytest-cov 7.1.0 requires coverage[toml]. The lock that `uv pip compile --generate-hashes` makes of it pins every package by version and
# hash, and names coverage without the extra. pip 23.2.1 refuses that lock in its mode for hashes: it takes coverage[toml] for a second
# requirement, which is not pinned, and looks for the newest coverage. pip 23.3.2 installs the same file. With --no-deps, which is enough for
# a lock that is whole, 23.2.1 does too. A lock that passed in a new image is refused by the pip that comes with the interpreter of an older one.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
python3 -m venv "$tmp/uv"
"$tmp/uv/bin/pip" install --quiet uv==0.13.9
printf '%s\n' pytest-cov==7.1.0 pytest==9.0.2 coverage==7.13.0 >"$tmp/in.txt"
"$tmp/uv/bin/uv" pip compile --quiet --generate-hashes --no-header --no-annotate --no-emit-index-url --python "$tmp/uv/bin/python" \
	"$tmp/in.txt" -o "$tmp/lock.txt"
grep '^coverage' "$tmp/lock.txt"
install() { # VERSION-OF-PIP ARGUMENT...
	local version=$1
	shift
	python3 -m venv --clear "$tmp/venv"
	"$tmp/venv/bin/pip" install --quiet "pip==$version"
	if "$tmp/venv/bin/pip" install --quiet --require-hashes "$@" -r "$tmp/lock.txt" >"$tmp/said" 2>&1; then
		"$tmp/venv/bin/python" -c 'import pytest_cov; print("installed")'
	else
		echo "refuses $(grep -o 'coverage\[toml\][^ ]*' "$tmp/said" | head -n 1)"
	fi
}
old=$(install 23.2.1)
whole=$(install 23.2.1 --no-deps)
new=$(install 23.3.2)
echo "pip 23.2.1: $old; with --no-deps: $whole; pip 23.3.2: $new"
[ "$old" = 'refuses coverage[toml]>=7.10.6' ] && [ "$whole" = installed ] && [ "$new" = installed ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
