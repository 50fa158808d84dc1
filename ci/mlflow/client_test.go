package mlflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
)

// clock records what was slept.
type clock struct{ slept []time.Duration }

func (c *clock) Now() time.Time { return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC) }

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.slept = append(c.slept, d)
	return ctx.Err()
}

func serve(t *testing.T, handler http.HandlerFunc, change ...func(*mlflow.Options)) (*mlflow.Client, *clock) {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return client(t, server.URL, change...)
}

func client(t *testing.T, uri string, change ...func(*mlflow.Options)) (*mlflow.Client, *clock) {
	t.Helper()
	c := &clock{}
	opts := mlflow.Options{TrackingURI: uri, Clock: c}
	for _, f := range change {
		f(&opts)
	}
	m, err := mlflow.New(opts)
	require.NoError(t, err)
	return m, c
}

func kind(t *testing.T, err error) *mlflow.Error {
	t.Helper()
	var e *mlflow.Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestNewRefusesWhatCannotWork(t *testing.T) {
	for name, c := range map[string]struct {
		opts mlflow.Options
		want string
	}{
		"no address":                  {mlflow.Options{}, "does not begin with"},
		"not a URL":                   {mlflow.Options{TrackingURI: "http://a b:%zz"}, "not a URL"},
		"a file store":                {mlflow.Options{TrackingURI: "sqlite:///x.db"}, `scheme is "sqlite"`},
		"no host":                     {mlflow.Options{TrackingURI: "http://"}, "names no host"},
		"no scheme":                   {mlflow.Options{TrackingURI: "mlflow.example.com:5000"}, "does not begin with http:// or https://"},
		"a profile of Databricks":     {mlflow.Options{TrackingURI: "databricks"}, "does not begin with http:// or https://"},
		"the path of the API":         {mlflow.Options{TrackingURI: "https://h/mlflow/api/2.0/mlflow/"}, "give the address before /api/2.0"},
		"a query":                     {mlflow.Options{TrackingURI: "http://h/?x=1"}, "query"},
		"credentials in the address":  {mlflow.Options{TrackingURI: "http://user:hunter22@h"}, "give them as secrets"},
		"a token and a password":      {mlflow.Options{TrackingURI: "http://h", Token: "t", Username: "u", Password: "p"}, "both a token"},
		"a user without password":     {mlflow.Options{TrackingURI: "http://h", Username: "u"}, "both the user name and the password"},
		"a token with a line break":   {mlflow.Options{TrackingURI: "http://h", Token: "a\nb"}, "line break"},
		"a password without the user": {mlflow.Options{TrackingURI: "http://h", Password: "hunter22"}, "both the user name and the password"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := mlflow.New(c.opts)
			require.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "hunter22")
		})
	}
}

