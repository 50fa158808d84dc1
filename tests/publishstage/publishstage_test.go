//go:build unix

// Package publishstage_test publishes to a real MLflow server and a real S3 API, both
// from their packages and started by the tests, through the native runner.
package publishstage_test

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// servers are the sandbox, started.
type servers struct {
	runner     *native.Runner
	mlflow, s3 *runner.Running
	target     publish.Target
}

func start(t *testing.T, mlflowService func(runner.Runner) runner.Service) *servers {
	t.Helper()
	reachable.Python(t)
	if testing.Short() {
		t.Skip("starting real servers takes seconds; run without -short")
	}
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	s := &servers{runner: r}
	run := func(service runner.Service) *runner.Running {
		started := time.Now()
		running, err := r.Start(t.Context(), service)
		require.NoError(t, err)
		t.Logf("%s answers after %.1f s, its environment included", service.Name, time.Since(started).Seconds())
		return running
	}
	s.mlflow, s.s3 = run(mlflowService(r)), run(sandbox.S3(r))
	s.target, err = sandbox.Target(t.Context(), s.mlflow, s.s3)
	require.NoError(t, err)
	again, err := sandbox.Target(t.Context(), s.mlflow, s.s3)
	require.NoError(t, err, "the bucket is there already")
	assert.Equal(t, s.target, again)
	return s
}

func (s *servers) input(m *model.Artifact) publish.Input {
	return publish.Input{Config: config.Default(), Model: m, Environment: "sandbox", Commit: "c0ffee", Tree: "tree-1", Target: s.target}
}

func (s *servers) client(t *testing.T) *mlflow.Client {
	t.Helper()
	c, err := mlflow.New(mlflow.Options{TrackingURI: s.target.TrackingURI})
	require.NoError(t, err)
	return c
}

// object reads an object with a plain client.
func (s *servers) object(t *testing.T, key string) []byte {
	t.Helper()
	client := s3.New(s3.Options{BaseEndpoint: aws.String(s.target.S3Endpoint), UsePathStyle: true, Region: sandbox.Region,
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKey, sandbox.SecretKey, "")})
	out, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(sandbox.Bucket), Key: aws.String(key)})
	require.NoError(t, err)
	defer out.Body.Close()
	var b bytes.Buffer
	_, err = b.ReadFrom(out.Body)
	require.NoError(t, err)
	return b.Bytes()
}

// archive is a .keras file in form, with the given text for weights.
func archive(t *testing.T, weights []byte) *model.Artifact {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, content := range map[string][]byte{"metadata.json": []byte(`{"keras_version": "3.15.1"}`), "config.json": []byte("{}")} {
		f, err := z.Create(name)
		require.NoError(t, err)
		_, err = f.Write(content)
		require.NoError(t, err)
	}
	f, err := z.CreateHeader(&zip.FileHeader{Name: "model.weights.h5", Method: zip.Store})
	require.NoError(t, err)
	_, err = f.Write(weights)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lstm_model.keras"), b.Bytes(), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lstm_model.json"), []byte(`{"versions":{"tensorflow":"2.21.0"}}`), 0o600))
	return describe(t, dir)
}

// describe is the artifact in a directory.
func describe(t *testing.T, dir string) *model.Artifact {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, "lstm_model.keras"))
	require.NoError(t, err)
	sum := sha256.Sum256(content)
	m := &model.Artifact{Format: "keras", Dir: dir, File: "lstm_model.keras", SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(content)),
		Metrics: map[string]float64{"accuracy": 0.97}, History: map[string][]model.Point{}, Data: "sha256:data",
		Params: map[string]string{"epochs": "1200"}, Tags: map[string]string{"task": "root_cause"}}
	for step := range int64(1200) { // more than one batch holds
		m.History["loss"] = append(m.History["loss"], model.Point{Step: step, Timestamp: 1_790_000_000_000 + step, Value: 1 / float64(step+1)})
	}
	return m
}

const registered = "openstack_rca_system_sandbox_lstm_model"

