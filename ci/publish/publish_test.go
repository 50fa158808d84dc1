package publish

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestPublishMakesOneVersionEverywhere(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	result := Run(t.Context(), w.input(m))

	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	v := result.Version
	require.NotNil(t, v)
	assert.Equal(t, 1, v.Number)
	assert.Equal(t, "s3://models-bucket/group6-capstone/openstack-rca-system-staging_0001/models/lstm_model_v1.keras", v.URI)
	assert.Equal(t, m.SHA256, v.SHA256)
	assert.Equal(t, registered, v.Registered)
	assert.Equal(t, "1", v.RegistryVersion)
	assert.Equal(t, []string{"staging", "champion"}, v.Aliases)
	assert.False(t, v.Already)

	key := w.keyOf(1)
	assert.Equal(t, []string{
		root + "openstack-rca-system-staging.keys/SERIES.json",
		root + "openstack-rca-system-staging.keys/" + key + ".json",
		root + "openstack-rca-system-staging_0001/CLAIM.json",
		root + "openstack-rca-system-staging_0001/COMMIT.json",
		root + "openstack-rca-system-staging_0001/models/lstm_model.json",
		root + "openstack-rca-system-staging_0001/models/lstm_model_v1.keras",
		root + "openstack-rca-system.probe",
	}, w.store.Keys())

	runs := w.mlf.Runs()
	require.Len(t, runs, 1)
	run := runs[0]
	assert.Equal(t, "FINISHED", run.Status)
	assert.Equal(t, "openstack-rca-system-staging_0001", run.Name)
	assert.Equal(t, map[string]string{"epochs": "2"}, run.Params)
	assert.Equal(t, []mlflowtest.Point{{Value: 0.5, Timestamp: 1000, Step: 1}, {Value: 0.1, Timestamp: 2000, Step: 2}}, run.Metrics["loss"])
	require.Len(t, run.Metrics["accuracy"], 1)
	assert.InDelta(t, 0.96, run.Metrics["accuracy"][0].Value, 0)
	assert.Equal(t, "c0ffee", run.Tags["git_commit"])
	assert.Equal(t, "sha256:d0", run.Tags["data_fingerprint"])
	assert.Equal(t, m.SHA256, run.Tags["model_sha256"])
	assert.Equal(t, "root_cause", run.Tags["task"])
	assert.NotContains(t, run.Tags, "mlflow.user")

	versions := w.mlf.Versions(registered)
	require.Len(t, versions, 1)
	assert.Equal(t, key, versions[0].Tags["idempotency_key"])
	assert.NotEmpty(t, versions[0].Tags["committed"])
	assert.Equal(t, 1, w.mlf.Alias(registered, "champion"))
	assert.Equal(t, 1, w.mlf.Alias(registered, "staging"))
}

// keyOf is the idempotency key in a version's manifest.
func (w *world) keyOf(n int) string {
	return w.manifest(n).Key
}

func (w *world) manifest(n int) ledger.Commit {
	w.t.Helper()
	object, ok := w.store.Get(fmt.Sprintf("%sopenstack-rca-system-staging_%04d/COMMIT.json", root, n))
	require.True(w.t, ok)
	var commit ledger.Commit
	require.NoError(w.t, json.Unmarshal(object.Content, &commit))
	return commit
}

func TestModelDirectoryHasTheFormOfMLflowsOwn(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	require.Equal(t, verdict.Pass, Run(t.Context(), w.input(m)).Stage.Verdict)

	files := w.mlf.Artifacts()
	prefix := "1/" + w.mlf.Runs()[0].ID + "/artifacts/model/"
	var names []string
	for name := range files {
		require.True(t, strings.HasPrefix(name, prefix), name)
		names = append(names, strings.TrimPrefix(name, prefix))
	}
	sort.Strings(names)
	assert.Equal(t, []string{"MLmodel", "conda.yaml", "data/keras_module.txt", "data/lstm_model.json", "data/model.keras", "python_env.yaml", "requirements.txt"}, names)
	local, err := os.ReadFile(filepath.Join(m.Dir, m.File))
	require.NoError(t, err)
	assert.Equal(t, local, files[prefix+"data/model.keras"])
	assert.Equal(t, "keras==3.13.2\ntensorflow==2.21.0\n", string(files[prefix+"requirements.txt"]))
	var mlmodel struct {
		Flavors struct {
			Keras struct {
				Data    string `yaml:"data"`
				Version string `yaml:"keras_version"`
			} `yaml:"keras"`
			Pyfunc struct {
				Loader string `yaml:"loader_module"`
			} `yaml:"python_function"`
		} `yaml:"flavors"`
		RunID string `yaml:"run_id"`
	}
	require.NoError(t, yaml.Unmarshal(files[prefix+"MLmodel"], &mlmodel))
	assert.Equal(t, "data", mlmodel.Flavors.Keras.Data)
	assert.Equal(t, "3.13.2", mlmodel.Flavors.Keras.Version)
	assert.Equal(t, "mlflow.keras", mlmodel.Flavors.Pyfunc.Loader)
	assert.Equal(t, w.mlf.Runs()[0].ID, mlmodel.RunID)
}

