// Package fakeaws is an in-memory Amazon ECS for tests: the deployment engine with its
// four strategies, stages, traffic weights, circuit breaker, alarms, rollbacks, stopped
// tasks, throttling and stale reads, under a clock that the test moves.
//
// It documents how AWS behaves, from the API reference and the developer guide of Amazon
// ECS ("Amazon ECS service deployments", "deployment circuit breaker", "deployment
// failure detection", "blue/green deployments" and its stages); a comment says where
// behaviour was reported by users instead. It was never compared with a real account.
package fakeaws

import (
	"context"
	"net/http"
	"reflect"
	"sync"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Clock is a clock that stands still until somebody sleeps.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	during []func(time.Time)
}

// NewClock returns a clock at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)} }

// NewClockAt returns a clock at a time.
func NewClockAt(now time.Time) *Clock { return &Clock{now: now} }

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Sleep moves the clock by d at once.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	c.now = c.now.Add(d)
	now, during := c.now, c.during
	c.mu.Unlock()
	for _, f := range during {
		f(now)
	}
	return ctx.Err()
}

// At calls f once, when somebody has slept past start + after.
func (c *Clock) At(after time.Duration, f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	due, done := c.now.Add(after), false
	c.during = append(c.during, func(now time.Time) {
		if !done && !now.Before(due) {
			done = true
			f()
		}
	})
}

// Wrong is the clock of a machine that is off by so much at a time of AWS, which may change
// in the middle of a run.
func (c *Clock) Wrong(by func(now time.Time) time.Duration) *WrongClock { return &WrongClock{c, by} }

// WrongClock is a clock that is off.
type WrongClock struct {
	*Clock
	by func(time.Time) time.Duration
}

// Now is what the machine takes for the time.
func (w *WrongClock) Now() time.Time {
	now := w.Clock.Now()
	return now.Add(w.by(now))
}

// stamp puts the Date of an answer into its metadata, as the SDK does.
func stamp(metadata *middleware.Metadata, now time.Time) {
	answer := middleware.DeserializeHandlerFunc(func(context.Context, middleware.DeserializeInput) (out middleware.DeserializeOutput,
		metadata middleware.Metadata, err error) {
		header := http.Header{"Date": {now.UTC().Format(http.TimeFormat)}}
		out.RawResponse = &smithyhttp.Response{Response: &http.Response{StatusCode: http.StatusOK, Header: header}}
		return out, metadata, nil
	})
	_, seen, err := (&awsmiddleware.RecordResponseTiming{}).HandleDeserialize(context.Background(), middleware.DeserializeInput{}, answer)
	if err == nil {
		*metadata = seen
	}
}

// stamped is an answer with its Date. All outputs of the SDK have the same member for it.
func stamped[T any](out *T, now time.Time) *T {
	if out == nil {
		return nil
	}
	if field := reflect.ValueOf(out).Elem().FieldByName("ResultMetadata"); field.IsValid() {
		stamp(field.Addr().Interface().(*middleware.Metadata), now)
	}
	return out
}
