// Package rollout is the deploy stage: it renders what the service on ECS is to be,
// holds it against the rules that AWS documents, and shows the plan.
//
// What is rendered are the input types of the AWS SDK itself, so that what is shown,
// hashed and tested is what would be sent.
package rollout

import (
	"context"
	"fmt"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Sandbox is the environment in which nothing is called in AWS, and missing values of
// an account are filled with marked examples.
const Sandbox = "sandbox"

// Production is the environment with the strictest rules.
const Production = "production"

// Input is what the stage works on.
type Input struct {
	// Spec is the service as Environment wants it.
	Spec spec.Spec
	// Environment is the environment's name: sandbox, staging, production or another one.
	Environment string
	// Image is repository[:tag]@sha256:...; empty when no image was made, which only the
	// sandbox accepts.
	Image string
	// Commit is the revision, for tags; it never changes the task definition's hash.
	Commit string
	// Model is the published model inside the image, for tags; nil when there is none.
	Model *spec.Model
	// Tuning holds what pipeline.yaml does not say; nil means DefaultTuning.
	Tuning *Tuning
}

// Result is the stage's verdict and the plan.
type Result struct {
	// Stage is the verdict with its evidence.
	Stage verdict.Stage
	// Plan is what would be made; nil when the input does not allow a valid one.
	Plan *Plan
}

// Run plans the rollout and judges the plan. In the sandbox a valid plan passes: there
// is no account, so nothing is called in AWS. In every other environment a plan alone is
// no deployment, and the stage says that it could not run.
func Run(ctx context.Context, in Input) *Result {
	result := &Result{Stage: verdict.Stage{Name: verdict.Deploy}}
	stage := &result.Stage
	if err := ctx.Err(); err != nil {
		stage.Judge(verdict.Problemf(Cancelled, "plan rollout: %v", err))
		return result
	}
	plan, problems := NewPlan(in)
	result.Plan = plan
	if plan == nil {
		stage.Gate("plan", fmt.Sprintf("%d problems", len(problems)), "valid", false)
		stage.Judge(problems...)
		return result
	}
	plan.evidence(stage)
	if in.Environment != Sandbox {
		problems = append(problems, verdict.Problemf(NotApplied,
			"the plan for %s is valid, and nothing of it was carried out", in.Environment))
	}
	stage.Judge(problems...)
	return result
}

// short is the first 12 characters of a hexadecimal digest, with or without algorithm.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(12, len(digest))]
}