func TestSameContentAgainIsAlreadyPublishedAndWritesNothing(t *testing.T) {
	w := newWorld(t)
	in := w.input(artifact(t, "weights"))
	first := Run(t.Context(), in)
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	keys, writes, requests := w.store.Keys(), w.store.Writes(), len(w.mlf.Requests())

	second := Run(t.Context(), in)
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.True(t, second.Version.Already)
	assert.Equal(t, first.Version.Number, second.Version.Number)
	assert.Equal(t, first.Version.Aliases, second.Version.Aliases)
	assert.Equal(t, keys, w.store.Keys())
	assert.Equal(t, writes, w.store.Writes())
	for _, request := range w.mlf.Requests()[requests:] {
		assert.True(t, strings.HasPrefix(request, "GET "), request)
	}
}

// TestAModelOfAnotherRun is taken if that run has published it, and never published.
func TestAModelOfAnotherRun(t *testing.T) {
	w := newWorld(t)
	in := w.input(artifact(t, "weights"))
	in.Known = true
	refused := Run(t.Context(), in)
	assert.Equal(t, CodeNotPublished.Name, refused.Stage.Code, refused.Stage.Failure())
	assert.Nil(t, refused.Version)
	assert.Zero(t, w.store.Writes())

	in.Known = false
	first := Run(t.Context(), in)
	require.Equal(t, verdict.Pass, first.Stage.Verdict, first.Stage.Failure())
	in.Known = true
	second := Run(t.Context(), in)
	require.Equal(t, verdict.Pass, second.Stage.Verdict, second.Stage.Failure())
	assert.Equal(t, first.Version.Number, second.Version.Number)
}

func TestOtherContentIsTheNextVersion(t *testing.T) {
	w := newWorld(t)
	for i, change := range []func(*Input){
		func(*Input) {},
		func(in *Input) { in.Tree = "t2" },
		func(in *Input) { in.Model = artifact(t, "other weights") },
	} {
		in := w.input(artifact(t, "weights"))
		change(&in)
		result := Run(t.Context(), in)
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
		assert.Equal(t, i+1, result.Version.Number)
	}
	assert.Equal(t, 3, w.mlf.Alias(registered, "champion"))
}

func TestEnvironmentsCountOnTheirOwn(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	for _, environment := range []string{"staging", "production", "sandbox"} {
		in := w.input(m)
		in.Environment = environment
		result := Run(t.Context(), in)
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
		assert.Equal(t, 1, result.Version.Number)
		assert.Contains(t, result.Version.URI, "openstack-rca-system-"+environment+"_0001/")
		assert.Equal(t, []string{environment, "champion"}, result.Version.Aliases)
	}
}

func TestKilledAfterAnyCallThenRunAgainGivesOneVersion(t *testing.T) {
	// Count the calls of an undisturbed publication first.
	w := newWorld(t)
	m := artifact(t, "weights")
	ctx, cancel := w.killed(t.Context(), 1<<40)
	defer cancel()
	require.Equal(t, verdict.Pass, Run(ctx, w.input(m)).Stage.Verdict)
	calls := w.calls.Load()
	require.Greater(t, calls, int64(25))

	// After no call at all, after the first, ... after the last one.
	for n := range calls + 1 {
		t.Run(fmt.Sprintf("after call %d of %d", n, calls), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			ctx, cancel := w.killed(t.Context(), n)
			defer cancel()
			killed := Run(ctx, w.input(m))
			require.NotEqual(t, verdict.Pass, killed.Stage.Verdict)
			assert.Contains(t, killed.Stage.Failure(), "Next: ")

			w.heal()
			result := Run(t.Context(), w.input(m))
			require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
			assert.Equal(t, 1, result.Version.Number)
			assert.Equal(t, []string{"staging", "champion"}, result.Version.Aliases)
			assert.Equal(t, []string{"openstack-rca-system-staging_0001"}, w.commits())
			assert.Len(t, w.mlf.Versions(registered), 1)
			runs := w.mlf.Runs()
			require.Len(t, runs, 1)
			assert.Equal(t, "FINISHED", runs[0].Status)
			assert.Len(t, runs[0].Metrics["loss"], 2)
			assert.Len(t, w.store.Keys(), 7)
		})
	}
}

