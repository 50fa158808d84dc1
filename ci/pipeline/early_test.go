package pipeline

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestNothingTrainsForAModelThatCannotBePublished: a call without an address is refused before its first step, and
// only where it would publish.
func TestNothingTrainsForAModelThatCannotBePublished(t *testing.T) {
	for name, c := range map[string]struct {
		opts    Options
		refused bool
	}{
		"to staging":              {Options{Environment: "staging", Ref: "main"}, true},
		"of another branch":       {Options{Environment: "staging", Ref: "feature/x"}, false},
		"of a pull request":       {Options{Environment: "staging", Ref: "main", Event: "pull_request"}, false},
		"of the tests":            {Options{Environment: "staging", Ref: "main", Stages: []string{verdict.Test}}, false},
		"in the sandbox":          {Options{Ref: "main"}, false},
		"in the sandbox by name":  {Options{Environment: "sandbox", Ref: "main"}, false},
		"to staging, of training": {Options{Environment: "staging", Ref: "main", Stages: []string{verdict.Train}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			b, r := backend(t, source(nil))
			lines := strings.Join(Run(t.Context(), b, c.opts).Run.Failures(), "\n")
			assert.Equal(t, c.refused, strings.Contains(lines, "PUBLISH_INPUT: MLFLOW_TRACKING_URI is not given"), lines)
			assert.Equal(t, c.refused, strings.Contains(lines, "MLFLOW_ARTIFACT_ROOT is not given"), "all at once: %s", lines)
			assert.Equal(t, c.refused, len(r.Steps()) == 0)
		})
	}
}

// TestAServerThatRefusesIsToldWhileTheTestsRun: the run goes on, because the server may answer by then.
func TestAServerThatRefusesIsToldWhileTheTestsRun(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer server.Close()
	var once sync.Once
	told := make(chan string, 1) // the refusal may come before the step begins, whose line waits for this one
	r := fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
		select {
		case line := <-told:
			assert.Contains(t, line, "publish: would fail now (AUTH)")
			assert.NotContains(t, line, "correct-horse")
		case <-time.After(10 * time.Second):
			t.Error("nothing was told")
		}
		return nil, errors.New("nothing runs here")
	})
	run := Run(t.Context(), Backend{Runner: r, Source: source(nil), WorkDir: t.TempDir()}, Options{
		Environment: "staging", Ref: "main", Stages: []string{verdict.Test, verdict.Publish},
		Target: publish.Target{TrackingURI: server.URL, ArtifactRoot: "s3://bucket/x", S3Endpoint: server.URL,
			AccessKey: fake.Secret("AWS_ACCESS_KEY_ID", "test"), SecretKey: fake.Secret("AWS_SECRET_ACCESS_KEY", "correct-horse")},
		Progress: func(line string) {
			if strings.HasPrefix(line, "publish: would") {
				once.Do(func() { told <- line })
			}
		},
	}).Run
	assert.Equal(t, "could-not-run BLOCKED", codes(run)[verdict.Publish])
}
