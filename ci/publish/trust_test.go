package publish

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// swallow acknowledges writes of a name and keeps nothing.
func (w *world) swallow(name string) {
	w.store.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, name) {
			return false
		}
		_, _ = io.Copy(io.Discard, r.Body) // the connection is used again
		rw.Header().Set("ETag", `"x"`)
		return true
	})
}

// A server's word is not enough: each record is read back before anything rests on it.
func TestARecordThatTheStoreDidNotKeepIsNotTakenForOne(t *testing.T) {
	for _, name := range []string{"COMMIT.json", "CLAIM.json", ".keys/SERIES.json", "pointer"} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			m := artifact(t, "weights")
			if name == "pointer" {
				content, problem := gather(w.input(m))
				require.Nil(t, problem)
				w.swallow(content.key + ".json")
			} else {
				w.swallow(name)
			}
			result := Run(t.Context(), w.input(m))
			assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
			assert.Equal(t, CodeCommitLost.Name, result.Stage.Code, result.Stage.Failure())
			assert.Nil(t, result.Version)
			assert.Zero(t, w.mlf.Alias(registered, "staging"), "no alias moves to what is not committed")
			w.heal()
			result = Run(t.Context(), w.input(m))
			require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
			assert.Len(t, w.commits(), 1)
		})
	}
}

func TestACommitWithOtherContentIsNotTakenForOurs(t *testing.T) {
	w := newWorld(t)
	w.store.SetAfter(func(r *http.Request) bool {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "COMMIT.json") {
			key := strings.TrimPrefix(r.URL.Path, "/"+bucket+"/")
			o, _ := w.store.Get(key)
			w.store.Set(key, []byte(strings.Replace(string(o.Content), "c0ffee", "c0ffed", 1)))
		}
		return false
	})
	result := Run(t.Context(), w.input(artifact(t, "weights")))
	assert.Equal(t, CodeCommitLost.Name, result.Stage.Code, result.Stage.Failure())
	assert.Contains(t, result.Stage.Cause, "the object has sha256")
}

func TestAnAliasThatDidNotMoveIsAFailureAndIsTriedAgain(t *testing.T) {
	for name, first := range map[string]bool{"where it was at an older version": true, "where there was none": false} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if first {
				w.published("one")
			}
			w.failMLflow("POST /api/2.0/mlflow/registered-models/alias", func(rw http.ResponseWriter, _ *http.Request) {
				_, _ = fmt.Fprint(rw, `{}`) // accepted, not done
			})
			second := w.input(artifact(t, "two"))
			result := Run(t.Context(), second)
			assert.Equal(t, verdict.Fail, result.Stage.Verdict)
			assert.Equal(t, CodeAliasNotMoved.Name, result.Stage.Code, result.Stage.Failure())
			require.NotNil(t, result.Version, "it is committed")
			w.heal()
			result = Run(t.Context(), second)
			require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
			assert.Equal(t, []string{"staging", "champion"}, result.Version.Aliases)
			assert.Empty(t, result.Stage.Warnings)
		})
	}
}

func TestAPromotionThatDidNotHappenIsNotTold(t *testing.T) {
	w := newWorld(t)
	w.published("one", "two")
	w.failMLflow("POST /api/2.0/mlflow/registered-models/alias", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(rw, `{}`)
	})
	for _, stage := range []verdict.Stage{
		Promote(t.Context(), w.input(nil), Move{Alias: "production", Number: 1}).Stage, Rollback(t.Context(), w.input(nil), Move{}).Stage,
	} {
		assert.Equal(t, CodeAliasNotMoved.Name, stage.Code, stage.Failure())
	}
	w.heal()
	passed(t, Promote(t.Context(), w.input(nil), Move{Alias: "production", Number: 1}))
	assert.Equal(t, 1, w.mlf.Alias(registered, "production"))
}

// A registry of several servers shows the alias a moment later.
func TestAnAliasThatShowsUpLateHasMoved(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	var asked atomic.Int64
	w.mlf.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
		late := r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "registered-models/alias") && asked.Add(1) == 2
		if late {
			_, _ = fmt.Fprintf(rw, `{"model_version": {"name": %q, "version": "1", "tags": [{"key": "model_version", "value": "1"}]}}`, registered)
		}
		return late
	})
	result := Run(t.Context(), w.input(artifact(t, "two")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, []string{"staging", "champion"}, result.Version.Aliases)
}

