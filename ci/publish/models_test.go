package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// published publishes models whose weights are the texts, one after the other.
func (w *world) published(weights ...string) {
	w.t.Helper()
	for _, text := range weights {
		result := Run(w.t.Context(), w.input(artifact(w.t, text)))
		require.Equal(w.t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
		require.NoError(w.t, w.clock.Sleep(w.t.Context(), time.Minute))
	}
}

// dead leaves a publication that ended after its n-th call.
func (w *world) dead(weights string, n int64) {
	w.t.Helper()
	ctx, cancel := w.killed(w.t.Context(), n)
	defer cancel()
	require.NotEqual(w.t, verdict.Pass, Run(ctx, w.input(artifact(w.t, weights))).Stage.Verdict)
	w.heal()
}

// unchanged demands that f writes nothing anywhere.
func (w *world) unchanged(f func()) {
	w.t.Helper()
	writes, requests := w.store.Writes(), len(w.mlf.Requests())
	f()
	assert.Equal(w.t, writes, w.store.Writes())
	for _, request := range w.mlf.Requests()[requests:] {
		assert.True(w.t, strings.HasPrefix(request, "GET "), request)
	}
}

func passed(t *testing.T, r *Registry) *Registry {
	t.Helper()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	return r
}

func TestListShowsEveryNumberWithItsState(t *testing.T) {
	w := newWorld(t)
	in := w.input(nil)
	assert.Empty(t, passed(t, List(t.Context(), in, 0)).Versions, "nothing is published, no model is registered")

	w.published("one")
	w.dead("claimed", 13)
	w.dead("uploaded", 20)
	w.published("two")
	w.store.Set(root+"openstack-rca-system-staging_0009/notes.txt", []byte("somebody else's"))
	require.NoError(t, w.clock.Sleep(t.Context(), 2*abandonedAfter))

	var list *Registry
	w.unchanged(func() { list = passed(t, List(t.Context(), in, 0)) })
	var states []string
	for _, v := range list.Versions {
		states = append(states, fmt.Sprintf("%d %s %v %v", v.Number, v.State, v.Stale, v.Aliases))
	}
	assert.Equal(t, []string{"9 foreign false []", "4 committed false [champion staging]", "3 uploaded true []", "2 claimed true []", "1 committed false []"}, states)
	newest := list.Versions[1]
	assert.Equal(t, "c0ffee", newest.Commit)
	assert.InDelta(t, 0.96, newest.Metrics["accuracy"], 0)
	assert.Equal(t, "2", newest.RegistryVersion)
	require.Len(t, list.Stage.Warnings, 2)
	assert.Equal(t, CodeAbandoned.Name, list.Stage.Warnings[0].Code)
	// The list for machines is the same.
	require.Len(t, list.Stage.Files, 1)
	var file struct{ Versions []Listed }
	require.NoError(t, json.Unmarshal(list.Stage.Files[0].Content, &file))
	assert.Len(t, file.Versions, 5)

	limited := passed(t, List(t.Context(), in, 2))
	assert.Len(t, limited.Versions, 4, "the two highest, and every open claim")
}

func TestListSaysWhereRegistryAndLedgerDoNotAgree(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	w.failMLflow("model-versions/search", func(rw http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(rw, `{}`) })
	list := passed(t, List(t.Context(), w.input(nil), 0))
	require.Len(t, list.Stage.Warnings, 1)
	assert.Equal(t, CodeDrift.Name, list.Stage.Warnings[0].Code)
	w.heal()

	w.store.Set(root+"openstack-rca-system-staging_0001/COMMIT.json", []byte(`{"schema": 7}`))
	list = List(t.Context(), w.input(nil), 0)
	assert.Equal(t, CodeLedgerUnreadable.Name, list.Stage.Code)
	require.Len(t, list.Versions, 1, "what can be read is shown")
	assert.Equal(t, StateUnreadable, list.Versions[0].State)
}

func TestPromotionMovesAliasesAndUploadsNothing(t *testing.T) {
	w := newWorld(t)
	w.published("one", "two")
	in := w.input(nil)
	keys, artifacts := w.store.Keys(), len(w.mlf.Artifacts())

	passed(t, Promote(t.Context(), in, Move{Alias: "production", By: "release team"}))
	assert.Equal(t, 2, w.mlf.Alias(registered, "production"))
	assert.Equal(t, 2, w.mlf.Alias(registered, "staging"), "it stays")
	assert.Equal(t, keys, w.store.Keys())
	assert.Len(t, w.mlf.Artifacts(), artifacts)
	assert.Len(t, w.mlf.Versions(registered), 2)

	w.unchanged(func() { passed(t, Promote(t.Context(), in, Move{Alias: "production"})) })

	// An older one, by its number: champion goes along.
	passed(t, Promote(t.Context(), in, Move{Alias: "production", Number: 1, By: "release team"}))
	assert.Equal(t, 1, w.mlf.Alias(registered, "production"))
	assert.Equal(t, 1, w.mlf.Alias(registered, "champion"))
	assert.Equal(t, 2, w.mlf.Alias(registered, "staging"))

	list := passed(t, List(t.Context(), in, 0))
	assert.Equal(t, []string{"champion", "production"}, list.Versions[1].Aliases)
	history := list.Versions[1].History
	require.Len(t, history, 2)
	for _, e := range history {
		assert.Equal(t, "promote", e.Action)
		assert.Equal(t, "2", e.From)
		assert.Equal(t, "release team", e.By)
		assert.Equal(t, "c0ffee", e.Commit)
	}

	// The publisher of the older content does not undo it.
	again := Run(t.Context(), w.input(artifact(t, "two")))
	require.Equal(t, verdict.Pass, again.Stage.Verdict)
	assert.Equal(t, 1, w.mlf.Alias(registered, "champion"))
}

func TestRollbackGoesBackOnceAndByNumberFurther(t *testing.T) {
	w := newWorld(t)
	w.published("one", "two", "three")
	in := w.input(nil)

	passed(t, Rollback(t.Context(), in, Move{}))
	assert.Equal(t, 2, w.mlf.Alias(registered, "staging"))
	assert.Equal(t, 2, w.mlf.Alias(registered, "champion"), "it was at the version that was left")
	w.unchanged(func() {
		again := passed(t, Rollback(t.Context(), in, Move{}))
		assert.Contains(t, again.Stage.Evidence[0].Value, "already")
	})
	passed(t, Rollback(t.Context(), in, Move{Number: 1}))
	assert.Equal(t, 1, w.mlf.Alias(registered, "staging"))

	// Publishing something new ends that.
	w.published("four")
	assert.Equal(t, 4, w.mlf.Alias(registered, "staging"))
	passed(t, Rollback(t.Context(), in, Move{}))
	assert.Equal(t, 1, w.mlf.Alias(registered, "staging"), "where it was before")

	// Another alias has its own history, and champion stays when it is elsewhere.
	passed(t, Promote(t.Context(), in, Move{Alias: "production", Number: 2}))
	passed(t, Promote(t.Context(), in, Move{Alias: "production", Number: 3}))
	w.mlf.SetAlias(registered, "champion", 4)
	passed(t, Rollback(t.Context(), in, Move{Alias: "production"}))
	assert.Equal(t, 2, w.mlf.Alias(registered, "production"))
	assert.Equal(t, 4, w.mlf.Alias(registered, "champion"))
}

func TestMovesThatAreRefused(t *testing.T) {
	w := newWorld(t)
	w.dead("claimed", 15)
	in := w.input(nil)
	refused := func(r *Registry, code verdict.Code, cause string) {
		t.Helper()
		assert.Equal(t, code.Name, r.Stage.Code, r.Stage.Failure())
		assert.Contains(t, r.Stage.Cause, cause)
	}
	refused(Promote(t.Context(), in, Move{Alias: "production"}), CodeNotCommitted, "points at no version")
	refused(Rollback(t.Context(), in, Move{}), CodeNoPrevious, "points at no version")
	w.published("two")
	refused(Promote(t.Context(), in, Move{Alias: "production", Number: 1}), CodeNotCommitted, "number 1 is not committed")
	refused(Promote(t.Context(), in, Move{Alias: "production", Number: 7}), CodeNotCommitted, "number 7 is not committed")
	refused(Promote(t.Context(), in, Move{Alias: "production", Number: -1}), CodeInput, "negative")
	for _, alias := range []string{"", "latest", "v7", "Prod/.."} {
		refused(Promote(t.Context(), in, Move{Alias: alias}), CodeInput, "alias")
	}
	refused(Rollback(t.Context(), in, Move{}), CodeNoPrevious, "no other before")
	refused(Promote(t.Context(), Input{Config: in.Config, Environment: "staging"}, Move{Alias: "production"}), CodeInput, "MLFLOW_TRACKING_URI")

	w.mlf.SetAlias(registered, "staging", 1)
	w.failMLflow("POST /api/2.0/mlflow/registered-models/alias", func(rw http.ResponseWriter, _ *http.Request) {
		mlflowtest.Fail(rw, http.StatusInternalServerError, "INTERNAL_ERROR", "down")
	})
	failed := Promote(t.Context(), in, Move{Alias: "production", Number: 2})
	refused(failed, CodeAliasFailed, "set alias")
	assert.Contains(t, failed.Stage.Next, "run the same again", "a publication would move other aliases")
	assert.NotContains(t, failed.Stage.Failure(), "publish again")
	w.failStore("GET", "", 500, "InternalError", true)
	assert.NotContains(t, Rollback(t.Context(), in, Move{}).Stage.Failure(), "publish again")
	_, err := Preflight(t.Context(), in)
	require.ErrorContains(t, err, "run the same again")
	w.heal()
	passed(t, Promote(t.Context(), in, Move{Alias: "production", Number: 2}))
	assert.Len(t, passed(t, List(t.Context(), in, 0)).Versions[0].History, 1, "one event, however often it was tried")

	// Bytes that changed since are not promoted.
	w.store.Set(root+"openstack-rca-system-staging_0002/models/lstm_model_v2.keras", []byte("flipped"))
	refused(Promote(t.Context(), in, Move{Alias: "canary", Number: 2}), CodeCorrupt, "reads back")
	assert.Zero(t, w.mlf.Alias(registered, "canary"))
}

func TestMovesKilledAfterAnyCallThenRunAgain(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(ctx context.Context, in Input) *Registry
		want map[string]int
	}{
		"promote": {func(ctx context.Context, in Input) *Registry { return Promote(ctx, in, Move{Alias: "production"}) },
			map[string]int{"staging": 2, "production": 2, "champion": 2}},
		"rollback": {func(ctx context.Context, in Input) *Registry { return Rollback(ctx, in, Move{}) },
			map[string]int{"staging": 1, "champion": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			for n := int64(0); ; n++ {
				w := newWorld(t)
				w.published("one", "two")
				ctx, cancel := w.killed(t.Context(), n)
				killed := c.do(ctx, w.input(nil))
				cancel()
				w.heal()
				passed(t, c.do(t.Context(), w.input(nil)))
				for alias, version := range c.want {
					assert.Equal(t, version, w.mlf.Alias(registered, alias), "%s after call %d", alias, n)
				}
				assert.Len(t, w.mlf.Versions(registered), 2)
				events := 0
				for _, v := range w.mlf.Versions(registered) {
					for key := range v.Tags {
						if strings.HasPrefix(key, tagHistory) {
							events++
						}
					}
				}
				assert.LessOrEqual(t, events, 2, "after call %d", n)
				if killed.Stage.Verdict == verdict.Pass {
					require.Greater(t, n, int64(8))
					break
				}
			}
		})
	}
}

