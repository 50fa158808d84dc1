package pipeline

import (
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TrainOptions adjust training.
type TrainOptions struct {
	// Params are added to the training command as --key value, each given as key=value.
	Params []string
	// Threads is how many CPU threads training uses; 0 for the stage's default.
	Threads int
}

func (p *progress) train() verdict.Stage {
	result := train.Run(p.ctx, p.backend.Runner, p.trainInput())
	p.outcome.Model = result.Model
	if result.Model != nil {
		p.run.ModelSHA256 = result.Model.SHA256
	}
	return result.Stage
}
