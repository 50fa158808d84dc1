package pipeline

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/notify"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// told is a server of channels that keeps what it is told.
type told struct {
	*httptest.Server
	mu     sync.Mutex
	bodies []string
	status int
}

func listen(t *testing.T) *told {
	t.Helper()
	l := &told{status: http.StatusOK}
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		l.mu.Lock()
		defer l.mu.Unlock()
		if r.Method != http.MethodGet {
			l.bodies = append(l.bodies, r.URL.Path+" "+string(content))
		}
		w.WriteHeader(l.status)
		_, _ = io.WriteString(w, "[]")
	}))
	t.Cleanup(l.Close)
	return l
}

const channels = `
notify:
  channels:
    - {name: ops, type: slack, environments: [sandbox]}
    - {name: quiet, type: slack, environments: [production]}
    - {name: unnamed, type: teams}
    - {name: deploys, type: webhook, environments: [sandbox], events: [deployed]}
`

func withChannels(more string) map[string]string {
	return map[string]string{"pipeline.yaml": "train:\n  requirements: [requirements/train.lock]\ntest:\n  requirements: [requirements/test.lock]\n" +
		channels + more}
}

func TestAFailureIsToldOnce(t *testing.T) {
	canary := strings.Join([]string{"services", "T01", "canary-of-slack"}, "/")
	l := listen(t)
	b, _ := backend(t, source(withChannels("")))
	opts := Options{Ref: "main", Observe: Observe{State: t.TempDir(),
		NotifySecrets: fake.Secret("NOTIFY_SECRETS", "ops="+l.URL+"/"+canary+"\ndeploys="+l.URL+"\ndeploys.key=k\n")}}
	run := Run(t.Context(), b, opts).Run
	require.Len(t, l.bodies, 1, "the others are of other environments and events")
	assert.Contains(t, l.bodies[0], run.Code)
	assert.Empty(t, untold(run))
	Run(t.Context(), b, opts)
	assert.Len(t, l.bodies, 1, "it is known to fail so")
	opts.Ref = "feature/x"
	Run(t.Context(), b, opts)
	assert.Len(t, l.bodies, 1, "only release branches are told of")
	opts.Ref = "main"
	opts.Observe.State = t.TempDir()
	l.status = http.StatusForbidden
	run = Run(t.Context(), b, opts).Run
	assert.Equal(t, []string{"NOTIFY_FAILED channel ops: HTTP 403"}, untold(run))
	content, err := run.JSON()
	require.NoError(t, err)
	assert.NotContains(t, string(content), "canary-of-slack")
	opts.Observe.State, opts.Observe.NotifySecrets = t.TempDir(), nil
	assert.Contains(t, strings.Join(untold(Run(t.Context(), b, opts).Run), ""), "NOTIFY_UNCONFIGURED channel ops")
	opts.Observe.NotifySecrets = fake.Secret("NOTIFY_SECRETS", canary)
	run = Run(t.Context(), b, opts).Run
	assert.Contains(t, strings.Join(untold(run), ""), "line 1 is not channel=secret")
	assert.NotContains(t, strings.Join(untold(run), ""), "canary")
}

func untold(run *verdict.Run) (all []string) {
	for _, w := range run.Warnings {
		if w.Code == notify.CodeFailed.Name || w.Code == notify.CodeUnconfigured.Name {
			all = append(all, w.Code+" "+w.Cause)
		}
	}
	return all
}

func TestAPullRequestGetsOneComment(t *testing.T) {
	l := listen(t)
	b, r := backend(t, source(withChannels("    - {name: pr, type: github, environments: [sandbox], repository: team/service, api: '"+l.URL+"'}\n")))
	b.Runner = r.As("engine") // without an engine, its code would run beside the token
	b.BuildImage = func(_ context.Context, _ ImageRequest) *ImageResult {
		return &ImageResult{Stage: verdict.Stage{Verdict: verdict.Pass}}
	}
	opts := Options{Ref: "refs/pull/7/merge", Event: "pull_request", Commit: strings.Repeat("a", 40),
		Observe: Observe{NotifySecrets: fake.Secret("NOTIFY_SECRETS", "pr=token-of-github")}}
	run := Run(t.Context(), b, opts).Run
	require.Len(t, l.bodies, 2, untold(run))
	assert.Contains(t, l.bodies[0], "/repos/team/service/check-runs")
	assert.Contains(t, l.bodies[1], "/repos/team/service/issues/7/comments")
	var comment struct{ Body string }
	_, body, _ := strings.Cut(l.bodies[1], " ")
	require.NoError(t, json.Unmarshal([]byte(body), &comment))
	assert.Contains(t, comment.Body, run.Code)
	assert.Contains(t, comment.Body, "<!-- openstack-rca ")
}

func TestAChannelCanBeTried(t *testing.T) {
	l := listen(t)
	b, _ := backend(t, source(withChannels("")))
	opts := Options{Ref: "main", Observe: Observe{NotifySecrets: fake.Secret("NOTIFY_SECRETS", "ops="+l.URL+"/canary-of-slack")}}
	found := Notify(t.Context(), b, opts, "ops")
	assert.Equal(t, "told: ops\n", found.Summary, found.Failure)
	assert.Contains(t, l.bodies[0], "a test of the notifications")
	assert.Contains(t, Notify(t.Context(), b, opts, "nobody").Failure, "BAD_ARGUMENT")
	l.status = http.StatusGone
	found = Notify(t.Context(), b, opts, "ops")
	assert.Contains(t, found.Failure, "FAIL preflight NOTIFY_FAILED: channel ops: HTTP 410")
	assert.NotContains(t, found.Failure, "canary")
	opts.Environment, opts.Ref, opts.Event = "staging", "refs/pull/1/merge", "pull_request"
	sent := len(l.bodies)
	assert.NotEmpty(t, Notify(t.Context(), b, opts, "ops").Failure)
	assert.Len(t, l.bodies, sent)
}

func TestNothingThatHangsCostsMoreThanFiveSeconds(t *testing.T) {
	for _, limit := range []time.Duration{recordTimeout, tellTimeout, metrics.Timeout} {
		assert.LessOrEqual(t, limit, 5*time.Second)
	}
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // then the server sees the client leave
		<-r.Context().Done()
	}))
	defer hangs.Close()
	b, _ := backend(t, source(withChannels("")))
	s := prepare(t.Context(), b, Options{Ref: "main", Observe: Observe{
		NotifySecrets: fake.Secret("NOTIFY_SECRETS", "ops="+hangs.URL+"\ndeploys="+hangs.URL+"\ndeploys.key=k\n")}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	(&observer{call: s.call}).tell(ctx, runledger.Record{Application: "a", Call: "run", Environment: "sandbox", Ref: "main", Verdict: verdict.Fail, Code: "X"})
	assert.Equal(t, []string{"NOTIFY_FAILED channel ops: no answer in time"}, untold(s.run))
}
