package pipeline

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// attested is an image in a registry, the report of the run that built it, and a key pair.
type attested struct {
	backend         Backend
	opts            Options
	reference, from string
	private, public string
	// trusted is the file of the public key, for a test that does not trust it from the start.
	trusted string
	writes  func() int
	image   v1.Image
	handler http.Handler
}

func newAttested(t *testing.T) *attested {
	t.Helper()
	a := &attested{handler: ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }))
	t.Cleanup(server.Close)
	backend, opts, aws, _ := inAWS(t, stagingConfig)
	a.backend, a.opts = backend, opts
	a.opts.Target.AccessKey, a.opts.Target.SecretKey = fixed("key"), fixed("secret-words")
	a.opts.Registry.Transport = behind(strings.TrimPrefix(server.URL, "http://"))
	a.reference = a.push(t)
	a.opts.Image = a.reference
	a.writes = func() int {
		n := 0
		for _, call := range aws.Calls() {
			_, operation, _ := strings.Cut(call, ":")
			if !strings.HasPrefix(operation, "Describe") && !strings.HasPrefix(operation, "Get") && !strings.HasPrefix(operation, "List") {
				n++
			}
		}
		return n
	}
	a.private, a.public = keyPair(t)
	a.opts.Verify.Keys = write(t, "key.pem", a.public)
	a.from = a.report(t, nil)
	return a
}

// behind is a transport to a server on this machine, whatever host is asked.
type behind string

// RoundTrip implements http.RoundTripper.
func (b behind) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", string(b)
	return http.DefaultTransport.RoundTrip(r)
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	return file
}

func keyPair(t *testing.T) (private, public string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}))
}

func (a *attested) tag(t *testing.T) name.Tag {
	t.Helper()
	tag, err := name.NewTag("registry.example/rca:v1")
	require.NoError(t, err)
	return tag
}

// push pushes a new image and returns its reference.
func (a *attested) push(t *testing.T) string {
	t.Helper()
	image, err := random.Image(64, 1)
	require.NoError(t, err)
	tag := a.tag(t)
	a.image = image
	require.NoError(t, remote.Write(tag, image, remote.WithTransport(a.opts.Registry.Transport)))
	digest, err := image.Digest()
	require.NoError(t, err)
	return tag.Context().Digest(digest.String()).String()
}

// report is the report of a run that built the image and passed.
func (a *attested) report(t *testing.T, change func(*verdict.Run)) string {
	t.Helper()
	_, digest, _ := strings.Cut(a.reference, "@")
	findings := fmt.Sprintf(`{"database":{"kind":"osv","digest":"ab","data":{"PyPI":%q}},"vulnerabilities":[`+
		`{"finding":{"id":"CVE-1","package":"a","version":"1","severity":"low"},"leads_to":"note"}]}`, time.Now().UTC().Format(time.RFC3339))
	run := &verdict.Run{
		Application: "rca", Environment: "staging", Ref: "main", Module: "1.0", Runner: "engine", Started: time.Now().Add(-time.Hour), Seconds: 60,
		ImageDigest: digest,
		Stages: []verdict.Stage{
			{Name: verdict.Test, Verdict: verdict.Pass}, {Name: verdict.Train, Verdict: verdict.Pass},
			{Name: verdict.Audit, Verdict: verdict.Pass, Files: []verdict.ReportFile{{Path: "audit/findings.json", Content: []byte(findings)}}},
			{Name: verdict.Publish, Verdict: verdict.Pass}, {Name: verdict.Image, Verdict: verdict.Pass},
		},
	}
	if change != nil {
		change(run)
	}
	dir := filepath.Join(t.TempDir(), "report")
	require.NoError(t, verdict.WriteReport(dir, run.Judge()))
	return dir
}

func (a *attested) attest(t *testing.T, key, from string) verdict.Stage {
	t.Helper()
	opts := a.opts
	opts.Stages, opts.Attest = []string{verdict.Attest}, AttestOptions{Key: fixed(key), From: from}
	run := Run(t.Context(), a.backend, opts).Run
	require.Nil(t, run.Preflight)
	return run.Stages[0]
}

func (a *attested) deploy(t *testing.T) verdict.Stage {
	t.Helper()
	opts := a.opts
	opts.Stages = []string{verdict.Deploy}
	return deployStage(t, Run(t.Context(), a.backend, opts).Run)
}

