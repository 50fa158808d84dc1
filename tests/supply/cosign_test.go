package supply

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
)

// signed is an image with the statements of a run, and the public key.
func signed(t *testing.T, referrers bool) (reference string, public []byte, private *ecdsa.PrivateKey) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0)), registry.WithReferrersSupport(referrers)))
	t.Cleanup(server.Close)
	image, err := random.Image(64, 1)
	require.NoError(t, err)
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/app:v1")
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	reference = tag.Context().Digest(digest.String()).String()
	private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	signer, err := attest.PrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	require.NoError(t, err)
	pub, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	require.NoError(t, err)
	statements, err := attest.Facts{
		Repository: tag.Context().String(), Digest: digest.String(), Verdict: "pass", Environment: "staging", Ref: "main", Ended: time.Now(),
		Stages: []attest.StageVerdict{{Name: "test", Verdict: "pass"}}, Scan: &attest.Scan{Data: time.Now()}, BOM: [][]byte{[]byte(`{"bomFormat":"CycloneDX"}`)}, SPDX: [][]byte{[]byte(`{"spdxVersion":"SPDX-2.3"}`)},
	}.Statements()
	require.NoError(t, err)
	at, err := oci.At(t.Context(), reference, oci.Login{}, nil)
	require.NoError(t, err)
	for _, s := range statements {
		bundle, err := attest.Sign(t.Context(), s, signer)
		require.NoError(t, err)
		_, err = at.Attach(bundle)
		require.NoError(t, err)
	}
	return reference, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}), private
}

func cosign(t *testing.T, args ...string) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), program(t, "cosign"), args...)
	command.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "COSIGN_PASSWORD="}
	out, err := command.CombinedOutput()
	return string(out), err
}

// TestCosignAcceptsWhatIsAttested lets cosign verify every type, in registries with and without the
// API of referrers.
func TestCosignAcceptsWhatIsAttested(t *testing.T) {
	program(t, "cosign")
	for _, referrers := range []bool{true, false} {
		reference, public, _ := signed(t, referrers)
		key := filepath.Join(t.TempDir(), "key.pem")
		require.NoError(t, os.WriteFile(key, public, 0o600))
		// By the names that cosign has for the types of the two bills of materials, too.
		for _, kind := range append(attest.Types(), "cyclonedx", "spdxjson", "slsaprovenance1") {
			out, err := cosign(t, "verify-attestation", "--key", key, "--insecure-ignore-tlog", "--type", kind, reference)
			assert.NoError(t, err, "referrers %t, %s: %s", referrers, kind, out)
		}
		out, err := cosign(t, "verify-attestation", "--key", key, "--insecure-ignore-tlog", "--type", "https://example.invalid/other", reference)
		assert.Error(t, err, out)
		_, other, _ := signed(t, referrers)
		require.NoError(t, os.WriteFile(key, other, 0o600))
		out, err = cosign(t, "verify-attestation", "--key", key, "--insecure-ignore-tlog", "--type", attest.Summary, reference)
		assert.Error(t, err, "another key: %s", out)
	}
}

// TestWhatCosignSignsIsRead lets cosign sign a statement with the same key.
func TestWhatCosignSignsIsRead(t *testing.T) {
	program(t, "cosign")
	reference, public, private := signed(t, true)
	dir := t.TempDir()
	der, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	plain := filepath.Join(dir, "plain.pem")
	require.NoError(t, os.WriteFile(plain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600))
	out, err := cosign(t, "import-key-pair", "--key", plain, "--output-key-prefix", filepath.Join(dir, "k"))
	require.NoError(t, err, out)
	out, err = cosign(t, "signing-config", "create", "--out", filepath.Join(dir, "sc.json"))
	require.NoError(t, err, out)
	predicate := filepath.Join(dir, "predicate.json")
	require.NoError(t, os.WriteFile(predicate, []byte(`{"timeVerified":"`+time.Now().UTC().Add(time.Minute).Format(time.RFC3339)+`","verificationResult":"FAILED"}`), 0o600))
	out, err = cosign(t, "attest", "--key", filepath.Join(dir, "k.key"), "--signing-config", filepath.Join(dir, "sc.json"),
		"--type", attest.Summary, "--predicate", predicate, reference)
	require.NoError(t, err, out)
	at, err := oci.At(t.Context(), reference, oci.Login{}, nil)
	require.NoError(t, err)
	bundles, err := at.Bundles()
	require.NoError(t, err)
	assert.Len(t, bundles, 7)
	keys, err := attest.PublicKeys(public)
	require.NoError(t, err)
	_, digest, _ := strings.Cut(reference, "@")
	v := attest.Check(bundles, attest.Demand{Digest: digest, Keys: keys, Require: attest.Types(), Now: time.Now()})
	assert.Zero(t, v.Ignored, "a bundle of cosign's counts")
	require.NotEmpty(t, v.Problems)
	assert.Equal(t, "ATTESTATION_NOT_PASS", v.Problems[len(v.Problems)-1].Code.Name, "the newest verdict is that of cosign")
	encrypted, err := os.ReadFile(filepath.Join(dir, "k.key"))
	require.NoError(t, err)
	_, err = attest.PrivateKey(encrypted)
	require.ErrorContains(t, err, "encrypted")
}
