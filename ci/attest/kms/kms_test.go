package kms

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
)

// fake is AWS KMS for one key, as its API reference has it (JSON 1.1).
type fake struct {
	key         *ecdsa.PrivateKey
	spec, usage string
	// hashesAgain is a fault: it hashes what it was told is a digest.
	hashesAgain, denies bool
	calls               []string
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	action := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	f.calls = append(f.calls, action)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	fail := func(kind string) {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"` + kind + `","message":"no"}`))
	}
	var in struct {
		KeyId, MessageType, SigningAlgorithm string //nolint:revive,staticcheck // AWS's names
		Message                              []byte
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.KeyId != "alias/openstack-rca" {
		fail("NotFoundException")
		return
	}
	if f.denies {
		fail("AccessDeniedException")
		return
	}
	var out any
	switch action {
	case "GetPublicKey":
		der, _ := x509.MarshalPKIXPublicKey(&f.key.PublicKey)
		out = map[string]any{"KeyId": in.KeyId, "PublicKey": der, "KeySpec": f.spec, "KeyUsage": f.usage}
	case "Sign":
		digest := in.Message
		if in.MessageType != "DIGEST" || f.hashesAgain {
			sum := sha256.Sum256(in.Message)
			digest = sum[:]
		}
		if len(digest) != 32 || in.SigningAlgorithm != "ECDSA_SHA_256" {
			fail("ValidationException")
			return
		}
		sig, _ := ecdsa.SignASN1(rand.Reader, f.key, digest)
		out = map[string]any{"Signature": sig}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func serve(t *testing.T, change func(*fake)) (*fake, Options) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	f := &fake{key: key, spec: "ECC_NIST_P256", usage: "SIGN_VERIFY"}
	if change != nil {
		change(f)
	}
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return f, Options{
		Key: "alias/openstack-rca", Region: "eu-central-1", Endpoint: server.URL,
		Credentials: credentials.NewStaticCredentialsProvider("test", "test", ""),
	}
}

func TestSign(t *testing.T) {
	f, options := serve(t, nil)
	signer, err := Open(t.Context(), options)
	require.NoError(t, err)
	statement := attest.Statement{Type: attest.StatementType, PredicateType: attest.Summary, Predicate: []byte(`{"a":"` + strings.Repeat("x", 5000) + `"}`)}
	bundle, err := attest.Sign(t.Context(), statement, signer)
	require.NoError(t, err, "a message of more than 4,096 bytes")
	opened, err := attest.Open(bundle)
	require.NoError(t, err)
	hint, err := attest.Hint(&f.key.PublicKey)
	require.NoError(t, err)
	assert.Equal(t, hint, opened.Hint)
	assert.Equal(t, []string{"GetPublicKey", "Sign"}, f.calls)
}

func TestAKeyThatCannotSign(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*fake)
		want   string
	}{
		"another kind":  {func(f *fake) { f.spec = "RSA_2048" }, "its kind is RSA_2048"},
		"to encrypt":    {func(f *fake) { f.usage = "KEY_AGREEMENT" }, "KEY_AGREEMENT"},
		"no permission": {func(f *fake) { f.denies = true }, "AccessDeniedException"},
		"another curve": {func(f *fake) {
			key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
			require.NoError(t, err)
			f.key = key
		}, "not one of ECDSA on P-256"},
	} {
		t.Run(name, func(t *testing.T) {
			_, options := serve(t, tc.change)
			_, err := Open(t.Context(), options)
			require.ErrorContains(t, err, tc.want)
		})
	}
	_, options := serve(t, func(f *fake) { f.hashesAgain = true })
	signer, err := Open(t.Context(), options)
	require.NoError(t, err)
	_, err = signer.Sign(t.Context(), []byte("message"))
	require.ErrorContains(t, err, "does not fit")
	f, options := serve(t, nil)
	signer, err = Open(t.Context(), options)
	require.NoError(t, err)
	f.denies = true
	_, err = signer.Sign(t.Context(), []byte("message"))
	require.ErrorContains(t, err, "sign with alias/openstack-rca")
}
