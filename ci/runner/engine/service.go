package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// stopGrace bounds how long a service may take to end.
const stopGrace = 20 * time.Second

// Start implements runner.Runner. The engine checks that the port accepts
// connections; a Ready path is polled on top of that.
func (r *Runner) Start(ctx context.Context, service runner.Service) (*runner.Running, error) {
	timeout := service.StartTimeout
	if timeout == 0 {
		timeout = 90 * time.Second
	}
	svc, port, err := r.service(ctx, service, true)
	if err != nil {
		return nil, err
	}
	return r.Serve(ctx, service.Name, svc, port, service.Ready, timeout)
}

// service describes a service without starting it. In a session, equal services are one
// instance. own adds this runner's id, for a service with state of its own; a step that needs
// such a service is not answered from the cache.
func (r *Runner) service(ctx context.Context, service runner.Service, own bool) (*dagger.Service, int, error) {
	port := service.Port
	if port == 0 {
		port = 8080
	}
	ctr, err := r.environment(ctx, service.Env)
	if err != nil {
		return nil, 0, err
	}
	if ctr, err = r.place(ctr, service.Inputs); err != nil {
		return nil, 0, &runner.StartError{Service: service.Name, Err: err}
	}
	ctr, replace := bind(ctr, service.Services, map[string]string{"port": strconv.Itoa(port), "bind": "0.0.0.0"})
	for _, name := range slices.Sorted(maps.Keys(service.Vars)) {
		ctr = ctr.WithEnvVariable(name, replace(service.Vars[name]))
	}
	if len(service.Path) > 0 {
		ctr = ctr.WithEnvVariable("PATH", runner.Search(Workdir, service.Path, searchPath))
	}
	if len(service.PythonPath) > 0 {
		ctr = ctr.WithEnvVariable("PYTHONPATH", runner.Search(Workdir, service.PythonPath, service.Vars["PYTHONPATH"]))
	}
	args := make([]string, len(service.Args))
	for i, arg := range service.Args {
		args[i] = replace(arg)
	}
	if own {
		ctr = ctr.WithEnvVariable("OPENSTACK_RCA_RUN", r.id)
	}
	return ctr.WithExposedPort(port).AsService(dagger.ContainerAsServiceOpts{Args: args}), port, nil
}

// Serve starts a service of the engine and waits until it is ready: its port accepts
// connections and, if ready is not empty, that path answers below 400.
func (r *Runner) Serve(
	ctx context.Context, name string, svc *dagger.Service, port int, ready string, timeout time.Duration,
) (*runner.Running, error) {
	running, err := r.serve(ctx, name, svc, port, ready, timeout)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.running = append(r.running, running)
	r.mu.Unlock()
	return running, nil
}

// serve is Serve for a service that Close does not stop.
func (r *Runner) serve(
	ctx context.Context, name string, svc *dagger.Service, port int, ready string, timeout time.Duration,
) (*runner.Running, error) {
	start, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	fail := func(err error) error {
		return &runner.StartError{Service: name, Logs: execOutput(err), Err: err}
	}
	svc, err := svc.Start(start)
	if err != nil {
		return nil, fail(err)
	}
	reach := svc
	if r.tunnel {
		reach, err = r.client.Host().Tunnel(svc, dagger.HostTunnelOpts{Ports: []dagger.PortForward{{Backend: port, Frontend: 0}}}).Start(start)
		if err != nil {
			return nil, fail(fmt.Errorf("open tunnel: %w", err))
		}
	}
	endpoint := dagger.ServiceEndpointOpts{Port: port}
	if r.tunnel {
		endpoint.Port = 0
	}
	address, err := reach.Endpoint(start, endpoint)
	if err != nil {
		return nil, fail(fmt.Errorf("look up endpoint: %w", err))
	}
	var once sync.Once
	var stopped error
	running := &runner.Running{
		Name:    name,
		Address: address,
		Inside:  name + ":" + strconv.Itoa(port),
		Handle:  svc,
		// The engine sends a service's output to its progress view only.
		Logs: func() string { return "" },
		Stop: func(ctx context.Context) error {
			once.Do(func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopGrace)
				defer cancel()
				if reach != svc {
					_, stopped = reach.Stop(ctx)
				}
				if _, err := svc.Stop(ctx, dagger.ServiceStopOpts{Kill: true}); err != nil && stopped == nil {
					stopped = err
				}
			})
			return stopped
		},
	}
	if ready != "" {
		if err := awaitHTTP(start, "http://"+address+ready); err != nil {
			if stop := running.Stop(ctx); stop != nil {
				err = fmt.Errorf("%w (and stopping it: %w)", err, stop)
			}
			return nil, &runner.StartError{Service: name, Err: err}
		}
	}
	return running, nil
}

// Adopt starts a service that the caller described and uses its first port. The service
// belongs to the caller: neither its Stop nor Close ends it, because the caller's next
// function in the same session may need it.
func (r *Runner) Adopt(ctx context.Context, name string, svc *dagger.Service) (*runner.Running, error) {
	// A service of the host has no ports before it is started.
	svc, err := svc.Start(ctx)
	if err != nil {
		return nil, &runner.StartError{Service: name, Logs: execOutput(err), Err: err}
	}
	ports, err := svc.Ports(ctx)
	if err != nil {
		return nil, &runner.StartError{Service: name, Logs: execOutput(err), Err: err}
	}
	if len(ports) == 0 {
		return nil, &runner.StartError{Service: name, Err: errors.New("it exposes no port")}
	}
	port, err := ports[0].Port(ctx)
	if err != nil {
		return nil, &runner.StartError{Service: name, Err: err}
	}
	running, err := r.serve(ctx, name, svc, port, "", 90*time.Second)
	if err != nil {
		return nil, err
	}
	running.Stop = func(context.Context) error { return nil }
	return running, nil
}

// bind makes services reachable in ctr by name. It returns a function that replaces
// {{name}} placeholders.
func bind(
	ctr *dagger.Container, services map[string]*runner.Running, more map[string]string,
) (*dagger.Container, func(string) string) {
	var pairs []string
	for _, name := range slices.Sorted(maps.Keys(services)) {
		running := services[name]
		if svc, ok := running.Handle.(*dagger.Service); ok {
			ctr = ctr.WithServiceBinding(name, svc)
		}
		_, port, _ := strings.Cut(running.Inside, ":")
		pairs = append(pairs, "{{"+name+"}}", name+":"+port)
	}
	for _, name := range slices.Sorted(maps.Keys(more)) {
		pairs = append(pairs, "{{"+name+"}}", more[name])
	}
	return ctr, strings.NewReplacer(pairs...).Replace
}

// awaitHTTP polls until url answers or ctx ends.
func awaitHTTP(ctx context.Context, url string) error {
	last := errors.New("no answer")
	for {
		err := runner.Answers(ctx, url)
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("poll %s: %w (last: %w)", url, ctx.Err(), last)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