func TestCredentialsAreSentInTheRightForm(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*mlflow.Options)
		want   string
	}{
		"none":   {func(*mlflow.Options) {}, ""},
		"basic":  {func(o *mlflow.Options) { o.Username, o.Password = "u", "p\nq" }, "Basic dTpwCnE="},
		"bearer": {func(o *mlflow.Options) { o.Token = "tok" }, "Bearer tok"},
	} {
		t.Run(name, func(t *testing.T) {
			got := "unset"
			m, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				got = r.Header.Get("Authorization")
				_, _ = fmt.Fprint(w, `{"run":{"info":{"run_id":"r"}}}`)
			}, c.change)
			_, err := m.GetRun(t.Context(), "r")
			require.NoError(t, err)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestAnswersBecomeKinds(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header string
		body   string
		want   mlflow.Kind
		text   string
	}{
		"unknown experiment":       {404, "", `{"error_code":"RESOURCE_DOES_NOT_EXIST","message":"no"}`, mlflow.NotFound, "RESOURCE_DOES_NOT_EXIST"},
		"bad request":              {400, "", `{"error_code":"INVALID_PARAMETER_VALUE","message":"bad\nname"}`, mlflow.Invalid, "bad name"},
		"bad request of no code":   {400, "", `{"error_code":"SOMETHING","message":"x"}`, mlflow.Invalid, "SOMETHING"},
		"exists":                   {400, "", `{"error_code":"RESOURCE_ALREADY_EXISTS"}`, mlflow.Exists, ""},
		"not authenticated":        {401, "", `You are not authenticated`, mlflow.Auth, "401"},
		"not authenticated, coded": {401, "", `{"error_code":"UNAUTHENTICATED"}`, mlflow.Auth, ""},
		"forbidden":                {403, "", `{"error_code":"PERMISSION_DENIED"}`, mlflow.Forbidden, ""},
		"host check":               {403, "", `Invalid Host header - possible DNS rebinding attack detected`, mlflow.Forbidden, "--allowed-hosts"},
		"unknown call":             {404, "", `<html>not found</html>`, mlflow.Unsupported, ""},
		"unknown call, coded":      {404, "", `{"error_code":"ENDPOINT_NOT_FOUND"}`, mlflow.Unsupported, ""},
		"a gateway's 404":          {404, "", `{"detail":"Not Found"}`, mlflow.Unsupported, ""},
		"other 404":                {404, "", `{"error_code":"OTHER"}`, mlflow.NotFound, ""},
		"method not allowed":       {405, "", ``, mlflow.Unsupported, ""},
		"no artifacts":             {503, "", "Endpoint: /x disabled due to the mlflow server running with x", mlflow.NotServed, "--no-serve"},
		"teapot":                   {418, "", ``, mlflow.NotJSON, "418"},
		"redirect":                 {302, "https://login.example.org/x?secret=1", ``, mlflow.Redirected, "https://login.example.org;"},
		"login page":               {200, "", `<html>`, mlflow.NotJSON, "text/html"},
		"empty answer":             {200, "", ``, mlflow.NotJSON, ""},
		"JSON that is no object":   {200, "", `[1]`, mlflow.NotJSON, ""},
		"object without the thing": {200, "", `{}`, mlflow.NotJSON, "has no experiment"},
		"answer too large":         {200, "", `{"x":"` + strings.Repeat("y", 17<<20) + `"}`, mlflow.TooLarge, ""},
	} {
		t.Run(name, func(t *testing.T) {
			m, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				if c.header != "" {
					w.Header().Set("Location", c.header)
				}
				w.WriteHeader(c.status)
				_, err := io.WriteString(w, c.body)
				assert.NoError(t, err)
			})
			_, err := m.ExperimentByName(t.Context(), "x")
			e := kind(t, err)
			assert.Equal(t, c.want, e.Kind, err)
			assert.Contains(t, err.Error(), c.text)
			assert.NotContains(t, err.Error(), "secret=1")
			assert.Equal(t, m.Host(), e.Host)
		})
	}
}

func TestConnectionsThatFail(t *testing.T) {
	m, c := client(t, "http://127.0.0.1:1")
	_, err := m.ExperimentByName(t.Context(), "x")
	assert.True(t, mlflow.IsKind(err, mlflow.Unreachable), "%v", err)
	assert.Len(t, c.slept, 4, "five attempts")
	assert.False(t, mlflow.IsAmbiguous(err))

	m, _ = client(t, "http://no-such-host.invalid")
	_, err = m.GetRun(t.Context(), "r")
	assert.True(t, mlflow.IsKind(err, mlflow.Unreachable), "%v", err)

	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	m, c = client(t, server.URL)
	_, err = m.ExperimentByName(t.Context(), "x")
	assert.True(t, mlflow.IsKind(err, mlflow.Untrusted), "%v", err)
	assert.Empty(t, c.slept, "another attempt cannot help")
	assert.Error(t, errors.Unwrap(err))

	m, _ = serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	_, err = m.ExperimentByName(t.Context(), "x")
	assert.True(t, mlflow.IsKind(err, mlflow.Broken), "%v", err)
	assert.True(t, mlflow.IsAmbiguous(err))

	released := make(chan struct{})
	m, _ = serve(t, func(http.ResponseWriter, *http.Request) { <-released }, func(o *mlflow.Options) { o.CallTimeout = 10 * time.Millisecond; o.Attempts = 2 })
	_, err = m.ExperimentByName(t.Context(), "x")
	close(released)
	assert.True(t, mlflow.IsKind(err, mlflow.Broken), "%v", err)
}

