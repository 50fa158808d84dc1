// Package imagestage_test runs the image stage on a real engine, with an application so
// small that only the stage itself is tested.
package imagestage_test

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/probe"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

const commit = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"

func connect(t *testing.T) *dagger.Client {
	t.Helper()
	reachable.Engine(t)
	var opts []dagger.ClientOpt
	if testing.Verbose() {
		opts = append(opts, dagger.WithLogOutput(os.Stderr))
	}
	// Not the test's own context: it ends before the services are stopped.
	client, err := dagger.Connect(context.WithoutCancel(t.Context()), opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, client.Close()) })
	return client
}

// input is the fixture application with a model, as the train stage would hand it on.
func input(t *testing.T, client *dagger.Client) image.Input {
	t.Helper()
	dir := t.TempDir()
	content := []byte("not a real model, but one file with one hash\n")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lstm_model.keras"), content, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "golden.json"), []byte("golden\n"), 0o600))
	sum := sha256.Sum256(content)
	digest := hex.EncodeToString(sum[:])

	cfg := config.Default()
	cfg.Name, cfg.Python = "fixture", "3.11"
	cfg.Train.ScoreCommand = []string{"python", "serve.py", "score", "models/golden.json"}
	cfg.Image.Inputs = config.Selection{Include: []string{"*.py"}}
	cfg.Image.Command = []string{"python", "serve.py"}
	cfg.Image.ScriptHealth = "/_stcore/script-health-check"
	cfg.Image.StartBudget = config.Duration(90 * time.Second)
	cfg.Image.MaxMegabytes = 400
	cfg.Image.Source = "https://example.com/fixture"
	runner := engine.New(client, engine.Options{Tunnel: true})
	t.Cleanup(func() { require.NoError(t, runner.Close(context.Background())) })
	return image.Input{
		Config: cfg, Source: client.Host().Directory("testdata/app"), ModelFiles: client.Host().Directory(dir),
		Model:       &model.Artifact{Format: "keras", Dir: dir, File: "lstm_model.keras", SHA256: digest, Golden: "golden.json"},
		Version:     &model.Version{Number: 7, URI: "s3://bucket/models/lstm_model_v7.keras", SHA256: digest},
		Environment: "sandbox", Ref: "main", Commit: commit, CommitTime: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		Push: image.Push{Sandbox: true}, Engine: runner, Redact: verdict.Redact("hunter2-hunter2"),
	}
}

func evidence(stage verdict.Stage) string {
	var b strings.Builder
	for _, e := range stage.Evidence {
		b.WriteString(e.Name + ": " + e.Value + "\n")
	}
	return b.String()
}

// layers are the rows of the report's table.
func layers(stage verdict.Stage) [][]string {
	for _, block := range stage.Blocks {
		if block.Table != nil {
			return block.Table.Rows
		}
	}
	return nil
}

func TestAHealthyImageIsKnownByItsDigest(t *testing.T) {
	client := connect(t)
	in := input(t, client)
	started := time.Now()
	result := image.Run(t.Context(), client, in)
	t.Logf("%s\n%s", time.Since(started).Round(time.Millisecond), evidence(result.Stage))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s\n%v", result.Stage.Failure(), result.Stage.Problems)
	assert.Regexp(t, `^localhost:5000/library/openstack-rca-system@sha256:[0-9a-f]{64}$`, result.Reference.Written())
	assert.True(t, strings.HasSuffix(result.Reference.Written(), result.Reference.Digest))
	assert.Contains(t, evidence(result.Stage), "root file system: read-only, except /app/data, /app/logs, /tmp\n")
	require.NotNil(t, result.Container)
	assert.Empty(t, result.Stage.Warnings)

	t.Run("built again from scratch it has the same digest", func(t *testing.T) {
		started := time.Now()
		in := input(t, client)
		in.Fresh = started.String()
		again := image.Run(t.Context(), client, in)
		t.Logf("%s", time.Since(started).Round(time.Millisecond))
		require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
		assert.Equal(t, layers(result.Stage), layers(again.Stage))
		assert.Equal(t, result.Reference.Digest, again.Reference.Digest)
	})
}

func TestASlowStartPassesAndIsMeasured(t *testing.T) {
	client := connect(t)
	in := input(t, client)
	in.Config.Image.Vars = map[string]string{"APP_SLOW": "45"}
	result := image.Run(t.Context(), client, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	for _, e := range result.Stage.Evidence {
		if e.Name == "time to healthy" {
			took, err := time.ParseDuration(e.Value)
			require.NoError(t, err)
			assert.GreaterOrEqual(t, took, 45*time.Second)
			assert.Less(t, took, time.Duration(in.Config.Image.StartBudget))
		}
	}
}

func TestTheProvenDigestArrivesInARealRegistry(t *testing.T) {
	client := connect(t)
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	in := input(t, client)
	in.Environment, in.Push = "production", image.Push{Address: host + "/acme/rca"}
	result := image.Run(t.Context(), client, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.Equal(t, host+"/acme/rca@"+result.Reference.Digest, result.Reference.Written())

	ref, err := name.ParseReference(result.Reference.Written())
	require.NoError(t, err)
	pulled, err := remote.Image(ref)
	require.NoError(t, err)
	file, err := pulled.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, in.CommitTime, file.Created.Time)
	assert.Equal(t, "10001:10001", file.Config.User)
	manifest, err := pulled.Manifest()
	require.NoError(t, err)
	for name, want := range map[string]string{
		"source": in.Config.Image.Source, "revision": commit, "version": "20261122-100000-0f1e2d3", "created": "2026-11-22T10:00:00Z",
	} {
		name = "org.opencontainers.image." + name
		assert.Equal(t, want, manifest.Annotations[name], name)
		assert.Equal(t, want, file.Config.Labels[name], name)
	}
	files := filesOf(t, pulled)
	assert.Equal(t, "not a real model, but one file with one hash\n", files["app/models/lstm_model.keras"])
	assert.Contains(t, files["etc/openstack-rca/image.json"], in.Model.SHA256)
	for name := range files {
		assert.NotRegexp(t, `^(usr/local/bin/pip|usr/local/lib/python3\.11/(site-packages/pip|ensurepip)/|venv/bin/uv$|app/requirements)`, name)
	}

	in = input(t, client)
	in.Environment, in.Push, in.Config.Image.Command = "production", image.Push{Address: host + "/acme/rca"}, []string{"python", "-u", "serve.py"}
	second := image.Run(t.Context(), client, in)
	assert.Equal(t, image.CodeTagTaken.Name, second.Stage.Code, "another image of the same commit")
}

// filesOf are the small regular files of an image, by path, as a container would see them.
func filesOf(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	reader := mutate.Extract(img)
	defer func() { require.NoError(t, reader.Close()) }()
	files := map[string]string{}
	archive := tar.NewReader(reader)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			return files
		}
		require.NoError(t, err)
		content := ""
		if header.Typeflag == tar.TypeReg && header.Size < 4096 {
			b, err := io.ReadAll(archive)
			require.NoError(t, err)
			content = string(b)
		}
		files[strings.TrimPrefix(header.Name, "/")] = content
	}
}