func TestOnlyNewerVersionsSupersede(t *testing.T) {
	w := newWorld(t)
	w.published("one", "two")
	passed(t, Rollback(t.Context(), w.input(nil), Move{}))
	result := Run(t.Context(), w.input(artifact(t, "two")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.NotEmpty(t, result.Stage.Warnings)
	assert.Equal(t, CodeAliasElsewhere.Name, result.Stage.Warnings[0].Code, "it was rolled back on purpose")

	w.published("three")
	result = Run(t.Context(), w.input(artifact(t, "two")))
	require.NotEmpty(t, result.Stage.Warnings)
	assert.Equal(t, CodeSuperseded.Name, result.Stage.Warnings[0].Code)
}

func TestAServerThatSendsWithoutEndIsLeft(t *testing.T) {
	w := newWorld(t)
	in := w.input(artifact(t, "weights"))
	in.WorkDir = t.TempDir()
	in.Check = nil
	var sent atomic.Int64
	w.failMLflow("GET /api/2.0/mlflow-artifacts/artifacts/", func(rw http.ResponseWriter, _ *http.Request) {
		buffer := make([]byte, 1<<20)
		for range 3000 {
			if _, err := rw.Write(buffer); err != nil {
				return
			}
			sent.Add(1 << 20)
		}
	})
	result := Run(t.Context(), in)
	assert.Equal(t, CodeTooLong.Name, result.Stage.Code, result.Stage.Failure())
	assert.Less(t, sent.Load(), int64(64<<20), "what the sockets buffer, and no more")
	var kept int64
	require.NoError(t, filepath.Walk(in.WorkDir, func(_ string, info os.FileInfo, err error) error {
		if err == nil && info.Mode().IsRegular() {
			kept += info.Size()
		}
		return err
	}))
	assert.Less(t, kept, int64(1<<20))

	// The store itself, when it reads back.
	w = newWorld(t)
	w.store.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, ".keras") {
			return false
		}
		_, _ = rw.Write(make([]byte, 2<<20)) // the client leaves
		return true
	})
	result = Run(t.Context(), w.input(artifact(t, "weights")))
	assert.Equal(t, CodeCorrupt.Name, result.Stage.Code, result.Stage.Failure())
	assert.Contains(t, result.Stage.Cause, "more than the")
}

func TestAListingThatBeginsAgainEnds(t *testing.T) {
	w := newWorld(t)
	var n atomic.Int64
	w.store.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || !strings.Contains(r.URL.RawQuery, "list-type=2") {
			return false
		}
		// Two tokens in turn: comparing with the last one alone would follow it without end.
		_, _ = fmt.Fprintf(rw, `<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>t%d</NextContinuationToken></ListBucketResult>`, n.Add(1)%2)
		return true
	})
	result := Run(t.Context(), w.input(artifact(t, "weights")))
	assert.Equal(t, CodeTooLong.Name, result.Stage.Code, result.Stage.Failure())
	assert.LessOrEqual(t, n.Load(), int64(4))

	w = newWorld(t) // a store that knows the older call only ignores list-type
	w.store.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.RawQuery, "list-type=2") {
			return false
		}
		_, _ = fmt.Fprint(rw, `<ListBucketResult><IsTruncated>true</IsTruncated><NextMarker>a</NextMarker></ListBucketResult>`)
		return true
	})
	result = Run(t.Context(), w.input(artifact(t, "weights")))
	assert.Equal(t, CodeS3Unsupported.Name, result.Stage.Code, result.Stage.Failure())

	w = newWorld(t)
	w.failMLflow("model-versions/search", func(rw http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(rw, `{"model_versions": [], "next_page_token": "t%d"}`, n.Add(1)%2)
	})
	result = Run(t.Context(), w.input(artifact(t, "weights")))
	assert.Equal(t, CodeTooLong.Name, result.Stage.Code, result.Stage.Failure())
}

