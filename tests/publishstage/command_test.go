//go:build unix

package publishstage_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// The command openstack-rca as its users run it, a process of its own, against servers in
// this process that can be told to fail in any way.

// canaries are the secrets: one with quotes and a line break, one of 8 characters, one that
// URLs and JSON have to escape. None of them may be seen anywhere, in any form.
var canaries = map[string]string{
	"AWS_SECRET_ACCESS_KEY":    "canary-\"one'&<two>/+\nsecond-line-of-it",
	"AWS_SESSION_TOKEN":        "cAn8ry#Z",
	"MLFLOW_TRACKING_PASSWORD": `pa"ss w%rd\of+canary`,
}

// forms are the ways in which a secret may show.
func forms(secret string) []string {
	quoted, err := json.Marshal(secret)
	if err != nil {
		panic(err) // a string can always be encoded
	}
	all := []string{secret, string(quoted[1 : len(quoted)-1]), url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)),
		strings.ToUpper(hex.EncodeToString([]byte(secret))), base64.StdEncoding.EncodeToString([]byte(secret)),
		base64.URLEncoding.EncodeToString([]byte(secret)), base64.RawStdEncoding.EncodeToString([]byte(secret))}
	return append(all, strings.Split(secret, "\n")...)
}

// scene is one source, one report directory and two servers.
type scene struct {
	t      *testing.T
	store  *ledgertest.Store
	mlf    *mlflowtest.Server
	env    map[string]string
	source string
	report string
	// started is called with the process.
	started func(*os.Process)
}

const (
	bucket     = "models-bucket"
	folder     = "group6-capstone/tiny-staging_0001/"
	tinyModel  = "tiny_staging_tiny_model"
	experiment = "tiny_staging"
)

func newScene(t *testing.T) *scene {
	t.Helper()
	reachable.Python(t)
	s := &scene{t: t, store: ledgertest.Start(t, bucket), mlf: mlflowtest.Start(t), report: filepath.Join(t.TempDir(), "report"),
		source: filepath.Join(reachable.Root(), "tests", "fixtures", "tiny")}
	s.mlf.Username, s.mlf.Password = "robot", canaries["MLFLOW_TRACKING_PASSWORD"]
	s.env = map[string]string{"MLFLOW_TRACKING_URI": s.mlf.URL, "MLFLOW_S3_ENDPOINT_URL": s.store.URL, "MLFLOW_ARTIFACT_ROOT": "s3://" + bucket + "/group6-capstone",
		"MLFLOW_TRACKING_USERNAME": "robot", "AWS_ACCESS_KEY_ID": "test-access-key", "AWS_DEFAULT_REGION": "ap-south-1"}
	for name, value := range canaries {
		s.env[name] = value
	}
	return s
}

var command = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "openstack-rca-publishstage-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "openstack-rca")
	build := exec.Command("go", "build", "-o", path, "./ci/cmd/openstack-rca")
	build.Dir = reachable.Root()
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the command: %w: %s", err, out)
	}
	return path, nil
})

// published is what a run of the command left.
type published struct {
	exit   int
	output string
	report reported
}

// run runs the command; args follow its name.
func (s *scene) run(args ...string) published {
	s.t.Helper()
	path, err := command()
	require.NoError(s.t, err)
	require.NoError(s.t, os.RemoveAll(s.report))
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	process := exec.CommandContext(ctx, path, append(args, "--verbose", "--source", s.source, "--environment", "staging", "--ref", "main", "--commit", "0123456789abcdef", "--report", s.report)...)
	process.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}
	for _, name := range []string{"XDG_CACHE_HOME", "TMPDIR", "SSL_CERT_FILE", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_INDEX_URL", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"} {
		if value := os.Getenv(name); value != "" {
			process.Env = append(process.Env, name+"="+value)
		}
	}
	for name, value := range s.env {
		process.Env = append(process.Env, name+"="+value)
	}
	var output bytes.Buffer
	process.Stdout, process.Stderr = &output, &output
	require.NoError(s.t, process.Start())
	if s.started != nil {
		s.started(process.Process)
	}
	err = process.Wait()
	left := published{output: output.String()}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		left.exit = failed.ExitCode()
	} else {
		require.NoError(s.t, err, left.output)
	}
	if data, err := os.ReadFile(filepath.Join(s.report, "report.json")); err == nil {
		require.NoError(s.t, json.Unmarshal(data, &left.report))
	}
	return left
}

