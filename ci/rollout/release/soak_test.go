package release

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestProductionTakesADigestAfterItsSoakInStaging(t *testing.T) {
	w := newWorld(t, "rolling")
	w.in.Spec.Soak = 4 * time.Hour
	wait := func(d time.Duration) { require.NoError(t, w.clock.Sleep(w.ctx, d)) }
	in := func(environment string) { w.in.Environment = environment }
	w.deployed("a")
	wait(time.Hour)

	in(rollout.Production)
	result := w.deploy("a")
	w.code(t, NotSoaked, result)
	assert.Contains(t, result.Stage.Cause, "production takes it from ")
	plan := Plan(w.ctx, w.clients(), w.clock, w.in)
	assert.Contains(t, plan.Text, "production takes it from "+strings.TrimSpace(result.Stage.Cause[strings.Index(result.Stage.Cause, "from ")+5:]))

	w.in.Image = image("f")
	assert.Contains(t, Plan(w.ctx, w.clients(), w.clock, w.in).Text, "staging has not run this digest")

	// Another version breaks the time; a run that fails does not.
	in("staging")
	w.deployed("b")
	wait(5 * time.Hour)
	in(rollout.Production)
	result = w.deploy("a")
	w.code(t, NotSoaked, result)
	assert.Contains(t, result.Stage.Cause, "deploy it to staging again")
	w.deployed("b")

	in("staging")
	w.deployed("a")
	wait(3 * time.Hour)
	w.deployed("a") // the same again breaks nothing
	wait(time.Hour)
	in(rollout.Production)
	result = w.deployed("a")
	assert.Contains(t, result.Stage.Evidence[0].Name+result.Stage.Evidence[1].Name, "soak")
}

func TestASoakCanBeOverridden(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.in.Spec.Soak, w.in.Environment, w.in.Override = 4*time.Hour, rollout.Production, "a security fix"
	result := w.deploy("a")
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Contains(t, warningsOf(result), Overridden.Name)
}
