#!/usr/bin/env bash
# github.com/openvex/go-vex v0.2.9.
#
# A document of OpenVEX tells how what is known of a vulnerability changes: of the statements about one product, the latest counts.
# EffectiveStatement returns that one, also if the vulnerability is named by an alias. But it sorts the statements by the name of the
# vulnerability first and by their time only within a name, and takes the last that matches. So of a CVE that an older statement names by
# its GHSA, the older statement wins, because G comes after C: a package that was taken for not_affected in January, and is known to be
# affected since March, is not_affected. With the two names swapped, or one name in both, it is affected. Nothing is said.
#
# Compare the times of all statements that match, as Matches returns them.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"strings"

	"github.com/openvex/go-vex/pkg/vex"
)

const document = `{"@context": "https://openvex.dev/ns/v0.2.0", "@id": "https://example.org/vex", "author": "a", "version": 2,
"timestamp": "2026-03-01T00:00:00Z", "statements": [
{"vulnerability": {"name": "OLDER", "aliases": ["NEWER"]}, "timestamp": "2026-01-01T00:00:00Z",
 "products": [{"@id": "pkg:pypi/web@1.0"}], "status": "not_affected", "justification": "vulnerable_code_not_present"},
{"vulnerability": {"name": "NEWER", "aliases": ["OLDER"]}, "timestamp": "2026-03-01T00:00:00Z",
 "products": [{"@id": "pkg:pypi/web@1.0"}], "status": "affected", "action_statement": "Update to 1.1."}]}`

func main() {
	const cve, ghsa = "CVE-2026-1000", "GHSA-2222-3333-4444"
	for _, names := range [][2]string{{ghsa, cve}, {cve, ghsa}, {cve, cve}} {
		text := strings.NewReplacer("OLDER", names[0], "NEWER", names[1]).Replace(document)
		read, err := vex.Parse([]byte(text))
		if err != nil {
			panic(err)
		}
		for _, statement := range read.Statements {
			if err := statement.Validate(); err != nil {
				panic(err)
			}
		}
		counts := read.EffectiveStatement("pkg:pypi/web@1.0", cve)
		fmt.Printf("January %s, March %s: %s, of %s\n", strings.Split(names[0], "-")[0], strings.Split(names[1], "-")[0], counts.Status, counts.Timestamp.Format("January"))
	}
}
GO
printf 'module example.org/program\n\ngo 1.26\n\nrequire github.com/openvex/go-vex v0.2.9\n' >go.mod
go mod tidy 2>tidy || { cat tidy; exit 1; }
seen=$(go run .)
echo "$seen"
[ "$seen" = "January GHSA, March CVE: not_affected, of January
January CVE, March GHSA: affected, of March
January CVE, March CVE: affected, of March" ] || {
	echo "CHANGED: the latest statement counts, whatever its name"
	exit 1
}
echo "as described"