func TestOnlyCallsThatAreSafeToRepeatAreRepeated(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		call   func(*mlflow.Client, context.Context) error
		want   int64
	}{
		"a lookup after a server error": {500, func(m *mlflow.Client, ctx context.Context) error {
			_, err := m.GetRun(ctx, "r")
			return err
		}, 5},
		"create run after a server error": {500, func(m *mlflow.Client, ctx context.Context) error {
			_, err := m.CreateRun(ctx, "0", "n", time.Now(), nil)
			return err
		}, 1},
		"create version after a server error": {503, func(m *mlflow.Client, ctx context.Context) error {
			_, err := m.CreateModelVersion(ctx, "m", "s", "r", "", nil)
			return err
		}, 1},
		"create version when throttled": {429, func(m *mlflow.Client, ctx context.Context) error {
			_, err := m.CreateModelVersion(ctx, "m", "s", "r", "", nil)
			return err
		}, 5},
		"a lookup that is refused": {403, func(m *mlflow.Client, ctx context.Context) error {
			_, err := m.GetRun(ctx, "r")
			return err
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			m, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				n.Add(1)
				w.WriteHeader(c.status)
			})
			require.Error(t, c.call(m, t.Context()))
			assert.Equal(t, c.want, n.Load())
		})
	}
}

func TestRetryAfterIsHonouredAndCapped(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		want   time.Duration
	}{
		"seconds":       {"7", 7 * time.Second},
		"a date":        {"Sun, 22 Nov 2026 12:00:09 GMT", 9 * time.Second},
		"a day":         {"86400", 60 * time.Second},
		"a date passed": {"Sun, 22 Nov 2026 11:00:00 GMT", 0},
		"nonsense":      {"soon", 0},
	} {
		t.Run(name, func(t *testing.T) {
			m, clock := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				// The server's clock counts, two days from ours.
				w.Header().Set("Date", "Sun, 22 Nov 2026 12:00:00 GMT")
				w.Header().Set("Retry-After", c.header)
				w.WriteHeader(http.StatusTooManyRequests)
			})
			_, err := m.GetRun(t.Context(), "r")
			assert.True(t, mlflow.IsKind(err, mlflow.Throttled))
			require.NotEmpty(t, clock.slept)
			if c.want > 0 {
				assert.Equal(t, c.want, clock.slept[0])
			}
			var total time.Duration
			for _, d := range clock.slept {
				total += d
			}
			assert.LessOrEqual(t, total, 2*time.Minute)
		})
	}
}

func TestCancelledCallsAreNotRepeated(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	m, _ := serve(t, func(http.ResponseWriter, *http.Request) {
		n.Add(1)
		cancel()
		panic(http.ErrAbortHandler)
	})
	_, err := m.GetRun(ctx, "r")
	require.Error(t, err)
	assert.Equal(t, int64(1), n.Load())
}

func TestBatchesKeepTheServersLimits(t *testing.T) {
	s := mlflowtest.Start(t) // refuses batches above the limits
	m, _ := client(t, s.URL)
	id, err := m.CreateExperiment(t.Context(), "e", nil)
	require.NoError(t, err)
	run, err := m.CreateRun(t.Context(), id, "n", time.UnixMilli(5), []mlflow.Tag{{Key: "a", Value: "b"}})
	require.NoError(t, err)
	assert.Equal(t, int64(5), run.Started)
	var metrics []mlflow.Metric
	for i := range int64(2345) {
		metrics = append(metrics, mlflow.Metric{Key: "loss", Step: i, Timestamp: i, Value: 1})
	}
	var params []mlflow.Tag
	for i := range 150 {
		params = append(params, mlflow.Tag{Key: fmt.Sprint("p", i), Value: "v"})
	}
	require.NoError(t, m.LogBatch(t.Context(), run.ID, metrics, params, nil))
	require.NoError(t, m.LogBatch(t.Context(), run.ID, metrics, params, nil), "again")
	got := s.Runs()[0]
	assert.Len(t, got.Metrics["loss"], 2345)
	assert.Len(t, got.Params, 150)
	err = m.LogBatch(t.Context(), run.ID, nil, []mlflow.Tag{{Key: "p1", Value: "other"}}, nil)
	assert.True(t, mlflow.IsKind(err, mlflow.Invalid), "%v", err)
	err = m.LogBatch(t.Context(), "nothing", metrics[:1], nil, nil)
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "%v", err)
}

