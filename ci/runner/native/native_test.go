//go:build unix

package native_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// fakeInterpreter is the test binary under a name that says what it claims to be.
func fakeInterpreter(t *testing.T, name string) string {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.Symlink(self, path))
	return path
}

// options are those of a runner with the fake interpreter and a cache of its own.
func options(t *testing.T) native.Options {
	t.Helper()
	path := fakeInterpreter(t, "python")
	return native.Options{CacheDir: t.TempDir(), PythonFor: func(string) string { return path }, Grace: 100 * time.Millisecond}
}

func open(t *testing.T, opts native.Options) *native.Runner {
	t.Helper()
	r, err := native.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.WithoutCancel(t.Context()))) })
	return r
}

// sh is a step that runs a shell command.
func sh(script string, outputs ...string) runner.Step {
	return runner.Step{Name: "step", Env: runner.Environment{Python: "3.11"}, Args: []string{"sh", "-c", script}, Outputs: outputs}
}

func run(t *testing.T, r runner.Runner, step runner.Step) *runner.Result {
	t.Helper()
	result, err := r.Run(t.Context(), step)
	require.NoError(t, err)
	return result
}

func installing(r runner.Runner, commands ...[]string) runner.Step {
	step := sh("true")
	step.Env.Files = r.NewFiles(map[string][]byte{"test.lock": []byte("six==1.17.0")})
	step.Env.Install = commands
	return step
}

func TestNewRefusesACacheThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := native.New(native.Options{CacheDir: file})
	require.ErrorContains(t, err, "make cache directory")
	t.Setenv("TMPDIR", file)
	_, err = native.New(native.Options{CacheDir: t.TempDir()})
	require.ErrorContains(t, err, "make temporary directory")
}

func TestNewUsesTheUsersCacheDirectory(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	r := open(t, native.Options{})
	assert.Equal(t, "native", r.Name())
	found, err := filepath.Glob(filepath.Join(home, "*", "openstack-rca", "env"))
	require.NoError(t, err)
	if len(found) == 0 {
		found, err = filepath.Glob(filepath.Join(home, "*", "*", "openstack-rca", "env"))
		require.NoError(t, err)
	}
	assert.Len(t, found, 1)
}

func TestRunGivesTheStepItsInputsAndTakesItsOutputs(t *testing.T) {
	var log bytes.Buffer
	opts := options(t)
	opts.Log = &log
	r := open(t, opts)
	step := sh(`cat "in/a b"; echo "$OWN" >&2; echo {{s3}}; mkdir out; echo 1 > out/x; env > env; printf tail`, "out", "missing")
	step.Inputs = []runner.Mount{{Path: "in", Files: r.NewFiles(map[string][]byte{"a b": []byte("input\n")})}, {Path: "none"}}
	step.Vars = map[string]string{"OWN": "at {{s3}}"}
	step.Services = map[string]*runner.Running{"s3": {Inside: "127.0.0.1:9000"}}

	result := run(t, r, step)

	assert.Equal(t, "input\n127.0.0.1:9000\ntail", result.Stdout)
	assert.Equal(t, "at 127.0.0.1:9000\n", result.Stderr)
	names, err := result.Outputs.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"out/x"}, names)
	for _, line := range []string{"step | input\n", "step | at 127.0.0.1:9000\n", "step | tail\n"} {
		assert.Contains(t, log.String(), line)
	}
	assert.Empty(t, r.Warnings())
}

func TestRunRefuses(t *testing.T) {
	r := open(t, options(t))
	cases := map[string]struct {
		change func(*runner.Step)
		want   string
	}{
		"no command":                   {func(s *runner.Step) { s.Args = nil }, "no command"},
		"a negative time limit":        {func(s *runner.Step) { s.Timeout = -time.Second }, "time limit of -1s"},
		"an output outside":            {func(s *runner.Step) { s.Outputs = []string{"/etc"} }, "leads out of the working directory"},
		"a service that is not there":  {func(s *runner.Step) { s.Services = map[string]*runner.Running{"s3": nil} }, "service s3 is not running"},
		"a broken input":               {func(s *runner.Step) { s.Inputs = []runner.Mount{{Path: "../x", Files: r.NewFiles(nil)}} }, "leads out of the tree"},
		"broken installation files":    {func(s *runner.Step) { s.Env.Files = native.Source("/no/such/directory") }, "read installation files"},
		"a secret that cannot be read": {func(s *runner.Step) { s.Secrets = map[string]runner.Secret{"A": lost{}} }, "read secret lost: the vault is sealed"},
		"a secret that is no variable": {func(s *runner.Step) { s.Secrets = map[string]runner.Secret{"A": fake.Secret("odd", "x\x00hidden")} }, "read secret odd"},
		"a secret that is in plain, too": {func(s *runner.Step) {
			s.Vars = map[string]string{"A": ""}
			s.Secrets = map[string]runner.Secret{"A": fake.Secret("odd", "x")}
		}, "A is a secret and a plain value"},
		"an odd variable":              {func(s *runner.Step) { s.Vars = map[string]string{"": "x"} }, `variable ""`},
		"a version that is none":       {func(s *runner.Step) { s.Env.Python = "latest" }, "a version looks like 3.11"},
		"a launcher without a result":  {func(s *runner.Step) { s.Args = append(s.Args, "no-result") }, "the launcher left no result"},
		"a link out among the outputs": {func(s *runner.Step) { *s = sh("ln -s /etc/passwd out", "out") }, "outside of the tree"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			step := sh("true")
			c.change(&step)
			result, err := r.Run(t.Context(), step)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "hidden")
			assert.Nil(t, result)
		})
	}
}

