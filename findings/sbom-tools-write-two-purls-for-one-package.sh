#!/usr/bin/env bash
# uv 0.13.9 beside cyclonedx-bom 7.5.0, and github.com/openvex/go-vex v0.2.9 with github.com/package-url/packageurl-go v0.1.7.
#
# PyPI takes ruamel.yaml and ruamel-yaml for one name. The specification of package URLs lowers the case and replaces "_", and leaves the
# dot (package-url/purl-spec#262 would change that). uv writes the normalized name into its lock and its SBOM, cyclonedx-py the name that
# the installed package gives itself. So two SBOMs of one environment have pkg:pypi/ruamel-yaml and pkg:pypi/ruamel.yaml, and cyclonedx-py
# itself writes the other one if it reads requirements that uv exported. go-vex compares package URLs as texts: a statement of OpenVEX made
# from the one SBOM does not apply to the other, and a comparison of the two finds a package added and one removed.
#
# Normalize the names of pkg:pypi as PyPI does before comparing.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check uv==0.13.9 cyclonedx-bom==7.5.0
mkdir "$tmp/project"
cd "$tmp/project"
PATH=$tmp/venv/bin:$PATH
cat >pyproject.toml <<'TOML'
[project]
name = "example"
version = "1"
requires-python = ">=3.11"
dependencies = ["ruamel.yaml==0.18.6", "Flask_Cors==6.0.1"]
TOML
uv lock --quiet --python "$tmp/venv/bin/python"
uv export --quiet --frozen --no-emit-project --no-hashes --no-header >requirements.txt
python3 -m venv "$tmp/environment"
"$tmp/environment/bin/pip" install --quiet --disable-pip-version-check -r requirements.txt
urls() { grep -o 'pkg:pypi/\(ruamel.yaml\|flask.cors\)@[^"]*' | sort -u | paste -sd ' '; }
by_uv=$(uv export --quiet --preview --frozen --format cyclonedx1.5 | urls)
by_file=$(cyclonedx-py requirements requirements.txt 2>/dev/null | urls)
by_environment=$(cyclonedx-py environment "$tmp/environment" 2>/dev/null | urls)
mkdir "$tmp/program"
cd "$tmp/program"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/openvex/go-vex/pkg/vex"
	"github.com/package-url/packageurl-go"
)

// main tells whether the second package URL is that of a statement about the first, and both as they are normalized.
func main() {
	for _, text := range os.Args[1:] {
		url, err := packageurl.FromString(text)
		if err != nil {
			panic(err)
		}
		fmt.Print(url.ToString(), " ")
	}
	fmt.Println(vex.PurlMatches(os.Args[1], os.Args[2]))
}
GO
cat >go.mod <<'MOD'
module example.org/program

go 1.26

require (
	github.com/openvex/go-vex v0.2.9
	github.com/package-url/packageurl-go v0.1.7
)
MOD
go mod tidy 2>tidy || { cat tidy; exit 1; }
found="uv: $by_uv
cyclonedx-py requirements: $by_file
cyclonedx-py environment: $by_environment
go-vex: $(go run . "${by_uv##* }" "${by_environment##* }")"
echo "$found"
[ "$found" = "uv: pkg:pypi/flask-cors@6.0.1 pkg:pypi/ruamel-yaml@0.18.6
cyclonedx-py requirements: pkg:pypi/flask-cors@6.0.1 pkg:pypi/ruamel-yaml@0.18.6
cyclonedx-py environment: pkg:pypi/flask-cors@6.0.1 pkg:pypi/ruamel.yaml@0.18.6
go-vex: pkg:pypi/ruamel-yaml@0.18.6 pkg:pypi/ruamel.yaml@0.18.6 false" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