func TestTrackingCalls(t *testing.T) {
	s := mlflowtest.Start(t)
	m, _ := client(t, s.URL+"/")
	id, err := m.CreateExperiment(t.Context(), "e", []mlflow.Tag{})
	require.NoError(t, err)
	_, err = m.CreateExperiment(t.Context(), "e", nil)
	assert.True(t, mlflow.IsKind(err, mlflow.Exists), "%v", err)
	e, err := m.ExperimentByName(t.Context(), "e")
	require.NoError(t, err)
	assert.Equal(t, id, e.ID)
	assert.False(t, e.Deleted())
	run, err := m.CreateRun(t.Context(), id, "n", time.UnixMilli(1), []mlflow.Tag{{Key: "k", Value: "v"}})
	require.NoError(t, err)
	require.NoError(t, m.UpdateRun(t.Context(), run.ID, "FINISHED", time.UnixMilli(2)))
	require.Error(t, m.UpdateRun(t.Context(), "nothing", "FINISHED", time.Time{}))
	found, err := m.SearchRuns(t.Context(), id, "tags.`k` = 'v'", 10)
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, "FINISHED", found[0].Status)
	assert.Equal(t, map[string]string{"k": "v"}, found[0].Tags)
	require.NoError(t, m.DeleteRun(t.Context(), run.ID))
	require.NoError(t, m.DeleteRun(t.Context(), "nothing"))
	found, err = m.SearchRuns(t.Context(), id, "tags.`k` = 'v'", 10)
	require.NoError(t, err)
	assert.Empty(t, found, "it is in the trash")
	_, err = m.GetRun(t.Context(), "nothing")
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "%v", err)
}

func TestSearchesReadAllPages(t *testing.T) {
	m, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		token := r.URL.Query().Get("page_token")
		if r.Method == http.MethodPost {
			var in struct {
				Token string `json:"page_token"`
			}
			assert.NoError(t, json.NewDecoder(r.Body).Decode(&in))
			token = in.Token
		}
		next := map[string]string{"": "2", "2": "3", "3": ""}[token]
		_, _ = fmt.Fprintf(w, `{"runs":[{"info":{"run_id":"r%s","start_time":"12"},"data":{"metrics":[{"key":"loss","value":"NaN"}]}}],
			"model_versions":[{"name":"m","version":%s7}],"next_page_token":%q}`, token, strings.TrimLeft(token, "0"), next)
	})
	runs, err := m.SearchRuns(t.Context(), "0", "", 100)
	require.NoError(t, err)
	require.Len(t, runs, 3)
	assert.Equal(t, int64(12), runs[0].Started)
	assert.True(t, math.IsNaN(runs[0].Metrics["loss"]))
	versions, err := m.SearchModelVersions(t.Context(), "name='m'")
	require.NoError(t, err)
	require.Len(t, versions, 3)
	assert.Equal(t, "27", versions[1].Version)
	some, err := m.SearchRuns(t.Context(), "0", "", 2)
	require.NoError(t, err)
	assert.Len(t, some, 2)
}

