package notify

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func run(outcome verdict.Outcome, code string) runledger.Record {
	return runledger.Record{Schema: 1, ID: "0000000000000001", Call: "run", Application: "shop", Environment: "production", Ref: "main",
		Commit: strings.Repeat("a", 40), Started: time.Date(2026, 3, 10, 12, 0, 0, 0,
			time.UTC), Seconds: 62, Budget: 900, Verdict: outcome, Code: code,
		Stages: []runledger.Stage{{Name: "test", Verdict: outcome, Code: code, Seconds: 12}},
		Measures: []verdict.Measure{{Name: verdict.MeasureCoverage, Of: "total", Value: 0.9}, {Name: verdict.MeasureModel, Of: "accuracy",
			Value: 0.91}}}
}

func TestEvents(t *testing.T) {
	failed, passed, lost := run(verdict.Fail, "TESTS_FAILED"), run(verdict.Pass, ""), run(verdict.CouldNotRun, "PYPI_UNREACHABLE")
	assert.Equal(t, []string{config.EventFailed}, Events(failed, nil, 1))
	assert.Equal(t, []string{config.EventCouldNotRun}, Events(lost, nil, 1))
	assert.Empty(t, Events(passed, nil, 1), "nobody knows of an earlier failure")
	for _, before := range []runledger.Record{failed, lost} {
		assert.Equal(t, []string{config.EventRecovered}, Events(passed, &before, 1))
	}
	warned := passed
	warned.Warnings = []string{"OVER_BUDGET", "MODEL_DEGRADED", "OTHER"}
	assert.Equal(t, []string{config.EventOverBudget, config.EventModelDegraded}, Events(warned, &passed, 1))
	for value, want := range map[float64][]string{0.89: nil, 0.8899: {config.EventCoverageDropped}} {
		less := passed
		less.Measures = []verdict.Measure{{Name: verdict.MeasureCoverage, Of: "total", Value: value}}
		assert.Equal(t, want, Events(less, &passed, 1), value)
	}
	for outcome, want := range map[string]string{verdict.DeploymentSucceeded: config.EventDeployed,
		verdict.DeploymentRolledBack: config.EventRolledBack,
		verdict.DeploymentFailed:     config.EventRolledBack} {
		deployed := passed
		deployed.Deployment = &verdict.Deployment{ID: "d", Outcome: outcome}
		assert.Equal(t, []string{want}, Events(deployed, &passed, 1))
	}
}

func TestOnlyWhatIsNewIsNews(t *testing.T) {
	failed, other, passed := run(verdict.Fail, "TESTS_FAILED"), run(verdict.Fail, "COVERAGE_BELOW"), run(verdict.Pass, "")
	assert.NotEmpty(t, News(failed, nil, 1))
	assert.Empty(t, News(failed, &failed, 1), "it still fails with the same code")
	assert.Equal(t, []string{config.EventFailed}, News(other, &failed, 1))
	assert.Equal(t, []string{config.EventRecovered}, News(passed, &failed, 1))
	assert.Empty(t, News(passed, &passed, 1))
	slow := passed
	slow.Warnings = []string{"OVER_BUDGET"}
	assert.Equal(t, []string{config.EventOverBudget}, News(slow, &passed, 1))
	assert.Empty(t, News(slow, &slow, 1))
	waits := passed
	waits.Deployment = &verdict.Deployment{ID: "d1", Service: "web", Outcome: verdict.DeploymentOpen, Waits: "POST_TEST_TRAFFIC_SHIFT"}
	assert.Equal(t, []string{config.EventAwaitingApproval}, News(waits, &passed, 1))
	assert.Empty(t, News(waits, &waits, 1))
	again := waits
	again.Deployment = &verdict.Deployment{ID: "d2", Outcome: verdict.DeploymentOpen, Waits: "x"}
	assert.NotEmpty(t, News(again, &waits, 1), "another deployment waits")
}