// checkPublished publishes twice and looks at both servers with plain clients.
func checkPublished(t *testing.T, s *servers) {
	t.Helper()
	m := archive(t, []byte("weights"))
	champion, err := publish.ChampionOf(t.Context(), s.input(nil))
	require.NoError(t, err)
	assert.Nil(t, champion, "nothing is published yet")

	started := time.Now()
	result := publish.Run(t.Context(), s.input(m))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	t.Logf("published in %.2f s", time.Since(started).Seconds())
	v := result.Version
	assert.Equal(t, "s3://openstack-rca-sandbox/models/openstack-rca-system-sandbox_0001/models/lstm_model_v1.keras", v.URI)
	assert.Equal(t, []string{"sandbox", "champion"}, v.Aliases)

	sum := sha256.Sum256(s.object(t, "models/openstack-rca-system-sandbox_0001/models/lstm_model_v1.keras"))
	assert.Equal(t, m.SHA256, hex.EncodeToString(sum[:]))
	var commit struct {
		SHA []struct {
			SHA256 string `json:"sha256"`
		} `json:"files"`
		RunID string `json:"run_id"`
	}
	require.NoError(t, json.Unmarshal(s.object(t, "models/openstack-rca-system-sandbox_0001/COMMIT.json"), &commit))
	assert.Equal(t, m.SHA256, commit.SHA[0].SHA256)
	assert.Equal(t, v.RunID, commit.RunID)

	c := s.client(t)
	for _, alias := range v.Aliases {
		pointed, err := c.ModelVersionByAlias(t.Context(), registered, alias)
		require.NoError(t, err)
		require.NotNil(t, pointed, alias)
		assert.Equal(t, v.RegistryVersion, pointed.Version)
		assert.Equal(t, m.SHA256, pointed.Tags["model_sha256"])
		assert.NotEmpty(t, pointed.Tags["committed"])
	}
	run, err := c.GetRun(t.Context(), v.RunID)
	require.NoError(t, err)
	assert.Equal(t, "FINISHED", run.Status)
	assert.Equal(t, "1200", run.Params["epochs"])
	assert.InDelta(t, 0.97, run.Metrics["accuracy"], 0)
	assert.InDelta(t, 1.0/1200, run.Metrics["loss"], 1e-9)

	started = time.Now()
	again := publish.Run(t.Context(), s.input(m))
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
	t.Logf("found published in %.2f s", time.Since(started).Seconds())
	assert.True(t, again.Version.Already)
	assert.Equal(t, v.Number, again.Version.Number)
	versions, err := c.SearchModelVersions(t.Context(), "name = '"+registered+"'")
	require.NoError(t, err)
	assert.Len(t, versions, 1)

	champion, err = publish.ChampionOf(t.Context(), s.input(nil))
	require.NoError(t, err)
	require.NotNil(t, champion)
	assert.InDelta(t, 0.97, champion.Metrics["accuracy"], 0)
}

func (s *servers) version(t *testing.T) string {
	resp, err := http.Get(s.target.TrackingURI + "/version")
	require.NoError(t, err)
	version, err := io.ReadAll(resp.Body)
	require.NoError(t, errors.Join(err, resp.Body.Close()))
	return string(version)
}

func TestPublishToMLflow3(t *testing.T) {
	t.Parallel()
	s := start(t, sandbox.MLflow)
	assert.Regexp(t, `^3\.`, s.version(t))
	checkPublished(t, s)

	t.Run("what publishing does not ask", func(t *testing.T) { checkRest(t, s) })
	t.Run("promotion, rollback, listing and cleaning", func(t *testing.T) { checkOperations(t, s) })
	t.Run("publishers at once", func(t *testing.T) { checkConcurrent(t, s) })
	t.Run("a file of several parts", func(t *testing.T) { checkLarge(t, s) })
}

// checkRest uses the calls of the client that publishing does not.
func checkRest(t *testing.T, s *servers) {
	c := s.client(t)
	v, err := c.GetModelVersion(t.Context(), registered, "1")
	require.NoError(t, err)
	path, ok := c.Proxied(v.Source)
	require.True(t, ok, v.Source)
	for _, name := range []string{"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt"} {
		_, err := c.DownloadArtifact(t.Context(), path+"/"+name, 1<<20, func() io.Writer { return io.Discard })
		require.NoError(t, err, name)
	}

	missing, err := c.ModelVersionByAlias(t.Context(), registered, "other")
	require.NoError(t, err)
	assert.Nil(t, missing)

	require.NoError(t, c.SetModelVersionTag(t.Context(), registered, "1", mlflow.Tag{Key: "a.b", Value: "c"}))
	_, err = c.GetModelVersion(t.Context(), registered, "999")
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "%v", err)
	_, err = c.ExperimentByName(t.Context(), "no such experiment")
	assert.True(t, mlflow.IsKind(err, mlflow.NotFound), "%v", err)
	_, err = c.DownloadArtifact(t.Context(), path+"/nothing", 1<<20, func() io.Writer { return io.Discard })
	assert.Error(t, err)
}

