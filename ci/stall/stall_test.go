package stall_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/stall"
)

// body hands out a byte after each pause, then ends; a pause of 0 or less lasts until the context ends.
type body struct {
	ctx    context.Context
	pauses []time.Duration
}

func (b *body) Read(p []byte) (int, error) {
	if len(b.pauses) == 0 {
		return 0, io.EOF
	}
	var after <-chan time.Time
	if b.pauses[0] > 0 {
		after = time.After(b.pauses[0])
	}
	b.pauses = b.pauses[1:]
	select {
	case <-after:
		p[0] = 'x'
		return 1, nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func TestATransferEndsWhenItStandsStill(t *testing.T) {
	for name, c := range map[string]struct {
		pauses []time.Duration
		bytes  int
		took   time.Duration
		err    bool
	}{
		"slow, and longer than the limit in all": {[]time.Duration{40 * time.Second, 40 * time.Second, 40 * time.Second}, 3, 2 * time.Minute, false},
		"it begins and then stands still":        {[]time.Duration{time.Second, 0}, 1, 61 * time.Second, true},
		"not a byte":                             {[]time.Duration{0}, 0, time.Minute, true},
		"nothing to read":                        {nil, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				began := time.Now()
				content, err := io.ReadAll(stall.Reader(&body{ctx, c.pauses}, stall.Limit, cancel))
				assert.Len(t, content, c.bytes)
				assert.Equal(t, c.took, time.Since(began))
				var stood *stall.Error
				require.Equal(t, c.err, errors.As(err, &stood), "%v", err)
				if c.err {
					assert.EqualError(t, err, "no byte came for 1m0s")
				}
			})
		})
	}
}

func TestASlowReaderOfWhatIsReadIsNoStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		r := stall.Reader(&body{ctx, []time.Duration{1, 1}}, stall.Limit, cancel)
		for range 2 {
			_, err := r.Read(make([]byte, 1))
			require.NoError(t, err)
			<-time.After(time.Hour)
		}
		require.NoError(t, ctx.Err())
	})
}

func TestAnotherErrorStaysWhatItIs(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := io.ReadAll(stall.Reader(&body{ctx, []time.Duration{0}}, time.Hour, cancel))
	require.ErrorIs(t, err, context.Canceled)
}
