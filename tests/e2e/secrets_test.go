package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// secretArguments are all arguments of the module that take a secret. TestEverySecretArgumentIsTried holds the list against main.go.
var secretArguments = []string{
	"mlflow-token", "mlflow-tracking-username", "mlflow-tracking-password", "aws-access-key-id", "aws-secret-access-key",
	"aws-session-token", "aws-web-identity-token", "docker-username", "docker-password", "index-url",
	"metrics-auth", "notify-secrets",
}

// seeker looks for canaries in all that a step can read: its own and all other processes' environment, arguments and open files,
// the file system, and core dumps. It joins the prefix at run time, so that it does not find itself.
const seeker = `
import base64, glob, os, pathlib, re

# Each canary is the prefix and the name of its argument. In base64 a text has three forms, by where it begins.
prefix = "zq" + "canary"
plain = [prefix.encode(), prefix.encode().hex().encode(), *(base64.b64encode(b"x" * i + prefix.encode())[(i + 2) // 3 * 4 : -4] for i in range(3))]


def seen():
    found, looked = [], 0
    for pattern in ("environ", "cmdline", "fd/*", "root/core*", "cwd/core*"):
        for name in glob.glob("/proc/[0-9]*/" + pattern):
            try:
                if not os.path.isfile(name) and not name.endswith(("environ", "cmdline")):
                    continue
                with open(name, "rb") as file:
                    data = file.read(1 << 20)
            except OSError:
                continue
            looked += 1
            found += [name for form in plain if form in data]
    for top, folders, names in os.walk("/"):
        folders[:] = [f for f in folders if os.path.join(top, f) not in ("/proc", "/sys", "/dev")]
        for name in names:
            path = pathlib.Path(top, name)
            try:
                if not path.is_file() or path.is_symlink() or path.stat().st_size > 4_000_000 or path.suffix in (".so", ".pyc"):
                    continue
                data = path.read_bytes()
            except OSError:
                continue
            looked += 1
            found += [str(path) for form in plain if form in data]
    for key, value in os.environ.items():
        found += ["environment: " + key for form in plain if form in value.encode()]
    return found, looked
`

// A canary in each secret argument is nowhere where a test or a training on the engine can look, nor in what the call prints or leaves.
func TestNoStepOnTheEngineSeesASecret(t *testing.T) {
	reachable.Engine(t)
	source := t.TempDir()
	require.NoError(t, os.CopyFS(source, os.DirFS(filepath.Join(reachable.Root(), "tests", "fixtures", "tiny"))))
	write := func(name, text string) {
		t.Helper()
		require.NoError(t, os.WriteFile(filepath.Join(source, name), []byte(text), 0o600))
	}
	write("seeker.py", seeker)
	write("tests/test_secrets.py", "import seeker\n\n\ndef test_nothing_is_seen():\n    found, looked = seeker.seen()\n"+
		"    assert looked > 500\n    assert found == []\n")
	program, err := os.ReadFile(filepath.Join(source, "main.py"))
	require.NoError(t, err)
	trained := strings.Replace(string(program), "    \"\"\"Leave a model, its metrics and its predictions.\"\"\"\n",
		"    import seeker\n\n    found, looked = seeker.seen()\n    assert looked > 500 and not found, (looked, found)\n", 1)
	require.NotEqual(t, string(program), trained)
	write("main.py", trained)

	dir := filepath.Join(t.TempDir(), "report")
	args := []string{dir, "--source", source, "--environment", "sandbox", "--ref", "feature/canary"}
	variables := os.Environ()
	for _, name := range secretArguments {
		variable := "E2E_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		value := "zqcanary-" + name + "-5f1c"
		if name == "index-url" {
			// An index that works, with a login that it ignores.
			continue
		}
		args = append(args, "--"+name, "env:"+variable)
		variables = append(variables, variable+"="+value)
	}
	call := exec.CommandContext(t.Context(), filepath.Join(reachable.Root(), "scripts", "pipeline"), args...)
	call.Env = variables
	o := execute(t, dir, call)
	require.Equal(t, "pass", o.report.Verdict, o.output)
	assert.Equal(t, "pass", o.report.stage("test").Verdict)
	assert.Equal(t, "pass", o.report.stage("train").Verdict)
	assert.NotContains(t, o.output, "zqcanary-", "the canaries are in the output of the call")
	require.NoError(t, filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		assert.NotContains(t, string(data), "zqcanary-", path)
		return err
	}))
}

func TestEverySecretArgumentIsTried(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(reachable.Root(), "main.go"))
	require.NoError(t, err)
	_, constructor, ok := strings.Cut(string(source), "func New(")
	require.True(t, ok)
	constructor, _, ok = strings.Cut(constructor, "\n) ")
	require.True(t, ok)
	var names []string
	for line := range strings.Lines(constructor) {
		name, isSecret := strings.CutSuffix(strings.TrimSpace(line), " *dagger.Secret,")
		if isSecret {
			names = append(names, kebab(name))
		}
	}
	assert.ElementsMatch(t, secretArguments, names)
}

// kebab is the flag of an argument: mlflowToken is --mlflow-token.
func kebab(name string) string {
	var flag strings.Builder
	for _, r := range name {
		if r >= 'A' && r <= 'Z' {
			flag.WriteRune('-')
		}
		flag.WriteString(strings.ToLower(string(r)))
	}
	return flag.String()
}
