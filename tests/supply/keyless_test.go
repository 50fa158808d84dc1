package supply

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// who signs in these tests, and who vouches.
const (
	who    = "ci@example.invalid"
	issuer = "https://issuer.invalid"
)

// open is the input of the virtual Sigstore: it serves until that is closed, with the last reference to it.
var open io.Closer

// sigstore is the address of a virtual Sigstore, built and started once.
var sigstore = sync.OnceValues(func() (string, error) {
	program, err := built("virtual", "cosign.mod")
	if err != nil {
		return "", err
	}
	command := exec.Command(program) //nolint:gosec,noctx // it ends with its input, which ends with the tests
	if open, err = command.StdinPipe(); err != nil {
		return "", err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := command.Start(); err != nil {
		return "", err
	}
	address, err := bufio.NewReader(out).ReadString('\n')
	return strings.TrimSpace(address), err
})

// asked is what the virtual Sigstore answers.
func asked(t *testing.T, path string, body []byte) []byte {
	t.Helper()
	address, err := sigstore()
	require.NoError(t, err)
	answer, err := http.Post(address+path, "application/json", bytes.NewReader(body)) //nolint:gosec,noctx // on this machine
	require.NoError(t, err)
	defer func() { require.NoError(t, answer.Body.Close()) }()
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.StatusCode, "%s", content)
	return content
}

func written(t *testing.T, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.json")
	require.NoError(t, os.WriteFile(file, content, 0o600))
	return file
}

// token has the form of one of OpenID Connect; the virtual Sigstore asks for no signature.
func token(name string) string {
	part := base64.RawURLEncoding.EncodeToString
	return part([]byte(`{"alg":"none"}`)) + "." + part(fmt.Appendf(nil, `{"sub":%q,"iss":%q,"aud":"sigstore"}`, name, issuer)) + ".e30"
}

// keyless is a call of somebody who has a token and no key, about an image that nobody attested without one.
func keyless(t *testing.T) *call {
	t.Helper()
	program(t, "cosign")
	root := written(t, asked(t, "/root.json", nil))
	return called(t, func(c *call) {
		r, err := native.New(native.Options{Log: &bytes.Buffer{}})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, r.Close(t.Context())) })
		c.backend.Runner, c.backend.Tool = r, tool(t)
		c.opts.Python = "3.11"
		c.opts.Attest.Key, c.opts.Attest.Token = nil, fake.Secret("SIGSTORE_ID_TOKEN", token(who))
		c.opts.Attest.Keyless = pipeline.Keyless{Services: written(t, asked(t, "/services.json", nil)), Root: root}
		c.opts.Verify = pipeline.VerifyOptions{
			Identities: []string{"other", who}, Issuer: issuer, Root: root, Require: []string{"provenance", "tests", "verdict"},
		}
	})
}

func (c *call) verify(t *testing.T) string {
	t.Helper()
	run := pipeline.Verify(t.Context(), c.backend, c.opts)
	require.Nil(t, run.Preflight)
	for _, p := range run.Stages[0].Problems {
		t.Logf("%s: %s", p.Code, p.Cause)
	}
	return codes(run.Stages[0])
}

func (c *call) bundles(t *testing.T) [][]byte {
	t.Helper()
	image, err := oci.At(t.Context(), c.opts.Image, oci.Login{}, nil)
	require.NoError(t, err)
	bundles, err := image.Bundles()
	require.NoError(t, err)
	return bundles
}

// TestSigningWithoutAKey lets the real cosign sign with a token and verify by a trusted root.
func TestSigningWithoutAKey(t *testing.T) {
	c := keyless(t)
	before := len(c.bundles(t))
	assert.Equal(t, "ATTESTATION_UNTRUSTED", c.verify(t), "a key signed it, and nobody asked for one")
	assert.Empty(t, c.run(t, verdict.Attest))
	assert.Len(t, c.bundles(t), before+3)
	assert.Empty(t, c.run(t, verdict.Attest))
	assert.Len(t, c.bundles(t), before+3, "repeating adds nothing, and logs nothing")
	assert.Empty(t, c.verify(t))
	for name, tc := range map[string]struct {
		change func(c *call)
		want   string
	}{
		"another identity":    {func(c *call) { c.opts.Verify.Identities = []string{"other", who + "x"} }, "ATTESTATION_OTHER_IDENTITY"},
		"another issuer":      {func(c *call) { c.opts.Verify.Issuer = "https://other.invalid" }, "ATTESTATION_OTHER_ISSUER"},
		"no cosign":           {func(c *call) { c.backend.Tool = nil }, "VERIFIER_MISSING"},
		"no root":             {func(c *call) { c.opts.Verify.Root = "" }, "BAD_ARGUMENT"},
		"a root that is none": {func(c *call) { c.opts.Verify.Root = written(t, []byte("{}")) }, "BAD_ARGUMENT"},
		"a root of other makers": {func(c *call) {
			c.opts.Verify.Root = written(t, withoutAuthorities(t, c.opts.Verify.Root))
		}, "ATTESTATION_INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			other := *c
			tc.change(&other)
			assert.Equal(t, tc.want, other.verify(t))
		})
	}
	c.opts.Attest.Token = fake.Secret("SIGSTORE_ID_TOKEN", "words")
	c.opts.Attest.From = filepath.Join(t.TempDir(), "report")
	_, digest, _ := strings.Cut(c.opts.Image, "@")
	run := &verdict.Run{Environment: "staging", Ref: "main", ImageDigest: digest, Stages: []verdict.Stage{
		{Name: verdict.Test, Verdict: verdict.Pass}, {Name: verdict.Train, Verdict: verdict.Pass},
	}}
	require.NoError(t, verdict.WriteReport(c.opts.Attest.From, run.Judge()))
	assert.Equal(t, "SIGN_FAILED", c.run(t, verdict.Attest), "a token that is none")
}

