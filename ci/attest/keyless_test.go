package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"fmt"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	workflow = "https://github.com/acme/rca/.github/workflows/deploy.yml@refs/heads/main"
	vouching = "https://token.actions.githubusercontent.com"
)

// leaf is a certificate in the form of Fulcio's, for ten minutes from now. Nobody trustworthy made it: who
// did is cosign's question.
func leaf(t *testing.T, older bool) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	name, err := url.Parse(workflow)
	require.NoError(t, err)
	id, value := issuerExtension, []byte(nil)
	if value, err = asn1.MarshalWithParams(vouching, "utf8"); older {
		id, value = olderExtension, []byte(vouching)
	}
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), URIs: []*url.URL{name}, NotBefore: now, NotAfter: now.Add(10 * time.Minute),
		ExtraExtensions: []pkix.Extension{{Id: id, Value: value}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	return der
}

// unkeyed are the bundles of a run that was signed without a key, each logged at a time.
func unkeyed(t *testing.T, at time.Time, change func(b map[string]any)) [][]byte {
	t.Helper()
	statements, err := facts(nil).Statements()
	require.NoError(t, err)
	der := leaf(t, false)
	var all [][]byte
	for _, s := range statements {
		payload, err := json.Marshal(s)
		require.NoError(t, err)
		b := map[string]any{
			"mediaType": BundleType, "dsseEnvelope": map[string]any{
				"payload": payload, "payloadType": PayloadType, "signatures": []any{map[string]any{"sig": []byte("signature")}},
			},
			"verificationMaterial": map[string]any{
				"certificate": map[string]any{"rawBytes": der}, "tlogEntries": []any{map[string]any{"integratedTime": fmt.Sprint(at.Unix())}},
			},
		}
		if change != nil {
			change(b)
		}
		content, err := json.Marshal(b)
		require.NoError(t, err)
		all = append(all, content)
	}
	return all
}

// TestSignedWithoutAKey compares names, issuers, logs and times; cosign's answer is given.
func TestSignedWithoutAKey(t *testing.T) {
	during := now.Add(time.Minute)
	material := func(b map[string]any) map[string]any {
		found, _ := b["verificationMaterial"].(map[string]any)
		return found
	}
	unlogged := func(b map[string]any) { delete(material(b), "tlogEntries") }
	ok, in := Proof{Valid: true}, unkeyed(t, during, nil)
	for name, tc := range map[string]struct {
		bundles [][]byte
		proof   Proof
		change  func(d *Demand)
		want    string
	}{
		"who is trusted":   {in, ok, nil, ""},
		"another identity": {in, ok, func(d *Demand) { d.Identities[0].Name += "x" }, "OTHER_IDENTITY"},
		"another issuer":   {in, ok, func(d *Demand) { d.Identities[0].Issuer += "x" }, "OTHER_ISSUER"},
		"the name of one and the issuer of another": {in, ok, func(d *Demand) {
			d.Identities = []Identity{{workflow, "https://other.invalid"}, {"other", vouching}}
		}, "OTHER_IDENTITY"},
		"nobody is trusted without a key":         {in, ok, func(d *Demand) { d.Identities = nil }, "UNTRUSTED"},
		"in no log":                               {unkeyed(t, during, unlogged), ok, nil, "NOT_LOGGED"},
		"logged after the certificate's end":      {unkeyed(t, now.Add(11*time.Minute), nil), ok, nil, "EXPIRED"},
		"logged before its beginning":             {unkeyed(t, now.Add(-time.Minute), nil), ok, nil, "EXPIRED"},
		"stamped outside of it, as cosign says":   {in, Proof{Text: "x509: certificate has expired or is not yet valid: x"}, nil, "EXPIRED"},
		"a signature that cosign does not accept": {in, Proof{Text: "invalid signature"}, nil, "INVALID"},
		"what nobody looked at":                   {in, Proof{}, func(d *Demand) { d.Proofs = nil }, "INVALID"},
		"a certificate that cannot be parsed": {unkeyed(t, during, func(b map[string]any) {
			material(b)["certificate"] = map[string]any{"rawBytes": []byte("none")}
		}), ok, nil, "INVALID"},
	} {
		t.Run(name, func(t *testing.T) {
			d := Demand{
				Digest: digest, Identities: []Identity{{workflow, vouching}}, Require: Types(), Environment: "production", Now: now,
				Proofs: map[string]Proof{},
			}
			for _, b := range tc.bundles {
				d.Proofs[Sum(b)] = tc.proof
			}
			if tc.change != nil {
				tc.change(&d)
			}
			var got string
			for _, p := range Check(tc.bundles, d).Problems {
				got += strings.TrimPrefix(p.Code.Name, "ATTESTATION_")
			}
			assert.Equal(t, tc.want, got)
		})
	}
}

// TestKeyless: cosign gets what was read, and nothing else of the file.
func TestKeyless(t *testing.T) {
	one := unkeyed(t, now, func(b map[string]any) {
		b["dsse_envelope"] = map[string]any{"payload": "e30="}
		b["VERIFICATIONMATERIAL2"] = "x"
	})[0]
	var anew map[string]any
	again, kind := Keyless(one)
	assert.Equal(t, Provenance, kind)
	require.NoError(t, json.Unmarshal(again, &anew))
	assert.Len(t, anew, 3)
	opened, err := Open(again)
	require.NoError(t, err)
	assert.Contains(t, opened.Hint, workflow+", vouched for by "+vouching)
	again, _ = Keyless([]byte("{}"))
	assert.Nil(t, again)
	older := &certificate{RawBytes: leaf(t, true)}
	require.NoError(t, older.parse())
	assert.Equal(t, vouching, older.issuer())
	assert.Zero(t, logged(json.RawMessage(`{"integratedTime":"soon"}`)))
	assert.Zero(t, logged(json.RawMessage(`7`)))
}
