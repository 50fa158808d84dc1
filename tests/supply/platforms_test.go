package supply

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// debianRegistry starts Debian's docker-registry, and returns its host and the directory of its files.
func debianRegistry(t *testing.T) (host, dir string) {
	t.Helper()
	file, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("docker-registry is not on PATH; Debian has a package of that name")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	host, dir = listener.Addr().String(), t.TempDir()
	require.NoError(t, listener.Close())
	settings := filepath.Join(dir, "config.yml")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %s}, delete: {enabled: true}}\nhttp: {addr: %q}\n", dir, host), 0o600))
	server := exec.Command(file, "serve", settings) //nolint:gosec,noctx // it ends with the test
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + host + "/v2/") //nolint:noctx // of a server of this test
		return err == nil && response.Body.Close() == nil && response.StatusCode == http.StatusOK
	}, 10*time.Second, 50*time.Millisecond)
	return host, dir
}

const platformCommit = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"

// ofPlatform pushes an image as the image stage makes one, and writes the report of its run.
func ofPlatform(t *testing.T, repository, platform, reports string, contents map[string]string) name.Digest {
	t.Helper()
	files := map[string][]byte{}
	for name, text := range contents {
		files[name] = []byte(text)
	}
	layer, err := crane.Layer(files)
	require.NoError(t, err)
	image, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON), layer)
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	config.Config = v1.Config{User: "10001", Labels: map[string]string{
		imageref.LabelModelSHA256: strings.Repeat("ab", 32), imageref.LabelRevision: platformCommit,
		"org.opencontainers.image.created": "2026-11-22T10:00:00Z",
	}}
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	digest, err := image.Digest()
	require.NoError(t, err)
	to, err := name.NewDigest(repository + "@" + digest.String())
	require.NoError(t, err)
	require.NoError(t, remote.Write(to, image))
	run := &verdict.Run{
		Application: "app", Environment: "staging", Ref: "main", Commit: platformCommit, Tree: "sha256:tree", Started: time.Now().Add(-time.Hour),
		Seconds: 1, ModelSHA256: strings.Repeat("ab", 32), ModelVersion: "7", Image: to.String(), ImageDigest: digest.String(),
		Stages: []verdict.Stage{{Name: verdict.Test, Verdict: verdict.Pass}, {Name: verdict.Train, Verdict: verdict.Pass},
			{Name: verdict.Publish, Verdict: verdict.Pass}, {Name: verdict.Image, Verdict: verdict.Pass}},
	}
	require.NoError(t, verdict.WriteReport(filepath.Join(reports, strings.ReplaceAll(platform, "/", "-")), run.Judge()))
	return to
}

