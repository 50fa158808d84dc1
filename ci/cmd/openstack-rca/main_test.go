package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// said is what a command line did.
type said struct {
	exit           int
	stdout, stderr string
}

// call runs a command line in a cache of its own.
func call(t *testing.T, args ...string) said {
	t.Helper()
	return callIn(t, t.TempDir(), args...)
}

// callIn runs a command line with the given directory for its cache.
func callIn(t *testing.T, cache string, args ...string) said {
	t.Helper()
	t.Setenv("XDG_CACHE_HOME", cache)
	var files [2]*os.File
	for i := range files {
		file, err := os.CreateTemp(t.TempDir(), "out")
		require.NoError(t, err)
		defer func() { require.NoError(t, file.Close()) }()
		files[i] = file
	}
	exit := execute(t.Context(), args, files[0], files[1])
	read := func(file *os.File) string {
		content, err := os.ReadFile(file.Name())
		require.NoError(t, err)
		return string(content)
	}
	return said{exit, read(files[0]), read(files[1])}
}

// project is a source that a pipeline would take.
func project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "main.py"), []byte("print()\n"), 0o600))
	return dir
}

// settled is a project that says everything a rollout in staging needs.
func settled(t *testing.T) string {
	t.Helper()
	dir := project(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte(`
policy: {feature/x: [test, train, publish, image, deploy]}
test: {requirements: [missing.lock]} # so that no environment is made
rollout:
  account: "111122223333"
  strategy: rolling
  vpc: vpc-0123456789abcdef0
  subnets: [subnet-0123456789abcdef0, subnet-0123456789abcdef1]
  security_groups: [sg-0123456789abcdef0]
  execution_role: arn:aws:iam::111122223333:role/execution
  task_role: arn:aws:iam::111122223333:role/task
  infrastructure_role: arn:aws:iam::111122223333:role/infrastructure
  journal: s3://bucket/rollouts
`), 0o600))
	return dir
}

func TestACommandLineThatIsWrong(t *testing.T) {
	for sentence, c := range map[string]struct {
		args []string
		want string
	}{
		"an unknown command":     {[]string{"deploy-all"}, "unknown command"},
		"an unknown flag":        {[]string{"test", "--shard", "2"}, "unknown flag: --shard"},
		"a wrong value":          {[]string{"train", "--cpu-threads", "two"}, "invalid argument"},
		"an argument too many":   {[]string{"plan", "main"}, "unknown command"},
		"a source that is gone":  {[]string{"plan", "--source", "/does/not/exist"}, "open --source"},
		"an outcome that is not": {[]string{"train", "--source", ".", "--trained", "/does/not/exist"}, "open --trained"},
		"a data set that is not": {[]string{"train", "--source", ".", "--data", "/does/not/exist"}, "open --data"},
	} {
		t.Run(sentence, func(t *testing.T) {
			got := call(t, c.args...)
			assert.Equal(t, 2, got.exit)
			assert.Contains(t, got.stderr, "openstack-rca: ")
			assert.Contains(t, got.stderr, c.want)
			assert.Empty(t, got.stdout)
		})
	}
}

func TestAPlanIsShown(t *testing.T) {
	got := call(t, "plan", "--source", project(t), "--ref", "develop")
	assert.Equal(t, 0, got.exit, got.stderr)
	assert.Contains(t, got.stdout, "| publish | no |")

	got = call(t, "plan", "--source", project(t), "--ref", "main")
	assert.Contains(t, got.stdout, "\n+ create ecs service ")
	assert.Contains(t, got.stdout, "openstack-rca plan --verbose")
	assert.Less(t, strings.Count(got.stdout, "\n"), 50)
	got = call(t, "plan", "--source", project(t), "--ref", "main", "--verbose")
	assert.Greater(t, strings.Count(got.stdout, "\n"), 200)
}

func TestAPlanThatCannotBeCarriedOut(t *testing.T) {
	got := call(t, "plan", "--source", t.TempDir())
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stderr, "SRC_EMPTY")
	assert.Empty(t, got.stdout, "each problem is told once")
}

func TestARefusedRunHasAReport(t *testing.T) {
	report := filepath.Join(t.TempDir(), "report")
	got := call(t, "pipeline", "--source", t.TempDir(), "--report", report)
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stdout, "FAIL preflight SRC_EMPTY")
	assert.Contains(t, got.stdout, "Report: "+filepath.Join(report, "report.html"))
	assert.FileExists(t, filepath.Join(report, "report.json"))
}