func checkConcurrent(t *testing.T, s *servers) {
	const publishers = 50
	results := make([]*publish.Result, publishers)
	started := time.Now()
	var group sync.WaitGroup
	for i := range results {
		in := s.input(archive(t, fmt.Appendf(nil, "weights %d", i)))
		in.Model.History = nil // a thousand points each would only measure SQLite
		in.Environment = "crowd"
		group.Go(func() { results[i] = publish.Run(t.Context(), in) })
	}
	group.Wait()
	var numbers []int
	last := ""
	for _, r := range results {
		require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
		numbers = append(numbers, r.Version.Number)
		if r.Version.Number == publishers {
			last = r.Version.RegistryVersion
		}
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		assert.Equal(t, i+1, n, "distinct and consecutive")
	}
	versions, err := s.client(t).SearchModelVersions(t.Context(), "name = 'openstack_rca_system_crowd_lstm_model'")
	require.NoError(t, err)
	assert.Len(t, versions, publishers)
	t.Logf("%d publishers at once took %.1f s", publishers, time.Since(started).Seconds())
	champion, err := s.client(t).ModelVersionByAlias(t.Context(), "openstack_rca_system_crowd_lstm_model", "champion")
	require.NoError(t, err)
	assert.Equal(t, last, champion.Version)
}

// checkOperations promotes, rolls back, lists and cleans on real servers.
func checkOperations(t *testing.T, s *servers) {
	in := func(weights string) publish.Input {
		i := s.input(archive(t, []byte(weights)))
		i.Environment = "operations"
		return i
	}
	for _, weights := range []string{"one", "two"} {
		require.Equal(t, verdict.Pass, publish.Run(t.Context(), in(weights)).Stage.Verdict)
	}
	const model = "openstack_rca_system_operations_lstm_model"
	c := s.client(t)
	at := func(alias, version string) {
		t.Helper()
		aliases, err := c.Aliases(t.Context(), model)
		require.NoError(t, err)
		assert.Equal(t, version, aliases[alias], alias)
	}
	passed := func(r *publish.Registry) *publish.Registry {
		t.Helper()
		require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
		return r
	}
	before := s.objects(t)
	passed(publish.Promote(t.Context(), in("x"), publish.Move{Alias: "production", By: "release team"}))
	at("production", "2")
	passed(publish.Promote(t.Context(), in("x"), publish.Move{Alias: "production", Number: 1}))
	at("production", "1")
	at("champion", "1")
	passed(publish.Rollback(t.Context(), in("x"), publish.Move{Alias: "production"}))
	at("production", "2")
	passed(publish.Rollback(t.Context(), in("x"), publish.Move{Alias: "production"}))
	at("production", "2")
	assert.Equal(t, before, s.objects(t), "nothing is uploaded")

	// A publication that ended before its commit.
	dead, cancel := context.WithCancel(t.Context())
	third := in("three")
	third.Check = func(context.Context, string, string) publish.Checked {
		cancel()
		return publish.Checked{Problem: verdict.Problemf(publish.CodeVerifyFailed, "killed here")}
	}
	require.NotEqual(t, verdict.Pass, publish.Run(dead, third).Stage.Verdict)
	list := passed(publish.List(t.Context(), in("x"), 0))
	require.Len(t, list.Versions, 3)
	assert.Equal(t, publish.StateRegistered, list.Versions[0].State)
	passed(publish.Clean(t.Context(), in("x"), []int{3}))
	list = passed(publish.List(t.Context(), in("x"), 0))
	assert.Equal(t, publish.StateAbandoned, list.Versions[0].State)
	assert.Zero(t, list.Versions[0].Files)
	assert.ElementsMatch(t, []string{"operations", "production", "champion"}, append(list.Versions[1].Aliases, list.Versions[2].Aliases...))
	versions, err := c.SearchModelVersions(t.Context(), "name = '"+model+"'")
	require.NoError(t, err)
	assert.Len(t, versions, 2)
	third.Check = nil
	again := publish.Run(t.Context(), third)
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
	assert.Equal(t, 4, again.Version.Number)
	at("champion", again.Version.RegistryVersion)
}

