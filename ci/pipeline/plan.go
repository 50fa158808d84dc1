package pipeline

import (
	"context"
	"encoding/json"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
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
	// Compared says that Rollout is against what exists, and Changed that something would change.
	Compared bool `json:"compared"`
	Changed  bool `json:"changed"`
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
		// An image that is given needs no engine to be rolled out.
		given := decision.Code == policy.CodeNoEngine.Name && opts.Image != ""
		if decision.Stage != verdict.Deploy || !decision.Run && !given {
			continue
		}
		if run.Environment != rollout.Sandbox && opts.Image != "" && opts.credentials() {
			opts.Environment, opts.Ref = run.Environment, run.Ref
			plan.live(ctx, opts, cfg)
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

// live holds the rollout against the account.
func (p *Plan) live(ctx context.Context, opts Options, cfg config.Config) {
	clients, clock, in, problems := opts.connect(ctx, cfg)
	if len(problems) == 0 {
		result := release.Plan(ctx, clients, clock, in)
		p.Rollout, p.Changed, p.Compared = result.Text, result.Changed, result.Text != ""
		if failure := result.Stage.Failure(); failure != "" {
			p.Problems = append(p.Problems, failure)
			for _, further := range result.Stage.Problems[1:] {
				p.Problems = append(p.Problems, further.Code+": "+further.Cause)
			}
		}
	}
	for _, problem := range problems {
		p.Problems = append(p.Problems, problem.Error())
	}
}

// credentials says that the account can be asked.
func (o Options) credentials() bool {
	return o.Target.AccessKey != nil || o.Rollout.Profile != "" || o.Rollout.WebIdentity != nil || o.Rollout.DefaultCredentials || o.Rollout.Connect != nil
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