// name rca with environment prod-eu, and name rca-prod with environment eu, read alike.
func TestTwoApplicationsNeverShareNumbers(t *testing.T) {
	as := func(w *world, name, environment, weights string) Input {
		in := w.input(artifact(t, weights))
		in.Config.Name, in.Environment = name, environment
		return in
	}
	w := newWorld(t)
	require.Equal(t, verdict.Pass, Run(t.Context(), as(w, "rca", "prod-eu", "one")).Stage.Verdict)
	before := w.store.Keys()
	second := as(w, "rca-prod", "eu", "two")
	result := Run(t.Context(), second)
	assert.Equal(t, CodeSeriesTaken.Name, result.Stage.Code, result.Stage.Failure())
	assert.Contains(t, result.Stage.Cause, "rca in environment prod-eu, not of rca-prod in eu")
	assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
	assert.Empty(t, result.Stage.Published)
	for _, key := range w.store.Keys() {
		if !strings.HasSuffix(key, ".probe") {
			assert.Contains(t, before, key)
		}
	}
	assert.Equal(t, CodeSeriesTaken.Name, Clean(t.Context(), second, nil).Stage.Code)
	assert.Equal(t, CodeSeriesTaken.Name, Promote(t.Context(), second, Move{Alias: "x", Number: 1}).Stage.Code)

	// What an older program published belongs to the environment that its manifests name.
	series := root + "rca-prod-eu.keys/SERIES.json"
	w.store.Delete(series)
	assert.Equal(t, CodeSeriesTaken.Name, Run(t.Context(), second).Stage.Code)
	result = Run(t.Context(), as(w, "rca", "prod-eu", "three"))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, 2, result.Version.Number, "published versions stay, and numbers go on")
	_, there := w.store.Get(series)
	assert.True(t, there)
}

func TestClocksDecideNothing(t *testing.T) {
	for _, skew := range []time.Duration{-time.Hour, -2 * time.Minute, 0, 2 * time.Minute, time.Hour} {
		for _, jump := range []time.Duration{0, 3 * time.Hour, -3 * time.Hour} {
			t.Run(fmt.Sprintf("%s %s", skew, jump), func(t *testing.T) {
				w := newWorld(t)
				start := w.clock.Now()
				var elapsed atomic.Int64
				w.store.Now = func() time.Time { return start.Add(time.Duration(elapsed.Load())) }
				w.clock.ms.Add(skew.Milliseconds())
				w.published("one")
				w.dead("young", 14)
				w.clock.ms.Add(jump.Milliseconds())
				elapsed.Store(int64(50 * time.Minute)) // by the store's clock it is young

				listed := passed(t, List(t.Context(), w.input(nil), 0))
				assert.False(t, listed.Versions[0].Stale, "number 2 may still be worked on")
				Clean(t.Context(), w.input(nil), nil)
				for _, key := range w.store.Keys() {
					assert.NotEqual(t, root+"openstack-rca-system-staging_0002/COMMIT.json", key, "nobody gives up a live claim")
				}
				result := Run(t.Context(), w.input(artifact(t, "two")))
				require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
				off := false
				for _, warning := range result.Stage.Warnings {
					assert.NotEqual(t, CodeAbandoned.Name, warning.Code)
					off = off || warning.Code == CodeClockOff.Name
				}
				assert.True(t, off, "the clocks are 50 minutes apart by now and more")

				elapsed.Store(int64(70 * time.Minute))
				listed = passed(t, List(t.Context(), w.input(nil), 0))
				stale := false
				for _, v := range listed.Versions {
					stale = stale || v.Number == 2 && v.Stale
				}
				assert.True(t, stale)
			})
		}
	}
}

func TestASmallSkewIsNoWarning(t *testing.T) {
	w := newWorld(t)
	w.store.Now = func() time.Time { return w.clock.Now().Add(4 * time.Second) }
	assert.Empty(t, Run(t.Context(), w.input(artifact(t, "one"))).Stage.Warnings)
	w.store.Now = func() time.Time { return w.clock.Now().Add(-9 * time.Second) }
	warnings := Run(t.Context(), w.input(artifact(t, "two"))).Stage.Warnings
	require.Len(t, warnings, 1)
	assert.Equal(t, "this machine's clock is 9s ahead of the store's", warnings[0].Cause)
	found, err := Preflight(t.Context(), w.input(nil))
	require.NoError(t, err)
	assert.Contains(t, found, "; warning: this machine's clock is 9s ahead of the store's")
}

