//go:build unix

package runner_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// launcher runs the launch script by hand.
type launcher struct {
	dir    string
	cmd    *exec.Cmd
	stdout bytes.Buffer
	stderr bytes.Buffer
}

// prepare makes a launcher for a spec; the command is a Python program.
func prepare(t *testing.T, program string, spec launch.Spec, environment ...string) *launcher {
	t.Helper()
	reachable.Python(t)
	l := &launcher{dir: t.TempDir()}
	script := filepath.Join(l.dir, "launch.py")
	require.NoError(t, os.WriteFile(script, []byte(launch.Script), 0o600))
	if spec.Args == nil {
		python, err := exec.Command("python3", "-I", "-c", "import sys; print(sys.executable)").Output()
		require.NoError(t, err)
		spec.Args = []string{strings.TrimSpace(string(python)), "-c", program}
	}
	if spec.Cwd == "" {
		spec.Cwd = l.dir
	}
	spec.Result = filepath.Join(l.dir, "result.json")
	data, err := launch.Marshal(spec)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "spec.json"), data, 0o600))
	l.cmd = exec.Command("python3", "-I", "-X", "utf8", script, filepath.Join(l.dir, "spec.json"))
	l.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, environment...)
	l.cmd.Stdout, l.cmd.Stderr = &l.stdout, &l.stderr
	l.cmd.WaitDelay = 30 * time.Second
	return l
}

// result waits for the launcher and reads what it wrote.
func (l *launcher) result(t *testing.T) *launch.Result {
	t.Helper()
	require.NoError(t, l.cmd.Wait(), l.stderr.String())
	result, err := launch.ReadFile(filepath.Join(l.dir, "result.json"))
	require.NoError(t, err)
	return result
}

func (l *launcher) run(t *testing.T) *launch.Result {
	t.Helper()
	require.NoError(t, l.cmd.Start())
	return l.result(t)
}

// waitFor waits until the command has written a file.
func (l *launcher) waitFor(t *testing.T, name string) string {
	t.Helper()
	file := filepath.Join(l.dir, name)
	require.Eventually(t, func() bool { _, err := os.Stat(file); return err == nil }, 30*time.Second, 10*time.Millisecond)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return string(content)
}

func TestLaunchListsWhatACommandMade(t *testing.T) {
	cwd := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(cwd, "input"), []byte("1"), 0o600))
	program := `import os
for n in range(300):
    open(f"f{n:03}", "w").close()
os.mkdir("sub")
open("sub/deep", "w").close()
os.symlink("/etc/passwd", "link")
open(b"\xff", "w").close()
os.mkdir("locked"); open("locked/x", "w").close(); os.chmod("locked", 0)
os.remove("input")`
	result := prepare(t, program, launch.Spec{Cwd: cwd, ListMade: true}).run(t)
	require.Equal(t, 0, result.ExitCode, result.Stderr)
	require.NoError(t, os.Chmod(filepath.Join(cwd, "locked"), 0o700))
	require.Len(t, result.Made, launch.MaxMade, "bounded")
	assert.Equal(t, "f000", result.Made[0])
	assert.NotContains(t, result.Made, "link")

	gone := t.TempDir()
	result = prepare(t, "import os, shutil; shutil.rmtree(os.getcwd())", launch.Spec{Cwd: gone, ListMade: true}).run(t)
	assert.Equal(t, 0, result.ExitCode, "a command that removes its directory has made nothing")
	assert.Empty(t, result.Made)
}

func TestLaunchPassesOnExactlyTheEnvironmentItIsTold(t *testing.T) {
	l := prepare(t, `import json, os, sys; print(json.dumps([dict(os.environ), os.getcwd(), sys.stdin.read()]))`,
		launch.Spec{Env: map[string]string{"LC_ALL": "C.UTF-8", "ü": "v w"}, SecretNames: []string{"NEEDED"}}, "NEEDED=1", "UNRELATED=1")
	result := l.run(t)
	require.Equal(t, 0, result.ExitCode, result.Stderr)
	var seen []any
	require.NoError(t, json.Unmarshal([]byte(strings.ReplaceAll(result.Stdout, "***", "1")), &seen))
	assert.Equal(t, map[string]any{"LC_ALL": "C.UTF-8", "ü": "v w", "NEEDED": "1"}, seen[0])
	assert.Empty(t, seen[2], "there is no input")
}

