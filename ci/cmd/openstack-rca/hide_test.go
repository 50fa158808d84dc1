//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain lets this binary stand in for a program that hides its environment and says
// what it and others can see of it. The variable that asks for it must be one that stays: it is
// needed again after the program has started over.
func TestMain(m *testing.M) {
	if os.Getenv("GO_HIDE_FOR_TEST") == "" {
		os.Exit(m.Run())
	}
	err := hideEnvironment()
	// What is not there on this system shows nothing.
	shown, _ := os.ReadFile("/proc/self/environ")
	fmt.Fprintln(os.Stderr, json.NewEncoder(os.Stdout).Encode(map[string]any{
		"error": fmt.Sprint(err), "shown": string(shown), "secret": os.Getenv("SECRET"), "large": len(os.Getenv("LARGE")), "left": os.Getenv(handedOver), "args": os.Args[1:],
	}))
	os.Exit(0)
}

type seen struct {
	Error, Shown, Secret, Left string
	Large                      int
	Args                       []string
}

func hidden(t *testing.T, env ...string) seen {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], "plan", "--ref", "a b")
	command.Env = append([]string{"GO_HIDE_FOR_TEST=1", "SECRET=correct\nhorse=é"}, env...)
	out, err := command.Output()
	require.NoError(t, err)
	var got seen
	require.NoError(t, json.NewDecoder(strings.NewReader(string(out))).Decode(&got))
	assert.Equal(t, "correct\nhorse=é", got.Secret)
	assert.Equal(t, []string{"plan", "--ref", "a b"}, got.Args)
	return got
}

func TestTheEnvironmentIsHidden(t *testing.T) {
	got := hidden(t)
	assert.Equal(t, "<nil>", got.Error)
	assert.NotContains(t, got.Shown, "correct")
	assert.Empty(t, got.Left)
}

func TestTheLargestVariablesStayWhereAPipeIsFull(t *testing.T) {
	got := hidden(t, "LARGE="+strings.Repeat("x", 100<<10), "GOGC=50")
	assert.Equal(t, "<nil>", got.Error)
	assert.Equal(t, 100<<10, got.Large)
	assert.NotContains(t, got.Shown, "correct")
	if got.Shown != "" {
		assert.Contains(t, got.Shown, "GOGC=50", "Go reads it before anything else")
	}
}

func TestADescriptorThatIsNoneIsAnError(t *testing.T) {
	for _, fd := range []string{"x", "1", "77"} {
		assert.Contains(t, hidden(t, handedOver+"="+fd).Error, "take the environment over", fd)
	}
}

func TestOnlyWhatCanHoldNoSecretStays(t *testing.T) {
	key := strings.Repeat("k", 20)
	in, out := split([]string{
		"PATH=/usr/bin:/not/there", "LANG=C.UTF-8", "CI=true", "SHLVL=1", "EMPTY=", "PWD=" + t.TempDir(), "GODEBUG=x=1",
		"GOPROXY=https://user:" + key + "@proxy.example.com", "PASSWORD=/" + key, "PIN=1234567", "TOKEN=" + key, "HOMEPAGE=x",
	})
	assert.Len(t, out, 7)
	var names []string
	for _, pair := range in {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	assert.ElementsMatch(t, []string{"GOPROXY", "PASSWORD", "PIN", "TOKEN", "HOMEPAGE"}, names)
}

func TestSplitFillsAPipeAndNoMore(t *testing.T) {
	var environ []string
	for n := range 1000 {
		environ = append(environ, fmt.Sprintf("A%d=%s", n, strings.Repeat("\x01", 100)))
	}
	in, out := split(environ)
	assert.Len(t, append(in, out...), 1000)
	content, err := json.Marshal(in)
	require.NoError(t, err)
	assert.LessOrEqual(t, len(content), pipeHolds)
	assert.Greater(t, len(content), pipeHolds/2)
}
