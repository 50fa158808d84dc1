package release

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
)

// A lost lock is not taken again, and the report names what is left running.
func TestALockThatIsLostDuringTheTrialEndsTheRun(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.aws.ECS.Behave(family+"2", fakeaws.Behaviour{StartAfter: 5 * time.Minute})
	w.clock.At(20*time.Second, func() {
		s := w.state()
		s.Token++
		s.Holder = &journal.Holder{Name: "run 2", Until: w.clock.Now().Add(time.Hour)}
		content, err := json.Marshal(s)
		require.NoError(t, err)
		w.aws.Objects.Set(journalAt+"staging/"+service+".json", string(content))
	})
	from := len(w.aws.Calls())
	start := w.clock.Now()
	result := w.deploy("b")
	w.code(t, deployment.LockLost, result)
	assert.Less(t, w.clock.Now().Sub(start), 3*time.Minute, "it waits for nobody")
	assert.Contains(t, fmt.Sprint(result.Stage.Published), "trial task")
	calls := w.aws.Calls()[from:]
	assert.Zero(t, count(calls, "ecs:UpdateService"))
	assert.Zero(t, count(calls, "ecs:StopTask"), "the other run goes on with it, or stops it")
	assert.Equal(t, "run 2", w.state().Holder.Name)
}
