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

// servers are the sandbox's MLflow server and S3 API. They start while tests and training run, because publish is the first
// stage that needs them.
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

// startServers starts the servers that the call does not provide, in the background.
func (s *state) startServers(ctx context.Context) {
	if !s.opts.sandbox() {
		return
	}
	v := &s.servers
	start := func(given *runner.Running, service runner.Service, running **runner.Running, failed *error) {
		if given != nil {
			*running = given
			return
		}
		v.done.Go(func() {
			*running, *failed = s.backend.Runner.Start(ctx, service)
			if *failed == nil {
				v.mu.Lock()
				v.started = append(v.started, *running)
				v.mu.Unlock()
			}
		})
	}
	start(s.opts.Servers.MLflow, sandbox.MLflow(s.backend.Runner), &v.mlflow, &v.mlflowErr)
	start(s.opts.Servers.S3, sandbox.S3(s.backend.Runner), &v.s3, &v.s3Err)
}

// target waits for the servers and returns how to publish to them.
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

// retire stops the servers of this run in the background; stop waits for it.
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

// stop stops the servers. Its error names those that did not stop.
func (s *servers) stop(ctx context.Context) error {
	s.retire(ctx)
	s.ended.Wait()
	return s.left
}
