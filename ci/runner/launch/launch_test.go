package launch_test

import (
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

func good() launch.Spec {
	return launch.Spec{
		Args: []string{"python", "-m", "pytest"}, Cwd: "/src", Env: map[string]string{"LANG": "C.UTF-8"},
		TimeoutSeconds: 1.5, Result: "/out/result.json", SecretNames: []string{"TOKEN"},
	}
}

func TestMarshalWritesWhatTheLauncherReads(t *testing.T) {
	data, err := launch.Marshal(good())
	require.NoError(t, err)
	assert.JSONEq(t, `{"args": ["python", "-m", "pytest"], "cwd": "/src", "env": {"LANG": "C.UTF-8"},
		"timeout_seconds": 1.5, "result": "/out/result.json", "secret_names": ["TOKEN"]}`, string(data))
	var fields map[string]any
	require.NoError(t, json.Unmarshal(data, &fields))
	for name := range fields {
		assert.Contains(t, launch.Script, `"`+name+`"`, "the launcher knows the field")
	}
}

func TestMarshalRefuses(t *testing.T) {
	cases := map[string]struct {
		change func(*launch.Spec)
		want   string
	}{
		"no command":                {func(s *launch.Spec) { s.Args = nil }, "no command"},
		"an empty command":          {func(s *launch.Spec) { s.Args[0] = "" }, "no command"},
		"no working directory":      {func(s *launch.Spec) { s.Cwd = "" }, "no working directory"},
		"no result file":            {func(s *launch.Spec) { s.Result = "" }, "no file for the result"},
		"a negative time limit":     {func(s *launch.Spec) { s.TimeoutSeconds = -1 }, "time limit of -1"},
		"an endless grace period":   {func(s *launch.Spec) { s.GraceSeconds = math.Inf(1) }, "grace period"},
		"a NUL in an argument":      {func(s *launch.Spec) { s.Args[1] = "a\x00" }, "argument 1"},
		"an argument of odd bytes":  {func(s *launch.Spec) { s.Args[1] = "\xff" }, "not UTF-8"},
		"a NUL in a variable":       {func(s *launch.Spec) { s.Env["A"] = "\x00" }, "variable A"},
		"an odd name of a variable": {func(s *launch.Spec) { s.Env["A=B"] = "" }, `variable "A=B"`},
		"a secret in plain sight":   {func(s *launch.Spec) { s.Env["TOKEN"] = "x" }, "TOKEN is a secret"},
		"two mistakes, both named":  {func(s *launch.Spec) { s.Cwd, s.Result = "", "" }, "no working directory\nno file for the result"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			spec := good()
			c.change(&spec)
			_, err := launch.Marshal(spec)
			require.ErrorContains(t, err, c.want)
		})
	}
}

func TestCheckVariableDoesNotShowTheValue(t *testing.T) {
	require.NoError(t, launch.CheckVariable("A", "anything = goes"))
	err := launch.CheckVariable("A", "hidden\x00")
	require.ErrorContains(t, err, "variable A")
	assert.NotContains(t, err.Error(), "hidden")
	require.Error(t, launch.CheckVariable("", "x"))
}

const written = `{"exit_code": 3, "timed_out": true, "stopped": true, "seconds": 1.25, "started": "2026-01-02T03:04:05.000006Z", "stdout": "ä\n", "stderr": ""}`

func TestParse(t *testing.T) {
	result, err := launch.Parse([]byte(written))
	require.NoError(t, err)
	assert.Equal(t, &launch.Result{
		ExitCode: 3, TimedOut: true, Stopped: true, Seconds: 1.25, Stdout: "ä\n",
		Started: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC),
	}, result)

	outputs := filetree.New(nil)
	seen := result.Runner(outputs)
	assert.Equal(t, 3, seen.ExitCode)
	assert.True(t, seen.TimedOut)
	assert.Equal(t, "ä\n", seen.Stdout)
	assert.Same(t, outputs, seen.Outputs)
}

func TestParseRefuses(t *testing.T) {
	replace := func(old, with string) string { return strings.Replace(written, old, with, 1) }
	cases := map[string]struct{ data, want string }{
		"nothing":                   {"", "EOF"},
		"half a result":             {written[:40], "unexpected EOF"},
		"another document":          {`[]`, "cannot unmarshal"},
		"an unknown field":          {replace(`"stopped"`, `"stoped"`), "unknown field"},
		"more than a result":        {written + `{}`, "something follows"},
		"no exit code":              {replace(`"exit_code": 3, `, ""), "exit code is missing"},
		"an impossible exit code":   {replace(`3`, "256"), "exit code is missing or not of"},
		"no start":                  {replace(`"started": "2026-01-02T03:04:05.000006Z", `, ""), "start is missing"},
		"a file elsewhere":          {replace(`"stderr"`, `"made": ["a/../../b"], "stderr"`), "no path below the working directory"},
		"more files than there are": {replace(`"stderr"`, `"made": [`+strings.Repeat(`"a",`, launch.MaxMade)+`"b"], "stderr"`), "more than 200 names"},
		"a negative duration":       {replace("1.25", "-1"), "duration is negative"},
		"too long a stream":         {replace(`ä\n`, strings.Repeat("x", launch.TailBytes+1)), "more than 65536 bytes"},
		"too much altogether":       {strings.Repeat(" ", launch.MaxResultBytes+1), "at most 1048576"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			result, err := launch.Parse([]byte(c.data))
			require.ErrorContains(t, err, c.want)
			assert.Nil(t, result)
		})
	}
}

func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "result.json")
	_, err := launch.ReadFile(file)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, os.WriteFile(file, []byte(written), 0o600))
	result, err := launch.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, 3, result.ExitCode)
	_, err = launch.ReadFile(dir)
	require.ErrorIs(t, err, fs.ErrInvalid)
	require.NoError(t, os.Truncate(file, launch.MaxResultBytes*3))
	_, err = launch.ReadFile(file)
	require.ErrorContains(t, err, "at most")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(written))
	f.Fuzz(func(t *testing.T, data []byte) {
		result, err := launch.Parse(data)
		if err == nil {
			assert.LessOrEqual(t, len(result.Stdout), launch.TailBytes)
			assert.GreaterOrEqual(t, result.ExitCode, 0)
		}
	})
}