func TestWhatAStepLeavesAndCannotBeTaken(t *testing.T) {
	r := open(t, options(t))
	for sentence, c := range map[string]struct {
		script string
		code   verdict.Code
		cause  string
	}{
		"a FIFO":                  {"mkdir out; mkfifo out/pipe", runner.CodeOutputUnusable, "step left something that is not a file: take out/pipe: it is neither a file nor a directory"},
		"a link out of the tree":  {"ln -s /etc/passwd out", runner.CodeOutputUnusable, "take out: it is a link to /etc/passwd"},
		"no working directory":    {`rm -rf "$PWD"`, runner.CodeOutputUnusable, "step removed its own working directory"},
		"a file without an end":   {"truncate -s 100G out", runner.CodeOutputTooLarge, "the largest file is out with 107374182400"},
		"files without an end":    {"mkdir out; truncate -s 9G out/a; truncate -s 9G out/b", runner.CodeOutputTooLarge, "step left 19327352832 bytes, at most 17179869184"},
		"as the output of a fail": {"mkfifo out; exit 3", runner.CodeOutputUnusable, "take out"},
	} {
		t.Run(sentence, func(t *testing.T) {
			_, err := r.Run(t.Context(), sh(c.script, "out"))
			problem := runner.Problem(err)
			require.NotNil(t, problem, "%v", err)
			assert.Equal(t, c.code, problem.Code)
			assert.Contains(t, problem.Cause, c.cause)
			assert.NotContains(t, problem.Cause, "\n")
		})
	}
}

func TestALargeResultIsNotKept(t *testing.T) {
	opts := options(t)
	r := open(t, opts)
	step := sh("truncate -s 600M out; echo $$", "out")
	assert.NotEqual(t, run(t, r, step).Stdout, run(t, r, step).Stdout)
	kept, err := os.ReadDir(filepath.Join(opts.CacheDir, "steps"))
	require.NoError(t, err)
	assert.Empty(t, kept)
	assert.Empty(t, r.Warnings())
}

func TestKeptResultsAreBoundedTogether(t *testing.T) {
	opts := options(t)
	opts.KeptBytes = 4 << 20
	r := open(t, opts)
	for n := range 5 {
		run(t, r, sh(fmt.Sprintf("truncate -s 1M out; echo %d", n), "out"))
	}
	kept, err := filepath.Glob(filepath.Join(opts.CacheDir, "steps", "*"))
	require.NoError(t, err)
	assert.Len(t, kept, 4)
}

func TestACommandThatKillsItsLauncherIsKilled(t *testing.T) {
	r := open(t, options(t))
	for sentence, c := range map[string]struct {
		script string
		code   int
	}{
		"by force":                         {"kill -9 $PPID", 137},
		"politely":                         {"kill -15 $PPID; exec sleep 60", 143},
		"and leaves a result in its place": {forged + "kill -9 $PPID", 137},
		"and leaves a part of one":         {"printf '{' > ../result.json; kill -9 $PPID", 137},
	} {
		result := run(t, r, sh(c.script))
		assert.Equal(t, c.code, result.ExitCode, sentence)
		assert.False(t, result.Started.IsZero(), sentence)
	}
	if _, err := exec.LookPath("setsid"); err == nil && runtime.GOOS == "linux" {
		step := sh(`setsid sh -c 'sleep 600 & echo $! > left; wait' & until test -s left; do sleep 0.01; done; cp left "$DIR"; kill -9 $PPID`)
		step.Vars = map[string]string{"DIR": t.TempDir()}
		run(t, r, step)
		content, err := os.ReadFile(filepath.Join(step.Vars["DIR"], "left"))
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
		require.NoError(t, err)
		assert.ErrorIs(t, syscall.Kill(pid, 0), syscall.ESRCH, "what it had started in another session has ended with it")
	}
	assert.Equal(t, 3, run(t, r, sh(forged+"exit 3")).ExitCode, "the launcher's own result replaces a forged one")
}

// forged writes a result of success where the launcher writes its own.
const forged = `echo '{"exit_code": 0, "timed_out": false, "stopped": false, "seconds": 1, "started": "2026-01-01T00:00:00Z", "stdout": "", "stderr": ""}' > ../result.json; `

type lost struct{}

// Name implements runner.Secret.
func (lost) Name() string { return "lost" }

// Plaintext implements runner.Secret.
func (lost) Plaintext(context.Context) (string, error) { return "", errors.New("the vault is sealed") }

func TestSecretsReachTheStepAndNotTheCache(t *testing.T) {
	opts := options(t)
	r := open(t, opts)
	step := sh(`test "$TOKEN" = told && exit 7`)
	step.Secrets = map[string]runner.Secret{"TOKEN": fake.Secret("token", "told")}
	assert.Equal(t, 7, run(t, r, step).ExitCode)
	kept, err := os.ReadDir(filepath.Join(opts.CacheDir, "steps"))
	require.NoError(t, err)
	assert.Empty(t, kept)
}

func TestACancelledContextEndsTheStep(t *testing.T) {
	r := open(t, options(t))
	run(t, r, sh("true"))
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := r.Run(ctx, sh("exec sleep 600"))
	require.ErrorIs(t, err, context.DeadlineExceeded)
	assert.ErrorContains(t, err, "run step")
}

func TestATimeLimitIsReported(t *testing.T) {
	step := sh("exec sleep 600")
	step.Timeout = 200 * time.Millisecond
	result := run(t, open(t, options(t)), step)
	assert.True(t, result.TimedOut)
	assert.Equal(t, 137, result.ExitCode)
}