func TestLaunchTellsLiveWhatTheCommandPrints(t *testing.T) {
	l := prepare(t, `import os, sys, time
print("first", flush=True); print("problem", file=sys.stderr, flush=True)
while not os.path.exists("go"): time.sleep(0.01)
sys.stdout.write("second")`, launch.Spec{Stdout: "all.out"})
	seen := make(chan string, 1)
	l.cmd.Stdout = writerFunc(func(p []byte) {
		select {
		case seen <- string(p):
		default:
		}
		l.stdout.Write(p)
	})
	l.cmd.Dir = l.dir
	require.NoError(t, l.cmd.Start())
	select {
	case text := <-seen:
		assert.Equal(t, "first\n", text)
	case <-time.After(30 * time.Second):
		assert.Fail(t, "nothing was seen while the command ran")
	}
	require.NoError(t, os.WriteFile(filepath.Join(l.dir, "go"), nil, 0o600))
	result := l.result(t)
	assert.Equal(t, "first\nsecond", result.Stdout)
	assert.Equal(t, "first\nsecond", l.stdout.String())
	assert.Equal(t, "problem\n", result.Stderr)
	assert.Equal(t, "first\nsecond", l.waitFor(t, "all.out"))
}

type writerFunc func(p []byte)

// Write implements io.Writer.
func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestLaunchMasksSecretsHoweverTheyArePrinted(t *testing.T) {
	const value, longer = "quite-secret?", "quite-secret?-and-more"
	l := prepare(t, `import base64, json, os, sys, time, urllib.parse
value = os.environ["A"]
print("plain", value, value)
print("longer", os.environ["B"])
print("url", urllib.parse.quote(value, safe=""))
print("base64", base64.b64encode(value.encode()).decode())
print("json", json.dumps(os.environ["C"]))
print("line", os.environ["C"].splitlines()[1])
print("stars **** stay, quite-secre stays")
for c in os.environ["B"]:
    sys.stdout.write(c); sys.stdout.flush(); time.sleep(0.005)
print("")
sys.stdout.write("x" * 70000 + value)
print(value, file=sys.stderr)`, launch.Spec{SecretNames: []string{"A", "B", "C", "E", "S"}},
		"A="+value, "B="+longer, "C=one\nthe second line of it\n", "E=", "S=****")
	result := l.run(t)
	require.Equal(t, 0, result.ExitCode, result.Stderr)
	all := l.stdout.String() + l.stderr.String() + result.Stdout + result.Stderr
	for _, form := range []string{value, "and-more", "quite-secret%3F", base64.StdEncoding.EncodeToString([]byte(value)), "the second line"} {
		assert.NotContains(t, all, form)
	}
	for _, line := range []string{"plain *** ***\n", "longer ***\n", "url ***\n", "base64 ***\n", `json "***"`, "line ***\n", "stars **** stay, quite-secre stays\n***\nx"} {
		assert.Contains(t, l.stdout.String(), line)
	}
	assert.True(t, strings.HasSuffix(result.Stdout, "x***"))
	assert.Equal(t, "***\n", result.Stderr)
}

func TestLaunchEndsWhatDoesNotEndByItself(t *testing.T) {
	const stubborn = `import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("pid", "w").write(str(os.getpid()))
os.rename("pid", "up")
while True: time.sleep(1)`
	t.Run("after the time limit and the grace period", func(t *testing.T) {
		result := prepare(t, stubborn, launch.Spec{TimeoutSeconds: 1, GraceSeconds: 0.3}).run(t)
		assert.True(t, result.TimedOut)
		assert.False(t, result.Stopped)
		assert.Equal(t, 137, result.ExitCode)
		assert.GreaterOrEqual(t, result.Seconds, 1.3)
	})
	t.Run("when the process that watches over it goes away", func(t *testing.T) {
		l := prepare(t, stubborn, launch.Spec{WatchStdin: true, GraceSeconds: 0.3})
		input, err := l.cmd.StdinPipe()
		require.NoError(t, err)
		require.NoError(t, l.cmd.Start())
		l.waitFor(t, "up")
		require.NoError(t, input.Close())
		result := l.result(t)
		assert.True(t, result.Stopped)
		assert.False(t, result.TimedOut)
		assert.Equal(t, 137, result.ExitCode)
	})
	t.Run("when the launcher is told to end", func(t *testing.T) {
		l := prepare(t, `import time; open("up", "w").close(); time.sleep(600)`, launch.Spec{})
		require.NoError(t, l.cmd.Start())
		l.waitFor(t, "up")
		require.NoError(t, l.cmd.Process.Signal(syscall.SIGTERM))
		result := l.result(t)
		assert.True(t, result.Stopped)
		assert.Equal(t, 143, result.ExitCode)
	})
	t.Run("when the launcher is killed", func(t *testing.T) {
		if _, err := os.Stat("/proc/self"); err != nil {
			t.Skip("only Linux ends the children of a killed process")
		}
		l := prepare(t, stubborn, launch.Spec{})
		require.NoError(t, l.cmd.Start())
		pid, err := strconv.Atoi(l.waitFor(t, "up"))
		require.NoError(t, err)
		require.NoError(t, l.cmd.Process.Kill())
		require.Error(t, l.cmd.Wait())
		assert.Eventually(t, func() bool { return !alive(pid) }, 10*time.Second, 20*time.Millisecond)
	})
	t.Run("but gives it the grace period to end well", func(t *testing.T) {
		result := prepare(t, `import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("saved", flush=True), sys.exit(0)))
time.sleep(600)`, launch.Spec{TimeoutSeconds: 1}).run(t)
		assert.True(t, result.TimedOut)
		assert.Equal(t, 0, result.ExitCode)
		assert.Equal(t, "saved\n", result.Stdout)
	})
}