func TestFiftyPublishersOfFiftyModelsGetFiftyConsecutiveNumbers(t *testing.T) {
	const publishers = 50
	w := newWorld(t)
	w.mlf.AddExperiment("openstack_rca_system_staging", "active")
	results := make([]*Result, publishers)
	var group sync.WaitGroup
	for i := range results {
		in := w.input(artifact(t, fmt.Sprintf("weights %d", i)))
		group.Go(func() { results[i] = Run(t.Context(), in) })
	}
	group.Wait()

	var numbers []int
	byNumber := map[int]*model.Version{}
	for _, r := range results {
		require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
		numbers = append(numbers, r.Version.Number)
		byNumber[r.Version.Number] = r.Version
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		assert.Equal(t, i+1, n)
	}
	assert.Len(t, w.mlf.Versions(registered), publishers)
	// Both aliases are at the highest number, whatever order the registry had.
	for _, alias := range []string{"champion", "staging"} {
		assert.Equal(t, byNumber[publishers].RegistryVersion, fmt.Sprint(w.mlf.Alias(registered, alias)), alias)
	}
}

func TestPublishersOfTheSameContentAtOnceMakeOneVersion(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	results := make([]*Result, 8)
	var group sync.WaitGroup
	for i := range results {
		group.Go(func() { results[i] = Run(t.Context(), w.input(m)) })
	}
	group.Wait()
	numbers := map[int]bool{}
	for _, r := range results {
		require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
		numbers[r.Version.Number] = true
	}
	assert.Len(t, numbers, 1)
	assert.Len(t, w.commits(), 1)
	assert.Len(t, w.mlf.Versions(registered), 1)
}

func TestOlderVersionFinishedLateLeavesTheAliases(t *testing.T) {
	w := newWorld(t)
	old := w.input(artifact(t, "old"))
	w.failMLflow("POST /api/2.0/mlflow/registered-models/alias", func(rw http.ResponseWriter, _ *http.Request) {
		mlflowtest.Fail(rw, http.StatusInternalServerError, "INTERNAL_ERROR", "down")
	})
	failed := Run(t.Context(), old)
	require.Equal(t, CodeAliasFailed.Name, failed.Stage.Code)
	require.NotNil(t, failed.Version)
	assert.Contains(t, failed.Stage.Failure(), "Published: version 1 of "+registered)
	w.heal()
	require.Equal(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "new"))).Stage.Verdict)

	late := Run(t.Context(), old)
	require.Equal(t, verdict.Pass, late.Stage.Verdict, late.Stage.Failure())
	assert.Equal(t, 1, late.Version.Number)
	assert.Empty(t, late.Version.Aliases)
	assert.Equal(t, 2, w.mlf.Alias(registered, "champion"))
	require.NotEmpty(t, late.Stage.Warnings)
	assert.Equal(t, CodeSuperseded.Name, late.Stage.Warnings[0].Code)
}

func TestAliasMovedBackOnPurposeStaysThere(t *testing.T) {
	w := newWorld(t)
	require.Equal(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "one"))).Stage.Verdict)
	two := w.input(artifact(t, "two"))
	require.Equal(t, verdict.Pass, Run(t.Context(), two).Stage.Verdict)
	w.mlf.SetAlias(registered, "champion", 1)

	again := Run(t.Context(), two)
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
	assert.Equal(t, 1, w.mlf.Alias(registered, "champion"))
	assert.Equal(t, []string{"staging"}, again.Version.Aliases)
}

func TestArtifactsDirectlyOnS3(t *testing.T) {
	w := newWorld(t)
	w.mlf.ArtifactRoot = "s3://" + bucket + "/mlflow/"
	result := Run(t.Context(), w.input(artifact(t, "weights")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	_, ok := w.store.Get("mlflow/1/" + w.mlf.Runs()[0].ID + "/artifacts/model/data/model.keras")
	assert.True(t, ok)
	assert.Empty(t, w.mlf.Artifacts())
}

func TestAbandonedClaimsAreListed(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := w.killed(t.Context(), 14)
	defer cancel()
	require.NotEqual(t, verdict.Pass, Run(ctx, w.input(artifact(t, "dead"))).Stage.Verdict)
	w.heal()
	require.NoError(t, w.clock.Sleep(t.Context(), 2*abandonedAfter))
	result := Run(t.Context(), w.input(artifact(t, "alive")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, 2, result.Version.Number)
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, CodeAbandoned.Name, result.Stage.Warnings[0].Code)
	assert.Contains(t, result.Stage.Warnings[0].Cause, "number 1 ")
}

func TestChampionOf(t *testing.T) {
	w := newWorld(t)
	in := w.input(nil)
	champion, err := ChampionOf(t.Context(), in)
	require.NoError(t, err, "no registered model yet")
	assert.Nil(t, champion)

	require.Equal(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "weights"))).Stage.Verdict)
	champion, err = ChampionOf(t.Context(), in)
	require.NoError(t, err)
	require.NotNil(t, champion)
	assert.Equal(t, "1", champion.Version)
	assert.InDelta(t, 0.96, champion.Metrics["accuracy"], 0)

	w.mlf.SetAlias(registered, "champion", 0)
	_, err = ChampionOf(t.Context(), in)
	require.ErrorIs(t, err, ErrChampionLost)
	assert.ErrorContains(t, err, "version 1 had it")

	w.failMLflow("alias", func(rw http.ResponseWriter, _ *http.Request) {
		mlflowtest.Fail(rw, http.StatusForbidden, "PERMISSION_DENIED", "no")
	})
	_, err = ChampionOf(t.Context(), in)
	var found *verdict.Problem
	require.ErrorAs(t, err, &found)
	assert.Equal(t, CodeAuth.Name, found.Code.Name)

	_, err = ChampionOf(t.Context(), Input{Config: in.Config, Environment: "staging"})
	require.ErrorContains(t, err, "MLFLOW_TRACKING_URI is not given")
}

