#!/usr/bin/env bash
# github.com/aquasecurity/go-pep440-version v0.0.1 beside packaging 26.4.
#
# A range of an advisory is compared with what is installed. If its lower end is a pre-release, as in ">2.6.0rc1,<2.6.1", packaging finds
# 2.6.0 in it, and 2.6.0+cpu, the same release as PyTorch's own index names it, and 2.6.0.post1. go-pep440-version, which scanners written
# in Go use, finds 2.6.0 only: for ">" it leaves out every post-release and every local version whose release number is that of the
# specifier, also if the specifier names a pre-release. So a machine with the CPU build is clean and one with the other is not. A version
# that is written without its zeros, 2 for 2.0.0, is not in "~=2.0.0" or "==2.0.*" either.
#
# Strip the local version before comparing, and write ranges with ">=".
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check packaging==26.4
cd "$tmp"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"
	"strings"

	version "github.com/aquasecurity/go-pep440-version"
)

// main tells which versions are in a range.
func main() {
	specifiers, err := version.NewSpecifiers(os.Args[1], version.WithPreRelease(true))
	if err != nil {
		panic(err)
	}
	var in []string
	for _, text := range os.Args[2:] {
		parsed, err := version.Parse(text)
		if err != nil {
			panic(err)
		}
		if specifiers.Check(parsed) {
			in = append(in, text)
		}
	}
	fmt.Print(strings.Join(in, " "))
}
GO
cat >main.py <<'PY'
import sys

from packaging.specifiers import SpecifierSet

specifiers = SpecifierSet(sys.argv[1], prereleases=True)
print(" ".join(text for text in sys.argv[2:] if specifiers.contains(text)), end="")
PY
printf 'module example.org/program\n\ngo 1.26\n\nrequire github.com/aquasecurity/go-pep440-version v0.0.1\n' >go.mod
go mod tidy 2>tidy || { cat tidy; exit 1; }
go build -o program .
both() { # RANGE VERSION...: those in the range
	echo "$1: packaging $(venv/bin/python main.py "$@"); Go $(./program "$@")"
}
found=$(
	both '>2.6.0rc1,<2.6.1' 2.6.0 2.6.0+cpu 2.6.0.post1 2.6.1
	both '>=2.6.0rc2,<2.6.1' 2.6.0 2.6.0+cpu 2.6.0.post1 2.6.1
	both '~=2.0.0' 2 2.0 2.0.1
	both '==2.0.*' 2 2.0 2.0.1
)
echo "$found"
[ "$found" = ">2.6.0rc1,<2.6.1: packaging 2.6.0 2.6.0+cpu 2.6.0.post1; Go 2.6.0
>=2.6.0rc2,<2.6.1: packaging 2.6.0 2.6.0+cpu 2.6.0.post1; Go 2.6.0 2.6.0+cpu 2.6.0.post1
~=2.0.0: packaging 2 2.0 2.0.1; Go 2.0 2.0.1
==2.0.*: packaging 2 2.0 2.0.1; Go 2.0 2.0.1" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