// TestTwoPlatforms joins images of two platforms in a real registry, scans each of them with the real programs,
// attests the index, and lets cosign verify that.
func TestTwoPlatforms(t *testing.T) {
	host, dir := debianRegistry(t)
	for _, name := range []string{tools.Syft, tools.Grype, tools.Gitleaks} {
		program(t, name)
	}
	const dist = "usr/lib/python3/dist-packages/"
	contents := func(version string) map[string]string {
		return map[string]string{
			"etc/os-release": "ID=debian\nVERSION_ID=\"12\"\nNAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n",
			"var/lib/dpkg/status": "Package: openssl\nStatus: install ok installed\nVersion: 3.0.2-1\nArchitecture: amd64\n" +
				"Maintainer: somebody <a@example.invalid>\nDescription: x\n\n",
			dist + "MarkupSafe-" + version + ".dist-info/METADATA": "Metadata-Version: 2.1\nName: MarkupSafe\nVersion: " + version + "\n",
		}
	}
	reports := t.TempDir()
	ofPlatform(t, host+"/team/app", "linux/amd64", reports, contents("3.0.3"))
	second := ofPlatform(t, host+"/team/app", "linux/arm64", reports, contents("3.0.2"))

	r, err := native.New(native.Options{Log: &bytes.Buffer{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
	_, public, key := signed(t, true)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	trusted := filepath.Join(t.TempDir(), "key.pem")
	require.NoError(t, os.WriteFile(trusted, public, 0o600))
	backend := pipeline.Backend{
		Runner: r, WorkDir: t.TempDir(), Tool: tool(t), Import: func(dir string) (runner.Files, error) { return native.Source(dir), nil },
		Source: fake.Files(map[string]string{
			"main.py": scriptCode, "streamlit_app/chatbot.py": "",
			"pipeline.yaml": "python: '3.11'\nimage: {repository: " + host + "/team/app, platforms: [linux/amd64, linux/arm64]}\n",
		}),
	}
	opts := pipeline.Options{
		Environment: "staging", Ref: "main", Join: pipeline.JoinOptions{From: reports}, Verify: pipeline.VerifyOptions{Keys: trusted},
		Attest: pipeline.AttestOptions{Key: fake.Secret("ATTEST_KEY", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))},
		Advisories: database(t, time.Now().Add(-time.Hour), map[string][]string{
			"github": {advisory("GHSA-plan-ted0-0001", "jinja2", "2.7.2", "High"), advisory("GHSA-demo-high-0001", "markupsafe", "3.0.3", "High")},
			"debian": {debian},
		}),
	}

	state := func(image, from string) verdict.Stage {
		opts := opts
		opts.Image, opts.Stages, opts.Attest.From = image, []string{verdict.Attest}, from
		return pipeline.Run(t.Context(), backend, opts).Run.Stages[0]
	}
	unproven := pipeline.Join(t.Context(), backend, opts)
	assert.Equal(t, "JOIN_UNPROVEN", unproven.Code, "with a key, a report alone proves nothing")
	keys := opts.Verify
	opts.Verify = pipeline.VerifyOptions{}
	joined := pipeline.Join(t.Context(), backend, opts)
	require.Equal(t, verdict.Pass, joined.Verdict, joined.Failures())
	assert.Equal(t, []string{joined.Image, host + "/team/app:sha-" + platformCommit, host + "/team/app:20261122-100000-0f1e2d3"}, joined.Stages[0].Published)
	again := pipeline.Join(t.Context(), backend, opts)
	assert.Equal(t, joined.ImageDigest, again.ImageDigest)
	assert.Empty(t, again.Stages[0].Published)
	opts.Verify = keys
	report := filepath.Join(t.TempDir(), "joined")
	require.NoError(t, verdict.WriteReport(report, joined))

	opts.Image = joined.Image
	scanned := pipeline.Scan(t.Context(), backend, opts)
	require.Equal(t, "IMAGE_VULNERABLE", scanned.Code, scanned.Failures())
	require.Len(t, scanned.Stages[0].Problems, 1, "only the image of one platform has it")
	assert.Contains(t, scanned.Stages[0].Problems[0].Cause, "linux/arm64: ")
	scan := filepath.Join(t.TempDir(), "scan")
	require.NoError(t, verdict.WriteReport(scan, scanned))
	for _, file := range []string{"scan/linux-amd64/sbom.cdx.json", "scan/linux-arm64/findings.json", "scan/scan.sarif"} {
		assert.FileExists(t, filepath.Join(scan, filepath.FromSlash(file)))
	}
	var sarif struct{ Runs []any }
	content, err := os.ReadFile(filepath.Join(scan, "scan", "scan.sarif"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &sarif))
	assert.Len(t, sarif.Runs, 2)

	stage := state(joined.Image, report)
	require.Equal(t, verdict.Pass, stage.Verdict, stage.Failure())
	stage = state(joined.Image, scan)
	require.Equal(t, verdict.Pass, stage.Verdict, stage.Failure())
	assert.Len(t, stage.Published, 5, "the vulnerabilities, and two bills of materials in two forms each")
	verified := pipeline.Verify(t.Context(), backend, opts)
	assert.Equal(t, "ATTESTATION_NOT_PASS", verified.Code, verified.Failures())
	if _, err := exec.LookPath("cosign"); err == nil {
		for _, kind := range []string{attest.Provenance, attest.TestResult, attest.Summary, attest.Vulns, "cyclonedx", "spdxjson"} {
			out, err := cosign(t, "verify-attestation", "--key", trusted, "--insecure-ignore-tlog", "--type", kind, joined.Image)
			assert.NoError(t, err, "%s: %s", kind, out)
		}
	}

	// An image of the index that is gone, as after a cleanup that knows nothing of indexes, is no pass.
	_, sum, _ := strings.Cut(second.DigestStr(), ":")
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "docker/registry/v2/repositories/team/app/_manifests/revisions/sha256", sum)))
	gone := pipeline.Scan(t.Context(), backend, opts)
	assert.Equal(t, verdict.CouldNotRun, gone.Verdict)
	assert.Equal(t, "IMAGE_UNREADABLE", gone.Code, gone.Failures())
	assert.Contains(t, gone.Cause, "linux/arm64: ")
}

// TestJoinOnAnEngine calls the module: its function reaches the registry from a container.
func TestJoinOnAnEngine(t *testing.T) {
	reachable.Engine(t)
	behind, _ := debianRegistry(t)
	host := reachable.Forward(t, behind)
	reports := t.TempDir()
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		ofPlatform(t, host+"/team/app", platform, reports, map[string]string{"app.py": platform})
	}
	source := t.TempDir()
	for file, content := range map[string]string{
		"main.py": scriptCode, "pipeline.yaml": "image: {platforms: [linux/amd64, linux/arm64]}\n",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(source, file), []byte(content), 0o600))
	}
	call := func(args ...string) string {
		args = append([]string{
			"--progress=dots", "-m", reachable.Root(), "call", "--source", source, "--environment", "staging", "--ref", "main", "join", "--from", reports,
		}, args...)
		command := exec.CommandContext(t.Context(), "dagger", args...) //nolint:gosec // of this test
		var said bytes.Buffer
		command.Stderr = &said
		out, err := command.Output()
		require.NoError(t, err, said.String())
		return strings.TrimSpace(string(out))
	}
	reference := call("reference")
	of, err := name.NewDigest(reference)
	require.NoError(t, err, reference)
	index, err := remote.Index(of)
	require.NoError(t, err)
	manifest, err := index.IndexManifest()
	require.NoError(t, err)
	assert.Len(t, manifest.Manifests, 2)
	call("enforce")
	report := filepath.Join(t.TempDir(), "joined")
	call("report", "export", "--path", report)
	assert.FileExists(t, filepath.Join(report, "platforms", "linux-arm64", "report.json"))
}