func message(t *testing.T) Message {
	t.Helper()
	r := run(verdict.Fail, "TESTS_FAILED")
	base := run(verdict.Pass, "")
	base.Measures[0].Value = 0.92
	m := Compose(r, []string{config.EventFailed},
		[]string{"FAIL test TESTS_FAILED: <!channel> *x* ```code``` [a](http://x). Published: nothing. Next: x."}, []runledger.Record{base})
	m.Pull, m.Notes = "7", []Note{{"tests/test_a.py", 12, "boom", true}}
	return m
}

func TestCompose(t *testing.T) {
	m := message(t)
	assert.Equal(t, "shop: run of main in production failed", m.Title)
	assert.Contains(t, m.Facts, [2]string{"coverage, total", "90.00 % (-2.00 points to main)"})
	assert.True(t, m.Bad)
	waits := run(verdict.CouldNotRun, "AWAITING_APPROVAL")
	waits.Deployment = &verdict.Deployment{ID: "d1", Service: "web", Outcome: verdict.DeploymentOpen, Waits: "POST_TEST_TRAFFIC_SHIFT"}
	m = Compose(waits, []string{config.EventAwaitingApproval}, nil, nil)
	assert.Equal(t, []string{"openstack-rca approve --environment production --ref main",
		"openstack-rca reject --environment production --ref main"},
		m.Commands)
	assert.False(t, m.Good || m.Bad)
	assert.Equal(t, "WAITS: ", m.sign())
	assert.Equal(t, "NOTE: ", (&Message{}).sign())
	assert.Equal(t, "NOTE: ", Compose(run(verdict.Pass, ""), []string{config.EventCoverageDropped}, nil, nil).sign())
	assert.Equal(t, "OK: ", Compose(run(verdict.Pass, ""), []string{config.EventRecovered}, nil, nil).sign())
	assert.Len(t, Compose(run(verdict.Fail, "X"), nil, strings.Split(strings.Repeat("line\n", 20), "\n"), nil).Lines, maxLines+1)
}

// recorder is a server that keeps what it gets; answers are the statuses of its answers, the last one for all further.
type recorder struct {
	*httptest.Server
	mu       sync.Mutex
	requests []*http.Request
	bodies   []string
	answers  []int
	reply    func(r *http.Request) string
}

func record(t *testing.T, answers ...int) *recorder {
	t.Helper()
	rec := &recorder{answers: answers}
	rec.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.requests, rec.bodies = append(rec.requests, r), append(rec.bodies, string(content))
		w.Header().Set("Retry-After", "0")
		w.Header().Set("Location", rec.URL+"/elsewhere")
		if n := len(rec.answers); n > 0 {
			w.WriteHeader(rec.answers[min(len(rec.requests), n)-1])
		}
		if rec.reply != nil {
			_, _ = io.WriteString(w, rec.reply(r))
		}
	}))
	t.Cleanup(rec.Close)
	return rec
}

func TestSlackAndTeamsShowTextAsItIs(t *testing.T) {
	for _, kind := range []string{config.ChannelSlack, config.ChannelTeams} {
		rec := record(t)
		require.NoError(t, Send(t.Context(), config.Channel{Name: "ops", Type: kind}, Via{Secrets: Secrets{"ops": rec.URL + "/x"}, Local: true}, message(t)))
		require.Len(t, rec.bodies, 1)
		var body map[string]any
		require.NoError(t, json.Unmarshal([]byte(rec.bodies[0]), &body))
		assert.Equal(t, "application/json", rec.requests[0].Header.Get("Content-Type"))
		switch kind {
		case config.ChannelSlack:
			assert.NotContains(t, fmt.Sprint(body), "<!channel>", "nobody is called")
			assert.Contains(t, fmt.Sprint(body), "&lt;!channel&gt;")
			assert.NotContains(t, fmt.Sprint(body), "```code```", "the text does not leave its frame")
			assert.Equal(t, "header", body["blocks"].([]any)[0].(map[string]any)["type"])
		default:
			card := body["attachments"].([]any)[0].(map[string]any)
			assert.Equal(t, "application/vnd.microsoft.card.adaptive", card["contentType"])
			assert.Equal(t, "AdaptiveCard", card["content"].(map[string]any)["type"])
			assert.NotContains(t, rec.bodies[0], `"TextBlock"`, "a TextBlock would render Markdown")
			assert.Contains(t, rec.bodies[0], `"FactSet"`)
			require.NoError(t, Send(t.Context(), config.Channel{Name: "ops", Type: kind}, Via{Secrets: Secrets{"ops": rec.URL}, Local: true}, Message{Title: "x"}))
			assert.NotContains(t, rec.bodies[1], "null", "a card without facts is valid, too")
		}
	}
}

