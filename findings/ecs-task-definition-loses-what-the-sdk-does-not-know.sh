#!/usr/bin/env bash
# github.com/aws/aws-sdk-go-v2/service/ecs v1.104.1 against botocore 1.44.8.
#
# "Describe, change the image, register" is how tools deploy into an existing ECS service. The SDK drops members of the answer that
# are newer than itself, without an error. So the new revision silently loses a setting that somebody made: botocore 1.44.8 has
# trustedExecutionConfiguration in a task definition, and sharingStrategy.nvidiaMps in a container's GPU requirement; this SDK has
# neither.
#
# Compare the members of the raw answer with those that were decoded, and refuse to register if some are missing.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check botocore==1.44.8
new=$("$tmp/venv/bin/python" -c '
import botocore.session
shape = botocore.session.get_session().get_service_model("ecs").operation_model("RegisterTaskDefinition").input_shape
print("trustedExecutionConfiguration" in shape.members)')
echo "botocore 1.44.8 registers trustedExecutionConfiguration: $new"

mkdir "$tmp/program" && cd "$tmp/program"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

func main() {
	var registered string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), "RegisterTaskDefinition") {
			registered = string(body)
		}
		_, _ = io.WriteString(w, `{"taskDefinition":{"family":"web","trustedExecutionConfiguration":{"isolationMode":"x"},"containerDefinitions":[{"name":"web","image":"web:1"}]}}`)
	}))
	defer server.Close()
	client := ecs.New(ecs.Options{Region: "eu-west-1", BaseEndpoint: aws.String(server.URL), Credentials: aws.AnonymousCredentials{}})
	ctx := context.Background()
	out, err := client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("web")})
	if err != nil {
		panic(err)
	}
	have := out.TaskDefinition
	have.ContainerDefinitions[0].Image = aws.String("web:2")
	_, err = client.RegisterTaskDefinition(ctx, &ecs.RegisterTaskDefinitionInput{Family: have.Family, ContainerDefinitions: have.ContainerDefinitions})
	fmt.Println("error:", err)
	fmt.Println("registered again:", registered)
}
GO
cat >go.mod <<'MOD'
module example.org/program

go 1.26

require (
	github.com/aws/aws-sdk-go-v2 v1.47.7
	github.com/aws/aws-sdk-go-v2/service/ecs v1.104.1
)
MOD
go mod tidy 2>"$tmp/tidy" || { cat "$tmp/tidy"; exit 1; }
go run . | tee "$tmp/out"

[ "$new" = True ] && grep -q 'error: <nil>' "$tmp/out" && grep -q '"web:2"' "$tmp/out" && ! grep -q trustedExecution "$tmp/out" || {
	echo "CHANGED: the SDK keeps or refuses what it does not know, or knows this member"
	exit 1
}
echo "as described"
