package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/attest/kms"
	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// AttestOptions choose what is attested, and the key that signs it.
type AttestOptions struct {
	// Exactly one of these signs: Key is a private key in PEM; KMS is the ARN, id or alias of an AWS KMS key; Token is an
	// OpenID Connect token of the CI system, for keyless signing with the services in Keyless.
	Key     runner.Secret
	KMS     string
	Token   runner.Secret
	Keyless Keyless
	// From is the local report directory of the run that built the image; empty means this run.
	From string
}

// signs reports whether there is a key or a token.
func (o AttestOptions) signs() bool { return o.Key != nil || o.KMS != "" || o.Token != nil }

// RegistryOptions are the credentials for the image's registry. If they are empty, the AWS credentials log in to ECR.
type RegistryOptions struct {
	// Address is where images are pushed, if pipeline.yaml does not say; only doctor uses it.
	Address            string
	Username, Password runner.Secret
	// Transport replaces the HTTP transport in tests.
	Transport http.RoundTripper
}

// attest signs statements of what the run found about the image, and stores them beside it in the registry.
func (s attester) attest(ctx context.Context, permit policy.Permit) verdict.Stage {
	stage := verdict.Stage{Name: verdict.Attest}
	facts, problem := s.facts()
	if problem != nil {
		return failed(verdict.Attest, problem)
	}
	statements, err := facts.Statements()
	if err != nil {
		return failed(verdict.Attest, verdict.Problemf(attest.SignFailed, "%v", err))
	}
	stage.Add("image", facts.Digest)
	bundles, problem := s.signed(ctx, permit, statements)
	if problem != nil {
		return *stage.Judge(problem)
	}
	for i, statement := range statements {
		if opened, err := attest.Open(bundles[i]); err == nil && i == 0 {
			stage.Add("key", opened.Hint)
		}
		name := strings.NewReplacer("/", "-", ".", "-").Replace(attest.Short(statement.PredicateType))
		stage.Files = append(stage.Files, verdict.ReportFile{Path: fmt.Sprintf("attest/%d-%s.sigstore.json", i+1, name), Content: bundles[i]})
	}
	if s.opts.sandbox() && s.opts.Image == "" {
		stage.Add("attached", "no: the registry of the sandbox ends with the run")
		return *stage.Judge()
	}
	return s.attach(ctx, permit, stage, statements, bundles)
}

// signed returns the signed statements, from a local key or keyless, as the call asks.
func (s attester) signed(ctx context.Context, permit policy.Permit, statements []attest.Statement) ([][]byte, *verdict.Problem) {
	o := s.opts.Attest
	if o.Token == nil {
		signer, problem := s.signer(ctx, permit)
		if problem != nil {
			return nil, problem
		}
		var bundles [][]byte
		for _, statement := range statements {
			bundle, err := attest.Sign(ctx, statement, signer)
			if err != nil {
				return nil, verdict.Problemf(attest.SignFailed, "%v", err)
			}
			bundles = append(bundles, bundle)
		}
		return bundles, nil
	}
	switch {
	case o.Key != nil || o.KMS != "":
		return nil, verdict.Problemf(attest.KeyUnavailable, "there are a key and a token: one of them signs")
	case s.opts.sandbox():
		return nil, verdict.Problemf(attest.KeyUnavailable, "the sandbox signs with a key only: without one, a log keeps the signature")
	case !permit.Allows(verdict.Attest):
		return nil, verdict.Problemf(policy.CodeBlocked.In(verdict.Attest), "the gate gave no permit")
	}
	image, err := s.registry(ctx, permit, s.image)
	if err != nil {
		return nil, verdict.Problemf(attest.ReferrersRefused, "%v", err)
	}
	return s.signedKeyless(ctx, statements, image)
}

// attester handles the statements about one image.
type attester struct {
	*call
	image imageref.Reference
	// unpinned explains why the call does not name an image by digest.
	unpinned error
}

// attach uploads the bundles to the registry, beside the image.
func (s attester) attach(
	ctx context.Context, permit policy.Permit, stage verdict.Stage, statements []attest.Statement, bundles [][]byte,
) verdict.Stage {
	if !permit.Allows(verdict.Attest) {
		return *stage.Judge(verdict.Problemf(policy.CodeBlocked.In(verdict.Attest), "the gate gave no permit"))
	}
	image, err := s.registry(ctx, permit, s.image)
	if err != nil {
		return *stage.Judge(verdict.Problemf(attest.ReferrersRefused, "%v", err))
	}
	for i, bundle := range bundles {
		kind := attest.Short(statements[i].PredicateType)
		added, err := image.Attach(bundle)
		if err != nil {
			problem := verdict.Problemf(attest.ReferrersRefused, "attach %s: %v", kind, err)
			problem.Published = stage.Published
			return *stage.Judge(problem)
		}
		if added {
			stage.Published = append(stage.Published, kind+" of "+s.image.Written())
		}
		stage.Add(kind, map[bool]string{true: "attached", false: "was there"}[added])
	}
	return *stage.Judge()
}

