// Package policy decides which stages run for which ref, and what must have passed before
// anything outside of the run is changed. Tests and training run for every commit; publishing,
// the image and the rollout only for release branches, each only after the one before it. The
// rules are in Go, not in a CI system's files, so that they are tested, the same everywhere, and
// shown by plan.
//
// Outside of the sandbox the release branches are an argument of the call. pipeline.yaml is
// read from the source under test, so there its policy can only remove rights.
package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The names of the runners.
const (
	Engine = "engine"
	Native = "native"
)

// ReleaseBranch is the default release branch.
const ReleaseBranch = "main"

// Request is what the policy decides on.
type Request struct {
	// Ref is the branch or ref in any form of ParseRef; empty is unknown.
	Ref string
	// Event is the CI system's event, such as "push" or "pull_request"; may be empty.
	Event string
	// Environment is the environment's name; empty means the sandbox.
	Environment string
	// Runner is Engine or Native; anything else counts as Native, which can do less.
	Runner string
	// ReleaseBranches are the branches, or patterns of them, that may publish, push images and
	// deploy; ReleaseBranch when empty.
	ReleaseBranches []string
	// Audit is set if the caller asks for the audit, whatever the configuration says.
	Audit bool
	// Scan is set if the caller asks for the scan of an image, whatever the configuration says.
	Scan bool
	// Attest is set if the caller has a key to sign with.
	Attest bool
	// Part is set if the caller asks for some of the stages, such as publish with those before it, and not for a run.
	Part bool
	// Image is set if the caller names the image to deploy or to attest by digest. Then these
	// stages need no image of this run.
	Image bool
}

// Decision is whether a stage runs, and why.
type Decision struct {
	// Stage is the stage's name.
	Stage string `json:"stage"`
	// Run is set if the stage runs.
	Run bool `json:"run"`
	// Code is POLICY or NO_ENGINE for a stage that does not run.
	Code string `json:"code,omitempty"`
	// Reason is a sentence for people, for either decision.
	Reason string `json:"reason"`
	// Credentials is set if the stage uses credentials. Tests and training never get any.
	Credentials bool `json:"credentials"`
}

// Decide returns a decision for every stage, in the order of the pipeline.
//
// Pull requests, tags, refs that name no branch, and events that are not known to be those of
// a branch get tests and training at most, whatever the configuration.
func Decide(cfg config.Config, request Request) []Decision {
	rights := rightsOf(cfg, request)
	var decisions []Decision
	for _, stage := range verdict.Stages() {
		d := decide(stage, rights, request, decisions)
		if stage == verdict.Audit && d.Run && !request.Audit && len(cfg.Security.Audit) == 0 {
			d = Decision{Stage: stage, Code: CodeNotConfigured.Name,
				Reason: sentence("the audit is not configured: security.audit of pipeline.yaml names no check")}
		}
		if stage == verdict.Scan && (d.Run || d.Code == CodeNoEngine.Name) && !cfg.Security.Scan && !request.Scan {
			d = Decision{Stage: stage, Code: CodeNotConfigured.Name,
				Reason: sentence("the scan of the image is not configured: security.scan of pipeline.yaml is not true")}
		}
		if stage == verdict.Attest && d.Run && !request.Attest {
			d = Decision{Stage: stage, Code: CodeNotConfigured.Name, Reason: sentence("the call has no key to sign with")}
		}
		decisions = append(decisions, d)
	}
	return decisions
}

// Trusted reports whether the run may use credentials at all, even to read: only for a
// branch, because that needs the right to push to the repository.
func (r Request) Trusted() bool { return ParseRef(r.Ref, r.Event).Kind == Branch }

func (r Request) sandbox() bool { return r.Environment == "" || r.Environment == config.Sandbox }

// rights are the stages that a ref may run, and the reason in words.
type rights struct {
	stages []string
	why    string
}