func TestAChampionThatIsGoneIsNotTheAbsenceOfOne(t *testing.T) {
	client := func(w *world) *mlflow.Client {
		c, err := mlflow.New(mlflow.Options{TrackingURI: w.mlf.URL})
		require.NoError(t, err)
		return c
	}
	t.Run("a model that nothing was published to has none", func(t *testing.T) {
		w := newWorld(t)
		require.NoError(t, client(w).EnsureRegisteredModel(t.Context(), registered, nil))
		champion, err := ChampionOf(t.Context(), w.input(nil))
		require.NoError(t, err)
		assert.Nil(t, champion)
	})
	t.Run("a version that was published before the tag was", func(t *testing.T) {
		w := newWorld(t)
		require.Equal(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "weights"))).Stage.Verdict)
		w.mlf.SetAlias(registered, "champion", 0)
		require.NoError(t, client(w).SetRegisteredModelTag(t.Context(), registered, mlflow.Tag{Key: tagChampion}))
		_, err := ChampionOf(t.Context(), w.input(nil))
		require.ErrorIs(t, err, ErrChampionLost)
		assert.ErrorContains(t, err, "has no alias champion; version 1 had it")
	})
	for name, down := range map[string]string{"before its alias": "POST /api/2.0/mlflow/registered-models/alias", "before that was noted": "registered-models/set-tag"} {
		t.Run("a publication that died "+name, func(t *testing.T) {
			w := newWorld(t)
			w.failMLflow(down, func(rw http.ResponseWriter, _ *http.Request) {
				mlflowtest.Fail(rw, http.StatusForbidden, "PERMISSION_DENIED", "no")
			})
			require.NotEqual(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "weights"))).Stage.Verdict)
			w.mlf.SetBefore(nil)
			champion, err := ChampionOf(t.Context(), w.input(nil))
			require.NoError(t, err, "the next one completes it")
			assert.Nil(t, champion)
			require.Equal(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "weights"))).Stage.Verdict)
			champion, err = ChampionOf(t.Context(), w.input(nil))
			require.NoError(t, err)
			assert.Equal(t, "1", champion.Version)
		})
	}
	t.Run("a publication that died between the note and the alias", func(t *testing.T) {
		w := newWorld(t)
		require.NoError(t, client(w).EnsureRegisteredModel(t.Context(), registered, nil))
		w.failMLflow("registered-models/alias", func(rw http.ResponseWriter, _ *http.Request) {
			mlflowtest.Fail(rw, http.StatusForbidden, "PERMISSION_DENIED", "no")
		})
		require.NotEqual(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "weights"))).Stage.Verdict)
		w.mlf.SetBefore(nil)
		require.NoError(t, client(w).SetRegisteredModelTag(t.Context(), registered, mlflow.Tag{Key: tagChampion, Value: "1"}))
		champion, err := ChampionOf(t.Context(), w.input(nil))
		require.NoError(t, err)
		assert.Nil(t, champion)
	})
	t.Run("the only version was deleted", func(t *testing.T) {
		w := newWorld(t)
		require.Equal(t, verdict.Pass, Run(t.Context(), w.input(artifact(t, "weights"))).Stage.Verdict)
		require.NoError(t, client(w).DeleteModelVersion(t.Context(), registered, "1"))
		_, err := ChampionOf(t.Context(), w.input(nil))
		require.ErrorIs(t, err, ErrChampionLost)
		assert.ErrorContains(t, err, "points at version 1, which does not exist")
		w.mlf.SetAlias(registered, "champion", 0) // as MLflow does
		_, err = ChampionOf(t.Context(), w.input(nil))
		require.ErrorIs(t, err, ErrChampionLost)
		assert.ErrorContains(t, err, "last at version 1, which is deleted")
	})
	t.Run("a registry that does not say so", func(t *testing.T) {
		w := newWorld(t)
		w.failMLflow("registered-models/get", func(rw http.ResponseWriter, _ *http.Request) {
			mlflowtest.Fail(rw, http.StatusForbidden, "PERMISSION_DENIED", "no")
		})
		require.NoError(t, client(w).EnsureRegisteredModel(t.Context(), registered, nil))
		_, err := ChampionOf(t.Context(), w.input(nil))
		require.Error(t, err)
		assert.NotErrorIs(t, err, ErrChampionLost)
	})
}