func TestLaunchDoesNotWaitForAStreamThatACutOffChildHolds(t *testing.T) {
	result := prepare(t, `import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
print("done")`, launch.Spec{}).run(t)
	assert.Equal(t, 0, result.ExitCode)
	assert.Equal(t, "done\n", result.Stdout)
}

func TestLaunchReportsCommandsThatCannotRunAsAShellDoes(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	require.NoError(t, os.WriteFile(plain, []byte("no program"), 0o600))
	for command, want := range map[string]int{"/no/such/command": 127, plain: 126} {
		result := prepare(t, "", launch.Spec{Args: []string{command}}).run(t)
		assert.Equal(t, want, result.ExitCode, command)
		assert.Contains(t, result.Stderr, command)
	}
}

func TestLaunchRefusesWhatItCannotCarryOut(t *testing.T) {
	cases := map[string]struct {
		spec launch.Spec
		want string
	}{
		"a missing secret":            {launch.Spec{SecretNames: []string{"NOWHERE"}}, "NOWHERE"},
		"a missing working directory": {launch.Spec{Cwd: "/no/such/directory"}, "/no/such/directory"},
		"a stream it cannot write":    {launch.Spec{Stdout: "/no/such/directory/out"}, "/no/such/directory/out"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			l := prepare(t, `pass`, c.spec)
			require.Error(t, l.cmd.Run())
			assert.Equal(t, 2, l.cmd.ProcessState.ExitCode())
			assert.Contains(t, l.stderr.String(), c.want)
			assert.NotContains(t, l.stderr.String(), "Traceback")
			assert.NoFileExists(t, filepath.Join(l.dir, "result.json"))
		})
	}
	for name, content := range map[string]string{"no JSON": "{", "no command": `{"args": [], "cwd": "/", "result": "/x"}`, "a list": "[]", "no result": `{"args": ["x"], "cwd": "/"}`} {
		t.Run(name, func(t *testing.T) {
			l := prepare(t, "", launch.Spec{Args: []string{"x"}})
			require.NoError(t, os.WriteFile(filepath.Join(l.dir, "spec.json"), []byte(content), 0o600))
			require.Error(t, l.cmd.Run())
			assert.Equal(t, 2, l.cmd.ProcessState.ExitCode(), fmt.Sprint(l.stderr.String()))
			assert.NotContains(t, l.stderr.String(), "Traceback")
		})
	}
}

func TestLaunchGivesFilesOneNameWhereItIsTold(t *testing.T) {
	for _, own := range []bool{true, false} {
		cwd := t.TempDir()
		file, other := filepath.Join(cwd, "sub", "a"), filepath.Join(cwd, "b")
		require.NoError(t, os.Mkdir(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte("x"), 0o640))
		old := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		require.NoError(t, os.Chtimes(file, old, old))
		require.NoError(t, os.Link(file, other))
		require.NoError(t, os.Symlink("b", filepath.Join(cwd, "link")))
		require.NoError(t, os.Chtimes(filepath.Dir(file), old, old))
		program := `import os
for name in ["sub/a", "b", "link"]:
    info = os.lstat(name)
    print(name, info.st_nlink, oct(info.st_mode & 0o777), int(os.stat(name).st_mtime), open(name).read())
print(int(os.stat("sub").st_mtime), sorted(os.listdir(".")))`
		result := prepare(t, program, launch.Spec{Cwd: cwd, OwnFiles: own}).run(t)
		require.Equal(t, 0, result.ExitCode, result.Stderr)
		names := 2
		if own {
			names = 1
		}
		want := fmt.Sprintf("sub/a %d 0o640 %d x\nb %d 0o640 %d x\nlink 1 0o777 %d x\n%d ['b', 'link', 'sub']\n", names, old.Unix(), names, old.Unix(),
			old.Unix(), old.Unix())
		assert.Equal(t, want, result.Stdout)
	}
}