func rightsOf(cfg config.Config, request Request) rights {
	ref := ParseRef(request.Ref, request.Event)
	if ref.Kind != Branch {
		stages := verdict.SafeStages()
		// What no branch runs, such as the training of a project without one, a pull request does not
		// run either.
		if every, named := cfg.Policy["*"]; named {
			stages = intersect(stages, every)
		}
		return rights{stages, describe(ref) + " gets " + list(stages) + ", without credentials"}
	}
	pattern, named := match(cfg.Policy, ref.Name)
	fromFile := cfg.Policy[pattern]
	where := fmt.Sprintf("branch %s", ref.Name)
	if pattern != ref.Name {
		where = fmt.Sprintf("branches like %s, such as %s", pattern, ref.Name)
	}
	if !releases(request.ReleaseBranches, ref.Name) {
		switch {
		case !named:
			safe := verdict.SafeStages()
			return rights{safe, fmt.Sprintf("the policy does not name branch %s, so it gets %s", ref.Name, list(safe))}
		case request.sandbox() && (!everyBranch(pattern) || len(intersect(verdict.SafeStages(), fromFile)) < len(fromFile)):
			return rights{fromFile, fmt.Sprintf("the policy has %s for %s", list(fromFile), where)}
		}
		stages := intersect(verdict.SafeStages(), fromFile)
		return rights{stages, fmt.Sprintf("branch %s is not a release branch (--release-branch: %s), so it gets %s",
			ref.Name, strings.Join(releaseBranches(request.ReleaseBranches), ", "), list(stages))}
	}
	// A pattern for every branch cannot get a stage with effects.
	if named && !everyBranch(pattern) {
		stages := intersect(verdict.Stages(), fromFile)
		return rights{stages, fmt.Sprintf("the policy has %s for %s", list(stages), where)}
	}
	stages := verdict.Stages()
	if named {
		safe := verdict.SafeStages()
		stages = slices.DeleteFunc(stages, func(s string) bool { return slices.Contains(safe, s) && !slices.Contains(fromFile, s) })
	}
	return rights{stages, fmt.Sprintf("branch %s is a release branch and has %s", ref.Name, list(stages))}
}

func intersect(all, some []string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return !slices.Contains(some, s) })
}

func releaseBranches(patterns []string) []string {
	if len(patterns) == 0 {
		return []string{ReleaseBranch}
	}
	return patterns
}

func releases(patterns []string, branch string) bool {
	return slices.ContainsFunc(releaseBranches(patterns), func(pattern string) bool { return matches(pattern, branch) })
}

// CheckReleaseBranch validates a name or pattern of a release branch. A pattern for every branch
// is refused: it would let every branch deploy.
func CheckReleaseBranch(pattern string) error {
	switch {
	case everyBranch(pattern):
		return fmt.Errorf("%q is every branch; name the branches that may publish and deploy", pattern)
	case !doublestar.ValidatePattern(pattern), strings.HasPrefix(pattern, "refs/"),
		strings.TrimSpace(pattern) != pattern, verdict.Line(pattern, 0) != pattern:
		return fmt.Errorf("%q is not the name of a branch or a pattern of names, such as main or release/*", pattern)
	}
	return nil
}

// everyBranch reports whether a pattern consists of wildcards alone.
func everyBranch(pattern string) bool { return strings.Trim(pattern, "*/") == "" }

func matches(pattern, branch string) bool {
	if pattern == branch || pattern == "*" || pattern == "**" {
		return true
	}
	// A pattern that cannot be read is refused with the arguments or the configuration.
	ok, err := doublestar.Match(pattern, branch)
	return err == nil && ok
}

// match finds the longest pattern for a branch. "*" and "**" stand for every branch, also
// one with slashes; of patterns of the same length the first in the alphabet applies.
func match(policy map[string][]string, branch string) (string, bool) {
	best, found := "", false
	for pattern := range policy {
		if !matches(pattern, branch) {
			continue
		}
		better := len(pattern) > len(best) || (len(pattern) == len(best) && pattern < best)
		// The branch's own name beats every pattern.
		if !found || (best != branch && (pattern == branch || better)) {
			best, found = pattern, true
		}
	}
	return best, found
}

