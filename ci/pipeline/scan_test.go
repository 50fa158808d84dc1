package pipeline

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const scanning = "train:\n  requirements: [requirements/train.lock]\ntest:\n  requirements: [requirements/test.lock]\nsecurity:\n  scan: true\n"

// built is a backend with an engine, which the programs of the scan are asked of.
func built(t *testing.T, pipelineYAML string, tool func(ctx context.Context, name string) (runner.Files, error)) Backend {
	b, r := backend(t, source(map[string]string{"pipeline.yaml": pipelineYAML}))
	b.Runner = r.As("engine")
	b.BuildImage = func(context.Context, ImageRequest) *ImageResult { return &ImageResult{} }
	b.Tool = tool
	return b
}

func TestTheProgramsOfAScanAreMadeWhileTestsRun(t *testing.T) {
	asked, all := []string{}, make(chan struct{})
	b := built(t, scanning, func(_ context.Context, name string) (runner.Files, error) {
		if asked = append(asked, name); name == tools.Syft {
			close(all)
		}
		return fake.Files(map[string]string{name: "#!"}), nil
	})
	b.Runner = fake.New().As("engine").OnRun(func(runner.Step) (*runner.Result, error) {
		select {
		case <-all:
		case <-time.After(10 * time.Second):
			t.Error("the programs were not asked for before the tests ended")
		}
		return nil, errors.New("nothing runs here")
	})
	fetched := 0
	b.ImageAdvisories = func(context.Context) (string, error) { fetched++; return "", errors.New("no route") }
	Run(t.Context(), b, Options{Ref: "main"})
	assert.Equal(t, 1, fetched)
	assert.Equal(t, []string{tools.Gitleaks, tools.Grype, tools.Syft}, asked)
}

// TestABuildThatNobodyWaitsForIsEnded: a run whose tests fail does not wait for a compiler.
func TestABuildThatNobodyWaitsForIsEnded(t *testing.T) {
	var ended sync.WaitGroup
	ended.Add(1)
	b := built(t, scanning, func(ctx context.Context, _ string) (runner.Files, error) {
		defer ended.Done() // a second call would panic: the first that fails is the last
		<-ctx.Done()
		return nil, ctx.Err()
	})
	run := Run(t.Context(), b, Options{Ref: "main"}).Run
	ended.Wait()
	b.Tool, b.ImageAdvisories = nil, func(context.Context) (string, error) { t.Error("asked"); return "", nil }
	Run(t.Context(), b, Options{Ref: "main", Advisories: "given"})
	assert.NotEqual(t, verdict.Pass, run.Verdict)
}

func TestWithoutAScanNoProgramIsMade(t *testing.T) {
	b := built(t, "train:\n  requirements: [requirements/train.lock]\ntest:\n  requirements: [requirements/test.lock]\n",
		func(context.Context, string) (runner.Files, error) { t.Error("asked"); return nil, errors.New("no") })
	Run(t.Context(), b, Options{Ref: "main"})
	b = built(t, scanning, func(context.Context, string) (runner.Files, error) { t.Error("asked"); return nil, errors.New("no") })
	Run(t.Context(), b, Options{Ref: "main", Stages: []string{verdict.Test}})
}
