package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/attest/kms"
	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// AttestOptions say who signs, and what.
type AttestOptions struct {
	// Key is a private key in PEM; KMS the ARN, id or alias of a key of AWS KMS. One of both.
	Key runner.Secret
	KMS string
	// From is the local directory of the report of the run that built the image; this run when empty.
	From string
}

// signs reports whether there is a key.
func (o AttestOptions) signs() bool { return o.Key != nil || o.KMS != "" }

// RegistryOptions log in to the registry of the image. Without them, the AWS credentials log in to
// a registry of ECR.
type RegistryOptions struct {
	Username, Password runner.Secret
	// Transport replaces HTTP; for tests.
	Transport http.RoundTripper
}

// attest states what the run found about the image, signed, beside the image.
func (s *state) attest(ctx context.Context, permit policy.Permit) verdict.Stage {
	stage := verdict.Stage{Name: verdict.Attest}
	facts, problem := s.facts()
	if problem != nil {
		return failed(verdict.Attest, problem)
	}
	signer, problem := s.signer(ctx, permit)
	if problem != nil {
		return failed(verdict.Attest, problem)
	}
	statements, err := facts.Statements()
	if err != nil {
		return failed(verdict.Attest, verdict.Problemf(attest.SignFailed, "%v", err))
	}
	stage.Add("image", facts.Digest)
	stage.Add("key", signer.Hint())
	var bundles [][]byte
	for i, statement := range statements {
		bundle, err := attest.Sign(ctx, statement, signer)
		if err != nil {
			return *stage.Judge(verdict.Problemf(attest.SignFailed, "%v", err))
		}
		bundles = append(bundles, bundle)
		name := strings.NewReplacer("/", "-", ".", "-").Replace(attest.Short(statement.PredicateType))
		stage.Files = append(stage.Files, verdict.ReportFile{Path: fmt.Sprintf("attest/%d-%s.sigstore.json", i+1, name), Content: bundle})
	}
	if s.opts.sandbox() && s.opts.Image == "" {
		stage.Add("attached", "no: the registry of the sandbox ends with the run")
		return *stage.Judge()
	}
	return s.attach(ctx, permit, stage, statements, bundles)
}

// attach writes bundles beside the image.
func (s *state) attach(
	ctx context.Context, permit policy.Permit, stage verdict.Stage, statements []attest.Statement, bundles [][]byte,
) verdict.Stage {
	if !permit.Allows(verdict.Attest) {
		return *stage.Judge(verdict.Problemf(policy.CodeBlocked.In(verdict.Attest), "the gate gave no permit"))
	}
	image, err := s.registry(ctx, permit)
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
			stage.Published = append(stage.Published, kind+" of "+s.outcome.Image)
		}
		stage.Add(kind, map[bool]string{true: "attached", false: "was there"}[added])
	}
	return *stage.Judge()
}

// facts are those of the run that built the image: this one, or the one whose report is given.
func (s *state) facts() (attest.Facts, *verdict.Problem) {
	run, read := s.run, s.reportFile
	if s.opts.Attest.From != "" {
		var err error
		if run, err = readRun(s.opts.Attest.From); err != nil {
			return attest.Facts{}, verdict.Problemf(attest.Refused, "%v", err)
		}
		read = func(name string) []byte { return optional(filepath.Join(s.opts.Attest.From, filepath.FromSlash(name))) }
	} else if s.opts.Image != "" {
		return attest.Facts{}, verdict.Problemf(attest.Refused, "--image names an image of an earlier run, and --from has no report of it")
	}
	reference, err := imageref.ParsePinned(s.outcome.Image)
	if err != nil {
		return attest.Facts{}, verdict.Problemf(attest.Refused, "the image is not named by its digest: %v", err)
	}
	repository, digest, _ := strings.Cut(reference.String(), "@")
	if run.ImageDigest != digest {
		return attest.Facts{}, verdict.Problemf(attest.Refused, "the run built %q, not %s", run.ImageDigest, digest)
	}
	f := attest.Facts{
		Repository: repository, Digest: digest, Application: run.Application, Environment: run.Environment, Ref: run.Ref, Commit: run.Commit,
		Source: s.cfg.Image.Source, Tree: run.Tree, Config: s.cfg.Digest(), Model: run.ModelSHA256, Version: run.ModelVersion,
		Builder: run.Module, Runner: run.Runner, Started: run.Started, Ended: run.Started.Add(time.Duration(run.Seconds * float64(time.Second))),
		Verdict: string(verdict.Pass), BOM: read("audit/sbom.cdx.json"),
	}
	if run == s.run {
		f.Ended = time.Now()
	}
	if run.Tree != s.run.Tree {
		f.Config = "" // the configuration here is another one
	}
	if st := run.Stage(verdict.Audit); st == nil || st.Verdict != verdict.Pass {
		// A file that is there all the same is of an earlier run into the same directory.
		f.BOM = nil
	} else {
		f.Scan = scanOf(read("audit/findings.json"), "locks")
	}
	for _, st := range run.Stages {
		if st.Name == verdict.Attest || st.Name == verdict.Deploy {
			continue
		}
		f.Stages = append(f.Stages, attest.StageVerdict{Name: st.Name, Verdict: string(st.Verdict), Code: st.Code})
		if st.Verdict != verdict.Pass && st.Verdict != verdict.NotRun {
			return f, verdict.Problemf(attest.Refused, "%s of that run did not pass (%s)", st.Name, st.Code)
		}
	}
	for _, wanted := range verdict.Requires(verdict.Publish) {
		if st := run.Stage(wanted); st == nil || st.Verdict != verdict.Pass {
			return f, verdict.Problemf(attest.Refused, "%s is no part of that run, or did not pass", wanted)
		}
	}
	return f, nil
}

