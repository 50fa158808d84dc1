package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestTheRolloutsCommandsSayWhatIsMissing(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_WEB_IDENTITY_TOKEN"} {
		t.Setenv(name, "")
	}
	source := project(t)
	for _, command := range []string{"status", "rollback", "approve", "reject", "wait", "prune", "destroy"} {
		got := call(t, command, "--source", source, "--environment", "staging", "--ref", "main")
		assert.Equal(t, 1, got.exit, command)
		assert.Contains(t, got.stdout, "CREDENTIALS_INVALID", command)
		got = call(t, command, "--source", source)
		assert.Contains(t, got.stdout, "NO_SANDBOX", command)
	}
	got := call(t, "deploy", "--source", source, "--environment", "staging", "--ref", "main", "--image",
		"repo@sha256:"+strings.Repeat("a", 64), "--in-flight", "dance")
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stdout, "BAD_ARGUMENT")
	t.Setenv("AWS_WEB_IDENTITY_TOKEN", "header.payload.signature")
	got = call(t, "status", "--source", source, "--environment", "staging", "--ref", "main")
	assert.Contains(t, got.stdout, "a web identity token needs a role")
	got = call(t, "deploy", "--source", source, "--image", "repo@sha256:"+strings.Repeat("a", 64))
	assert.Equal(t, 0, got.exit, "in the sandbox it is planned")
	got = call(t, "plan", "--source", source, "--detailed-exitcode")
	assert.Equal(t, 1, got.exit, "what was not compared is not called unchanged")
	assert.Contains(t, got.stderr, "not compared")
}
