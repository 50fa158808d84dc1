package pipeline

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// choosePython sets the Python version of all environments: from the call, from pipeline.yaml, or from the project's own
// files, in this order.
func choosePython(ctx context.Context, source runner.Files, cfg *config.Config, given string) error {
	if given != "" {
		cfg.Python = given
		return nil
	}
	if cfg.PythonSet {
		return nil
	}
	version, _, err := pyenv.ChoosePython(ctx, source)
	if version != "" {
		cfg.Python = version
	}
	return err
}