func TestResultsAreKeptForLaterRunners(t *testing.T) {
	opts := options(t)
	step := sh("echo $$; echo $$ > pid; exit ${CODE:-0}", "pid")
	first := run(t, open(t, opts), step)
	second := run(t, open(t, opts), step)
	assert.Equal(t, first.Stdout, second.Stdout)
	pid, err := second.Outputs.Read(t.Context(), "pid", 100)
	require.NoError(t, err)
	assert.Equal(t, first.Stdout, string(pid))

	differently := func(change func(*runner.Step)) string {
		other := step
		change(&other)
		return run(t, open(t, opts), other).Stdout
	}
	assert.Equal(t, first.Stdout, differently(func(s *runner.Step) { s.Timeout = time.Hour; s.Name = "other" }), "neither decides the result")
	for sentence, change := range map[string]func(*runner.Step){
		"fresh":            func(s *runner.Step) { s.Fresh = "1" },
		"another variable": func(s *runner.Step) { s.Vars = map[string]string{"A": ""} },
		"other outputs":    func(s *runner.Step) { s.Outputs = []string{"pid", "more"} },
		"another version":  func(s *runner.Step) { s.Env.Install = [][]string{{"true"}} },
	} {
		assert.NotEqual(t, first.Stdout, differently(change), sentence)
	}
	failing := func(s *runner.Step) { s.Vars = map[string]string{"CODE": "3"} }
	assert.NotEqual(t, differently(failing), differently(failing), "a failure is not kept")
}

func TestADamagedResultIsMadeAgain(t *testing.T) {
	opts := options(t)
	step := sh("echo $$ | tee pid", "pid")
	for name, damage := range map[string]func(t *testing.T, kept string){
		"an output that was changed": func(t *testing.T, kept string) {
			require.NoError(t, os.WriteFile(filepath.Join(kept, "outputs", "pid"), []byte("1"), 0o600))
		},
		"an output that is gone": func(t *testing.T, kept string) { require.NoError(t, os.RemoveAll(filepath.Join(kept, "outputs"))) },
		"a record that is none": func(t *testing.T, kept string) {
			require.NoError(t, os.WriteFile(filepath.Join(kept, "record.json"), []byte("{"), 0o600))
		},
		"no record": func(t *testing.T, kept string) { require.NoError(t, os.Remove(filepath.Join(kept, "record.json"))) },
	} {
		t.Run(name, func(t *testing.T) {
			first := run(t, open(t, opts), step)
			kept, err := filepath.Glob(filepath.Join(opts.CacheDir, "steps", "*"))
			require.NoError(t, err)
			require.Len(t, kept, 1)
			damage(t, kept[0])
			second := run(t, open(t, opts), step)
			assert.NotEqual(t, first.Stdout, second.Stdout)
			assert.Equal(t, second.Stdout, run(t, open(t, opts), step).Stdout, "and kept again")
		})
	}
}

func TestOnlyTheNewestResultsAreKept(t *testing.T) {
	opts := options(t)
	r := open(t, opts)
	steps := filepath.Join(opts.CacheDir, "steps")
	stale := filepath.Join(steps, ".partial-of-a-killed-process")
	require.NoError(t, os.Mkdir(stale, 0o700))
	long := time.Now().Add(-48 * time.Hour)
	require.NoError(t, os.Chtimes(stale, long, long))
	for n := range 23 {
		run(t, r, sh(fmt.Sprintf("echo %d", n)))
	}
	kept, err := os.ReadDir(steps)
	require.NoError(t, err)
	assert.Len(t, kept, 20)
	assert.NoDirExists(t, stale)
}

func TestAResultThatCannotBeKeptIsAWarning(t *testing.T) {
	opts := options(t)
	r := open(t, opts)
	require.NoError(t, os.RemoveAll(filepath.Join(opts.CacheDir, "steps")))
	assert.Equal(t, 0, run(t, r, sh("true")).ExitCode)
	require.Len(t, r.Warnings(), 1)
	assert.Equal(t, native.CodeNotRemembered, r.Warnings()[0].Code)
	assert.Contains(t, r.Warnings()[0].Text, "the result of step could not be kept")
}

func TestEnvironmentsAreInstalledOnce(t *testing.T) {
	t.Setenv("PIP_INDEX_URL", "https://mirror.example/simple")
	t.Setenv("UV_INDEX_COMPANY_PASSWORD", "not-told")
	t.Setenv("AWS_PROFILE", "production")
	t.Setenv("UV_LINK_MODE", "hardlink")
	opts := options(t)
	r := open(t, opts)
	step := installing(r, []string{"uv", "pip", "install", "-r", "test.lock"})
	run(t, r, step)
	made, err := filepath.Glob(filepath.Join(opts.CacheDir, "env", "*", "venv", "uv.json"))
	require.NoError(t, err)
	require.Len(t, made, 1)
	data, err := os.ReadFile(made[0])
	require.NoError(t, err)
	var told struct{ Args, Env []string }
	require.NoError(t, json.Unmarshal(data, &told))
	assert.Equal(t, []string{"pip", "install", "-r", "test.lock"}, told.Args)
	for _, pair := range []string{"UV_LINK_MODE=copy", "UV_COMPILE_BYTECODE=1", "UV_DEFAULT_INDEX=https://mirror.example/simple", "UV_INDEX_COMPANY_PASSWORD=not-told", "VIRTUAL_ENV=" + filepath.Dir(made[0]), "UV_CACHE_DIR=" + filepath.Join(opts.CacheDir, "uv")} {
		assert.Contains(t, told.Env, pair)
	}
	assert.False(t, slices.ContainsFunc(told.Env, func(pair string) bool { return strings.HasPrefix(pair, "AWS_") }))

	before, err := os.Stat(made[0])
	require.NoError(t, err)
	step.Fresh = "again"
	run(t, r, step)
	run(t, open(t, opts), step)
	after, err := os.Stat(made[0])
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime())
}

