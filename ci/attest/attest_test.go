package attest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	now    = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	digest = "sha256:" + strings.Repeat("a", 64)
)

// pair is a new key: private and public, in PEM.
func pair(t *testing.T) (private, public []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return encode(t, key)
}

func encode(t *testing.T, key *ecdsa.PrivateKey) (private, public []byte) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	pub, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})
}

func facts(change func(*Facts)) Facts {
	f := Facts{
		Repository: "registry.example/app", Digest: digest, Application: "app", Environment: "production", Ref: "main", Commit: "abc",
		Tree: digest, Config: digest, Model: strings.Repeat("b", 64), Version: "v7", Builder: "1.0", Runner: "engine",
		Started: now.Add(-2 * time.Hour), Ended: now.Add(-time.Hour), Verdict: "pass",
		Stages: []StageVerdict{{"test", "pass", "", ""}, {"train", "pass", "", ""}}, BOM: [][]byte{[]byte(`{"bomFormat":"CycloneDX"}`)},
		SPDX: [][]byte{[]byte(`{"spdxVersion":"SPDX-2.3"}`)},
		Scan: &Scan{Scanner: "osv", Database: "osv", Data: now.Add(-24 * time.Hour), Found: []Vulnerability{{ID: "CVE-1", Package: "a", Version: "1", Severity: "low", Leads: "note"}}},
	}
	if change != nil {
		change(&f)
	}
	return f
}

func bundles(t *testing.T, private []byte, f Facts) [][]byte {
	t.Helper()
	signer, err := PrivateKey(private)
	require.NoError(t, err)
	statements, err := f.Statements()
	require.NoError(t, err)
	var all [][]byte
	for _, s := range statements {
		b, err := Sign(t.Context(), s, signer)
		require.NoError(t, err)
		all = append(all, b)
	}
	return all
}

func demand(t *testing.T, public []byte) Demand {
	t.Helper()
	keys, err := PublicKeys(public)
	require.NoError(t, err)
	return Demand{
		Digest: digest, Keys: keys, Require: Types(), Environment: "production", Refs: []string{"main", "release/*"},
		MaxAge: 7 * 24 * time.Hour, MaxDataAge: 7 * 24 * time.Hour, Now: now,
	}
}

func codes(v Verified) string {
	var all []string
	for _, p := range v.Problems {
		all = append(all, p.Code.Name)
	}
	return strings.Join(all, " ")
}

func TestWhatIsSignedIsAccepted(t *testing.T) {
	private, public := pair(t)
	all := bundles(t, private, facts(nil))
	v := Check(all, demand(t, public))
	assert.Empty(t, v.Problems)
	assert.Len(t, v.Accepted, 6)
	assert.Equal(t, all, bundles(t, private, facts(nil)), "the same facts give the same bytes")
	two := demand(t, append(mustPublic(t), public...))
	assert.Empty(t, Check(all, two).Problems, "one of several keys")
}

func mustPublic(t *testing.T) []byte {
	t.Helper()
	_, public := pair(t)
	return public
}

// altered changes the payload of a bundle and leaves its signature.
func altered(t *testing.T, content []byte, from, to string) []byte {
	t.Helper()
	var b bundle
	require.NoError(t, json.Unmarshal(content, &b))
	require.Contains(t, string(b.Envelope.Payload), from)
	b.Envelope.Payload = []byte(strings.Replace(string(b.Envelope.Payload), from, to, 1))
	changed, err := json.Marshal(b)
	require.NoError(t, err)
	return changed
}

