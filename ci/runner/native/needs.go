package native

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// needsKey returns everything about a step's needs that can change its result. The services are only started if the step is
// not answered from the cache.
func (r *Runner) needsKey(ctx context.Context, needs []runner.Service) ([]any, error) {
	var parts []any
	for _, need := range needs {
		env, err := r.environments.describe(ctx, need.Name, need.Env)
		if err != nil {
			return nil, fmt.Errorf("describe service %s: %w", need.Name, err)
		}
		inputs, err := place(need.Inputs).Digest(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe service %s: %w", need.Name, err)
		}
		parts = append(parts, need.Name, env.key, inputs, need.Args, need.Vars, need.Path, need.PythonPath)
	}
	return parts, nil
}

// talksToOthers reports whether a need uses services that are already running, whose state is not part of any key.
func talksToOthers(needs []runner.Service) bool {
	return slices.ContainsFunc(needs, func(need runner.Service) bool { return len(need.Services) > 0 })
}

// startNeeds starts the services that a step needs. It returns the step with them among its services, and a function that
// stops them.
func (r *Runner) startNeeds(ctx context.Context, step runner.Step) (runner.Step, func() error, error) {
	var started []*runner.Running
	stop := func() error {
		var all error
		for _, running := range started {
			if err := running.Stop(context.WithoutCancel(ctx)); err != nil {
				all = errors.Join(all, fmt.Errorf("stop service %s: %w", running.Name, err))
			}
		}
		return all
	}
	services := maps.Clone(step.Services)
	if services == nil {
		services = map[string]*runner.Running{}
	}
	for _, need := range step.Needs {
		running, err := r.Start(ctx, need)
		if err != nil {
			return step, stop, errors.Join(err, stop())
		}
		started = append(started, running)
		services[need.Name] = running
	}
	step.Services = services
	return step, stop, nil
}