// byDigest are the stages that take an image of an earlier run by its digest.
var byDigest = []string{verdict.Scan, verdict.Attest, verdict.Deploy}

func decide(stage string, r rights, request Request, before []Decision) Decision {
	d := Decision{Stage: stage}
	right := stage
	if stage == verdict.Scan { // security.scan says whether, and what may be built may be looked at
		right = verdict.Image
	}
	if !slices.Contains(r.stages, right) {
		d.Code, d.Reason = CodePolicy.Name, sentence(r.why, "so "+stage+" does not run")
		return d
	}
	needs := verdict.Requires(stage)
	if slices.Contains(byDigest, stage) && request.Image {
		needs = nil
	}
	for _, needed := range needs {
		i := slices.IndexFunc(before, func(b Decision) bool { return b.Stage == needed })
		if i >= 0 && before[i].Run {
			continue
		}
		if i >= 0 && before[i].Code == CodeNoEngine.Name {
			if stage == verdict.Deploy && request.sandbox() {
				d.Run = true
				d.Reason = sentence(r.why, "in the sandbox the rollout is planned, not carried out, and can be without an image")
				return d
			}
			d.Code = CodeNoEngine.Name
			d.Reason = sentence(stage+" takes the image's digest, and without a Dagger engine no image is built",
				stage+" --image takes an existing one")
			return d
		}
		d.Code, d.Reason = CodePolicy.Name, sentence(fmt.Sprintf("%s runs only after %s, which does not run", stage, needed))
		return d
	}
	if stage == verdict.Image && request.Runner != Engine {
		d.Code = CodeNoEngine.Name
		d.Reason = sentence("images are built by a Dagger engine, and this run has none", "the module runs on one: dagger call run")
		return d
	}
	d.Run = true
	d.Credentials = verdict.Effectful(stage) && !request.sandbox()
	after := ""
	switch {
	case len(needs) > 0:
		after = stage + " starts when " + strings.Join(needs, " and ") + " passed"
	case slices.Contains(byDigest, stage):
		after = "the image is given by its digest"
	}
	where := ""
	if verdict.Effectful(stage) && request.sandbox() {
		where = "the sandbox starts its own servers and needs no credentials"
	}
	d.Reason = sentence(after, where)
	switch {
	case len(before) == 0: // which stages the ref has is told once
		d.Reason = sentence(r.why, after, where)
	case d.Reason == "":
		d.Reason = sentence("the ref has it")
	}
	return d
}

// NotRun is the verdict of a stage that does not run.
func (d Decision) NotRun() verdict.Stage {
	return verdict.Stage{Name: d.Stage, Verdict: verdict.NotRun, Code: d.Code, Cause: strings.TrimSuffix(d.Reason, ".")}
}

func describe(ref Ref) string {
	if ref.Event != "" {
		return fmt.Sprintf("event %s, which is not known as one of a push to a branch,", ref.Event)
	}
	switch ref.Kind {
	case Branch, Tag:
		return string(ref.Kind) + " " + ref.Name
	case PullRequest:
		if ref.Name == "" {
			return "a pull request"
		}
		return "pull request " + ref.Name
	}
	if ref.Name == "" {
		return "a run without a ref"
	}
	return "a ref that names no branch (" + ref.Name + ")"
}

func list(stages []string) string {
	if len(stages) == 0 {
		return "no stage"
	}
	return strings.Join(stages, ", ")
}

// sentence joins clauses to a sentence.
func sentence(clauses ...string) string {
	text := strings.Join(slices.DeleteFunc(clauses, func(s string) bool { return s == "" }), "; ")
	text = verdict.Line(text, 0)
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