// TestPlantedFaults are faults in what is stated, or in who states it. Each has its own code.
func TestPlantedFaults(t *testing.T) {
	private, public := pair(t)
	other, _ := pair(t)
	good := func(change func(*Facts)) [][]byte { return bundles(t, private, facts(change)) }
	for name, tc := range map[string]struct {
		bundles [][]byte
		demand  func(*Demand)
		want    string
	}{
		"nothing is stated":                 {nil, nil, "ATTESTATION_MISSING"},
		"not all is stated":                 {good(func(f *Facts) { f.Scan = nil }), nil, "ATTESTATION_MISSING"},
		"copied from another":               {good(func(f *Facts) { f.Digest = "sha256:" + strings.Repeat("c", 64) }), nil, "ATTESTATION_OTHER_SUBJECT"},
		"signed by another key":             {bundles(t, other, facts(nil)), nil, "ATTESTATION_UNTRUSTED"},
		"changed after signing":             {[][]byte{altered(t, good(nil)[4], "PASSED", "FAILED")}, nil, "ATTESTATION_INVALID"},
		"another subject put in":            {[][]byte{altered(t, good(nil)[0], strings.Repeat("a", 64), strings.Repeat("d", 64))}, nil, "ATTESTATION_INVALID"},
		"no bundle":                         {[][]byte{[]byte("{}"), []byte("<html>")}, nil, "ATTESTATION_INVALID"},
		"the run failed":                    {good(func(f *Facts) { f.Verdict = "fail" }), nil, "ATTESTATION_NOT_PASS"},
		"it could not run":                  {good(func(f *Facts) { f.Verdict = "could-not-run" }), nil, "ATTESTATION_NOT_PASS"},
		"the tests failed":                  {good(func(f *Facts) { f.Stages[0].Verdict = "fail" }), nil, "ATTESTATION_NOT_PASS"},
		"nothing was tested":                {good(func(f *Facts) { f.Stages = nil }), nil, "ATTESTATION_NOT_PASS"},
		"a vulnerability fails":             {good(func(f *Facts) { f.Scan.Found[0].Leads = "fail" }), nil, "ATTESTATION_NOT_PASS"},
		"for another environment":           {good(func(f *Facts) { f.Environment = "staging" }), nil, "ATTESTATION_OTHER_ENVIRONMENT"},
		"for one that is allowed":           {good(func(f *Facts) { f.Environment = "staging" }), func(d *Demand) { d.From = []string{"staging"} }, ""},
		"from another branch":               {good(func(f *Facts) { f.Ref = "refs/heads/feature" }), nil, "ATTESTATION_OTHER_ENVIRONMENT"},
		"from a release branch":             {good(func(f *Facts) { f.Ref = "refs/heads/release/7" }), nil, ""},
		"an old verdict":                    {good(func(f *Facts) { f.Ended = now.Add(-8 * 24 * time.Hour) }), nil, "VERDICT_TOO_OLD"},
		"old data":                          {good(func(f *Facts) { f.Scan.Data = now.Add(-8 * 24 * time.Hour) }), nil, "VERDICT_TOO_OLD"},
		"a verdict of tomorrow":             {good(func(f *Facts) { f.Ended = now.Add(24 * time.Hour) }), nil, "ATTESTATION_INVALID"},
		"a search of next year":             {append(good(nil), good(func(f *Facts) { f.Ended = now.AddDate(1, 0, 0) })[2]), nil, "ATTESTATION_INVALID"},
		"a pass of the same second, before": {append(good(nil), good(func(f *Facts) { f.Verdict = "fail" })...), nil, "ATTESTATION_NOT_PASS"},
		"a pass of the same second, after":  {append(good(func(f *Facts) { f.Verdict = "fail" }), good(nil)...), nil, "ATTESTATION_NOT_PASS"},
		"a search of the same second": {append(good(func(f *Facts) { f.Scan.Found[0].Leads = "fail" }), good(nil)...), nil,
			"ATTESTATION_NOT_PASS"},
		"a search that judges nothing": {good(func(f *Facts) { f.Scan.Found[0].Leads = "" }), nil, "ATTESTATION_NOT_PASS"},
		"one that is allowed":          {good(func(f *Facts) { f.Scan.Found[0].Leads = "allowed" }), nil, ""},
		"nothing was found":            {good(func(f *Facts) { f.Scan.Found = nil }), nil, ""},
		"junk beside the right one": {append(bundles(t, other, facts(nil)), append([][]byte{[]byte("junk")}, good(nil)...)...), nil,
			""},
		"a newer one failed": {append(good(nil), good(func(f *Facts) { f.Verdict, f.Ended = "fail", now.Add(-time.Minute) })...), nil,
			"ATTESTATION_NOT_PASS"},
		"an older one failed": {append(good(func(f *Facts) { f.Verdict, f.Ended = "fail", now.Add(-3*time.Hour) }), good(nil)...), nil, ""},
		"a newer failure that nobody trusted signed": {append(good(nil), bundles(t, other, facts(func(f *Facts) {
			f.Verdict, f.Ended = "fail", now.Add(-time.Minute)
		}))...), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			d := demand(t, public)
			if tc.demand != nil {
				tc.demand(&d)
			}
			v := Check(tc.bundles, d)
			assert.Equal(t, tc.want, codes(v), "%v", v.Problems)
		})
	}
}

