#!/usr/bin/env bash
# dockerfile-parse 2.0.1 (Python) beside github.com/moby/buildkit v0.26.2.
#
# A heredoc writes a file or a script within an instruction. For BuildKit its lines are text. dockerfile-parse takes each of them for an
# instruction: a page of documentation or a template of a Dockerfile that COPY <<EOF writes decides what the base image, the user, the
# variables and the labels of the image are, without a warning. A gate that allows base images by this library, or wants a user that is not
# root, judges the text of a file that the image merely has. containerbuildsystem/dockerfile-parse#145 asks for heredocs.
#
# Read the Dockerfile with BuildKit's parser, or the configuration of the image that was built.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check dockerfile-parse==2.0.1
cd "$tmp"
cat >Dockerfile <<'TEXT'
FROM example.org/unknown:latest
USER root
COPY <<EOF /templates/Dockerfile
FROM example.org/approved:1
USER app
LABEL maintained="yes"
EOF
CMD ["serve"]
TEXT
cat >main.py <<'PY'
import dockerfile_parse

parser = dockerfile_parse.DockerfileParser("Dockerfile")
user = [step["value"] for step in parser.structure if step["instruction"] == "USER"][-1]
print(f"base {parser.baseimage}, user {user}, labels {len(parser.labels)}")
PY
cat >main.go <<'GO'
package main

import (
	"fmt"
	"os"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

func main() {
	file, err := os.Open("Dockerfile")
	if err != nil {
		panic(err)
	}
	result, err := parser.Parse(file)
	if err != nil {
		panic(err)
	}
	stages, _, err := instructions.Parse(result.AST, nil)
	if err != nil {
		panic(err)
	}
	last, user, labels := stages[len(stages)-1], "", 0
	for _, command := range last.Commands {
		switch c := command.(type) {
		case *instructions.UserCommand:
			user = c.User
		case *instructions.LabelCommand:
			labels += len(c.Labels)
		}
	}
	fmt.Printf("base %s, user %s, labels %d\n", last.BaseName, user, labels)
}
GO
printf 'module example.org/program\n\ngo 1.26\n\nrequire github.com/moby/buildkit v0.26.2\n' >go.mod
go mod tidy 2>tidy || { cat tidy; exit 1; }
found="BuildKit: $(go run .)
dockerfile-parse: $(venv/bin/python main.py)"
echo "$found"
[ "$found" = "BuildKit: base example.org/unknown:latest, user root, labels 0
dockerfile-parse: base example.org/approved:1, user app, labels 1" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
