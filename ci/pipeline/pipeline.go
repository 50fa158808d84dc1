// Package pipeline has the ordered list of stages and everything a run does around them: it checks the arguments, applies the
// policy and the gate, passes results between stages, and judges them. Runs, single stages, plans and doctor all walk the
// same list; see stages.
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

// Options are the arguments of a run. Those that are also arguments of a public function are documented in package main; the
// comments here describe zero values and internal fields.
type Options struct {
	// Environment defaults to the sandbox. Ref may be empty where AssumesRef allows it; it is then main, with a warning.
	Environment, Ref string
	// ReleaseBranches defaults to policy.ReleaseBranch.
	ReleaseBranches []string
	// Commit is never part of a cache key. CommitTime defaults to 1970, never to the current time.
	Commit, CommitTime, Event string
	// Uncommitted lists source files that differ from the checked-out commit; they cause a warning.
	Uncommitted []string
	// Stages limits the run to these stages; empty means all. The policy still applies.
	Stages []string
	// Image is the image to roll out, by digest, if the run does not build one.
	Image string
	// Advisories is the local path of the advisory database; empty means the backend's current one.
	Advisories string
	// History makes the audit search the git history too.
	History bool
	// Attest configures the attestation of the image, and Verify what a deployment requires of it.
	Attest AttestOptions
	Verify VerifyOptions
	// Join is what becomes one index.
	Join JoinOptions
	// Registry has the credentials for the image registry, for all three.
	Registry RegistryOptions
	// Trained is as in Outcome; nil trains the model. Data is nil for the application's own data.
	Trained, Data runner.Files
	// Python and Platform override pipeline.yaml, for the rollout too.
	Python, Platform string
	// Test and Train configure these stages.
	Test  TestOptions
	Train TrainOptions
	// Target is where the model is published. The sandbox uses its own servers instead.
	Target publish.Target
	// Rollout configures how the ECS service is operated outside of the sandbox.
	Rollout RolloutOptions
	// Servers are running servers for the sandbox to use instead of starting its own.
	Servers Servers
	// Secrets are masked in reports.
	Secrets *Secrets
	// Refused are problems that the caller found before the run, such as an unwritable report directory. If there are any, no
	// stage runs.
	Refused []*verdict.Problem
	// Observe configures how the run is recorded and where its results are sent.
	Observe Observe
	// Checks limits doctor to the named checks; empty means all except the slow ones.
	Checks []string
	// Progress receives a line when a stage starts, ends, or has run for another minute. It is not called concurrently, and
	// may be nil.
	Progress func(string)
	// Module is this program's version, as shown in the report.
	Module string
	// plans is set while planning.
	plans bool
	// sourceless is set for calls that need no source; an empty one is enough.
	sourceless bool
	// measures is set for a run that measures coverage; it enforces no coverage floor.
	measures bool
}

// wants reports whether a stage is part of the run.
func (o Options) wants(stage string) bool {
	return len(o.Stages) == 0 || slices.Contains(o.Stages, stage)
}

// sandbox reports whether the environment is the sandbox, which has no account and no credentials.
func (o Options) sandbox() bool { return o.Environment == "" || o.Environment == rollout.Sandbox }

// standsIn reports whether the call only deploys a given image, or plans that, to an AWS emulator on this machine such as
// LocalStack. Production is never emulated.
func (o Options) standsIn() bool {
	rollsOut := o.plans || slices.Equal(o.Stages, []string{verdict.Deploy})
	return rollsOut && o.Image != "" && o.Environment != config.Production && awscall.Local(o.Rollout.Endpoint)
}

// AssumesRef reports whether the call may omit the ref. It then has the rights of the checked-out branch, or of the default
// release branch. That is only safe where nobody else is affected; elsewhere a forgotten --ref must not gain these rights.
func (o Options) AssumesRef() bool { return o.sandbox() || o.standsIn() }

// alone explains why nobody else is affected.
func (o Options) alone() string {
	if o.sandbox() {
		return "in the sandbox"
	}
	return "for an AWS on this machine"
}

// Servers are an MLflow server and an S3 API; the run starts those that are nil.
type Servers struct {
	MLflow, S3 *runner.Running
}

// Backend is where a run executes, with what it needs from there.
type Backend struct {
	// Runner executes steps and services.
	Runner runner.Runner
	// Source is the application's files, without those that Unusable reports.
	Source runner.Files
	// Unusable reports files that no stage could use and that pipeline.yaml does not exclude, such as a link that leads out
	// of the source. It is nil if Source is complete.
	Unusable func(ctx context.Context, exclude []string) error
	// Again returns the command that calls a function again, for use in remedies.
	Again runner.Again
	// Root lists the root directory of the source; names of directories end in a slash. It is nil if the backend can only
	// list files.
	Root func(ctx context.Context) ([]string, error)
	// Above returns a parent directory whose pipeline.yaml belongs to the source's project, or an empty string. It is nil if
	// the backend cannot look there.
	Above func() string
	// BuildImage builds and probes the image, and pushes it if the request has a permit. It is nil without an engine.
	BuildImage func(ctx context.Context, request ImageRequest) *ImageResult
	// WarmUp starts those parts of BuildImage in the background that need neither Model nor Version; it may be nil.
	WarmUp func(ctx context.Context, request ImageRequest)
	// ServeApp starts the application with the model as a process and probes it, in place of BuildImage. It is nil with an
	// engine.
	ServeApp func(ctx context.Context, request ImageRequest) *ImageResult
	// Changes lists the files that differ from a revision; nil without a git history.
	Changes Changes
	// Patch returns the changed lines; nil without a git history.
	Patch Patch
	// Tool returns a tree with one of the security tools in its root; nil if there is none.
	Tool func(ctx context.Context, name string) (runner.Files, error)
	// History writes all versions of all files into a directory; nil without a git history.
	History func(ctx context.Context, dir string) (supply.History, error)
	// Advisories returns the local path of a current advisory database; nil if there is none.
	Advisories func(ctx context.Context) (string, error)
	// AdvisoriesURL is where the database is downloaded from, for doctor; it may be empty.
	AdvisoriesURL string
	// ImageAdvisories is like Advisories, for all kinds of packages that an image can have.
	ImageAdvisories func(ctx context.Context) (string, error)
	// Memory returns the cached reports of audit and scan. It may be nil or return nil.
	Memory func() supply.Memory
	// WorkDir is an existing directory of the local file system.
	WorkDir string
	// Import makes a directory below WorkDir available to steps.
	Import func(dir string) (runner.Files, error)
}

// Outcome is the result of a run.
type Outcome struct {
	// Run is the verdict with the content of the report.
	Run *verdict.Run
	// Model is the model that passed the gates, or nil. Trained has all files that its training left, for a run on another
	// platform.
	Model   *model.Artifact
	Trained runner.Files
	// Version is the published version, or nil.
	Version *model.Version
	// Image is the image's reference by digest, or empty.
	Image string
	// Plan is the rollout's plan, or nil.
	Plan *rollout.Plan
	// Next is the function to call after a stage that passed in the sandbox: train after test, run after train. Otherwise it
	// is empty.
	Next string
}

// Run runs the pipeline. It always returns an outcome with a complete verdict.
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

// next computes Outcome.Next.
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
