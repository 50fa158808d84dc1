package release

import (
	"context"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/clock"
)

// turns runs several runs concurrently but one at a time: while one makes its calls, the others sleep. So they can share
// state without locks, their order is deterministic for given sleeps, and their calls never add up to a burst.
type turns struct {
	clock clock.Clock
	all   []*turn
}

// turn is the clock of one run.
type turn struct {
	of   *turns
	wake time.Time
	ctx  context.Context //nolint:containedctx // when the current sleep ends
	mine chan struct{}
	done bool
}

// inTurns runs all functions, starting in order, until each has returned. They must only wait with their clock.
func inTurns(clock clock.Clock, runs ...func(clock.Clock)) {
	t := &turns{clock: clock}
	for range runs {
		t.all = append(t.all, &turn{of: t, wake: clock.Now(), ctx: context.Background(), mine: make(chan struct{})})
	}
	var all sync.WaitGroup
	for n, run := range runs {
		x := t.all[n]
		all.Go(func() {
			<-x.mine
			defer func() {
				x.done = true
				t.pass(x)
			}()
			run(x)
		})
	}
	if len(runs) > 0 {
		t.all[0].mine <- struct{}{}
	}
	all.Wait()
}

// Now implements Clock.
func (x *turn) Now() time.Time { return x.of.clock.Now() }

// Sleep implements Clock. It lets the other runs continue meanwhile.
func (x *turn) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.wake, x.ctx = x.Now().Add(d), ctx
	x.of.pass(x)
	return ctx.Err()
}

// pass hands over to the run that wakes first, and waits for its own turn.
func (t *turns) pass(from *turn) {
	var next *turn
	for _, x := range t.all {
		if !x.done && (next == nil || x.due().Before(next.due())) {
			next = x
		}
	}
	if next == nil {
		return
	}
	if d := next.due().Sub(t.clock.Now()); d > 0 {
		_ = t.clock.Sleep(next.ctx, d) // an interrupted sleep has ended
	}
	if next == from {
		return
	}
	next.mine <- struct{}{}
	if !from.done {
		<-from.mine
	}
}

// due returns when a run wakes: immediately if its context has ended.
func (x *turn) due() time.Time {
	if x.ctx.Err() != nil {
		return time.Time{}
	}
	return x.wake
}
