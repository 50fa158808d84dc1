package attest

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Identity is who may sign keyless: the name in a certificate that Fulcio issued for one signature, and the issuer that
// vouched for the name.
type Identity struct{ Name, Issuer string }

// Proof is cosign's result for a keyless bundle: whether certificate, signature and log entry are valid for the trusted root.
// cosign checks neither the name nor the subject.
type Proof struct {
	Valid bool
	// Text is the reason why not.
	Text string
}

// certificate is the certificate of a keyless signature.
type certificate struct {
	RawBytes []byte `json:"rawBytes"`

	parsed *x509.Certificate
}

// logged is the time of the entry in a transparency log; 0 if a timestamp is used instead.
func logged(entry json.RawMessage) int64 {
	var read struct {
		IntegratedTime json.Number `json:"integratedTime"`
	}
	if json.Unmarshal(entry, &read) != nil {
		return 0
	}
	seconds, err := read.IntegratedTime.Int64()
	if err != nil {
		return 0
	}
	return seconds
}

// Extensions of Fulcio's certificates with the issuer; the first is encoded as ASN.1, the older one is plain.
var (
	issuerExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 8}
	olderExtension  = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}
)

// parse parses the certificate.
func (c *certificate) parse() error {
	parsed, err := x509.ParseCertificate(c.RawBytes)
	if err != nil {
		return errors.New("read bundle: its certificate cannot be parsed")
	}
	c.parsed = parsed
	return nil
}

// names returns all names in the certificate.
func (c *certificate) names() []string {
	all := slices.Clone(c.parsed.EmailAddresses)
	for _, uri := range c.parsed.URIs {
		all = append(all, uri.String())
	}
	return append(all, c.parsed.DNSNames...)
}

// issuer returns who vouched for the name, or an empty string.
func (c *certificate) issuer() string {
	newer, older := "", ""
	for _, e := range c.parsed.Extensions {
		switch {
		case e.Id.Equal(issuerExtension):
			if rest, err := asn1.Unmarshal(e.Value, &newer); err != nil || len(rest) > 0 {
				return ""
			}
		case e.Id.Equal(olderExtension):
			older = string(e.Value)
		}
	}
	return cmp.Or(newer, older)
}

// String is the identity for people.
func (c *certificate) String() string {
	return strings.Join(c.names(), ", ") + ", vouched for by " + cmp.Or(c.issuer(), "nobody")
}

// Sum identifies a bundle in Demand.Proofs by its bytes.
func Sum(bundle []byte) string {
	sum := sha256.Sum256(bundle)
	return hex.EncodeToString(sum[:])
}

// Keyless re-encodes a keyless bundle from what was parsed, so that cosign verifies exactly that, whatever else the file
// contains. It also returns the predicate type. It returns nil for a bundle signed with a key and for anything else.
func Keyless(content []byte) (anew []byte, kind string) {
	opened, err := Open(content)
	if err != nil || opened.keyless == nil {
		return nil, ""
	}
	anew, err = json.Marshal(bundle{MediaType: BundleType, Material: *opened.keyless, Envelope: opened.envelope})
	if err != nil {
		return nil, ""
	}
	return anew, opened.Statement.PredicateType
}

// certified verifies a keyless bundle: its identity, its log entry, its time, and cosign's result. A certificate is valid for
// minutes; it must have been valid at the time of the log entry.
func (o Opened) certified(content []byte, demand Demand) *verdict.Problem {
	c, kind := o.keyless.Certificate, Short(o.Statement.PredicateType)
	vouched := func(i Identity) bool { return i.Issuer == c.issuer() }
	switch {
	case !slices.ContainsFunc(demand.Identities, vouched):
		return verdict.Problemf(OtherIssuer, "%s is signed by %s", kind, c)
	case !slices.ContainsFunc(demand.Identities, func(i Identity) bool { return vouched(i) && slices.Contains(c.names(), i.Name) }):
		return verdict.Problemf(OtherIdentity, "%s is signed by %s", kind, c)
	case len(o.keyless.Entries) == 0:
		return verdict.Problemf(NotLogged, "%s is signed by %s, and no log has it", kind, c)
	}
	from, to := c.parsed.NotBefore, c.parsed.NotAfter
	for _, e := range o.keyless.Entries {
		if seconds := logged(e); seconds != 0 && (time.Unix(seconds, 0).Before(from) || time.Unix(seconds, 0).After(to)) {
			return verdict.Problemf(Expired, "%s was logged at %s, and its certificate was valid from %s to %s", kind,
				time.Unix(seconds, 0).UTC().Format(time.DateTime), from.UTC().Format(time.DateTime), to.UTC().Format(time.DateTime))
		}
	}
	switch proof := demand.Proofs[Sum(content)]; {
	case proof.Valid:
		return nil
	case strings.Contains(proof.Text, "certificate has expired or is not yet valid"): // by a timestamp, not by the log
		return verdict.Problemf(Expired, "%s: %s", kind, proof.Text)
	default:
		return verdict.Problemf(Invalid, "the signature on %s does not hold: %s", kind, cmp.Or(proof.Text, "it was not looked at"))
	}
}
