package deployment

import (
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestEveryStateCanBeReachedAndLeft(t *testing.T) {
	reached := map[state]bool{advancing: true}
	known := map[string]bool{}
	for _, row := range transitions {
		assert.True(t, reached[row.from], "%s comes after what leads to it", row.from)
		key := fmt.Sprint(row.from, row.on)
		assert.False(t, known[key], "one row for %s", key)
		known[key] = true
		assert.Equal(t, row.to, row.from.next(row.on))
		assert.NotEmpty(t, row.why)
		reached[row.to] = true
	}
	for _, s := range []state{advancing, paused, rollbackPending, rollingBack} {
		assert.True(t, reached[s])
		assert.Equal(t, ended, s.next(deploymentEnded), "every deployment can end")
	}
	assert.True(t, reached[ended])
}

// What happens again, or cannot happen any more, changes nothing.
func TestAnEventWithoutARowKeepsTheState(t *testing.T) {
	for _, e := range []event{pauseReached, pauseAnswered, rollbackUnanswered, rollbackAccepted, rollbackElsewhere, deploymentEnded} {
		assert.Equal(t, ended, ended.next(e))
	}
	for _, e := range []event{pauseReached, pauseAnswered, rollbackUnanswered, rollbackAccepted, rollbackElsewhere} {
		assert.Equal(t, rollingBack, rollingBack.next(e), "a rollback is not taken back")
	}
	assert.Equal(t, rollbackPending, rollbackPending.next(pauseReached))
	assert.Equal(t, advancing, advancing.next("unheard of"))
}

func TestTheDocumentShowsTheStates(t *testing.T) {
	page, err := os.ReadFile("../../../docs/rollout.md")
	require.NoError(t, err)
	for _, row := range transitions {
		assert.Contains(t, string(page), fmt.Sprintf("| %s | %s | %s | %s |\n", row.from, row.on, row.to, row.why))
	}
}
