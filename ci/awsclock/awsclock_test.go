package awsclock_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

func refused(date string) error {
	response := &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{"Date": {date}}}
	return &smithy.OperationError{Err: &smithyhttp.ResponseError{Response: &smithyhttp.Response{Response: response}, Err: errors.New("NoSuchKey")}}
}

func TestTheTimeIsThatOfTheServer(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, -2 * time.Minute, 2 * time.Minute, time.Hour} {
		right := fakeaws.NewClock()
		c := awsclock.Of(right.Wrong(func(time.Time) time.Duration { return by }))
		assert.Same(t, c, awsclock.Of(c))
		begun := c.Now()
		assert.Equal(t, right.Now().Add(by), c.Server(), "nothing has answered")
		assert.Empty(t, c.Skew("AWS's"))
		c.See(middleware.Metadata{}, refused(right.Now().Format(http.TimeFormat)))
		assert.Equal(t, right.Now(), c.Server())
		assert.Equal(t, begun, c.Now(), "no time has passed")
		assert.Contains(t, c.Skew("AWS's"), by.Abs().String())
		store := awsclock.Apart(c)
		assert.Equal(t, right.Now(), store.Server(), "until the store answers, it goes by AWS")
		assert.False(t, store.Measured())
		store.At(right.Now().Add(-time.Hour))
		assert.Equal(t, right.Now().Add(-time.Hour), store.Server())
		assert.Equal(t, right.Now(), c.Server(), "and does not change what is known of AWS")
	}
}

func TestWhatPassesIsMeasuredThroughAJump(t *testing.T) {
	for _, jump := range []time.Duration{-time.Hour, time.Hour} {
		right := fakeaws.NewClock()
		start := right.Now()
		c := awsclock.Of(right.Wrong(func(now time.Time) time.Duration {
			if now.Sub(start) < 30*time.Second {
				return 2 * time.Minute
			}
			return jump
		}))
		c.At(right.Now())
		begun := c.Now()
		assert.NoError(t, c.Sleep(context.Background(), time.Minute))
		c.At(right.Now())
		assert.Equal(t, time.Minute, c.Now().Sub(begun))
		assert.Equal(t, right.Now(), c.Server())
		assert.Contains(t, c.Skew("AWS's"), "1h0m0s")
	}
}

// A Date has whole seconds, and an answer takes time: a clock that is right stays as it is.
func TestSmallDifferencesAreNone(t *testing.T) {
	right := fakeaws.NewClock()
	c := awsclock.Of(right)
	for _, off := range []time.Duration{-1900 * time.Millisecond, 900 * time.Millisecond} {
		c.At(right.Now().Add(off))
		assert.Equal(t, right.Now(), c.Server())
	}
	c.See(middleware.Metadata{}, nil)
	c.See(middleware.Metadata{}, errors.New("connection reset"))
	c.See(middleware.Metadata{}, refused("yesterday"))
	awsclock.See(c, (*struct{})(nil), nil)
	awsclock.See(c, &struct{ ResultMetadata string }{"not metadata"}, nil)
	assert.Empty(t, c.Skew("AWS's"))
	ahead, measured := c.Ahead()
	assert.Zero(t, ahead)
	assert.True(t, measured)
	c.At(right.Now().Add(4 * time.Second))
	assert.Empty(t, c.Skew("AWS's"), "up to five seconds are common")
	c.At(right.Now().Add(7 * time.Second))
	assert.Equal(t, "this machine's clock is 7s behind AWS's", c.Skew("AWS's"))
	assert.Equal(t, "this machine's clock is 1m1s ahead of the store's", awsclock.Skew(-61*time.Second, "the store's"))
}

func TestAServerIsAskedForTheTime(t *testing.T) {
	by := -90 * time.Second
	header := func() string { return time.Now().Add(by).UTC().Format(http.TimeFormat) }
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", header())
		w.WriteHeader(http.StatusForbidden)
	}))
	defer server.Close()
	ahead, err := awsclock.Ask(context.Background(), server.URL)
	assert.NoError(t, err)
	assert.InDelta(t, by.Seconds(), ahead.Seconds(), 60, "however busy the machine is")
	assert.Contains(t, awsclock.Skew(ahead, "its"), "ahead of its")
	header = func() string { return "soon" }
	_, err = awsclock.Ask(context.Background(), server.URL)
	assert.ErrorContains(t, err, "has no time")
	_, err = awsclock.Ask(context.Background(), "http://127.0.0.1:1")
	assert.ErrorContains(t, err, "ask 127.0.0.1:1 for the time")
	_, err = awsclock.Ask(context.Background(), ":no address")
	assert.Error(t, err)
}