// noSecret demands that no canary is in the output, the report, the store or the server.
func (s *scene) noSecret(left published) {
	s.t.Helper()
	places := map[string]string{"output": left.output, "MLflow": fmt.Sprint(s.mlf.Runs(), s.mlf.Versions(tinyModel))}
	for _, key := range s.store.Keys() {
		object, _ := s.store.Get(key)
		places["s3 "+key] = fmt.Sprint(key, string(object.Content), object.Meta)
	}
	for name, content := range s.mlf.Artifacts() {
		places["artifact "+name] = name + string(content)
	}
	require.NoError(s.t, filepath.WalkDir(s.report, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return nil //nolint:nilerr // a refused command line leaves no report
		}
		content, err := os.ReadFile(path)
		places["report "+path] = string(content)
		return err
	}))
	for place, content := range places {
		for name, secret := range canaries {
			for _, form := range forms(secret) {
				assert.False(s.t, strings.Contains(content, form), "%s shows %s as %q", place, name, form)
			}
		}
	}
}

// commits counts the committed versions.
func (s *scene) commits() int {
	n := 0
	for _, key := range s.store.Keys() {
		if strings.HasSuffix(key, "/COMMIT.json") {
			n++
		}
	}
	return n
}

// failMLflow makes calls of the server fail; the message tells everything it was told.
func (s *scene) failMLflow(part string, status int, code string) {
	s.mlf.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Method+" "+r.URL.Path, part) {
			return false
		}
		mlflowtest.Fail(w, status, code, "refused: "+telltale(r))
		return true
	})
}

// failStore makes requests to the store fail.
func (s *scene) failStore(method, part string, status int, code string) {
	s.store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.String(), part) {
			return false
		}
		ledgertest.Fail(w, status, code, "refused: "+telltaleXML(r))
		return true
	})
}

// telltale repeats what a careless server repeats: credentials, as they came and decoded.
func telltale(r *http.Request) string {
	password := canaries["MLFLOW_TRACKING_PASSWORD"]
	_, sent, _ := r.BasicAuth()
	return r.Header.Get("Authorization") + " " + sent + " " + hex.EncodeToString([]byte(password)) + " " + url.QueryEscape(password) + fmt.Sprintf(" %q", password)
}

func telltaleXML(r *http.Request) string {
	return r.Header.Get("X-Amz-Security-Token") + " " + base64.StdEncoding.EncodeToString([]byte(canaries["AWS_SECRET_ACCESS_KEY"]))
}

// large makes the source train a model of 40 MiB: three parts.
func (s *scene) large() {
	dir := filepath.Join(s.t.TempDir(), "source")
	require.NoError(s.t, os.CopyFS(dir, os.DirFS(s.source)))
	network := filepath.Join(dir, "app", "network.py")
	content, err := os.ReadFile(network)
	require.NoError(s.t, err)
	require.Contains(s.t, string(content), "bytes(2048)")
	require.NoError(s.t, os.WriteFile(network, bytes.ReplaceAll(content, []byte("bytes(2048)"), []byte("bytes(40 << 20)")), 0o600))
	s.source = dir
}

// row is a row of the fault matrix.
type row struct {
	name    string
	breaks  func(*scene)
	code    string
	cause   string
	verdict string
	// commits is how many versions are committed in spite of it, runs and versions what MLflow has.
	commits, versions int
	// lasts says that mending the servers is not enough for the same command to pass.
	lasts bool
	// tells says that the server repeats the credentials in its answer.
	tells bool
	// number is the version after mending; 1 unless said.
	number string
}