func TestCleanRemovesWhatADeadPublisherLeft(t *testing.T) {
	// After each call of a publication: whatever it left goes, and the same content is
	// published under a new number.
	w := newWorld(t)
	ctx, cancel := w.killed(t.Context(), 1<<40)
	defer cancel()
	require.Equal(t, verdict.Pass, Run(ctx, w.input(artifact(t, "weights"))).Stage.Verdict)
	calls := w.calls.Load()
	for n := range calls {
		t.Run(fmt.Sprintf("after call %d", n), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			in := w.input(artifact(t, "weights"))
			in.tuning.partSize = 64
			ctx, cancel := w.killed(t.Context(), n)
			defer cancel()
			Run(ctx, in)
			w.heal()
			claimed := len(w.claims())
			committed := len(w.commits())
			require.NoError(t, w.clock.Sleep(t.Context(), 2*abandonedAfter))
			passed(t, Clean(t.Context(), in, nil))
			if committed == 1 {
				assert.Len(t, w.mlf.Versions(registered), 1, "what is committed stays")
				return
			}
			assert.Empty(t, w.mlf.Versions(registered))
			assert.Empty(t, w.store.Uploads())
			for _, key := range w.store.Keys() {
				assert.NotContains(t, key, "/models/")
			}
			again := Run(t.Context(), in)
			require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
			assert.Equal(t, claimed+1, again.Version.Number)
			assert.Len(t, w.mlf.Versions(registered), 1)
			assert.Equal(t, again.Version.RegistryVersion, fmt.Sprint(w.mlf.Alias(registered, "champion")))
			third := Run(t.Context(), in)
			assert.True(t, third.Version.Already)
		})
	}
}

