// Package pipeline is the list of the stages and what every run does around them: it checks the
// arguments, applies the policy and the gate, passes results between stages, and judges. A run,
// a single stage, a plan and the doctor all walk the same list; see stages.
package pipeline

import (
	"context"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Options are the arguments of a run. The functions of package main say what those are that they have; here is what a
// zero value means, and what only the code has.
type Options struct {
	// Environment is the sandbox when empty. Ref may be empty where AssumesRef says so: then it is main, with a warning.
	Environment, Ref string
	// ReleaseBranches is policy.ReleaseBranch when empty.
	ReleaseBranches []string
	// Commit never keys a cache. CommitTime is 1970 when empty, never now.
	Commit, CommitTime, Event string
	// Uncommitted are files of the source that differ from its checkout's commit, for a warning.
	Uncommitted []string
	// Stages limits the run to these stages; all when empty. The policy still applies.
	Stages []string
	// Image is the image to roll out, by digest, when the run does not build one.
	Image string
	// Advisories is the local path of the database of advisories; the backend's of today when empty.
	Advisories string
	// History asks the audit to search the history of the source too.
	History bool
	// Attest is how the image is attested; Verify what a deployment demands of that.
	Attest AttestOptions
	Verify VerifyOptions
	// Join is what becomes one index.
	Join JoinOptions
	// Registry is the login of the image's registry for all of them.
	Registry RegistryOptions
	// Trained is as in Outcome. Nil trains, on the application's own data without Data.
	Trained, Data runner.Files
	// Python and Platform override those in pipeline.yaml, also of the rollout.
	Python, Platform string
	// Test and Train narrow or override these stages.
	Test  TestOptions
	Train TrainOptions
	// Target is where the model is published. The sandbox starts its own servers instead.
	Target publish.Target
	// Rollout configures how the service is operated outside of the sandbox.
	Rollout RolloutOptions
	// Servers are running servers that the sandbox uses instead of starting its own.
	Servers Servers
	// Secrets are the secrets of the run; reports mask them.
	Secrets *Secrets
	// Refused are problems that the caller found before the run, such as a report directory that
	// cannot be written. With any, no stage runs.
	Refused []*verdict.Problem
	// Observe is what is recorded of the run, and where it is sent.
	Observe Observe
	// Checks limits doctor to the checks of these names; all but the slow ones when empty.
	Checks []string
	// Progress gets a line when a stage starts, ends, or still runs after a minute, one at a time; may be nil.
	Progress func(string)
	// Module is this program's version, for the report.
	Module string
	// plans is set for a plan.
	plans bool
	// sourceless is set for a call that works on no source: one with nothing in it will do.
	sourceless bool
	// measures is set for a run that finds out what the tests reach: it holds no floor of coverage.
	measures bool
}

// wants reports whether a stage is part of the run.
func (o Options) wants(stage string) bool {
	return len(o.Stages) == 0 || slices.Contains(o.Stages, stage)
}

// sandbox reports whether the run is one of the sandbox, which has no account and no credentials.
func (o Options) sandbox() bool { return o.Environment == "" || o.Environment == rollout.Sandbox }

// standsIn reports whether the call only rolls a given image out, or plans that, not to production, and finds AWS on this
// machine: a stand-in such as LocalStack.
func (o Options) standsIn() bool {
	rollsOut := o.plans || slices.Equal(o.Stages, []string{verdict.Deploy})
	return rollsOut && o.Image != "" && o.Environment != config.Production && awscall.Local(o.Rollout.Endpoint)
}

// AssumesRef reports whether a call without a ref may run, with the rights of the branch that is checked out, or else of
// the default release branch: nobody else is affected. Anywhere else a call that forgets --ref must not get these rights.
func (o Options) AssumesRef() bool { return o.sandbox() || o.standsIn() }

// alone says why nobody else is affected.
func (o Options) alone() string {
	if o.sandbox() {
		return "in the sandbox"
	}
	return "for an AWS on this machine"
}

// Servers are an MLflow server and an S3 API. A nil one is started by the run.
type Servers struct {
	MLflow, S3 *runner.Running
}

// Backend is where a run happens.
type Backend struct {
	// Runner runs steps and services.
	Runner runner.Runner
	// Source is the application's tree, without what Unusable names.
	Source runner.Files
	// Unusable is the error of what the source has, besides the excluded globs, that no stage could
	// get, such as a link that leads out of it. Nil where Source has everything.
	Unusable func(ctx context.Context, exclude []string) error
	// Again is how the user calls a function once more, for remedies.
	Again runner.Again
	// Root lists the entries of the source's root directory; directories end in a slash. Nil
	// where only files can be listed.
	Root func(ctx context.Context) ([]string, error)
	// Above is a folder above the source that has the pipeline.yaml of its project, where the source is only a part
	// of one; empty for none. Nil where nobody can look there.
	Above func() string
	// BuildImage builds and probes the image, and pushes it when the request has the permit. Nil
	// where there is no engine.
	BuildImage func(ctx context.Context, request ImageRequest) *ImageResult
	// WarmUp starts in the background what BuildImage can do without Model and Version; may be nil.
	WarmUp func(ctx context.Context, request ImageRequest)
	// ServeApp starts the application as a process with the model and probes it:
	// what can be shown of the image where there is no engine. Nil where there is one.
	ServeApp func(ctx context.Context, request ImageRequest) *ImageResult
	// Changes lists what differs from a revision; nil without a history.
	Changes Changes
	// Patch says in which lines; nil without a history.
	Patch Patch
	// Tool returns a tree with one of the security tools in its root; nil where there is none.
	Tool func(ctx context.Context, name string) (runner.Files, error)
	// History writes what the source ever had into a directory; nil without a history.
	History func(ctx context.Context, dir string) (supply.History, error)
	// Advisories returns the local path of a database of advisories of today; nil where there is none.
	Advisories func(ctx context.Context) (string, error)
	// AdvisoriesURL is where that comes from, for doctor; empty for nowhere.
	AdvisoriesURL string
	// ImageAdvisories is the same for packages of all kinds, as an image has them.
	ImageAdvisories func(ctx context.Context) (string, error)
	// Memory returns what audit and scan reported in earlier runs; nil, or nil returned, for none.
	Memory func() supply.Memory
	// WorkDir is an existing directory of this process's file system.
	WorkDir string
	// Import makes a directory below WorkDir available to steps.
	Import func(dir string) (runner.Files, error)
}

// Outcome is what a run produced.
type Outcome struct {
	// Run is the verdict with the report's content.
	Run *verdict.Run
	// Model is the gated model, or nil; Trained is what its training left, for a run on another platform.
	Model   *model.Artifact
	Trained runner.Files
	// Version is the published version, or nil.
	Version *model.Version
	// Image is the image's reference by digest, or empty.
	Image string
	// Plan is the rollout's plan, or nil.
	Plan *rollout.Plan
	// Next is the function that goes on from a single stage that passed in the sandbox: train after test, run after
	// train. It is empty where nothing follows.
	Next string
}

// Run runs the pipeline. It always returns an outcome with a complete, judged run.
func Run(ctx context.Context, backend Backend, opts Options) *Outcome {
	s := prepare(ctx, backend, opts)
	if problem := s.opts.besideCredentials(ctx, backend.Runner); problem != nil && s.run.Preflight == nil {
		s.run.Refuse(problem)
	}
	s.refuseUnpublishable(ctx)
	s.walk(ctx, stages())
	s.finish()
	(&observer{call: s.call}).observe(ctx, recordedCall(s.opts.Stages))
	s.outcome.Next = s.next()
	return &s.outcome
}

// next is Outcome.Next.
func (s *state) next() string {
	if s.run.Verdict != verdict.Pass || !s.opts.sandbox() || len(s.opts.Stages) != 1 {
		return ""
	}
	switch {
	case s.opts.Stages[0] == verdict.Test && s.gate.Decision(verdict.Train).Run:
		return verdict.Train
	case s.opts.Stages[0] == verdict.Train:
		return "run"
	}
	return ""
}