func rows() []row {
	down := func(part string) func(*scene) {
		return func(s *scene) { s.failMLflow(part, 503, "TEMPORARILY_UNAVAILABLE") }
	}
	store := func(method, part string, status int, code string) func(*scene) {
		return func(s *scene) { s.failStore(method, part, status, code) }
	}
	const uploaded = "could-not-run"
	return []row{
		{tells: true, name: "31 MLflow is down at get experiment", breaks: down("experiments/get-by-name"), code: "UNREACHABLE", cause: "get experiment", verdict: "could-not-run"},
		{name: "32 MLflow is down at create run", breaks: down("runs/create"), code: "UNREACHABLE", cause: "create run", verdict: uploaded},
		{name: "33 MLflow is down at log metrics", breaks: down("runs/log-batch"), code: "UNREACHABLE", cause: "log", verdict: uploaded},
		{tells: true, name: "34 MLflow is down at create model version", breaks: down("model-versions/create"), code: "REGISTRY_FAILED", cause: "create version", verdict: "fail"},
		{name: "35 the answer to create model version is lost", breaks: func(s *scene) {
			var lost atomic.Bool
			s.mlf.SetAfter(func(r *http.Request) bool {
				return strings.HasSuffix(r.URL.Path, "model-versions/create") && lost.CompareAndSwap(false, true)
			})
		}, verdict: "pass", commits: 1, versions: 1},
		{name: "36 MLflow is down at the alias", breaks: down("POST /api/2.0/mlflow/registered-models/alias"), code: "ALIAS_FAILED", cause: "set alias", verdict: "fail", commits: 1, versions: 1},
		{name: "36 MLflow is down at the tag", breaks: down("model-versions/set-tag"), code: "ALIAS_FAILED", cause: "set tag", verdict: "fail", commits: 1, versions: 1},
		// From here on the server still answers who the champion is, which the training asks first.
		{name: "37 401", tells: true, breaks: func(s *scene) { s.failMLflow("experiments", 401, "UNAUTHENTICATED") }, code: "AUTH", cause: "401", verdict: "could-not-run"},
		{tells: true, name: "37 403", breaks: func(s *scene) { s.failMLflow("experiments", 403, "PERMISSION_DENIED") }, code: "AUTH", cause: "403", verdict: "could-not-run"},
		{name: "37 429", breaks: func(s *scene) {
			s.mlf.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "experiments") {
					return false
				}
				w.Header().Set("Retry-After", "1")
				mlflowtest.Fail(w, 429, "REQUEST_LIMIT_EXCEEDED", telltale(r))
				return true
			})
		}, code: "THROTTLED", cause: "429", verdict: "could-not-run"},
		{name: "37 a login page", breaks: func(s *scene) {
			s.mlf.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "experiments") {
					return false
				}
				w.Header().Set("Content-Type", "text/html")
				fmt.Fprint(w, "<html>Sign in</html>")
				return true
			})
		}, code: "NOT_JSON", cause: "text/html", verdict: "could-not-run"},
		{name: "37 version skew", breaks: func(s *scene) { s.failMLflow("runs/search", 404, "ENDPOINT_NOT_FOUND") }, code: "API_UNSUPPORTED", cause: "404", verdict: uploaded},
		{name: "38 the experiment is deleted", breaks: func(s *scene) { s.mlf.AddExperiment(experiment, "deleted") }, code: "EXPERIMENT_DELETED", cause: experiment, verdict: "fail", lasts: true},
		{tells: true, name: "39 access denied", breaks: store("GET", "list-type=2", 403, "AccessDenied"), code: "S3_ACCESS_DENIED", cause: "s3:ListBucket", verdict: "could-not-run"},
		{name: "39 no such bucket", breaks: func(s *scene) { s.env["MLFLOW_ARTIFACT_ROOT"] = "s3://another-bucket/x" }, code: "S3_NO_BUCKET", cause: "another-bucket", verdict: "could-not-run", lasts: true},
		{name: "39 wrong region", breaks: func(s *scene) {
			s.store.SetBefore(func(w http.ResponseWriter, _ *http.Request) bool {
				w.Header().Set("X-Amz-Bucket-Region", "eu-central-1")
				ledgertest.Fail(w, 301, "PermanentRedirect", "elsewhere")
				return true
			})
		}, code: "S3_WRONG_REGION", cause: "eu-central-1", verdict: "could-not-run"},
		{name: "39 clock skew", breaks: store("GET", "list-type=2", 403, "RequestTimeTooSkewed"), code: "CLOCK_SKEW", cause: "RequestTimeTooSkewed", verdict: "could-not-run"},
		{name: "40 part 3 fails, then the abort fails", breaks: func(s *scene) {
			s.large()
			s.store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Query().Get("partNumber") == "3" || r.Method == http.MethodDelete {
					ledgertest.Fail(w, 403, "AccessDenied", "no")
					return true
				}
				return false
			})
		}, code: "UPLOAD_PARTIAL", cause: "upload id upload-1", verdict: "fail"},
		{name: "41 read-back differs", breaks: func(s *scene) {
			s.store.SetAfter(func(r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, ".keras") {
					s.store.Set(folder+"models/tiny_model_v1.keras", []byte("flipped"))
				}
				return false
			})
		}, code: "CORRUPT", cause: "reads back with sha256", verdict: "fail", lasts: true},
		{name: "42 the number is taken", breaks: func(s *scene) {
			var once sync.Once
			s.store.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "0001/CLAIM.json") {
					once.Do(func() {
						s.store.Set(folder+"CLAIM.json", []byte(`{"schema":1,"number":1,"idempotency_key":"other","claimed_at":"2026-11-22T00:00:00Z"}`))
					})
				}
				return false
			})
		}, verdict: "pass", commits: 1, versions: 1, number: "2"},
		{name: "42 a conflicting request is in flight", breaks: func(s *scene) {
			var seen atomic.Int64
			s.store.SetBefore(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodPut || !strings.HasSuffix(r.URL.Path, "CLAIM.json") || seen.Add(1) > 1 {
					return false
				}
				ledgertest.Fail(w, 409, "ConditionalRequestConflict", "in flight")
				return true
			})
		}, verdict: "pass", commits: 1, versions: 1},
		{name: "43 a storm of SlowDown", breaks: store("PUT", "CLAIM", 503, "SlowDown"), code: "THROTTLED", cause: "SlowDown", verdict: "could-not-run"},
		{name: "44 more than 1000 versions, junk, another environment", breaks: func(s *scene) {
			for n := 1; n <= 1100; n++ {
				s.store.Set(fmt.Sprintf("group6-capstone/tiny-staging_%04d/CLAIM.json", n), fmt.Appendf(nil, `{"schema":1,"number":%d,"idempotency_key":"k%d","claimed_at":"2026-11-22T00:00:00Z"}`, n, n))
				s.store.Set(fmt.Sprintf("group6-capstone/tiny-staging_%04d/COMMIT.json", n), nil)
			}
			for _, junk := range []string{"tiny-staging_v007/x", "tiny-staging_7/x", "tiny-staging_0000/x", "tiny-staging_notes.txt", "tiny-production_9999/COMMIT.json"} {
				s.store.Set("group6-capstone/"+junk, nil)
			}
		}, verdict: "pass", commits: 1102, versions: 1, number: "1101"},
		{name: "45 another model is committed there", breaks: func(s *scene) {
			s.store.SetBefore(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "COMMIT.json") {
					s.store.Set(folder+"COMMIT.json", []byte(`{"schema":1,"number":1,"idempotency_key":"other","model":"models/x","files":[{"path":"models/x","sha256":"00","bytes":1}]}`))
				}
				return false
			})
		}, code: "CONFLICT", cause: "sha256 00", verdict: "fail", commits: 1, versions: 1, lasts: true},
		{name: "74 the store ignores If-None-Match", breaks: func(s *scene) { s.store.IgnoreConditions = true }, code: "STORE_NO_CAS", cause: "If-None-Match", verdict: "could-not-run", lasts: true},
		{name: "75 a record of a newer schema", breaks: func(s *scene) { s.store.Set(folder+"CLAIM.json", []byte(`{"schema": 2}`)) }, code: "LEDGER_UNREADABLE", cause: "schema is 2", verdict: "could-not-run", lasts: true},
		{name: "75 a record that is not JSON", breaks: func(s *scene) { s.store.Set(folder+"CLAIM.json", []byte(`<html>`)) }, code: "LEDGER_UNREADABLE", cause: "not JSON", verdict: "could-not-run", lasts: true},
	}
}