// claims are the folders with a claim.
func (w *world) claims() []string {
	var folders []string
	for _, key := range w.store.Keys() {
		if strings.HasSuffix(key, "/CLAIM.json") {
			folders = append(folders, key)
		}
	}
	return folders
}

func TestCleanAndASlowPublisherMeetInOneWrite(t *testing.T) {
	w := newWorld(t)
	in := w.input(artifact(t, "weights"))
	// While the publisher is about to commit, its claim is cleaned.
	cleaned := false
	w.store.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "COMMIT.json") && !cleaned {
			cleaned = true
			passed(t, Clean(t.Context(), w.input(nil), []int{1}))
		}
		return false
	})
	result := Run(t.Context(), in)
	assert.Equal(t, CodeClaimAbandoned.Name, result.Stage.Code, result.Stage.Failure())
	assert.Nil(t, result.Version)
	assert.Zero(t, w.mlf.Alias(registered, "champion"))
	again := Run(t.Context(), in)
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
	assert.Equal(t, 2, again.Version.Number)
}

func TestCleanRefusesWhatIsNoOpenClaim(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	for _, n := range []int{1, 9} {
		refused := Clean(t.Context(), w.input(nil), []int{n})
		assert.Equal(t, CodeNotClean.Name, refused.Stage.Code)
	}
	assert.Len(t, w.commits(), 1)
	w.dead("young", 13)
	passed(t, Clean(t.Context(), w.input(nil), nil))
	assert.Len(t, w.commits(), 1, "a young claim is left to its publisher")
	w.store.IgnoreConditions = true
	w.store.Set(root+"openstack-rca-system.probe", nil)
	assert.Equal(t, CodeNoCAS.Name, Clean(t.Context(), w.input(nil), []int{2}).Stage.Code)
}

