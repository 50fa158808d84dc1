package imagestage_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"dagger.io/dagger"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// withDockerfile is the fixture application with a Dockerfile of its own, changed as wanted.
func withDockerfile(t *testing.T, client *dagger.Client, change func(string) string) image.Input {
	t.Helper()
	in := input(t, client)
	text, err := os.ReadFile("testdata/dockerfile/Dockerfile")
	require.NoError(t, err)
	serve, err := os.ReadFile("testdata/app/serve.py")
	require.NoError(t, err)
	// What serving needs is in no file here: the Dockerfile installs nothing.
	source := strings.Replace(string(serve), "import six", "import json", 1)
	in.Source = client.Directory().WithNewFile("serve.py", source).WithNewFile("deploy/Dockerfile", change(string(text))).
		WithNewFile("models/lstm_model.keras", "a model that nobody has gated")
	in.Config.Image.Dockerfile, in.Config.Image.Target = "deploy/Dockerfile", "production"
	in.Config.Image.BuildArgs = map[string]string{"PYTHON": "3.11"}
	return in
}

func same(text string) string { return text }

func TestAnImageOfItsOwnDockerfilePasses(t *testing.T) {
	client := connect(t)
	in := withDockerfile(t, client, same)
	result := image.Run(t.Context(), client, in)
	t.Logf("%s", evidence(result.Stage))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s\n%v", result.Stage.Failure(), result.Stage.Problems)
	facts := evidence(result.Stage)
	assert.Contains(t, facts, "user: appuser, number 1234")
	assert.Contains(t, facts, "golden sample in the image: equal")
	assert.Contains(t, facts, "page / in Chromium: ")
	sum, err := result.Container.File("/app/models/lstm_model.keras").Contents(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "not a real model, but one file with one hash\n", sum, "the gated one, not the source's")
	label, err := result.Container.Label(t.Context(), image.LabelModelSHA256)
	require.NoError(t, err)
	assert.Equal(t, in.Model.SHA256, label)
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, image.WarnTools.Name, result.Stage.Warnings[0].Code)
}

func TestADockerfileNeedsNeitherPortNorHealthCheckAndKeepsCodeBesideTheModel(t *testing.T) {
	client := connect(t)
	in := withDockerfile(t, client, func(text string) string {
		var kept []string
		for _, line := range strings.Split(text, "\n") {
			if !strings.HasPrefix(line, "EXPOSE") && !strings.HasPrefix(line, "HEALTHCHECK") {
				kept = append(kept, line)
			}
		}
		return strings.Join(kept, "\n")
	})
	in.Source = in.Source.WithNewFile("models/schemas.py", "A = 1\n").WithNewFile("models/old.pkl", "x")
	result := image.Run(t.Context(), client, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s\n%v", result.Stage.Failure(), result.Stage.Problems)
	facts := evidence(result.Stage)
	assert.Contains(t, facts, "exposed by the pipeline: 7051")
	assert.Contains(t, facts, "added by the pipeline: deploy/Dockerfile has none")
	names, err := result.Container.Directory("/app/models").Entries(t.Context())
	require.NoError(t, err)
	assert.Contains(t, names, "schemas.py")
	assert.NotContains(t, names, "old.pkl")
}

func TestWhatTheDistributionBroughtIsAWarningAndNothingElse(t *testing.T) {
	client := connect(t)
	const strip = "RUN find / -xdev -type f -perm /6000 -exec chmod a-s {} + &&"
	in := withDockerfile(t, client, func(text string) string {
		require.Contains(t, text, strip)
		return strings.Replace(text, strip, "RUN cp /bin/true /usr/bin/su && chmod u+s /usr/bin/su &&", 1)
	})
	result := image.Run(t.Context(), client, in)
	require.Equal(t, image.CodeSetuid.Name, result.Stage.Code, result.Stage.Failure())
	assert.Contains(t, result.Stage.Cause, "/usr/bin/su", "one that took the place of the distribution's")
	assert.NotContains(t, result.Stage.Cause, "/usr/bin/mount")
	require.Contains(t, warned(result.Stage), image.WarnSetuid.Name)
}

func warned(stage verdict.Stage) (codes []string) {
	for _, w := range stage.Warnings {
		codes = append(codes, w.Code)
	}
	return codes
}

// Row 46 of the fault matrix: each mistake has its line and the end of what was printed.
func TestADockerfileThatDoesNotBuildIsNamedByItsLine(t *testing.T) {
	client := connect(t)
	for sentence, c := range map[string]struct {
		change func(string) string
		target string
		cause  string
	}{
		"a command that fails": {func(text string) string {
			return strings.Replace(text, "RUN find", "RUN echo one && \\\n    echo 'no space for hunter2-hunter2' >&2 && false && find", 1)
		}, "production", "deploy/Dockerfile line 6: exit code 1: no space for ***"},
		"a file that is missing": {func(text string) string { return strings.Replace(text, "COPY serve.py", "COPY nothing.py", 1) },
			"production", "deploy/Dockerfile line 9: failed to"},
		"a stage that is missing": {same, "release", `target stage "release" could not be found; its stages are base, never, production`},
		"an unknown instruction":  {func(text string) string { return text + "FOO bar\n" }, "production", "deploy/Dockerfile line 19: dockerfile parse error on line 19: unknown instruction: FOO"},
		"an image that is not there": {func(text string) string {
			return strings.Replace(text, "COPY serve.py", "COPY --from=builder serve.py", 1)
		}, "production", "deploy/Dockerfile line 9: builder: docker.io/library/builder:latest: not found"},
	} {
		t.Run(sentence, func(t *testing.T) {
			in := withDockerfile(t, client, c.change)
			in.Config.Image.Target = c.target
			result := image.Run(t.Context(), client, in)
			t.Logf("%s", result.Stage.Failure())
			require.Equal(t, verdict.Fail, result.Stage.Verdict)
			assert.Equal(t, image.CodeBuildFailed.Name, result.Stage.Code)
			assert.Contains(t, result.Stage.Cause, c.cause)
			assert.Empty(t, result.Reference.Written())
			assert.NotContains(t, result.Stage.Failure()+strings.Join(result.Stage.Problems[0].Details, "\n"), "hunter2")
		})
	}
}

func TestADockerfileThatRunsAsRootIsRefused(t *testing.T) {
	client := connect(t)
	in := withDockerfile(t, client, func(text string) string { return strings.Replace(text, "USER appuser\n", "", 1) })
	in.Config.Image.StartBudget = config.Duration(20 * time.Second)
	result := image.Run(t.Context(), client, in)
	assert.Equal(t, image.CodeRoot.Name, result.Stage.Code, result.Stage.Failure())
}
