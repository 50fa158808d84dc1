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
	"sync"
	"time"
)

// Clock is a clock that stands still until somebody sleeps.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	during []func(time.Time)
}

// NewClock returns a clock at a fixed time.
func NewClock() *Clock { return &Clock{now: time.Date(2026, time.March, 2, 9, 0, 0, 0, time.UTC)} }

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
