package image

import (
	"cmp"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/probe"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed scripts/evidence.py
var evidenceScript string

//go:embed scripts/cut.py
var cutScript string

//go:embed scripts/readonly.py
var readonlyScript string

//go:embed scripts/elsewhere.py
var elsewhereScript string

// fenceDir holds the scripts that cut off the outside network and make the root file system
// read-only.
const fenceDir = "/openstack-rca-fence"

// witnessDir is a volume that the probed container shares with the lookout: the engine sends a
// service's output to its progress view only.
const witnessDir = "/openstack-rca-probe"

// witness runs the image's command, "$@", with its output in a file, and records its exit code,
// the listening ports, and the result of the image's own health check ($1): when it first
// succeeds, or when W/check appears. It needs only a shell. If the image has Python, it also
// cuts off the outside network and makes all but the volumes and /tmp read-only, so that an
// application fails here if it downloads something at start or, unlike in production, can
// write to its root file system; and it looks for an application that answers elsewhere ($2).
const witness = `set -u
cd_to=$PWD; check=$1; elsewhere=$2; shift 2
( while :; do cat /proc/net/tcp /proc/net/tcp6 >W/tcp.new 2>/dev/null; mv W/tcp.new W/tcp; sleep 1; done ) &
( until /bin/sh -c "$check" >W/health.log 2>&1; code=$?; [ $code = 0 ] || [ -e W/check ]; do sleep 0.5; done; ` +
	`echo $code >W/health.new; mv W/health.new W/health ) &
if command -v python3 >/dev/null; then (sleep 2; exec /bin/sh -c "python3 -I F/elsewhere.py W/elsewhere $elsewhere") >/dev/null 2>&1 &
set -- python3 -I F/cut.py W/outside python3 -I F/readonly.py W/root WRITABLE -- "$@"
else echo "not cut: no python3" >W/outside; echo "not held: no python3" >W/root; fi
cd "$cd_to" && "$@" >W/out 2>&1
echo $? >W/exit.new; mv W/exit.new W/exit`

// startGrace is the time for the engine to start the application's process.
const startGrace = 3 * time.Minute

// evidence is what scripts/evidence.py prints.
type evidence struct {
	Out       string  `json:"out"`
	Exit      *string `json:"exit"`
	TCP       string  `json:"tcp"`
	Health    *string `json:"health"`
	HealthLog string  `json:"health.log"`
	Outside   *string `json:"outside"`
	Root      *string `json:"root"`
	Elsewhere *string `json:"elsewhere"`
}

// prover starts the image and judges how it answers.
type prover struct{ *session }

// prove runs the image as a service, with new volumes and its own configuration only, and
// probes it until it is healthy.
func (p prover) prove(ctx context.Context, image *dagger.Container) []*verdict.Problem {
	c := p.in.Config.Image
	command, err := image.Entrypoint(ctx)
	if err != nil {
		return []*verdict.Problem{p.engineProblem(ctx, CodeEngineFailed, "read the entrypoint", err)}
	}
	args, err := image.DefaultArgs(ctx)
	if err != nil {
		return []*verdict.Problem{p.engineProblem(ctx, CodeEngineFailed, "read the command", err)}
	}
	command = append(command, args...)

	owner := dagger.ContainerWithMountedCacheOpts{Owner: fmt.Sprintf("%d:%d", c.User, c.User)}
	// The engine's own checks, of a port or of the health check, are up to ten seconds apart:
	// too long to time a start.
	container := image.WithoutDockerHealthcheck().WithoutExposedPort(c.Port).
		WithExposedPort(c.Port, dagger.ContainerWithExposedPortOpts{ExperimentalSkipHealthcheck: true}).
		WithMountedDirectory(fenceDir, p.client.Directory().WithNewFile("cut.py", cutScript).WithNewFile("readonly.py", readonlyScript).
			WithNewFile("elsewhere.py", elsewhereScript)).
		WithMountedCache(witnessDir, p.volume("witness"), owner)
	for i, path := range c.Volumes {
		container = container.WithMountedCache(path, p.volume(strconv.Itoa(i)), owner)
	}
	script := strings.NewReplacer("W/", witnessDir+"/", "F/", fenceDir+"/", "WRITABLE", quoted(writable(c))).Replace(witness)
	run := append([]string{"/bin/sh", "-c", script, "sh", quoted(healthCommand(c.Port, c.Health)), quoted(whereToLook(c, command))},
		command...)
	running, err := p.engine.Serve(ctx, "application", container.AsService(dagger.ContainerAsServiceOpts{Args: run}), c.Port, "", startGrace)
	if err != nil {
		return []*verdict.Problem{p.engineProblem(ctx, CodeStartFailed, "start the image", err)}
	}
	defer p.engine.Retire(ctx, running)

	look := p.lookout(owner)
	watch := &watcher{prover: p, look: look, limit: time.Duration(c.StartBudget), started: time.Now()}
	defer watch.stop()
	paths := []string{c.Health}
	if c.ScriptHealth != "" {
		paths = append(paths, c.ScriptHealth)
	}
	result := probe.Run(ctx, probe.Target{
		Address: running.Address, Paths: paths, Successes: c.Successes, Budget: time.Duration(c.StartBudget), Alive: watch.alive(ctx),
		Tell: p.in.Tell,
	})
	watch.stop()
	var page []*verdict.Problem
	if result.Healthy {
		page = p.loadPage(ctx, running)
	}
	return append(p.judgeProbe(ctx, result, look, page), page...)
}

// judgeProbe adds the probe's result and the application's output to the evidence, and to what is wrong with the page.
func (p prover) judgeProbe(
	ctx context.Context, result *probe.Result, look *dagger.Container, page []*verdict.Problem,
) []*verdict.Problem {
	c := p.in.Config.Image
	want := fmt.Sprintf("%d in a row within %s", c.Successes, time.Duration(c.StartBudget))
	p.stage.Gate("healthy", fmt.Sprintf("%d of %d checks, last %s", result.Good, result.Attempts, result.Last), want, result.Healthy)
	result.Warn(p.stage)
	if result.Problem != nil && result.Problem.Code == probe.CodeCancelled {
		return []*verdict.Problem{result.Problem}
	}
	mode := []string{}
	if result.Healthy {
		p.stage.Add("time to healthy", result.TimeToHealthy.Round(10*time.Millisecond).String())
		mode = []string{"healthcheck", "20"}
	}
	left, err := p.read(ctx, look, mode...)
	if err != nil {
		p.stage.Warn(WarnLogs, "%v", p.plain(err))
		if result.Problem == nil {
			return nil
		}
		return []*verdict.Problem{result.Problem}
	}
	p.judgeOutside(left.Outside)
	p.judgeRoot(left.Root)
	lines := safetext.LastLines(p.redact(left.Out), logLines)
	if len(lines) > 0 {
		p.stage.Blocks = append(p.stage.Blocks, verdict.Block{Title: "Last lines of the application", Log: strings.Join(lines, "\n")})
	}
	opened := OpenedNext(p.redact(left.Out), c.ModelDir, p.in.Model)
	if problem := result.Problem; problem != nil {
		gaveUp := left.Elsewhere != nil && left.Exit == nil
		if elsewhere := probe.Listening(left.TCP, c.Port); elsewhere != "" && (problem.Code == probe.CodeNotListening || gaveUp) {
			problem.Code, problem.Cause = CodeElsewhere, fmt.Sprintf("it listens on %s, not on 0.0.0.0:%d", elsewhere, c.Port)
		}
		if problem.Code.Name == probe.CodeCrashed.Name {
			problem.Next = cmp.Or(p.project.MissingNext(p.redact(left.Out)), problem.Next)
		}
		problem.Next = cmp.Or(opened, problem.Next)
		problem.Cause = p.redact(problem.Cause)
		problem.Details = probe.WithoutOwn(lines, c.Health, c.ScriptHealth)
		p.warnRefused(left)
		return []*verdict.Problem{problem}
	}
	for _, problem := range page {
		problem.Next = cmp.Or(opened, problem.Next)
		problem.Details = append(problem.Details, probe.WithoutOwn(lines, c.Health, c.ScriptHealth)...)
		p.warnRefused(left)
	}
	return p.judgeHealthcheck(left)
}

// judgeOutside adds the addresses outside of the host that the application tried to reach. An
// attempt is no failure, because the application started without them.
func (p prover) judgeOutside(left *string) {
	if left == nil {
		return // it never ran
	}
	text := strings.TrimSpace(*left)
	if why, not := strings.CutPrefix(text, "not cut: "); not {
		p.stage.Warn(WarnNotCut, "%s", clip(oneLine(why), 200))
		return
	}
	value := "none; nothing was tried"
	if tried := strings.Fields(text); len(tried) > 0 {
		value = "none; refused: " + some(tried, 10)
	}
	p.stage.Add("network to the outside", value)
}

// warnRefused says what an application that did not start was refused: the hosts that it tried to
// reach, by what it printed and by the addresses that the filter refused, and the paths that it
// could not write to.
func (p prover) warnRefused(left evidence) {
	hosts := refused.Hosts(p.redact(left.Out))
	if left.Outside != nil && !strings.HasPrefix(*left.Outside, "not cut: ") {
		if addresses := strings.Fields(*left.Outside); len(addresses) > 0 {
			hosts = append(slices.DeleteFunc(hosts, func(host string) bool { return host == refused.Unknown }), addresses...)
		}
	}
	if len(hosts) > 0 {
		p.stage.Warn(refused.Image, "%s", some(hosts, 10))
	}
	if paths := refused.Writes(p.redact(left.Out)); len(paths) > 0 {
		p.stage.Warn(refused.Write, "%s", some(paths, 10))
	}
}

// writable are the paths that an application may write to in production.
func writable(c config.Image) []string {
	if slices.Contains(c.Volumes, scratch) {
		return c.Volumes
	}
	return append(slices.Clone(c.Volumes), scratch)
}

// judgeRoot adds what the application could write to.
func (p prover) judgeRoot(left *string) {
	if left == nil {
		return // it never ran
	}
	if why, not := strings.CutPrefix(strings.TrimSpace(*left), "not held: "); not {
		p.stage.Warn(WarnRootWritable, "%s", clip(oneLine(why), 200))
		return
	}
	p.stage.Add("root file system", "read-only, except "+strings.Join(writable(p.in.Config.Image), ", "))
}

// judgeHealthcheck judges the declared health check: if it fails, a healthy container is restarted.
func (p prover) judgeHealthcheck(left evidence) []*verdict.Problem {
	code := "no answer"
	if left.Health != nil {
		code = strings.TrimSpace(*left.Health)
	}
	p.stage.Gate("health check inside the image", "exit code "+code, "exit code 0", code == "0")
	if code == "0" {
		return nil
	}
	problem := verdict.Problemf(CodeHealthcheckFails, "the health check ended with exit code %s", code)
	problem.Details = safetext.LastLines(p.redact(left.HealthLog), logLines)
	return []*verdict.Problem{problem}
}

// volume is a new volume for this run.
func (p prover) volume(name string) *dagger.CacheVolume {
	return p.client.CacheVolume("openstack-rca-image-" + p.id + "-" + name)
}

// lookout is a container that reads what the witness writes.
func (p prover) lookout(owner dagger.ContainerWithMountedCacheOpts) *dagger.Container {
	return engine.WithoutTrustUpdate(p.client.Container().From(p.engine.Image(p.in.Config.Python))).
		WithUser(owner.Owner).WithMountedCache(witnessDir, p.volume("witness"), owner)
}

// read returns what the witness wrote. Each call is unique, or the engine would answer it from
// its cache.
func (p prover) read(ctx context.Context, look *dagger.Container, mode ...string) (evidence, error) {
	var e evidence
	look = look.WithEnvVariable("LOOK", newID())
	out, err := p.python(look, "evidence.py", evidenceScript, append([]string{witnessDir}, mode...)...).Stdout(ctx)
	if err != nil {
		return e, fmt.Errorf("read the application's output: %w", err)
	}
	if err := json.Unmarshal([]byte(out), &e); err != nil {
		return e, fmt.Errorf("read the application's output: %w", err)
	}
	return e, nil
}

// whereToLook are the arguments of scripts/elsewhere.py. A command that holds the port was told it.
func whereToLook(c config.Image, command []string) []string {
	port, told := strconv.Itoa(c.Port), "untold"
	if texts := append(slices.Collect(maps.Values(c.Vars)), command...); strings.Contains(strings.Join(texts, " "), port) {
		told = "told"
	}
	return []string{port, c.Health, told}
}

// watcher finds out whether the application has ended, or answers only elsewhere: one call of the
// lookout, made only if the start takes longer than patience, which returns when it is so.
type watcher struct {
	prover  prover
	look    *dagger.Container
	limit   time.Duration
	started time.Time

	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{}
	left   evidence
	err    error
}

// patience is how long an application may take before the watcher checks on it.
const patience = 2 * time.Second

func (w *watcher) alive(ctx context.Context) func(context.Context) (bool, string, error) {
	return func(context.Context) (bool, string, error) {
		if time.Since(w.started) < patience {
			return true, "", nil
		}
		w.once.Do(func() {
			ctx, w.cancel = context.WithCancel(ctx)
			w.done = make(chan struct{})
			go func() {
				defer close(w.done)
				w.left, w.err = w.prover.read(ctx, w.look, "ended", strconv.Itoa(int(w.limit.Seconds())+1))
			}()
		})
		select {
		case <-w.done:
			if w.err == nil && w.left.Exit != nil {
				return false, "exit code " + strings.TrimSpace(*w.left.Exit), nil
			}
			if w.err == nil && w.left.Elsewhere != nil {
				return false, "it answers, but elsewhere", nil
			}
			return true, "", w.err
		default:
			return true, "", nil
		}
	}
}

// stop cancels the call.
func (w *watcher) stop() {
	if w.cancel != nil {
		w.cancel()
		<-w.done
	}
}

// quoted quotes a command for /bin/sh.
func quoted(command []string) string {
	parts := make([]string, len(command))
	for i, part := range command {
		parts[i] = "'" + strings.ReplaceAll(part, "'", `'\''`) + "'"
	}
	return strings.Join(parts, " ")
}