func TestStepsAtTheSameTimeHaveEnvironmentsOfTheirOwn(t *testing.T) {
	opts := options(t)
	meeting := t.TempDir()
	// Each of the two ends only when both have begun.
	step := func(mine, others string) runner.Step {
		return sh(fmt.Sprintf(`touch %[1]s/%[2]s; until test -e %[1]s/%[3]s; do sleep 0.01; done; echo "${PATH%%%%:*}"`, meeting, mine, others))
	}
	var steps sync.WaitGroup
	used := make([]string, 2)
	for i, s := range []runner.Step{step("a", "b"), step("b", "a")} {
		r := open(t, opts)
		steps.Go(func() {
			result, err := r.Run(t.Context(), s)
			if assert.NoError(t, err) {
				used[i] = strings.TrimSpace(result.Stdout)
			}
		})
	}
	steps.Wait()
	assert.NotEqual(t, used[0], used[1])
	third := sh(`echo "${PATH%%:*}"`)
	assert.Contains(t, used, strings.TrimSpace(run(t, open(t, opts), third).Stdout), "those are used again")
}

type writerFunc func(line string)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { f(string(p)); return len(p), nil }

// changing are the ways to change an environment, with the path that is named.
var changing = map[string]struct{ script, names string }{
	"a file more":                      {"echo evil > $LIB/evil.py", "venv/lib/evil.py"},
	"a file less":                      {"rm $LIB/six.py", "venv/lib/six.py"},
	"a longer file":                    {"echo evil >> $LIB/six.py", "venv/lib/six.py"},
	"the same length and time":         {"touch -r $LIB/six.py $HOME/t; printf 'SIX' > $LIB/six.py; touch -r $HOME/t $LIB/six.py", "venv/lib/six.py"},
	"another file in its place":        {"cp -p $LIB/six.py $LIB/new; mv $LIB/new $LIB/six.py", "venv/lib/six.py"},
	"another mode":                     {"chmod 777 $LIB/six.py", "venv/lib/six.py"},
	"a directory more":                 {"mkdir $LIB/more", "venv/lib/more"},
	"a link more":                      {"ln -s /etc/passwd $LIB/link", "venv/lib/link"},
	"bytecode in the place of modules": {"touch $LIB/evil.pyc", "venv/lib/evil.pyc"},
	"no bytecode among it":             {"mkdir $LIB/__pycache__; touch $LIB/__pycache__/evil.so", "venv/lib/__pycache__/evil.so"},
	"everything gone":                  {"rm -rf $LIB/../../../*-0/venv", "venv"},
}

func TestAChangedEnvironmentIsThrownAway(t *testing.T) {
	for sentence, c := range changing {
		t.Run(sentence, func(t *testing.T) {
			opts := options(t)
			r := open(t, opts)
			evil := installing(r, []string{"uv", "pip", "install"})
			evil.Name, evil.Args[2] = "evil", "LIB=${PATH%%:*}/../lib; "+c.script+"; echo $$"
			result := run(t, r, evil)
			assert.Equal(t, 0, result.ExitCode, result.Stderr)

			require.Len(t, r.Warnings(), 1)
			assert.Equal(t, native.CodeEnvChanged, r.Warnings()[0].Code)
			assert.Contains(t, r.Warnings()[0].Text, "evil changed the packages that were installed for it: ")
			assert.Contains(t, r.Warnings()[0].Text, c.names)
			left, err := filepath.Glob(filepath.Join(opts.CacheDir, "env", "*-0*"))
			require.NoError(t, err)
			assert.Len(t, left, 1, "the lock is left: %v", left)
			assert.NotEqual(t, result.Stdout, run(t, r, evil).Stdout, "no result is kept")

			victim := installing(r, []string{"uv", "pip", "install"})
			victim.Args[2] = `cd "${PATH%%:*}/../lib" && cat six.py && ls -a`
			next := open(t, opts)
			assert.Equal(t, "six.\n..\nsix.py\n", run(t, next, victim).Stdout)
			assert.Empty(t, next.Warnings())
		})
	}
}

