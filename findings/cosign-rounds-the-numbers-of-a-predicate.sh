#!/usr/bin/env bash
# github.com/sigstore/cosign/v3 v3.1.3 with github.com/in-toto/attestation v1.2.0.
#
# `cosign attest --predicate FILE` does not sign the content of FILE. It converts the predicate into a google.protobuf.Struct, whose
# numbers are all float64, and signs what that is written as. Integers above 2^53, such as a time in nanoseconds, become different
# numbers, without a warning. A policy that compares the signed value with the original refuses it.
#
# Write such numbers as strings.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat >main.go <<'GO'
package main

import (
	"fmt"
	"strings"

	"github.com/sigstore/cosign/v3/pkg/cosign/attestation"
)

// main makes the statement as the commands attest and attest-blob do.
func main() {
	statement, err := attestation.GenerateStatement(attestation.GenerateOpts{
		Predicate: strings.NewReader(`{"run": 9007199254740993, "started": 1764499200123456789, "name": "9007199254740993"}`),
		Type:      "https://example.org/run/v1",
		Digest:    strings.Repeat("0", 64),
		Repo:      "example.org/web",
	})
	if err != nil {
		panic(err)
	}
	text, err := statement.Predicate.MarshalJSON()
	if err != nil {
		panic(err)
	}
	fmt.Println(strings.ReplaceAll(string(text), " ", ""))
}
GO
cat >go.mod <<'MOD'
module example.org/program

go 1.26

require (
	github.com/in-toto/attestation v1.2.0
	github.com/sigstore/cosign/v3 v3.1.3
)
MOD
go mod tidy 2>tidy || { cat tidy; exit 1; }
seen=$(go run .)
echo "signed: $seen"
[ "$seen" = '{"name":"9007199254740993","run":9007199254740992,"started":1764499200123456800}' ] || {
	echo "CHANGED: numbers are kept, or refused"
	exit 1
}
echo "as described"