func TestAVersionBesideTheModelIsOneVersion(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	description := `{"versions": {"keras": "3.13.2", "tensorflow": "2.16\revil-package==1.0", "numpy": "2.0 # x", "python": "3.11.7"}}`
	require.NoError(t, os.WriteFile(filepath.Join(m.Dir, "lstm_model.json"), []byte(description), 0o600))
	result := Run(t.Context(), w.input(m))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	var ignored []string
	for _, warning := range result.Stage.Warnings {
		assert.Equal(t, CodeVersionIgnored.Name, warning.Code)
		ignored = append(ignored, warning.Cause)
	}
	assert.Len(t, ignored, 2)
	for name, content := range w.mlf.Artifacts() {
		if strings.HasSuffix(name, "requirements.txt") {
			assert.Equal(t, "keras==3.13.2\ntensorflow\n", string(content))
		}
		assert.NotContains(t, string(content), "evil-package==1.0\n", name)
	}
}

func TestAModelThatNothingCouldHaveFailedIsNotPublished(t *testing.T) {
	for name, change := range map[string]func(*Input){
		"no gates":                func(in *Input) { in.Config.Train.Gates, in.Config.Train.BaselineMargin = nil, 0 },
		"the training told of it": func(in *Input) { in.Model.Ungated = true },
	} {
		w := newWorld(t)
		in := w.input(artifact(t, "weights"))
		change(&in)
		result := Run(t.Context(), in)
		assert.Equal(t, verdict.Fail, result.Stage.Verdict, name)
		assert.Equal(t, verdict.CodeGatesNone.Name, result.Stage.Code, name)
		assert.Empty(t, w.store.Requests(), "nobody is asked, nothing is written")
		in.Environment = "sandbox"
		assert.Equal(t, verdict.Pass, Run(t.Context(), in).Stage.Verdict, name)
	}
}

func TestARenamedModelIsTold(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	in := w.input(artifact(t, "two"))
	in.Config.Publish.Model = "another_model"
	result := Run(t.Context(), in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, CodeModelRenamed.Name, result.Stage.Warnings[0].Code)
	assert.Contains(t, result.Stage.Warnings[0].Cause, "number 1 of this series is registered as "+registered)
}

func TestARegionThatIsNoneNeedsAnotherStore(t *testing.T) {
	for region, known := range map[string]bool{"ap-south-1": true, "eusc-de-east-1": true, "auto": false, "fr-par": false, "garage": false} {
		w := newWorld(t)
		in := w.input(nil)
		in.Target.Region, in.Target.S3Endpoint = region, ""
		_, problems := in.connect(t.Context(), true)
		if known {
			assert.Empty(t, problems, region)
		} else {
			require.Len(t, problems, 1, region)
			assert.Contains(t, problems[0].Cause, "is not a region of AWS")
		}
		in.Target.S3Endpoint = w.store.URL
		_, problems = in.connect(t.Context(), true)
		assert.Empty(t, problems, region)
	}
}

func TestArtifactsThatCannotBeStoredAreToldBeforeAnythingIsWritten(t *testing.T) {
	for location, cause := range map[string]string{
		"http://127.0.0.1:5500/api/2.0/mlflow-artifacts/artifacts/exp": "http://127.0.0.1:5500",
		"mlflow-artifacts://artifacts.internal:5500/exp":               "mlflow-artifacts://artifacts.internal:5500",
		"gs://bucket/x": "gs://bucket", "dbfs:/databricks/mlflow": "dbfs:", "wasbs://c@a.blob.core.windows.net/x": "wasbs:",
		"file:///srv/mlruns": "file:", "./mlruns": "file:",
	} {
		for _, exists := range []bool{false, true} {
			w := newWorld(t)
			w.mlf.ArtifactRoot = location
			in := w.input(artifact(t, "weights"))
			if exists {
				w.mlf.AddExperiment(in.experiment(), "active")
			}
			result := Run(t.Context(), in)
			assert.Equal(t, CodeArtifactsElsewhere.Name, result.Stage.Code, result.Stage.Failure())
			assert.Contains(t, result.Stage.Cause, cause)
			assert.Empty(t, result.Stage.Published)
			assert.Zero(t, w.store.Writes(), location)
			for _, request := range w.mlf.Requests() {
				assert.True(t, strings.HasPrefix(request, "GET "), request)
			}
			_, err := Preflight(t.Context(), in)
			require.ErrorContains(t, err, cause)

			// The remedy: an experiment with its own place on S3.
			w.mlf.ArtifactRoot = "s3://" + bucket + "/mlflow"
			require.Equal(t, verdict.Pass, Run(t.Context(), in).Stage.Verdict)
		}
	}
}

