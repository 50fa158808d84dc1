package e2e

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	hostrunner "github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// TestThePipelineLeavesWhatItSays runs the pipeline against an MLflow server and an S3
// API of this test, and then asks these servers, not the report.
func TestThePipelineLeavesWhatItSays(t *testing.T) {
	reachable.Engine(t)
	reachable.Python(t)
	r, err := hostrunner.New(hostrunner.Options{})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := background(time.Minute)
		defer cancel()
		require.NoError(t, r.Close(ctx))
	})
	mlflow, err := r.Start(t.Context(), sandbox.MLflow(r))
	require.NoError(t, err)
	store, err := r.Start(t.Context(), sandbox.S3(r))
	require.NoError(t, err)

	args := []string{"--commit", "0123456789abcdef", "--commit-time", "2026-01-02T03:04:05Z", "--sandbox-mlflow", "tcp://" + mlflow.Address, "--sandbox-s3", "tcp://" + store.Address}
	left := onEngine(t, tiny(), args...)
	require.Equal(t, 0, left.exit, left.output)
	require.Equal(t, "pass", left.report.Verdict)
	for _, stage := range left.report.Stages {
		assert.Equal(t, "pass", stage.Verdict, stage.Name)
	}

	// The model in the S3 API opens and is the gated one.
	client := s3.New(s3.Options{BaseEndpoint: aws.String("http://" + store.Address), UsePathStyle: true, Region: sandbox.Region,
		Credentials: credentials.NewStaticCredentialsProvider(sandbox.AccessKey, sandbox.SecretKey, "")})
	object, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(sandbox.Bucket), Key: aws.String("models/tiny-sandbox_0001/models/tiny_model_v1.keras")})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "model.keras")
	out, err := os.Create(file)
	require.NoError(t, err)
	hash := sha256.New()
	_, err = out.ReadFrom(object.Body)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	require.NoError(t, object.Body.Close())
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	hash.Write(content)
	assert.Equal(t, left.report.ModelSHA256, hex.EncodeToString(hash.Sum(nil)))
	inspected, err := kerasfile.Inspect(t.Context(), file, kerasfile.Options{Recurrent: true})
	require.NoError(t, err)
	assert.True(t, inspected.OK())

	// The registry knows exactly one version, and the aliases point at it.
	var versions struct {
		Versions []struct{ Version, Status string } `json:"model_versions"`
	}
	ask(t, "http://"+mlflow.Address+"/api/2.0/mlflow/model-versions/search?max_results=10", &versions)
	require.Len(t, versions.Versions, 1)
	var alias struct {
		Version struct{ Version string } `json:"model_version"`
	}
	ask(t, "http://"+mlflow.Address+"/api/2.0/mlflow/registered-models/alias?name=tiny_sandbox_tiny_model&alias=champion", &alias)
	assert.Equal(t, "1", alias.Version.Version)

	// The image is one digest from here to the plan.
	require.Regexp(t, `^sha256:[0-9a-f]{64}$`, left.report.ImageDigest)
	definition, err := os.ReadFile(filepath.Join(left.dir, "rollout", "task-definition.json"))
	require.NoError(t, err)
	assert.Contains(t, string(definition), "@"+left.report.ImageDigest)

	// The same content again: the same version, nothing written.
	again := onEngine(t, tiny(), args...)
	require.Equal(t, 0, again.exit, again.output)
	ask(t, "http://"+mlflow.Address+"/api/2.0/mlflow/model-versions/search?max_results=10", &versions)
	assert.Len(t, versions.Versions, 1)
	listed, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: aws.String(sandbox.Bucket), Prefix: aws.String("models/tiny-sandbox_0002")})
	require.NoError(t, err)
	assert.Empty(t, listed.Contents)
	assert.Equal(t, left.report.ImageDigest, again.report.ImageDigest, "the same content is the same image")
}

func ask(t *testing.T, url string, into any) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, url)
	require.NoError(t, json.NewDecoder(response.Body).Decode(into))
	require.NoError(t, response.Body.Close())
}

// ran is when a stage's command ran, as its evidence says.
func ran(t *testing.T, left outcome, name string) string {
	t.Helper()
	for _, e := range left.report.stage(name).Evidence {
		if e.Name == "ran at" {
			return e.Value
		}
	}
	t.Fatalf("%s has no evidence of when it ran", name)
	return ""
}

func TestOnlyWhatAStageMaySeeMakesItRunAgain(t *testing.T) {
	first := onEngine(t, tiny())
	require.Equal(t, 0, first.exit, first.output)

	readme := onEngine(t, changed(t, func(t *testing.T, dir string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("# Changed\n"), 0o644))
	}))
	require.Equal(t, 0, readme.exit, readme.output)
	assert.Equal(t, ran(t, first, "test"), ran(t, readme, "test"), "a README re-runs nothing")
	assert.Equal(t, ran(t, first, "train"), ran(t, readme, "train"))
	assert.Equal(t, first.report.ImageDigest, readme.report.ImageDigest)

	test := onEngine(t, changed(t, replace("tests/test_scoring.py", "* 20", "* 30")))
	require.Equal(t, 0, test.exit, test.output)
	assert.NotEqual(t, ran(t, first, "test"), ran(t, test, "test"), "a changed test runs")
	assert.Equal(t, ran(t, first, "train"), ran(t, test, "train"), "and does not retrain")
}

func TestAFeatureBranchPublishesNothing(t *testing.T) {
	left := onEngine(t, tiny(), "--ref", "feature/x")
	require.Equal(t, 0, left.exit, left.output)
	for _, name := range []string{"publish", "image", "deploy"} {
		assert.Equal(t, "not-run", left.report.stage(name).Verdict)
	}
}