func TestThePublishedModelIsLoadedFromTheRegistry(t *testing.T) {
	w := newWorld(t)
	in := w.input(artifact(t, "weights"))
	calls := 0
	in.Check = func(_ context.Context, version, dir string) Checked {
		calls++
		assert.Equal(t, registered+"/1", version)
		for _, name := range []string{"lstm_model.keras", "lstm_model.json"} {
			want, err := os.ReadFile(filepath.Join(in.Model.Dir, name))
			require.NoError(t, err)
			got, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(t, err)
			assert.Equal(t, want, got)
		}
		return Checked{Found: "scores as trained"}
	}
	result := Run(t.Context(), in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Contains(t, fmt.Sprint(result.Stage.Evidence), "scores as trained")
	require.True(t, Run(t.Context(), in).Version.Already)
	assert.Equal(t, 2, calls)

	// What was not scored is not said to have been.
	in.Check = func(context.Context, string, string) Checked {
		return Checked{Found: "loaded m.skops with skops, without a golden sample to score"}
	}
	assert.Contains(t, Run(t.Context(), in).Stage.Evidence, verdict.Evidence{Name: "model loaded from the registry",
		Value: "m.skops with skops, without a golden sample to score", Want: "loads", OK: true})

	other := w.input(artifact(t, "other"))
	other.Check = func(context.Context, string, string) Checked {
		return Checked{Problem: verdict.Problemf(CodeVerifyFailed, "the golden sample scores differently")}
	}
	result = Run(t.Context(), other)
	assert.Equal(t, CodeVerifyFailed.Name, result.Stage.Code)
	assert.Nil(t, result.Version)
	assert.Len(t, w.commits(), 1, "what does not score is not committed")
	assert.Equal(t, 1, w.mlf.Alias(registered, "champion"))

	other.Check = func(context.Context, string, string) Checked {
		return Checked{Warning: verdict.Problemf(CodeNotLoaded, "no Keras")}
	}
	result = Run(t.Context(), other)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, CodeNotLoaded.Name, result.Stage.Warnings[0].Code)
}

