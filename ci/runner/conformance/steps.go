package conformance

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func (s *suite) steps(t *testing.T) {
	t.Run("see their inputs and nothing else", func(t *testing.T) {
		step := s.python(`import json, os
print(json.dumps(sorted(os.path.join(d, f)[2:] for d, _, names in os.walk(".") for f in names)))
open("a b/ä.txt", "a").write("changed")`)
		input := s.texts(map[string]string{"ä.txt": "1", "c": "2"})
		step.Inputs = []runner.Mount{{Path: "a b", Files: input}, {Path: ".", Files: s.texts(map[string]string{"root": "3"})}}
		var seen []string
		require.NoError(t, json.Unmarshal([]byte(s.succeed(t, step).Stdout), &seen))
		assert.Equal(t, []string{"a b/c", "a b/ä.txt", "root"}, seen)
		assert.Equal(t, "1", read(t, input, "ä.txt"), "what a step writes does not reach its inputs")
	})
	t.Run("see files of one name, which NLTK and others demand", func(t *testing.T) {
		step := s.python(`import os; print(os.stat("a/x.py").st_nlink, os.stat("b/x.py").st_nlink)`)
		input := s.texts(map[string]string{"x.py": "1", "y": "2"}).Filter([]string{"*.py"}, nil)
		step.Inputs = []runner.Mount{{Path: "a", Files: input}, {Path: "b", Files: input.Filter(nil, []string{"y"})}}
		assert.Equal(t, "1 1\n", s.succeed(t, step).Stdout)
	})
	t.Run("see their variables and none of the host", func(t *testing.T) {
		t.Setenv("OPENSTACK_RCA_CONFORMANCE", "of the host")
		step := s.python(`import json, os; print(json.dumps(dict(os.environ)))`)
		step.Vars["OWN"] = "its own $PATH ü"
		var seen map[string]string
		require.NoError(t, json.Unmarshal([]byte(s.succeed(t, step).Stdout), &seen))
		assert.Equal(t, "its own $PATH ü", seen["OWN"])
		assert.NotContains(t, seen, "OPENSTACK_RCA_CONFORMANCE")
		for _, name := range []string{"PATH", "HOME", "LANG"} {
			assert.NotEmpty(t, seen[name], name)
		}
	})
	t.Run("run the Python that was asked for", func(t *testing.T) {
		result := s.succeed(t, s.python(`import sys; print("%d.%d" % sys.version_info[:2], sys.prefix != sys.base_prefix)`))
		assert.Equal(t, s.opts.Python+" True\n", result.Stdout)
	})
	t.Run("can write to their home and temporary directories", func(t *testing.T) {
		s.succeed(t, s.python(`import os, tempfile
open(os.path.expanduser("~/file"), "w").close()
tempfile.mkdtemp()`))
	})
	t.Run("leave their outputs", s.outputs)
	t.Run("that are offline reach nothing, and their children neither", func(t *testing.T) {
		program := `import socket, subprocess, sys
def family(kind):
    try:
        socket.socket(kind).close()
    except OSError as error:
        return error.errno
    return 0
print(family(socket.AF_INET), family(socket.AF_INET6), family(socket.AF_UNIX), flush=True)
if len(sys.argv) == 1:
    subprocess.run([sys.executable, "-c", open("self.py").read(), "child"], check=True)`
		for offline, want := range map[bool]string{true: "101 101 0\n101 101 0\n", false: "0 0 0\n0 0 0\n"} {
			step := s.python(program)
			step.Inputs = []runner.Mount{{Path: ".", Files: s.texts(map[string]string{"self.py": program})}}
			step.Offline = offline
			result := s.succeed(t, step)
			if result.NetworkOpen {
				t.Skip("this system has no means to cut a process off")
			}
			assert.Equal(t, want, result.Stdout)
		}
	})
	t.Run("keep exit codes and both streams apart", func(t *testing.T) {
		for code, program := range map[int]string{
			0:   `print("out")`,
			3:   `import sys; print("out"); print("err", file=sys.stderr); sys.exit(3)`,
			1:   `raise SystemExit("err")`,
			137: `import os; print("out", flush=True); os.kill(os.getpid(), 9)`,
			143: `import os; print("out", flush=True); os.kill(os.getpid(), 15)`,
		} {
			result := s.run(t, s.python(program))
			assert.Equal(t, code, result.ExitCode)
			assert.False(t, result.TimedOut)
			if strings.Contains(program, `"out"`) {
				assert.Equal(t, "out\n", result.Stdout)
			}
			if strings.Contains(program, `"err"`) {
				assert.Equal(t, "err\n", result.Stderr)
			}
		}
	})
	t.Run("whose command does not exist fail as in a shell", func(t *testing.T) {
		step := s.python("")
		step.Args = []string{"no-such-command-anywhere"}
		result := s.run(t, step)
		assert.Equal(t, 127, result.ExitCode)
		assert.Contains(t, result.Stderr, "no-such-command-anywhere")
	})
	t.Run("know when they ran and for how long", func(t *testing.T) {
		step := s.python(`import time; time.sleep(0.3)`)
		step.Fresh = s.nonce
		before := time.Now()
		result := s.succeed(t, step)
		assert.GreaterOrEqual(t, result.Seconds, 0.3)
		assert.Less(t, result.Seconds, 60.0)
		assert.WithinRange(t, result.Started, before.Add(-time.Minute), time.Now().Add(time.Minute))
		assert.Equal(t, time.UTC, result.Started.Location())
	})
	t.Run("have the end of a long output", func(t *testing.T) {
		result := s.succeed(t, s.python(`import sys
for n in range(20000):
    print("line", n, "é" * 20)
    print("error", n, file=sys.stderr)
sys.stdout.flush()
sys.stdout.buffer.write(b"\xff\xfe end\n")`))
		assert.LessOrEqual(t, len(result.Stdout), 64<<10)
		assert.Greater(t, len(result.Stdout), 63<<10)
		end := "line 19999 " + strings.Repeat("é", 20) + "\n\uFFFD\uFFFD end\n"
		assert.True(t, strings.HasSuffix(result.Stdout, end), "invalid bytes are replaced, the end is kept")
		assert.True(t, strings.HasSuffix(result.Stderr, "error 19999\n"))
		assert.Greater(t, len(result.Stderr), 63<<10)
	})
	t.Run("without a command are refused", func(t *testing.T) {
		step := s.python("")
		step.Args = nil
		_, err := s.runner.Run(t.Context(), step)
		require.Error(t, err)
	})
	t.Run("with an output outside are refused", func(t *testing.T) {
		step := s.python("")
		step.Outputs = []string{"../outside"}
		_, err := s.runner.Run(t.Context(), step)
		require.Error(t, err)
	})
}

