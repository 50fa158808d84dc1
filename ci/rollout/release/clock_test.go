package release

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// off is a clock that is wrong by so much.
func off(c *fakeaws.Clock, by time.Duration) clock.Clock {
	return c.Wrong(func(time.Time) time.Duration { return by })
}

// jumping is a clock that is set anew every 40 seconds.
func jumping(c *fakeaws.Clock) clock.Clock {
	start := c.Now()
	return c.Wrong(func(now time.Time) time.Duration {
		return []time.Duration{0, 2 * time.Minute, -time.Hour, time.Hour}[int(now.Sub(start)/(40*time.Second))%4]
	})
}

func wrongClocks() map[string]func(*fakeaws.Clock) clock.Clock {
	all := map[string]func(*fakeaws.Clock) clock.Clock{"jumping": jumping}
	for _, by := range []time.Duration{-time.Hour, -2 * time.Minute, 2 * time.Minute, time.Hour} {
		all[by.String()] = func(c *fakeaws.Clock) clock.Clock { return off(c, by) }
	}
	return all
}

// Every command of the rollout does on a machine whose clock is wrong what it does on another.
func TestEveryCommandOnAMachineWhoseClockIsWrong(t *testing.T) {
	for name, wrong := range wrongClocks() {
		for _, strategy := range strategies() {
			t.Run(name+" "+strategy, func(t *testing.T) {
				w := newWorld(t, strategy)
				r := &w.in.Spec
				r.BakeMinutes, r.CanaryBakeMinutes, r.LinearStepMinutes, r.LinearStepPercent = 1, 1, 1, 50
				clock := wrong(w.clock)
				warned := func(r *Result) {
					t.Helper()
					for _, warning := range r.Stage.Warnings {
						if warning.Code == ClockSkew.Name {
							assert.Regexp(t, `clock is (2m|1h0m|58m|1h2m)[0-9]*s (ahead of|behind) AWS's`, warning.Cause)
							return
						}
					}
					assert.Equal(t, "jumping", name, "the difference is told, with its figure")
				}
				pass := func(r *Result) *Result {
					t.Helper()
					require.Equal(t, verdict.Pass, r.Stage.Verdict, "%s: %s", r.Stage.Code, r.Stage.Cause)
					warned(r)
					return r
				}
				deploy := func(n string) *Result {
					w.in.Image = image(n)
					return Deploy(w.ctx, w.clients(), clock, w.in)
				}
				pass(deploy("a"))
				w.in.Spec.App.Health = "/new/health"
				pass(deploy("b"))
				assert.Equal(t, family+"2", w.serving())
				pass(Plan(w.ctx, w.clients(), clock, w.in))
				pass(Status(w.ctx, w.clients(), clock, w.in))
				from := len(w.aws.Calls())
				pass(deploy("b"))
				assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]), "nothing changed, nothing written")
				pass(Rollback(w.ctx, w.clients(), clock, w.in))
				assert.Equal(t, family+"1", w.serving())

				w.aws.ECS.Behave(family+"3", fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Alone: &fakeaws.Behaviour{}})
				w.code(t, deployment.RolledBack, deploy("c"))
				assert.Equal(t, family+"1", w.serving())

				if strategy == "canary" {
					r.PauseAt = []string{"post_scale_up"}
					w.code(t, deployment.AwaitingApproval, deploy("d"))
					pass(Approve(w.ctx, w.clients(), clock, w.in))
					assert.Equal(t, family+"4", w.serving())
					w.code(t, deployment.AwaitingApproval, deploy("e"))
					pass(Reject(w.ctx, w.clients(), clock, w.in))
					w.code(t, NothingInFlight, Wait(w.ctx, w.clients(), clock, w.in))
				}
				pass(Prune(w.ctx, w.clients(), clock, w.in, 2))
				last := w.state().Ended
				for _, run := range last {
					assert.WithinRange(t, run.Started, w.clock.Now().Add(-5*time.Hour), w.clock.Now(), "the record has the store's time")
					assert.False(t, run.Ended.Before(run.Started))
				}
				pass(Destroy(w.ctx, w.clients(), clock, w.in, service, true))
			})
		}
	}
}

// Two machines whose clocks differ by two hours agree on who holds the lock.
func TestAWrongClockTakesNobodysLock(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.in.Spec.BakeMinutes = 20
			w.deployed("a")
			var first, second *Result
			together(w.clock, func(clock clock.Clock) {
				in := w.in
				in.Image = image("b")
				first = Deploy(w.ctx, w.clients(), clock, in)
			}, time.Minute, func(clock clock.Clock) {
				in := w.in
				in.Image, in.Name, in.LockWait = image("c"), "run 2", time.Minute
				second = Deploy(w.ctx, w.clients(), shifted{clock, by}, in)
			})
			w.code(t, journal.Locked, second)
			require.Equal(t, verdict.Pass, first.Stage.Verdict, "%s: %s", first.Stage.Code, first.Stage.Cause)
			assert.Equal(t, family+"2", w.serving())

			// And one whose holder was lost is taken over when it is over by the store's time.
			w.aws.Cut(25, true)
			w.deploy("d")
			w.aws.Cut(0, false)
			start := w.clock.Now()
			w.in.Image = image("d")
			again := Deploy(w.ctx, w.clients(), off(w.clock, by), w.in)
			require.Equal(t, verdict.Pass, again.Stage.Verdict, "%s: %s", again.Stage.Code, again.Stage.Cause)
			assert.Less(t, w.clock.Now().Sub(start), 40*time.Minute)
		})
	}
}

// shifted is another clock that is off.
type shifted struct {
	clock.Clock
	by time.Duration
}

func (s shifted) Now() time.Time { return s.Clock.Now().Add(s.by) }

// A deployment that a lost run began is watched from its beginning on, by AWS's stamps.
func TestAWrongClockResumesALostRun(t *testing.T) {
	for name, wrong := range wrongClocks() {
		for _, strategy := range strategies() {
			w := newWorld(t, strategy)
			w.deployed("a")
			w.in.Image = image("b")
			calls := len(w.aws.Calls())
			for cut := 30; ; cut += 7 {
				w.aws.Cut(cut, true)
				Deploy(w.ctx, w.clients(), wrong(w.clock), w.in)
				w.aws.Cut(0, false)
				if strings.Contains(strings.Join(w.aws.Calls()[calls:], " "), "ecs:UpdateService") {
					break
				}
			}
			r := Deploy(w.ctx, w.clients(), wrong(w.clock), w.in)
			require.Equal(t, verdict.Pass, r.Stage.Verdict, "%s %s: %s: %s", name, strategy, r.Stage.Code, r.Stage.Cause)
			assert.Equal(t, family+"2", w.serving(), fmt.Sprint(name, strategy))
		}
	}
}

// What a holder takes for the end of its lock does not count beyond a lease after its last
// write, which the store has stamped.
func TestALockLastsNoLongerThanALeaseAfterItsLastWrite(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	s := w.state()
	s.Token++
	s.Holder = &journal.Holder{Name: "run 9", Since: w.clock.Now(), Until: w.clock.Now().Add(10 * time.Hour)}
	content, err := json.Marshal(s)
	require.NoError(t, err)
	w.aws.Objects.Set(journalAt+"staging/"+service+".json", string(content))
	start := w.clock.Now()
	w.deployed("b")
	assert.Less(t, w.clock.Now().Sub(start), 15*time.Minute)
	require.Len(t, w.state().Ended, 2)
}
