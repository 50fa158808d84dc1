package release

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/clock"
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

// checked is the path at which the load balancer asks the tasks that serve.
func (w *world) checked() string {
	out, err := w.aws.Balancing.DescribeTargetGroups(context.Background(),
		&elb.DescribeTargetGroupsInput{Names: []string{*w.asked(Status).Plan.LoadBalancer.TargetGroups[0].Name}})
	require.NoError(w.t, err)
	return aws.ToString(out.TargetGroups[0].HealthCheckPath)
}

// A run that is interrupted cannot give the health check back that it changed for its version. The run that
// sees that the old version stays does: behind the check of the new one, ECS would stop its tasks.
func TestTheOldVersionGetsItsHealthCheckBackAfterAnInterruptedRun(t *testing.T) {
	for name, then := range map[string]func(*world) *Result{
		"deploy":   func(w *world) *Result { return w.deploy("b") },
		"wait":     func(w *world) *Result { return w.asked(Wait) },
		"rollback": func(w *world) *Result { return w.asked(Rollback) },
		"deploy after its end": func(w *world) *Result {
			_, err := w.aws.ECS.StopServiceDeployment(w.ctx, stop(w.state().Run.Deployment))
			require.NoError(w.t, err)
			require.NoError(w.t, w.clock.Sleep(w.ctx, 10*time.Minute))
			return w.deploy("b")
		},
		"deploy of another version": func(w *world) *Result {
			w.in.Spec.App.Health = "/third"
			w.aws.ECS.Behave(family+"3", fails())
			return w.deploy("c")
		},
		"a trial of another version fails": func(w *world) *Result {
			_, err := w.aws.ECS.StopServiceDeployment(w.ctx, stop(w.state().Run.Deployment))
			require.NoError(w.t, err)
			require.NoError(w.t, w.clock.Sleep(w.ctx, 10*time.Minute))
			failing := fails()
			failing.Alone = nil
			w.aws.ECS.Behave(family+"3", failing)
			return w.deploy("c")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "rolling")
			w.deployed("a")
			path := w.checked()
			w.in.Spec.App.Health = "/new"
			w.aws.ECS.Behave(family+"2", fails())
			ctx, cancel := context.WithCancel(w.ctx)
			w.in.Progress = func(line string) {
				if strings.Contains(line, " deployment 0") {
					cancel()
				}
			}
			w.in.Image = image("b")
			w.code(t, deployment.Interrupted, Deploy(ctx, w.clients(), w.clock, w.in))
			w.in.Progress = nil
			require.Equal(t, "/new", w.checked())
			then(w)
			assert.Equal(t, family+"1", w.serving())
			assert.Equal(t, path, w.checked())
		})
	}
}

func fails() fakeaws.Behaviour {
	return fakeaws.Behaviour{FailAfter: 20 * time.Second, Alone: &fakeaws.Behaviour{}, Failure: &fakeaws.Failure{
		Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 1}}
}

func stop(deployment string) *ecs.StopServiceDeploymentInput {
	return &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(deployment), StopType: types.StopServiceDeploymentStopTypeRollback}
}

// forgets is a client whose answers to pauses are lost: the SDK's second attempt is refused.
type forgets struct{ ECS }

func (f forgets) ContinueServiceDeployment(ctx context.Context, in *ecs.ContinueServiceDeploymentInput,
	options ...func(*ecs.Options)) (*ecs.ContinueServiceDeploymentOutput, error) {
	_, _ = f.ECS.ContinueServiceDeployment(ctx, in, options...)
	return f.ECS.ContinueServiceDeployment(ctx, in, options...)
}

func TestAnAnswerToAPauseThatIsLostIsNoRefusal(t *testing.T) {
	for name, answer := range map[string]func(context.Context, Clients, clock.Clock, Input) *Result{"approve": Approve, "reject": Reject} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.deployed("a")
			w.in.Spec.PauseAt = []string{"post_production_traffic_shift"}
			w.code(t, deployment.AwaitingApproval, w.deploy("b"))
			clients := w.clients()
			clients.ECS = forgets{clients.ECS}
			w.passed(answer(w.ctx, clients, w.clock, w.in))
			assert.Equal(t, map[string]string{"approve": family + "2", "reject": family + "1"}[name], w.serving())
			assert.Nil(t, w.state().Run)
		})
	}
}

func TestCredentialsThatEndAtAnAnswerOrAStopAreToldAsThat(t *testing.T) {
	for operation, command := range map[string]func(context.Context, Clients, clock.Clock, Input) *Result{
		"ecs:ContinueServiceDeployment": Approve, "ecs:StopServiceDeployment": Rollback, "ecs:DescribeServiceDeployments": Wait,
	} {
		w := newWorld(t, "blue_green")
		w.deployed("a")
		w.in.Spec.PauseAt = []string{"post_production_traffic_shift"}
		w.code(t, deployment.AwaitingApproval, w.deploy("b"))
		w.aws.Fail(operation, apiError("ExpiredTokenException"))
		w.code(t, deployment.AuthExpired, command(w.ctx, w.clients(), w.clock, w.in))
	}
}
