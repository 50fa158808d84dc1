// Package fake is a runner.Runner in memory, for unit tests of stages. It runs nothing, returns
// scripted answers, and records what it was asked to run.
//
//	r := fake.New()
//	r.OnRun(func(step runner.Step) (*runner.Result, error) {
//		return fake.Result(0, map[string]string{".report/junit.xml": junit}), nil
//	})
//	got := testrun.Run(t.Context(), r, testrun.Input{Source: fake.Files(map[string]string{"tests/test_a.py": ""})})
//	step := r.Steps()[0]           // what the stage asked for
//	inputs := r.Inputs(t.Context(), 0) // its files as the step would have seen them
//
// Like a real runner it refuses what cannot run: it reads every input, so that a
// broken tree is an error of Run; it hands back only those outputs that the step
// declared; a cancelled context is an error; a step that was not scripted is one too.
// Several calls of OnRun make a queue: each answers one step, the last one all others.
package fake

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
)

// Runner is the fake. It is safe for concurrent use.
type Runner struct {
	mu       sync.Mutex
	onRun    []func(runner.Step) (*runner.Result, error)
	onStart  func(runner.Service) (*runner.Running, error)
	name     string
	steps    []runner.Step
	services []runner.Service
	stopped  map[string]int
}

var _ runner.Runner = (*Runner)(nil)

// New returns a runner that answers no step yet.
func New() *Runner { return &Runner{name: "native", stopped: map[string]int{}} }

// As makes the runner call itself "engine" or "native"; it is "native" otherwise.
func (r *Runner) As(name string) *Runner {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.name = name
	return r
}

// OnRun scripts an answer to a step. Called again, it scripts the answer to the next
// step; the last answer stays for all further ones.
func (r *Runner) OnRun(answer func(step runner.Step) (*runner.Result, error)) *Runner {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onRun = append(r.onRun, answer)
	return r
}

// OnStart scripts the start of services. Without it every service starts, at the
// address 127.0.0.1:1, where nothing listens. Logs and Stop may be left out.
func (r *Runner) OnStart(answer func(service runner.Service) (*runner.Running, error)) *Runner {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.onStart = answer
	return r
}

// Steps returns the steps that were run, in order.
func (r *Runner) Steps() []runner.Step {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.steps)
}

// Services returns the services that were started, in order.
func (r *Runner) Services() []runner.Service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.services)
}

// Stopped says how often services of that name were stopped.
func (r *Runner) Stopped(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stopped[name]
}

// Inputs returns the working directory that step n (from 0) would have found, by
// path. It panics when there is no such step: a mistake of the test.
func (r *Runner) Inputs(ctx context.Context, n int) (map[string]string, error) {
	return contents(ctx, overlay(r.Steps()[n].Inputs))
}

// Name implements runner.Runner.
func (r *Runner) Name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.name
}

// NewFiles implements runner.Runner.
func (r *Runner) NewFiles(contents map[string][]byte) runner.Files { return filetree.New(contents) }

// Run implements runner.Runner: the next scripted answer, with the outputs that the
// step did not declare taken away.
func (r *Runner) Run(ctx context.Context, step runner.Step) (*runner.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("run %s: %w", step.Name, err)
	}
	if len(step.Args) == 0 {
		return nil, fmt.Errorf("run %s: no command", step.Name)
	}
	for _, files := range []runner.Files{overlay(step.Inputs), orEmpty(step.Env.Files), orEmpty(step.Env.Last)} {
		if _, err := files.Digest(ctx); err != nil {
			return nil, fmt.Errorf("run %s: %w", step.Name, err)
		}
	}
	r.mu.Lock()
	r.steps = append(r.steps, step)
	var answer func(runner.Step) (*runner.Result, error)
	if len(r.onRun) > 0 {
		answer = r.onRun[0]
		if len(r.onRun) > 1 {
			r.onRun = r.onRun[1:]
		}
	}
	r.mu.Unlock()
	if answer == nil {
		return nil, fmt.Errorf("run %s: the test scripted no answer (fake.Runner.OnRun)", step.Name)
	}
	result, err := answer(step)
	if err != nil {
		return nil, err
	}
	if result == nil {
		return nil, fmt.Errorf("run %s: the test scripted neither a result nor an error", step.Name)
	}
	given := *result
	given.Outputs = orEmpty(given.Outputs)
	if len(step.Outputs) == 0 {
		given.Outputs = filetree.New(nil)
	} else {
		given.Outputs = given.Outputs.Filter(glob.EscapeAll(step.Outputs), nil)
	}
	if given.Started.IsZero() {
		given.Started = time.Now().UTC()
	}
	return &given, nil
}