func TestTheWebhookIsSigned(t *testing.T) {
	rec := record(t)
	c := config.Channel{Name: "hook", Type: config.ChannelWebhook}
	require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"hook": rec.URL, "hook.key": "k"}, Local: true}, message(t)))
	mac := hmac.New(sha256.New, []byte("k"))
	mac.Write([]byte(rec.bodies[0]))
	assert.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), rec.requests[0].Header.Get("X-Signature-256"))
	var event struct {
		Specversion, ID, Source, Type string
		Data                          struct{ Run runledger.Record }
	}
	require.NoError(t, json.Unmarshal([]byte(rec.bodies[0]), &event))
	assert.Equal(t, "1.0 openstack-rca/shop/production openstack-rca.run.fail", event.Specversion+" "+event.Source+" "+event.Type)
	assert.Equal(t, "TESTS_FAILED", event.Data.Run.Code)
	var missing *Unconfigured
	assert.ErrorAs(t, Send(t.Context(), c, Via{Secrets: Secrets{"hook": rec.URL}, Local: true}, message(t)), &missing)
	assert.ErrorAs(t, Send(t.Context(), c, Via{Secrets: nil, Local: true}, message(t)), &missing)
}

func TestGitHubGetsACheckAndOneComment(t *testing.T) {
	rec := record(t)
	var comments []comment
	rec.reply = func(r *http.Request) string {
		switch {
		case r.Method == http.MethodGet && r.URL.Query().Get("page") == "1":
			content, _ := json.Marshal(comments)
			return string(content)
		case r.Method == http.MethodGet:
			return `[{"id":42,"body":"old <!-- openstack-rca shop production -->"}]`
		}
		return "{}"
	}
	c := config.Channel{Name: "pr", Type: config.ChannelGitHub, Repository: "team/service", API: rec.URL}
	require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"pr": "token"}, Local: true}, message(t)))
	paths := func() (all []string) {
		for _, r := range rec.requests {
			all = append(all, r.Method+" "+r.URL.Path)
		}
		rec.requests = nil
		return all
	}
	check := rec.bodies[0]
	assert.Equal(t, "Bearer token", rec.requests[0].Header.Get("Authorization"))
	assert.Equal(t, []string{"POST /repos/team/service/check-runs", "GET /repos/team/service/issues/7/comments",
		"POST /repos/team/service/issues/7/comments"}, paths())
	assert.Contains(t, check, `"conclusion":"failure"`)
	assert.Contains(t, check, `"path":"tests/test_a.py"`)
	// Behind a hundred others, our own is found and updated.
	for n := range 100 {
		comments = append(comments, comment{ID: int64(n), Body: "hello"})
	}
	require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"pr": "token"}, Local: true}, message(t)))
	assert.Contains(t, paths(), "PATCH /repos/team/service/issues/comments/42")
	assert.NotContains(t, rec.bodies[len(rec.bodies)-1], "old")
	assert.Contains(t, rec.bodies[len(rec.bodies)-1], "-2.00 points to main")
	plain := message(t)
	plain.Pull = ""
	require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"pr": "token"}, Local: true}, plain))
	assert.Equal(t, []string{"POST /repos/team/service/check-runs"}, paths())
}

