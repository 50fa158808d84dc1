package release

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// rollouts is how many random rollouts are made, seed the only one when it is not negative.
var (
	rollouts = flag.Int("rollouts", 240/step, "how many random rollouts are made; make rollouts makes 1,000")
	oneSeed  = flag.Int64("seed", -1, "the seed of the only random rollout to make")
)

// Random rollouts on an AWS that throttles, loses answers, reads behind and is consistent
// later, by machines whose clocks are wrong and that are lost at any call. Whatever happens, a
// success serves the new version and a failure does not, what is run again ends as the version
// deserves, each version has one task definition, and nothing is left over.
func TestRandomRollouts(t *testing.T) {
	first, last := int64(0), int64(*rollouts)
	if *oneSeed >= 0 {
		first, last = *oneSeed, *oneSeed+1
	}
	for part := range int64(2) {
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			for seed := first + part; seed < last; seed += 2 {
				if err := rolloutOf(t, seed); err != nil {
					t.Errorf("seed %d: %v\n\tgo test ./ci/rollout/release -run TestRandomRollouts -seed=%d", seed, err, seed)
				}
			}
		})
	}
}

// chance is a source of random decisions.
type chance struct{ *rand.Rand }

func (c chance) of(p float64) bool { return c.Float64() < p }

func pick[T any](c chance, all ...T) T { return all[c.IntN(len(all))] }

// wrongClock is the clock of a machine.
func (c chance) wrongClock(clock *fakeaws.Clock) clock.Clock {
	by := pick(c, 0, 0, 2*time.Minute, -2*time.Minute, time.Hour, -time.Hour, time.Duration(c.IntN(1200)-600)*time.Second)
	if !c.of(0.2) {
		return off(clock, by)
	}
	from, then := clock.Now().Add(time.Duration(c.IntN(600))*time.Second), time.Duration(c.IntN(7200)-3600)*time.Second
	return clock.Wrong(func(now time.Time) time.Duration {
		if now.Before(from) {
			return by
		}
		return then
	})
}

// disturbance is what an unsteady AWS does to a call. What the SDK repeats by itself is carried
// out twice or takes longer; what it does not, fails.
func (c chance) disturbance(operation string) (d fakeaws.Disturbance) {
	once := operation == "ecs:UpdateService" || operation == "ecs:RegisterTaskDefinition"
	switch {
	case c.of(0.04):
		d.Wait = time.Duration(1+c.IntN(15)) * time.Second
	case once && c.of(0.1):
		d.Err = fakeaws.LostAnswer{}
	case !once && !strings.HasPrefix(operation, "application-autoscaling:") && c.of(0.02):
		d.Twice = true
	case c.of(0.004):
		d.Err = fakeaws.Throttled() // for longer than the SDK repeats it
	}
	return d
}

// version is one that is rolled out, and whether it can serve.
type version struct {
	n    string
	good bool
	// stays says that ECS is done with it before it is found out: it serves, and badly.
	stays bool
}

// behaviour is that of a version's tasks. A bad one fails in the service alone where the trial
// is to let it pass.
func (v *version) behaviour(c chance) fakeaws.Behaviour {
	if v.good {
		return fakeaws.Behaviour{StartAfter: time.Duration(20+c.IntN(120)) * time.Second}
	}
	bad := pick(c,
		fakeaws.Behaviour{Failure: crash(), FailAfter: time.Duration(5+c.IntN(20)) * time.Second},
		fakeaws.Behaviour{NeverHealthy: true}, fakeaws.Behaviour{NeverHealthy: true, Replaced: true}, fakeaws.Behaviour{Sick: true})
	if v.stays = bad.Sick; c.of(0.5) || bad.Sick {
		bad.Alone = &fakeaws.Behaviour{}
	}
	return bad
}

