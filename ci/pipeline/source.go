package pipeline

import (
	"context"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// checkSource finds out early that a source cannot be what the stages need: seconds
// instead of the minutes an environment takes to make.
func checkSource(ctx context.Context, source runner.Files, cfg config.Config) []*verdict.Problem {
	names, err := source.Filter(nil, cfg.Exclude).List(ctx)
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(CodeSourceUnreadable, "list files: %v", err)}
	}
	if len(names) == 0 {
		return []*verdict.Problem{verdict.Problemf(CodeSourceEmpty, "there is no file in it besides what pipeline.yaml excludes")}
	}
	for _, name := range names {
		if strings.HasSuffix(name, ".py") {
			return nil
		}
	}
	return []*verdict.Problem{verdict.Problemf(CodeSourceNotPython, "none of its %d files ends in .py", len(names))}
}

// blocked is a stage that should have run, but one before it did not pass.
func blocked(name, by string) verdict.Stage {
	return policy.Blocked(name, verdict.Problemf(policy.CodeBlocked.In(name), "%s did not pass", by))
}
