// Package e2e runs the pipeline as its users do, by the CLI and a real engine or by the
// command for hosts without one, and looks at what is left: exit codes, reports, the
// servers.
package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// outcome is what a run left.
type outcome struct {
	exit   int
	output string
	dir    string
	report report
}

// report is what these tests read of report.json.
type report struct {
	Verdict     string `json:"verdict"`
	ModelSHA256 string `json:"model_sha256"`
	ImageDigest string `json:"image_digest"`
	Preflight   *stage `json:"preflight"`
	Stages      []stage
}

type stage struct {
	Name, Verdict, Code, Cause string
	Published                  []string
	Evidence                   []struct{ Name, Value string }
	Problems                   []struct{ Code, Cause string }
}

func (r report) stage(name string) stage {
	for _, s := range r.Stages {
		if s.Name == name {
			return s
		}
	}
	return stage{}
}

// codes are all codes of a run's problems.
func (r report) codes() []string {
	var codes []string
	stages := r.Stages
	if r.Preflight != nil {
		stages = append([]stage{*r.Preflight}, stages...)
	}
	for _, s := range stages {
		for _, p := range s.Problems {
			codes = append(codes, p.Code)
		}
	}
	return codes
}

// onEngine runs the pipeline in one session of the real CLI.
func onEngine(t *testing.T, source string, args ...string) outcome {
	t.Helper()
	reachable.Engine(t)
	dir := filepath.Join(t.TempDir(), "report")
	return execute(t, dir, exec.CommandContext(t.Context(), filepath.Join(reachable.Root(), "scripts", "pipeline"), append([]string{dir, "--source", source}, args...)...))
}

// native runs the pipeline on this host.
func native(t *testing.T, source string, args ...string) outcome {
	t.Helper()
	reachable.Python(t)
	dir := filepath.Join(t.TempDir(), "report")
	return execute(t, dir, exec.CommandContext(t.Context(), command(t), append([]string{"pipeline", "--verbose", "--ref", "main", "--source", source, "--report", dir}, args...)...))
}

// built is the command, built once.
var built string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "openstack-rca-e2e-")
	if err != nil {
		panic(err)
	}
	code := func() int {
		defer func() {
			if err := os.RemoveAll(dir); err != nil {
				panic(err)
			}
		}()
		built = filepath.Join(dir, "openstack-rca")
		return m.Run()
	}()
	os.Exit(code)
}

func command(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(built); err != nil {
		build := exec.CommandContext(t.Context(), "go", "build", "-o", built, "./ci/cmd/openstack-rca")
		build.Dir = reachable.Root()
		out, err := build.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	return built
}

func execute(t *testing.T, dir string, cmd *exec.Cmd) outcome {
	t.Helper()
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.Env = append(os.Environ(), "DAGGER_PROGRESS=plain", "NO_COLOR=1")
	// A run that is told to stop takes its servers with it.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	err := cmd.Run()
	left := outcome{output: output.String(), dir: dir}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		left.exit = failed.ExitCode()
	} else {
		require.NoError(t, err, left.output)
	}
	data, err := os.ReadFile(filepath.Join(dir, "report.json"))
	require.NoError(t, err, "every run leaves a report; this one printed:\n%s", left.output)
	require.NoError(t, json.Unmarshal(data, &left.report))
	checkReport(t, dir, data)
	return left
}

// checkReport demands that a report is complete, whatever its verdict.
func checkReport(t *testing.T, dir string, data []byte) {
	t.Helper()
	schema, err := jsonschema.UnmarshalJSON(bytes.NewReader(verdict.ReportSchema()))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("report.schema.json", schema))
	compiled, err := compiler.Compile("report.schema.json")
	require.NoError(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	require.NoError(t, err)
	require.NoError(t, compiled.Validate(value), "report.json follows its schema")
	for _, name := range []string{"report.md", "report.html"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.NotEmpty(t, content, name)
	}
}

// tiny is the root of the fixture.
func tiny() string { return filepath.Join(reachable.Root(), "tests", "fixtures", "tiny") }

// changed is a copy of the fixture after change.
func changed(t *testing.T, change func(t *testing.T, dir string)) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "source")
	require.NoError(t, os.CopyFS(dir, os.DirFS(tiny())))
	change(t, dir)
	return dir
}

// replace edits a file of a copied fixture. The text must be there.
func replace(file, old, replacement string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := filepath.Join(dir, file)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Contains(t, string(content), old)
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(string(content), old, replacement)), 0o644))
	}
}

// background is for what must outlive the test's own context: ending what it started.
func background(timeout time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), timeout)
}
