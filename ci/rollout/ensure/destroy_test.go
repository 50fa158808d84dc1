package ensure

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

func (w *world) destroy(plan *rollout.Plan, logs bool) (*Destroyed, error) {
	done, problem := Destroy(context.Background(), w.clients(), w.clock, plan, *plan.Service.ServiceName, logs)
	require.NotNil(w.t, done)
	if problem != nil {
		return done, problem
	}
	return done, nil
}

func TestDestroyDeletesAllThatIsOursAndCanBeRepeated(t *testing.T) {
	w := newWorld(t)
	in := staging("canary")
	in.Environment = rollout.Production // its load balancer is protected
	plan := w.rolled(in)
	done, err := w.destroy(plan, false)
	require.NoError(t, err)
	assert.Len(t, done.Deleted, len(plan.Resources())-3, "policies go with their target, logs stay: %v", done.Deleted)
	require.Len(t, done.Kept, 1)
	assert.Contains(t, done.Kept[0].Name, "log group")

	done, err = w.destroy(plan, true)
	require.NoError(t, err)
	assert.Equal(t, []string{"log group " + *plan.LogGroup.Group.LogGroupName}, done.Deleted)
	done, err = w.destroy(plan, true)
	require.NoError(t, err)
	assert.Empty(t, done.Deleted)
	for _, c := range w.look(plan).Changes() {
		assert.Equal(t, Create, c.Action, "%s %s", c.Kind, c.Name)
	}
}

func TestDestroyAsksForTheName(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	before := w.aws.Dump()
	for _, said := range []string{"", "yes", strings.ToUpper(*plan.Service.ServiceName)} {
		calls := w.calls(func() {
			_, problem := Destroy(context.Background(), w.clients(), w.clock, plan, said, true)
			require.NotNil(t, problem)
			assert.Equal(t, DestroyRefused.Name, problem.Code.Name)
			assert.Contains(t, problem.Error(), *plan.Service.ServiceName)
		})
		assert.Empty(t, calls)
	}
	assert.Equal(t, before, w.aws.Dump())
}

func TestDestroyEndedAnywhereIsGoneOnWith(t *testing.T) {
	plan := planOf(t, staging("blue_green"))
	whole := newWorld(t)
	require.NoError(t, whole.roll(plan))
	calls := len(whole.calls(func() { _, err := whole.destroy(plan, true); require.NoError(t, err) }))
	for n := 1; n <= calls; n++ {
		for _, after := range []bool{false, true} {
			w := newWorld(t)
			require.NoError(t, w.roll(plan))
			w.aws.Cut(n, after)
			_, _ = w.destroy(plan, true)
			w.aws.Cut(0, false)
			_, err := w.destroy(plan, true)
			require.NoError(t, err, "call %d, carried out: %v", n, after)
			for _, c := range w.look(plan).Changes() {
				assert.Equal(t, Create, c.Action, "call %d: %s %s", n, c.Kind, c.Name)
			}
		}
	}
}

func TestDestroyLeavesWhatIsNotOurs(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan := planOf(t, staging("rolling"))
	_, err := w.aws.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: plan.Cluster.ClusterName})
	require.NoError(t, err)
	require.NoError(t, w.roll(plan))
	foreign := *plan.TaskDefinition
	foreign.Tags = nil
	_, err = w.aws.ECS.RegisterTaskDefinition(ctx, &foreign)
	require.NoError(t, err)
	_, err = w.aws.CloudWatch.PutDashboard(ctx, &cloudwatch.PutDashboardInput{DashboardName: plan.Dashboard.DashboardName,
		DashboardBody: aws.String(`{}`)})
	require.NoError(t, err)
	state := w.look(plan)
	w.aws.Balancing.Retag(state.known[*plan.LoadBalancer.TargetGroupAttributes[0].TargetGroupArn])
	done, err := w.destroy(plan, false)
	require.NoError(t, err)
	var kept []string
	for _, k := range done.Kept {
		kept = append(kept, k.Name)
	}
	text := strings.Join(kept, "\n")
	for _, name := range []string{"ecs cluster", "dashboard", "target group", "task definition", "log group"} {
		assert.Contains(t, text, name)
	}
	assert.Len(t, kept, 5)
}

func TestAClusterThatOthersUseStays(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	w.aws.ECS.AddService(*plan.Cluster.ClusterName, "another", "another:1", 1, nil)
	done, err := w.destroy(plan, false)
	require.NoError(t, err)
	assert.Contains(t, done.Kept, Kept{"ecs cluster " + *plan.Cluster.ClusterName, "other services, tasks, instances or capacity providers are in it"})
}