func TestInputProblemsComeAllAtOnce(t *testing.T) {
	w := newWorld(t)
	in := w.input(nil)
	in.Environment = "Prod/.."
	in.Target = Target{S3Endpoint: "ftp://x", AccessKey: secret("only-the-key")}
	result := Run(t.Context(), in)
	assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
	assert.Nil(t, result.Version)
	var causes []string
	for _, p := range result.Stage.Problems {
		causes = append(causes, p.Cause)
	}
	text := strings.Join(causes, "\n")
	for _, want := range []string{"Prod/..", "MLFLOW_TRACKING_URI", "MLFLOW_S3_ENDPOINT_URL", "MLFLOW_ARTIFACT_ROOT", "no trained model"} {
		assert.Contains(t, text, want)
	}
	assert.Empty(t, w.store.Requests())
}

func TestModelThatChangedAfterItsGatesIsRefused(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	require.NoError(t, os.WriteFile(filepath.Join(m.Dir, m.File), []byte("other"), 0o600))
	result := Run(t.Context(), w.input(m))
	assert.Equal(t, CodeModelChanged.Name, result.Stage.Code)
	assert.Empty(t, w.store.Requests())
}

func TestCancelledSaysSo(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	result := Run(ctx, w.input(artifact(t, "weights")))
	assert.Equal(t, CodeCancelled.Name, result.Stage.Code)
	assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
}

func TestCodesAreCompleteAndDistinct(t *testing.T) {
	seen := map[string]bool{}
	for _, code := range Codes() {
		assert.False(t, seen[code.Name], code.Name)
		seen[code.Name] = true
		assert.Equal(t, verdict.Publish, code.Stage)
		assert.NotEmpty(t, code.Meaning)
		assert.NotEmpty(t, code.Remedy)
	}
}

