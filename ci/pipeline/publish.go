package pipeline

import (
	"fmt"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func (p *progress) publish(servers *servers) verdict.Stage {
	target := p.opts.Target
	if p.opts.Environment == "sandbox" {
		var problem *verdict.Problem
		if target, problem = servers.target(p.ctx); problem != nil {
			stage := verdict.Stage{Name: verdict.Publish}
			return *stage.Judge(problem)
		}
	}
	result := publish.Run(p.ctx, publish.Input{
		Config: p.cfg, Model: p.outcome.Model, Environment: p.opts.Environment,
		Commit: p.opts.Commit, Tree: p.run.Tree, Target: target,
	})
	p.outcome.Version = result.Version
	if result.Version != nil {
		p.run.ModelVersion = fmt.Sprint(result.Version.Number)
	}
	return result.Stage
}