func TestGitLabGetsOneNote(t *testing.T) {
	rec := record(t)
	rec.reply = func(*http.Request) string { return `[{"id":5,"body":"<!-- openstack-rca shop production -->"}]` }
	c := config.Channel{Name: "mr", Type: config.ChannelGitLab, Repository: "team/sub/service", API: rec.URL + "/api/v4"}
	require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"mr": "token"}, Local: true}, message(t)))
	assert.Equal(t, "/api/v4/projects/team%2Fsub%2Fservice/merge_requests/7/notes/5", rec.requests[1].URL.EscapedPath())
	assert.Equal(t, http.MethodPut, rec.requests[1].Method)
	assert.Equal(t, "token", rec.requests[1].Header.Get("PRIVATE-TOKEN"))
	rec.reply = func(*http.Request) string { return "no json" }
	assert.ErrorContains(t, Send(t.Context(), c, Via{Secrets: Secrets{"mr": "token"}, Local: true}, message(t)), "no JSON")
}

// TestNoErrorHasTheAddress sends to everything that cannot work.
func TestNoErrorHasTheAddress(t *testing.T) {
	canary := strings.Join([]string{"T0000", "B0000", "canary-of-the-address"}, "/")
	moved, broken := record(t, http.StatusFound), record(t, http.StatusNotFound)
	for to, want := range map[string]string{
		moved.URL + "/" + canary:                          "redirects are not followed",
		broken.URL + "/" + canary:                         "HTTP 404",
		"http://127.0.0.1:1/" + canary:                    "connection refused",
		"https://name.invalid/" + canary:                  "not known",
		"https://169.254.169.254/" + canary:               "metadata",
		"https://[fd00:ec2::254]/" + canary:               "metadata",
		"https://[::ffff:169.254.169.254]/" + canary:      "metadata",
		"https://0.0.0.0/" + canary:                       "metadata",
		"https://user:" + canary + "@example.org/":        "no address",
		"ftp://example.org/" + canary:                     "https",
		"::" + canary:                                     "no address",
		"https://team.webhook.office.com/" + canary:       "2026-03-31",
		"https://outlook.office.com/webhook/" + canary:    "2026-03-31",
		"https://outlook.office365.com/webhook/" + canary: "2026-03-31",
	} {
		c := config.Channel{Name: "team", Type: config.ChannelTeams}
		err := Send(t.Context(), c, Via{Secrets: Secrets{"team": to}, Local: true}, message(t))
		require.Error(t, err, to)
		if !strings.HasPrefix(to, "https://user:") {
			assert.Contains(t, err.Error(), want, to)
		}
		assert.NotContains(t, err.Error(), "canary", to)
	}
	assert.Len(t, moved.requests, 1, "nothing goes elsewhere")
	for _, to := range []string{"http://example.org/x", "https://127.0.0.1/x", "https://[::1]/x", moved.URL} {
		require.Error(t, Send(t.Context(), config.Channel{Name: "a", Type: config.ChannelSlack}, Via{Secrets: Secrets{"a": to}, Local: false}, message(t)), to)
	}
	assert.Len(t, moved.requests, 1)
	assert.ErrorContains(t, Send(t.Context(), config.Channel{Name: "a", Type: "pigeon"}, Via{Secrets: Secrets{"a": "x"}, Local: true}, message(t)), "no type")
}

func TestANameThatLeadsToThisMachineIsRefused(t *testing.T) {
	rec := record(t)
	_, port, _ := strings.Cut(strings.TrimPrefix(rec.URL, "http://"), ":")
	a, err := parseAddress("https://localhost:"+port+"/x", false)
	require.NoError(t, err, "the name itself says nothing")
	_, err = a.call(t.Context(), http.MethodPost, nil, nil)
	assert.ErrorContains(t, err, "this machine")
	assert.Empty(t, rec.requests)
	assert.NoError(t, address{}.refuse(netip.MustParseAddr("10.1.2.3")), "servers of a company are private")
}

