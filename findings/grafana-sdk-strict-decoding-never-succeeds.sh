#!/usr/bin/env bash
# github.com/grafana/grafana-foundation-sdk/go v0.0.22.
#
# Every type of the SDK has UnmarshalJSONStrict, which refuses unknown and missing fields. It collects what it finds in a
# cog.BuildErrors, a slice, and returns that slice as an error. With nothing found the slice is nil, but the error that holds it is
# not: `err != nil` is true for every dashboard, also for one that the SDK itself has just built, and the error's text is empty.
#
# So a check written as usual fails always; and one that was made to pass by ignoring the error accepts everything. Compare the
# length of the slice, as errors.As gives it, instead of the error.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat >main.go <<'EOF'
package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

func main() {
	built, err := dashboard.NewDashboardBuilder("A dashboard").Uid("a").Build()
	if err != nil {
		panic(err)
	}
	content, err := json.Marshal(built)
	if err != nil {
		panic(err)
	}
	for _, text := range []string{string(content), `{"nobody": "knows this"}`} {
		var read dashboard.Dashboard
		err = read.UnmarshalJSONStrict([]byte(text))
		fmt.Printf("error: %t, its text: %t, what it holds: %d\n", err != nil, err != nil && err.Error() != "", held(err))
	}
}

func held(err error) int {
	var found cog.BuildErrors
	errors.As(err, &found)
	return len(found)
}
EOF
printf 'module example.org/program\n\ngo 1.26\n' >go.mod
go get github.com/grafana/grafana-foundation-sdk/go@v0.0.22 2>/dev/null
seen=$(go run .)
echo "$seen"
[ "$(sed -n 1p <<<"$seen")" = "error: true, its text: false, what it holds: 0" ] && [ "$(sed -n 2p <<<"$seen" | cut -d, -f1)" = "error: true" ] || {
	echo "CHANGED: strict decoding succeeds now"
	exit 1
}
echo "as described"