// TestEveryFaultOfTheMatrix demands four things for each row: the code in the report, the
// exit status, the state of the servers, and that no secret shows; and then that the same
// command finishes the work once the servers are well.
func TestEveryFaultOfTheMatrix(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits as long as the retries of a real run; run without -short")
	}
	newScene(t).run("plan") // builds the command and the environment once
	var group sync.WaitGroup
	room := make(chan struct{}, 12)
	type result struct {
		scene       *scene
		left, again published
		commits     int
		versions    int
		alias       int
	}
	all := rows()
	results := make([]result, len(all))
	for i, r := range all {
		s := newScene(t)
		group.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			r.breaks(s)
			left := s.run("publish")
			results[i] = result{scene: s, left: left, commits: s.commits(), versions: len(s.mlf.Versions(tinyModel)), alias: s.mlf.Alias(tinyModel, "champion")}
			s.noSecret(left)
			if !r.lasts {
				s.mlf.SetBefore(nil)
				s.store.SetBefore(nil)
				s.store.SetAfter(nil)
				results[i].again = s.run("publish")
				s.noSecret(results[i].again)
			}
		})
	}
	group.Wait()
	for i, r := range all {
		t.Run(r.name, func(t *testing.T) {
			got := results[i]
			stage := got.left.report.publish(t)
			assert.Equal(t, r.verdict, stage.Verdict, got.left.output)
			assert.Equal(t, r.code, stage.Code, stage.Cause)
			assert.Equal(t, r.commits, got.commits)
			if r.versions > 0 || r.commits > 0 {
				assert.Equal(t, r.versions, got.versions)
			}
			if r.verdict == "pass" {
				assert.Equal(t, 0, got.left.exit)
			} else {
				assert.Equal(t, 1, got.left.exit)
				assert.Contains(t, stage.Cause, r.cause)
				assert.Contains(t, got.left.output, "FAIL publish "+r.code+": ")
				assert.Contains(t, got.left.output, "Next: ")
				if r.commits == 0 || r.code == "CONFLICT" {
					assert.Zero(t, got.alias, "no alias moved")
				}
				if r.tells {
					assert.Contains(t, got.left.output, "refused: ", "the server's own words are shown")
					assert.Contains(t, got.left.output, "***", "without the secrets in them")
				}
			}
			if r.lasts {
				return
			}
			require.Equal(t, 0, got.again.exit, got.again.output)
			number := r.number
			if number == "" {
				number = "1"
			}
			assert.True(t, strings.HasPrefix(got.again.report.publish(t).fact("version"), number+", "), got.again.report.publish(t).fact("version"))
			assert.Len(t, got.scene.mlf.Versions(tinyModel), 1)
			assert.Len(t, slices.DeleteFunc(got.scene.mlf.Runs(), func(r mlflowtest.Run) bool { return r.Deleted }), 1)
			assert.Equal(t, 1, got.scene.mlf.Alias(tinyModel, "champion"))
			assert.Empty(t, got.scene.store.Uploads(), "parts of a failed upload are gone")
		})
	}
}

