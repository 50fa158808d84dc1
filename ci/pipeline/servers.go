package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// servers are the sandbox's MLflow server and S3 API. They start while tests and
// training run, since nothing needs them before publish.
type servers struct {
	done       sync.WaitGroup
	mu         sync.Mutex
	started    []*runner.Running
	ending     sync.Once
	ended      sync.WaitGroup
	left       error
	mlflow, s3 *runner.Running
	mlflowErr  error
	s3Err      error
}

func (p *progress) startServers() *servers {
	s := &servers{}
	if p.opts.Environment != "sandbox" || !p.opts.wants(verdict.Publish) || !p.decisions[verdict.Publish].Run {
		return s
	}
	start := func(given *runner.Running, service runner.Service, running **runner.Running, failed *error) {
		if given != nil {
			*running = given
			return
		}
		s.done.Go(func() {
			*running, *failed = p.backend.Runner.Start(p.ctx, service)
			if *failed == nil {
				s.mu.Lock()
				s.started = append(s.started, *running)
				s.mu.Unlock()
			}
		})
	}
	start(p.opts.Servers.MLflow, sandbox.MLflow(p.backend.Runner), &s.mlflow, &s.mlflowErr)
	start(p.opts.Servers.S3, sandbox.S3(p.backend.Runner), &s.s3, &s.s3Err)
	return s
}

// target waits for the servers and says how to publish to them.
func (s *servers) target(ctx context.Context) (publish.Target, *verdict.Problem) {
	s.done.Wait()
	for _, err := range []error{s.mlflowErr, s.s3Err} {
		if err != nil {
			return publish.Target{}, verdict.Problemf(sandbox.CodeSandboxFailed, "%v", err)
		}
	}
	target, err := sandbox.Target(ctx, s.mlflow, s.s3)
	if err != nil {
		return publish.Target{}, verdict.Problemf(sandbox.CodeSandboxFailed, "%v", err)
	}
	return target, nil
}

// retire begins to end the servers that this run started; stop waits for that.
func (s *servers) retire(ctx context.Context) {
	s.ending.Do(func() {
		s.done.Wait()
		for _, running := range s.started {
			s.ended.Go(func() {
				if err := running.Stop(ctx); err != nil {
					s.mu.Lock()
					defer s.mu.Unlock()
					s.left = errors.Join(s.left, fmt.Errorf("stop %s: %w", running.Name, err))
				}
			})
		}
	})
}

// stop ends the servers and says which did not end.
func (s *servers) stop(ctx context.Context) error {
	s.retire(ctx)
	s.ended.Wait()
	return s.left
}