func TestABusyServerIsAskedOnceMore(t *testing.T) {
	c := config.Channel{Name: "a", Type: config.ChannelSlack}
	rec := record(t, http.StatusTooManyRequests, http.StatusOK)
	require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"a": rec.URL}, Local: true}, message(t)))
	assert.Len(t, rec.requests, 2)
	rec = record(t, http.StatusInternalServerError)
	require.ErrorContains(t, Send(t.Context(), c, Via{Secrets: Secrets{"a": rec.URL}, Local: true}, message(t)), "HTTP 500")
	assert.Len(t, rec.requests, 2)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, Send(gone, c, Via{Secrets: Secrets{"a": rec.URL}, Local: true}, message(t)))
	a, err := parseAddress(rec.URL, true)
	require.NoError(t, err)
	_, err = a.call(t.Context(), http.MethodPost, nil, make([]byte, maxRequest+1))
	assert.ErrorContains(t, err, "more than")
}

func TestSecrets(t *testing.T) {
	s, err := ParseSecrets("# comment\n ops = https://hooks.example.org/services/T/B/secret \n\nops.key=a=b\r\n")
	require.NoError(t, err)
	assert.Equal(t, Secrets{"ops": "https://hooks.example.org/services/T/B/secret", "ops.key": "a=b"}, s)
	assert.ElementsMatch(t, []string{"https://hooks.example.org/services/T/B/secret", "services/T/B/secret", "a=b"}, s.Values())
	for _, text := range []string{"a-secret-alone", "=x", "ops="} {
		_, err := ParseSecrets("\n" + text)
		require.ErrorContains(t, err, "line 2", text)
		assert.NotContains(t, err.Error(), "a-secret-alone")
	}
}

func TestNotesOf(t *testing.T) {
	r := &verdict.Run{Stages: []verdict.Stage{{Problems: []verdict.Finding{{Code: "TESTS_FAILED", Cause: "1 failed",
		Details: []string{"tests/test_a.py:12: AssertionError", "  tests/test_b.py:3", "/etc/x.py:1: no", "../x.py:1: no", "text",
			"a.py:0: no"}}}, Warnings: []verdict.Finding{{Code: "CHANGED_LINES_UNCOVERED",
		Details: []string{"a.py:7: no test executes line 7"}}}}}}
	assert.Equal(t, []Note{{"tests/test_a.py", 12, "TESTS_FAILED: AssertionError", true},
		{"tests/test_b.py", 3, "TESTS_FAILED: 1 failed", true},
		{"a.py", 7, "CHANGED_LINES_UNCOVERED: no test executes line 7", false}},
		NotesOf(r))
	for ref, want := range map[string]string{"refs/pull/7/merge": "7", "refs/merge-requests/8/head": "8", "main": "",
		"refs/pull/x/merge": ""} {
		assert.Equal(t, want, PullOf(ref))
	}
}

func TestATestAsksACodeHostAndWritesNothing(t *testing.T) {
	for _, kind := range []string{config.ChannelGitHub, config.ChannelGitLab} {
		var asked []string
		status := http.StatusOK
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked = append(asked, r.Method)
			w.WriteHeader(status)
		}))
		c := config.Channel{Name: "pr", Type: kind, Repository: "team/service", API: server.URL}
		m := Message{Test: true, Run: runledger.Record{Environment: "production"}}
		require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"pr": "token"}, Local: true}, m))
		status = http.StatusUnauthorized
		assert.ErrorContains(t, Send(t.Context(), c, Via{Secrets: Secrets{"pr": "token"}, Local: true}, m), "HTTP 401")
		assert.Equal(t, []string{http.MethodGet, http.MethodGet}, asked, "%s: told, and nobody was asked", kind)
		server.Close()
	}
}

func TestACertificateForAnotherNameIsToldWithoutTheName(t *testing.T) {
	err := hidden(&url.Error{Op: "Post", URL: "https://hooks.example.org/x", Err: &tls.CertificateVerificationError{
		Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"a.example.org"}}, Host: "hooks.example.org"}}})
	assert.EqualError(t, err, "the certificate of its server is for another name")
	inner := &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 3128}, Err: errors.New("refused")}
	assert.EqualError(t, hidden(&url.Error{Err: &net.OpError{Op: "proxyconnect", Net: "tcp", Err: inner}}), "refused")
}

