package native

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

const (
	loopback = "127.0.0.1"
	// defaultStart is what runner.Service promises for a zero StartTimeout.
	defaultStart = 90 * time.Second
	// startAttempts is how many ports are tried, because another process may take one between freePort and the start of the
	// service.
	startAttempts = 3
)

// Start implements runner.Runner. The service listens on a free port of the loopback
// interface. It ends with Stop, with Close, with ctx, and with this process.
func (r *Runner) Start(ctx context.Context, service runner.Service) (*runner.Running, error) {
	timeout := cmp.Or(service.StartTimeout, defaultStart)
	if len(service.Args) == 0 {
		return nil, &runner.StartError{Service: service.Name, Err: errors.New("no command")}
	}
	env, err := r.environments.describe(ctx, service.Name, service.Env)
	if err != nil {
		return nil, fmt.Errorf("start service %s: %w", service.Name, err)
	}
	packages, err := r.environments.acquire(ctx, env)
	if err != nil {
		return nil, fmt.Errorf("start service %s: %w", service.Name, err)
	}
	deadline, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("it was not ready after %s", timeout))
	defer cancel()
	for attempt := 1; ; attempt++ {
		running, err := r.startOnce(ctx, deadline, service, env, packages)
		if err == nil {
			return running, nil
		}
		var failed *runner.StartError
		taken := errors.As(err, &failed) && strings.Contains(strings.ToLower(failed.Logs), "address already in use")
		if !taken || attempt == startAttempts {
			return nil, errors.Join(err, r.environments.release(packages, service.Name))
		}
	}
}

// startOnce starts a service on one port. Stopping the service releases its packages.
func (r *Runner) startOnce(
	ctx, deadline context.Context, service runner.Service, env *environment, packages *slot,
) (*runner.Running, error) {
	logs := &tail{limit: launch.TailBytes}
	fail := func(err error) error {
		return &runner.StartError{Service: service.Name, Logs: logs.String(), Err: err}
	}
	port, err := r.portFor(deadline, service)
	if err != nil {
		return nil, fail(err)
	}
	dir, spec, err := r.prepare(deadline, "service", packages, command{
		system: env.path, inputs: place(service.Inputs),
		args: service.Args, vars: service.Vars, path: service.Path, pythonPath: service.PythonPath,
		addresses: addresses(service.Services, map[string]string{"port": strconv.Itoa(port), "bind": loopback}),
	})
	if err != nil {
		return nil, fail(err)
	}
	stdout, stderr := r.log.named(service.Name), r.log.named(service.Name)
	p, err := r.start(env.base.path, dir, spec, nil, io.MultiWriter(stdout, logs), io.MultiWriter(stderr, logs))
	if err != nil {
		return nil, fail(errors.Join(err, removeAll(dir)))
	}
	stop := func() error {
		err := p.stop()
		stdout.flush()
		stderr.flush()
		return errors.Join(err, removeAll(dir))
	}
	address := net.JoinHostPort(loopback, strconv.Itoa(port))
	if err := await(deadline, p, address, service.Ready, watched(service, p, port)); err != nil {
		_, ended := p.ended()
		sockets := ""
		if !ended {
			sockets = listeners(p.cmd.Process.Pid)
		}
		// Stopping it may produce more output.
		err := errors.Join(err, stop())
		return nil, &runner.StartError{Service: service.Name, Logs: logs.String(), Alive: !ended, Sockets: sockets, Port: port, Err: err}
	}
	var once sync.Once
	var stopped error
	running := &runner.Running{Name: service.Name, Started: p.started, Address: address, Inside: address, Logs: logs.String,
		Ended: p.ended, Handle: p}
	running.Stop = func(context.Context) error {
		once.Do(func() {
			stopped = errors.Join(stop(), r.environments.release(packages, service.Name))
			r.forget(running, port)
		})
		return stopped
	}
	r.mu.Lock()
	r.services = append(r.services, running)
	r.mu.Unlock()
	context.AfterFunc(ctx, func() {
		// The next call of Stop returns the same error to a caller that can report it.
		_ = running.Stop(context.WithoutCancel(ctx))
	})
	return running, nil
}

func (r *Runner) forget(running *runner.Running, port int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.services = slices.DeleteFunc(r.services, func(other *runner.Running) bool { return other == running })
	delete(r.ports, port)
}

// portFor chooses the port of a service: its own default, unless it accepts another one or the default is taken.
func (r *Runner) portFor(ctx context.Context, service runner.Service) (int, error) {
	told := slices.ContainsFunc(slices.AppendSeq(slices.Clone(service.Args), maps.Values(service.Vars)), func(text string) bool {
		return strings.Contains(text, "{{port}}")
	})
	if told || service.Port == 0 {
		return r.freePort(ctx)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", fmt.Sprintf("%s:%d", loopback, service.Port))
	if err == nil {
		err = listener.Close()
	}
	r.mu.Lock()
	taken := r.ports[service.Port] || err != nil
	if !taken {
		r.ports[service.Port] = true
	}
	r.mu.Unlock()
	if taken {
		return r.freePort(ctx) // then the service itself reports the conflict
	}
	return service.Port, nil
}

// freePort chooses an unused port of the loopback interface that no other service of this
// runner has.
func (r *Runner) freePort(ctx context.Context) (int, error) {
	for {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", loopback+":0")
		if err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		port := listener.Addr().(*net.TCPAddr).Port
		if err := listener.Close(); err != nil {
			return 0, fmt.Errorf("find a free port: %w", err)
		}
		r.mu.Lock()
		taken := r.ports[port]
		r.ports[port] = true
		r.mu.Unlock()
		if !taken {
			return port, nil
		}
	}
}

// errHopeless is the error of a service that Waiting gave up on.
var errHopeless = errors.New("it can never be ready")

// watched asks a service's Waiting about once a second.
func watched(service runner.Service, p *process, port int) (hopeless func() bool) {
	last := time.Now()
	return func() bool {
		if service.Waiting == nil || time.Since(last) < time.Second {
			return false
		}
		last = time.Now()
		return service.Waiting(listeners(p.cmd.Process.Pid), port)
	}
}

// await returns when the service is ready, or an error if it ended, ctx ended, or Waiting gave up.
func await(ctx context.Context, p *process, address, ready string, hopeless func() bool) error {
	// Most services start within a second; slow ones are polled less often.
	for pause := 25 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		last := reach(ctx, address, ready)
		select {
		case <-p.done:
			// Checked first: another process may answer on that port.
			return early(p)
		default:
		}
		if last == nil {
			return nil
		}
		if hopeless() {
			return errHopeless
		}
		select {
		case <-p.done:
			return early(p)
		case <-ctx.Done():
			return fmt.Errorf("%w (last: %w)", context.Cause(ctx), last)
		case <-time.After(pause):
		}
	}
}

// early returns the error of a service that ended before it was ready.
func early(p *process) error {
	result, err := p.outcome()
	if err != nil {
		return fmt.Errorf("it ended early: %w", err)
	}
	return fmt.Errorf("it ended early with exit code %d", result.ExitCode)
}

// ended reports whether the command has ended, and how.
func (p *process) ended() (string, bool) {
	select {
	case <-p.done:
	default:
		return "", false
	}
	result, err := p.outcome()
	if err != nil {
		return err.Error(), true
	}
	return fmt.Sprintf("exit code %d", result.ExitCode), true
}

// reach connects to a service once, or requests its Ready path.
func reach(ctx context.Context, address, ready string) error {
	if ready != "" {
		return runner.Answers(ctx, "http://"+address+"/"+strings.TrimPrefix(ready, "/"))
	}
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	return connection.Close()
}