func TestAReportThatCannotBeWrittenIsFoundOutFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	source := project(t)
	for _, command := range []string{"run", "pipeline", "image", "test", "train", "publish", "models", "promote", "rollback-model", "clean-claims",
		"deploy", "status", "destroy"} {
		got := call(t, command, "--source", source, "--report", file)
		assert.Equal(t, 1, got.exit, command)
		assert.Contains(t, got.stdout, "FAIL preflight REPORT_UNWRITABLE", command)
		assert.NotContains(t, got.stderr, "pytest", command)
		assert.NotContains(t, got.stdout, "Report: ", command)
	}
}

func TestAWrongFlagIsExplained(t *testing.T) {
	for said, args := range map[string][]string{
		"unknown flag: --environmnt; did you mean --environment?":             {"test", "--environmnt", "staging"},
		"unknown flag: --Param; did you mean --param?":                        {"train", "--Param", "a=b"},
		"unknown flag: --frobnicate; openstack-rca test --help lists them":    {"test", "--frobnicate"},
		`invalid argument "x" for "--max-skipped" flag: not a number`:         {"test", "--max-skipped", "x"},
		`invalid argument "many" for "--cpu-threads" flag: not a number`:      {"train", "--cpu-threads", "many"},
		`invalid argument "maybe" for "--twice" flag: neither true nor false`: {"train", "--twice=maybe"},
	} {
		got := call(t, args...)
		assert.Equal(t, 2, got.exit, args)
		assert.Contains(t, got.stderr, said)
	}
}

// TestACommandWithoutAReportSaysSo: nobody waits for its files.
func TestACommandWithoutAReportSaysSo(t *testing.T) {
	source, report := project(t), filepath.Join(t.TempDir(), "report")
	const said = "this command writes no report; --report was not used"
	for _, command := range []string{"plan", "init", "doctor", "dora", "runs"} {
		assert.Contains(t, call(t, command, "--source", source, "--report", report).stderr, said, command)
		assert.NotContains(t, call(t, command, "--source", source).stderr, said, command)
	}
	assert.NoDirExists(t, report)
	assert.NotContains(t, call(t, "status", "--source", source, "--report", report).stderr, said)
	assert.FileExists(t, filepath.Join(report, verdict.ReportJSON))
}

// TestAReportDoesNotReplaceFilesOfTheSource: its names, such as test/, are common.
func TestAReportDoesNotReplaceFilesOfTheSource(t *testing.T) {
	source := project(t)
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(source, link))
	above := t.TempDir()
	require.NoError(t, os.Rename(source, filepath.Join(above, "test")))
	source = filepath.Join(above, "test")
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(source, link))
	for _, report := range []string{source, link, source + "/app/..", above} {
		got := call(t, "test", "--source", source, "--report", report)
		assert.Equal(t, 1, got.exit, report)
		assert.Contains(t, got.stdout, "FAIL preflight REPORT_UNWRITABLE: the files of the report would lie among those of the source", report)
		assert.NoFileExists(t, filepath.Join(report, verdict.ReportJSON))
	}
	for _, report := range []string{filepath.Join(source, "report"), filepath.Join(above, "test-report"), t.TempDir()} {
		require.NoError(t, besideSource(report, source), report)
	}
	require.NoError(t, besideSource(above, filepath.Join(above, "service")), "its stages have other names")
}

func TestAReportThatCannotBeWrittenAfterAllIsNoPassAndHasASummary(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, verdict.ReportMarkdown+".partial", "in the way"), 0o750))
	image := "repo@sha256:" + strings.Repeat("a", 64)
	got := call(t, "deploy", "--source", project(t), "--image", image, "--report", dir)
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stdout, ": pass\n", "the rollout was planned, and that is told")
	assert.Contains(t, got.stderr, "openstack-rca: the report could not be written: ")
	partial, err := filepath.Glob(filepath.Join(dir, "*.partial"))
	require.NoError(t, err)
	assert.Len(t, partial, 1, "what was in the way")
}

func TestAModelThatCannotBeWrittenIsFoundOutFirst(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	got := call(t, "train", "--source", project(t), "--model", file)
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stdout, "FAIL preflight BAD_ARGUMENT: make directory of --model: ")
}

