package pipeline

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestAKeyThatDoesNotSign is a key of KMS whose public part may be read, and nothing more.
func TestAKeyThatDoesNotSign(t *testing.T) {
	a := newAttested(t)
	block, _ := pem.Decode([]byte(a.public))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetPublicKey") {
			assert.NoError(t, json.NewEncoder(w).Encode(map[string]any{
				"PublicKey": block.Bytes, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY",
			}))
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"AccessDeniedException","message":"no"}`))
	}))
	t.Cleanup(server.Close)
	opts := a.opts
	opts.Stages, opts.Attest = []string{verdict.Attest}, AttestOptions{KMS: "alias/x", From: a.from}
	opts.Rollout.Endpoint = server.URL
	run := Run(t.Context(), a.backend, opts).Run
	assert.Equal(t, "SIGN_FAILED", run.Code, run.Cause)
	assert.NotContains(t, fmt.Sprint(run), "secret-words")
	image, err := openedImage(t, a)
	require.NoError(t, err)
	bundles, err := image.Bundles()
	require.NoError(t, err)
	assert.Empty(t, bundles, "nothing is attached")
}

// finding replaces what the audit of the report found.
func (a *attested) finding(t *testing.T, finding string) {
	t.Helper()
	file := filepath.Join(a.from, "audit", "findings.json")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	before := `{"finding":{"id":"CVE-1","package":"a","version":"1","severity":"low"},"leads_to":"note"}`
	require.Contains(t, string(content), before)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(content), before, finding, 1)), 0o600))
}

// TestDeployJudgesByTheRulesOfTheCall: pipeline.yaml of the judged source can only be stricter.
func TestDeployJudgesByTheRulesOfTheCall(t *testing.T) {
	until := time.Now().AddDate(0, 1, 0).Format(time.DateOnly)
	allow := "security:\n  allow: [{id: GHSA-aaaa-bbbb-cccc, package: a, in: locks, reason: known, until: '" + until + "'}]\n"
	const fixed = `{"finding":{"id":"CVE-1","aliases":["GHSA-aaaa-bbbb-cccc"],"package":"a","version":"1","severity":"critical","fixed":["2"]},"leads_to":"allowed until x: y"}`
	for name, tc := range map[string]struct{ finding, rules, want, warned string }{
		"allowed by its source alone":  {fixed, "", "VULNERABILITIES_REFUSED", ""},
		"allowed by the call":          {fixed, allow, "", "VULNERABILITIES_LET_PASS"},
		"allowed elsewhere":            {fixed, strings.Replace(allow, "in: locks", "in: image", 1), "VULNERABILITIES_REFUSED", ""},
		"allowed until last year":      {fixed, strings.Replace(allow, until, "2025-01-01", 1), "VULNERABILITIES_REFUSED", ""},
		"allowed for too long":         {fixed, strings.Replace(allow, until, "2999-01-01", 1), "VULNERABILITIES_REFUSED", ""},
		"a severity turned down":       {strings.Replace(fixed, "allowed until x: y", "note", 1), "", "VULNERABILITIES_REFUSED", ""},
		"no version fixes it":          {strings.Replace(fixed, `,"fixed":["2"]`, "", 1), "", "", "VULNERABILITIES_LET_PASS"},
		"one that must be fixed":       {strings.Replace(fixed, `,"fixed":["2"]`, "", 1), "security: {unfixed: fail}\n", "VULNERABILITIES_REFUSED", ""},
		"exploited":                    {strings.Replace(fixed, `,"fixed":["2"]`, `,"exploited":true`, 1), "", "VULNERABILITIES_REFUSED", ""},
		"medium":                       {strings.Replace(fixed, "critical", "medium", 1), "", "", ""},
		"medium, where the call is so": {strings.Replace(fixed, "critical", "medium", 1), "security: {severity: {medium: fail}}\n", "VULNERABILITIES_REFUSED", ""},
		"a source that is stricter":    {strings.Replace(strings.Replace(fixed, "critical", "low", 1), "allowed until x: y", "fail", 1), allow, "ATTESTATION_NOT_PASS", ""},
		"a word that is no severity":   {strings.Replace(fixed, "critical", "harmless", 1), "", "VULNERABILITIES_REFUSED", ""},
		"rules that are none":          {fixed, "allow: all\n", "BAD_ARGUMENT", ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttested(t)
			a.finding(t, tc.finding)
			require.Equal(t, verdict.Pass, a.attest(t, a.private, a.from).Verdict)
			if tc.rules != "" {
				a.opts.Verify.Rules = write(t, "rules.yaml", tc.rules)
			}
			stage := a.deploy(t)
			assert.Equal(t, tc.want, stage.Code, stage.Cause)
			if tc.want != "" {
				assert.Zero(t, a.writes(), "nothing is changed")
			}
			if tc.warned != "" {
				require.NotEmpty(t, stage.Warnings)
				assert.Equal(t, tc.warned, stage.Warnings[0].Code)
				assert.Contains(t, stage.Warnings[0].Cause, "CVE-1 of a (critical)")
			}
		})
	}
	a := newAttested(t)
	a.opts.Verify.Rules = filepath.Join(t.TempDir(), "none.yaml")
	assert.Equal(t, "BAD_ARGUMENT", a.deploy(t).Code)
}

// TestDeployWithoutAKey: production names who is trusted; elsewhere it is a warning.
func TestDeployWithoutAKey(t *testing.T) {
	a := newAttested(t)
	a.opts.Verify.Keys = ""
	stage := a.deploy(t)
	assert.Equal(t, verdict.Pass, stage.Verdict, stage.Cause)
	require.NotEmpty(t, stage.Warnings)
	assert.Equal(t, "UNSIGNED", stage.Warnings[0].Code)

	a = newAttested(t)
	a.opts.Verify.Keys, a.opts.Environment = "", "production"
	stage = a.deploy(t)
	assert.Equal(t, "VERIFY_KEY_MISSING", stage.Code, stage.Cause)
	assert.Zero(t, a.writes(), "nothing is changed")
	a.opts.Rollout.Override = "the first deployment"
	stage = a.deploy(t)
	require.NotEmpty(t, stage.Warnings)
	assert.Equal(t, "VERIFY_OVERRIDDEN", stage.Warnings[0].Code)
	assert.NotEqual(t, "VERIFY_KEY_MISSING", stage.Code)
}

// scanReport is the report of a later scan of the image.
func (a *attested) scanReport(t *testing.T, outcome verdict.Outcome, code, finding string) string {
	t.Helper()
	return a.report(t, func(r *verdict.Run) {
		findings := fmt.Sprintf(`{"database":{"kind":"grype","data":{"github":%q}},"vulnerabilities":[%s]}`, time.Now().UTC().Format(time.RFC3339), finding)
		stage := verdict.Stage{Name: verdict.Scan, Verdict: outcome, Code: code, Files: []verdict.ReportFile{
			{Path: "scan/findings.json", Content: []byte(findings)}, {Path: "scan/sbom.cdx.json", Content: []byte(`{"bomFormat":"CycloneDX"}`)},
		}}
		if code != "" {
			stage.Problems = []verdict.Finding{{Code: code}}
		}
		r.Started, r.Stages = time.Now().Add(-time.Minute), []verdict.Stage{stage}
		r.Seconds = 1
	})
}

// TestALaterScan is signed too, above all one that failed: the newest statement counts.
func TestALaterScan(t *testing.T) {
	const high = `{"finding":{"id":"CVE-9","package":"openssl","version":"3","severity":"high","fixed":["4"]},"leads_to":"fail"}`
	for name, tc := range map[string]struct {
		outcome             verdict.Outcome
		code, finding, want string
		// attests is how attesting the scan ends, if not in a pass.
		attests string
	}{
		"passed":               {verdict.Pass, "", "", "", ""},
		"found a new one":      {verdict.Fail, "IMAGE_VULNERABLE", high, "ATTESTATION_NOT_PASS", ""},
		"found a secret":       {verdict.Fail, "IMAGE_SECRET", "", "ATTESTATION_NOT_PASS", ""},
		"let one pass":         {verdict.Pass, "", strings.Replace(high, `"fail"`, `"note"`, 1), "VULNERABILITIES_REFUSED", ""},
		"reached no verdict":   {verdict.CouldNotRun, "ADVISORIES_STALE", "", "", "ATTEST_REFUSED"},
		"was not made, really": {verdict.NotRun, "NOT_CONFIGURED", "", "", "ATTEST_REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttested(t)
			require.Equal(t, verdict.Pass, a.attest(t, a.private, a.from).Verdict)
			scan := a.attest(t, a.private, a.scanReport(t, tc.outcome, tc.code, tc.finding))
			assert.Equal(t, tc.attests, scan.Code, scan.Cause)
			assert.Equal(t, tc.want, a.deploy(t).Code)
			if tc.want == "" {
				return
			}
			assert.Zero(t, a.writes(), "nothing is changed")
			// What was found is fixed in the data, or allowed: the next scan passes, and it is the newest.
			require.Empty(t, a.attest(t, a.private, a.report(t, func(r *verdict.Run) {
				*r = *later(t, a.scanReport(t, verdict.Pass, "", ""))
			})).Code)
			assert.Empty(t, a.deploy(t).Code)
		})
	}
	a := newAttested(t)
	require.Equal(t, verdict.Pass, a.attest(t, a.private, a.scanReport(t, verdict.Pass, "", "")).Verdict)
	assert.Equal(t, "ATTESTATION_MISSING", a.deploy(t).Code, "a scan alone is not the verdict on the image")
	from := a.report(t, func(r *verdict.Run) {
		r.Stages = append(r.Stages, verdict.Stage{Name: verdict.Scan, Verdict: verdict.Fail, Code: "IMAGE_VULNERABLE"})
	})
	assert.Equal(t, "ATTEST_REFUSED", a.attest(t, a.private, from).Code, "the run's own scan failed")
}

// later reads a report back, as of now.
func later(t *testing.T, dir string) *verdict.Run {
	t.Helper()
	run, err := readRun(dir)
	require.NoError(t, err)
	run.Started = time.Now()
	run.Stages[0].Files = []verdict.ReportFile{{Path: "scan/findings.json", Content: optional(filepath.Join(dir, "scan", "findings.json"))}}
	return run
}

// TestARunScansWhatItBuilt, and nothing is attested after a scan that failed.
func TestARunScansWhatItBuilt(t *testing.T) {
	b, _ := backend(t, withConfig("security: {scan: true}\n"))
	s := prepare(t.Context(), b, Options{Ref: "main"})
	s.outcome.Image = "localhost:5000/app@sha256:" + strings.Repeat("a", 64)
	var exported string
	s.export = func(_ context.Context, dir string) error {
		exported = dir
		return errors.New("the registry is gone")
	}
	stage := s.scan(t.Context(), policy.Permit{})
	assert.NotEmpty(t, exported)
	assert.Equal(t, "IMAGE_UNREADABLE", stage.Code)
	assert.Equal(t, verdict.CouldNotRun, stage.Verdict)
	assert.Contains(t, stage.Cause, "the registry is gone")
	s.outcome.Image = "app:latest"
	assert.Equal(t, "BAD_ARGUMENT", s.scan(t.Context(), policy.Permit{}).Code)
}

// TestAttestKilledAnywhere stops attesting at each of its requests in turn, as when the process is killed there, and attests again: the image has the same statements as without.
func TestAttestKilledAnywhere(t *testing.T) {
	a := newAttested(t)
	require.Equal(t, verdict.Pass, a.attest(t, a.private, a.from).Verdict)
	stated := func(a *attested) []string {
		image, err := openedImage(t, a)
		require.NoError(t, err)
		bundles, err := image.Bundles()
		require.NoError(t, err)
		var all []string
		for _, b := range bundles {
			all = append(all, string(b))
		}
		slices.Sort(all)
		return all
	}
	want := stated(a)
	require.Len(t, want, 4)
	// What the handler reads, which may still serve the requests of a call that was killed.
	var mu sync.Mutex
	inner, asked, failAt := a.handler, 0, -1
	var kill context.CancelFunc
	during := func(change func()) {
		mu.Lock()
		defer mu.Unlock()
		change()
	}
	registry := func() http.Handler { return ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))) }
	a.handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var next http.Handler
		during(func() {
			if asked++; failAt > 0 && asked >= failAt {
				kill()
				return
			}
			next = inner
		})
		if next == nil {
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	for n := 1; ; n++ {
		during(func() { inner, failAt = registry(), -1 })
		// The same image: its bytes are those that the first registry had.
		require.NoError(t, remote.Write(a.tag(t), a.image, remote.WithTransport(a.opts.Registry.Transport)))
		ctx, cancel := context.WithCancel(t.Context())
		during(func() { asked, failAt, kill = 0, n, cancel })
		opts := a.opts
		opts.Stages, opts.Attest = []string{verdict.Attest}, AttestOptions{Key: fixed(a.private), From: a.from}
		broken := Run(ctx, a.backend, opts).Run.Stages[0]
		cancel()
		whole := false
		during(func() { whole, failAt = asked < n, -1 })
		if !whole {
			assert.NotEqual(t, verdict.Pass, broken.Verdict, "request %d", n)
			require.Equal(t, verdict.Pass, a.attest(t, a.private, a.from).Verdict, "again after request %d", n)
		}
		assert.Equal(t, want, stated(a), "after request %d broke", n)
		if whole {
			assert.Greater(t, n, 20)
			return
		}
	}
}