func TestAttestVerifyDeploy(t *testing.T) {
	a := newAttested(t)
	stage := a.attest(t, a.private, a.from)
	require.Equal(t, verdict.Pass, stage.Verdict, stage.Cause)
	assert.Len(t, stage.Published, 4)
	assert.Len(t, stage.Files, 4)
	again := a.attest(t, a.private, a.from)
	require.Equal(t, verdict.Pass, again.Verdict, again.Cause)
	assert.Empty(t, again.Published, "repeating adds nothing")

	run := Verify(t.Context(), a.backend, a.opts)
	assert.Equal(t, verdict.Pass, run.Verdict, run.Cause)
	assert.Zero(t, a.writes())
	deployed := a.deploy(t)
	assert.Equal(t, verdict.Pass, deployed.Verdict, deployed.Cause)
	assert.Equal(t, "attestation", deployed.Evidence[0].Name)
	assert.NotZero(t, a.writes())
}

// TestDeployRefuses holds that nothing is changed in the account before the image is verified.
func TestDeployRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(t *testing.T, a *attested)
		want    string
	}{
		"an image that nobody attested": {func(*testing.T, *attested) {}, "ATTESTATION_MISSING"},
		"an image of another key": {func(t *testing.T, a *attested) {
			other, _ := keyPair(t)
			require.Equal(t, verdict.Pass, a.attest(t, other, a.from).Verdict)
		}, "ATTESTATION_UNTRUSTED"},
		"old data": {func(t *testing.T, a *attested) {
			require.Equal(t, verdict.Pass, a.attest(t, a.private, a.from).Verdict)
			a.opts.Verify.MaxDataAge = "1ns"
		}, "VERDICT_TOO_OLD"},
		"an old verdict": {func(t *testing.T, a *attested) {
			require.Equal(t, verdict.Pass, a.attest(t, a.private, a.from).Verdict)
			a.opts.Verify.MaxAge = "30m"
		}, "VERDICT_TOO_OLD"},
		"another environment": {func(t *testing.T, a *attested) {
			from := a.report(t, func(r *verdict.Run) { r.Environment = "sandbox" })
			require.Equal(t, verdict.Pass, a.attest(t, a.private, from).Verdict)
		}, "ATTESTATION_OTHER_ENVIRONMENT"},
		"another branch": {func(t *testing.T, a *attested) {
			require.Equal(t, verdict.Pass, a.attest(t, a.private, a.report(t, func(r *verdict.Run) { r.Ref = "feature" })).Verdict)
			a.opts.ReleaseBranches = []string{"main"}
		}, "ATTESTATION_OTHER_ENVIRONMENT"},
		"no search for vulnerabilities": {func(t *testing.T, a *attested) {
			require.Equal(t, verdict.Pass, a.attest(t, a.private, a.report(t, func(r *verdict.Run) { r.Stages[2].Files = nil })).Verdict)
		}, "ATTESTATION_MISSING"},
		"a search of an earlier run": {func(t *testing.T, a *attested) {
			// Its file is still in the directory of the report.
			from := a.report(t, func(r *verdict.Run) {
				r.Stages[2].Verdict, r.Stages[2].Code, r.Stages[2].Files = verdict.NotRun, "NOT_CONFIGURED", nil
			})
			require.NoError(t, os.MkdirAll(filepath.Join(from, "audit"), 0o755))
			content, err := os.ReadFile(filepath.Join(a.from, "audit", "findings.json"))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(from, "audit", "findings.json"), content, 0o600))
			require.Equal(t, verdict.Pass, a.attest(t, a.private, from).Verdict)
		}, "ATTESTATION_MISSING"},
		"a registry that does not answer": {func(_ *testing.T, a *attested) {
			a.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
		}, "ATTESTATION_UNREADABLE"},
		"a key that is none":       {func(t *testing.T, a *attested) { a.opts.Verify.Keys = write(t, "k.pem", "no key") }, "BAD_ARGUMENT"},
		"a key that is not there":  {func(_ *testing.T, a *attested) { a.opts.Verify.Keys += ".gone" }, "BAD_ARGUMENT"},
		"an age that is none":      {func(_ *testing.T, a *attested) { a.opts.Verify.MaxAge = "old" }, "BAD_ARGUMENT"},
		"a statement that is none": {func(_ *testing.T, a *attested) { a.opts.Verify.Require = []string{"promise"} }, "BAD_ARGUMENT"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttested(t)
			tc.prepare(t, a)
			stage := a.deploy(t)
			assert.Equal(t, tc.want, stage.Code, stage.Cause)
			assert.NotEqual(t, verdict.Pass, stage.Verdict)
			assert.Zero(t, a.writes(), "nothing is changed")
			run := Verify(t.Context(), a.backend, a.opts)
			assert.Equal(t, tc.want, run.Code)
			if tc.want == "BAD_ARGUMENT" {
				return
			}
			a.opts.Rollout.Override = "the registry moves today"
			stage = a.deploy(t)
			if tc.want != "ATTESTATION_UNREADABLE" {
				assert.Equal(t, verdict.Pass, stage.Verdict, stage.Cause)
			}
			require.NotEmpty(t, stage.Warnings)
			assert.Equal(t, "VERIFY_OVERRIDDEN", stage.Warnings[0].Code)
			assert.Contains(t, stage.Warnings[0].Cause, "the registry moves today")
		})
	}
}