// rolloutOf makes one random rollout, and says what is not as it must be.
func rolloutOf(t *testing.T, seed int64) error {
	c := chance{rand.New(rand.NewPCG(uint64(seed), 1))}
	w := newWorld(t, pick(c, strategies()...))
	r := &w.in.Spec
	r.BakeMinutes, r.CanaryBakeMinutes, r.LinearStepMinutes, r.LinearStepPercent = c.IntN(2), c.IntN(2), c.IntN(2), 50
	r.Desired = 1 + c.IntN(3)
	r.Max, r.Min = max(r.Max, r.Desired), 1
	r.Trial = c.of(0.7)
	if c.of(0.3) {
		r.ExecutionRole = ""
	}
	old, serving := 0, ""
	if c.of(0.8) {
		w.aws.ECS.Behave(family+"1", fakeaws.Behaviour{})
		if result := w.deploy("a"); result.Stage.Verdict != verdict.Pass {
			return fmt.Errorf("the first deployment: %s: %s", result.Stage.Code, result.Stage.Cause)
		}
		old, serving = 1, family+"1"
	}
	v := version{n: "b", good: c.of(0.65)}
	target := fmt.Sprint(family, old+1)
	w.aws.ECS.Behave(target, v.behaviour(c))
	w.aws.ECS.Lag(time.Duration(c.IntN(25)) * time.Second)
	w.aws.Scaling.Settles = time.Duration(c.IntN(40)) * time.Second
	w.in.Smoke = ""
	w.answer = nil

	var told []string
	for attempt := range 4 {
		calm := attempt == 3
		if calm {
			w.aws.Disturb(nil)
		} else {
			w.aws.Disturb(c.disturbance)
			if c.of(0.4) {
				w.aws.Cut(1+c.IntN(160), c.of(0.5))
			}
		}
		w.in.Name, w.in.Image = fmt.Sprint("run ", attempt), image(v.n)
		result := Deploy(w.ctx, w.clients(), c.wrongClock(w.clock), w.in)
		w.aws.Cut(0, false)
		w.aws.Disturb(nil)
		told = append(told, fmt.Sprintf("%s %s: %.300s", result.Stage.Verdict, result.Stage.Code, result.Stage.Cause))
		now := w.serving()
		pass := result.Stage.Verdict == verdict.Pass
		switch {
		case pass && (!v.good || now != target):
			return fmt.Errorf("false success: good %v, serves %q: %s", v.good, now, strings.Join(told, " | "))
		case calm && pass != v.good:
			return fmt.Errorf("the last run: good %v: %s", v.good, strings.Join(told, " | "))
		case result.Stage.Verdict == verdict.Fail && !lost(result) && now == target && v.good:
			return fmt.Errorf("false failure, it serves: %s", strings.Join(told, " | "))
		}
		if pass {
			serving = target
		}
		if pass && !w.warned(result, NotRecorded) || calm {
			break
		}
		_ = w.clock.Sleep(w.ctx, time.Duration(c.IntN(300))*time.Second)
	}
	// What is under way without anybody watching would show now.
	_ = w.clock.Sleep(w.ctx, 3*time.Hour)
	return w.orderly(serving, v, old+1, told)
}

// lost says that a run was ended, so that what it said is about itself and not the version.
func lost(r *Result) bool {
	return strings.Contains(r.Stage.Cause, fakeaws.ErrCut.Error()) || r.Outcome != nil && r.Outcome.Problem != nil &&
		unfinished(r.Outcome.Problem.Code)
}

// orderly says what is left over, or not as the record says.
func (w *world) orderly(serving string, v version, definitions int, told []string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%s: %s", fmt.Sprintf(format, args...), strings.Join(told, " | "))
	}
	if now := w.serving(); now != serving && !v.stays {
		return bad("%q serves, and %q was said to", now, serving)
	}
	if trials := w.aws.ECS.Alone(cluster); len(trials) > 0 {
		return bad("%d trial tasks run on", len(trials))
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal([]byte(w.aws.Dump()), &all); err != nil {
		return err
	}
	for kind, most := range map[string]int{"balancers": 1, "groups": 2, "listeners": 1, "rules": 2, "clusters": 1, "services": 1,
		"targets": 1, "policies": 2, "definitions": definitions} {
		var list []any
		if err := json.Unmarshal(all[kind], &list); err != nil {
			return fmt.Errorf("read %s: %w", kind, err)
		}
		if len(list) > most {
			return bad("%d %s, at most %d belong to it", len(list), kind, most)
		}
	}
	s := w.state()
	if s.Holder != nil || s.Run != nil {
		return bad("the journal says that %v runs and %v holds the lock", s.Run, s.Holder)
	}
	if last := s.Last(); v.good && (last == nil || last.TaskDefinition != serving || last.Verdict != journal.Passed) {
		return bad("the journal's last release is %v, %s serves", last, serving)
	}
	if w.ran(v.n) != v.good {
		return bad("staging has run it: %v", w.ran(v.n))
	}
	return nil
}

// The rollouts are checked by what would be wrong with them.
func TestRandomRolloutsSeeWhatIsWrong(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("b")
	good := version{n: "b", good: true}
	require.NoError(t, w.orderly(family+"1", good, 1, nil))
	require.ErrorContains(t, w.orderly(family+"1", good, 0, nil), "1 definitions")
	require.ErrorContains(t, w.orderly(family+"2", good, 1, nil), "was said to")
	require.ErrorContains(t, w.orderly(family+"1", version{n: "c", good: true}, 1, nil), "staging has run it: false")
	w.aws.Objects.Set(journalAt+"staging/"+service+".json", `{"schema": 1, "holder": {"name": "x"}}`)
	require.ErrorContains(t, w.orderly(family+"1", good, 1, nil), "holds the lock")
	require.True(t, lost(&Result{Stage: verdict.Stage{Cause: errors.New("x: " + fakeaws.ErrCut.Error()).Error()}}))
}