func TestRegistryCalls(t *testing.T) {
	s := mlflowtest.Start(t)
	m, _ := client(t, s.URL)
	ctx := t.Context()
	run, err := m.CreateRun(ctx, "0", "n", time.UnixMilli(1), nil)
	require.NoError(t, err)
	_, err = m.CreateModelVersion(ctx, "m", run.ArtifactURI, run.ID, "", nil)
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "no such model: %v", err)
	none, err := m.ModelVersionByAlias(ctx, "m", "champion")
	require.NoError(t, err, "no such model: 404")
	assert.Nil(t, none)
	require.NoError(t, m.EnsureRegisteredModel(ctx, "m", nil))
	require.NoError(t, m.EnsureRegisteredModel(ctx, "m", nil), "a second time")
	none, err = m.ModelVersionByAlias(ctx, "m", "champion")
	require.NoError(t, err, "no such alias: 400")
	assert.Nil(t, none)
	_, err = m.CreateModelVersion(ctx, "m", "s3://elsewhere/x", run.ID, "", nil)
	assert.True(t, mlflow.IsKind(err, mlflow.Invalid), "%v", err)

	v, err := m.CreateModelVersion(ctx, "m", run.ArtifactURI+"/model", run.ID, "d", []mlflow.Tag{{Key: "k", Value: "v"}})
	require.NoError(t, err)
	assert.Equal(t, "1", v.Version)
	require.NoError(t, m.SetModelVersionTag(ctx, "m", "1", mlflow.Tag{Key: "x", Value: "y"}))
	require.NoError(t, m.SetAlias(ctx, "m", "champion", "1"))
	got, err := m.ModelVersionByAlias(ctx, "m", "champion")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"k": "v", "x": "y"}, got.Tags)
	assert.Equal(t, []string{"champion"}, got.Aliases)
	aliases, err := m.Aliases(ctx, "m")
	require.NoError(t, err)
	assert.Equal(t, map[string]string{"champion": "1"}, aliases)
	aliases, err = m.Aliases(ctx, "no such model")
	require.NoError(t, err)
	assert.Empty(t, aliases)
	uri, err := m.DownloadURI(ctx, "m", "1")
	require.NoError(t, err)
	assert.Equal(t, run.ArtifactURI+"/model", uri)
	require.NoError(t, m.DeleteModelVersion(ctx, "m", "1"))
	require.NoError(t, m.DeleteModelVersion(ctx, "m", "1"), "a second time")
	require.Error(t, m.SetAlias(ctx, "m", "champion", "1"))
	_, err = m.DownloadURI(ctx, "m", "1")
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "%v", err)
	_, err = m.GetModelVersion(ctx, "m", "1")
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "%v", err)
}

func TestAliasLookupHidesNothingButAbsence(t *testing.T) {
	m, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		mlflowtest.Fail(w, 400, "INVALID_PARAMETER_VALUE", "Registered model alias name cannot be empty.")
	})
	_, err := m.ModelVersionByAlias(t.Context(), "m", "")
	assert.True(t, mlflow.IsKind(err, mlflow.Invalid), "%v", err)
}

func TestArtifacts(t *testing.T) {
	s := mlflowtest.Start(t)
	m, _ := client(t, s.URL)
	open := func() (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("abc")), 3, nil }
	require.NoError(t, m.UploadArtifact(t.Context(), "1/r/artifacts/a.txt", open))
	var got strings.Builder
	n, err := m.DownloadArtifact(t.Context(), "1/r/artifacts/a.txt", 1<<20, func() io.Writer { got.Reset(); return &got })
	require.NoError(t, err)
	assert.Equal(t, int64(3), n)
	assert.Equal(t, "abc", got.String())
	_, err = m.DownloadArtifact(t.Context(), "nothing", 1<<20, func() io.Writer { return io.Discard })
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "%v", err)
	err = m.UploadArtifact(t.Context(), "x", func() (io.ReadCloser, int64, error) { return nil, 0, errors.New("no such file") })
	assert.True(t, mlflow.IsKind(err, mlflow.Local), "%v", err)

	m, _ = serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<html>") })
	assert.True(t, mlflow.IsKind(m.UploadArtifact(t.Context(), "x", open), mlflow.NotJSON))
	_, err = m.GetRun(t.Context(), "x")
	assert.True(t, mlflow.IsKind(err, mlflow.NotJSON))
}

func TestDownloadCutShortIsRepeated(t *testing.T) {
	var n atomic.Int64
	m, _ := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Content-Length", "10")
			_, _ = fmt.Fprint(w, "abc")
			panic(http.ErrAbortHandler)
		}
		_, _ = fmt.Fprint(w, "whole")
	})
	var got strings.Builder
	_, err := m.DownloadArtifact(t.Context(), "x", 1<<20, func() io.Writer { got.Reset(); return &got })
	require.NoError(t, err)
	assert.Equal(t, "whole", got.String())
}

