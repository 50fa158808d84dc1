package assembly

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func TestAHostHasNoImages(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.py"), nil, 0o600))
	host, err := OnHost(dir, io.Discard)
	require.NoError(t, err)
	assert.Nil(t, host.Backend.BuildImage)
	assert.NotNil(t, host.Backend.ServeApp)
	assert.Equal(t, "native", host.Backend.Runner.Name())
	assert.DirExists(t, host.Backend.WorkDir)

	require.NoError(t, os.Mkdir(filepath.Join(dir, "empty"), 0o750))
	entries, err := host.Backend.Root(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"empty/", "main.py"}, entries)

	files, err := host.Files("data", dir)
	require.NoError(t, err)
	names, err := files.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"main.py"}, names)
	_, err = host.Files("data", filepath.Join(dir, "main.py"))
	require.ErrorContains(t, err, "open --data: ")
	require.ErrorContains(t, err, "is not a directory")

	require.NoError(t, host.Close())
	assert.NoDirExists(t, host.Backend.WorkDir)
}

// TestLinksOutOfTheSourceCountOnlyWhereAStageSeesThem: virtual environments, whatever they are called, and
// what exclude leaves out may have links that lead out.
func TestLinksOutOfTheSourceCountOnlyWhereAStageSeesThem(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for sentence, c := range map[string]struct {
		links   []string
		files   map[string]string
		refused []string
	}{
		"the folder .venv": {links: []string{".venv/bin/python"}},
		"an environment of another name": {links: []string{"my [env]/bin/python", "apps/one/env/bin/python3"}, files: map[string]string{
			"my [env]/pyvenv.cfg": "", "my [env]/bin/activate": "", "apps/one/env/pyvenv.cfg": "", "apps/one/env/Scripts/activate": ""}},
		"environments of tox and nox": {links: []string{".tox/py312/bin/python", ".nox/tests/bin/python"}},
		"programs of Node.js":         {links: []string{"node_modules/.bin/tsc", "web/node_modules/.bin/tsc"}},
		"what exclude names":          {links: []string{"data/images"}, files: map[string]string{"pipeline.yaml": "exclude: [data]"}},
		"an environment, though exclude does not name it": {links: []string{"venv/bin/python"}, files: map[string]string{
			"pipeline.yaml": "exclude: [data]", "venv/pyvenv.cfg": "", "venv/bin/activate": ""}},
		"a file of a test that is like one of an environment": {links: []string{"tests/env/bin/python"}, files: map[string]string{
			"tests/env/pyvenv.cfg": ""}, refused: []string{"take tests/env/bin/python: "}},
		"what counts": {links: []string{"data.csv", ".venv/bin/python", "lib/helper.py"}, refused: []string{
			"take data.csv: it is a link to ", "take lib/helper.py: ", `or leave it out: exclude: ["data.csv"] in pipeline.yaml`}},
		"what exclude does not name any more": {links: []string{"docs/api"}, files: map[string]string{"pipeline.yaml": "exclude: [data]"},
			refused: []string{"take docs/api: "}},
		"the configuration itself": {links: []string{"pipeline.yaml"}, refused: []string{
			"read pipeline.yaml: take pipeline.yaml: ", "Next: make pipeline.yaml a file of the source"}},
	} {
		t.Run(sentence, func(t *testing.T) {
			outside := filepath.Join(t.TempDir(), "outside")
			require.NoError(t, os.WriteFile(outside, nil, 0o600))
			dir := t.TempDir()
			write := func(name, content string) {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750))
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
			}
			write("main.py", "")
			for name, content := range c.files {
				write(name, content)
			}
			for _, name := range c.links {
				require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o750))
				require.NoError(t, os.Symlink(outside, filepath.Join(dir, name)))
			}
			host, err := OnHost(dir, io.Discard)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, host.Close()) })

			options := pipeline.Options{Stages: []string{"audit"}}
			failures := strings.Join(pipeline.Run(t.Context(), host.Backend, options).Run.Failures(), "\n")
			checkup := pipeline.Doctor(t.Context(), host.Backend, pipeline.Options{Checks: []string{"source", "pipeline.yaml"}})
			setup := pipeline.Init(t.Context(), host.Backend, pipeline.InitOptions{})
			if len(c.refused) == 0 {
				assert.NotContains(t, failures, "SRC_UNREADABLE")
				assert.Contains(t, checkup.Text, "none of 2 checks failed")
				assert.Empty(t, setup.Failure)
				return
			}
			for _, part := range append(c.refused, "SRC_UNREADABLE") {
				assert.Contains(t, failures, part)
			}
			assert.Contains(t, checkup.Text, "FAIL source")
			assert.NotContains(t, failures, ".venv")
		})
	}
}

func TestASourceThatIsNotThereIsRefused(t *testing.T) {
	_, err := OnHost(filepath.Join(t.TempDir(), "gone"), io.Discard)
	require.ErrorContains(t, err, "open --source: ")
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheTargetIsReadFromTheDocumentsVariables(t *testing.T) {
	variables := map[string]string{
		"MLFLOW_TRACKING_URI": "http://127.0.0.1:5000", "MLFLOW_ARTIFACT_ROOT": "s3://b/p", "MLFLOW_S3_ENDPOINT_URL": "http://127.0.0.1:9000",
		"AWS_DEFAULT_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret",
	}
	kept := &pipeline.Secrets{}
	read := FromEnvironment(func(name string) string { return variables[name] }, kept)
	target := read.Target()
	assert.Equal(t, "http://127.0.0.1:5000", target.TrackingURI)
	assert.Equal(t, "s3://b/p", target.ArtifactRoot)
	assert.Equal(t, "http://127.0.0.1:9000", target.S3Endpoint)
	assert.Equal(t, "eu-west-1", target.Region)
	assert.Nil(t, target.SessionToken, "a variable that is not set is no secret")
	require.Len(t, target.Secrets(), 2)
	variables["AWS_WEB_IDENTITY_TOKEN"] = "a-token-of-ci"
	require.NotNil(t, read.Secret("AWS_WEB_IDENTITY_TOKEN"))
	assert.Nil(t, read.Secret("AWS_SESSION_TOKEN"))
	run := pipeline.Models(t.Context(), pipeline.Backend{Runner: fake.New(), Source: fake.Files(nil)}, pipeline.Options{Secrets: kept}, 0)
	assert.Equal(t, "*** and ***", run.Redact("a-token-of-ci and secret"), "the reports hide what was read")
	assert.Equal(t, "AWS_SECRET_ACCESS_KEY", target.SecretKey.Name())
	value, err := target.SecretKey.Plaintext(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "secret", value)
}
