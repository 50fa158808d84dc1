package release

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// What is rolled back is the trial, and not the release that serves besides: the version
// that was tried never came to the service.
func TestTheTrialOfALostRunIsRolledBackAndNothingElse(t *testing.T) {
	for name, wait := range map[string]time.Duration{"its lock holds": 0, "its lock is over": 3 * time.Minute} {
		for _, first := range []bool{false, true} {
			w := newWorld(t, "rolling")
			serving := ""
			if !first {
				w.deployed("9")
				w.deployed("a")
				serving = family + "2"
			}
			w.lose("b", 20*time.Second)
			require.Len(t, w.aws.ECS.Alone(cluster), 1)
			require.NoError(t, w.clock.Sleep(w.ctx, wait))
			from := len(w.aws.Calls())
			result := w.passed(w.asked(Rollback))
			assert.True(t, result.Changed)
			calls := w.aws.Calls()[from:]
			assert.Zero(t, count(calls, "ecs:UpdateService"), name)
			assert.Equal(t, 1, count(calls, "ecs:StopTask"), name)
			assert.Equal(t, serving, w.serving(), name)
			assert.Empty(t, w.aws.ECS.Alone(cluster))
			s := w.state()
			assert.Nil(t, s.Run)
			assert.Nil(t, s.Holder)
			assert.Equal(t, deployment.RolledBack.Name, s.Ended[len(s.Ended)-1].Code)
			if !first {
				w.passed(w.asked(Rollback))
				assert.Equal(t, family+"1", w.serving(), "another one is another step back")
			}
		}
	}
}

func TestARunThatWasLostAfterItCameToTheServiceIsRolledBackThere(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("9")
	w.deployed("a")
	clients := w.clients()
	// Its update is carried out, and it is lost before it has a record of the deployment.
	lost := &lostUpdate{ECS: clients.ECS, after: func() { w.aws.Cut(1, false) }}
	clients.ECS = lost
	w.in.Image = image("b")
	Deploy(w.ctx, clients, w.clock, w.in)
	w.aws.Cut(0, false)
	require.True(t, lost.done)
	require.NotNil(t, w.state().Run)
	require.Empty(t, w.state().Run.Deployment)
	theirs := w.passed(w.asked(Rollback))
	assert.Equal(t, family+"2", w.serving())
	assert.True(t, theirs.Changed)
	assert.Nil(t, w.state().Run)
}

// lostUpdate is a client whose process is lost with the answer to its update.
type lostUpdate struct {
	ECS
	after func()
	done  bool
}

func (l *lostUpdate) UpdateService(ctx context.Context, in *ecs.UpdateServiceInput,
	options ...func(*ecs.Options)) (*ecs.UpdateServiceOutput, error) {
	out, err := l.ECS.UpdateService(ctx, in, options...)
	l.done = true
	l.after()
	return out, err
}

// A run that ends by itself before it came to the service leaves nothing to roll back either.
func TestARollbackBesideATrialThatFailsByItselfGoesBackNoFurther(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("9")
	w.deployed("a")
	w.aws.ECS.Behave(family+"3", fakeaws.Behaviour{NoCapacity: "none"})
	from := len(w.aws.Calls())
	ours, theirs := w.beside(20*time.Second, Rollback)
	w.code(t, deployment.NoCapacity, ours)
	w.passed(theirs)
	assert.False(t, theirs.Changed)
	assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"))
	assert.Equal(t, family+"2", w.serving())
}

// A run may wait for another's deployment to end before it tries its own version.
func TestWhatARunWaitsForCanBeRolledBackAndLookedAtAtOnce(t *testing.T) {
	for name, do := range map[string]operationOf{"rollback": Rollback, "wait": Wait} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "canary")
			w.deployed("9")
			w.in.Spec.BakeMinutes = 120
			w.lose("a", 5*time.Minute)
			require.NoError(t, w.clock.Sleep(w.ctx, 3*time.Minute)) // its lock is over
			started, answered := w.clock.Now(), time.Duration(0)
			client := w.aws.ECS
			w.in.Progress = func(line string) {
				if answered == 0 && (client.Calls("StopServiceDeployment") > 0 || line[9:] == "run 1 holds the lock; this run only follows") {
					answered = w.clock.Now().Sub(started)
				}
			}
			ours, theirs := w.beside(time.Minute, do)
			w.passed(ours)
			w.passed(theirs)
			assert.LessOrEqual(t, answered, 2*time.Minute)
			assert.NotZero(t, answered)
		})
	}
}

func TestARunThatDoesNotEndIsNotTakenForOneThatDeployedNothing(t *testing.T) {
	hold := func(w *world, token int64) {
		s := w.state()
		s.Token = token
		s.Holder = &journal.Holder{Name: "run 9", Until: w.clock.Now().Add(24 * time.Hour)}
		s.Run = &journal.Run{Token: token, Kind: journal.Deploy, Image: image("b"), By: "run 9"}
		content, err := json.Marshal(s)
		require.NoError(t, err)
		w.aws.Objects.Set(journalAt+"staging/"+service+".json", string(content))
	}
	w := newWorld(t, "rolling")
	w.deployed("9")
	w.deployed("a")
	// It renews its lock, and does nothing else.
	token := int64(50)
	for n := range 4 * 60 {
		w.clock.At(time.Duration(n)*30*time.Second, func() {
			if token == 50 {
				hold(w, token)
			}
		})
	}
	hold(w, token)
	w.code(t, journal.Locked, w.asked(Rollback))
	token = 0
	assert.Equal(t, family+"2", w.serving())

	// Nor one that another run has taken over from.
	hold(w, 60)
	w.clock.At(20*time.Second, func() { hold(w, 61) })
	w.code(t, journal.Locked, w.asked(Rollback))
	assert.Equal(t, family+"2", w.serving())
}

// Before the first deployment has made the cluster, ECS knows none to look for tasks in.
func TestBesideARunThatHasMadeNoClusterYet(t *testing.T) {
	w := newWorld(t, "rolling")
	clients := w.clients()
	clients.ECS = &noClusterYet{ECS: clients.ECS}
	s := journal.State{Schema: 1, Token: 1, Holder: &journal.Holder{Name: "run 9", Until: w.clock.Now().Add(time.Minute)},
		Run: &journal.Run{Token: 1, Kind: journal.Deploy, Image: image("b"), By: "run 9"}}
	content, err := json.Marshal(s)
	require.NoError(t, err)
	w.aws.Objects.Set(journalAt+"staging/"+service+".json", string(content))
	in := w.in
	in.Image = ""
	result := Rollback(w.ctx, clients, w.clock, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Cause)
	assert.Nil(t, w.state().Run)
}

type noClusterYet struct{ ECS }

func (*noClusterYet) none() error {
	return &types.ClusterNotFoundException{Message: aws.String("Cluster not found.")}
}

func (n *noClusterYet) ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error) {
	return nil, n.none()
}

func (n *noClusterYet) ListServiceDeployments(context.Context, *ecs.ListServiceDeploymentsInput,
	...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	return nil, n.none()
}

func (n *noClusterYet) DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput,
	error) {
	return nil, n.none()
}