func TestFaults(t *testing.T) {
	apiError := func(status int, code string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) { mlflowtest.Fail(rw, status, code, "injected") }
	}
	type want struct {
		code    verdict.Code
		cause   string
		commits int
		// resumed means that another run, without the fault, must pass.
		resumed bool
		// published must be part of what is said to be published.
		published string
		// next must be part of what is to be done.
		next string
	}
	cases := map[string]struct {
		fault func(*world, *Input)
		want
	}{
		"row 31: MLflow is down at the first call": {func(_ *world, in *Input) { in.Target.TrackingURI = "http://127.0.0.1:1" },
			want{code: CodeUnreachable, cause: "127.0.0.1:1"}},
		"row 32: MLflow is down at create run": {func(w *world, _ *Input) { w.failMLflow("runs/create", apiError(503, "TEMPORARILY_UNAVAILABLE")) },
			want{code: CodeUnreachable, cause: "create run", resumed: true, published: "uploaded, not committed"}},
		"row 33: MLflow is down at log metrics": {func(w *world, _ *Input) { w.failMLflow("log-batch", apiError(500, "INTERNAL_ERROR")) },
			want{code: CodeUnreachable, cause: "log to run", resumed: true, published: "MLflow run"}},
		"row 34: MLflow is down at create model version": {func(w *world, _ *Input) {
			w.failMLflow("model-versions/create", apiError(500, "INTERNAL_ERROR"))
		}, want{code: CodeRegistryFailed, cause: "create version", resumed: true, published: "lstm_model_v1.keras (uploaded, not committed)"}},
		"row 37: 401": {func(w *world, _ *Input) { w.mlf.Username, w.mlf.Password = "u", "p" }, want{code: CodeAuth, cause: "401"}},
		"row 37: 403": {func(w *world, _ *Input) { w.failMLflow("experiments", apiError(403, "PERMISSION_DENIED")) }, want{code: CodeAuth, cause: "403"}},
		"row 37: 429": {func(w *world, _ *Input) {
			w.failMLflow("experiments", func(rw http.ResponseWriter, r *http.Request) {
				rw.Header().Set("Retry-After", "86400")
				apiError(429, "REQUEST_LIMIT_EXCEEDED")(rw, r)
			})
		}, want{code: CodeThrottled, cause: "429"}},
		"row 37: a login page": {func(w *world, _ *Input) {
			w.failMLflow("experiments", func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/html")
				_, _ = fmt.Fprint(rw, "<html>sign in</html>")
			})
		}, want{code: CodeNotJSON, cause: "text/html"}},
		"row 37: a redirect to a login page": {func(w *world, _ *Input) {
			w.failMLflow("experiments", func(rw http.ResponseWriter, r *http.Request) {
				http.Redirect(rw, r, "https://login.example.org/?state=x", http.StatusFound)
			})
		}, want{code: CodeNotJSON, cause: "https://login.example.org"}},
		"row 37: a server without aliases": {func(w *world, _ *Input) { w.failMLflow("registered-models/alias", http.NotFound) },
			want{code: CodeUnsupported, cause: "404", commits: 1, resumed: true, published: "version 1"}},
		"row 36: MLflow is down at the alias": {func(w *world, _ *Input) {
			w.failMLflow("POST /api/2.0/mlflow/registered-models/alias", apiError(503, "TEMPORARILY_UNAVAILABLE"))
		},
			want{code: CodeAliasFailed, cause: "set alias", commits: 1, resumed: true, published: "version 1"}},
		"row 38: the experiment is deleted": {func(w *world, _ *Input) { w.mlf.AddExperiment("openstack_rca_system_staging", "deleted") },
			want{code: CodeExperimentDeleted, cause: "openstack_rca_system_staging"}},
		"MLflow refuses a param": {func(w *world, _ *Input) { w.failMLflow("log-batch", apiError(400, "INVALID_PARAMETER_VALUE")) },
			want{code: CodeRunFailed, cause: "INVALID_PARAMETER_VALUE", resumed: true}},
		"artifacts on the server's own disk": {func(w *world, _ *Input) { w.mlf.ArtifactRoot = "file:///srv/" },
			want{code: CodeArtifactsElsewhere, cause: "file:"}},
		"row 39: access denied": {func(w *world, _ *Input) { w.failStore("GET", "list-type=2", 403, "AccessDenied", true) },
			want{code: CodeS3Denied, cause: "s3:ListBucket", resumed: true}},
		"the store is full": {func(w *world, _ *Input) { w.failStore("PUT", "keras", 507, "XMinioStorageFull", true) },
			want{code: CodeUploadFailed, cause: "XMinioStorageFull", resumed: true, published: "number 1 claimed"}},
		"the quota is spent": {func(w *world, _ *Input) { w.failStore("PUT", "keras", 403, "QuotaExceeded", true) },
			want{code: CodeUploadFailed, cause: "QuotaExceeded", resumed: true, published: "number 1 claimed"}},
		"a proxy limits the size": {func(w *world, _ *Input) {
			w.failMLflow("PUT /api/2.0/mlflow-artifacts", func(rw http.ResponseWriter, _ *http.Request) {
				rw.Header().Set("Content-Type", "text/html")
				rw.WriteHeader(http.StatusRequestEntityTooLarge)
			})
		}, want{code: CodeUploadFailed, cause: "HTTP 413", resumed: true, published: "number 1 claimed"}},
		"row 39: no such bucket": {func(_ *world, in *Input) { in.Target.ArtifactRoot = "s3://another-bucket/x" },
			want{code: CodeS3NoBucket, cause: "another-bucket"}},
		"row 39: wrong region": {func(w *world, _ *Input) {
			w.store.SetBefore(func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
				ledgertest.Fail(rw, 301, "PermanentRedirect", "elsewhere")
				return true
			})
		}, want{code: CodeS3Region, cause: "eu-central-1"}},
		"row 39: clock skew": {func(w *world, _ *Input) { w.failStore("GET", "", 403, "RequestTimeTooSkewed", true) },
			want{code: CodeClockSkew, cause: "RequestTimeTooSkewed", resumed: true}},
		"row 43: a storm of SlowDown": {func(w *world, _ *Input) { w.failStore("PUT", "CLAIM", 503, "SlowDown", true) },
			want{code: CodeThrottled, cause: "SlowDown", resumed: true}},
		"a login page in place of the S3 API": {func(w *world, _ *Input) {
			w.store.SetBefore(func(rw http.ResponseWriter, _ *http.Request) bool {
				rw.Header().Set("Content-Type", "text/html; charset=utf-8")
				_, _ = fmt.Fprint(rw, "<html>sign in</html>")
				return true
			})
		}, want{code: CodeS3Unreachable, cause: "answers with a web page (HTTP 200)"}},
		"another server in place of MLflow": {func(w *world, _ *Input) { w.failMLflow("experiments", http.NotFound) },
			want{code: CodeNotJSON, cause: "HTTP 404"}},
		"expired credentials": {func(w *world, _ *Input) { w.failStore("PUT", "", 400, "ExpiredToken", true) },
			want{code: CodeS3Denied, cause: "ExpiredToken", next: "Check the access key, its secret and its session token", resumed: true}},
		"a bucket in the host's name alone": {func(w *world, _ *Input) { w.failStore("", "", 403, "PathStyleDomainForbidden", true) },
			want{code: CodeS3Unsupported, cause: "PathStyleDomainForbidden"}},
		"a server that serves no artifacts any more": {func(w *world, _ *Input) {
			w.failMLflow("mlflow-artifacts", func(rw http.ResponseWriter, _ *http.Request) { // the words of MLflow 3.17
				http.Error(rw, "Endpoint: /api/2.0/mlflow-artifacts/artifacts disabled due to the mlflow server running with "+
					"`--no-serve-artifacts`. To enable artifacts server functionality, run `mlflow server` with `--serve-artifacts`", http.StatusServiceUnavailable)
			})
		}, want{code: CodeArtifactsElsewhere, cause: "--no-serve-artifacts", next: "Start MLflow with --serve-artifacts, or make an",
			resumed: true}},
		"a disk of MLflow that cannot be written": {func(w *world, _ *Input) {
			w.failMLflow("PUT /api/2.0/mlflow-artifacts", func(rw http.ResponseWriter, _ *http.Request) {
				http.Error(rw, "Internal Server Error", http.StatusInternalServerError)
			})
		}, want{code: CodeUnreachable, cause: "HTTP 500", next: "See in the log of that server", resumed: true}},
		"a store that fails": {func(w *world, _ *Input) { w.failStore("PUT", "", 500, "InternalError", true) },
			want{code: CodeS3Unreachable, cause: "InternalError", next: "See in the log of that server", resumed: true}},
		"a host name that MLflow refuses": {func(w *world, _ *Input) {
			w.failMLflow("experiments", func(rw http.ResponseWriter, _ *http.Request) {
				http.Error(rw, "Invalid Host header - possible DNS rebinding attack detected", http.StatusForbidden)
			})
		}, want{code: CodeAuth, cause: "Invalid Host header", next: "Start MLflow with --allowed-hosts"}},
		"the S3 API is down": {func(_ *world, in *Input) { in.Target.S3Endpoint = "http://127.0.0.1:1" },
			want{code: CodeS3Unreachable, cause: "connection refused"}},
		"row 40: part 3 fails, then the abort fails": {func(w *world, in *Input) {
			in.tuning.partSize = 64
			w.store.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("partNumber") == "3" || r.Method == http.MethodDelete {
					ledgertest.Fail(rw, 403, "AccessDenied", "injected")
					return true
				}
				return false
			})
		}, want{code: CodeUploadPartial, cause: "upload-1", resumed: true}},
		"row 41: the file reads back differently": {func(w *world, _ *Input) {
			w.store.SetAfter(func(r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".keras") {
					w.store.Set(root+"openstack-rca-system-staging_0001/models/lstm_model_v1.keras", []byte("flipped"))
				}
				return false
			})
		}, want{code: CodeCorrupt, cause: "reads back with sha256"}},
		"row 42: conflicting request in flight": {func(w *world, _ *Input) { w.failStore("PUT", "CLAIM", 409, "ConditionalRequestConflict", true) },
			want{code: CodeUploadFailed, cause: "ConditionalRequestConflict", resumed: true}},
		"row 45: another model is committed under our key": {func(w *world, _ *Input) {
			w.store.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "COMMIT.json") {
					w.store.Set(root+"openstack-rca-system-staging_0001/COMMIT.json", []byte(`{"schema":1,"number":1,"idempotency_key":"other",
						"model":"models/x","files":[{"path":"models/x","sha256":"00","bytes":1}]}`))
				}
				return false
			})
		}, want{code: CodeConflict, cause: "sha256 00", commits: 1}},
		"something else is where the model belongs": {func(w *world, _ *Input) {
			w.store.SetAfter(func(r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "CLAIM.json") && r.Method == http.MethodPut {
					w.store.Set(root+"openstack-rca-system-staging_0001/models/lstm_model_v1.keras", []byte("not ours"))
				}
				return false
			})
		}, want{code: CodeConflict, cause: "lstm_model_v1.keras"}},
		"row 74: the store ignores If-None-Match": {func(w *world, _ *Input) { w.store.IgnoreConditions = true }, want{code: CodeNoCAS, cause: "If-None-Match"}},
		"row 75: a claim of a newer schema": {func(w *world, _ *Input) {
			w.store.Set(root+"openstack-rca-system-staging_0001/CLAIM.json", []byte(`{"schema": 2}`))
		}, want{code: CodeLedgerUnreadable, cause: "schema is 2"}},
		"row 75: a claim that is not JSON": {func(w *world, _ *Input) {
			w.store.Set(root+"openstack-rca-system-staging_0001/CLAIM.json", []byte(`<html>`))
		}, want{code: CodeLedgerUnreadable, cause: "not JSON"}},
		"the registry hands out another model": {func(w *world, _ *Input) {
			w.mlf.SetAfter(func(r *http.Request) bool {
				if strings.HasSuffix(r.URL.Path, "model-versions/create") {
					for name := range w.mlf.Artifacts() {
						if strings.HasSuffix(name, "model.keras") {
							w.mlf.SetArtifact(name, []byte("older"))
						}
					}
				}
				return false
			})
		}, want{code: CodeVerifyFailed, cause: "hands out a data/model.keras with sha256"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			good := w.input(artifact(t, "weights"+strings.Repeat("x", 400)))
			in := good
			c.fault(w, &in)
			// Canaries: none of these may show anywhere.
			in.Target.SecretKey, in.Target.SessionToken = secret("canary'\"one\nline-two-canary"), secret("canary-8")
			result := Run(t.Context(), in)
			require.Equal(t, c.code.Name, result.Stage.Code, result.Stage.Failure())
			assert.Equal(t, c.code.Outcome, result.Stage.Verdict)
			assert.Contains(t, result.Stage.Cause, c.cause)
			assert.Contains(t, result.Stage.Next, c.next)
			assert.True(t, strings.HasPrefix(result.Stage.Failure(), "FAIL publish "+c.code.Name+": "), result.Stage.Failure())
			assert.Len(t, w.commits(), c.commits)
			if c.published != "" {
				assert.Contains(t, result.Stage.Failure(), c.published)
			}
			if c.commits == 0 {
				assert.Nil(t, result.Version)
				assert.Zero(t, w.mlf.Alias(registered, "champion"))
			}
			assert.NotContains(t, w.dump(result), "canary")
			if c.resumed {
				w.heal()
				good.tuning = in.tuning
				again := Run(t.Context(), good)
				require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
				assert.Equal(t, 1, again.Version.Number)
				assert.Len(t, w.mlf.Versions(registered), 1)
				assert.Len(t, w.mlf.Runs(), 1)
				assert.Empty(t, w.store.Uploads())
			}
		})
	}
}

