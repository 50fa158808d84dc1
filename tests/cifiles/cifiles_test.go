// Package cifiles checks the files in examples/ci with the schemas and linters of their systems, and runs
// their commands with a dagger that notes its arguments.
package cifiles

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const examples = "../../examples/ci"

// groovy is the compiler that reads the Jenkinsfile; Maven checks its checksum.
const groovy = "org.apache.groovy:groovy:4.0.29"

func tool(t *testing.T, dir, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	command := exec.CommandContext(ctx, name, args...)
	command.Dir = dir
	out, err := command.CombinedOutput()
	return string(out), err
}

// schemas installs check-jsonschema once for each lock, and returns its path.
func schemas(t *testing.T) string {
	t.Helper()
	lock, err := os.ReadFile("check.lock")
	require.NoError(t, err)
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("there is no python3")
	}
	cache, err := os.UserCacheDir()
	require.NoError(t, err)
	sum := sha256.Sum256(lock)
	dir := filepath.Join(cache, "openstack-rca", "cifiles-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(filepath.Join(dir, "complete")); err != nil {
		out, err := tool(t, ".", python, "-m", "venv", "--clear", dir)
		require.NoError(t, err, out)
		if out, err := tool(t, ".", filepath.Join(dir, "bin", "pip"), "install", "--quiet", "--require-hashes", "-r", "check.lock"); err != nil {
			t.Skipf("check-jsonschema cannot be installed: %s", out)
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "complete"), nil, 0o600))
	}
	return filepath.Join(dir, "bin", "check-jsonschema")
}

func TestTheFilesHoldTheSchemasOfTheirSystems(t *testing.T) {
	check := schemas(t)
	for file, args := range map[string][]string{
		"github.yml": {"vendor.github-workflows"}, "github-platforms.yml": {"vendor.github-workflows"}, "gitlab.yml": {"vendor.gitlab-ci"}, "circleci.yml": {"vendor.circle-ci"},
		"buildkite.yml": {"vendor.buildkite"},
		"azure.yml":     {"vendor.azure-pipelines", "--data-transform", "azure-pipelines", "--regex-variant", "nonunicode"},
	} {
		content, err := os.ReadFile(filepath.Join(examples, file))
		require.NoError(t, err)
		// The schema knows no task of an extension.
		text := extension.ReplaceAllString(string(content), "- bash: echo\n$1- publish")
		for name, c := range map[string]struct {
			text string
			ok   bool
		}{"as it is": {text, true}, "with a mistake": {strings.NewReplacer("steps:", "stepz:", "artifacts:", "artifactz:", "script:",
			"skript:").Replace(text), false}} {
			copied := filepath.Join(t.TempDir(), file)
			require.NoError(t, os.WriteFile(copied, []byte(c.text), 0o600))
			out, err := tool(t, ".", check, append(append([]string{"--builtin-schema"}, args...), copied)...)
			if c.ok {
				assert.NoError(t, err, "%s %s: %s", file, name, out)
			} else {
				assert.Error(t, err, "%s %s: %s", file, name, out)
			}
		}
	}
}

var extension = regexp.MustCompile(`(?s)- task: AWSShellScript@1\n.*?\n( +)- publish`)

func TestActionlintTakesTheWorkflow(t *testing.T) {
	out, err := tool(t, "../..", "go", "tool", "-modfile=scripts/tools/go.mod", "actionlint", "examples/ci/github.yml", "examples/ci/github-platforms.yml")
	assert.NoError(t, err, out)
}

func TestTheJenkinsfileIsGroovy(t *testing.T) {
	for _, name := range []string{"mvn", "java"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("there is no %s", name)
		}
	}
	dir := t.TempDir()
	if out, err := tool(t, dir, "mvn", "-q", "-B", "dependency:copy", "-Dartifact="+groovy, "-DoutputDirectory="+dir); err != nil {
		t.Skipf("the Groovy compiler cannot be fetched: %s", out)
	}
	jars, err := filepath.Glob(filepath.Join(dir, "*.jar"))
	require.NoError(t, err)
	require.Len(t, jars, 1)
	content, err := os.ReadFile(filepath.Join(examples, "Jenkinsfile"))
	require.NoError(t, err)
	compile := func(text string) (string, error) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Jenkinsfile.groovy"), []byte(text), 0o600))
		return tool(t, dir, "java", "-cp", jars[0], "org.codehaus.groovy.tools.FileSystemCompiler", "-d", "out", "Jenkinsfile.groovy")
	}
	out, err := compile(string(content))
	require.NoError(t, err, out)
	_, err = compile(strings.Replace(string(content), "'''", "''", 1))
	assert.Error(t, err)
}

