package supply

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func keys(t *testing.T) (private, public []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
}

// call is a call about an image that a run attested, for staging from main.
type call struct {
	backend         pipeline.Backend
	opts            pipeline.Options
	private, public []byte
}

func called(t *testing.T, change func(c *call)) *call {
	t.Helper()
	reference, public, key := signed(t, true)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	c := &call{private: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), public: public}
	file := filepath.Join(t.TempDir(), "verify.pem")
	require.NoError(t, os.WriteFile(file, public, 0o600))
	c.backend = pipeline.Backend{
		Runner: fake.New().As("engine"), WorkDir: t.TempDir(),
		Source: fake.Files(map[string]string{
			"main.py": scriptCode, "streamlit_app/chatbot.py": "", "pipeline.yaml": "rollout: {account: '111122223333'}\n",
		}),
	}
	_, digest, _ := strings.Cut(reference, "@")
	run := &verdict.Run{
		Application: "app", Environment: "staging", Ref: "main", Started: time.Now().Add(-time.Hour), Seconds: 1, ImageDigest: digest,
		Stages: []verdict.Stage{{Name: verdict.Test, Verdict: verdict.Pass}, {Name: verdict.Train, Verdict: verdict.Pass}},
	}
	c.opts = pipeline.Options{Environment: "staging", Ref: "main", Image: reference, Verify: pipeline.VerifyOptions{Keys: file}}
	c.opts.Target.AccessKey, c.opts.Target.SecretKey = fake.Secret("AWS_ACCESS_KEY_ID", "id"), fake.Secret("AWS_SECRET_ACCESS_KEY", "words")
	c.opts.Attest.Key = fake.Secret("ATTEST_KEY", string(c.private))
	c.opts.Attest.From = filepath.Join(t.TempDir(), "report")
	// Nothing is deployed: what comes before the account is looked at.
	c.opts.Rollout.Connect = func(context.Context, account.Options) (release.Clients, *verdict.Problem) {
		return release.Clients{}, verdict.Problemf(pipeline.CodeBadArgument, "the account is not reached here")
	}
	change(c)
	require.NoError(t, verdict.WriteReport(c.opts.Attest.From, run.Judge()))
	return c
}

func (c *call) run(t *testing.T, stage string) string {
	t.Helper()
	c.opts.Stages = []string{stage}
	run := pipeline.Run(t.Context(), c.backend, c.opts).Run
	require.Nil(t, run.Preflight)
	for _, p := range run.Stages[0].Problems {
		t.Logf("%s: %s", p.Code, p.Cause)
	}
	return codes(run.Stages[0])
}

// refusing is a registry that refuses everything.
type refusing struct{}

func (refusing) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusForbidden, Status: "403 Forbidden", Body: http.NoBody, Request: r, Header: http.Header{}}, nil
}

func init() {
	same := func(bundles [][]byte) [][]byte { return bundles }
	none := func(*attest.Facts) {}
	all := func(*attest.Demand) {}
	plant("ATTESTATION_MISSING", "an image that nobody attested", "", func(t *testing.T) string {
		return checked(t, none, all, func([][]byte) [][]byte { return nil })
	})
	plant("ATTESTATION_OTHER_SUBJECT", "statements copied from another image", "", func(t *testing.T) string {
		return checked(t, func(f *attest.Facts) { f.Digest = "sha256:" + strings.Repeat("c", 64) }, all, same)
	})
	plant("ATTESTATION_UNTRUSTED", "another key", "", func(t *testing.T) string {
		return checked(t, none, func(d *attest.Demand) {
			_, other := keys(t)
			var err error
			d.Keys, err = attest.PublicKeys(other)
			require.NoError(t, err)
		}, same)
	})
	plant("ATTESTATION_INVALID", "changed after it was signed", "", func(t *testing.T) string {
		return checked(t, none, all, func(bundles [][]byte) [][]byte {
			return [][]byte{bytes.Replace(bundles[0], []byte(`"payload":"ey`), []byte(`"payload":"eY`), 1)}
		})
	})
	plant("ATTESTATION_OTHER_ENVIRONMENT", "made for staging", "", func(t *testing.T) string {
		return checked(t, func(f *attest.Facts) { f.Environment = "staging" }, all, same)
	})
	plant("VERDICT_TOO_OLD", "data of last week", "", func(t *testing.T) string {
		return checked(t, func(f *attest.Facts) { f.Scan.Data = time.Now().AddDate(0, 0, -8) }, all, same)
	})
	plant("ATTESTATION_NOT_PASS", "a later scan that found something, signed", "", func(t *testing.T) string {
		return checked(t, func(f *attest.Facts) { f.Scan.Faults = []string{"IMAGE_VULNERABLE"} }, all, same)
	})
	refused := func(_ *testing.T, c *call) { c.opts.Registry.Transport = refusing{} }
	at := func(code, fault, stage string, change func(t *testing.T, c *call)) {
		plant(code, fault, "", func(t *testing.T) string { return called(t, func(c *call) { change(t, c) }).run(t, stage) })
	}
	at("ATTESTATION_UNREADABLE", "a registry that does not answer", verdict.Deploy, refused)
	at("VERIFY_KEY_MISSING", "production, and nobody to trust", verdict.Deploy, func(_ *testing.T, c *call) {
		c.opts.Environment, c.opts.Verify.Keys = "production", ""
	})
	at("unsigned", "staging, and nobody to trust", verdict.Deploy, func(_ *testing.T, c *call) { c.opts.Verify.Keys = "" })
	at("verify_overridden", "deployed all the same", verdict.Deploy, func(_ *testing.T, c *call) {
		c.opts.Verify.MaxAge, c.opts.Rollout.Override = "1ns", "the only way today"
	})
	at("ATTEST_REFUSED", "no report of the run", verdict.Attest, func(_ *testing.T, c *call) {
		_, other, _ := strings.Cut(c.opts.Image, "@")
		c.opts.Image = strings.Replace(c.opts.Image, other, "sha256:"+strings.Repeat("b", 64), 1)
	})
	at("KEY_UNAVAILABLE", "a key that is none", verdict.Attest, func(_ *testing.T, c *call) {
		c.opts.Attest.Key = fake.Secret("ATTEST_KEY", string(c.public))
	})
	at("SIGN_FAILED", "a key of KMS that does not sign", verdict.Attest, func(t *testing.T, c *call) {
		c.opts.Attest.Key, c.opts.Attest.KMS, c.opts.Target.Region = nil, "alias/x", "eu-west-1"
		c.opts.Rollout.Endpoint = refusingKMS(t, c.public)
	})
	at("REFERRERS_REFUSED", "a registry that takes nothing", verdict.Attest, refused)
}
