package pipeline

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// stage is one stage of the pipeline. Its name, what it requires and whether it has effects
// outside of the run are in package verdict, which the policy uses.
type stage struct {
	name string
	// run runs the stage. The permit, from the gate, is what it needs for its effects.
	run func(s *state, ctx context.Context, permit policy.Permit) verdict.Stage
	// ready finds what the stage would certainly fail for, before anything runs; may be nil.
	ready func(s *state) *verdict.Problem
	// begin starts in the background what the stage needs later; nil for nothing.
	begin func(s *state, ctx context.Context)
	// rehearses is set for a stage that also runs without a permit, and then changes nothing
	// outside of the run: an image is built and probed, but not pushed.
	rehearses bool
	// plan adds to a plan what the stage would change; may be nil.
	plan func(s deployer, ctx context.Context, plan *Plan)
	// checks are those of doctor for the stage; may be nil.
	checks func(s doctor) []check
}

// stages is the pipeline, in order. A new stage is a line here, and one in verdict's table.
func stages() []stage {
	return []stage{
		{name: verdict.Test, run: (*state).test, checks: doctor.checkPython},
		{name: verdict.Train, run: (*state).train},
		{name: verdict.Audit, run: (*state).audit},
		{name: verdict.Publish, run: (*state).publish, begin: (*state).startServers, checks: doctor.checkPublishing},
		{name: verdict.Image, run: (*state).image, ready: (*state).appMissing, begin: (*state).warmUp, rehearses: true},
		{name: verdict.Scan, run: (*state).scan, begin: (*state).prepareScan},
		{name: verdict.Attest, run: func(s *state, ctx context.Context, permit policy.Permit) verdict.Stage {
			return s.attester().attest(ctx, permit)
		}},
		{name: verdict.Deploy, run: (*state).deploy, plan: deployer.planRollout, checks: doctor.checkClock},
	}
}

// call is what a run knows before its first stage, and the run that the results go into.
type call struct {
	backend Backend
	opts    Options
	args    arguments
	cfg     config.Config
	gate    *policy.Gate
	run     *verdict.Run
	// files are the names of the source's files, without those that pipeline.yaml excludes.
	files []string
}

// state is what the stages of a run share.
type state struct {
	*call
	servers servers
	outcome Outcome
	// export writes the image that was built into a local directory; nil for none.
	export func(ctx context.Context, dir string) error
	// early end what was begun early.
	early    []func()
	started  time.Time
	progress progress
}

func (s *state) attester() attester {
	image, err := imageref.ParsePinned(s.outcome.Image)
	return attester{s.call, image, err}
}

func (s *state) deployer() deployer { return deployer{s.call, s.outcome.Image, s.outcome.Version} }

// walk runs the stages that are part of the run. Those that require nothing of each other run
// side by side.
func (s *state) walk(ctx context.Context, pipeline []stage) {
	pipeline = slices.DeleteFunc(pipeline, func(st stage) bool { return !s.opts.wants(st.name) })
	defer func() {
		for _, end := range s.early {
			end()
		}
		if err := s.servers.stop(ctx); err != nil {
			s.run.Warn(CodeNotStopped, "%v", err)
		}
	}()
	if s.run.Preflight == nil {
		for _, st := range pipeline {
			if st.begin != nil && s.gate.Decision(st.name).Run {
				st.begin(s, ctx)
			}
		}
	}
	s.foretell(pipeline)
	defer s.askServers(ctx)()
	for _, group := range sideBySide(pipeline) {
		done := make([]verdict.Stage, len(group))
		var running sync.WaitGroup
		for i, st := range group {
			running.Go(func() { done[i] = s.step(ctx, st) })
		}
		running.Wait()
		s.run.Stages = append(s.run.Stages, done...)
		s.run.Critical = append(s.run.Critical, longest(done)...)
	}
}

// longest is the one of the stages that ran side by side that the others waited for; none if nothing ran.
func longest(done []verdict.Stage) []string {
	last := slices.MaxFunc(done, func(a, b verdict.Stage) int { return cmp.Compare(a.Seconds, b.Seconds) })
	if last.Seconds == 0 {
		return nil
	}
	return []string{last.Name}
}

// foretell says before the first stage what a later one will certainly fail for. The others run all the same:
// their verdicts are worth having.
func (s *state) foretell(pipeline []stage) {
	for _, st := range pipeline {
		if st.ready == nil || s.run.Preflight != nil {
			continue
		}
		if decision := s.gate.Decision(st.name); !decision.Run && (!st.rehearses || decision.Code != policy.CodeNoEngine.Name) {
			continue
		}
		if problem := st.ready(s); problem != nil {
			s.progress.say("%s: will fail (%s): %s", st.name, problem.Code.Name, problem.Cause)
		}
	}
}

