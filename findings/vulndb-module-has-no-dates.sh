#!/usr/bin/env bash
# golang.org/x/vulndb v0.0.0-20261105234957-e22db6528018 with golang.org/x/vuln v1.9.0.
#
# The Go vulnerability database is also served as a Go module, and its own indexdb turns the module's OSV files into a database
# that govulncheck accepts. Such a database has no date: every file in the module carries the zero time as "modified" (the real one
# is filled in from git history, which a module does not have). indexdb does not refuse that, and writes it into index/db.json;
# govulncheck does not refuse it either, and reports db_last_modified 0001-01-01.
#
# So an age check on what govulncheck reports treats fresh data as two thousand years old, or, where zero means "unknown", passes
# data of any age. Take the age from the pseudo-version of the module.
set -euo pipefail
database=golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018
scanner=golang.org/x/vuln/cmd/govulncheck@v1.9.0
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

GOBIN=$tmp/bin go install "golang.org/x/vulndb/cmd/indexdb@${database#*@}"
GOBIN=$tmp/bin go install "$scanner"
source=$(cd "$tmp" && go mod download -json "$database" | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')/data/osv

files=$(find "$source" -name 'GO-*.json' | wc -l)
undated=$(grep -l '"modified": *"0001-01-01T00:00:00Z"' "$source"/GO-*.json | wc -l)
echo "OSV files in the module: $files, without a date: $undated"

mkdir "$tmp/osv" "$tmp/program"
cp "$source/GO-2021-0113.json" "$tmp/osv/"
"$tmp/bin/indexdb" -out "$tmp/db" -vulns "$tmp/osv"
echo "index/db.json: $(cat "$tmp/db/index/db.json")"

cd "$tmp/program"
printf 'module example.org/program\n\ngo 1.26\n' >go.mod
printf 'package main\n\nfunc main() {}\n' >main.go
seen=$("$tmp/bin/govulncheck" -db "file://$tmp/db" -format json ./... | sed -n 's/.*"db_last_modified": "\(.*\)",/\1/p')
echo "govulncheck reports db_last_modified: $seen"

[ "$files" -gt 1000 ] && [ "$files" = "$undated" ] && [ "$seen" = 0001-01-01T00:00:00Z ] || {
	echo "CHANGED: the database carries dates now"
	exit 1
}
echo "as described"