func TestBytecodeIsNotKept(t *testing.T) {
	opts := options(t)
	r := open(t, opts)
	step := installing(r, []string{"uv", "pip", "install"})
	step.Args[2] = `cd "${PATH%%:*}/../lib"; mkdir __pycache__; touch __pycache__/six.cpython-311.pyc; echo $$`
	first := run(t, r, step)
	assert.Empty(t, r.Warnings(), "Python writes it, when it may")
	left, err := filepath.Glob(filepath.Join(opts.CacheDir, "env", "*-0", "venv", "lib", "*"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	assert.Equal(t, "six.py", filepath.Base(left[0]))
	assert.Equal(t, first.Stdout, run(t, r, step).Stdout)
}

func TestAServiceThatChangesItsEnvironment(t *testing.T) {
	r := open(t, options(t))
	step := sh("echo $$")
	step.Needs = []runner.Service{{
		Name: "web", Env: runner.Environment{Python: "3.11"},
		Args: []string{"sh", "-c", `touch "${PATH%%:*}/evil"; exec python -I listen {{bind}}:{{port}}`},
	}}
	assert.NotEqual(t, run(t, r, step).Stdout, run(t, r, step).Stdout, "the step's own environment was not changed, but it talked to the service")
	require.Len(t, r.Warnings(), 1)
	assert.Contains(t, r.Warnings()[0].Text, "web changed the packages that were installed for it: venv/bin/evil")
}

func TestAnEnvironmentThatIsNotWholeIsMadeAgain(t *testing.T) {
	opts := options(t)
	step := sh("true")
	step.Fresh = "1"
	r := open(t, opts)
	run(t, r, step)
	seals, err := filepath.Glob(filepath.Join(opts.CacheDir, "env", "*.seal"))
	require.NoError(t, err)
	require.Len(t, seals, 1)
	dir := strings.TrimSuffix(seals[0], ".seal")
	for name, damage := range map[string]func() error{
		"half made":            func() error { return os.Remove(seals[0]) },
		"a seal of nothing":    func() error { return os.WriteFile(seals[0], nil, 0o600) },
		"gone":                 func() error { return os.RemoveAll(dir) },
		"changed by others":    func() error { return os.WriteFile(filepath.Join(dir, "venv", "evil"), nil, 0o600) },
		"its interpreter gone": func() error { return os.Remove(filepath.Join(dir, "venv", "bin", "python")) },
	} {
		require.NoError(t, damage(), name)
		run(t, r, step)
		assert.FileExists(t, filepath.Join(dir, "venv", "bin", "python"), name)
		assert.NoFileExists(t, filepath.Join(dir, "venv", "evil"), name)
	}
	assert.Empty(t, r.Warnings(), "no step did it")
}

func TestTheInstallerIsLookedThroughBeforeItIsUsed(t *testing.T) {
	opts := options(t)
	r := open(t, opts)
	run(t, r, installing(r, []string{"uv", "1"}))
	bins, err := filepath.Glob(filepath.Join(opts.CacheDir, "tools", "*-0", "bin"))
	require.NoError(t, err)
	require.Len(t, bins, 1)
	require.NoError(t, os.Remove(filepath.Join(bins[0], "uv")))
	require.NoError(t, os.WriteFile(filepath.Join(bins[0], "uv"), []byte("#!/bin/sh\nexit 9\n"), 0o700))
	run(t, r, installing(r, []string{"uv", "2"}))
}

func TestTheOldestEnvironmentsAreRemovedUnlessInUse(t *testing.T) {
	opts := options(t)
	opts.KeptBytes = 1 << 20
	version := func(n int) runner.Environment {
		return runner.Environment{Python: "3.11", Install: [][]string{{"truncate", "-s", "1M", fmt.Sprint("package", n)}}}
	}
	incomplete := filepath.Join(opts.CacheDir, "env", "killed-0")
	require.NoError(t, os.MkdirAll(incomplete, 0o700))
	inUse := open(t, opts)
	_, err := inUse.Start(t.Context(), runner.Service{Name: "web", Env: version(0), Args: []string{"python", "-I", "listen", "{{bind}}:{{port}}"}})
	require.NoError(t, err)
	for n := range 10 {
		r, err := native.New(opts)
		require.NoError(t, err)
		step := sh("true")
		step.Env = version(n + 1)
		run(t, r, step)
		require.NoError(t, r.Close(t.Context()))
	}
	made, err := filepath.Glob(filepath.Join(opts.CacheDir, "env", "*.seal"))
	require.NoError(t, err)
	assert.Len(t, made, 5, "the newest four, which with their Pythons have less than five megabytes, and the one in use")
	assert.NoDirExists(t, incomplete)
	assert.Empty(t, inUse.Warnings())
}

func TestUVsCacheIsMadeSmallerUnlessItIsTheUsers(t *testing.T) {
	for name, c := range map[string]struct {
		bytes  int64
		users  string
		stays  bool
		reason string
	}{
		"too large":   {6 << 20, "", false, "it is larger than all environments may be"},
		"small":       {4 << 20, "", true, "it is within the limit"},
		"of the user": {6 << 20, "named", true, "UV_CACHE_DIR names it"},
	} {
		t.Run(name, func(t *testing.T) {
			opts := options(t)
			opts.KeptBytes = 1 << 20
			wheel := filepath.Join(opts.CacheDir, "uv", "wheels", "a.whl")
			require.NoError(t, os.MkdirAll(filepath.Dir(wheel), 0o700))
			require.NoError(t, os.WriteFile(wheel, nil, 0o600))
			require.NoError(t, os.Truncate(wheel, c.bytes))
			if c.users != "" {
				t.Setenv("UV_CACHE_DIR", filepath.Join(opts.CacheDir, "uv"))
			}
			r := open(t, opts)
			run(t, r, installing(r, []string{"uv", "pip", "install", "-r", "test.lock"}))
			_, err := os.Stat(wheel)
			assert.Equal(t, c.stays, err == nil, c.reason)
		})
	}
}

func TestFailedInstallations(t *testing.T) {
	cases := map[string]struct {
		python string
		env    map[string]string
		args   []string
		want   string
		output string
	}{
		"a lock file that does not hold": {"python", nil, []string{"uv", "fail"}, `install packages with ["uv" "fail"]: exit code 1`, "hash mismatch"},
		"a command without a result":     {"python", nil, []string{"no-result"}, "the launcher left no result", ""},
		"an uv that cannot be had":       {"python", map[string]string{"PIP_INDEX_URL": "http://127.0.0.1:1/none"}, []string{"uv"}, "pip", "no matching distribution"},
		"a Python without venv":          {"python-novenv", nil, nil, "python3-venv", "No module named venv"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			for variable, value := range c.env {
				t.Setenv(variable, value)
			}
			opts := options(t)
			path := fakeInterpreter(t, c.python)
			if c.python == "python-novenv" {
				path = filepath.Join(t.TempDir(), "novenv")
				self, err := os.Executable()
				require.NoError(t, err)
				require.NoError(t, os.Symlink(self, path))
			}
			opts.PythonFor = func(string) string { return path }
			r := open(t, opts)
			_, err := r.Run(t.Context(), installing(r, c.args))
			var failed *runner.EnvironmentError
			require.ErrorAs(t, err, &failed)
			assert.ErrorContains(t, err, c.want)
			assert.Contains(t, failed.Output, c.output)
			left, err := filepath.Glob(filepath.Join(opts.CacheDir, "env", "*", "*"))
			require.NoError(t, err)
			assert.Empty(t, left, "nothing half-made is left")
		})
	}
}

func TestPythonIsFound(t *testing.T) {
	bare := func(t *testing.T, names ...string) (home, bin string) {
		home, bin = t.TempDir(), t.TempDir()
		for _, name := range names {
			file := filepath.Join(bin, name)
			if strings.Contains(name, "/") {
				file = filepath.Join(home, name)
			}
			target, err := os.Executable()
			require.NoError(t, err)
			// The name of the program says the version it claims, the link what it is found by.
			name, version, _ := strings.Cut(filepath.Base(file), "@")
			program := filepath.Join(t.TempDir(), "claims-"+version)
			if version == "broken" {
				program = filepath.Join(filepath.Dir(program), "broken")
			}
			require.NoError(t, os.Symlink(target, program))
			require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
			script := fmt.Sprintf("#!/bin/sh\nexec %s \"$@\"\n", program)
			require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), name), []byte(script), 0o755))
		}
		return home, bin
	}
	cases := map[string]struct {
		programs []string
		wanted   string
		want     string
		warning  string
	}{
		"by its version on the path":                {[]string{"python3.11@3.11.7", "python3@3.12.1"}, "3.11", "claims-3.11.7", ""},
		"by python3 of the same version":            {[]string{"python3@3.11.2"}, "3.11", "claims-3.11.2", ""},
		"in pyenv, past a shim without its version": {[]string{"python3.11@broken", ".pyenv/versions/3.11.4/bin/python3.11@3.11.4", "python3@3.12.1"}, "3.11", "claims-3.11.4", ""},
		"in uv's own":                {[]string{".local/share/uv/python/cpython-3.12.1-x/bin/python3.12@3.12.1"}, "3.12", "claims-3.12.1", ""},
		"by its exact version":       {[]string{"python3.11@3.11.7", ".pyenv/versions/3.11.4/bin/python3.11@3.11.4"}, "3.11.4", "claims-3.11.4", ""},
		"as python3, with a warning": {[]string{"python3@3.13.0"}, "3.11", "claims-3.13.0", "Python 3.11 is not installed here; the stages ran on 3.13.0"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			home, bin := bare(t, c.programs...)
			t.Setenv("HOME", home)
			t.Setenv("PATH", bin)
			t.Setenv("PYENV_ROOT", "")
			t.Setenv("XDG_DATA_HOME", "")
			r := open(t, native.Options{CacheDir: t.TempDir(), Grace: time.Second})
			step := runner.Step{Name: "x", Env: runner.Environment{Python: c.wanted}, Args: []string{"/bin/sh", "-c", "readlink -f /dev/null"}}
			run(t, r, step)
			if c.warning == "" {
				assert.Empty(t, r.Warnings())
				return
			}
			require.Len(t, r.Warnings(), 1)
			assert.Equal(t, native.CodeOtherPython, r.Warnings()[0].Code)
			assert.Contains(t, r.Warnings()[0].Text, c.warning)
			assert.Contains(t, r.Warnings()[0].Text, c.want)
		})
	}
	t.Run("packages of Debian", func(t *testing.T) {
		home, bin := bare(t, "python3.11@3.11.7")
		t.Setenv("HOME", home)
		t.Setenv("PATH", bin)
		r := open(t, native.Options{CacheDir: t.TempDir(), Grace: time.Second})
		step := runner.Step{Name: "x", Env: runner.Environment{Python: "3.11", System: []string{"libgl1", "libgomp1=12", "libssl3", "libpq5"}},
			Args: []string{"/bin/sh", "-c", "readlink -f /dev/null"}}
		run(t, r, step)
		assert.Empty(t, r.Warnings(), "a machine without dpkg")
		query := "#!/bin/sh\nshift 3\nfor name; do case $name in libgomp1|libssl3t64) echo installed;; libpq5) echo config-files;; esac; done\nexit 1\n"
		require.NoError(t, os.WriteFile(filepath.Join(bin, "dpkg-query"), []byte(query), 0o700))
		run(t, r, step)
		require.Len(t, r.Warnings(), 1)
		assert.Equal(t, native.CodeSystemMissing, r.Warnings()[0].Code)
		assert.Equal(t, "not installed here: libgl1, libpq5", r.Warnings()[0].Text)
	})
	t.Run("without the credentials of the pipeline", func(t *testing.T) {
		home, bin := bare(t, "python3.11@3.11.7")
		seen := filepath.Join(home, "seen")
		shim := filepath.Join(bin, "python3.11")
		script, err := os.ReadFile(shim)
		require.NoError(t, err)
		script = bytes.Replace(script, []byte("exec"), []byte("/usr/bin/env >> "+seen+"\nexec"), 1)
		require.NoError(t, os.WriteFile(shim, script, 0o755))
		hidden := map[string]string{
			"AWS_SECRET_ACCESS_KEY": "secret-1", "MLFLOW_TRACKING_PASSWORD": "secret-2", "MISE_GITHUB_TOKEN": "secret-3",
			"UV_INDEX_COMPANY_PASSWORD": "secret-4", "PIP_INDEX_URL": "https://user:secret-5@mirror.example/simple",
			"HTTPS_PROXY": "http://user:secret-6@proxy.example", "PYENV_UNKNOWN": "secret-7",
		}
		passed := map[string]string{
			"PATH": bin, "HOME": home, "PYENV_ROOT": filepath.Join(home, "p"), "PYENV_VERSION": "3.11.7", "ASDF_DATA_DIR": "/asdf",
			"MISE_DATA_DIR": "/mise", "HTTP_PROXY": "http://proxy.example", "UV_OFFLINE": "1",
		}
		for _, variables := range []map[string]string{hidden, passed} {
			for name, value := range variables {
				t.Setenv(name, value)
			}
		}
		run(t, open(t, native.Options{CacheDir: t.TempDir(), Grace: time.Second}), sh("true"))
		content, err := os.ReadFile(seen)
		require.NoError(t, err)
		assert.NotContains(t, string(content), "secret-")
		for name, value := range passed {
			assert.Contains(t, string(content), name+"="+value+"\n")
		}
	})
	for name, c := range map[string]struct {
		programs []string
		want     string
	}{
		"no Python at all":    {nil, "install it (pyenv install 3.11"},
		"a Python too old":    {[]string{"python3@3.9.1"}, "at least 3.10 is needed"},
		"a Python that fails": {[]string{"python3@broken"}, "no such version"},
	} {
		t.Run(name, func(t *testing.T) {
			home, bin := bare(t, c.programs...)
			t.Setenv("HOME", home)
			t.Setenv("PATH", bin)
			t.Setenv("PYENV_ROOT", "")
			t.Setenv("XDG_DATA_HOME", "")
			r := open(t, native.Options{CacheDir: t.TempDir()})
			_, err := r.Run(t.Context(), sh("true"))
			var failed *runner.EnvironmentError
			require.ErrorAs(t, err, &failed)
			assert.Empty(t, failed.Command)
			assert.ErrorContains(t, err, c.want)
			assert.ErrorContains(t, err, "find Python 3.11")
		})
	}
	t.Run("nor by a name that leads nowhere", func(t *testing.T) {
		r := open(t, native.Options{CacheDir: t.TempDir(), PythonFor: func(string) string { return "/no/such/python" }})
		_, err := r.Run(t.Context(), sh("true"))
		require.ErrorContains(t, err, "/no/such/python")
	})
	t.Run("nor by a name that is too old", func(t *testing.T) {
		old := fakeInterpreter(t, "python-3.9.1")
		r := open(t, native.Options{CacheDir: t.TempDir(), PythonFor: func(string) string { return old }})
		_, err := r.Run(t.Context(), sh("true"))
		require.ErrorContains(t, err, "at least 3.10 is needed")
	})
}

