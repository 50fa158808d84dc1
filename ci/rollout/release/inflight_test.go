package release

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const newer = types.ServiceDeploymentStatus("VALIDATING")

// later is ECS of a later time, in which a deployment that goes on has a status that is unknown here.
type later struct{ ECS }

func renamed(status types.ServiceDeploymentStatus) types.ServiceDeploymentStatus {
	if status == types.ServiceDeploymentStatusInProgress {
		return newer
	}
	return status
}

func (l later) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	out, err := l.ECS.ListServiceDeployments(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	for n := range out.ServiceDeployments {
		out.ServiceDeployments[n].Status = renamed(out.ServiceDeployments[n].Status)
	}
	out.ServiceDeployments = slices.DeleteFunc(out.ServiceDeployments, func(d types.ServiceDeploymentBrief) bool {
		return len(in.Status) > 0 && !slices.Contains(in.Status, d.Status)
	})
	return out, nil
}

func (l later) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	out, err := l.ECS.DescribeServiceDeployments(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	for n := range out.ServiceDeployments {
		out.ServiceDeployments[n].Status = renamed(out.ServiceDeployments[n].Status)
	}
	return out, nil
}

// ends is ECS of a later time, in which a deployment that failed has a final status that is unknown here.
type ends struct{ ECS }

const newEnd = types.ServiceDeploymentStatus("ABANDONED")

func (e ends) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	out, err := e.ECS.ListServiceDeployments(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	for n, d := range out.ServiceDeployments {
		if d.Status == types.ServiceDeploymentStatusRollbackSuccessful {
			out.ServiceDeployments[n].Status = newEnd
		}
	}
	return out, nil
}

func (e ends) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	out, err := e.ECS.DescribeServiceDeployments(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	for n, d := range out.ServiceDeployments {
		if d.Status == types.ServiceDeploymentStatusRollbackSuccessful {
			out.ServiceDeployments[n].Status = newEnd
		}
	}
	return out, nil
}

// A deployment with a time at which it finished is not in flight, whatever its status is called.
func TestAnUnknownFinalStatusIsAnEnd(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.aws.ECS.Behave(family+"2", fakeaws.Behaviour{NeverHealthy: true, Alone: &fakeaws.Behaviour{}})
	clients := w.clients()
	clients.ECS = ends{clients.ECS}
	w.in.Image = image("b")
	began := w.clock.Now()
	result := Deploy(w.ctx, clients, w.clock, w.in)
	w.code(t, deployment.EndUnknown, result)
	assert.Contains(t, result.Stage.Cause, "is ABANDONED")
	assert.Less(t, w.clock.Now().Sub(began), 40*time.Minute)

	from := len(w.aws.Calls())
	w.in.Image = image("c")
	w.passed(Deploy(w.ctx, clients, w.clock, w.in))
	assert.Equal(t, 1, count(w.aws.Calls()[from:], "ecs:UpdateService"), "nothing is waited for")
	assert.NotContains(t, evidenceOf(Status(w.ctx, clients, w.clock, w.in)), "under way")
}

// lagging is ECS whose list lacks what was started last.
type lagging struct{ ECS }

func (l lagging) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	out, err := l.ECS.ListServiceDeployments(ctx, in, options...)
	if err != nil {
		return nil, err
	}
	out.ServiceDeployments = slices.DeleteFunc(out.ServiceDeployments, func(d types.ServiceDeploymentBrief) bool {
		return !deployment.HasEnded(d.Status, d.FinishedAt)
	})
	return out, nil
}

// The journal knows a deployment that the list of ECS does not have yet.
func TestADeploymentThatIsNotListedYetIsRolledBack(t *testing.T) {
	for _, held := range []bool{false, true} {
		w := newWorld(t, "blue_green")
		w.in.Spec.BakeMinutes = 60
		w.deployed("a")
		w.lose("b", 5*time.Minute)
		if !held {
			require.NoError(t, w.clock.Sleep(w.ctx, 5*time.Minute)) // the lock expires
		}
		w.in.Image = ""
		clients := w.clients()
		clients.ECS = lagging{clients.ECS}
		from := len(w.aws.Calls())
		w.passed(Rollback(w.ctx, clients, w.clock, w.in))
		assert.Equal(t, 1, count(w.aws.Calls()[from:], "ecs:StopServiceDeployment"))
		assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"))
		assert.Equal(t, family+"1", w.serving())
	}
}

