package image_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// bigImage has two megabytes of layers.
func bigImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := random.Image(2_000_000, 1)
	require.NoError(t, err)
	file, err := img.ConfigFile()
	require.NoError(t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config = v1.Config{
		User: "10001", ExposedPorts: map[string]struct{}{"7051/tcp": {}}, Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}},
		Labels: map[string]string{image.LabelModelSHA256: modelSHA},
	}
	img, err = mutate.ConfigFile(img, file)
	require.NoError(t, err)
	return img
}

func TestSecretsAreRecognised(t *testing.T) {
	for _, c := range []struct{ name, value string }{
		{"DB_PASSWORD", "correct-horse-9"}, {"ANTHROPIC_API_KEY", "abc123def"}, {"GITHUB_TOKEN", "x1y2z3"}, {"AWS_SECRET_ACCESS_KEY", "a/b+c9"},
		{"HARMLESS", "AKIA" + strings.Repeat("A", 16)}, {"URL", "postgres://me:pass9@db/x"}, {"X", "ghp_" + strings.Repeat("a", 36)}, {"PEM", "-----BEGIN RSA PRIVATE KEY-----"},
	} {
		assert.NotEmpty(t, image.LooksSecret(c.name, c.value), c.name)
		assert.NotContains(t, image.LooksSecret(c.name, c.value), c.value)
	}
	for _, c := range []struct{ name, value string }{
		{"PATH", "/bin"}, {"TOKENIZERS_PARALLELISM", "false"}, {"DB_PASSWORD", ""}, {"API_KEY_FILE", "/run/secrets/key"}, {"MAX_TOKENS", "512"},
		{"URL", "http://127.0.0.1:7051/x"}, {"GPG_KEY", "A035C8C19219BA821ECEA86B64E628F8D684696D"},
	} {
		assert.Empty(t, image.LooksSecret(c.name, c.value), c.name)
	}
}

func TestWhatARegistrySaysIsClassified(t *testing.T) {
	for text, want := range map[string]verdict.Code{
		"failed to authorize: 401 Unauthorized":                    image.CodePushAuth,
		"denied: requested access to the resource is denied":       image.CodePushAuth,
		"server message: insufficient_scope: authorization failed": image.CodePushAuth,
		"toomanyrequests: You have reached your limit":             image.CodePushThrottled,
		"unexpected status from PUT request: 502 Bad Gateway":      image.CodePushUnavailable,
		"dial tcp 10.0.0.1:443: connect: connection refused":       image.CodePushUnavailable,
		"name unknown: the repository does not exist":              image.CodePushFailed,
	} {
		assert.Equal(t, want, image.PushCode(errors.New(text)), text)
	}
	for status, want := range map[int]verdict.Code{401: image.CodePushAuth, 403: image.CodePushAuth, 429: image.CodePushThrottled, 500: image.CodePushUnavailable, 404: image.CodePushFailed} {
		assert.Equal(t, want, image.PushCode(&transport.Error{StatusCode: status, Request: httptest.NewRequest(http.MethodGet, "/v2/", nil)}), status)
	}
}

func TestCommandsForTheShellSurviveIt(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell on this machine")
	}
	words := []string{"printf", "%s|", "it's", "a $b", "", "\n\"`"}
	out, err := exec.Command(shell, "-c", image.Quoted(words)).Output()
	require.NoError(t, err)
	assert.Equal(t, strings.Join(words[2:], "|")+"|", string(out))
}

func TestTheHealthCommandCannotBeBrokenOutOf(t *testing.T) {
	command := image.HealthCommand(7051, "/x'); import os; ('")
	assert.NotContains(t, command[len(command)-1], "/x'")
	assert.Contains(t, image.HealthCommand(7051, "/_stcore/health")[4], "http://127.0.0.1:7051/_stcore/health")
}

func TestSecretsInAConfiguration(t *testing.T) {
	problems := image.SecretsIn(&v1.ConfigFile{
		Config:  v1.Config{Env: []string{"A_TOKEN=deadbeef-1", "B=2"}, Labels: map[string]string{"x": "://a:b@"}},
		History: []v1.History{{CreatedBy: "sh"}, {Comment: "https://a:b@c"}},
	})
	assert.Len(t, problems, 3)
}