func TestTheBuildRefusesAnotherModel(t *testing.T) {
	client := connect(t)
	other := client.Directory().WithNewFile("lstm_model.keras", "other")
	for sentence, c := range map[string]struct {
		files *dagger.Directory
		cause string
	}{
		"another one": {other, "has sha256 d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"},
		"none":        {client.Directory(), "lstm_model.keras is not there"},
	} {
		t.Run(sentence, func(t *testing.T) {
			in := input(t, client)
			// As after a restart: the files are no longer in this process.
			in.Model.Dir, in.ModelFiles = "", c.files
			result := image.Run(t.Context(), client, in)
			assert.Equal(t, image.CodeModelMismatch.Name, result.Stage.Code, result.Stage.Failure())
			assert.Contains(t, result.Stage.Cause, c.cause)
			assert.Nil(t, result.Container)
		})
	}
}

func TestAChangeOfCodeAloneIsQuick(t *testing.T) {
	client := connect(t)
	for _, comment := range []string{"# one\n", "# two " + time.Now().String() + "\n"} {
		in := input(t, client)
		source, err := os.ReadFile("testdata/app/serve.py")
		require.NoError(t, err)
		in.Source = in.Source.WithNewFile("serve.py", comment+string(source))
		started := time.Now()
		result := image.Run(t.Context(), client, in)
		t.Logf("%s", time.Since(started).Round(time.Millisecond))
		require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	}
}

func TestWhatIsNotHealthyDoesNotPass(t *testing.T) {
	client := connect(t)
	for mode, c := range map[string]struct {
		code  verdict.Code
		cause string
		vars  map[string]string
		log   string
		// refused is a host that NETWORK_REFUSED names.
		refused string
	}{
		"crash":     {code: probe.CodeCrashed, cause: "exit code 1"},
		"untidy":    {code: probe.CodeCrashed, cause: "exit code 1", log: "Permission denied: '/home/app/notes'"},
		"unhealthy": {code: probe.CodeUnhealthy, cause: "status 500: not yet"},
		"silent":    {code: probe.CodeNotListening, cause: "nothing answers"},
		"local":     {code: image.CodeElsewhere, cause: "it listens on 127.0.0.1:7051"},
		"healthy":   {code: image.CodeElsewhere, cause: "0.0.0.0:8501", vars: map[string]string{"APP_PORT": "8501"}},
		"flapping":  {code: probe.CodeFlapping, cause: "exit code 9"},
		"page":      {code: probe.CodeUnproven, cause: "/_stcore/health answers as a path that cannot exist does"},
		"moved":     {code: probe.CodeUnhealthy, cause: "status 307 to /healthz"},
		"download":  {code: probe.CodeCrashed, cause: "exit code 1", refused: "192.0.2.7"},
		"script":    {code: probe.CodeScriptUnhealthy, cause: "No module named 'pandas'"},
	} {
		t.Run(mode, func(t *testing.T) {
			in := input(t, client)
			in.Config.Image.StartBudget = config.Duration(20 * time.Second)
			if c.code == image.CodeElsewhere {
				in.Config.Image.StartBudget = config.Duration(time.Hour) // reported long before
			}
			vars := map[string]string{"APP_MODE": mode}
			for name, value := range c.vars {
				vars[name] = value
			}
			in.Config.Image.Vars = vars
			result := image.Run(t.Context(), client, in)
			t.Logf("%s\n%s\n%v", result.Stage.Failure(), evidence(result.Stage), result.Stage.Problems)
			require.Equal(t, verdict.Fail, result.Stage.Verdict)
			assert.Equal(t, c.code.Name, result.Stage.Code)
			assert.Contains(t, result.Stage.Cause, c.cause)
			assert.Empty(t, result.Reference.Written())
			require.NotEmpty(t, result.Stage.Problems)
			log := strings.Join(result.Stage.Problems[0].Details, "\n")
			assert.Regexp(t, "starting as 10001 with a model of 45 bytes|GET /_stcore/", log)
			assert.Contains(t, log, c.log)
			assert.NotContains(t, log, "hunter2")
			if c.refused != "" {
				require.NotEmpty(t, result.Stage.Warnings)
				assert.Equal(t, "NETWORK_REFUSED", result.Stage.Warnings[0].Code)
				assert.Contains(t, result.Stage.Warnings[0].Cause, c.refused)
			}
		})
	}
}
