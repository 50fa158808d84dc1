package pipeline

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// deploy rolls the image out. The sandbox has no account, so there the rollout is only planned.
func (s *state) deploy(ctx context.Context, permit policy.Permit) verdict.Stage {
	found := s.attester().verify(ctx, permit)
	if len(found.problems) > 0 {
		return *found.stage.Judge(found.problems...)
	}
	stage, plan := s.deployer().rollOut(ctx, permit)
	s.outcome.Plan = plan
	stage.Evidence = append(found.stage.Evidence, stage.Evidence...)
	stage.Warnings = append(found.stage.Warnings, stage.Warnings...)
	stage.Blocks = append(stage.Blocks, found.stage.Blocks...)
	return stage
}

// deployer rolls an image out.
type deployer struct {
	*call
	image   string
	version *model.Version
}

// rollOut verifies the image if the call demands it, and deploys it.
func (s deployer) rollOut(ctx context.Context, permit policy.Permit) (verdict.Stage, *rollout.Plan) {
	clients, clock, in, problems := s.connect(ctx, permit)
	if v := s.version; v != nil {
		in.Model = &spec.Model{Number: v.Number, SHA256: v.SHA256}
	}
	if len(problems) > 0 {
		return failed(verdict.Deploy, problems...), nil
	}
	if s.opts.sandbox() {
		result := rollout.Run(ctx, in.Input)
		return result.Stage, result.Plan
	}
	result := release.Deploy(ctx, clients, clock, in)
	if s.opts.Image != "" {
		result.Stage.Add("tests of the image", "no part of this call: it was named by its digest")
	}
	return result.Stage, result.Plan
}

// planRollout adds the changes of the rollout to the plan: compared with the account if the call has an image and
// credentials, otherwise as a first deployment.
func (s deployer) planRollout(ctx context.Context, plan *Plan) {
	if !s.opts.sandbox() && s.opts.Image != "" && s.opts.credentials() {
		permit, refused := s.gate.Ask(policy.Action{Stage: verdict.Deploy, Reads: true}, nil)
		if refused != nil {
			plan.Problems = append(plan.Problems, refused.Cause)
			return
		}
		s.compare(ctx, permit, plan)
		return
	}
	task, unread := s.taskFile(ctx)
	if unread != nil {
		plan.Problems = append(plan.Problems, unread.Error())
		return
	}
	in := rollout.Input{Spec: s.cfg.RolloutSpec(), Environment: s.opts.Environment, Image: s.opts.Image, Commit: s.opts.Commit,
		TaskFile: task}
	for n, one := range in.Spec.Each() {
		in.Spec = one
		if n > 0 {
			in.TaskFile = nil
			plan.Rollout += "\n# Service " + one.Service + "\n"
		}
		planned, problems := rollout.NewPlan(in)
		if planned != nil {
			plan.Rollout += planned.Text()
		}
		for _, problem := range problems {
			plan.Problems = append(plan.Problems, problem.Error())
		}
	}
}

// compare plans the rollout against what exists in the account.
func (s deployer) compare(ctx context.Context, permit policy.Permit, plan *Plan) {
	clients, clock, in, problems := s.connect(ctx, permit)
	if len(problems) == 0 {
		result := release.Plan(ctx, clients, clock, in)
		plan.Rollout, plan.Changed, plan.Compared = result.Text, result.Changed, result.Text != ""
		if failure := result.Stage.Failure(); failure != "" {
			plan.Problems = append(plan.Problems, failure)
			for _, further := range result.Stage.Problems[1:] {
				plan.Problems = append(plan.Problems, further.Code+": "+further.Cause)
			}
		}
	}
	for _, problem := range problems {
		plan.Problems = append(plan.Problems, problem.Error())
	}
}