func TestNoAttemptBeginsThatCannotEnd(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "9")
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	began := time.Now()
	err := Send(ctx, config.Channel{Name: "ops", Type: config.ChannelSlack}, Via{Secrets: Secrets{"ops": server.URL}, Local: true}, message(t))
	assert.EqualError(t, err, "HTTP 503")
	assert.Less(t, time.Since(began), 3*time.Second)
}

func TestMoreVulnerabilitiesAreNews(t *testing.T) {
	with := func(n float64, warnings ...string) runledger.Record {
		r := run(verdict.Pass, "")
		r.Warnings = warnings
		r.Measures = append(r.Measures, verdict.Measure{Name: verdict.MeasureVulnerabilities, Of: "audit/high/fixable", Value: n})
		return r
	}
	one, two := with(1, "VULNERABLE"), with(2, "VULNERABLE")
	assert.Equal(t, []string{config.EventVulnerable}, News(one, nil, 1))
	assert.Empty(t, News(one, &two, 1), "less than was told")
	assert.Equal(t, []string{config.EventVulnerable}, News(two, &one, 1))
	assert.Empty(t, Events(with(3), nil, 1), "noted, and nobody has to do anything")
	failed := run(verdict.Fail, "DEPENDENCY_VULNERABLE")
	failed.Stages[0].Code = "DEPENDENCY_VULNERABLE"
	assert.Equal(t, []string{config.EventFailed, config.EventVulnerable}, Events(failed, nil, 1))
	ends := with(0, "WAIVER_ENDS_SOON")
	assert.Equal(t, []string{config.EventWaiverEnds}, Events(ends, nil, 1))
	assert.False(t, Compose(ends, []string{config.EventWaiverEnds}, nil, nil).Good, "there is something to do")
}

func TestAnnotationsComeInPieces(t *testing.T) {
	rec := record(t)
	rec.reply = func(*http.Request) string { return `{"id":9}` }
	m := message(t)
	m.Pull = ""
	m.Notes = nil
	for n := range 320 {
		m.Notes = append(m.Notes, Note{Path: "a.py", Line: n + 1, Text: "x", Bad: n == 0})
	}
	c := config.Channel{Name: "pr", Type: config.ChannelGitHub, Repository: "team/service", API: rec.URL}
	require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"pr": "token"}, Local: true}, m))
	require.Len(t, rec.requests, maxRequests)
	assert.Equal(t, "/repos/team/service/check-runs/9", rec.requests[3].URL.Path)
	for i, want := range []string{`"start_line":1`, `"start_line":51`, `"start_line":101`, `"start_line":151`} {
		assert.Equal(t, maxNotes, strings.Count(rec.bodies[i], `"path"`))
		assert.Contains(t, rec.bodies[i], want)
	}
	assert.Equal(t, 1, strings.Count(rec.bodies[0], `"failure"`)-strings.Count(rec.bodies[0], `"conclusion":"failure"`))
}

// What is long is shortened for those who take no more, and not for the others; no message is lost for it.
func TestALongMessageIsSent(t *testing.T) {
	for _, kind := range []string{config.ChannelTeams, config.ChannelSlack, config.ChannelGitHub, config.ChannelWebhook} {
		rec := record(t)
		rec.reply = func(*http.Request) string { return `{"id":9}` }
		m := message(t)
		m.Lines, m.Pull, m.Notes = nil, "", nil
		for range maxLines {
			m.Lines = append(m.Lines, strings.Repeat("é<b>&", 900))
		}
		for n := range maxNotes {
			m.Facts = append(m.Facts, [2]string{strings.Repeat("f", 90), strings.Repeat("<", 290)})
			m.Notes = append(m.Notes, Note{Path: strings.Repeat("long/", 40) + "a.py", Line: n + 1, Text: strings.Repeat("&", 400)})
			for range 20 {
				m.Run.Measures = append(m.Run.Measures, m.Run.Measures[0])
			}
		}
		c := config.Channel{Name: "a", Type: kind, Repository: "team/service", API: rec.URL}
		require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"a": rec.URL, "a.key": "key"}, Local: true}, m), kind)
		require.Equal(t, 1, len(rec.bodies), kind) //nolint:testifylint // Len would print the bodies
		if kind == config.ChannelTeams {
			assert.LessOrEqual(t, len(rec.bodies[0]), maxBody)
			assert.Greater(t, len(rec.bodies[0]), maxBody/3)
		}
		assert.True(t, json.Valid([]byte(rec.bodies[0])) && strings.Contains(rec.bodies[0], m.Title), kind)
	}
}

