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

// stage is one stage of the pipeline. Package verdict has its name, what it requires, and whether it has effects outside of
// the run; the policy uses the same table.
type stage struct {
	name string
	// run runs the stage. It needs the gate's permit for its effects.
	run func(s *state, ctx context.Context, permit policy.Permit) verdict.Stage
	// ready returns a problem that the stage would certainly fail with, before anything runs; it may be nil.
	ready func(s *state) *verdict.Problem
	// begin starts in the background what the stage needs later; it may be nil.
	begin func(s *state, ctx context.Context)
	// rehearses is set for a stage that also runs without a permit and then changes nothing outside of the run: an image is
	// built and probed, but not pushed.
	rehearses bool
	// plan adds the stage's changes to a plan; it may be nil.
	plan func(s deployer, ctx context.Context, plan *Plan)
	// checks returns the stage's checks for doctor; it may be nil.
	checks func(s doctor) []check
}

// stages is the pipeline, in order. To add a stage, add a line here and one to the table in package verdict.
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

// call holds what is known before the first stage, and the run that collects the results.
type call struct {
	backend Backend
	opts    Options
	args    arguments
	cfg     config.Config
	gate    *policy.Gate
	run     *verdict.Run
	// files are the names of the source files that pipeline.yaml does not exclude.
	files []string
}

// state is shared by the stages of a run.
type state struct {
	*call
	servers servers
	outcome Outcome
	// export writes the built image into a local directory; nil if there is none.
	export func(ctx context.Context, dir string) error
	// early stops the background work that begin started.
	early    []func()
	started  time.Time
	progress progress
}

func (s *state) attester() attester {
	image, err := imageref.ParsePinned(s.outcome.Image)
	return attester{s.call, image, err}
}

func (s *state) deployer() deployer { return deployer{s.call, s.outcome.Image, s.outcome.Version} }

// walk runs the stages of the run. Stages that do not depend on each other run concurrently.
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

// longest returns which of several concurrent stages took longest, or an empty string if none ran.
func longest(done []verdict.Stage) []string {
	last := slices.MaxFunc(done, func(a, b verdict.Stage) int { return cmp.Compare(a.Seconds, b.Seconds) })
	if last.Seconds == 0 {
		return nil
	}
	return []string{last.Name}
}

// foretell warns, before the first stage, of problems that a later stage will certainly fail with. The other stages still
// run, because their results are useful.
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

// allRequired returns the stages that a stage requires, directly or indirectly.
func allRequired(name string) []string {
	var all []string
	for _, needed := range verdict.Requires(name) {
		all = append(append(all, allRequired(needed)...), needed)
	}
	return all
}

// before returns the stages that must end before a stage starts: all that it requires, and all that can block it or one of
// those.
func before(name string) []string {
	all := allRequired(name)
	for _, stage := range append([]string{name}, all...) {
		all = append(all, verdict.HeldBy(stage)...)
	}
	return all
}

// step runs one stage, unless the run was refused, the policy excludes the stage for this ref, or a required stage did not
// pass.
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

// admit returns the function that runs the stage, or the report of a stage that does not run. Nothing else calls stage.run.
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

// passed reports whether later stages may run. They also may after a stage that this machine does not support, and if audit,
// scan or attest is not part of the run.
func passed(stage *verdict.Stage) bool {
	return stage.Verdict == verdict.Pass || stage.Verdict == verdict.NotRun &&
		(stage.Code == policy.CodeNoEngine.Name || slices.Contains([]string{verdict.Audit, verdict.Scan, verdict.Attest}, stage.Name))
}

// timed runs a stage and records its name and duration.
func timed(name string, run func() verdict.Stage) verdict.Stage {
	started := time.Now()
	stage := run()
	stage.Name = name
	stage.Took(started)
	return stage
}

// blocked reports a stage that did not run because an earlier one did not pass.
func blocked(name, by string) verdict.Stage {
	return policy.Blocked(name, verdict.Problemf(policy.CodeBlocked.In(name), "%s did not pass", by))
}

// failed reports a stage that could not start.
func failed(name string, problems ...*verdict.Problem) verdict.Stage {
	stage := verdict.Stage{Name: name}
	return *stage.Judge(problems...)
}

// operate carries out an action on the results of earlier runs as a run of its own, if the gate permits it.
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

// finish computes the verdict of the run.
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
