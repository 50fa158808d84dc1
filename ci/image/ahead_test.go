package image_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// begin begins what a run then takes up. The caller closes it.
func (w *world) begin() *image.Ahead {
	client := w.engine.Client(w.t)
	w.in.Engine = engine.New(client, engine.Options{})
	before := w.in
	before.Model, before.ModelFiles, before.Version = nil, nil, nil
	w.in.Ahead = image.Begin(context.Background(), client, before)
	return w.in.Ahead
}

// stops are the services that were stopped, by the chains that describe them.
func (w *world) stops() []string {
	var paths []string
	for _, call := range w.engine.Calls() {
		if strings.HasSuffix(call.Path, ".stop") {
			paths = append(paths, call.Path)
		}
	}
	return paths
}

func TestWhatIsBegunAheadIsTakenUp(t *testing.T) {
	w := newWorld(t)
	ahead := w.begin()
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	tags := w.tags(w.sandbox, "library/openstack-rca-system")
	assert.Contains(t, tags, "packages", "most of the image was there before the model")
	assert.Equal(t, r.Reference.Digest, tags["sandbox"])
	var started int
	for _, call := range w.engine.Calls() {
		if strings.HasSuffix(call.Path, "asService.start") && !strings.Contains(call.Path, "withMountedCache") {
			started++
		}
	}
	assert.Equal(t, 1, started, "one registry")
	for _, path := range w.stops() {
		assert.Contains(t, path, "withMountedCache", "only the application was stopped: the registry is not the run's")
	}
	ahead.Close(context.Background())
	require.NoError(t, w.in.Engine.Close(context.Background()))
	assert.Len(t, w.stops(), 2)
}

func TestWhatIsNotTakenUpIsStopped(t *testing.T) {
	w := newWorld(t)
	pushing := make(chan struct{})
	w.engine.AnswerFunc("publish", func(call daggertest.Call) (any, error) {
		close(pushing)
		<-call.Context.Done() // a push that takes minutes
		return nil, errors.New("cancelled")
	})
	ahead := w.begin()
	<-pushing
	closed := make(chan struct{})
	go func() {
		ahead.Close(context.Background())
		close(closed)
	}()
	select {
	case <-closed:
	case <-time.After(20 * time.Second):
		t.Error("a run that ended waits for a push that nobody needs")
	}
}

func TestAFailureAheadIsReportedInItsTurn(t *testing.T) {
	for sentence, c := range map[string]struct {
		change  func(*world)
		verdict verdict.Outcome
		code    string
	}{
		"the push ahead fails": {func(w *world) {
			w.engine.AnswerFunc("publish", func(c daggertest.Call) (any, error) {
				if strings.Contains(c.Query, ":packages") {
					return nil, errors.New("broken")
				}
				return w.publish(c)
			})
		}, verdict.Pass, ""},
		"no requirements":             {func(w *world) { w.files = map[string]string{} }, verdict.CouldNotRun, image.CodeRequirementsMissing.Name},
		"the registry does not start": {func(w *world) { w.engine.Answer("asService.start", errors.New("no such image")) }, verdict.CouldNotRun, image.CodeSandboxRegistry.Name},
		"no repository":               {func(w *world) { w.in.Push.Address = "://" }, verdict.Fail, image.CodeConfigInvalid.Name},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			c.change(w)
			ahead := w.begin()
			defer ahead.Close(context.Background())
			r := w.run()
			assert.Equal(t, c.code, r.Stage.Code, r.Stage.Failure())
			if c.code == "" {
				assert.Equal(t, c.verdict, r.Stage.Verdict)
			} else {
				assert.NotEqual(t, verdict.Pass, r.Stage.Verdict)
			}
		})
	}
}