// TestKilledAfterEveryCallThenRunAgain kills the process, with SIGKILL, after each single
// call to either server: executed, and never answered. Run again, there is one version.
func TestKilledAfterEveryCallThenRunAgain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("runs the command a hundred times; run without -short")
	}
	first := newScene(t)
	var calls atomic.Int64
	count := func(*http.Request) bool { calls.Add(1); return false }
	first.mlf.SetAfter(count)
	first.store.SetAfter(count)
	require.Equal(t, 0, first.run("publish").exit)
	n := calls.Load()
	require.Greater(t, n, int64(25))
	t.Logf("a publication makes %d calls", n)

	var group sync.WaitGroup
	room := make(chan struct{}, 6)
	failures := make([]string, n+1)
	for at := range n + 1 {
		s := newScene(t)
		group.Go(func() {
			room <- struct{}{}
			defer func() { <-room }()
			failures[at] = s.killedAfter(at)
		})
	}
	group.Wait()
	for at, failure := range failures {
		assert.Empty(t, failure, "killed after call %d of %d", at, n)
	}
}

// killedAfter kills one publication after its n-th call, runs it again and says what is
// wrong with what is left.
func (s *scene) killedAfter(n int64) string {
	process := make(chan *os.Process, 1)
	s.started = func(p *os.Process) { process <- p }
	var calls atomic.Int64
	var once sync.Once
	kill := func() {
		once.Do(func() { _ = (<-process).Kill() }) // it may have ended by itself
	}
	before := func(http.ResponseWriter, *http.Request) bool {
		if calls.Add(1) > n {
			kill()
			panic(http.ErrAbortHandler)
		}
		return false
	}
	after := func(*http.Request) bool {
		if calls.Load() >= n {
			kill()
			return true
		}
		return false
	}
	s.store.SetBefore(before)
	s.mlf.SetBefore(before)
	s.store.SetAfter(after)
	s.mlf.SetAfter(after)
	if killed := s.run("publish"); killed.exit != -1 {
		return fmt.Sprintf("it ended by itself: %d %s", killed.exit, killed.output)
	}
	s.started = nil
	s.store.SetBefore(nil)
	s.mlf.SetBefore(nil)
	s.store.SetAfter(nil)
	s.mlf.SetAfter(nil)
	// What is left is listed, before anybody finishes it.
	claims := 0
	for _, key := range s.store.Keys() {
		if strings.HasSuffix(key, "/CLAIM.json") {
			claims++
		}
	}
	s.run("models")
	var list struct {
		Versions []struct{ State string } `json:"versions"`
	}
	if data, err := os.ReadFile(filepath.Join(s.report, "publish", "models.json")); err != nil || json.Unmarshal(data, &list) != nil || len(list.Versions) != claims {
		return fmt.Sprintf("%d claims, listed: %+v", claims, list)
	}
	if claims > 0 && (list.Versions[0].State == "committed") != (s.commits() == 1) {
		return fmt.Sprintf("%d commits, listed: %+v", s.commits(), list)
	}
	again := s.run("publish")
	s.noSecret(again)
	switch {
	case again.exit != 0:
		return again.output
	case s.commits() != 1 || len(s.mlf.Versions(tinyModel)) != 1 || len(s.mlf.Runs()) != 1:
		return fmt.Sprintf("%d commits, %d versions, %d runs", s.commits(), len(s.mlf.Versions(tinyModel)), len(s.mlf.Runs()))
	case s.mlf.Runs()[0].Status != "FINISHED":
		return "the run is " + s.mlf.Runs()[0].Status
	case s.mlf.Alias(tinyModel, "staging") != 1 || s.mlf.Alias(tinyModel, "champion") != 1:
		return "an alias is elsewhere"
	}
	for _, key := range s.store.Keys() {
		if strings.Contains(key, "tiny-staging_0002") {
			return "a second number is taken: " + key
		}
	}
	listed := s.run("models")
	if open := listed.report.publish(s.t).fact("committed versions listed"); listed.exit != 0 || open != "1" {
		return listed.output
	}
	return ""
}