func TestDestroySaysWhatItCouldNot(t *testing.T) {
	w := newWorld(t)
	plan := w.rolled(staging("rolling"))
	w.aws.Fail("elb:DeleteListener", fakeaws.Denied("DeleteListener"))
	done, err := w.destroy(plan, false)
	require.Error(t, err)
	assert.Contains(t, err.Error(), "delete listener")
	assert.NotEmpty(t, done.Deleted)
	_, err = w.destroy(plan, false)
	require.NoError(t, err)
}

// history rolls so many versions out, one after the other.
func (w *world) history(versions int) (plan *rollout.Plan, arns []string) {
	w.t.Helper()
	for n := range versions {
		in := staging("rolling")
		in.Spec.Vars["VERSION"] = strings.Repeat("i", n+1)
		plan = w.rolled(in)
		arns = append(arns, w.look(plan).TaskDefinition())
	}
	return plan, arns
}

func TestPruneKeepsTheNewestAndWhatIsInUse(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan, arns := w.history(6)
	pruned, problem := Prune(ctx, w.aws.ECS, plan, 1)
	require.Nil(t, problem)
	assert.Equal(t, []string{arns[3], arns[2], arns[1], arns[0]}, pruned.Deregistered)
	assert.Equal(t, []Kept{{arns[5], "the service runs it"}, {arns[4], "a rollback goes back to it"}}, pruned.Kept)
	pruned, problem = Prune(ctx, w.aws.ECS, plan, 1)
	require.Nil(t, problem)
	assert.Empty(t, pruned.Deregistered)
	assert.True(t, w.look(plan).Unchanged())
}

func TestPruneKeepsWhatRunsAlthoughItIsOld(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan, arns := w.history(4)
	_, err := w.aws.ECS.UpdateService(ctx, &ecs.UpdateServiceInput{Cluster: plan.Service.Cluster, Service: plan.Service.ServiceName,
		TaskDefinition: aws.String(arns[0])})
	require.NoError(t, err)
	require.NoError(t, w.clock.Sleep(ctx, 10*time.Second)) // under way
	pruned, problem := Prune(ctx, w.aws.ECS, plan, 1)
	require.Nil(t, problem)
	assert.Equal(t, []string{arns[1]}, pruned.Deregistered)
	reasons := map[string]string{}
	for _, k := range pruned.Kept {
		reasons[k.Name] = k.Reason
	}
	assert.Contains(t, []string{"a deployment under way uses it", "the service runs it"}, reasons[arns[0]])
	assert.Equal(t, "a rollback goes back to it", reasons[arns[2]])
}

func TestPruneLeavesForeignRevisionsAndOtherFamilies(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan, arns := w.history(3)
	for _, family := range []string{*plan.TaskDefinition.Family, *plan.TaskDefinition.Family + "-other"} {
		foreign := *plan.TaskDefinition
		foreign.Family, foreign.Tags = aws.String(family), nil
		if strings.HasSuffix(family, "-other") {
			foreign.Tags = plan.TaskDefinition.Tags
		}
		for range 2 {
			_, err := w.aws.ECS.RegisterTaskDefinition(ctx, &foreign)
			require.NoError(t, err)
		}
	}
	pruned, problem := Prune(ctx, w.aws.ECS, plan, 1)
	require.Nil(t, problem)
	assert.Equal(t, []string{arns[0]}, pruned.Deregistered)
	assert.Len(t, pruned.Kept, 4)
}

func TestPruneRefusesToKeepNothingAndStopsAtARefusal(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	plan, arns := w.history(5)
	calls := w.calls(func() {
		_, problem := Prune(ctx, w.aws.ECS, plan, 0)
		require.NotNil(t, problem)
		assert.Equal(t, PruneFailed.Name, problem.Code.Name)
	})
	assert.Empty(t, calls)
	w.aws.Fail("ecs:DeregisterTaskDefinition", nil, fakeaws.Denied("DeregisterTaskDefinition"))
	pruned, problem := Prune(ctx, w.aws.ECS, plan, 1)
	require.NotNil(t, problem)
	assert.Equal(t, []string{arns[2]}, pruned.Deregistered)
	w.aws.Fail("ecs:ListTaskDefinitions", fakeaws.Denied("ListTaskDefinitions"))
	_, problem = Prune(ctx, w.aws.ECS, plan, 1)
	require.NotNil(t, problem)
	assert.Equal(t, LookFailed.Name, problem.Code.Name)
}