// TestTheRemedyOfAServerWithoutRoom: each has its own code for it, and none of them means the network or the credentials.
func TestTheRemedyOfAServerWithoutRoom(t *testing.T) {
	for _, c := range []struct {
		status     int
		code, next string
	}{
		{413, "", "client_max_body_size"}, {507, "", "Make room"}, {403, "QuotaExceeded", "raise its quota"}, {507, "XMinioStorageFull", "Make room"},
		{400, "XMinioAdminBucketQuotaExceeded", "raise its quota"}, {403, "AccessDenied", ""}, {500, "InternalError", ""},
	} {
		if got := room(c.status, c.code); c.next == "" {
			assert.Empty(t, got)
		} else {
			assert.Contains(t, got, c.next)
			assert.Contains(t, problem(t.Context(), uploading, &ledger.Error{Status: c.status, Code: c.code}).Next, c.next)
		}
	}
}

// TestTheRemedyFitsTheRefusal: the words are those of AWS and of MLflow.
func TestTheRemedyFitsTheRefusal(t *testing.T) {
	const user = "User: arn:aws:sts::1:assumed-role/ci/x is not authorized to perform: "
	for _, c := range []struct {
		err        error
		code, next string
	}{
		{&ledger.Error{Kind: ledger.AccessDenied, Message: user + `s3:PutObject on resource: "arn:aws:s3:::b/k" with an explicit deny in a ` +
			"resource-based policy"}, CodeS3Denied.Name, "default encryption"},
		{&ledger.Error{Kind: ledger.AccessDenied, Message: user + "kms:GenerateDataKey on resource: arn:aws:kms:eu-west-1:1:key/k because no " +
			"identity-based policy allows the kms:GenerateDataKey action"}, CodeS3Denied.Name, "kms:GenerateDataKey"},
		{&ledger.Error{Kind: ledger.AccessDenied, Message: "Access Denied"}, CodeS3Denied.Name, ""},
		{&ledger.Error{Kind: ledger.Other, Op: "list versions (s3:ListBucket)", Status: 400, Code: "InvalidArgument"}, CodeS3Unsupported.Name, ""},
		{&ledger.Error{Kind: ledger.Other, Op: "upload object (s3:PutObject)", Status: 400}, CodeUploadFailed.Name, ""},
		{&mlflow.Error{Kind: mlflow.Unsupported, Status: 501, ErrorCode: "FEATURE_DISABLED"}, CodeUnsupported.Name, "--backend-store-uri"},
		{&mlflow.Error{Kind: mlflow.Unsupported, Status: 404}, CodeUnsupported.Name, "with the path that its pages are below"},
		{&mlflow.Error{Kind: mlflow.Unsupported, Status: 404, ErrorCode: "ENDPOINT_NOT_FOUND"}, CodeUnsupported.Name, ""},
		{&mlflow.Error{Kind: mlflow.NoWorkspace, Status: 404, ErrorCode: "RESOURCE_DOES_NOT_EXIST"}, CodeInput.Name, "publish.workspace"},
	} {
		p := problem(t.Context(), preparing, c.err)
		assert.Equal(t, c.code, p.Code.Name)
		if c.next == "" {
			assert.Empty(t, p.Next)
		} else {
			assert.Contains(t, p.Next, c.next)
		}
	}
}

// TestTheEndpointHoldsNoBucket: the dashboard of R2 shows it with one.
func TestTheEndpointHoldsNoBucket(t *testing.T) {
	w := newWorld(t)
	in := w.input(artifact(t, "weights"))
	in.Target.S3Endpoint = w.store.URL + "/" + bucket
	result := Run(t.Context(), in)
	assert.Equal(t, CodeInput.Name, result.Stage.Code)
	assert.Contains(t, result.Stage.Cause, "ends in the bucket's name")
	assert.Empty(t, w.store.Writes())
}

