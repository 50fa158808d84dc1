package daggertest_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"testing"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
)

func TestTheSameGraphPrintsTheSame(t *testing.T) {
	record := func() string {
		engine := daggertest.New(t)
		engine.Answer("stdout", "ok")
		client := engine.Client(t)
		_, err := client.Container().From("python:3.12-slim").
			WithDirectory("/src", client.Directory().WithNewFile("a", "b", dagger.DirectoryWithNewFileOpts{Permissions: 0o600}), dagger.ContainerWithDirectoryOpts{Owner: "1", Exclude: []string{"x"}}).
			WithExec([]string{"true"}, dagger.ContainerWithExecOpts{Expect: dagger.ReturnTypeAny, UseEntrypoint: true}).
			Stdout(context.Background())
		require.NoError(t, err)
		return engine.Queries()
	}
	first := record()
	for range 20 {
		assert.Equal(t, first, record())
	}
	daggertest.Golden(t, "testdata/graph.graphql", first)
}

func TestAnswers(t *testing.T) {
	ctx := context.Background()
	engine := daggertest.New(t)
	engine.Answer("stdout", "one")
	engine.Answer("withUser.stdout", "two")
	engine.Answer("entries", []string{"a", "b"})
	engine.Answer("envVariables", []map[string]any{{"name": "PATH", "value": "/bin"}})
	engine.Answer("stderr", &daggertest.ExecError{Cmd: []string{"false"}, ExitCode: 3, Stderr: "boom"})
	engine.Answer("digest", errors.New("no digest today"))
	engine.AnswerFunc("publish", func(call daggertest.Call) (any, error) { return fmt.Sprint(len(call.Path) > 0), nil })
	client := engine.Client(t)
	ctr := client.Container().From("x")

	out, err := ctr.Stdout(ctx)
	require.NoError(t, err)
	assert.Equal(t, "one", out)
	out, err = ctr.WithUser("7").Stdout(ctx)
	require.NoError(t, err)
	assert.Equal(t, "two", out, "the longest suffix counts")

	entries, err := client.Directory().Entries(ctx)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, entries)

	vars, err := ctr.EnvVariables(ctx)
	require.NoError(t, err)
	require.Len(t, vars, 1)
	name, err := vars[0].Name(ctx)
	require.NoError(t, err)
	assert.Equal(t, "PATH", name)

	_, err = ctr.Stderr(ctx)
	var exec *dagger.ExecError
	require.ErrorAs(t, err, &exec)
	assert.Equal(t, 3, exec.ExitCode)
	assert.Equal(t, "boom", exec.Stderr)

	_, err = client.Directory().Digest(ctx)
	require.ErrorContains(t, err, "no digest today")

	synced, err := ctr.WithUser("9").Sync(ctx)
	require.NoError(t, err)
	_, err = synced.WithUser("8").Stdout(ctx)
	require.NoError(t, err)
	calls := engine.Calls()
	assert.Equal(t, "container.from.withUser.withUser.stdout", calls[len(calls)-1].Path, "a chain goes on from its ID")
	assert.Contains(t, calls[len(calls)-1].Query, `"<withUser `)

	address, err := ctr.Publish(ctx, "r/x")
	require.NoError(t, err)
	assert.Equal(t, "true", address)
	assert.NoError(t, client.Close())
}

func TestWhatDiffersIsMasked(t *testing.T) {
	engine := daggertest.New(t)
	engine.Mask(regexp.MustCompile(`run-[0-9]+`), "run-N")
	client := engine.Client(t)
	for _, name := range []string{"run-1", "run-22"} {
		_, err := client.CacheVolume(name).ID(context.Background())
		require.NoError(t, err)
	}
	calls := engine.Calls()
	assert.Equal(t, calls[0].Query, calls[1].Query)
}

// recorder is a testing.TB that notes failures instead of failing.
type recorder struct {
	testing.TB
	failed string
}

func (r *recorder) Helper()                           {}
func (r *recorder) Errorf(format string, args ...any) { r.failed = fmt.Sprintf(format, args...) }

func TestAQueryNobodyScriptedFailsTheTest(t *testing.T) {
	r := &recorder{TB: t}
	engine := daggertest.New(r)
	_, err := engine.Client(t).Container().Stdout(context.Background())
	require.ErrorContains(t, err, "no answer for container.stdout")
	assert.Contains(t, r.failed, "container.stdout")
}

func TestAWrongListIsRefused(t *testing.T) {
	engine := daggertest.New(t)
	engine.Answer("labels", "text")
	_, err := engine.Client(t).Container().Labels(context.Background())
	require.ErrorContains(t, err, "want []map[string]any")
}

func TestAnUnscriptedListIsEmpty(t *testing.T) {
	labels, err := daggertest.New(t).Client(t).Container().Labels(context.Background())
	require.NoError(t, err)
	assert.Empty(t, labels)
}

func TestCounts(t *testing.T) {
	e := daggertest.New(t)
	e.Answer("stdout", "x")
	e.Answer("exitCode", 0)
	client := e.Client(t)
	ctr := client.Container().From("python:3.12").WithExec([]string{"echo", "a \"b\""}).WithExec([]string{"ls"})
	for range 2 {
		_, err := ctr.Stdout(t.Context())
		require.NoError(t, err)
	}
	_, err := client.Container().WithExec([]string{"ls"}).ExitCode(t.Context())
	require.NoError(t, err)
	require.Equal(t, "queries 3, different commands 2\n  exitCode 1\n  stdout 2\n", e.Counts())
}