// TestCopiedStatements puts the statements of one image beside another.
func TestCopiedStatements(t *testing.T) {
	a := newAttested(t)
	stage := a.attest(t, a.private, a.from)
	require.Equal(t, verdict.Pass, stage.Verdict, stage.Cause)
	a.reference = a.push(t)
	a.opts.Image = a.reference
	copied, err := openedImage(t, a)
	require.NoError(t, err)
	for _, f := range stage.Files {
		_, err := copied.Attach(f.Content)
		require.NoError(t, err)
	}
	assert.Equal(t, "ATTESTATION_OTHER_SUBJECT", a.deploy(t).Code)
}

func TestAttestRefuses(t *testing.T) {
	_, public := keyPair(t)
	for name, tc := range map[string]struct {
		change func(t *testing.T, a *attested) (key, from string)
		want   string
	}{
		"a run that failed": {func(t *testing.T, a *attested) (string, string) {
			return a.private, a.report(t, func(r *verdict.Run) { r.Stages[0].Verdict, r.Stages[0].Code = verdict.Fail, "TESTS_FAILED" })
		}, "ATTEST_REFUSED"},
		"an audit that could not run": {func(t *testing.T, a *attested) (string, string) {
			return a.private, a.report(t, func(r *verdict.Run) { r.Stages[2].Verdict, r.Stages[2].Code = verdict.CouldNotRun, "SCANNER_BLIND" })
		}, "ATTEST_REFUSED"},
		"a run without tests": {func(t *testing.T, a *attested) (string, string) {
			return a.private, a.report(t, func(r *verdict.Run) { r.Stages = r.Stages[1:] })
		}, "ATTEST_REFUSED"},
		"a run about another image": {func(t *testing.T, a *attested) (string, string) {
			return a.private, a.report(t, func(r *verdict.Run) { r.ImageDigest = "sha256:" + strings.Repeat("b", 64) })
		}, "ATTEST_REFUSED"},
		"no report":          {func(_ *testing.T, a *attested) (string, string) { return a.private, "" }, "ATTEST_REFUSED"},
		"an empty report":    {func(t *testing.T, a *attested) (string, string) { return a.private, t.TempDir() }, "ATTEST_REFUSED"},
		"a key that is none": {func(_ *testing.T, a *attested) (string, string) { return public, a.from }, "KEY_UNAVAILABLE"},
		"a registry that refuses": {func(_ *testing.T, a *attested) (string, string) {
			a.handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
			return a.private, a.from
		}, "REFERRERS_REFUSED"},
		"an image by its tag": {func(_ *testing.T, a *attested) (string, string) {
			a.opts.Image, _, _ = strings.Cut(a.reference, "@")
			return a.private, a.from
		}, "ATTEST_REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAttested(t)
			key, from := tc.change(t, a)
			stage := a.attest(t, key, from)
			assert.Equal(t, tc.want, stage.Code, stage.Cause)
			assert.NotContains(t, fmt.Sprint(stage), "PRIVATE")
		})
	}
	a := newAttested(t)
	opts := a.opts
	opts.Stages, opts.Attest = []string{verdict.Attest}, AttestOptions{Key: fixed(a.private), KMS: "alias/x", From: a.from}
	assert.Equal(t, "KEY_UNAVAILABLE", Run(t.Context(), a.backend, opts).Run.Code)
	opts.Attest = AttestOptions{KMS: "alias/x", From: a.from}
	opts.Target.AccessKey = nil
	assert.Equal(t, "KEY_UNAVAILABLE", Run(t.Context(), a.backend, opts).Run.Code)
	opts.Attest = AttestOptions{}
	assert.Equal(t, "NOT_CONFIGURED", Run(t.Context(), a.backend, opts).Run.Stages[0].Code)
	opts.Verify.Keys = ""
	assert.Equal(t, "BAD_ARGUMENT", Verify(t.Context(), a.backend, opts).Code)
}

func openedImage(t *testing.T, a *attested) (oci.Image, error) {
	t.Helper()
	return oci.At(t.Context(), a.reference, oci.Login{}, a.opts.Registry.Transport)
}