func TestEveryCallNamesTheWorkspace(t *testing.T) {
	for _, workspace := range []string{"", "team-a"} {
		w := newWorld(t)
		w.mlf.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
			assert.Equal(t, workspace, r.Header.Get("X-MLFLOW-WORKSPACE"), r.URL.Path)
			return false
		})
		in := w.input(artifact(t, "weights"))
		in.Config.Publish.Workspace = workspace
		require.Equal(t, verdict.Pass, Run(t.Context(), in).Stage.Verdict)
	}
}

// MLflow 3.17 answers every call like this; it must not read as "there is no champion yet".
func TestAWorkspaceThatDoesNotExistIsTold(t *testing.T) {
	w := newWorld(t)
	w.mlf.SetBefore(func(rw http.ResponseWriter, _ *http.Request) bool {
		mlflowtest.Fail(rw, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Workspace 'team-a' not found")
		return true
	})
	in := w.input(artifact(t, "weights"))
	in.Config.Publish.Workspace = "team-a"
	result := Run(t.Context(), in)
	assert.Equal(t, CodeInput.Name, result.Stage.Code, result.Stage.Failure())
	assert.Contains(t, result.Stage.Cause, "Workspace 'team-a' not found")
	_, err := ChampionOf(t.Context(), in)
	require.ErrorContains(t, err, "no such workspace")
}

// Below and beside what is published, records may be damaged: numbers above them are free.
func TestADamagedManifestOfAnotherVersionStopsNothing(t *testing.T) {
	w := newWorld(t)
	w.store.Set(root+"openstack-rca-system-staging_0007/COMMIT.json", []byte("not JSON"))
	result := Run(t.Context(), w.input(artifact(t, "weights")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, 8, result.Version.Number)
}

// A registry may accept a version before it has made it.
func TestAVersionThatIsNotMadeYetIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.mlf.NewStatus = mlflow.Pending
	m := artifact(t, "weights")
	result := Run(t.Context(), w.input(m))
	assert.Equal(t, CodeRegistryFailed.Name, result.Stage.Code, result.Stage.Failure())
	assert.Contains(t, result.Stage.Cause, "PENDING_REGISTRATION")
	assert.Empty(t, w.commits())
	asked := 0
	w.mlf.SetAfter(func(r *http.Request) bool {
		if strings.HasSuffix(r.URL.Path, "model-versions/get") {
			if asked++; asked == 3 {
				w.mlf.SetStatus(registered, 1, mlflow.Ready)
			}
		}
		return false
	})
	result = Run(t.Context(), w.input(m))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Len(t, w.mlf.Versions(registered), 1)
}

func TestAVersionThatTheRegistryFailedToMakeIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	w.mlf.NewStatus = mlflow.Failed
	m := artifact(t, "weights")
	result := Run(t.Context(), w.input(m))
	assert.Equal(t, CodeRegistryFailed.Name, result.Stage.Code, result.Stage.Failure())
	assert.Contains(t, result.Stage.Cause, "version 1 of "+registered+" had status FAILED_REGISTRATION, and was deleted")
	assert.Empty(t, w.mlf.Versions(registered))
	w.mlf.NewStatus = ""
	result = Run(t.Context(), w.input(m))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, 2, w.mlf.Alias(registered, "staging"))
	// One that was committed is never deleted, whatever becomes of it.
	w.mlf.SetStatus(registered, 2, mlflow.Failed)
	result = Run(t.Context(), w.input(m))
	assert.Equal(t, CodeRegistryFailed.Name, result.Stage.Code, result.Stage.Failure())
	assert.Len(t, w.mlf.Versions(registered), 1)
}

