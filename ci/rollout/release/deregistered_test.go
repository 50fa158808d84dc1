package release

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// deregister makes a revision INACTIVE, as somebody's cleaning does.
func (w *world) deregister(t *testing.T, name string) {
	t.Helper()
	_, err := w.aws.ECS.DeregisterTaskDefinition(w.ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String(name)})
	require.NoError(t, err)
}

// A release whose task definition somebody deregistered is registered again, once, wherever the rollback is lost.
func TestARollbackToADeregisteredRevision(t *testing.T) {
	end := func(cut int, after bool) (*world, int) {
		w := newWorld(t, "rolling")
		for _, n := range []string{"a", "b", "c"} {
			w.deployed(n)
		}
		w.deregister(t, family+"2")
		from := len(w.aws.Calls())
		if cut > 0 {
			w.aws.Cut(cut, after)
			w.asked(Rollback)
			w.aws.Cut(0, false)
		}
		result := w.asked(Rollback)
		require.Equal(t, verdict.Pass, result.Stage.Verdict, "call %d, carried out=%v: %s %s", cut, after, result.Stage.Code, result.Stage.Cause)
		return w, len(w.aws.Calls()) - from
	}
	clean, total := end(0, false)
	require.Equal(t, family+"4", clean.serving())
	state := clean.state()
	assert.Equal(t, image("b"), state.Last().Image)
	for _, cut := range cuts(total) {
		for _, after := range []bool{false, true} {
			if after && cut == total {
				continue // its end is on record
			}
			w, _ := end(cut, after)
			require.Equal(t, family+"4", w.serving(), "call %d of %d, carried out=%v", cut, total, after)
			_, err := w.aws.ECS.DescribeTaskDefinition(w.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(family + "5")})
			require.Error(t, err, "it is registered once")
		}
	}

	// What was rolled back from is rolled back to in the same way.
	clean.deregister(t, family+"3")
	clean.deployed("c")
	assert.Equal(t, family+"5", clean.serving())

	// A refusal changes nothing, and says so.
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.deployed("b")
	w.deregister(t, family+"1")
	w.aws.Fail("ecs:RegisterTaskDefinition", fakeaws.Denied("RegisterTaskDefinition"))
	result := w.asked(Rollback)
	w.code(t, ensure.WriteFailed, result)
	assert.Equal(t, family+"2", w.serving())
}

func TestAnAdoptedServiceIsRolledBackToADeregisteredRevision(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	w.deployed("a")
	w.deployed("b")
	w.deregister(t, theirFamily+"2")
	w.passed(Rollback(w.ctx, w.clients(), w.clock, w.in))
	assert.Equal(t, theirFamily+"4", w.aws.ECS.Serving(theirCluster, theirService))
	assert.Equal(t, w.definition(theirFamily+"2"), w.definition(theirFamily+"4"))
}
