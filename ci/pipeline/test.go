package pipeline

import (
	"os"
	"path/filepath"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/test"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestOptions select tests.
type TestOptions struct {
	// Paths, Keyword and Marker select tests as for pytest.
	Paths           []string
	Keyword, Marker string
}

func (p *progress) test() verdict.Stage {
	in := test.Input{
		Config: p.cfg, Source: p.backend.Source, Python: p.opts.Python,
		Paths: p.opts.Test.Paths, Keyword: p.opts.Test.Keyword, Marker: p.opts.Test.Marker,
		Scratch: filepath.Join(p.backend.WorkDir, "test"),
	}
	if err := os.MkdirAll(in.Scratch, 0o755); err != nil {
		stage := verdict.Stage{Name: verdict.Test}
		return *stage.Judge(verdict.Problemf(test.Internal, "make directory: %v", err))
	}
	if p.cfg.Test.Services {
		in.Needs = []runner.Service{sandbox.MLflow(p.backend.Runner), sandbox.S3(p.backend.Runner)}
		in.ServiceVars = sandbox.Vars()
	}
	return test.Run(p.ctx, p.backend.Runner, in).Stage
}
