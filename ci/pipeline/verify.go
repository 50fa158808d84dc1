package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// VerifyOptions are what a deployment requires of the image's attestations. None of it is read from pipeline.yaml, which is
// part of the source under judgement. Without a key or identity nothing is required.
type VerifyOptions struct {
	// Keys is the path of a local file with the trusted public keys in PEM.
	Keys string
	// Identities, Issuer and Root (the path of a local file) must be given together.
	Identities   []string
	Issuer, Root string
	// MaxAge and MaxDataAge default to seven days.
	MaxAge, MaxDataAge string
	// Require has names from Statements; empty means all but sbom.
	From, Require []string
	// Rules is the path of a local file for config.LoadRules; empty means the configuration's defaults.
	Rules string
}

// trusts reports whether any key or identity is trusted.
func (o VerifyOptions) trusts() bool { return o.Keys != "" || o.keyless() }

// keyless reports whether any option for keyless verification is set.
func (o VerifyOptions) keyless() bool { return len(o.Identities) > 0 || o.Issuer != "" || o.Root != "" }

// Statements has the names of the attestations that can be required, with their predicate types.
func Statements() map[string]string {
	return map[string]string{
		"provenance": attest.Provenance, "sbom": attest.SBOM, "vulnerabilities": attest.Vulns,
		"tests": attest.TestResult, "verdict": attest.Summary,
	}
}

// week is the default maximum age of a verdict and its data.
const week = 7 * 24 * time.Hour

// Verify checks an image as deploy would. It changes nothing.
func Verify(ctx context.Context, backend Backend, opts Options) *verdict.Run {
	s := prepare(ctx, backend, opts)
	return s.operate(policy.Action{Stage: verdict.Deploy, Reads: true}, func(permit policy.Permit) verdict.Stage {
		if !s.opts.Verify.trusts() {
			return failed(verdict.Deploy, verdict.Problemf(CodeBadArgument,
				"--verify-key is needed: the public key that is trusted; or --verify-identity with --verify-issuer and --verify-root"))
		}
		found := s.attester().verified(ctx, permit)
		return *found.stage.Judge(found.problems...)
	})
}

// verification is the result of verifying the image of a deployment.
type verification struct {
	stage    verdict.Stage
	problems []*verdict.Problem
}

// verify is the first step of a deployment. If the call gives a reason to deploy anyway, problems become warnings.
func (s attester) verify(ctx context.Context, permit policy.Permit) verification {
	found := verification{stage: verdict.Stage{Name: verdict.Deploy}}
	switch {
	case s.opts.Verify.trusts() && s.opts.sandbox() && s.opts.Image == "":
		found.stage.Add("attestation", "not verified: the registry of the sandbox ends with the run")
		return found
	case s.opts.Verify.trusts():
		found = s.verified(ctx, permit)
	case s.opts.sandbox():
		return found
	case s.opts.Image == "":
		// The gate only admits images that passed in this call.
		found.stage.Add("attestation", "not demanded: this call built the image, and its stages passed")
		if !s.opts.Attest.signs() {
			found.stage.Warn(attest.Unsigned, "this run has no key, so nobody can verify its image later")
		}
		return found
	case s.opts.Environment == rollout.Production:
		found.problems = append(found.problems, verdict.Problemf(attest.KeyMissing,
			"--image names an image, and there is neither --verify-key nor --verify-identity"))
	default:
		found.stage.Warn(attest.Unsigned, "there is neither --verify-key nor --verify-identity")
	}
	if reason := s.opts.Rollout.Override; reason != "" && len(found.problems) > 0 {
		for _, p := range found.problems {
			found.stage.Warn(attest.Overridden, "%s: %s; deployed because: %s", p.Code.Name, p.Cause, reason)
		}
		// Gates that failed are reported as facts.
		for i := range found.stage.Evidence {
			found.stage.Evidence[i].OK, found.stage.Evidence[i].Want = true, ""
		}
		found.problems = nil
	}
	return found
}

// verified reads the image's attestations and compares them with the requirements.
func (s attester) verified(ctx context.Context, permit policy.Permit) verification {
	found := verification{stage: verdict.Stage{Name: verdict.Deploy}}
	fail := func(p ...*verdict.Problem) verification {
		found.problems = append(found.problems, p...)
		return found
	}
	demand, problems := s.demand()
	rules, err := s.verifyRules()
	if err != nil {
		problems = append(problems, verdict.Problemf(CodeBadArgument, "--verify-rules: %v", err))
	}
	if len(problems) > 0 {
		return fail(problems...)
	}
	image, err := s.registry(ctx, permit, s.image)
	if err != nil {
		return fail(verdict.Problemf(attest.Unreadable, "%v", err))
	}
	bundles, err := image.Bundles()
	if err != nil {
		return fail(verdict.Problemf(attest.Unreadable, "%v", err))
	}
	if s.opts.Verify.keyless() {
		if demand.Proofs, err = s.proofs(ctx, bundles); err != nil {
			return fail(verdict.Problemf(attest.VerifierMissing, "%v", err))
		}
	}
	v := attest.Check(bundles, demand)
	found.stage.Gate("attestation", fmt.Sprintf("%d of %d statements count", len(v.Accepted), v.Read),
		"signed by whom the call trusts, of this image", len(v.Problems) == 0)
	refused, passed := byRules(v.Found, rules, demand.Now)
	if _, searched := v.Accepted[attest.Vulns]; searched {
		found.stage.Gate("vulnerabilities that the call's rules refuse", fmt.Sprint(len(refused)), "0", len(refused) == 0)
	}
	if len(refused) > 0 {
		problem := verdict.Problemf(attest.VulnerabilitiesRefused, "%d: %s", len(refused), strings.Join(refused[:min(len(refused), 10)], ", "))
		problem.Details = refused
		v.Problems = append(v.Problems, problem)
	}
	if n := len(passed); n > 0 {
		found.stage.Warn(attest.LetPass, "%d: %s", n, strings.Join(passed[:min(n, 10)], ", "))
	}
	table := &verdict.Table{Columns: []string{"Statement", "Made", "Key"}}
	for _, kind := range slices.Sorted(maps.Keys(v.Accepted)) {
		made := "not stated"
		if at := v.Accepted[kind].At; !at.IsZero() {
			made = at.UTC().Format(time.DateTime)
		}
		table.Rows = append(table.Rows, []string{attest.Short(kind), made, v.Accepted[kind].Hint})
	}
	if len(table.Rows) > 0 {
		found.stage.Blocks = append(found.stage.Blocks, verdict.Block{Title: "What is stated about the image", Table: table, Answer: true})
	}
	return fail(v.Problems...)
}

