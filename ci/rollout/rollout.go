// Package rollout plans the deploy stage: it renders the service on ECS and everything
// around it, validates them against the rules that AWS documents, and shows the plan.
//
// It renders the input types of the AWS SDK itself, so that what is shown, hashed and
// tested is what would be sent.
package rollout

import (
	"context"
	"fmt"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Sandbox is the environment without an account: AWS is never called, and missing values
// are filled with marked examples.
const Sandbox = spec.Sandbox

// Production is the environment with the strictest rules.
const Production = spec.Production

// Input is what the stage works on.
type Input struct {
	// Spec is the service as Environment wants it.
	Spec spec.Spec
	// Environment is the environment's name: sandbox, staging, production or another one.
	Environment string
	// Image is repository[:tag]@sha256:...; empty when no image was built, which only the
	// sandbox accepts.
	Image string
	// Commit is the revision, for tags; it never changes the task definition's hash.
	Commit string
	// Model is the published model inside the image, for tags; nil without one.
	Model *spec.Model
	// TaskFile is the content of the file Spec.TaskDefinition.
	TaskFile []byte
	// Tuning holds what pipeline.yaml does not say; nil means DefaultTuning.
	Tuning *Tuning
}

// Result is the stage's verdict and the plan.
type Result struct {
	// Stage is the verdict with its evidence.
	Stage verdict.Stage
	// Plan is what would be created; nil when the input is invalid.
	Plan *Plan
}

// Run plans the rollout and judges the plan; it never calls AWS. In the sandbox a valid plan
// passes. In every other environment a plan is not a deployment, and the verdict is "could
// not run" with NotApplied.
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
	problems = append(problems, further(in, stage)...)
	if in.Environment != Sandbox {
		problems = append(problems, verdict.Problemf(NotApplied,
			"the plan for %s is valid, and nothing of it was carried out", in.Environment))
	}
	stage.Judge(problems...)
	return result
}

// further plans the other services, and adds their plans to the stage.
func further(in Input, stage *verdict.Stage) []*verdict.Problem {
	var all []*verdict.Problem
	for _, one := range in.Spec.Each()[1:] {
		other := in
		other.Spec, other.TaskFile = one, nil
		plan, problems := NewPlan(other)
		all = append(all, problems...)
		if plan == nil {
			continue
		}
		name := one.Service
		stage.Gate("plan of "+name, fmt.Sprintf("%d resources", len(plan.Resources())), "valid", true)
		stage.Blocks = append(stage.Blocks, verdict.Block{Title: "Plan of " + name, Log: plan.Text()})
		for _, file := range plan.Files() {
			file.Path = strings.Replace(file.Path, "rollout/", "rollout/"+name+"/", 1)
			stage.Files = append(stage.Files, file)
		}
	}
	for _, task := range in.Spec.Tasks {
		stage.Add("task "+task.Name, strings.Join(task.Command, " ")+", before any service is touched")
	}
	return all
}

// short is the first 12 characters of a hexadecimal digest, with or without algorithm.
func short(digest string) string {
	digest = strings.TrimPrefix(digest, "sha256:")
	return digest[:min(12, len(digest))]
}