// sideBySide groups the stages that do not depend on each other.
func sideBySide(pipeline []stage) [][]stage {
	var groups [][]stage
	for _, st := range pipeline {
		last, needed := len(groups)-1, before(st.name)
		waits := func(other stage) bool { return slices.Contains(needed, other.name) }
		if last >= 0 && !slices.ContainsFunc(groups[last], waits) {
			groups[last] = append(groups[last], st)
			continue
		}
		groups = append(groups, []stage{st})
	}
	return groups
}

// allRequired are the stages that one requires, and those that they require.
func allRequired(name string) []string {
	var all []string
	for _, needed := range verdict.Requires(name) {
		all = append(append(all, allRequired(needed)...), needed)
	}
	return all
}

// before are all stages that must have ended before one starts: those that it requires, and those
// that hold it, or one that it requires, back.
func before(name string) []string {
	all := allRequired(name)
	for _, stage := range append([]string{name}, all...) {
		all = append(all, verdict.HeldBy(stage)...)
	}
	return all
}

// step runs one stage, unless the run was refused, the policy has no such stage for the ref, or
// a stage that it requires did not pass.
func (s *state) step(ctx context.Context, st stage) verdict.Stage {
	stage, begin := s.admit(st)
	if begin == nil {
		if s.run.Preflight == nil {
			s.progress.skipped(stage)
		}
		return stage
	}
	ended := s.progress.began(st.name)
	stage = timed(st.name, func() verdict.Stage { return begin(ctx) })
	ended(stage)
	return stage
}

// admit returns what runs the stage, or the stage as it is reported when it does not run. It is
// the only caller of stage.run.
func (s *state) admit(st stage) (verdict.Stage, func(context.Context) verdict.Stage) {
	if s.run.Preflight != nil {
		return blocked(st.name, verdict.Preflight), nil
	}
	decision := s.gate.Decision(st.name)
	rehearsal := st.rehearses && decision.Code == policy.CodeNoEngine.Name
	if !decision.Run && !rehearsal {
		return decision.NotRun(), nil
	}
	if st.ready != nil {
		if problem := st.ready(s); problem != nil {
			return failed(st.name, problem), nil
		}
	}
	for _, needed := range before(st.name) {
		if ended := s.run.Stage(needed); ended != nil && !passed(ended) && !s.gate.Untested(*ended) {
			return blocked(st.name, needed), nil
		}
	}
	var permit policy.Permit
	if verdict.Effectful(st.name) {
		var refused *verdict.Stage
		if permit, refused = s.gate.Ask(policy.Action{Stage: st.name}, s.run.Stages); refused != nil && !st.rehearses {
			return *refused, nil
		}
	}
	return verdict.Stage{}, func(ctx context.Context) verdict.Stage { return st.run(s, ctx, permit) }
}

// passed reports whether later stages may run: also after one that this machine does not support,
// or an audit, a scan or an attestation that is not part of the run.
func passed(stage *verdict.Stage) bool {
	return stage.Verdict == verdict.Pass || stage.Verdict == verdict.NotRun &&
		(stage.Code == policy.CodeNoEngine.Name || slices.Contains([]string{verdict.Audit, verdict.Scan, verdict.Attest}, stage.Name))
}

// timed runs a stage and records its name and time.
func timed(name string, run func() verdict.Stage) verdict.Stage {
	started := time.Now()
	stage := run()
	stage.Name = name
	stage.Took(started)
	return stage
}

// blocked is a stage that should have run, but one before it did not pass.
func blocked(name, by string) verdict.Stage {
	return policy.Blocked(name, verdict.Problemf(policy.CodeBlocked.In(name), "%s did not pass", by))
}

// failed is a stage that could not start.
func failed(name string, problems ...*verdict.Problem) verdict.Stage {
	stage := verdict.Stage{Name: name}
	return *stage.Judge(problems...)
}

// operate carries out an action on results of earlier runs, if the gate permits it, as a run of
// its own.
func (s *state) operate(action policy.Action, run func(permit policy.Permit) verdict.Stage) *verdict.Run {
	stage := blocked(action.Stage, verdict.Preflight)
	if s.run.Preflight == nil {
		permit, refused := s.gate.Ask(action, nil)
		if refused != nil {
			stage = *refused
		} else {
			stage = timed(action.Stage, func() verdict.Stage { return run(permit) })
		}
	}
	s.run.Stages = append(s.run.Stages, stage)
	return s.finish().Run
}

// finish judges the run.
func (s *state) finish() *Outcome {
	if live, ok := s.backend.Runner.(runner.Talkative); ok {
		for _, w := range live.Warnings() {
			s.run.Warn(w.Code, "%s", w.Text)
		}
	}
	s.run.Seconds = time.Since(s.started).Seconds()
	s.outcome.Run = s.run.Judge()
	return &s.outcome
}