// withoutAuthorities is a trusted root that trusts none of those who made the certificates.
func withoutAuthorities(t *testing.T, file string) []byte {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	var root map[string]any
	require.NoError(t, json.Unmarshal(content, &root))
	var others []any
	all, _ := root["certificateAuthorities"].([]any)
	for _, one := range all {
		if authority, _ := one.(map[string]any); authority["uri"] != "https://fulcio.localhost" { // which makes those for tokens
			others = append(others, one)
		}
	}
	require.Len(t, others, 1)
	root["certificateAuthorities"] = others
	content, err = json.Marshal(root)
	require.NoError(t, err)
	return content
}

// beside puts one bundle beside an image, logged some minutes after its signature and then changed, and verifies.
func beside(t *testing.T, minutes int, change func(bundle map[string]any)) string {
	t.Helper()
	c := keyless(t)
	opened, err := attest.Open(c.bundles(t)[0])
	require.NoError(t, err)
	var bundle map[string]any
	require.NoError(t, json.Unmarshal(asked(t, fmt.Sprintf("/bundle?minutes=%d", minutes), opened.Payload), &bundle))
	change(bundle)
	content, err := json.Marshal(bundle)
	require.NoError(t, err)
	image, err := oci.At(t.Context(), c.opts.Image, oci.Login{}, nil)
	require.NoError(t, err)
	_, err = image.Attach(content)
	require.NoError(t, err)
	return c.verify(t)
}

func material(bundle map[string]any) map[string]any {
	found, _ := bundle["verificationMaterial"].(map[string]any)
	return found
}

func TestWhatIsLoggedWithoutAKey(t *testing.T) {
	assert.Equal(t, "ATTESTATION_MISSING", beside(t, 1, func(map[string]any) {}), "the one statement counts, others are missing")
	changed := beside(t, 1, func(bundle map[string]any) {
		envelope, _ := bundle["dsseEnvelope"].(map[string]any)
		payload, _ := envelope["payload"].(string)
		envelope["payload"] = "ICAg" + payload
	})
	assert.Equal(t, "ATTESTATION_INVALID", changed)
	assert.Equal(t, "ATTESTATION_INVALID", beside(t, 1, func(bundle map[string]any) {
		entries, _ := material(bundle)["tlogEntries"].([]any)
		entry, _ := entries[0].(map[string]any)
		entry["integratedTime"] = "0" // then nothing says when
	}))
}

func init() {
	plant("ATTESTATION_OTHER_IDENTITY", "signed without a key, by somebody else", "cosign", func(t *testing.T) string {
		c := keyless(t)
		c.opts.Attest.Token = fake.Secret("SIGSTORE_ID_TOKEN", token("somebody@example.invalid"))
		require.Empty(t, c.run(t, verdict.Attest))
		return c.verify(t)
	})
	plant("ATTESTATION_OTHER_ISSUER", "signed without a key, and somebody else vouched", "cosign", func(t *testing.T) string {
		c := keyless(t)
		require.Empty(t, c.run(t, verdict.Attest))
		c.opts.Verify.Issuer = "https://other.invalid"
		return c.verify(t)
	})
	plant("ATTESTATION_EXPIRED", "logged after the certificate's end", "cosign", func(t *testing.T) string {
		return beside(t, 30, func(map[string]any) {})
	})
	plant("ATTESTATION_NOT_LOGGED", "signed without a key, and in no log", "cosign", func(t *testing.T) string {
		return beside(t, 1, func(bundle map[string]any) { delete(material(bundle), "tlogEntries") })
	})
	plant("VERIFIER_MISSING", "signed without a key, and no cosign", "cosign", func(t *testing.T) string {
		c := keyless(t)
		require.Empty(t, c.run(t, verdict.Attest))
		c.backend.Tool = nil
		return c.verify(t)
	})
}
