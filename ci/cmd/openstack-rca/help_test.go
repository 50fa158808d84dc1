package main

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheHelpOfACommandBeginsWithWhatIsItsOwn(t *testing.T) {
	help := func(args ...string) string {
		var out bytes.Buffer
		root := newCommand(io.Discard, io.Discard)
		root.SetOut(&out)
		root.SetErr(&out)
		root.SetArgs(append(args, "--help"))
		require.NoError(t, root.ExecuteContext(t.Context()))
		return out.String()
	}
	for _, name := range []string{"run", "train", "deploy", "plan"} {
		said := help(name)
		for _, part := range []string{"Examples:\n  openstack-rca " + name, "--report string", "--verbose", "Exit codes: 0 for a pass", "more, for servers"} {
			assert.Contains(t, said, part, name)
		}
		assert.NotContains(t, said, "--aws-access-key-id", name)
		assert.Equal(t, name == "plan", strings.Contains(said, "3 for changes"))
	}
	assert.Contains(t, help(), "--aws-access-key-id", "where the rest is said to be")
}

// TestTheExamplesAreCalls: every one has only flags that its command takes.
func TestTheExamplesAreCalls(t *testing.T) {
	for name, lines := range examples {
		for _, line := range lines {
			root := newCommand(io.Discard, io.Discard)
			found, rest, err := root.Find(strings.Fields(line))
			require.NoError(t, err, line)
			assert.Equal(t, name, found.Name(), line)
			require.NoError(t, found.ParseFlags(rest), line)
			assert.Empty(t, found.Flags().Args(), line)
		}
	}
}
