package pipeline

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

// keylessBundle has the form of a bundle that was signed without a key.
func keylessBundle(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), EmailAddresses: []string{"a@example.com"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	content, err := json.Marshal(map[string]any{
		"mediaType":            attest.BundleType,
		"verificationMaterial": map[string]any{"certificate": map[string]any{"rawBytes": der}},
		"dsseEnvelope": map[string]any{
			"payload": []byte(`{"_type":"` + attest.StatementType + `"}`), "payloadType": attest.PayloadType,
			"signatures": []any{map[string]any{"sig": []byte("x")}},
		},
	})
	require.NoError(t, err)
	return content
}

func TestWhatCosignSaysIsBelievedOnlyIfItRefusesAChangedBundle(t *testing.T) {
	const root = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}`
	answer := func(bundle, planted string) map[string]string {
		return map[string]string{"out/0.code": bundle + "\n", "out/0.txt": "Error: no\n", "out/planted.code": planted + "\n", "out/planted.txt": ""}
	}
	for name, c := range map[string]struct {
		root  string
		code  int
		left  map[string]string
		tool  error
		valid bool
		fails string
	}{
		"accepted":               {root, 0, answer("0", "1"), nil, true, ""},
		"refused":                {root, 0, answer("1", "1"), nil, false, ""},
		"all is accepted":        {root, 0, answer("0", "0"), nil, false, "accepts a signature that was changed"},
		"nothing is said":        {root, 0, map[string]string{}, nil, false, "read what cosign says"},
		"it ended":               {root, 3, answer("0", "1"), nil, false, "cosign ended with 3"},
		"there is none":          {root, 0, nil, errors.New("not on PATH"), false, "not on PATH"},
		"a root that is no root": {`{"mediaType":"text/plain"}`, 0, answer("0", "1"), nil, false, "not a trusted root"},
	} {
		t.Run(name, func(t *testing.T) {
			r := fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
				assert.True(t, step.Offline)
				return fake.Result(c.code, c.left), nil
			})
			b := Backend{Runner: r, Tool: func(context.Context, string) (runner.Files, error) { return fake.Files(nil), c.tool }}
			file := filepath.Join(t.TempDir(), "root.json")
			require.NoError(t, os.WriteFile(file, []byte(c.root), 0o600))
			content := keylessBundle(t)
			at := attester{call: &call{backend: b, opts: Options{Verify: VerifyOptions{Root: file}}}}
			proofs, err := at.proofs(t.Context(), [][]byte{[]byte("{}"), content})
			if c.fails != "" {
				require.ErrorContains(t, err, c.fails)
				assert.Empty(t, proofs)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, map[string]attest.Proof{attest.Sum(content): {Valid: c.valid, Text: "no"}}, proofs)
		})
	}
}