// reportFile is a file that a stage of this run adds to the report; nil when there is none.
func (s *state) reportFile(name string) []byte {
	for _, st := range s.run.Stages {
		for _, f := range st.Files {
			if f.Path == name {
				return f.Content
			}
		}
	}
	return nil
}

// maxReport bounds a file of a report that is read back.
const maxReport = 64 << 20

// readRun reads report.json of a report.
func readRun(dir string) (*verdict.Run, error) {
	content := optional(filepath.Join(dir, verdict.ReportJSON))
	if content == nil {
		return nil, fmt.Errorf("%s is not in the report", verdict.ReportJSON)
	}
	run := &verdict.Run{}
	if err := json.Unmarshal(content, run); err != nil {
		return nil, fmt.Errorf("read %s: %w", verdict.ReportJSON, err)
	}
	return run, nil
}

// optional is a file's content; nil when it is not there, or too large to be what is looked for.
func optional(file string) []byte {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) || err != nil || info.Size() > maxReport {
		return nil
	}
	content, err := os.ReadFile(file) //nolint:gosec // the caller names the report
	if err != nil {
		return nil
	}
	return content
}

// scanOf is what an audit (in the locks) or a scan (in the image) found, as its report has it; nil
// when it compared nothing.
func scanOf(content []byte, in string) *attest.Scan {
	var report struct {
		Database *struct {
			Kind   string               `json:"kind"`
			Schema string               `json:"schema"`
			Digest string               `json:"digest"`
			Data   map[string]time.Time `json:"data"`
		} `json:"database"`
		Vulnerabilities []struct {
			Finding advisory.Finding `json:"finding"`
			Leads   string           `json:"leads_to"`
		} `json:"vulnerabilities"`
	}
	if json.Unmarshal(content, &report) != nil || report.Database == nil {
		return nil
	}
	scan := &attest.Scan{Scanner: attest.Verifier, Version: Version, Database: report.Database.Kind + ":" + report.Database.Digest}
	for _, at := range report.Database.Data {
		if scan.Data.IsZero() || at.Before(scan.Data) {
			scan.Data = at
		}
	}
	for _, v := range report.Vulnerabilities {
		leads, _, _ := strings.Cut(v.Leads, " ")
		f := v.Finding
		scan.Found = append(scan.Found, attest.Vulnerability{
			ID: f.ID, Aliases: f.Aliases, Package: f.Package, Version: f.Version, Severity: f.Severity, Leads: leads, In: in,
			Fixed: f.Fixed, Published: f.Published, Exploited: f.Exploited,
		})
	}
	return scan
}

// signer is the key of the call.
func (s *state) signer(ctx context.Context, permit policy.Permit) (attest.Signer, *verdict.Problem) {
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
	if parts := strings.Split(o.KMS, ":"); len(parts) > 3 { // an ARN names its region
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

// keys are the AWS credentials of the call.
func (s *state) keys(ctx context.Context, permit policy.Permit) (oci.AWS, error) {
	if !slices.ContainsFunc([]string{verdict.Image, verdict.Attest, verdict.Deploy}, permit.AllowsReading) {
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

// registry opens the image with the login of the call.
func (s *state) registry(ctx context.Context, permit policy.Permit) (oci.Image, error) {
	var login oci.Login
	switch o := s.opts.Registry; {
	case o.Password != nil && o.Username != nil:
		username, err := o.Username.Plaintext(ctx)
		password, unread := o.Password.Plaintext(ctx)
		if err = errors.Join(err, unread); err != nil {
			return oci.Image{}, errors.New("the login of the registry cannot be read")
		}
		login = oci.Login{Username: strings.TrimSpace(username), Password: strings.TrimSpace(password)}
	case partition.RegistryRegion(oci.Host(s.outcome.Image)) != "":
		values, err := s.keys(ctx, permit)
		if err != nil {
			return oci.Image{}, fmt.Errorf("log in to ECR: %w", err)
		}
		values.Region = partition.RegistryRegion(oci.Host(s.outcome.Image))
		if login, err = oci.ECRLogin(ctx, values); err != nil {
			return oci.Image{}, err
		}
	}
	return oci.At(ctx, s.outcome.Image, login, s.opts.Registry.Transport)
}
