package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Action needs credentials or changes something outside of the run.
type Action struct {
	// Stage is the stage whose rights it needs, and in whose name it is refused.
	Stage string
	// Reads is set if it changes nothing. Then any branch may do it.
	Reads bool
	// Recorded is set if it works on what an earlier run recorded after its own gates: a committed
	// version, a release of the journal. Then no stage of this run must pass first.
	Recorded bool
}

// Permit allows an action. Only a Gate issues one; the zero Permit allows nothing. Functions
// with effects outside of the run require one, so that no caller can skip the gate.
type Permit struct {
	stage string
	reads bool
}

// Allows reports whether the permit covers changes by the stage.
func (p Permit) Allows(stage string) bool { return p.stage == stage && stage != "" && !p.reads }

// AllowsReading reports whether the permit covers reading with the stage's credentials.
func (p Permit) AllowsReading(stage string) bool { return p.stage == stage && stage != "" }

// Gate decides on every effect of a run, and on every use of credentials.
type Gate struct {
	request   Request
	decisions []Decision
}

// NewGate is the gate of a run.
func NewGate(cfg config.Config, request Request) *Gate {
	return &Gate{request: request, decisions: Decide(cfg, request)}
}

// Decision is the decision on the named stage; for an unknown name, not to run.
func (g *Gate) Decision(stage string) Decision {
	for _, d := range g.decisions {
		if d.Stage == stage {
			return d
		}
	}
	return Decision{Stage: stage, Code: CodePolicy.Name, Reason: sentence("there is no stage " + stage)}
}

// Ask returns a permit for the action, or the verdict of the stage if it is refused: not-run
// when the ref has no right to it, could-not-run with BLOCKED when a stage that it requires has
// not passed in this run. done are the stages of this run so far.
func (g *Gate) Ask(action Action, done []verdict.Stage) (Permit, *verdict.Stage) {
	decision := g.Decision(action.Stage)
	refuse := func(stage verdict.Stage) (Permit, *verdict.Stage) { return Permit{}, &stage }
	switch {
	case action.Reads && !g.request.sandbox() && !g.request.Trusted():
		ref := ParseRef(g.request.Ref, g.request.Event)
		decision.Code, decision.Reason = CodePolicy.Name, sentence(describe(ref)+" gets no credentials")
		return refuse(decision.NotRun())
	case action.Reads:
		return Permit{stage: action.Stage, reads: true}, nil
	case action.Recorded && (decision.Run || decision.Code == CodeNoEngine.Name):
		return Permit{stage: action.Stage}, nil
	case !decision.Run:
		return refuse(decision.NotRun())
	}
	if waiting := g.waiting(action.Stage, done); len(waiting) > 0 {
		problem := verdict.Problemf(CodeBlocked.In(action.Stage), "%s", strings.Join(waiting, ", "))
		return refuse(Blocked(action.Stage, problem))
	}
	if without := g.withoutGates(done); len(without) > 0 {
		problem := verdict.Problemf(verdict.CodeGatesNone.In(action.Stage),
			"there is no gate on %s, so any measurement would have passed", strings.Join(without, " and "))
		return refuse(Blocked(action.Stage, problem))
	}
	return Permit{stage: action.Stage}, nil
}

// waiting lists the stages that one requires, directly or through others, and that did not pass
// in this run, except for one that needs an engine on a machine without one.
func (g *Gate) waiting(stage string, done []verdict.Stage) []string {
	if slices.Contains(byDigest, stage) && g.request.Image {
		return nil
	}
	var waiting []string
	for _, before := range verdict.HeldBy(stage) {
		for _, s := range done {
			if s.Name == before && (s.Verdict == verdict.Fail || s.Verdict == verdict.CouldNotRun) {
				waiting = append(waiting, fmt.Sprintf("%s did not pass (%s)", before, s.Code))
			}
		}
	}
	for _, needed := range verdict.Requires(stage) {
		waiting = append(waiting, g.waiting(needed, done)...)
		if g.Decision(needed).Code == CodeNoEngine.Name {
			continue
		}
		i := slices.IndexFunc(done, func(s verdict.Stage) bool { return s.Name == needed })
		switch {
		case i < 0:
			waiting = append(waiting, needed+" has no verdict in this run")
		case done[i].Verdict == verdict.Pass, g.Untested(done[i]):
		case done[i].Code != "":
			waiting = append(waiting, fmt.Sprintf("%s did not pass (%s)", needed, done[i].Code))
		default:
			waiting = append(waiting, fmt.Sprintf("%s did not pass (%s)", needed, done[i].Verdict))
		}
	}
	return waiting
}

// Untested reports whether a stage failed for a source without tests where that holds no later stage back: in the sandbox,
// for a call of publish or image. The call fails all the same; what the stages make affects nobody else, and is what was
// asked for. A run publishes nothing without tests, anywhere.
func (g *Gate) Untested(stage verdict.Stage) bool {
	return g.request.Part && g.request.sandbox() && stage.Code == verdict.CodeNoTests.Name
}

// withoutGates are the stages that passed although they have no gate. In the sandbox that is a
// warning.
func (g *Gate) withoutGates(done []verdict.Stage) []string {
	var names []string
	for _, stage := range done {
		none := func(f verdict.Finding) bool { return f.Code == verdict.CodeGatesNone.Name }
		if !g.request.sandbox() && slices.ContainsFunc(stage.Warnings, none) {
			names = append(names, stage.Name)
		}
	}
	return names
}

// Blocked is the verdict of a stage that was not started because of p.
func Blocked(stage string, p *verdict.Problem) verdict.Stage {
	s := verdict.Stage{Name: stage}
	return *s.Judge(p)
}
