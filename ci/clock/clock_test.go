package clock_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/clock"
)

func TestASleepEndsWithItsContext(t *testing.T) {
	var c clock.Clock = clock.System{}
	assert.NoError(t, c.Sleep(t.Context(), time.Nanosecond))

	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("stopped by hand"))
	before := c.Now()
	assert.ErrorIs(t, c.Sleep(ended, time.Hour), context.Canceled)
	assert.WithinDuration(t, before, c.Now(), time.Minute)
}