// commands are the scripts of a file that call the module, in order: those of the sandbox, then of staging.
func commands(t *testing.T, file string) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(examples, file))
	require.NoError(t, err)
	var found []string
	keep := func(script string) {
		if strings.Contains(script, "export --path report") {
			found = append(found, script)
		}
	}
	if file == "Jenkinsfile" {
		for _, m := range regexp.MustCompile(`(?s)'''(.*?)'''`).FindAllStringSubmatch(string(content), -1) {
			keep(strings.ReplaceAll(m[1], `\\`, `\`))
		}
		return found
	}
	var document yaml.Node
	require.NoError(t, yaml.Unmarshal(content, &document))
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		if n.Kind == yaml.SequenceNode { // GitLab's lines
			var lines []string
			for _, line := range n.Content {
				if line.Kind == yaml.ScalarNode {
					lines = append(lines, line.Value)
				}
			}
			keep(strings.Join(lines, "\n"))
		}
		for _, inner := range n.Content {
			if inner.Kind == yaml.ScalarNode && n.Kind != yaml.SequenceNode {
				keep(inner.Value)
			}
			walk(inner)
		}
	}
	walk(&document)
	if file == "buildkite.yml" {
		for i := range found {
			found[i] = strings.ReplaceAll(found[i], "$$", "$")
		}
	}
	return found
}

// noting is a dagger that writes down its arguments and leaves a report with the verdict of VERDICT.
const noting = `#!/bin/sh
printf '%s\n' "$@" > args
mkdir -p report && printf '%s\n' "$VERDICT" > report/verdict.txt && : > report/report.md
`

// play runs a script as the system would and returns the arguments that dagger got.
func play(t *testing.T, script, verdict string, vars map[string]string) ([]string, error) {
	t.Helper()
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	require.NoError(t, os.Mkdir(bin, 0o750))
	require.NoError(t, os.WriteFile(filepath.Join(bin, "dagger"), []byte(noting),
		0o755)) //nolint:gosec // a program
	require.NoError(t, os.WriteFile(filepath.Join(bin, "buildkite-agent"), []byte("#!/bin/sh\necho token\n"),
		0o755)) //nolint:gosec // as above
	command := exec.CommandContext(t.Context(), "sh", "-e", "-c", script)
	command.Dir = dir
	command.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir, "AGENT_TEMPDIRECTORY=" + dir, "WORKSPACE=" + dir,
		"MODULE=module",
		"VERDICT=" + verdict}
	for name, value := range vars {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.CombinedOutput()
	args, missing := os.ReadFile(filepath.Join(dir, "args"))
	require.NoError(t, missing, "%s", out)
	return strings.Split(strings.TrimSuffix(string(args), "\n"), "\n"), err
}

func after(args []string, flag string) string {
	for i, arg := range args {
		if arg == flag && i+1 < len(args) {
			return args[i+1]
		}
	}
	return "no " + flag
}

func TestTheCommandsPassRefCommitAndEvent(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("there is no sh")
	}
	type vars = map[string]string
	for _, c := range []struct {
		file, name, ref, event string
		vars                   vars
	}{
		{"github.yml", "push", "refs/heads/main", "push", vars{"REF": "refs/heads/main", "COMMIT": "c", "EVENT": "push"}},
		{"github.yml", "pull request", "refs/pull/7/merge", "pull_request", vars{"REF": "refs/pull/7/merge", "COMMIT": "c",
			"EVENT": "pull_request", "GITHUB_BASE_REF": "main"}},
		{"gitlab.yml", "push", "main", "push", vars{"CI_COMMIT_REF_NAME": "main", "CI_COMMIT_SHA": "c", "CI_PIPELINE_SOURCE": "push"}},
		{"gitlab.yml", "tag", "refs/tags/v 1", "push", vars{"CI_COMMIT_REF_NAME": "v 1", "CI_COMMIT_TAG": "v 1", "CI_COMMIT_SHA": "c",
			"CI_PIPELINE_SOURCE": "push"}},
		{"gitlab.yml", "merge request", "f", "merge_request_event", vars{"CI_COMMIT_REF_NAME": "f", "CI_COMMIT_SHA": "c",
			"CI_PIPELINE_SOURCE": "merge_request_event"}},
		{"Jenkinsfile", "push", "main", "", vars{"BRANCH_NAME": "main", "GIT_COMMIT": "c"}},
		{"Jenkinsfile", "pull request", "PR-7", "pull_request", vars{"BRANCH_NAME": "PR-7", "CHANGE_ID": "7", "GIT_COMMIT": "c"}},
		{"Jenkinsfile", "tag", "refs/tags/v1", "", vars{"BRANCH_NAME": "v1", "TAG_NAME": "v1", "GIT_COMMIT": "c"}},
		{"circleci.yml", "push", "main", "", vars{"CIRCLE_BRANCH": "main", "CIRCLE_SHA1": "c"}},
		{"circleci.yml", "tag", "refs/tags/v1", "", vars{"CIRCLE_TAG": "v1", "CIRCLE_SHA1": "c"}},
		{"circleci.yml", "pull request", "f", "pull_request", vars{"CIRCLE_BRANCH": "f", "CIRCLE_PULL_REQUEST": "https://x/7",
			"CIRCLE_SHA1": "c"}},
		{"azure.yml", "push", "refs/heads/main", "IndividualCI", vars{"BUILD_SOURCEBRANCH": "refs/heads/main", "BUILD_SOURCEVERSION": "c",
			"BUILD_REASON": "IndividualCI"}},
		{"azure.yml", "pull request", "refs/pull/7/merge", "PullRequest", vars{"BUILD_SOURCEBRANCH": "refs/pull/7/merge",
			"BUILD_SOURCEVERSION": "c",
			"BUILD_REASON":        "PullRequest"}},
		{"buildkite.yml", "push", "main", "push", vars{"BUILDKITE_BRANCH": "main", "BUILDKITE_COMMIT": "c", "BUILDKITE_PULL_REQUEST": "false"}},
		{"buildkite.yml", "tag", "refs/tags/v1", "push", vars{"BUILDKITE_BRANCH": "v1", "BUILDKITE_TAG": "v1", "BUILDKITE_COMMIT": "c",
			"BUILDKITE_PULL_REQUEST": "false"}},
		{"buildkite.yml", "pull request", "f", "pull_request", vars{"BUILDKITE_BRANCH": "f", "BUILDKITE_COMMIT": "c",
			"BUILDKITE_PULL_REQUEST": "7"}},
	} {
		t.Run(c.file+" "+c.name, func(t *testing.T) {
			scripts := commands(t, c.file)
			require.Len(t, scripts, 2)
			args, err := play(t, scripts[0], "pass", c.vars)
			require.NoError(t, err)
			assert.Equal(t, c.ref, after(args, "--ref"))
			assert.Equal(t, c.event, after(args, "--event"))
			assert.Equal(t, "c", after(args, "--commit"))
			assert.Equal(t, "main", after(args, "--release-branch"))
			assert.NotContains(t, args, "--environment", "the sandbox")
			if target := c.vars["GITHUB_BASE_REF"]; target != "" {
				assert.Equal(t, "origin/"+target, after(args, "--base"), "the lines of the change are annotated")
				assert.Equal(t, ".git", after(args, "--git"))
			} else {
				assert.NotContains(t, args, "--base")
			}
			_, err = play(t, scripts[0], "fail", c.vars)
			assert.Error(t, err, "a verdict that is no pass fails the job")

			c.vars["AWS_ROLE_ARN"], c.vars["IMAGE_ADDRESS"] = "arn", "image"
			args, err = play(t, scripts[1], "pass", c.vars)
			require.NoError(t, err)
			assert.Equal(t, "staging", after(args, "--environment"))
			assert.Equal(t, "image", after(args, "--image-address"))
			_, err = play(t, scripts[1], "could-not-run", c.vars)
			assert.Error(t, err)
		})
	}
}