// The rest never comes, and the time limit of a whole transfer is long.
func TestADownloadThatStandsStillIsTriedOnceMore(t *testing.T) {
	for name, c := range map[string]struct {
		stalls int64
		whole  bool
	}{"once": {1, true}, "each time": {1000, false}} {
		t.Run(name, func(t *testing.T) {
			var n atomic.Int64
			m, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) <= c.stalls {
					w.Header().Set("Content-Length", "1000000")
					_, _ = fmt.Fprint(w, "a")
					assert.NoError(t, http.NewResponseController(w).Flush())
					<-r.Context().Done()
					return
				}
				_, _ = fmt.Fprint(w, "whole")
			}, func(o *mlflow.Options) { o.StallTimeout = 50 * time.Millisecond })
			var got strings.Builder
			_, err := m.DownloadArtifact(t.Context(), "x", 1<<20, func() io.Writer { got.Reset(); return &got })
			assert.EqualValues(t, 2, n.Load())
			if c.whole {
				require.NoError(t, err)
				assert.Equal(t, "whole", got.String())
				return
			}
			require.True(t, mlflow.IsKind(err, mlflow.Broken), "%v", err)
			assert.ErrorContains(t, err, "no byte came for 50ms")
		})
	}
}

func TestProxiedKnowsItsOwnServerOnly(t *testing.T) {
	m, _ := client(t, "http://mlflow.example.org:5000/prefix")
	for uri, want := range map[string]string{
		"mlflow-artifacts:/1/abc/artifacts":                          "1/abc/artifacts",
		"mlflow-artifacts://mlflow.example.org:5000/1/abc/artifacts": "1/abc/artifacts",
		"mlflow-artifacts:/api/2.0/mlflow-artifacts/artifacts/1/abc": "1/abc",
		"mlflow-artifacts:/../../etc/passwd":                         "etc/passwd",
		"mlflow-artifacts://other.example.org/1/abc":                 "",
		"s3://bucket/1": "", "file:///srv/x": "", "mlflow-artifacts:": "", "%zz": "",
	} {
		path, ok := m.Proxied(uri)
		assert.Equal(t, want != "", ok, uri)
		if ok {
			assert.Equal(t, want, path)
		}
	}
}

func TestKeysAndValuesFitTheServer(t *testing.T) {
	for in, want := range map[string]string{"val_loss": "val_loss", "f1 @ 0.5": "f1 _ 0.5", "": "_", "/a//b/": "a/b", "../x": "__/x", "é": "_"} {
		assert.Equal(t, want, mlflow.Key(in))
	}
	assert.Len(t, mlflow.Key(strings.Repeat("k", 300)), mlflow.MaxKey)
	assert.Equal(t, "äö", mlflow.Clip("äöü", 2))
	assert.Equal(t, "?", mlflow.Clip("\xff", 2))
}

func TestNumbersTravelAsProtocolBuffersWriteThem(t *testing.T) {
	for text, value := range map[string]float64{`"NaN"`: math.NaN(), `"Infinity"`: math.Inf(1), `"-Infinity"`: math.Inf(-1), `0.5`: 0.5} {
		b, err := json.Marshal(mlflow.Number(value))
		require.NoError(t, err)
		assert.Equal(t, text, string(b))
		var back mlflow.Number
		require.NoError(t, json.Unmarshal([]byte(text), &back))
		if !math.IsNaN(value) {
			assert.InDelta(t, value, float64(back), 0)
		} else {
			assert.True(t, math.IsNaN(float64(back)))
		}
	}
	var n mlflow.Number
	assert.Error(t, json.Unmarshal([]byte(`"many"`), &n))
}

// A proxy or another server may put null where a value belongs.
func TestNullsInAnswersEndNothing(t *testing.T) {
	m, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, map[string]string{
			"/api/2.0/mlflow/model-versions/search": `{"model_versions": [null, {"version": "1", "tags": null, "aliases": [null]}]}`,
			"/api/2.0/mlflow/runs/search":           `{"runs": [null, {"info": null, "data": {"metrics": [{"key": "a", "value": null}]}}]}`,
			"/api/2.0/mlflow/model-versions/get":    `{"model_version": {"version": null}}`,
		}[r.URL.Path])
	})
	versions, err := m.SearchModelVersions(t.Context(), "x")
	require.NoError(t, err)
	assert.Equal(t, "1", versions[1].Version)
	runs, err := m.SearchRuns(t.Context(), "1", "x", 10)
	require.NoError(t, err)
	assert.Len(t, runs, 2)
	_, err = m.GetModelVersion(t.Context(), "m", "1")
	assert.Equal(t, mlflow.NotJSON, kind(t, err).Kind, "it is no version")
}