func TestACommentHasPlotsAndTrends(t *testing.T) {
	var main []runledger.Record
	for n := range 5 {
		r := run(verdict.Pass, "")
		r.Measures[0].Value = 0.8 + float64(n)/100
		main = append(main, r)
	}
	now := run(verdict.Pass, "")
	now.Measures = append(now.Measures, verdict.Measure{Name: verdict.MeasureCoverage, Of: "changed", Value: 0.5})
	m := Compose(now, nil, nil, main)
	assert.Contains(t, m.Facts, [2]string{"coverage, total", "90.00 % (+6.00 points to main) ▁▂▂▃▄█"})
	assert.Contains(t, m.Facts, [2]string{"coverage of the changed lines", "50.00 %"})
	assert.Contains(t, m.Facts, [2]string{"accuracy", "0.91 (+0 to main) ▅▅▅▅▅▅"})
	curve := verdict.Series{Name: "loss`\"", X: []float64{1, 2, 3}, Y: []float64{0.5, 0.25, 1e-7}}
	long := verdict.Series{Name: "long"}
	for n := range 1000 {
		long.X, long.Y = append(long.X, float64(n)), append(long.Y, float64(n))
	}
	chart := func(s ...verdict.Series) verdict.Block {
		return verdict.Block{Title: "Curves", Lines: &verdict.LineChart{X: "epoch", Y: "loss", Series: s}}
	}
	trended := chart(curve)
	trended.Title = "Trend: x"
	m.Plots = PlotsOf(&verdict.Run{Stages: []verdict.Stage{{Blocks: []verdict.Block{chart(curve), trended, {Title: "text"},
		chart(verdict.Series{X: []float64{1}, Y: []float64{1}}), chart(long), chart(curve), chart(curve)}}}})
	require.Len(t, m.Plots, maxPlots)
	text := m.markdown()
	assert.Contains(t, text, "```mermaid\nxychart-beta\n  title \"Curves: loss__\"\n  x-axis \"epoch\" 1 --> 3\n  y-axis \"loss\"\n"+
		"  line [0.5, 0.25, 0.0000001]\n```\n")
	assert.Equal(t, 3, strings.Count(text, "xychart-beta"), "one point is no line")
	assert.Less(t, len(text), maxMarkdown)
	for _, plot := range m.Plots {
		assert.LessOrEqual(t, strings.Count(plot.mermaid(), ","), 2*maxPoints)
	}
	m.Plots = nil
	assert.NotContains(t, m.markdown(), "<details>")
}

func TestAScanDoesNotReplaceTheCheckOfTheRun(t *testing.T) {
	m := message(t)
	assert.Equal(t, "openstack-rca production", checkRun(m)["name"])
	m.Run.Call = "scan"
	assert.Equal(t, "openstack-rca production scan", checkRun(m)["name"])
}

// What ends below the connection has no *net.OpError around it: only the *url.Error names the address.
func TestAnAddressIsInNoErrorOfHTTP(t *testing.T) {
	for want, inner := range map[string]error{"EOF": io.EOF, "no answer in time": context.DeadlineExceeded, "broken": errors.New("broken")} {
		assert.EqualError(t, hidden(&url.Error{Op: "Post", URL: "https://hooks.example.org/canary-of-the-address", Err: inner}), want)
	}
}