// signer returns the key that the call signs with.
func (s attester) signer(ctx context.Context, permit policy.Permit) (attest.Signer, *verdict.Problem) {
	o := s.opts.Attest
	if o.Key != nil && o.KMS != "" {
		return nil, verdict.Problemf(attest.KeyUnavailable, "there are two keys: one in the call, and one of KMS")
	}
	if o.Key != nil {
		content, err := o.Key.Plaintext(ctx)
		if err != nil {
			return nil, verdict.Problemf(attest.KeyUnavailable, "the key cannot be read")
		}
		signer, err := attest.PrivateKey([]byte(content))
		if err != nil {
			return nil, verdict.Problemf(attest.KeyUnavailable, "%v", err)
		}
		return signer, nil
	}
	values, err := s.keys(ctx, permit)
	if err != nil {
		return nil, verdict.Problemf(attest.KeyUnavailable, "%v", err)
	}
	region := values.Region
	if parts := strings.Split(o.KMS, ":"); len(parts) > 3 { // the ARN contains the region
		region = parts[3]
	}
	signer, err := kms.Open(ctx, kms.Options{
		Key: o.KMS, Region: region, Endpoint: values.Endpoint,
		Credentials: credentials.NewStaticCredentialsProvider(values.AccessKey, values.SecretKey, values.SessionToken),
	})
	if err != nil {
		return nil, verdict.Problemf(attest.KeyUnavailable, "%v", err)
	}
	return signer, nil
}

// keys returns the AWS credentials of the call.
func (s *call) keys(ctx context.Context, permit policy.Permit) (oci.AWS, error) {
	if !slices.ContainsFunc([]string{verdict.Image, verdict.Scan, verdict.Attest, verdict.Deploy}, permit.AllowsReading) {
		return oci.AWS{}, errors.New("the gate gave no permit")
	}
	to := s.opts.Target
	values := oci.AWS{Region: to.Region, Endpoint: s.opts.Rollout.Endpoint}
	if values.Region == "" {
		values.Region = s.cfg.Rollout.Region
	}
	if to.AccessKey == nil || to.SecretKey == nil {
		return values, errors.New("there are no AWS credentials: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	for _, secret := range []struct {
		from runner.Secret
		to   *string
	}{{to.AccessKey, &values.AccessKey}, {to.SecretKey, &values.SecretKey}, {to.SessionToken, &values.SessionToken}} {
		if secret.from == nil {
			continue
		}
		value, err := secret.from.Plaintext(ctx)
		if err != nil {
			return values, fmt.Errorf("%s cannot be read", secret.from.Name())
		}
		*secret.to = strings.TrimSpace(value)
	}
	return values, nil
}

// registry opens the image's repository with the credentials of the call.
func (s *call) registry(ctx context.Context, permit policy.Permit, image imageref.Reference) (oci.Image, error) {
	login, err := s.login(ctx, permit, image.Repository)
	if err != nil {
		return oci.Image{}, err
	}
	return oci.At(ctx, image.String(), login, s.opts.Registry.Transport)
}

// login returns the credentials for a repository's registry: those of the call, a login to ECR made from the AWS credentials,
// or none for any other registry.
func (s *call) login(ctx context.Context, permit policy.Permit, of imageref.Repository) (oci.Login, error) {
	switch o := s.opts.Registry; {
	case o.Password != nil && o.Username != nil:
		username, err := o.Username.Plaintext(ctx)
		password, unread := o.Password.Plaintext(ctx)
		if err = errors.Join(err, unread); err != nil {
			return oci.Login{}, errors.New("the login of the registry cannot be read")
		}
		return oci.Login{Username: strings.TrimSpace(username), Password: strings.TrimSpace(password)}, nil
	case partition.RegistryRegion(of.Registry()) != "":
		values, err := s.keys(ctx, permit)
		if err != nil {
			return oci.Login{}, fmt.Errorf("log in to ECR: %w", err)
		}
		values.Region = partition.RegistryRegion(of.Registry())
		return oci.ECRLogin(ctx, values)
	}
	return oci.Login{}, nil
}
