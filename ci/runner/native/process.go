package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

// killAfter is how long the launcher may take, beyond its command's grace period, before it is killed.
const killAfter = 10 * time.Second

// lateAfter is how long a launcher may take beyond its command's time limit, for the grace period and for examining the
// outputs even on a slow disk.
const lateAfter = time.Minute

// process is a command under the launcher.
type process struct {
	cmd    *exec.Cmd
	result string
	grace  time.Duration
	hurry  <-chan struct{}
	// input is the launcher's standard input. The launcher ends the command when it is closed, which the system does if this
	// process is killed.
	input   io.Closer
	closing sync.Once
	// done is closed when the launcher has ended; only then may err be read.
	done    chan struct{}
	err     error
	started time.Time
	// limit is how long the launcher may take in total; 0 for a service.
	limit time.Duration
}

// execute runs a command under the launcher to its end. dir is a scratch directory.
func (r *Runner) execute(
	ctx context.Context, name string, base *interpreter, dir string, spec launch.Spec, secrets map[string]string,
) (*launch.Result, error) {
	stdout, stderr := r.log.named(name), r.log.named(name)
	p, err := r.start(base.path, dir, spec, secrets, stdout, stderr)
	if err != nil {
		return nil, err
	}
	result, err := p.wait(ctx)
	<-p.done
	stdout.flush()
	stderr.flush()
	return result, err
}

// start runs a command under the launcher. dir is a scratch directory; secrets are the
// values of variables that the command gets besides those of spec.
func (r *Runner) start(python, dir string, spec launch.Spec, secrets map[string]string, stdout, stderr io.Writer) (*process, error) {
	spec.SecretNames = slices.Sorted(maps.Keys(secrets))
	spec.Result = filepath.Join(dir, "result.json")
	spec.WatchStdin = true
	spec.GraceSeconds = r.opts.Grace.Seconds()
	data, err := launch.Marshal(spec)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, "spec.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return nil, fmt.Errorf("write command: %w", err)
	}
	// Not CommandContext: the launcher has to stay alive to end what it started. Its code is an
	// argument, because an earlier step could write to a file.
	cmd := exec.Command(python, "-I", "-X", "utf8", "-c", launch.Script, file) //nolint:noctx // see above
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + systemPath}
	for name, value := range secrets {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = 5 * time.Second
	ownGroup(cmd)
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start launcher: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start launcher: %w", err)
	}
	p := &process{
		cmd: cmd, result: spec.Result, grace: r.opts.Grace, hurry: r.hurry, input: input, done: make(chan struct{}), started: time.Now().UTC(),
	}
	if spec.TimeoutSeconds > 0 {
		p.limit = time.Duration(spec.TimeoutSeconds*float64(time.Second)) + r.opts.Grace + lateAfter
	}
	go func() {
		p.err = cmd.Wait()
		if p.err != nil {
			endOrphans()
		}
		close(p.done)
	}()
	return p, nil
}

// stop asks the command to end, and kills its launcher after a time limit.
func (p *process) stop() error {
	// An error about an input that is already closed does not matter.
	p.closing.Do(func() { _ = p.input.Close() })
	limit := time.NewTimer(p.grace + killAfter)
	defer limit.Stop()
	select {
	case <-p.done:
		return nil
	case <-limit.C:
	case <-p.hurry:
	}
	return p.kill()
}

// kill ends the launcher immediately; what it started is ended with it.
func (p *process) kill() error {
	if err := p.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill launcher: %w", err)
	}
	<-p.done
	return nil
}

// wait returns the result. If ctx ends first, it ends the command and returns the cause. The launcher enforces the command's
// time limit; it is also enforced here in case the command stops its launcher (SIGSTOP).
func (p *process) wait(ctx context.Context) (*launch.Result, error) {
	var late <-chan time.Time
	if p.limit > 0 {
		timer := time.NewTimer(p.limit)
		defer timer.Stop()
		late = timer.C
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		return nil, errors.Join(context.Cause(ctx), p.stop())
	case <-late:
		if err := p.kill(); err != nil {
			return nil, err
		}
		return &launch.Result{
			TimedOut: true, ExitCode: 128 + int(syscall.SIGKILL), Started: p.started, Seconds: time.Since(p.started).Seconds(),
		}, nil
	}
	return p.outcome()
}

// outcome reads the result of a launcher that has ended. A launcher that was killed by a signal wrote no result, so a file in
// its place comes from the command.
func (p *process) outcome() (*launch.Result, error) {
	if n := signalOf(p.err); n > 0 {
		return &launch.Result{ExitCode: 128 + n, Started: p.started, Seconds: time.Since(p.started).Seconds()}, nil
	}
	// The result is valid even if another process still holds the launcher's streams open.
	if p.err != nil && !errors.Is(p.err, exec.ErrWaitDelay) {
		var exit *exec.ExitError
		if errors.As(p.err, &exit) && exit.ExitCode() == int(syscall.ENOSPC) {
			return nil, fmt.Errorf("write %s: %w", p.result, syscall.ENOSPC)
		}
		return nil, fmt.Errorf("the launcher left no result: %w", p.err)
	}
	return launch.ReadFile(p.result)
}