func checkLarge(t *testing.T, s *servers) {
	in := s.input(archive(t, bytes.Repeat([]byte("0123456789abcdef"), 40<<20/16)))
	in.Environment = "large"
	result := publish.Run(t.Context(), in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Len(t, s.object(t, "models/openstack-rca-system-large_0001/models/lstm_model_v1.keras"), int(in.Model.Bytes))
}

// mlflow2 is the last server of the 2.x line.
func mlflow2(r runner.Runner) runner.Service {
	service := sandbox.MLflow(r)
	service.Name = "mlflow2"
	service.Env.Files = service.Env.Files.With(".", r.NewFiles(map[string][]byte{"mlflow.lock": []byte(
		"mlflow-skinny==2.22.5\nflask<4\nsqlalchemy<2.1\nalembic<2\ngunicorn\nJinja2\nMarkdown\ngraphene\npandas<3\nnumpy\n")}))
	service.Env.Install = [][]string{{"uv", "pip", "install", "--quiet", "-r", "mlflow.lock"}, {"python", "serve_mlflow.py", "prepare"}}
	return service
}

func TestPublishToMLflow2(t *testing.T) {
	t.Parallel()
	s := start(t, mlflow2)
	assert.Regexp(t, `^2\.`, s.version(t))
	checkPublished(t, s)
	t.Run("promotion, rollback, listing and cleaning", func(t *testing.T) { checkOperations(t, s) })
}

// edited is an MLflow server with further packages and changes to the script that starts
// it: old text and new, in turn.
func edited(r runner.Runner, service runner.Service, name string, packages []string, changes ...string) runner.Service {
	service.Name = name
	script, err := os.ReadFile(filepath.Join(reachable.Root(), "ci", "sandbox", "serve_mlflow.py"))
	if err != nil {
		panic(err) // the file is part of the repository
	}
	service.Inputs = []runner.Mount{{Path: ".", Files: r.NewFiles(map[string][]byte{"serve_mlflow.py": []byte(strings.NewReplacer(changes...).Replace(string(script)))})}}
	if len(packages) > 0 {
		service.Env.Install = append(slices.Clone(service.Env.Install), append([]string{"uv", "pip", "install", "--quiet"}, packages...))
	}
	return service
}

// directly keeps artifacts in the S3 API, where clients have to put and fetch them themselves.
func directly(r runner.Runner) runner.Service {
	return edited(r, sandbox.MLflow(r), "mlflow-direct", nil, `"mlflow-artifacts:/"`, `"s3://`+sandbox.Bucket+`/mlflow"`, `_MLFLOW_SERVER_SERVE_ARTIFACTS="true"`, `_MLFLOW_SERVER_SERVE_ARTIFACTS="false"`)
}

func TestPublishWithArtifactsDirectlyOnS3(t *testing.T) {
	t.Parallel()
	s := start(t, directly)
	checkPublished(t, s)
	v, err := s.client(t).GetModelVersion(t.Context(), registered, "1")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(v.Source, "s3://"+sandbox.Bucket+"/mlflow/"), v.Source)
	key := strings.TrimPrefix(v.Source, "s3://"+sandbox.Bucket+"/")
	assert.Contains(t, string(s.object(t, key+"/MLmodel")), "mlflow.keras")
	sum := sha256.Sum256(s.object(t, key+"/data/model.keras"))
	assert.Equal(t, v.Tags["model_sha256"], hex.EncodeToString(sum[:]))
}

// password is a password of the tests' server.
type password string

func (password) Name() string                                { return "MLFLOW_TRACKING_PASSWORD" }
func (p password) Plaintext(context.Context) (string, error) { return string(p), nil }

