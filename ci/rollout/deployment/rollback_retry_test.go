package deployment_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var journalDown = verdict.Code{Name: "JOURNAL_FAILED", Stage: verdict.Deploy, Outcome: verdict.CouldNotRun}

// A rollback that could not be asked for is asked for again at the next look, and does not
// wait for another task to fail.
func TestARollbackThatGotNoAnswerIsAskedForAgain(t *testing.T) {
	once := false
	fails := func(n int) bool { return n <= 2 }
	for name, arrange := range map[string]func(*world){
		"no answer":  func(w *world) { w.Fail("StopServiceDeployment", errors.New("EOF")) },
		"throttling": func(w *world) { w.Fail("StopServiceDeployment", fakeaws.Throttled(), fakeaws.Throttled()) },
		"the journal does not answer": func(w *world) {
			once = false
			w.request.Fence = func(context.Context) error {
				if w.Calls("UpdateService") > 0 && !once {
					once = true
					return verdict.Problemf(journalDown, "no route")
				}
				return nil
			}
		},
	} {
		w := newWorld("canary")
		w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second, Fails: fails, RelaunchAfter: time.Minute})
		arrange(w)
		outcome := w.deploy()
		assertCode(t, deployment.RolledBack, outcome)
		assert.Equal(t, oldTask, w.Serving("cluster", "rca"), name)
		assert.Equal(t, 2, w.Launches(newTask), name)
	}
}

// A store that does not answer for some minutes is no other deployer.
func TestAJournalThatIsAwayForAWhileFencesNothingOff(t *testing.T) {
	w := newWorld("blue_green")
	down := false
	w.clock.At(2*time.Minute, func() { down = true })
	w.clock.At(5*time.Minute, func() { down = false })
	w.clock.At(6*time.Minute, func() { w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: time.Second}) })
	away := func(context.Context) error {
		if down {
			return verdict.Problemf(journalDown, "no route")
		}
		return nil
	}
	w.request.Fence, w.request.Look = away, away
	outcome := w.deploy()
	assertCode(t, deployment.RolledBack, outcome)
	require.NotEmpty(t, outcome.Events)
	assert.Equal(t, oldTask, w.Serving("cluster", "rca"))

	// For good, it ends the run: what cannot be recorded is not rolled back.
	w = newWorld("canary")
	w.new(fakeaws.Behaviour{Failure: crash(), FailAfter: 20 * time.Second})
	w.request.Fence = func(context.Context) error {
		if w.Calls("UpdateService") > 0 {
			return verdict.Problemf(journalDown, "no route")
		}
		return nil
	}
	assertCode(t, journalDown, w.deploy())
}
