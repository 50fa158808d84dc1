package pipeline

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Plan is what a run would do, with the reasons.
type Plan struct {
	// Ref and Environment are those of the run.
	Ref         string `json:"ref"`
	Environment string `json:"environment"`
	// Stages has the decision on each stage.
	Stages []policy.Decision `json:"stages"`
	// Rollout describes the changes in AWS; it is empty if nothing is rolled out.
	Rollout string `json:"rollout,omitempty"`
	// Compared is set if Rollout was compared with the account, Changed if anything would change.
	Compared bool `json:"compared"`
	Changed  bool `json:"changed"`
	// Problems would keep the run from starting or the rollout from being carried out.
	Problems []string `json:"problems"`
}

// Explain returns the plan of a run. It runs nothing and writes nothing.
func Explain(ctx context.Context, backend Backend, opts Options) *Plan {
	opts.plans = true
	s := prepare(ctx, backend, opts)
	plan := &Plan{Ref: s.run.Ref, Environment: s.run.Environment, Problems: []string{}}
	if s.run.Preflight != nil {
		plan.Problems = s.run.Judge().Failures()
		return plan
	}
	for _, st := range stages() {
		decision := s.gate.Decision(st.name)
		plan.Stages = append(plan.Stages, decision)
		if st.plan != nil && decision.Run {
			st.plan(s.deployer(), ctx, plan)
		}
	}
	return plan
}

// credentials reports whether the call has credentials for the account.
func (o Options) credentials() bool {
	r := o.Rollout
	return o.Target.AccessKey != nil || r.Profile != "" || r.WebIdentity != nil || r.DefaultCredentials || r.Connect != nil
}

// Markdown renders the plan. A first deployment has one line per resource to create.
func (p *Plan) Markdown() string {
	if p.Compared {
		return p.WholeMarkdown()
	}
	short := *p
	lines := strings.Split(p.Rollout, "\n")
	short.Rollout = strings.Join(slices.DeleteFunc(lines, func(line string) bool { return strings.HasPrefix(line, " ") }), "\n")
	text := short.WholeMarkdown()
	if p.Rollout != "" {
		text += "\nWhat each resource consists of: `openstack-rca plan --verbose`, or `plan json` of the module.\n"
	}
	return text
}

// WholeMarkdown renders the plan with the full input of each call of AWS.
func (p *Plan) WholeMarkdown() string {
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
		// Strings and booleans can always be encoded.
		panic(err)
	}
	return append(data, '\n')
}

// Failure explains why the plan cannot be carried out, or is empty.
func (p *Plan) Failure() string { return strings.Join(p.Problems, "\n") }