func TestServices(t *testing.T) {
	// The commands run without Python, so this process answers for them: the service
	// only has to stay alive, and the test serves on the port that it was given.
	serve := func(t *testing.T) runner.Service {
		t.Helper()
		return runner.Service{Name: "web", Env: runner.Environment{Python: "3.11"}, Ready: "/health", StartTimeout: 10 * time.Second,
			Args: []string{"sh", "-c", "echo up at {{bind}} {{port}} $WHERE; exec sleep 600"}, Vars: map[string]string{"WHERE": "{{bind}}:{{port}}"}}
	}
	answering := func(t *testing.T, r *native.Runner, service runner.Service, handler http.Handler) (*runner.Running, error) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "port")
		service.Args[2] = fmt.Sprintf("printf %%s {{port}} > %s.new && mv %s.new %s; %s", file, file, file, service.Args[2])
		done := make(chan struct{})
		go func() {
			defer close(done)
			var port []byte
			assert.Eventually(t, func() bool {
				var err error
				port, err = os.ReadFile(file)
				return err == nil
			}, 30*time.Second, 5*time.Millisecond)
			listener, err := net.Listen("tcp4", "127.0.0.1:"+string(port))
			if !assert.NoError(t, err) {
				return
			}
			server := httptest.NewUnstartedServer(handler)
			assert.NoError(t, server.Listener.Close())
			server.Listener = listener
			server.Start()
			t.Cleanup(server.Close)
		}()
		running, err := r.Start(t.Context(), service)
		<-done
		return running, err
	}
	t.Run("are started, logged and stopped", func(t *testing.T) {
		r := open(t, options(t))
		calls := 0
		running, err := answering(t, r, serve(t), http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			assert.Equal(t, "/health", request.URL.Path)
			if calls++; calls < 3 {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			http.Redirect(w, request, "/login", http.StatusFound)
		}))
		require.NoError(t, err)
		assert.Equal(t, running.Address, running.Inside)
		assert.GreaterOrEqual(t, calls, 3)
		assert.Contains(t, running.Logs(), "up at 127.0.0.1 "+strings.TrimPrefix(running.Address, "127.0.0.1:")+" "+running.Address)
		require.NoError(t, running.Stop(t.Context()))
		require.NoError(t, running.Stop(t.Context()))
	})
	t.Run("that never get ready fail in time", func(t *testing.T) {
		r := open(t, options(t))
		service := serve(t)
		service.StartTimeout = 2 * time.Second
		_, err := answering(t, r, service, http.NotFoundHandler())
		var failed *runner.StartError
		require.ErrorAs(t, err, &failed)
		assert.ErrorContains(t, err, "it was not ready after 2s")
		assert.ErrorContains(t, err, "status 404")
		assert.Contains(t, failed.Logs, "up at")
	})
	for name, c := range map[string]struct{ script, want, logs string }{
		"that die early fail at once":     {"echo boom; exit 3", "ended early with exit code 3", "boom"},
		"whose port is always taken fail": {"echo OSError: Address already in use; exit 1", "exit code 1", "Address already in use"},
	} {
		t.Run(name, func(t *testing.T) {
			r := open(t, options(t))
			_, err := r.Start(t.Context(), runner.Service{Name: "web", Env: runner.Environment{Python: "3.11"}, Args: []string{"sh", "-c", c.script}})
			var failed *runner.StartError
			require.ErrorAs(t, err, &failed)
			assert.ErrorContains(t, err, "start service web")
			assert.ErrorContains(t, err, c.want)
			assert.Contains(t, failed.Logs, c.logs)
		})
	}
	t.Run("that cannot be started fail", func(t *testing.T) {
		r := open(t, options(t))
		base := runner.Service{Name: "web", Env: runner.Environment{Python: "3.11"}, Args: []string{"true"}}
		for want, change := range map[string]func(*runner.Service){
			"no command":               func(s *runner.Service) { s.Args = nil },
			"a version looks like":     func(s *runner.Service) { s.Env.Python = "4" },
			"no such file":             func(s *runner.Service) { s.Inputs = []runner.Mount{{Path: ".", Files: native.Source("/no/such")}} },
			`variable "A=B"`:           func(s *runner.Service) { s.Vars = map[string]string{"A=B": ""} },
			"launcher left no result":  func(s *runner.Service) { s.Args = []string{"no-result"} },
			"connect: dial tcp 127.0.": func(s *runner.Service) { s.Args = []string{"sleep", "600"}; s.StartTimeout = time.Second },
		} {
			service := base
			change(&service)
			running, err := r.Start(t.Context(), service)
			require.ErrorContains(t, err, want)
			assert.Nil(t, running)
		}
	})
	t.Run("end with their context", func(t *testing.T) {
		r := open(t, options(t))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		pid := filepath.Join(t.TempDir(), "pid")
		service := runner.Service{Name: "web", Env: runner.Environment{Python: "3.11"}, Args: []string{"sh", "-c", "echo $$ > " + pid + "; exec sleep 600"}, StartTimeout: time.Minute}
		go func() {
			assert.Eventually(t, func() bool { _, err := os.Stat(pid); return err == nil }, 30*time.Second, 5*time.Millisecond)
			cancel()
		}()
		_, err := r.Start(ctx, service)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("that a step needs live with it and are part of its key", func(t *testing.T) {
		r := open(t, options(t))
		need := runner.Service{Name: "web", Env: runner.Environment{Python: "3.11"}, Args: []string{"python", "-I", "listen", "{{bind}}:{{port}}"}}
		stdout := func(change func(*runner.Service)) string {
			step := sh("echo {{web}} $$")
			other := need
			change(&other)
			step.Needs = []runner.Service{other}
			result := run(t, r, step)
			assert.Regexp(t, `^127\.0\.0\.1:\d+ \d+\n$`, result.Stdout)
			address, _, _ := strings.Cut(result.Stdout, " ")
			_, err := net.Dial("tcp", address)
			require.Error(t, err, "the service has ended with the step")
			return result.Stdout
		}
		same := func(*runner.Service) {}
		first := stdout(same)
		assert.Equal(t, first, stdout(same), "answered from the cache")
		for sentence, change := range map[string]func(*runner.Service){
			"another input": func(s *runner.Service) {
				s.Inputs = []runner.Mount{{Path: "a", Files: r.NewFiles(map[string][]byte{"b": nil})}}
			},
			"another command path": func(s *runner.Service) { s.Path = []string{"bin"} },
			"another module path":  func(s *runner.Service) { s.PythonPath = []string{"lib"} },
			"another variable":     func(s *runner.Service) { s.Vars = map[string]string{"A": "1"} },
			"another lock":         func(s *runner.Service) { s.Env.Files = r.NewFiles(map[string][]byte{"lock": nil}) },
		} {
			assert.NotEqual(t, first, stdout(change), sentence)
		}
		talking := func(s *runner.Service) { s.Services = map[string]*runner.Running{"db": {Inside: "127.0.0.1:1"}} }
		assert.NotEqual(t, stdout(talking), stdout(talking), "the state of a running service is in no key")
	})
	t.Run("are needed by a step and started for it", func(t *testing.T) {
		r := open(t, options(t))
		step := sh("echo {{web}}")
		step.Needs = []runner.Service{{Name: "web", Env: runner.Environment{Python: "3.11"}, Args: []string{"sh", "-c", "echo no database; exit 1"}}}
		_, err := r.Run(t.Context(), step)
		var failed *runner.StartError
		require.ErrorAs(t, err, &failed)
		assert.Contains(t, failed.Logs, "no database")
	})
}

func TestAnInterruptedCommandCanBeHurried(t *testing.T) {
	opts := options(t)
	opts.Grace = time.Hour
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	opts.Log = writerFunc(func(string) { cancel() })
	r := open(t, opts)
	step := sh("echo begun; while kill -0 $PPID; do sleep 0.01; done")
	step.Args = append(step.Args, "stubborn")
	context.AfterFunc(ctx, func() { r.Hurry(); r.Hurry() })
	_, err := r.Run(ctx, step)
	require.ErrorIs(t, err, context.Canceled, "in much less than the hour that the command may take to end")
}

func TestWhatAKilledProcessLeftIsRemoved(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	place := func(name string, age time.Duration, locked bool) string {
		dir := filepath.Join(temp, name)
		require.NoError(t, os.MkdirAll(filepath.Join(dir, "step", "work"), 0o700))
		if locked {
			require.NoError(t, os.WriteFile(filepath.Join(dir, "lock"), nil, 0o600))
		}
		then := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(dir, then, then))
		return dir
	}
	dead := place("openstack-rca-dead", 0, true)
	old := place("openstack-rca-old", 48*time.Hour, false)
	young := place("openstack-rca-young", time.Hour, false)
	other := place("other", 48*time.Hour, true)
	target := place("target", 48*time.Hour, true)
	require.NoError(t, os.Symlink(target, filepath.Join(temp, "openstack-rca-link")))
	living := open(t, options(t))
	work, err := living.WorkDir()
	require.NoError(t, err)

	open(t, options(t))
	for _, dir := range []string{dead, old} {
		assert.NoDirExists(t, dir)
	}
	for _, dir := range []string{young, other, target, work} {
		assert.DirExists(t, dir)
	}
}

func TestCloseRemovesScratchEvenIfItWasLocked(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	r, err := native.New(options(t))
	require.NoError(t, err)
	result := run(t, r, sh("mkdir -p locked/in; touch locked/in/x; chmod 500 locked/in; chmod 500 locked; echo 1 > out", "out"))
	content, err := result.Outputs.Read(t.Context(), "out", 10)
	require.NoError(t, err)
	assert.Equal(t, "1\n", string(content))
	require.NoError(t, r.Close(t.Context()))
	left, err := filepath.Glob(filepath.Join(temp, "openstack-rca-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}