func TestASettingsFileThatWouldNotBeRead(t *testing.T) {
	for name, c := range map[string]struct {
		entry string
		dir   bool
		want  string
	}{
		"another suffix":                  {"pipeline.yml", false, "pipeline.yml is not read; only pipeline.yaml is"},
		"another case":                    {"Pipeline.YAML", false, "Pipeline.YAML is not read"},
		"a hidden file":                   {".pipeline.yml", false, ".pipeline.yml is not read"},
		"a text file":                     {"pipeline.yaml.txt", false, "pipeline.yaml.txt is not read"},
		"an empty directory of that name": {"pipeline.yaml", true, "pipeline.yaml/ is a directory, where a file is read"},
	} {
		t.Run(name, func(t *testing.T) {
			source := project(t)
			path := filepath.Join(source, c.entry)
			if c.dir {
				require.NoError(t, os.Mkdir(path, 0o750))
			} else {
				require.NoError(t, os.WriteFile(path, []byte("test: {coverage: {total: 99}}\n"), 0o600))
			}
			got := call(t, "plan", "--source", source)
			assert.Equal(t, 1, got.exit)
			assert.Contains(t, got.stderr, "FAIL preflight CONFIG_MISNAMED: "+c.want)
			if !c.dir {
				require.NoError(t, os.WriteFile(filepath.Join(source, "pipeline.yaml"), nil, 0o600))
				assert.Equal(t, 0, call(t, "plan", "--source", source).exit, "the remedy helps: an empty pipeline.yaml")
				report := t.TempDir()
				call(t, "status", "--source", source, "--report", report)
				content, err := os.ReadFile(filepath.Join(report, verdict.ReportMarkdown))
				require.NoError(t, err)
				assert.Contains(t, string(content), "`CONFIG_MISNAMED`: "+c.entry+" is not read; only pipeline.yaml beside it is")
			}
		})
	}
	source := project(t)
	require.NoError(t, os.Mkdir(filepath.Join(source, "pipeline.yml"), 0o750))
	assert.Equal(t, 0, call(t, "plan", "--source", source).exit, "a directory of another name is somebody else's")
}

func TestOutsideOfTheSandboxARefIsDemanded(t *testing.T) {
	source := project(t)
	got := call(t, "plan", "--source", source, "--environment", "production")
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stderr, "FAIL preflight REF_MISSING: --environment production needs --ref")
	got = call(t, "plan", "--source", source, "--environment", "production", "--ref", "trunk", "--release-branch", "trunk")
	assert.Contains(t, got.stdout, "| publish | yes |", got.stderr)
	got = call(t, "plan", "--source", source, "--environment", "production", "--ref", "main", "--release-branch", "trunk")
	assert.Contains(t, got.stdout, "| publish | no |", got.stderr)
	got = call(t, "plan", "--source", source, "--release-branch", "*", "--event", "pull request")
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stderr, "BAD_ARGUMENT: --release-branch \"*\" is every branch")
	assert.Contains(t, got.stderr, "BAD_ARGUMENT: --event")
}

func TestTheDoctorChangesNothingAndSpeaks(t *testing.T) {
	got := call(t, "doctor", "--source", project(t))
	assert.Equal(t, 0, got.exit, got.stderr)
	assert.Contains(t, got.stdout, "none of 15 checks failed")
	got = call(t, "doctor", "--source", settled(t), "--environment", "staging", "--ref", "main")
	assert.Equal(t, 1, got.exit, "a check that fails is no success")
	assert.Contains(t, got.stdout, "FAIL mlflow")
	bad := project(t)
	require.NoError(t, os.WriteFile(filepath.Join(bad, "pipeline.yaml"), []byte("nope: 1\ntest: {covrage: 1}\n"), 0o600))
	got = call(t, "doctor", "--source", bad)
	assert.Equal(t, 1, got.exit)
	assert.Contains(t, got.stdout, "nope: unknown key")
	assert.Contains(t, got.stdout, "test.covrage: unknown key", "every mistake is told, not only the first")
}

func TestPublishedVersionsNeedServersThatStay(t *testing.T) {
	for _, command := range []string{"models", "promote", "rollback-model", "clean-claims"} {
		report := filepath.Join(t.TempDir(), "report")
		got := call(t, command, "--source", project(t), "--report", report)
		assert.Equal(t, 1, got.exit, command)
		assert.Contains(t, got.stdout, "PUBLISH_INPUT", command)
		assert.FileExists(t, filepath.Join(report, "report.json"))
	}
}