func TestLostAnswersAreLookedUpNotRepeated(t *testing.T) {
	for name, part := range map[string]string{
		"row 35: create model version": "model-versions/create", "create run": "runs/create", "create experiment": "experiments/create",
		"claim": "CLAIM.json", "commit": "COMMIT.json", "pointer": ".keys/", "upload": "lstm_model_v1.keras",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			var once sync.Once
			lose := func(r *http.Request) (lost bool) {
				if r.Method != http.MethodGet && r.Method != http.MethodHead && strings.Contains(r.URL.Path, part) {
					once.Do(func() { lost = true })
				}
				return lost
			}
			w.mlf.SetAfter(lose)
			w.store.SetAfter(lose)
			result := Run(t.Context(), w.input(artifact(t, "weights")))
			require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
			assert.Equal(t, 1, result.Version.Number)
			assert.Len(t, w.mlf.Versions(registered), 1)
			assert.Len(t, w.mlf.Runs(), 1)
			assert.Len(t, w.store.Keys(), 7)
		})
	}
}

func TestSecretsThatWouldBreakAHeaderAreRefused(t *testing.T) {
	w := newWorld(t)
	in := w.input(artifact(t, "weights"))
	in.Target.SessionToken, in.Target.MLflowToken = secret("two\nlines"), secret("two\r\nlines")
	result := Run(t.Context(), in)
	require.Equal(t, CodeInput.Name, result.Stage.Code)
	assert.Contains(t, result.Stage.Cause, "AWS_SESSION_TOKEN holds a line break")
	assert.NotContains(t, w.dump(result), "two\nlines")
	assert.Empty(t, w.store.Requests())
}

func TestCredentialsOverPlainHTTPToAnotherMachineWarn(t *testing.T) {
	for uri, want := range map[string]bool{"http://mlflow.example.org": true, "http://10.0.0.1:5000": true, "http://localhost:5000": false,
		"http://127.0.0.1:5000": false, "https://mlflow.example.org": false} {
		assert.Equal(t, want, Target{TrackingURI: uri, MLflowToken: secret("x")}.insecure(), uri)
	}
	assert.False(t, Target{TrackingURI: "http://mlflow.example.org"}.insecure(), "nothing to protect")
}
