package attest

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// key is a private key in memory.
type key struct {
	private *ecdsa.PrivateKey
	hint    string
}

// PrivateKey parses a private key: ECDSA on P-256, as PEM in PKCS #8 or SEC 1, without a password. Errors never contain any
// of it.
func PrivateKey(content []byte) (Signer, error) {
	block, _ := pem.Decode(content)
	if block == nil {
		return nil, errors.New("read signing key: it is not PEM")
	}
	if strings.Contains(block.Type+block.Headers["Proc-Type"], "ENCRYPTED") {
		return nil, errors.New("read signing key: it is encrypted; take the key without its password: " +
			"openssl ecparam -genkey -name prime256v1 | openssl pkcs8 -topk8 -nocrypt")
	}
	var private *ecdsa.PrivateKey
	if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
		private, _ = parsed.(*ecdsa.PrivateKey)
	} else if private, err = x509.ParseECPrivateKey(block.Bytes); err != nil {
		private = nil
	}
	if private == nil || private.Curve != elliptic.P256() {
		return nil, errors.New("read signing key: it is not a private key of ECDSA on P-256")
	}
	hint, err := Hint(&private.PublicKey)
	if err != nil {
		return nil, err
	}
	return key{private, hint}, nil
}

// Sign implements Signer. The signature is deterministic (RFC 6979), so that signing again gives the same bytes.
func (k key) Sign(_ context.Context, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	return k.private.Sign(nil, sum[:], crypto.SHA256)
}

// Hint implements Signer.
func (k key) Hint() string { return k.hint }

// Hint identifies a public key: the SHA-256 of its DER encoding, in base64.
func Hint(public *ecdsa.PublicKey) (string, error) {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return "", fmt.Errorf("name public key: %w", err)
	}
	sum := sha256.Sum256(der)
	return base64.StdEncoding.EncodeToString(sum[:]), nil
}

// maxKeys limits how many keys are accepted.
const maxKeys = 20

// PublicKeys parses one or more public keys (ECDSA on P-256) in PEM.
func PublicKeys(content []byte) ([]*ecdsa.PublicKey, error) {
	var keys []*ecdsa.PublicKey
	for rest := content; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			if strings.TrimSpace(string(rest)) != "" {
				return nil, errors.New("read public keys: there is something that is not PEM")
			}
			break
		}
		if strings.Contains(block.Type, "PRIVATE") {
			return nil, errors.New("read public keys: there is a private key; give its public part: openssl pkey -pubout")
		}
		parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
		public, ok := parsed.(*ecdsa.PublicKey)
		if err != nil || !ok || public.Curve != elliptic.P256() {
			return nil, errors.New("read public keys: there is one that is not a public key of ECDSA on P-256")
		}
		if keys = append(keys, public); len(keys) > maxKeys {
			return nil, fmt.Errorf("read public keys: more than %d", maxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("read public keys: the file has no key")
	}
	// The PEM decoder skips a damaged block. The statements of its owner, such as a failure, would then not count.
	if begun := strings.Count(string(content), "-----BEGIN "); begun != len(keys) {
		return nil, fmt.Errorf("read public keys: the file begins %d keys, and %d of them can be read", begun, len(keys))
	}
	return keys, nil
}

// signedBy reports whether one of the keys made one of the signatures.
func (o Opened) signedBy(keys []*ecdsa.PublicKey) bool {
	sum := sha256.Sum256(pae(o.envelope.PayloadType, o.Payload))
	for _, public := range keys {
		for _, s := range o.envelope.Signatures {
			if ecdsa.VerifyASN1(public, sum[:], s.Sig) {
				return true
			}
		}
	}
	return false
}

// claims reports whether the bundle names one of the keys.
func (o Opened) claims(keys []*ecdsa.PublicKey) bool {
	for _, public := range keys {
		if hint, err := Hint(public); err == nil && hint == o.Hint {
			return true
		}
	}
	return false
}
