package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A secret is named by a reference. One that is given itself is refused and not repeated.
func TestASecretIsGivenByReference(t *testing.T) {
	secret := "hidden" + "-" + "value"
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte(secret+"\n"), 0o600))
	t.Setenv("THE_TOKEN", secret)
	t.Setenv("EMPTY_TOKEN", "")
	for reference, want := range map[string]string{
		"env://THE_TOKEN": "", "file://" + file: "",
		"env://EMPTY_TOKEN": "empty or not set", "file:///does/not/exist": "no such file",
		secret: "never the secret itself", "env://": "never the secret itself", "cmd://echo x": "never the secret itself",
	} {
		in := &invocation{secrets: secretReferences{}}
		for _, flag := range secretFlags {
			in.secrets[flag.variable] = new(string)
		}
		*in.secrets["MLFLOW_TRACKING_TOKEN"] = reference
		getenv, err := in.secrets.environment()
		if want == "" {
			require.NoError(t, err)
			assert.Equal(t, secret, getenv("MLFLOW_TRACKING_TOKEN"))
			assert.Equal(t, os.Getenv("HOME"), getenv("HOME"))
			continue
		}
		require.ErrorContains(t, err, want)
		assert.Contains(t, err.Error(), "--mlflow-token")
		assert.NotContains(t, err.Error(), secret)
	}
	got := call(t, "plan", "--source", project(t), "--aws-secret-access-key", secret)
	assert.Equal(t, 2, got.exit)
	assert.NotContains(t, got.stdout+got.stderr, secret)
}

func TestFlagsWinOverVariables(t *testing.T) {
	t.Setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
	source := settled(t)
	got := call(t, "doctor", "--source", source, "--environment", "staging", "--ref", "main")
	assert.Contains(t, got.stdout, "connect to 127.0.0.1:1:")
	got = call(t, "doctor", "--source", source, "--environment", "staging", "--ref", "main", "--mlflow-tracking-uri", "http://127.0.0.1:2")
	assert.Contains(t, got.stdout, "connect to 127.0.0.1:2:")
}

func TestAServerThatIsNoAddress(t *testing.T) {
	got := call(t, "plan", "--source", project(t), "--sandbox-mlflow", "nowhere")
	assert.Equal(t, 2, got.exit)
	assert.Contains(t, got.stderr, `--sandbox-mlflow: "nowhere" is not an address`)
}

// TestTheRefIsThatOfTheCheckout: a call on a branch has the branch's rights, not those of main.
func TestTheRefIsThatOfTheCheckout(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not installed")
	}
	source := project(t)
	git := func(args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b.example"}, args...)...)
		command.Dir = source
		out, err := command.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	plan := func(args ...string) said {
		t.Helper()
		got := call(t, append([]string{"plan", "--source", source}, args...)...)
		require.Equal(t, 0, got.exit, got.stderr)
		return got
	}
	assert.Contains(t, plan().stdout, "# Plan for main in sandbox", "no checkout")
	git("init", "-q", "-b", "feature/x")
	git("add", ".")
	git("commit", "-q", "-m", "a: b")
	got := plan()
	assert.Contains(t, got.stdout, "# Plan for feature/x in sandbox")
	assert.Contains(t, got.stdout, "| publish | no |")
	assert.Contains(t, plan("--ref", "main").stdout, "# Plan for main in sandbox")
	assert.Contains(t, call(t, "plan", "--source", source, "--environment", "staging").stderr, "REF_MISSING", "a checkout grants no rights there")

	report := filepath.Join(source, "out")
	head := strings.TrimSpace(read(t, filepath.Join(source, ".git", "refs", "heads", "feature", "x")))
	call(t, "deploy", "--source", source, "--image", image, "--report", report)
	assert.Contains(t, read(t, filepath.Join(report, "report.json")), head)
	call(t, "deploy", "--source", source, "--image", image, "--report", report)
	assert.Contains(t, read(t, filepath.Join(report, "report.json")), head, "a report is no change of the source")
	require.NoError(t, os.WriteFile(filepath.Join(source, "main.py"), []byte("print(1)\n"), 0o600))
	call(t, "deploy", "--source", source, "--image", image, "--report", report)
	changed := read(t, filepath.Join(report, "report.json"))
	assert.NotContains(t, changed, head)
	assert.Contains(t, changed, "SOURCE_MODIFIED")
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(content)
}