// TestWhatWasFound holds that what a search found comes back as it was stated.
func TestWhatWasFound(t *testing.T) {
	private, public := pair(t)
	stated := []Vulnerability{
		{ID: "CVE-1", Package: "a", Version: "1", Severity: "critical", Leads: "note", In: "locks", Aliases: []string{"GHSA-1"}, Exploited: true},
		{ID: "CVE-2", Package: "b", Version: "1", Severity: "high", Leads: "allowed", In: "image", Fixed: []string{"2"}, Published: now},
	}
	v := Check(bundles(t, private, facts(func(f *Facts) { f.Scan.Found = stated })), demand(t, public))
	assert.Empty(t, v.Problems)
	assert.Equal(t, stated, v.Found)
	older := found(map[string]any{"scanner": map[string]any{"result": []any{map[string]any{"id": "CVE-3"}, "nothing"}}})
	require.Len(t, older, 2)
	assert.NotEmpty(t, older[0].Fixed, "what is not stated takes nothing off the severity")
	assert.Empty(t, older[0].Severity)
}

func TestAnotherBuilder(t *testing.T) {
	private, public := pair(t)
	signer, err := PrivateKey(private)
	require.NoError(t, err)
	statements, err := facts(nil).Statements()
	require.NoError(t, err)
	for from, want := range map[string]string{BuildType: "ATTESTATION_UNTRUSTED", `"id":"` + Verifier + `"`: "ATTESTATION_UNTRUSTED"} {
		s := statements[0]
		s.Predicate = []byte(strings.Replace(string(s.Predicate), from, strings.Replace(from, "openstack-rca", "else", 1), 1))
		b, err := Sign(t.Context(), s, signer)
		require.NoError(t, err)
		d := demand(t, public)
		d.Require = []string{Provenance}
		assert.Equal(t, want, codes(Check([][]byte{b}, d)))
	}
	listless := statements[2]
	listless.Predicate = []byte(strings.Replace(string(listless.Predicate), `"result":`, `"results":`, 1))
	b, err := Sign(t.Context(), listless, signer)
	require.NoError(t, err)
	d := demand(t, public)
	d.Require = []string{Vulns}
	assert.Equal(t, "ATTESTATION_INVALID", codes(Check([][]byte{b}, d)), "a search without a list of what it found")
	for _, s := range []Statement{
		{Type: "https://in-toto.io/Statement/v9", Subject: statements[0].Subject, PredicateType: Summary, Predicate: []byte("{}")},
		{Type: StatementType, Subject: statements[0].Subject, PredicateType: Summary, Predicate: []byte("[]")},
		{Type: StatementType, Subject: statements[0].Subject, PredicateType: Summary, Predicate: []byte("{}")},
	} {
		b, err := Sign(t.Context(), s, signer)
		require.NoError(t, err)
		assert.Equal(t, "ATTESTATION_INVALID", codes(Check([][]byte{b}, demand(t, public))))
	}
}

