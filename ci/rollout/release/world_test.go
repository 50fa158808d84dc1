package release

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// together runs one thing, and another one beside it from some time on: one of them at a time, always
// the one that is to wake first, so that the time and the order are the same in each test.
func together(simulated *fakeaws.Clock, first func(clock.Clock), after time.Duration, second func(clock.Clock)) {
	inTurns(simulated, first, func(c clock.Clock) {
		_ = c.Sleep(context.Background(), after)
		second(c)
	})
}

func TestTurnsGoByTheTimeOfWaking(t *testing.T) {
	simulated := fakeaws.NewClock()
	start := simulated.Now()
	var order []string
	run := func(name string, every time.Duration, times int) func(clock.Clock) {
		return func(c clock.Clock) {
			for range times {
				order = append(order, name)
				assert.NoError(t, c.Sleep(t.Context(), every))
			}
		}
	}
	inTurns(simulated, run("a", 2*time.Second, 2), run("b", 3*time.Second, 2), run("c", time.Second, 1))
	assert.Equal(t, []string{"a", "b", "c", "a", "b"}, order)
	assert.Equal(t, 6*time.Second, simulated.Now().Sub(start), "they sleep at the same time")
	inTurns(simulated)
}

// An interrupted run does not sleep to its end, and does not hold up the others.
func TestTurnsEndWithTheirContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	start := time.Now()
	ended := 0
	sleep := func(c clock.Clock) {
		assert.ErrorIs(t, c.Sleep(ctx, time.Hour), context.Canceled)
		assert.ErrorIs(t, c.Sleep(ctx, time.Hour), context.Canceled)
		ended++
	}
	time.AfterFunc(50*time.Millisecond, cancel)
	inTurns(clock.System{}, sleep, sleep, sleep)
	assert.Equal(t, 3, ended)
	assert.Less(t, time.Since(start), 10*time.Second)
}