// The number of a version is a tag, which anybody may write: only what is committed supersedes.
func TestAVersionThatCallsItselfNewerSupersedesNothing(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	w.failMLflow("GET /api/2.0/mlflow/registered-models/alias", func(rw http.ResponseWriter, _ *http.Request) {
		assert.NoError(t, json.NewEncoder(rw).Encode(map[string]any{"model_version": map[string]any{"name": registered, "version": "99",
			"status": "READY", "tags": []map[string]string{{"key": tagNumber, "value": "99"}}}}))
	})
	result := Run(t.Context(), w.input(artifact(t, "two")))
	assert.Equal(t, CodeAliasNotMoved.Name, result.Stage.Code, result.Stage.Failure())
	w.heal()
	result = Run(t.Context(), w.input(artifact(t, "two")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, 2, w.mlf.Alias(registered, "staging"))
}

func TestAnAliasThatWasTakenAwayIsTold(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	w.mlf.SetAlias(registered, ChampionAlias, 0)
	result := Run(t.Context(), w.input(artifact(t, "one")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, CodeAliasElsewhere.Name, result.Stage.Warnings[0].Code)
	assert.Contains(t, result.Stage.Warnings[0].Cause, "alias champion points at no version")
}

// The session of a single sign-on ends between two calls: the proxy answers 200 and a page.
func TestALoginPageInThePlaceOfAFileIsNoOtherModel(t *testing.T) {
	w := newWorld(t)
	w.failMLflow("GET /api/2.0/mlflow-artifacts", func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(rw, "<html>Sign in</html>")
	})
	result := Run(t.Context(), w.input(artifact(t, "weights")))
	assert.Equal(t, CodeNotJSON.Name, result.Stage.Code, result.Stage.Failure())
	assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
}

// A server that does not know the filter answers with the runs of others.
func TestTheRunOfOtherContentIsNotTakenForOurs(t *testing.T) {
	w := newWorld(t)
	w.published("one")
	run := w.mlf.Runs()[0]
	w.failMLflow("POST /api/2.0/mlflow/runs/search", func(rw http.ResponseWriter, _ *http.Request) {
		tags := []map[string]string{{"key": tagNumber, "value": "2"}, {"key": tagKey, "value": "of another"}}
		assert.NoError(t, json.NewEncoder(rw).Encode(map[string]any{"runs": []any{map[string]any{
			"info": map[string]any{"run_id": run.ID, "status": "FINISHED", "artifact_uri": run.ArtifactURI}, "data": map[string]any{"tags": tags}}}}))
	})
	result := Run(t.Context(), w.input(artifact(t, "two")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Len(t, w.mlf.Runs(), 2)
}

// What CORRUPT proposes works for a version that is committed too: the same bytes are stored under its number again.
func TestAFileOfACommittedVersionThatIsGoneIsStoredAgain(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	require.Equal(t, verdict.Pass, Run(t.Context(), w.input(m)).Stage.Verdict)
	key := root + "openstack-rca-system-staging_0001/models/lstm_model_v1.keras"
	stored, _ := w.store.Get(key)
	w.store.Set(key, []byte("flipped"))
	result := Run(t.Context(), w.input(m))
	require.Equal(t, CodeCorrupt.Name, result.Stage.Code)
	assert.Contains(t, result.Stage.Next, "delete it if it is there, and publish the same model again")
	there, _ := w.store.Get(key)
	assert.Equal(t, "flipped", string(there.Content), "nothing is overwritten")
	w.store.Delete(key)
	promoted := Promote(t.Context(), w.input(nil), Move{Alias: "production"})
	assert.Equal(t, CodeCorrupt.Name, promoted.Stage.Code)
	assert.Contains(t, promoted.Stage.Next, "publish the same model again", "a promotion has no bytes to store")
	result = Run(t.Context(), w.input(m))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	again, _ := w.store.Get(key)
	assert.Equal(t, stored.Content, again.Content)
	assert.Len(t, w.commits(), 1)
	assert.Equal(t, "1", result.Version.RegistryVersion)
}

func TestAVersionThatTheRegistryLostIsSaidSo(t *testing.T) {
	w := newWorld(t)
	m := artifact(t, "weights")
	require.Equal(t, verdict.Pass, Run(t.Context(), w.input(m)).Stage.Verdict)
	c, problems := w.input(m).connect(t.Context(), false)
	require.Empty(t, problems)
	require.NoError(t, c.mlflow.DeleteModelVersion(t.Context(), registered, "1"))
	result := Run(t.Context(), w.input(m))
	assert.Equal(t, CodeVerifyFailed.Name, result.Stage.Code)
	assert.Contains(t, result.Stage.Cause, "does not have the version any more")
	assert.Contains(t, result.Stage.Next, "Publish a new version")
	changed := w.input(m)
	changed.Tree = "t2"
	result = Run(t.Context(), changed)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
}