func TestKeysThatAreNone(t *testing.T) {
	private, public := pair(t)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	large, largePublic := encode(t, p384)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(weak)
	require.NoError(t, err)
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("key"), "public": public, "another curve": large,
		"RSA":       pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}),
		"encrypted": pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED SIGSTORE PRIVATE KEY", Bytes: []byte("x")}),
	} {
		_, err := PrivateKey(content)
		require.ErrorContains(t, err, "read signing key", name)
	}
	_, err = PrivateKey(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: []byte("x"),
		Headers: map[string]string{"Proc-Type": "4,ENCRYPTED", "DEK-Info": "AES-128-CBC,00"}}))
	require.ErrorContains(t, err, "it is encrypted")
	for name, content := range map[string][]byte{
		"empty": nil, "text": []byte("key"), "private": private, "another curve": largePublic, "text behind": append(public, "x"...),
		"a damaged one before": []byte(strings.Replace(string(public), "\nM", "\n!", 1) + string(public)),
		"too many":             []byte(strings.Repeat(string(public), maxKeys+1)),
	} {
		_, err := PublicKeys(content)
		require.ErrorContains(t, err, "read public keys", name)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	sec1, err := x509.MarshalECPrivateKey(key)
	require.NoError(t, err)
	_, err = PrivateKey(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}))
	require.NoError(t, err)
}

func TestOpen(t *testing.T) {
	private, _ := pair(t)
	good := string(bundles(t, private, facts(nil))[0])
	for name, content := range map[string]string{
		"empty": "", "another type": strings.Replace(good, "bundle.v0.3", "bundle.v0.9", 1),
		"another payload": strings.Replace(good, PayloadType, "text/plain", 1),
		"no signature":    `{"mediaType":"` + BundleType + `","dsseEnvelope":{"payloadType":"` + PayloadType + `","payload":"e30=","signatures":[]}}`,
		"no statement":    `{"mediaType":"` + BundleType + `","dsseEnvelope":{"payloadType":"` + PayloadType + `","payload":"W10=","signatures":[{"sig":"AA=="}]}}`,
	} {
		_, err := Open([]byte(content))
		require.ErrorContains(t, err, "read bundle", name)
	}
}

// TestCraftedBundles are bundles that one program could read in another way than the next.
func TestCraftedBundles(t *testing.T) {
	private, public := pair(t)
	other, _ := pair(t)
	d := demand(t, public)
	d.Require = []string{Summary}
	passed, failed := bundles(t, private, facts(nil))[4], bundles(t, private, facts(func(f *Facts) { f.Verdict = "fail" }))[4]
	forged := bundles(t, other, facts(nil))[4]
	part := func(content []byte) (b bundle) {
		require.NoError(t, json.Unmarshal(content, &b))
		return b
	}
	encoded := func(b bundle) string {
		content, err := json.Marshal(b)
		require.NoError(t, err)
		return string(content)
	}
	two := part(passed)
	two.Envelope.Signatures = append(part(forged).Envelope.Signatures, two.Envelope.Signatures...)
	lent := part(forged)
	lent.Material, lent.Envelope.Signatures = part(failed).Material, append(lent.Envelope.Signatures, part(failed).Envelope.Signatures...)
	kind := part(passed)
	kind.Envelope.PayloadType = "application/json"
	payload := func(b bundle) string {
		return `"payload":` + strings.Split(strings.SplitN(encoded(b), `"payload":`, 2)[1], ",")[0]
	}
	twice := strings.Replace(encoded(part(failed)), payload(part(failed)), payload(part(failed))+","+payload(part(passed)), 1)
	for name, tc := range map[string]struct{ content, want string }{
		"two signatures, one of them trusted": {encoded(two), ""},
		"the signature of another statement":  {encoded(lent), "ATTESTATION_INVALID"},
		"two payloads":                        {twice, "ATTESTATION_INVALID"},
		"another type of payload":             {encoded(kind), "ATTESTATION_INVALID"},
		"a list":                              {"[" + string(passed) + "]", "ATTESTATION_INVALID"},
		"cut":                                 {string(passed[:len(passed)/2]), "ATTESTATION_INVALID"},
		"very deep":                           {strings.Repeat(`{"a":`, 100_000), "ATTESTATION_INVALID"},
	} {
		assert.Equal(t, tc.want, codes(Check([][]byte{[]byte(tc.content)}, d)), name)
	}
	assert.Equal(t, "ATTESTATION_MISSING", codes(Check([][]byte{passed}, demand(t, public))), "a summary alone is not all")
}
