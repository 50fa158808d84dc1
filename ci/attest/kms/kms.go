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
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/openstack-rca/openstack-rca/ci/attest"
)

// api is what is used of AWS KMS.
type api interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
}

// Options name the key and how to reach it.
type Options struct {
	// Key is an ARN, an id or an alias: alias/openstack-rca.
	Key string
	// Region is the key's; Credentials may use it. Endpoint is AWS's own when empty.
	Region, Endpoint string
	Credentials      aws.CredentialsProvider
}

// signer is a key whose public part was fetched.
type signer struct {
	api    api
	key    string
	public *ecdsa.PublicKey
	hint   string
}

// Open fetches the public key and checks that it can sign what is needed.
func Open(ctx context.Context, o Options) (attest.Signer, error) {
	opts := kms.Options{Region: o.Region, Credentials: o.Credentials, RetryMaxAttempts: 3}
	if o.Endpoint != "" {
		opts.BaseEndpoint = aws.String(o.Endpoint)
	}
	return open(ctx, kms.New(opts), o.Key)
}

func open(ctx context.Context, client api, key string) (attest.Signer, error) {
	out, err := client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &key})
	if err != nil {
		return nil, fmt.Errorf("get public key of %s: %w", key, err)
	}
	if out.KeySpec != types.KeySpecEccNistP256 || out.KeyUsage != types.KeyUsageTypeSignVerify {
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

// Sign implements attest.Signer. The digest is sent, because KMS takes messages of 4,096 bytes at
// most. What comes back is verified: a signature of another key would only be noticed at the
// deployment.
func (s signer) Sign(ctx context.Context, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	out, err := s.api.Sign(ctx, &kms.SignInput{
		KeyId: &s.key, Message: sum[:], MessageType: types.MessageTypeDigest, SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
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