func (s *suite) outputs(t *testing.T) {
	step := s.python(`import os
os.makedirs("report/deep dir")
open("report/deep dir/ü.xml", "w").write("<x/>")
open("model.keras", "wb").write(bytes(range(256)))
open("tool", "w").write("#!/bin/sh\n"); os.chmod("tool", 0o755)
open("odd [1].txt", "w").write("odd")
open("undeclared", "w").write("no")
raise SystemExit(5)`)
	step.Inputs = []runner.Mount{{Path: ".", Files: s.texts(map[string]string{"input": "1"})}}
	step.Outputs = []string{"report", "model.keras", "tool", "odd [1].txt", "missing", "missing/too"}
	result := s.run(t, step)
	assert.Equal(t, 5, result.ExitCode, "the outputs of a failed command are kept, too")
	assert.Equal(t, []string{"model.keras", "odd [1].txt", "report/deep dir/ü.xml", "tool"}, names(t, result.Outputs))
	assert.Equal(t, "<x/>", read(t, result.Outputs.Sub("report"), "deep dir/ü.xml"))
	assert.Len(t, read(t, result.Outputs, "model.keras"), 256)
	_, err := result.Outputs.Read(t.Context(), "missing", 10)
	require.ErrorIs(t, err, fs.ErrNotExist)

	dir := t.TempDir()
	require.NoError(t, result.Outputs.Export(t.Context(), dir))
	for name, executable := range map[string]bool{"tool": true, "model.keras": false} {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, executable, info.Mode()&0o111 != 0, name)
	}

	next := s.python(`print(open("in/report/deep dir/ü.xml").read())`)
	next.Inputs = []runner.Mount{{Path: "in", Files: result.Outputs}}
	assert.Equal(t, "<x/>\n", s.succeed(t, next).Stdout, "outputs are inputs of the next step")

	all := s.python(`import os
os.makedirs("out/deep"); os.makedirs(".cache"); os.makedirs("__pycache__")
for name in ("out/deep/scores.json", "model.bin", ".cache/x", "__pycache__/y", "odd\nname", "kept"):
    open(name, "w").write("made")
open("changed", "a").write("!")`)
	all.Inputs = []runner.Mount{{Path: ".", Files: s.texts(map[string]string{"input": "1", "changed": "1", "sub/input": "2"})}}
	assert.Empty(t, s.succeed(t, all).Made, "nobody asked")
	all.ListMade = true
	for range 2 { // the second time the answer may be a remembered one
		assert.Equal(t, []string{"changed", "kept", "model.bin", "out/deep/scores.json"}, s.succeed(t, all).Made)
	}

	changing := s.python(`import os
open("a.py", "w").write("pass"); os.utime("a.py", (0, 0)); os.remove("sub/b.py"); open("same.py", "w").write("x = 1"); open("new.py", "w").close()`)
	changing.Inputs = []runner.Mount{{Path: ".", Files: s.texts(map[string]string{"a.py": "abcd", "sub/b.py": "1", "same.py": "x = 1", "c.txt": "1"})}}
	assert.Empty(t, s.succeed(t, changing).Altered, "nobody asked")
	changing.ListAltered = true
	for range 2 {
		assert.Equal(t, []string{"a.py", "sub/b.py"}, s.succeed(t, changing).Altered)
	}

	none := s.succeed(t, s.python(`open("x", "w").close()`))
	assert.Empty(t, names(t, none.Outputs), "nothing declared, nothing kept")
}

