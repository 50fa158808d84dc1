package pipeline

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	joinedConfig = stagingConfig + "image: {repository: registry.example/rca, platforms: [linux/amd64, linux/arm64]}\n"
	joinedCommit = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"
)

// newJoined is the registry of attested with an image of each platform, and a directory with their reports.
func newJoined(t *testing.T) *attested {
	t.Helper()
	a := newAttested(t)
	a.backend.Source = withConfig(joinedConfig)
	a.opts.Image, a.opts.Join.From = "", t.TempDir()
	a.trusted, a.opts.Verify.Keys = a.opts.Verify.Keys, ""
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		a.built(t, platform, nil)
	}
	return a
}

// built pushes an image of a platform, and writes the report of the run that built it.
func (a *attested) built(t *testing.T, platform string, change func(*verdict.Run)) {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1),
		static.NewLayer([]byte("for "+platform), types.OCILayer))
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	config.Config.Labels = map[string]string{imageref.LabelModelSHA256: strings.Repeat("ab", 32), imageref.LabelRevision: joinedCommit}
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	digest, err := image.Digest()
	require.NoError(t, err)
	pinned := a.tag(t).Context().Digest(digest.String())
	require.NoError(t, remote.Write(pinned, image, remote.WithTransport(a.opts.Registry.Transport)))
	a.reference = pinned.String()
	from := a.report(t, func(r *verdict.Run) {
		r.Image, r.Commit, r.Tree, r.ModelSHA256, r.ModelVersion = pinned.String(), joinedCommit, "sha256:tree", strings.Repeat("ab", 32), "7"
		if change != nil {
			change(r)
		}
	})
	require.NoError(t, os.CopyFS(filepath.Join(a.opts.Join.From, "report-"+folderOf(platform)), os.DirFS(from)))
}

// join joins, and returns the run with the directory of its report.
func (a *attested) join(t *testing.T) (*verdict.Run, string) {
	t.Helper()
	run := Join(t.Context(), a.backend, a.opts)
	dir := filepath.Join(t.TempDir(), "report")
	require.NoError(t, verdict.WriteReport(dir, run))
	return run, dir
}

func TestJoinAttestVerifyDeploy(t *testing.T) {
	a := newJoined(t)
	run, report := a.join(t)
	require.Equal(t, verdict.Pass, run.Verdict, run.Cause)
	require.NotEmpty(t, run.ImageDigest)
	assert.Equal(t, "registry.example/rca@"+run.ImageDigest, run.Image)
	assert.Equal(t, []string{joinedCommit, "7"}, []string{run.Commit, run.ModelVersion})
	again, _ := a.join(t)
	assert.Equal(t, run.ImageDigest, again.ImageDigest)
	assert.Empty(t, again.Stages[0].Published)

	a.opts.Image, a.reference, a.opts.Verify.Keys = run.Image, run.Image, a.trusted
	assert.Equal(t, "ATTESTATION_MISSING", Verify(t.Context(), a.backend, a.opts).Code, "the images' own statements are about the images")
	stage := a.attest(t, a.private, report)
	require.Equal(t, verdict.Pass, stage.Verdict, stage.Cause)
	assert.Len(t, stage.Published, 4)
	for _, f := range stage.Files {
		if strings.Contains(f.Path, "test-result") {
			assert.NotEmpty(t, f.Content)
		}
	}
	assert.Empty(t, a.attest(t, a.private, report).Published, "repeating adds nothing")
	verified := Verify(t.Context(), a.backend, a.opts)
	assert.Equal(t, verdict.Pass, verified.Verdict, verified.Cause)
	deployed := a.deploy(t)
	assert.Equal(t, verdict.Pass, deployed.Verdict, deployed.Cause)
	assert.Contains(t, deployed.Evidence, verdict.Evidence{
		Name: "platforms of the index", Value: "linux/amd64, linux/arm64", Want: "linux/amd64", OK: true,
	})
	// The service runs on Graviton, and the index of somebody else has no image for it.
	a.opts.Platform = "linux/arm64"
	assert.Equal(t, verdict.Pass, a.deploy(t).Verdict)
}

// TestAttestRefusesAnotherIndex changes what the report of a join says.
func TestAttestRefusesAnotherIndex(t *testing.T) {
	for sentence, tc := range map[string]struct {
		file   string
		change func(string) string
		cause  string
	}{
		"another index":          {indexFile, func(s string) string { return s + " " }, "joined another index"},
		"no report of a member":  {"platforms/linux-arm64/report.json", func(string) string { return "{" }, "linux/arm64: read report.json"},
		"a member of another":    {"platforms/linux-arm64/report.json", swapDigest, "linux/arm64: the run built"},
		"a member that failed":   {"platforms/linux-arm64/report.json", fails, "linux/arm64: test of that run did not pass"},
		"a join that has failed": {"report.json", fails, "joining the index did not pass"},
	} {
		t.Run(sentence, func(t *testing.T) {
			a := newJoined(t)
			run, report := a.join(t)
			require.Equal(t, verdict.Pass, run.Verdict, run.Cause)
			a.opts.Image = run.Image
			file := filepath.Join(report, filepath.FromSlash(tc.file))
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, []byte(tc.change(string(content))), 0o600))
			stage := a.attest(t, a.private, report)
			assert.Equal(t, "ATTEST_REFUSED", stage.Code)
			assert.Contains(t, stage.Cause, tc.cause)
		})
	}
}

