package attest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Media types and limits.
const (
	// BundleType is the media type of a Sigstore bundle.
	BundleType = "application/vnd.dev.sigstore.bundle.v0.3+json"
	// PayloadType is the type of an in-toto statement in an envelope.
	PayloadType = "application/vnd.in-toto+json"
	// MaxBundle limits the size of a bundle in bytes; one with a bill of materials has some megabytes.
	MaxBundle = 16 << 20
)

// Signer signs a message: its SHA-256, with ECDSA on P-256, encoded as ASN.1.
type Signer interface {
	Sign(ctx context.Context, message []byte) ([]byte, error)
	// Hint identifies the public key; see the function Hint.
	Hint() string
}

// bundle is a Sigstore bundle of version 0.3 with a DSSE envelope and a plain public key.
type bundle struct {
	MediaType string   `json:"mediaType"`
	Material  material `json:"verificationMaterial"`
	Envelope  envelope `json:"dsseEnvelope"`
}

type material struct {
	PublicKey *publicKey `json:"publicKey,omitempty"`
	// Certificate and Entries belong to a keyless signature.
	Certificate *certificate      `json:"certificate,omitempty"`
	Entries     []json.RawMessage `json:"tlogEntries,omitempty"`
	Timestamps  json.RawMessage   `json:"timestampVerificationData,omitempty"`
}

type publicKey struct {
	Hint string `json:"hint"`
}

type envelope struct {
	Payload     []byte      `json:"payload"`
	PayloadType string      `json:"payloadType"`
	Signatures  []signature `json:"signatures"`
}

type signature struct {
	Sig   []byte `json:"sig"`
	KeyID string `json:"keyid,omitempty"`
}

// pae returns what is signed: DSSE's pre-authentication encoding of type and payload.
func pae(kind string, payload []byte) []byte {
	return fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(kind), kind, len(payload), payload)
}

// Sign returns a signed statement as a bundle.
func Sign(ctx context.Context, statement Statement, signer Signer) ([]byte, error) {
	payload, err := json.Marshal(statement)
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	sig, err := signer.Sign(ctx, pae(PayloadType, payload))
	if err != nil {
		return nil, fmt.Errorf("sign statement: %w", err)
	}
	content, err := json.Marshal(bundle{
		MediaType: BundleType, Material: material{PublicKey: &publicKey{Hint: signer.Hint()}},
		Envelope: envelope{Payload: payload, PayloadType: PayloadType, Signatures: []signature{{Sig: sig}}},
	})
	if err != nil {
		return nil, fmt.Errorf("write bundle: %w", err)
	}
	if len(content) > MaxBundle {
		return nil, fmt.Errorf("write bundle: %d bytes are more than %d", len(content), MaxBundle)
	}
	return content, nil
}

// Opened is a well-formed bundle whose signature has not been verified.
type Opened struct {
	Statement Statement
	// Payload is the signed statement.
	Payload []byte
	// Hint identifies the key, or the identity of a keyless signature, according to the bundle.
	Hint string

	envelope envelope
	// keyless is the material of a keyless signature, or nil.
	keyless *material
}

// Open parses a bundle. The error says why it is malformed.
func Open(content []byte) (Opened, error) {
	var b bundle
	if err := json.Unmarshal(content, &b); err != nil {
		return Opened{}, errors.New("read bundle: it is not JSON in the form of a bundle")
	}
	switch {
	case b.MediaType != BundleType:
		return Opened{}, fmt.Errorf("read bundle: its type is %q", b.MediaType)
	case b.Envelope.PayloadType != PayloadType:
		return Opened{}, fmt.Errorf("read bundle: its payload has the type %q", b.Envelope.PayloadType)
	case len(b.Envelope.Signatures) == 0:
		return Opened{}, errors.New("read bundle: it has no signature")
	}
	opened := Opened{Payload: b.Envelope.Payload, envelope: b.Envelope}
	switch {
	case b.Material.PublicKey != nil:
		opened.Hint = b.Material.PublicKey.Hint
	case b.Material.Certificate != nil:
		if err := b.Material.Certificate.parse(); err != nil {
			return Opened{}, err
		}
		opened.keyless, opened.Hint = &b.Material, b.Material.Certificate.String()
	}
	decoder := json.NewDecoder(bytes.NewReader(b.Envelope.Payload))
	if err := decoder.Decode(&opened.Statement); err != nil || decoder.More() {
		return Opened{}, errors.New("read bundle: its payload is not one statement")
	}
	return opened, nil
}

// Short returns the last part of a predicate type, for people: provenance/v1.
func Short(kind string) string {
	parts := strings.Split(kind, "/")
	return strings.Join(parts[max(0, len(parts)-2):], "/")
}