// leaving is a program that starts a child which ignores SIGTERM, and then ends in the given way.
const leaving = `import os, subprocess, sys, time
stubborn = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, start_new_session=%s)
child.stdout.readline()
open("pid", "w").write(str(child.pid))
%s`

func (s *suite) limits(t *testing.T) {
	t.Run("a time limit ends the command and keeps what there is", func(t *testing.T) {
		step := s.python(`import time
print("begun", flush=True)
open("partial", "w").write("1")
time.sleep(600)`)
		step.Timeout, step.Outputs = 2*time.Second, []string{"partial"}
		result := s.run(t, step)
		assert.True(t, result.TimedOut)
		assert.Equal(t, 143, result.ExitCode)
		assert.Equal(t, "begun\n", result.Stdout)
		assert.GreaterOrEqual(t, result.Seconds, 2.0)
		assert.Less(t, result.Seconds, 30.0)
		assert.Equal(t, []string{"partial"}, names(t, result.Outputs))
	})
	t.Run("a command that ends in time has not timed out", func(t *testing.T) {
		step := s.python(`print("quick")`)
		step.Timeout = 5 * time.Minute
		assert.False(t, s.succeed(t, step).TimedOut)
	})
	t.Run("a cancelled context ends the command", func(t *testing.T) {
		s.succeed(t, s.python(``)) // the environment is there now
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		step := s.python(`import time; time.sleep(600)`)
		step.Fresh = s.nonce
		began := time.Now()
		result, err := s.runner.Run(ctx, step)
		require.Error(t, err)
		assert.Nil(t, result)
		assert.Less(t, time.Since(began), time.Minute)
	})
	t.Run("a context that has ended starts nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := s.runner.Run(ctx, s.python(`print("never")`))
		require.Error(t, err)
	})
	if s.opts.Alive == nil {
		return
	}
	for sentence, c := range map[string]struct {
		session, end string
		timeout      time.Duration
		code         int
	}{
		"a child left behind is killed":                   {"False", "", time.Minute, 0},
		"a child left behind in its own session, too":     {"True", "", time.Minute, 0},
		"a time limit ends the children":                  {"False", "time.sleep(600)", 2 * time.Second, 143},
		"a time limit ends children in their own session": {"True", "time.sleep(600)", 2 * time.Second, 143},
	} {
		t.Run(sentence, func(t *testing.T) {
			step := s.python(strings.Replace(strings.Replace(leaving, "%s", c.session, 1), "%s", c.end, 1))
			step.Outputs, step.Timeout, step.Fresh = []string{"pid"}, c.timeout, s.nonce
			result := s.run(t, step)
			require.Equal(t, c.code, result.ExitCode, result.Stderr)
			assert.Less(t, result.Seconds, 30.0)
			pid, err := strconv.Atoi(read(t, result.Outputs, "pid"))
			require.NoError(t, err)
			s.gone(t, pid)
		})
	}
}

// plain is a secret of the tests.
type plain struct{ value string }

// Name implements runner.Secret.
func (plain) Name() string { return "conformance" }

// Plaintext implements runner.Secret.
func (p plain) Plaintext(context.Context) (string, error) { return p.value, nil }

func (s *suite) secrets(t *testing.T) {
	value := "not-" + s.nonce + "\n/told+to&anybody"
	sum := sha256.Sum256([]byte(value))
	step := s.python(`import hashlib, json, os, sys
value = os.environ["TOLD"]
print("sha256", hashlib.sha256(value.encode()).hexdigest())
print("plain", value)
print("json", json.dumps(value))
print("error", value, file=sys.stderr)
for part in value[:5], value[5:]:
    sys.stdout.write(part)
    sys.stdout.flush()
raise SystemExit(4)`)
	step.Secrets = map[string]runner.Secret{"TOLD": plain{value}}
	result := s.run(t, step)
	assert.Equal(t, 4, result.ExitCode)
	assert.Contains(t, result.Stdout, "sha256 "+hex.EncodeToString(sum[:]), "the step has the value")
	for _, part := range strings.Split(value, "\n") {
		assert.NotContains(t, result.Stdout, part)
		assert.NotContains(t, result.Stderr, part)
	}
	assert.Contains(t, result.Stdout, "plain ***")
	assert.Contains(t, result.Stderr, "error ***")

	other := s.succeed(t, s.python(`import os; print(os.environ.get("TOLD"))`))
	assert.Equal(t, "None\n", other.Stdout, "another step has not")
	if s.opts.Cache != "" {
		assert.Empty(t, search(t, s.opts.Cache, "not-"+s.nonce), "nor has the cache")
	}
}
