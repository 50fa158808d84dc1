package pipeline

import (
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// deploy rolls the image out. In the sandbox there is no account: the rollout is planned.
func (p *progress) deploy() verdict.Stage {
	p.opts.Image = p.outcome.Image
	clients, clock, in, problems := p.opts.connect(p.ctx, p.cfg)
	in.Version = p.outcome.Version
	if len(problems) > 0 {
		stage := verdict.Stage{Name: verdict.Deploy}
		return *stage.Judge(problems...)
	}
	if p.opts.Environment == rollout.Sandbox {
		result := rollout.Run(p.ctx, in.Input)
		p.outcome.Plan = result.Plan
		return result.Stage
	}
	result := release.Deploy(p.ctx, clients, clock, in)
	p.outcome.Plan = result.Plan
	return result.Stage
}