// Start implements runner.Runner.
func (r *Runner) Start(ctx context.Context, service runner.Service) (*runner.Running, error) {
	if err := ctx.Err(); err != nil {
		return nil, &runner.StartError{Service: service.Name, Err: err}
	}
	r.mu.Lock()
	r.services = append(r.services, service)
	answer := r.onStart
	r.mu.Unlock()
	running := &runner.Running{Address: "127.0.0.1:1"}
	if answer != nil {
		scripted, err := answer(service)
		if err != nil {
			return nil, err
		}
		if scripted == nil {
			return nil, &runner.StartError{Service: service.Name, Err: errors.New("the test scripted neither a service nor an error")}
		}
		given := *scripted
		running = &given
	}
	running.Name = service.Name
	if running.Inside == "" {
		running.Inside = running.Address
	}
	if running.Logs == nil {
		running.Logs = func() string { return "" }
	}
	stop := running.Stop
	running.Stop = func(ctx context.Context) error {
		r.mu.Lock()
		r.stopped[service.Name]++
		r.mu.Unlock()
		if stop != nil {
			return stop(ctx)
		}
		return nil
	}
	return running, nil
}

// Files returns a tree of texts.
func Files(texts map[string]string) runner.Files {
	contents := make(map[string][]byte, len(texts))
	for name, text := range texts {
		contents[name] = []byte(text)
	}
	return filetree.New(contents)
}

// Dir returns a directory of the host, such as testdata, as a tree.
func Dir(dir string) runner.Files { return filetree.Dir(dir) }

// Result returns what a command left that took one second: its exit code and the
// files it wrote. Set the other fields as needed.
func Result(exitCode int, outputs map[string]string) *runner.Result {
	return &runner.Result{ExitCode: exitCode, Seconds: 1, Started: time.Now().UTC(), Outputs: Files(outputs)}
}

// Answer returns an answer for OnRun that is the same for every step.
func Answer(exitCode int, outputs map[string]string) func(runner.Step) (*runner.Result, error) {
	return func(runner.Step) (*runner.Result, error) { return Result(exitCode, outputs), nil }
}

// Fail returns an answer for OnRun: the error that the step could not be run with.
func Fail(err error) func(runner.Step) (*runner.Result, error) {
	return func(runner.Step) (*runner.Result, error) { return nil, err }
}

// Secret returns a secret of that name and value.
func Secret(name, value string) runner.Secret { return secret{name, value} }

type secret struct{ name, value string }

// Name implements runner.Secret.
func (s secret) Name() string { return s.name }

// Plaintext implements runner.Secret.
func (s secret) Plaintext(ctx context.Context) (string, error) { return s.value, ctx.Err() }

// overlay is the working directory made of mounts.
func overlay(mounts []runner.Mount) runner.Files {
	var tree runner.Files = filetree.New(nil)
	for _, m := range mounts {
		tree = tree.With(m.Path, orEmpty(m.Files))
	}
	return tree
}

func orEmpty(files runner.Files) runner.Files {
	if files == nil {
		return filetree.New(nil)
	}
	return files
}

func contents(ctx context.Context, files runner.Files) (map[string]string, error) {
	names, err := files.List(ctx)
	if err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(names))
	for _, name := range names {
		data, err := files.Read(ctx, name, 1<<30)
		if err != nil {
			return nil, err
		}
		texts[name] = string(data)
	}
	return texts, nil
}