// verifyRules returns the deployer's rules.
func (s attester) verifyRules() (config.Security, error) {
	name := s.opts.Verify.Rules
	if name == "" {
		return config.Default().Security, nil
	}
	content, err := readKeyFile(name)
	if err != nil {
		return config.Security{}, err
	}
	return config.LoadRules(content, filepath.Base(name))
}

// byRules returns the vulnerabilities that the deployer's rules reject but the source's rules accepted, and the critical and
// high ones that both accept. The source's rules can only be stricter: what fails by them is in neither list.
func byRules(stated []attest.Vulnerability, rules config.Security, now time.Time) (refused, passed []string) {
	for _, place := range config.Places {
		var findings []advisory.Finding
		leads := map[string]string{}
		for _, v := range stated {
			// Findings without a location, as earlier versions wrote them, come from the lock files.
			if in := cmp.Or(v.In, "locks"); in != place || v.Leads == judge.Fail {
				continue
			}
			leads[v.ID+" "+v.Package] = v.Leads
			findings = append(findings, advisory.Finding{
				ID: v.ID, Aliases: v.Aliases, Package: v.Package, Version: v.Version, Severity: v.Severity, Fixed: v.Fixed,
				Published: v.Published, Exploited: v.Exploited,
			})
		}
		for _, j := range judge.Advisories(findings, rules, place, now).All {
			text := fmt.Sprintf("%s of %s (%s)", j.ID, j.Package, j.Severity)
			switch {
			case j.Allowed == nil && j.Action == judge.Fail:
				refused = append(refused, fmt.Sprintf("%s, which its source lets pass (%s)", text, leads[j.ID+" "+j.Package]))
			case slices.Contains([]string{advisory.Critical, advisory.High}, j.Severity):
				passed = append(passed, text+": "+supply.LeadsTo(j))
			}
		}
	}
	return refused, passed
}

// readKeyFile reads a small file that the call names.
func readKeyFile(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && info.Size() > maxKeyFile {
		err = fmt.Errorf("larger than %d bytes", maxKeyFile)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name) //nolint:gosec // the caller named the file
}

// maxKeyFile limits the size of key and rule files.
const maxKeyFile = 1 << 20

// demand translates the arguments and returns all problems with them.
func (s attester) demand() (attest.Demand, []*verdict.Problem) {
	o := s.opts.Verify
	d := attest.Demand{
		Environment: s.opts.Environment, From: o.From, Refs: s.opts.ReleaseBranches, Now: time.Now(), MaxAge: week, MaxDataAge: week,
	}
	var problems []*verdict.Problem
	bad := func(format string, args ...any) {
		problems = append(problems, verdict.Problemf(CodeBadArgument, format, args...))
	}
	if d.Digest = s.image.Digest; s.unpinned != nil {
		bad("--image: %v", s.unpinned)
	}
	for _, age := range []struct {
		name, text string
		to         *time.Duration
	}{{"--verify-max-age", o.MaxAge, &d.MaxAge}, {"--verify-max-data-age", o.MaxDataAge, &d.MaxDataAge}} {
		if age.text == "" {
			continue
		}
		parsed, err := time.ParseDuration(age.text)
		if err != nil || parsed <= 0 {
			bad("%s %q is not a time above zero, such as 168h", age.name, age.text)
		}
		*age.to = parsed
	}
	names := Statements()
	for _, name := range o.Require {
		oneOf(bad, "--verify-require", name, slices.Sorted(maps.Keys(names)))
		d.Require = append(d.Require, names[name])
	}
	if len(o.Require) == 0 {
		d.Require = []string{attest.Provenance, attest.Vulns, attest.TestResult, attest.Summary}
	}
	if o.Keys != "" {
		content, err := readKeyFile(o.Keys)
		if err == nil {
			d.Keys, err = attest.PublicKeys(content)
		}
		if err != nil {
			bad("--verify-key: %v", err)
		}
	}
	if o.keyless() && (len(o.Identities) == 0 || o.Issuer == "" || o.Root == "") {
		bad("--verify-identity, --verify-issuer and --verify-root belong together: one of them is missing")
	}
	if o.Root != "" {
		root, err := readKeyFile(o.Root)
		if err == nil {
			_, err = withoutLogs(root)
		}
		if err != nil {
			bad("--verify-root: %v", err)
		}
	}
	for _, name := range o.Identities {
		if strings.TrimSpace(name) == "" {
			bad("--verify-identity is empty")
		}
		d.Identities = append(d.Identities, attest.Identity{Name: name, Issuer: o.Issuer})
	}
	return d, problems
}