func swapDigest(report string) string {
	return strings.Replace(report, `"image_digest": "sha256:`, `"image_digest": "sha256:00`, 1)
}

func fails(report string) string {
	return strings.Replace(report, "\"verdict\": \"pass\",\n      \"code\": \"\"", "\"verdict\": \"fail\",\n      \"code\": \"TESTS_FAILED\"", 1)
}

// TestJoinOfAttestedImages demands the signed statements of each run, where the call trusts a key.
func TestJoinOfAttestedImages(t *testing.T) {
	a := newJoined(t)
	a.opts.Verify.Keys = a.trusted
	run, _ := a.join(t)
	assert.Equal(t, "JOIN_UNPROVEN", run.Code)
	assert.Contains(t, run.Cause, "ATTESTATION_MISSING: nothing is stated about the image")

	attested := 0
	for _, platform := range []string{"linux-amd64", "linux-arm64"} {
		from := filepath.Join(a.opts.Join.From, "report-"+platform)
		built, err := readRun(from)
		require.NoError(t, err)
		a.opts.Image = built.Image
		require.Equal(t, verdict.Pass, a.attest(t, a.private, from).Verdict)
		if attested++; attested == 1 {
			assert.Equal(t, "JOIN_UNPROVEN", must(a.join(t)).Code, "one of two")
		}
	}
	run, _ = a.join(t)
	assert.Equal(t, verdict.Pass, run.Verdict, run.Cause)
}

func must(run *verdict.Run, _ string) *verdict.Run { return run }

func TestJoinRefuses(t *testing.T) {
	for sentence, tc := range map[string]struct {
		change      func(t *testing.T, a *attested)
		want, cause string
	}{
		"no reports":      {func(_ *testing.T, a *attested) { a.opts.Join.From = "" }, "BAD_ARGUMENT", "are needed"},
		"an empty folder": {func(t *testing.T, a *attested) { a.opts.Join.From = t.TempDir() }, "BAD_ARGUMENT", "no report.json"},
		"no folder":       {func(_ *testing.T, a *attested) { a.opts.Join.From += ".gone" }, "BAD_ARGUMENT", "no such file"},
		"a report unread": {func(t *testing.T, a *attested) { writeIn(t, a.opts.Join.From, "x/report.json", "no") }, "BAD_ARGUMENT", "read report.json"},
		"too many":        {func(t *testing.T, a *attested) { many(t, a.opts.Join.From) }, "BAD_ARGUMENT", "more than 100 reports"},
		"no platforms":    {func(_ *testing.T, a *attested) { a.backend.Source = withConfig(stagingConfig) }, "JOIN_WRONG_PLATFORMS", "is empty"},
		"a run that failed": {func(t *testing.T, a *attested) {
			rebuilt(t, a, func(r *verdict.Run) { r.Stages[0].Verdict = verdict.Fail })
		}, "JOIN_UNPROVEN", "test of that run did not pass"},
		"a run without tests": {func(t *testing.T, a *attested) { rebuilt(t, a, func(r *verdict.Run) { r.Stages = r.Stages[1:] }) },
			"JOIN_UNPROVEN", "test is no part of that run"},
		"another environment": {func(t *testing.T, a *attested) { rebuilt(t, a, func(r *verdict.Run) { r.Environment = "sandbox" }) },
			"JOIN_UNPROVEN", "proven for sandbox"},
		"a feature branch": {func(_ *testing.T, a *attested) { a.opts.Ref = "feature/x" }, "POLICY", "is not a release branch"},
	} {
		t.Run(sentence, func(t *testing.T) {
			a := newJoined(t)
			tc.change(t, a)
			run, _ := a.join(t)
			require.Len(t, run.Stages, 1)
			assert.Equal(t, tc.want, run.Stages[0].Code, run.Stages[0].Cause)
			assert.Contains(t, run.Stages[0].Cause, tc.cause)
			assert.Empty(t, run.Image+run.ImageDigest)
		})
	}
}

// rebuilt replaces the report of the second platform.
func rebuilt(t *testing.T, a *attested, change func(*verdict.Run)) {
	t.Helper()
	require.NoError(t, os.RemoveAll(filepath.Join(a.opts.Join.From, "report-linux-arm64")))
	a.built(t, "linux/arm64", change)
}

func writeIn(t *testing.T, dir, name, content string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
}

func many(t *testing.T, dir string) {
	t.Helper()
	for i := range maxReports {
		writeIn(t, dir, time.Duration(i).String()+"/report.json", "{}")
	}
}
