package pipeline

import (
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (p *progress) deploy() verdict.Stage {
	result := rollout.Run(p.ctx, rollout.Input{
		Config: p.cfg, Environment: p.opts.Environment, Image: p.outcome.Image,
		Commit: p.opts.Commit, Version: p.outcome.Version,
	})
	p.outcome.Plan = result.Plan
	return result.Stage
}
