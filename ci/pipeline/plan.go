package pipeline

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Plan says what a run would do, and why.
type Plan struct {
	// Ref and Environment are what it was asked for.
	Ref         string `json:"ref"`
	Environment string `json:"environment"`
	// Stages say for each stage whether it would run.
	Stages []policy.Decision `json:"stages"`
	// Rollout is what would change in AWS, as text; empty when nothing is rolled out.
	Rollout string `json:"rollout,omitempty"`
	// Problems keep the run from starting, or its rollout from being carried out.
	Problems []string `json:"problems"`
}

// Explain makes the plan of a run. It runs nothing and writes nothing.
func Explain(ctx context.Context, backend Backend, opts Options) *Plan {
	run, cfg, decisions := Prepare(ctx, backend, opts)
	plan := &Plan{Ref: run.Ref, Environment: run.Environment, Stages: decisions, Problems: []string{}}
	if run.Preflight != nil {
		plan.Problems = run.Judge().Failures()
		return plan
	}
	for _, decision := range decisions {
		if decision.Stage != verdict.Deploy || !decision.Run {
			continue
		}
		planned, problems := rollout.NewPlan(rollout.Input{Config: cfg, Environment: run.Environment, Image: opts.Image, Commit: opts.Commit})
		if planned != nil {
			plan.Rollout = planned.Text()
		}
		for _, problem := range problems {
			plan.Problems = append(plan.Problems, problem.Error())
		}
	}
	return plan
}

// Markdown renders the plan.
func (p *Plan) Markdown() string {
	var b strings.Builder
	b.WriteString("# Plan for " + verdict.Line(p.Ref, 255) + " in " + verdict.Line(p.Environment, 63) + "\n\n")
	if len(p.Stages) > 0 {
		b.WriteString("| Stage | Runs | Why |\n|---|---|---|\n")
	}
	for _, decision := range p.Stages {
		runs := "no"
		if decision.Run {
			runs = "yes"
		}
		b.WriteString("| " + decision.Stage + " | " + runs + " | " + decision.Reason + " |\n")
	}
	for _, problem := range p.Problems {
		b.WriteString("\n" + verdict.Line(problem, 4096) + "\n")
	}
	if p.Rollout != "" {
		b.WriteString("\n## Rollout\n\n```\n" + strings.TrimRight(p.Rollout, "\n") + "\n```\n")
	}
	return b.String()
}

// JSON renders the plan for machines.
func (p *Plan) JSON() []byte {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		// Strings and booleans always encode.
		panic(err)
	}
	return append(data, '\n')
}

// Failure is empty when the plan can be carried out, else why not.
func (p *Plan) Failure() string { return strings.Join(p.Problems, "\n") }