// inFlightWorld has a deployment in flight whose run was lost, and whose lock has expired.
func inFlightWorld(t *testing.T) *world {
	w := newWorld(t, "blue_green")
	w.in.Spec.BakeMinutes = 60
	w.deployed("a")
	w.lose("b", 5*time.Minute)
	require.NoError(t, w.clock.Sleep(w.ctx, 5*time.Minute))
	w.in.Image = ""
	return w
}

// A status that ECS got after this version was made belongs to a deployment that goes on, and is told by its name.
func TestAnUnknownStatusIsInFlight(t *testing.T) {
	with := func(w *world, f func(context.Context, Clients, clock.Clock, Input) *Result) *Result {
		clients := w.clients()
		clients.ECS = later{clients.ECS}
		return f(w.ctx, clients, w.clock, w.in)
	}
	w := inFlightWorld(t)
	assert.Contains(t, evidenceOf(with(w, Status)), "deployment under way: VALIDATING (a status that this version does not know")
	from := len(w.aws.Calls())
	w.passed(with(w, Rollback))
	assert.Equal(t, 1, count(w.aws.Calls()[from:], "ecs:StopServiceDeployment"), "it is not taken for a rollback")
	assert.Equal(t, family+"1", w.serving())

	w = inFlightWorld(t)
	w.passed(with(w, Wait))
	assert.Equal(t, family+"2", w.serving())

	w = inFlightWorld(t)
	w.in.Image = image("b")
	from = len(w.aws.Calls())
	w.passed(with(w, Deploy))
	assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"), "it is followed")
	assert.Equal(t, family+"2", w.serving())
}

func TestOnlyKnownEndsAreEnds(t *testing.T) {
	for _, status := range append(newer.Values(), newer) {
		assert.Equal(t, status == newer, deployment.StatusText(status) != string(status))
		assert.False(t, status == newer && (deployment.HasEnded(status, nil) || deployment.IsUndone(status)))
		assert.Equal(t, deployment.HasEnded(status, nil) || status == newer, deployment.HasEnded(status, new(time.Time)), status)
	}
}

// behind is ECS whose deployments and revisions are listed before they are described.
type behind struct {
	ECS
	clock       clock.Clock
	deployments time.Time
	revisions   time.Time
}

func (b *behind) DescribeServiceDeployments(ctx context.Context, in *ecs.DescribeServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error) {
	if b.clock.Now().Before(b.deployments) {
		return &ecs.DescribeServiceDeploymentsOutput{Failures: []types.Failure{{Reason: aws.String("MISSING")}}}, nil
	}
	return b.ECS.DescribeServiceDeployments(ctx, in, options...)
}

func (b *behind) DescribeServiceRevisions(ctx context.Context, in *ecs.DescribeServiceRevisionsInput,
	options ...func(*ecs.Options)) (*ecs.DescribeServiceRevisionsOutput, error) {
	if b.clock.Now().Before(b.revisions) {
		return &ecs.DescribeServiceRevisionsOutput{Failures: []types.Failure{{Reason: aws.String("MISSING")}}}, nil
	}
	return b.ECS.DescribeServiceRevisions(ctx, in, options...)
}

// What ECS names and does not describe yet is waited for: it is not taken for nothing.
func TestWhatIsNamedAndNotDescribedIsWaitedFor(t *testing.T) {
	for name, c := range map[string]struct {
		deployments, revisions time.Duration
		code                   verdict.Code
	}{
		"a deployment":               {deployments: 30 * time.Second},
		"a revision":                 {revisions: 30 * time.Second},
		"a deployment, for too long": {deployments: time.Hour, code: deployment.AWSFailed},
		"a revision, for too long":   {revisions: time.Hour, code: deployment.AWSFailed},
	} {
		t.Run(name, func(t *testing.T) {
			w := inFlightWorld(t)
			clients := w.clients()
			clients.ECS = &behind{ECS: clients.ECS, clock: w.clock, deployments: w.clock.Now().Add(c.deployments),
				revisions: w.clock.Now().Add(c.revisions)}
			start := w.clock.Now()
			result := Wait(w.ctx, clients, w.clock, w.in)
			if c.code.Name == "" {
				w.passed(result)
				assert.Equal(t, family+"2", w.serving())
				return
			}
			w.code(t, c.code, result)
			assert.Contains(t, result.Stage.Cause, "does not describe it")
			assert.Less(t, w.clock.Now().Sub(start), 3*time.Minute)
		})
	}
}
