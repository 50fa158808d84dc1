//go:build unix

package publishstage_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// found says which canaries a stream shows, in any form.
func found(t *testing.T, r io.Reader) []string {
	t.Helper()
	var patterns [][]byte
	longest := 0
	for _, secret := range canaries {
		for _, form := range forms(secret) {
			patterns = append(patterns, []byte(form))
			longest = max(longest, len(form))
		}
	}
	var seen []string
	window := make([]byte, 0, 1<<20+longest)
	for {
		// What may be the beginning of a match stays for the next round.
		keep := min(len(window), longest)
		window = append(window[:0], window[len(window)-keep:]...)
		n, err := io.ReadFull(r, window[keep:keep+1<<20])
		window = window[:keep+n]
		for _, pattern := range patterns {
			if bytes.Contains(window, pattern) {
				seen = append(seen, string(pattern))
			}
		}
		if err != nil {
			return seen
		}
	}
}

// inImage searches an image's tarball: configuration, history and every layer, unpacked.
func inImage(t *testing.T, path string) (seen []string, blobs int) {
	t.Helper()
	file, err := os.Open(path)
	require.NoError(t, err)
	defer file.Close()
	for archive := tar.NewReader(file); ; {
		header, err := archive.Next()
		if err == io.EOF {
			return seen, blobs
		}
		require.NoError(t, err)
		if header.Typeflag != tar.TypeReg {
			continue
		}
		blobs++
		content := bufio.NewReader(archive)
		if magic, err := content.Peek(2); err == nil && magic[0] == 0x1f && magic[1] == 0x8b {
			unpacked, err := gzip.NewReader(content)
			require.NoError(t, err)
			seen = append(seen, found(t, unpacked)...)
			continue
		}
		seen = append(seen, found(t, content)...)
	}
}

// TestNoSecretShowsUnderTheEngine publishes to staging with canaries for secrets, from an
// application that prints and logs every variable it sees, and builds its image. None of
// the canaries, in any form, is in the CLI's most talkative output, the report, the files
// in S3, the registry or the image.
func TestNoSecretShowsUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	s := start(t, sandbox.MLflow)
	source := filepath.Join(t.TempDir(), "source")
	require.NoError(t, os.CopyFS(source, os.DirFS(filepath.Join(reachable.Root(), "tests", "fixtures", "tiny"))))
	main := filepath.Join(source, "main.py")
	content, err := os.ReadFile(main)
	require.NoError(t, err)
	const before = `    print(f"epoch 1/1 accuracy={accuracy}")`
	require.Contains(t, string(content), before)
	require.NoError(t, os.WriteFile(main, []byte(strings.Replace(string(content), before,
		"    import os\n    print(dict(os.environ))\n    print('environment of the training')\n"+
			"    (MODELS / \"metrics.json\").write_text(json.dumps({\"accuracy\": accuracy, \"loss\": 0.1, \"params\": {k: v[:200] for k, v in os.environ.items()}}))\n"+before, 1)), 0o600))

	env := []string{"CANARY_ACCESS=test-access-key"}
	for name, value := range canaries {
		env = append(env, "CANARY_"+name+"="+value)
	}
	call := func(args ...string) told {
		t.Helper()
		all := append([]string{"-vvv", "--progress=plain", "call", "--source", source, "--environment", "staging", "--ref", "main", "--commit", "0123456789abcdef",
			"--mlflow-tracking-uri", "http://" + reachable.Forward(t, s.mlflow.Address), "--mlflow-s3-endpoint-url", "http://" + reachable.Forward(t, s.s3.Address),
			"--mlflow-artifact-root", sandbox.ArtifactRoot, "--aws-access-key-id", "env:CANARY_ACCESS", "--aws-default-region", sandbox.Region,
			"--aws-secret-access-key", "env:CANARY_AWS_SECRET_ACCESS_KEY", "--aws-session-token", "env:CANARY_AWS_SESSION_TOKEN",
			"--mlflow-tracking-username", "env:CANARY_ACCESS", "--mlflow-tracking-password", "env:CANARY_MLFLOW_TRACKING_PASSWORD"}, args...)
		return run(t, env, "dagger", all...)
	}
	nowhere := func(place string, content io.Reader) {
		t.Helper()
		assert.Empty(t, found(t, content), place)
	}
	assert.NotEmpty(t, found(t, strings.NewReader("x"+canaries["AWS_SESSION_TOKEN"])), "the search finds what is there")

	report := filepath.Join(t.TempDir(), "report")
	published := call("train", "publish", "report", "export", "--path", report)
	require.Equal(t, 0, published.exit, published.all)
	nowhere("the CLI's output", strings.NewReader(published.all))
	verdictText, err := os.ReadFile(filepath.Join(report, "verdict.txt"))
	require.NoError(t, err)
	assert.True(t, strings.HasPrefix(string(verdictText), "pass"), string(verdictText))
	require.NoError(t, filepath.WalkDir(report, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		nowhere(path, bytes.NewReader(content))
		return err
	}))
	keys := s.objects(t)
	require.Contains(t, keys, "models/tiny-staging_0001/COMMIT.json")
	for key := range keys {
		nowhere("s3 "+key, bytes.NewReader(s.object(t, key)))
	}
	const model = "tiny_staging_tiny_model"
	version, err := s.client(t).GetModelVersion(t.Context(), model, "1")
	require.NoError(t, err)
	stored, err := s.client(t).GetRun(t.Context(), version.RunID)
	require.NoError(t, err)
	assert.Contains(t, stored.Params, "PYTHONHASHSEED", "the variables of the training are logged")
	nowhere("the registry", strings.NewReader(fmt.Sprint(version, stored)))

	again := call("train", "publish", "json")
	require.Equal(t, 0, again.exit, again.all)
	assert.Contains(t, again.stdout, "1, already published")
	assert.Equal(t, keys, s.objects(t), "the second one writes nothing")

	image := filepath.Join(t.TempDir(), "image.tar")
	built := call("image", "container", "as-tarball", "export", "--path", image)
	require.Equal(t, 0, built.exit, built.all)
	nowhere("the CLI's output of the image", strings.NewReader(built.all))
	seen, blobs := inImage(t, image)
	assert.Empty(t, seen, "the image")
	assert.Greater(t, blobs, 3)
}
