// Package engine runs steps in containers of a Dagger engine: environments are
// cached layers, inputs are content-hashed, a step whose inputs did not change is
// answered from the cache.
package engine

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// Runner is a runner.Runner on a Dagger engine.
type Runner struct {
	images
	leftovers
	tunnel bool
	// id tells this runner's services from those of other runs in the same session.
	id string
}

// leftovers are what ends with the runner.
type leftovers struct {
	// patient waits for services to end: outside of a module function nothing else ends them.
	patient bool

	mu      sync.Mutex
	running []*runner.Running
	// retired are services whose end was asked for and is not waited for.
	retired sync.WaitGroup
	failed  []error
	temps   []string
}

// Options adjust a Runner.
type Options struct {
	// Tunnel makes services reachable from this process by a port of its host. It is
	// needed outside of module functions, where the engine's network is not in reach,
	// and impossible inside of them, where it is.
	Tunnel bool
	// Index is the address of a package index, with its login if it has one, to install from
	// instead of PyPI. Only installations see it; no step, service or layer does.
	Index *dagger.Secret
	// Image returns the base image for a Python version; python:<version>-slim when nil.
	Image func(python string) string
}

// New returns a runner on the engine that client is connected to.
func New(client *dagger.Client, opts Options) *Runner {
	id := make([]byte, 8)
	// rand.Read never fails (Go 1.24 and later).
	if _, err := rand.Read(id); err != nil {
		panic(err)
	}
	return &Runner{images: images{client: client, index: opts.Index, image: opts.Image}, leftovers: leftovers{patient: opts.Tunnel},
		tunnel: opts.Tunnel, id: hex.EncodeToString(id)}
}

// Name implements runner.Runner.
func (r *Runner) Name() string { return "engine" }

// Client is the connection, for the stages that use Dagger openly.
func (r *Runner) Client() *dagger.Client { return r.client }

// farewell is how long Close waits for services where their session will end them anyway:
// long enough to have asked. The engine ends a process at once and then takes a second
// or two to clean up after it.
const farewell = 300 * time.Millisecond

// Close stops the services that are still running and removes temporary files.
func (l *leftovers) Close(ctx context.Context) error {
	l.mu.Lock()
	running, temps := l.running, l.temps
	l.running, l.temps = nil, nil
	l.mu.Unlock()
	for _, running := range slices.Backward(running) {
		l.Retire(ctx, running)
	}
	l.awaitRetired()
	l.mu.Lock()
	first := errors.Join(l.failed...)
	l.failed = nil
	l.mu.Unlock()
	for _, dir := range temps {
		if err := os.RemoveAll(dir); err != nil && first == nil {
			first = fmt.Errorf("remove %s: %w", dir, err)
		}
	}
	return first
}

// awaitRetired waits for the services' ends; inside of a module function only until they
// have been asked to.
func (l *leftovers) awaitRetired() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		l.retired.Wait()
	}()
	if l.patient {
		<-ended
		return
	}
	select {
	case <-ended:
	case <-time.After(farewell):
	}
}

// Retire asks a service to end and does not wait for it: ending takes a second that
// nobody needs to sit out. Close waits where nobody else would end it, and reports what
// did not end.
func (l *leftovers) Retire(ctx context.Context, running *runner.Running) {
	l.retired.Go(func() {
		if err := running.Stop(ctx); err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.failed = append(l.failed, fmt.Errorf("stop service %s: %w", running.Name, err))
		}
	})
}

// temp makes a directory that lives until Close.
func (l *leftovers) temp() (string, error) {
	dir, err := os.MkdirTemp("", "openstack-rca-")
	if err != nil {
		return "", fmt.Errorf("make temporary directory: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.temps = append(l.temps, dir)
	return dir, nil
}

// defaultTimeout is what runner.Step promises for a zero Timeout.
const defaultTimeout = 30 * time.Minute