func TestWithoutAnEngineEveryOtherStageRuns(t *testing.T) {
	left := native(t, tiny(), "--commit", "0123456")
	require.Equal(t, 0, left.exit, left.output)
	require.Equal(t, "pass", left.report.Verdict)
	for name, want := range map[string]string{"test": "pass", "train": "pass", "publish": "pass", "image": "not-run", "deploy": "pass"} {
		assert.Equal(t, want, left.report.stage(name).Verdict, name)
	}
	assert.Equal(t, "NO_ENGINE", left.report.stage("image").Code)
	assert.Contains(t, left.output, "not-run")
}

func TestAReportLeavesAloneWhatIsNoReport(t *testing.T) {
	reachable.Python(t)
	dir := t.TempDir()
	thesis := filepath.Join(dir, "thesis.txt")
	require.NoError(t, os.WriteFile(thesis, []byte("years of work"), 0o600))
	source := t.TempDir() // a source without Python
	require.NoError(t, os.WriteFile(filepath.Join(source, "notes.txt"), nil, 0o600))
	out, err := exec.CommandContext(t.Context(), command(t), "pipeline", "--source", source, "--report", dir).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "SRC_NOT_PYTHON")
	assert.FileExists(t, filepath.Join(dir, "report.json"))
	assert.FileExists(t, thesis)

	out, err = exec.CommandContext(t.Context(), command(t), "pipeline", "--source", source, "--report", source).CombinedOutput()
	require.Error(t, err)
	assert.Contains(t, string(out), "REPORT_UNWRITABLE", "the source is no place for a report")
	assert.NoFileExists(t, filepath.Join(source, "report.json"))

	refused, err := exec.CommandContext(t.Context(), filepath.Join(reachable.Root(), "scripts", "pipeline"), t.TempDir()+"/..").CombinedOutput()
	var failed *exec.ExitError
	require.ErrorAs(t, err, &failed)
	assert.Equal(t, 2, failed.ExitCode())
	assert.Contains(t, string(refused), "is not a report")
}

// TestCallsOfSingleFunctions makes the README's calls with `dagger call` itself.
func TestCallsOfSingleFunctions(t *testing.T) {
	reachable.Engine(t)
	for sentence, c := range map[string]struct {
		args []string
		want string
		exit int
	}{
		"test summary":          {[]string{"test", "summary"}, "| test | ✅ pass", 0},
		"test of one file":      {[]string{"test", "--path", "tests/test_scoring.py", "summary"}, "SELECTION", 0},
		"train metrics":         {[]string{"train", "metrics", "contents"}, "accuracy", 0},
		"train file":            {[]string{"train", "file", "size"}, "", 0},
		"plan summary":          {[]string{"--ref", "develop", "plan", "summary"}, "| publish | no |", 0},
		"doctor":                {[]string{"doctor"}, "0 of the checks failed", 0},
		"deploy of a digest":    {[]string{"deploy", "--image", "example.com/app@sha256:" + strings.Repeat("ab", 32), "summary"}, "| deploy | ✅ pass", 0},
		"deploy of a tag":       {[]string{"deploy", "--image", "example.com/app:latest", "enforce"}, "FAIL deploy", 1},
		"deploy to production":  {[]string{"--environment", "production", "--ref", "main", "deploy", "--image", "example.com/app@sha256:" + strings.Repeat("ab", 32), "enforce"}, "FAIL deploy", 1},
		"a call without a ref":  {[]string{"--environment", "production", "train", "publish", "enforce"}, "FAIL preflight REF_MISSING", 1},
		"a branch that grants":  {[]string{"--environment", "production", "--ref", "feature/x", "plan", "summary"}, "Branch feature/x is not a release branch", 0},
		"another main":          {[]string{"--environment", "production", "--ref", "trunk", "--release-branch", "trunk", "plan", "summary"}, "| publish | yes |", 0},
		"run of a pull request": {[]string{"--ref", "main", "--event", "pull_request", "plan", "summary"}, "| publish | no |", 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), "dagger", append([]string{"--progress=plain", "-m", reachable.Root(), "call", "--source", tiny()}, c.args...)...)
			cmd.Env = append(os.Environ(), "NO_COLOR=1")
			out, err := cmd.CombinedOutput()
			if c.exit == 0 {
				require.NoError(t, err, string(out))
			} else {
				var failed *exec.ExitError
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, c.exit, failed.ExitCode())
			}
			assert.Contains(t, string(out), c.want)
		})
	}
}

// TestAnotherModuleUsesThePipeline runs examples/compose, a module that calls this one.
func TestAnotherModuleUsesThePipeline(t *testing.T) {
	reachable.Engine(t)
	deliver := func(source string) ([]byte, error) {
		cmd := exec.CommandContext(t.Context(), "dagger", "--progress=plain", "-m", filepath.Join(reachable.Root(), "examples", "compose"),
			"call", "deliver", "--source", source)
		cmd.Env = append(os.Environ(), "NO_COLOR=1")
		return cmd.CombinedOutput()
	}
	out, err := deliver(tiny())
	require.NoError(t, err, string(out))
	assert.Contains(t, string(out), "| image | ✅ pass")

	out, err = deliver(changed(t, func(t *testing.T, dir string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "explore.ipynb"), []byte("{}"), 0o600))
	}))
	require.Error(t, err)
	assert.Contains(t, string(out), "a notebook is not delivered: explore.ipynb", "the step that is the other module's own")
}
