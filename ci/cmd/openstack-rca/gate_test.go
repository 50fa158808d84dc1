package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// reach is how far a command may go for a ref that is no release branch.
type reach int

const (
	// nowhere: it asks no server, or only whether one accepts connections.
	nowhere reach = iota
	// reads: a branch may read with its credentials, a pull request may not.
	reads
	// changes: neither may.
	changes
)

// commands are all commands, what each may do, and the arguments it needs to do it.
var commands = map[string]struct {
	reach reach
	args  []string
}{
	"run": {changes, nil}, "pipeline": {changes, nil}, "publish": {changes, nil}, "promote": {changes, nil}, "rollback-model": {changes,
		nil},
	"clean-claims": {changes, nil},
	"deploy":       {changes, []string{"--image", image}}, "rollback": {changes, nil}, "approve": {changes, nil}, "reject": {changes,
		nil}, "wait": {changes, nil},
	"prune": {changes, []string{"--keep", "1"}}, "destroy": {changes, []string{"--confirm", "openstack-rca-service-staging"}},
	"runs": {reads, nil}, "dora": {reads, nil}, "metrics": {reads, nil}, "notify": {nowhere, nil}, "observability": {nowhere,
		[]string{"--out", "/dev/null/x"}},
	"train": {reads, nil}, "image": {reads, nil}, "models": {reads, nil}, "status": {reads, nil}, "plan": {reads, []string{"--image",
		image}}, "doctor": {reads, nil},
	"import": {reads, []string{"--cluster", "shop", "--service", "web", "--output", "-"}},
	"init":   {nowhere, []string{"--check"}}, "man": {nowhere, []string{"--out", "/dev/null/x"}},
	"test": {nowhere, nil}, "audit": {nowhere, nil}, "attest": {nowhere, []string{"--image", image}},
	"advisories": {nowhere, []string{"--out", "/dev/null/x"}},
	"scan":       {reads, []string{"--image", image}},
	"join":       {changes, []string{"--image", image, "--from", "testdata/join"}},
	"verify":     {reads, []string{"--image", image, "--verify-key", "none.pem"}},
}

var image = "111122223333.dkr.ecr.ap-south-1.amazonaws.com/rca@sha256:" + strings.Repeat("a", 64)

// TestEveryCommandPassesTheGate runs every command with credentials, against servers that
// refuse everything, for refs that have no right to it.
func TestEveryCommandPassesTheGate(t *testing.T) {
	var asked, written, recorded atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The clock check of doctor needs no permit: it reads the date of an answer, without credentials.
		if clock := r.Method == http.MethodHead && r.URL.Path == "/" && r.Header.Get("Authorization") == ""; !clock {
			asked.Add(1)
		}
		// AWS reads by POST as well: there, every request counts as a change but those to read.
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		action := r.Header.Get("X-Amz-Target")
		read := r.Method == http.MethodGet || r.Method == http.MethodHead || strings.Contains(action,
			".Describe") || strings.Contains(action, ".List") || strings.HasSuffix(action, ".GetAuthorizationToken") ||
			strings.Contains(string(body), "Action=GetCallerIdentity") || strings.Contains(r.URL.Path, "/search")
		switch {
		case strings.Contains(r.URL.Path, ".runs/"):
			// The record of the run itself: a release branch writes it, whatever came of the run.
			recorded.Add(1)
		case !read:
			written.Add(1)
		}
		w.WriteHeader(http.StatusForbidden)
	}))
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"MLFLOW_TRACKING_URI": server.URL, "MLFLOW_TRACKING_TOKEN": "a-token-of-mlflow", "MLFLOW_ARTIFACT_ROOT": "s3://bucket/x",
		"MLFLOW_S3_ENDPOINT_URL": server.URL,
		"AWS_ACCESS_KEY_ID":      "test-access-key", "AWS_SECRET_ACCESS_KEY": "test-secret-key", "AWS_ENDPOINT_URL": server.URL,
		"AWS_SESSION_TOKEN": "", "AWS_PROFILE": "", "AWS_WEB_IDENTITY_TOKEN": "",
	} {
		t.Setenv(name, value)
	}
	source, cache := settled(t), t.TempDir()
	root := newCommand(nil, nil)
	var names []string
	for _, command := range root.Commands() {
		if command.Name() == "help" || command.Name() == "completion" {
			continue
		}
		names = append(names, command.Name())
		require.Contains(t, commands, command.Name(), "say in the table what this command may do")
		assert.Equal(t, cobra.NoArgs(command, []string{"x"}) != nil, command.Args(command, []string{"x"}) != nil)
	}
	require.Len(t, names, len(commands), "the table has no command that is gone")
	slices.Sort(names)
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			c := commands[name]
			run := func(as ...string) said {
				asked.Store(0)
				written.Store(0)
				recorded.Store(0)
				return callIn(t, cache, slices.Concat([]string{name, "--source", source, "--environment", "staging"}, c.args, as)...)
			}
			for _, untrusted := range [][]string{{"--ref", "refs/pull/7/merge"}, {"--ref", "main", "--event", "pull_request"}, {"--ref",
				"main", "--event", "workflow_run"}, {}} {
				got := run(untrusted...)
				if len(untrusted) == 0 && (name == "deploy" || name == "plan") {
					assert.NotContains(t, got.stdout+got.stderr, "REF_MISSING", "these servers are on this machine")
					continue
				}
				assert.Zero(t, asked.Load(), "%v: %s", untrusted, got.stdout)
				if c.reach == changes {
					assert.NotContains(t, got.stdout, "published", "%v", untrusted)
				}
			}
			got := run("--ref", "feature/x", "--event", "push")
			assert.Zero(t, written.Load(), got.stdout)
			if c.reach != reads {
				assert.Zero(t, recorded.Load(), got.stdout)
			}
			if c.reach == changes {
				assert.Contains(t, got.stdout, "is not a release branch")
			}
			got = run("--ref", "main", "--event", "push")
			if c.reach == changes && name != "run" && name != "pipeline" && name != "publish" {
				assert.NotZero(t, asked.Load(), "what this test looks for would not be seen: %s", got.stdout)
			} else {
				assert.Zero(t, written.Load(), "nothing has passed: %s", got.stdout)
			}
		})
	}
}
