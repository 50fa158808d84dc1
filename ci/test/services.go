package test

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// stopBudget bounds the end of one service.
const stopBudget = 20 * time.Second

// start starts the services that the tests need, side by side, and binds them to the
// step. stop ends those that were started, also after an error or a cancelled context.
func (s *session) start(ctx context.Context, r runner.Runner) (stop func(), err error) {
	started := make([]*runner.Running, len(s.in.Needs))
	errs := make([]error, len(s.in.Needs))
	var wait sync.WaitGroup
	for i, service := range s.in.Needs {
		wait.Go(func() { started[i], errs[i] = r.Start(ctx, service) })
	}
	wait.Wait()
	bound := map[string]*runner.Running{}
	maps.Copy(bound, s.in.Services)
	for i, service := range s.in.Needs {
		if started[i] != nil {
			bound[service.Name] = started[i]
		}
	}
	s.plan.step.Services = bound
	err = errors.Join(errs...)
	if err == nil && s.in.Prepare != nil {
		if cause := s.in.Prepare(ctx, bound); cause != nil {
			err = &runner.StartError{Service: "preparation", Err: cause}
		}
	}
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopBudget)
		defer cancel()
		for _, running := range started {
			if running == nil {
				continue
			}
			if err := running.Stop(ctx); err != nil {
				s.result.Stage.Warn(ServiceLeft, "stop service %s: %v", running.Name, err)
			}
		}
	}, err
}
