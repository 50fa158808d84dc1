#!/usr/bin/env bash
# github.com/compose-spec/compose-go/v2 v2.16.2.
#
# In a Compose file $$ is a literal dollar sign. Loading turns it into $, and MarshalYAML of the project writes that as it is. The file
# that comes out is valid and means something else: the next reader takes what was literal for a variable, and puts its value or nothing
# in its place, without an error. `docker compose config` doubles the signs itself, after it has called the library.
#
# Double them in the output before writing it, or load such a file with SkipInterpolation.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
cd "$tmp"
cat >compose.yaml <<'YAML'
name: example
services:
  web:
    image: example.org/web:1
    command: ["sh", "-c", "serve --root $${ROOT}"]
YAML
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	options, err := cli.NewProjectOptions(os.Args[1:2], cli.WithEnv([]string{"ROOT=/here"}))
	if err != nil {
		panic(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		panic(err)
	}
	fmt.Println(os.Args[1], "has", project.Services["web"].Command[2])
	text, err := project.MarshalYAML()
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(os.Args[2], text, 0o600); err != nil {
		panic(err)
	}
}
GO
printf 'module example.org/program\n\ngo 1.26\n\nrequire github.com/compose-spec/compose-go/v2 v2.16.2\n' >go.mod
go mod tidy 2>tidy || { cat tidy; exit 1; }
seen=$(
	go run . compose.yaml written.yaml
	go run . written.yaml again.yaml
)
echo "$seen"
[ "$seen" = 'compose.yaml has serve --root ${ROOT}
written.yaml has serve --root /here' ] || {
	echo "CHANGED: what is written reads the same"
	exit 1
}
echo "as described"