func TestCleanKilledAfterAnyCallThenRunAgain(t *testing.T) {
	for n := int64(0); ; n++ {
		w := newWorld(t)
		// Registered, with a run, files and no commit.
		w.failStore(http.MethodPut, "COMMIT.json", http.StatusForbidden, "AccessDenied", true)
		require.NotEqual(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "weights"))).Stage.Verdict)
		w.heal()
		require.Len(t, w.mlf.Versions(registered), 1)
		require.NoError(t, w.clock.Sleep(t.Context(), 2*abandonedAfter))

		ctx, cancel := w.killed(t.Context(), n)
		killed := Clean(ctx, w.input(nil), nil)
		cancel()
		w.heal()
		passed(t, Clean(t.Context(), w.input(nil), nil))
		assert.Empty(t, w.mlf.Versions(registered), "after call %d", n)
		for _, run := range w.mlf.Runs() {
			assert.True(t, run.Deleted, "after call %d", n)
			assert.Equal(t, "KILLED", run.Status)
		}
		for _, key := range w.store.Keys() {
			assert.NotContains(t, key, "/models/", "after call %d", n)
		}
		again := Run(t.Context(), w.input(artifact(t, "weights")))
		require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
		assert.Equal(t, 2, again.Version.Number)
		if killed.Stage.Verdict == verdict.Pass {
			require.Greater(t, n, int64(8))
			break
		}
	}
}

func TestVersionsThatThisPipelineDidNotPublishAreNotPromoted(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	c, problems := w.input(nil).connect(t.Context(), false)
	require.Empty(t, problems)
	run := w.mlf.Runs()[0]
	foreign, err := c.mlflow.CreateModelVersion(t.Context(), registered, run.ArtifactURI+"/model", run.ID, "by hand", nil)
	require.NoError(t, err)
	require.NoError(t, c.mlflow.SetAlias(t.Context(), registered, "staging", foreign.Version))
	refused := Promote(t.Context(), w.input(nil), Move{Alias: "production"})
	assert.Equal(t, CodeNotCommitted.Name, refused.Stage.Code)
	assert.Contains(t, refused.Stage.Cause, "was not published by this pipeline")
	assert.Zero(t, w.mlf.Alias(registered, "production"))
	list := passed(t, List(t.Context(), w.input(nil), 0))
	require.Len(t, list.Stage.Warnings, 1)
	assert.Contains(t, list.Stage.Warnings[0].Cause, "alias staging points at version 2")
}

func TestPreflightAsksBothServersAndWritesNothing(t *testing.T) {
	w := newWorld(t)
	w.unchanged(func() {
		found, err := Preflight(t.Context(), w.input(nil))
		require.NoError(t, err)
		assert.Contains(t, found, "experiment openstack_rca_system_staging does not exist yet")
		assert.Contains(t, found, "number 1 ")
	})
	w.published("one")
	found, err := Preflight(t.Context(), w.input(nil))
	require.NoError(t, err)
	assert.Contains(t, found, "is there")
	assert.Contains(t, found, "number 2 ")

	w.failStore(http.MethodGet, "list-type=2", http.StatusForbidden, "AccessDenied", true)
	_, err = Preflight(t.Context(), w.input(nil))
	require.ErrorContains(t, err, "S3_ACCESS_DENIED")
	w.heal()
	w.failMLflow("experiments", func(rw http.ResponseWriter, _ *http.Request) {
		mlflowtest.Fail(rw, http.StatusForbidden, "PERMISSION_DENIED", "test-secret-value")
	})
	_, err = Preflight(t.Context(), w.input(nil))
	require.ErrorContains(t, err, "AUTH")
	assert.NotContains(t, err.Error(), "test-secret-value")
	_, err = Preflight(t.Context(), Input{Config: w.input(nil).Config, Environment: "staging"})
	require.ErrorContains(t, err, "MLFLOW_TRACKING_URI")
}
