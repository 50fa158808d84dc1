// Package kms signs with a key of AWS KMS: the private key never leaves it.
package kms

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// service is AWS KMS.
var service = awscall.Service{
	ID: "KMS", Name: "kms", Endpoint: awscall.Regional("kms", false), Protocol: awscall.JSON{Target: "TrentService", Version: "1.1"},
}

// Members of the two operations in use, by their names in the API reference.
type (
	publicKeyInput  struct{ KeyId string }
	publicKeyOutput struct {
		KeySpec, KeyUsage string
		PublicKey         []byte
	}
	signInput struct {
		KeyId                         string
		Message                       []byte
		MessageType, SigningAlgorithm string
	}
	signOutput struct{ Signature []byte }
)

// Options name the key and how to reach it.
type Options struct {
	// Key is an ARN, an id or an alias: alias/openstack-rca.
	Key string
	// Region is the key's; Credentials may use it. Endpoint is AWS's own when empty.
	Region, Endpoint string
	Credentials      aws.CredentialsProvider
}

// signer is a key with its fetched public part.
type signer struct {
	api    *awscall.Client
	key    string
	public *ecdsa.PublicKey
	hint   string
}

// Open fetches the public key and checks that the key can sign.
func Open(ctx context.Context, o Options) (attest.Signer, error) {
	cfg := aws.Config{Region: o.Region, Credentials: o.Credentials, RetryMaxAttempts: 3}
	if o.Endpoint != "" {
		cfg.BaseEndpoint = aws.String(o.Endpoint)
	}
	return open(ctx, awscall.New(cfg, service), o.Key)
}

func open(ctx context.Context, client *awscall.Client, key string) (attest.Signer, error) {
	out, err := awscall.Do[publicKeyOutput](ctx, client, "GetPublicKey", publicKeyInput{key})
	if err != nil {
		return nil, fmt.Errorf("get public key of %s: %w", key, err)
	}
	if out.KeySpec != "ECC_NIST_P256" || out.KeyUsage != "SIGN_VERIFY" {
		return nil, fmt.Errorf("use key %s: its kind is %s for %s; what is needed is ECC_NIST_P256 for SIGN_VERIFY",
			key, out.KeySpec, out.KeyUsage)
	}
	parsed, err := x509.ParsePKIXPublicKey(out.PublicKey)
	public, ok := parsed.(*ecdsa.PublicKey)
	if err != nil || !ok || public.Curve != elliptic.P256() {
		return nil, fmt.Errorf("use key %s: its public key is not one of ECDSA on P-256", key)
	}
	hint, err := attest.Hint(public)
	if err != nil {
		return nil, err
	}
	return signer{client, key, public, hint}, nil
}

// Sign implements attest.Signer. It sends the digest, because KMS accepts messages of at most 4,096 bytes, and verifies the
// result: a signature by another key would otherwise only be noticed at deployment.
func (s signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	out, err := awscall.Do[signOutput](ctx, s.api, "Sign", signInput{
		KeyId: s.key, Message: sum[:], MessageType: "DIGEST", SigningAlgorithm: "ECDSA_SHA_256",
	})
	if err != nil {
		return nil, fmt.Errorf("sign with %s: %w", s.key, err)
	}
	if !ecdsa.VerifyASN1(s.public, sum[:], out.Signature) {
		return nil, errors.New("sign with " + s.key + ": the signature does not fit the message and the key")
	}
	return out.Signature, nil
}

// Hint implements attest.Signer.
func (s signer) Hint() string { return s.hint }
