// Package policy decides which stages run for which ref, and says why. The rules are the
// pipeline document's: tests and training for every commit; publishing, the image and the
// rollout only for main, each only after the one before it. They stand in Go, not in a CI
// system's files, so that they are tested, the same everywhere, and shown by plan.
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

// Request is what a run is asked for.
type Request struct {
	// Ref is the branch or ref in any form of ParseRef; empty is unknown.
	Ref string
	// Event is the CI system's event, such as "push" or "pull_request"; may be empty.
	Event string
	// Environment is the environment's name; empty means the sandbox.
	Environment string
	// Runner is Engine or Native; anything else counts as Native, which can do less.
	Runner string
}

// Decision says whether a stage runs.
type Decision struct {
	// Stage is the stage's name.
	Stage string `json:"stage"`
	// Run says that the stage is to run.
	Run bool `json:"run"`
	// Code is POLICY or NO_ENGINE for a stage that is not to run.
	Code string `json:"code,omitempty"`
	// Reason is a sentence for people, for either decision.
	Reason string `json:"reason"`
	// Credentials says that the stage may be given credentials. Tests and training never are.
	Credentials bool `json:"credentials"`
}

// Decide returns a decision for every stage, in the order of the pipeline.
//
// Pull requests, tags and refs that say nothing get tests and training at most, whatever
// the configuration has: it is read from the source that is being judged.
func Decide(cfg config.Config, request Request) []Decision {
	ref := ParseRef(request.Ref, request.Event)
	rule := ruleFor(cfg, ref)
	var decisions []Decision
	for _, stage := range verdict.Stages() {
		decisions = append(decisions, decide(stage, rule, request, decisions))
	}
	return decisions
}

// rule is what the policy has for a ref, and how to say so.
type rule struct {
	ref    Ref
	stages []string
	// source says where the stages come from.
	source string
}

// harmless are the stages that need no credentials and change nothing outside of the run.
func harmless() []string { return []string{verdict.Test, verdict.Train} }

func ruleFor(cfg config.Config, ref Ref) rule {
	r := rule{ref: ref}
	if ref.Kind != Branch {
		r.stages = harmless()
		r.source = describe(ref) + " gets test and train, without credentials"
		return r
	}
	pattern, found := match(cfg.Policy, ref.Name)
	if !found {
		r.stages = harmless()
		r.source = fmt.Sprintf("the policy does not name branch %s, so it gets test and train, without credentials", ref.Name)
		return r
	}
	r.stages = cfg.Policy[pattern]
	switch {
	case pattern == ref.Name:
		r.source = fmt.Sprintf("the policy has %s for branch %s", list(r.stages), ref.Name)
	default:
		r.source = fmt.Sprintf("the policy has %s for branches like %s, such as %s", list(r.stages), pattern, ref.Name)
	}
	return r
}

// match finds the longest pattern for a branch. "*" and "**" stand for every branch, also
// one with slashes; of patterns of the same length the first in the alphabet counts.
func match(policy map[string][]string, branch string) (string, bool) {
	best, found := "", false
	for pattern := range policy {
		all := pattern == "*" || pattern == "**"
		if !all && pattern != branch {
			// A pattern that cannot be read is refused when the configuration is loaded.
			if ok, err := doublestar.Match(pattern, branch); err != nil || !ok {
				continue
			}
		}
		better := len(pattern) > len(best) || (len(pattern) == len(best) && pattern < best)
		// The branch's own name beats every pattern.
		if !found || (best != branch && (pattern == branch || better)) {
			best, found = pattern, true
		}
	}
	return best, found
}

func decide(stage string, r rule, request Request, before []Decision) Decision {
	d := Decision{Stage: stage}
	if !slices.Contains(r.stages, stage) {
		d.Code, d.Reason = CodePolicy.Name, sentence(r.source, "so "+stage+" does not run")
		return d
	}
	sandbox := request.Environment == "" || request.Environment == config.Sandbox
	for _, needed := range verdict.Requires(stage) {
		i := slices.IndexFunc(before, func(b Decision) bool { return b.Stage == needed })
		if i >= 0 && before[i].Run {
			continue
		}
		if i >= 0 && before[i].Code == CodeNoEngine.Name {
			if stage == verdict.Deploy && sandbox {
				d.Run = true
				d.Reason = sentence(r.source, "in the sandbox the rollout is planned, not carried out, and can be without an image")
				return d
			}
			d.Code, d.Reason = CodeNoEngine.Name, sentence(stage+" takes the image's digest, and without a Dagger engine no image is built", "the command "+stage+" --image takes one that there is")
			return d
		}
		d.Code, d.Reason = CodePolicy.Name, sentence(fmt.Sprintf("%s runs only after %s, which does not run", stage, needed))
		return d
	}
	if stage == verdict.Image && request.Runner != Engine {
		d.Code = CodeNoEngine.Name
		d.Reason = sentence("images are built by a Dagger engine, and none is reachable", "start Docker, or set _EXPERIMENTAL_DAGGER_RUNNER_HOST")
		return d
	}
	d.Run = true
	d.Credentials = config.Effectful(stage) && !sandbox
	after := ""
	if needed := verdict.Requires(stage); len(needed) > 0 {
		after = stage + " starts when " + strings.Join(needed, " and ") + " passed"
	}
	where := ""
	if config.Effectful(stage) && sandbox {
		where = "the sandbox starts its own servers and needs no credentials"
	}
	d.Reason = sentence(r.source, after, where)
	return d
}

// NotRun is the stage's verdict when it is not to run.
func (d Decision) NotRun() verdict.Stage {
	return verdict.Stage{Name: d.Stage, Verdict: verdict.NotRun, Code: d.Code, Cause: strings.TrimSuffix(d.Reason, ".")}
}

// Ready returns nil when a stage may start, else why not: the stages it needs, done so
// far, did not all pass. A needed stage that this runner cannot have is replaced by what
// that one needs.
func Ready(stage string, decisions []Decision, done []verdict.Stage) *verdict.Problem {
	var waiting []string
	for _, needed := range verdict.Requires(stage) {
		if d := slices.IndexFunc(decisions, func(d Decision) bool { return d.Stage == needed }); d >= 0 && decisions[d].Code == CodeNoEngine.Name {
			if p := Ready(needed, decisions, done); p != nil {
				waiting = append(waiting, p.Cause)
			}
			continue
		}
		i := slices.IndexFunc(done, func(s verdict.Stage) bool { return s.Name == needed })
		switch {
		case i < 0:
			waiting = append(waiting, needed+" has no verdict")
		case done[i].Verdict == verdict.Pass:
		case done[i].Code != "":
			waiting = append(waiting, fmt.Sprintf("%s did not pass (%s)", needed, done[i].Code))
		default:
			waiting = append(waiting, fmt.Sprintf("%s did not pass (%s)", needed, done[i].Verdict))
		}
	}
	if len(waiting) == 0 {
		return nil
	}
	return verdict.Problemf(CodeBlocked.In(stage), "%s", strings.Join(waiting, ", "))
}

// Blocked is the stage's verdict when Ready returned a problem.
func Blocked(stage string, p *verdict.Problem) verdict.Stage {
	s := verdict.Stage{Name: stage}
	return *s.Judge(p)
}

// Credentials says whether any stage may be given credentials.
func Credentials(decisions []Decision) bool {
	return slices.ContainsFunc(decisions, func(d Decision) bool { return d.Credentials })
}

func describe(ref Ref) string {
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