func TestPublishWithBasicAuthentication(t *testing.T) {
	t.Parallel()
	s := start(t, func(r runner.Runner) runner.Service {
		// Of the 2.x line, where the application with authentication is still WSGI.
		service := edited(r, mlflow2(r), "mlflow-auth", []string{"Flask-WTF==1.2.2"}, "mlflow.server:app", "mlflow.server.auth:create_app()")
		service.Inputs = append(service.Inputs, runner.Mount{Path: ".", Files: r.NewFiles(map[string][]byte{"auth.ini": []byte(
			"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///auth.db\nadmin_username = robot\nadmin_password = robots-password-12\n" +
				"authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n")})})
		service.Vars["MLFLOW_AUTH_CONFIG_PATH"], service.Vars["MLFLOW_FLASK_SERVER_SECRET_KEY"] = "auth.ini", "any-text-that-signs-cookies"
		return service
	})
	in := s.input(archive(t, []byte("weights")))
	refused := publish.Run(t.Context(), in)
	assert.Equal(t, publish.CodeAuth.Name, refused.Stage.Code, refused.Stage.Failure())
	in.Target.MLflowUsername, in.Target.MLflowPassword = password("robot"), password("wrong-password-12")
	refused = publish.Run(t.Context(), in)
	assert.Equal(t, publish.CodeAuth.Name, refused.Stage.Code, refused.Stage.Failure())
	assert.Empty(t, s.objects(t), "nothing is claimed before the server has let us in")
	in.Target.MLflowPassword = password("robots-password-12")
	result := publish.Run(t.Context(), in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.True(t, publish.Run(t.Context(), in).Version.Already)
}

// makeModel makes a small LSTM and what it predicts.
const makeModel = `
import json, os
import keras
import numpy as np
keras.utils.set_random_seed(7)
model = keras.Sequential([keras.Input((5,), dtype="int32"), keras.layers.Embedding(9, 4), keras.layers.LSTM(6), keras.layers.Dense(3, activation="softmax")])
os.makedirs("model")
model.save("model/lstm_model.keras")
sample = np.arange(15).reshape(3, 5) % 9
json.dump(model.predict(sample, verbose=0).tolist(), open("model/expected.json", "w"))
`

// loadModel loads it as a user of the registry does, by number and by alias.
const loadModel = `
import json, sys
import mlflow, mlflow.keras, mlflow.pyfunc
import numpy as np
expected = np.array(json.load(open("model/expected.json")))
sample = np.arange(15).reshape(3, 5) % 9
for uri in sys.argv[1:]:
    loaded = mlflow.keras.load_model(uri)
    np.testing.assert_allclose(loaded.predict(sample, verbose=0), expected, atol=1e-6)
    print("keras", uri)
pyfunc = mlflow.pyfunc.load_model(sys.argv[1])
np.testing.assert_allclose(pyfunc.predict(sample), expected, atol=1e-6)
print("pyfunc", pyfunc.metadata.run_id)
`

func TestMLflowsOwnClientLoadsThePublishedModel(t *testing.T) {
	s := start(t, sandbox.MLflow)
	example := native.Source(filepath.Join(reachable.Root(), "examples", "openstack-rca"))
	// The environment of the example's training: made once for both.
	env := runner.Environment{Python: "3.11", Files: example.Filter([]string{"requirements/train.lock"}, nil),
		Install: [][]string{{"uv", "pip", "install", "--require-hashes", "-r", "requirements/train.lock"}}}
	vars := map[string]string{"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "2", "MLFLOW_DISABLE_TELEMETRY": "true"}

	made, err := s.runner.Run(t.Context(), runner.Step{Name: "make model", Env: env, Args: []string{"python", "-c", makeModel}, Vars: vars, Outputs: []string{"model"}})
	require.NoError(t, err)
	require.Zero(t, made.ExitCode, made.Stderr)
	dir := t.TempDir()
	require.NoError(t, made.Outputs.Sub("model").Export(t.Context(), dir))

	result := publish.Run(t.Context(), s.input(describe(t, dir)))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())

	vars["MLFLOW_TRACKING_URI"] = "http://{{mlflow}}"
	loaded, err := s.runner.Run(t.Context(), runner.Step{
		Name: "load model", Env: env, Inputs: []runner.Mount{{Path: "model", Files: made.Outputs.Sub("model")}}, Vars: vars,
		Args:     []string{"python", "-c", loadModel, "models:/" + registered + "/1", "models:/" + registered + "@champion", "models:/" + registered + "@sandbox"},
		Services: map[string]*runner.Running{sandbox.MLflowName: s.mlflow},
	})
	require.NoError(t, err)
	require.Zero(t, loaded.ExitCode, loaded.Stderr)
	assert.Contains(t, loaded.Stdout, "keras models:/"+registered+"@champion")
	assert.Contains(t, loaded.Stdout, "pyfunc "+result.Version.RunID)

	// The same from a server that keeps artifacts on S3: the user's client fetches them there.
	direct, err := s.runner.Start(t.Context(), directly(s.runner))
	require.NoError(t, err)
	in := s.input(describe(t, dir))
	in.Environment, in.Target.TrackingURI = "direct", "http://"+direct.Address
	result = publish.Run(t.Context(), in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	env.Install = append(env.Install, []string{"uv", "pip", "install", "--quiet", "boto3"})
	maps.Copy(vars, sandbox.Vars())
	name := result.Version.Registered
	loaded, err = s.runner.Run(t.Context(), runner.Step{
		Name: "load model from S3", Env: env, Inputs: []runner.Mount{{Path: "model", Files: made.Outputs.Sub("model")}}, Vars: vars,
		Args:     []string{"python", "-c", loadModel, "models:/" + name + "/1", "models:/" + name + "@champion", "models:/" + name + "@direct"},
		Services: map[string]*runner.Running{sandbox.MLflowName: direct, sandbox.S3Name: s.s3},
	})
	require.NoError(t, err)
	require.Zero(t, loaded.ExitCode, loaded.Stderr)
	assert.Contains(t, loaded.Stdout, "keras models:/"+name+"@champion")
}
