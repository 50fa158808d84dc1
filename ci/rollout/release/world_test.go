package release

import (
	"context"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// turns lets two runs go on beside each other on one clock: one of them at a time, always
// the one that is to wake first, so that the time and the order are the same in each test.
type turns struct {
	clock *fakeaws.Clock
	all   []*turn
}

// turn is the clock of one run.
type turn struct {
	of   *turns
	wake time.Time
	mine chan struct{}
	done bool
}

// Now implements Clock.
func (x *turn) Now() time.Time { return x.of.clock.Now() }

// Sleep implements Clock: it lets the other run go on until then.
func (x *turn) Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.wake = x.Now().Add(d)
	x.of.pass(ctx, x)
	return ctx.Err()
}

// pass lets the run go on that is to wake first, and waits for its own turn.
func (t *turns) pass(ctx context.Context, from *turn) {
	var next *turn
	for _, x := range t.all {
		if !x.done && (next == nil || x.wake.Before(next.wake)) {
			next = x
		}
	}
	if next == nil {
		return
	}
	if d := next.wake.Sub(t.clock.Now()); d > 0 {
		_ = t.clock.Sleep(context.WithoutCancel(ctx), d)
	}
	if next == from {
		return
	}
	next.mine <- struct{}{}
	if !from.done {
		<-from.mine
	}
}

// together runs one thing, and another one beside it from some time on.
func together(simulated *fakeaws.Clock, first func(clock.Clock), after time.Duration, second func(clock.Clock)) {
	t := &turns{clock: simulated}
	for _, wake := range []time.Duration{0, after} {
		t.all = append(t.all, &turn{of: t, wake: simulated.Now().Add(wake), mine: make(chan struct{})})
	}
	var both sync.WaitGroup
	for n, run := range []func(clock.Clock){first, second} {
		x := t.all[n]
		both.Go(func() {
			<-x.mine
			run(x)
			x.done = true
			t.pass(context.Background(), x)
		})
	}
	t.all[0].mine <- struct{}{}
	both.Wait()
}
