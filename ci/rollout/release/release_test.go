package release

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	accountID = "111122223333"
	cluster   = "openstack-rca-cluster-staging"
	service   = "openstack-rca-service-staging"
	family    = "arn:aws:ecs:ap-south-1:111122223333:task-definition/openstack-rca-task-staging:"
	journalAt = "bucket/models/openstack-rca-system.rollouts/"
)

func image(n string) string {
	return accountID + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@sha256:" + strings.Repeat(n, 64)
}

// world is an account, what runs in it, and what is asked of it.
type world struct {
	t     *testing.T
	ctx   context.Context
	clock *fakeaws.Clock
	aws   *fakeaws.Account
	in    Input
	// gets are the addresses that were asked, answer what they answer.
	gets   []string
	answer error
	lines  []string
}

func newWorld(t *testing.T, strategy string) *world {
	clock := fakeaws.NewClock()
	w := &world{t: t, ctx: t.Context(), clock: clock, aws: fakeaws.NewAccount(clock)}
	w.in = Input{Journal: "s3://bucket/models", Name: "run 1", Input: rollout.Input{Spec: config.Default().RolloutSpec(),
		Environment: "staging", Image: image("a")}}
	role := "arn:aws:iam::" + accountID + ":role/"
	r := &w.in.Spec
	r.Account, r.Strategy, r.VPC = accountID, strategy, "vpc-0123456789abcdef0"
	r.Subnets, r.SecurityGroups = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, []string{"sg-0123456789abcdef0"}
	r.ExecutionRole, r.TaskRole, r.InfrastructureRole = role+"execution", role+"task", role+"infrastructure"
	w.in.Get = func(_ context.Context, address string) error { w.gets = append(w.gets, address); return w.answer }
	w.in.Progress = func(line string) { w.lines = append(w.lines, line) }
	return w
}

func (w *world) clients() Clients {
	return Clients{ECS: w.aws.ECS, Balancing: w.aws.Balancing, Scaling: w.aws.Scaling, CloudWatch: w.aws.CloudWatch, Logs: w.aws.Logs,
		Roles: w.aws.Roles, Identity: w.aws.Identity, Objects: w.aws.Objects}
}

func (w *world) deploy(n string) *Result {
	w.in.Image = image(n)
	return Deploy(w.ctx, w.clients(), w.clock, w.in)
}

func (w *world) deployed(n string) *Result {
	w.t.Helper()
	result := w.deploy(n)
	require.Equal(w.t, verdict.Pass, result.Stage.Verdict, "%s: %s", result.Stage.Code, result.Stage.Cause)
	return result
}

func (w *world) state() journal.State {
	content, exists := w.aws.Objects.Content(journalAt + "staging/" + service + ".json")
	var s journal.State
	if exists {
		require.NoError(w.t, json.Unmarshal([]byte(content), &s))
	}
	return s
}

func (w *world) serving() string { return w.aws.ECS.Serving(cluster, service) }

func (w *world) code(t *testing.T, want verdict.Code, got *Result) {
	t.Helper()
	require.Equal(t, want.Name, got.Stage.Code, got.Stage.Cause)
	require.NotEqual(t, verdict.Pass, got.Stage.Verdict)
}

func count(calls []string, call string) int {
	n := 0
	for _, c := range calls {
		if c == call {
			n++
		}
	}
	return n
}

func strategies() []string { return spec.Strategies() }

func TestAnEmptyAccountServesAfterOneCall(t *testing.T) {
	for _, strategy := range strategies() {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy)
			result := w.deployed("a")
			assert.Equal(t, family+"1", w.serving())
			calls := w.aws.Calls()
			assert.Equal(t, 1, count(calls, "ecs:CreateService"))
			assert.Zero(t, count(calls, "ecs:UpdateService"))
			assert.True(t, result.Outcome.Created)
			assert.NotEmpty(t, w.gets)
			assert.True(t, strings.HasPrefix(w.gets[0], "http://") && strings.HasSuffix(w.gets[0], "/_stcore/health"), w.gets[0])
			s := w.state()
			assert.Nil(t, s.Holder)
			assert.Nil(t, s.Run)
			require.Len(t, s.Ended, 1)
			assert.Equal(t, journal.Passed, s.Ended[0].Verdict)
			_, ran := w.aws.Objects.Content(journalAt + "staging/ran/" + strings.Repeat("a", 64) + ".json")
			assert.True(t, ran)
			assert.Equal(t, 1, count(calls, "application-autoscaling:RegisterScalableTarget"))
			require.NotEmpty(t, w.lines)
			assert.Contains(t, w.lines[0], strategy+": expected to take about ", "before anything else")
			assert.LessOrEqual(t, beforeWaiting(calls), 40, "%v", calls[:beforeWaiting(calls)])
			t.Log(strategy, "calls before waiting:", beforeWaiting(calls))
		})
	}
}

// Where no execution role is named, one is made before anything uses it.
func TestADeployMakesTheExecutionRoleOnce(t *testing.T) {
	for _, strategy := range strategies() {
		w := newWorld(t, strategy)
		w.in.Spec.ExecutionRole, w.in.Spec.Desired = "", 3
		result := w.deployed("a")
		calls := w.aws.Calls()
		assert.LessOrEqual(t, beforeWaiting(calls), 40, "%v", calls[:beforeWaiting(calls)])
		assert.Equal(t, 1, count(calls, "iam:CreateRole"))
		assert.Empty(t, result.Outcome.Failures, "no task is launched before ECS knows the role")
		from := len(w.aws.Calls())
		w.deployed("a")
		assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
		w.deployed("b")
		assert.Zero(t, count(w.aws.Calls()[from:], "iam:PutRolePolicy"), "another image of the repository needs no other rights")
	}
}

// A run that is lost right after it made the role leaves one that ECS does not know yet.
func TestARoleThatALostRunMadeIsGivenItsTime(t *testing.T) {
	for cut := 1; ; cut++ {
		w := newWorld(t, "blue_green")
		w.in.Spec.ExecutionRole, w.in.Spec.Desired = "", 4
		w.aws.Cut(cut, true)
		w.deploy("a")
		w.aws.Cut(0, false)
		calls := w.aws.Calls()
		result := w.deployed("a")
		assert.Empty(t, result.Outcome.Failures, "call %d: the lost run's lock lasts longer than ECS takes to know the role", cut)
		assert.LessOrEqual(t, w.aws.ECS.Launches(family+"1"), 1+4, "the trial's and the service's; call %d", cut)
		if count(calls, "ecs:RegisterTaskDefinition") > 0 {
			break
		}
	}
}

func beforeWaiting(calls []string) int {
	for n, call := range calls {
		if call == "ecs:DescribeTasks" || call == "ecs:DescribeServiceDeployments" {
			return n
		}
	}
	return len(calls)
}

func TestAReleaseIsOneUpdateAndFewCalls(t *testing.T) {
	for _, strategy := range strategies() {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy)
			w.deployed("a")
			from, start := len(w.aws.Calls()), w.clock.Now()
			result := w.deployed("b")
			calls := w.aws.Calls()[from:]
			assert.Equal(t, family+"2", w.serving())
			assert.Equal(t, 1, count(calls, "ecs:UpdateService"))
			assert.Equal(t, 1, count(calls, "ecs:RegisterTaskDefinition"))
			assert.LessOrEqual(t, beforeWaiting(calls), 40, "%v", calls[:beforeWaiting(calls)])
			t.Log(strategy, "calls before waiting:", beforeWaiting(calls), "of", len(calls))
			took := w.clock.Now().Sub(start).Seconds()
			waiting := len(calls) - beforeWaiting(calls)
			assert.Less(t, float64(waiting), took, "less than one call a second while waiting: %d in %gs", waiting, took)
			// The new version is launched, and is healthy 30 s later for two health checks.
			const trial = 30 + 15
			assert.LessOrEqual(t, took, trial+result.Outcome.Seconds+10, "the verdict comes within 10 s of the end")
		})
	}
}

func TestADeployThatChangesNothingWritesNothing(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	from := len(w.aws.Calls())
	result := w.deployed("a")
	assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	assert.False(t, result.Changed)
}

// Every point at which a run can be lost: before each call, and after it with its answer.
// The bakes are as short as they can be, so that the whole of a rollout can be gone through.
func TestARunThatIsLostAnywhereIsGoneOnWithByTheNext(t *testing.T) {
	for _, strategy := range strategies() {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			lostAnywhere(t, strategy, false)
		})
	}
	// A first deployment shifts no traffic from anything, whatever the strategy.
	t.Run("the first of all", func(t *testing.T) {
		t.Parallel()
		lostAnywhere(t, "blue_green", true)
	})
}

func lostAnywhere(t *testing.T, strategy string, first bool) {
	// end is what is left when a run was cut at a call, and another one came soon; a lost
	// process does not wait. calls are those of the run alone.
	end := func(cut int, after bool) (w *world, calls int) {
		w = newWorld(t, strategy)
		r := &w.in.Spec
		r.BakeMinutes, r.CanaryBakeMinutes, r.LinearStepMinutes, r.LinearStepPercent = 1, 1, 1, 50
		if first {
			w.in.Spec.ExecutionRole = "" // it is made as well
		} else {
			w.deployed("a")
		}
		from := len(w.aws.Calls())
		if cut > 0 {
			w.aws.Cut(cut, after)
			w.deploy("b")
			w.aws.Cut(0, false)
		}
		// The cut run may have come to its end, and be done before the call at which it was to be lost.
		result := w.deploy("b")
		require.Equal(t, verdict.Pass, result.Stage.Verdict, "call %d, answered=%v: %s %s", cut, !after, result.Stage.Code, result.Stage.Cause)
		return w, len(w.aws.Calls()) - from
	}
	clean, total := end(0, false)
	want := clean.aws.Dump()
	for _, cut := range cuts(total) {
		for _, after := range []bool{false, true} {
			w, _ := end(cut, after)
			require.Equal(t, want, w.aws.Dump(), "call %d of %d, carried out=%v", cut, total, after)
			require.Nil(t, w.state().Run)
			require.Nil(t, w.state().Holder)
		}
	}
	t.Logf("%d calls, lost at %d of them before and after it was carried out", total, len(cuts(total)))
}

// cuts are the calls at which a run is lost: every one until it waits and at its end, and
// every fifth of the looks between, which repeat.
func cuts(total int) []int {
	var all []int
	for cut := 1; cut <= total; cut += step {
		if cut > 60 && cut < total-40 && cut%5 != 0 && step == 1 {
			continue
		}
		all = append(all, cut)
	}
	return all
}

func crash() *fakeaws.Failure {
	return &fakeaws.Failure{Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 137}
}

func TestWhatGoesWrongHasItsOwnCodeAndTheOldVersionServes(t *testing.T) {
	second := family + "2"
	for _, c := range []struct {
		name    string
		arrange func(*world)
		code    verdict.Code
		cause   string
		serving string
	}{
		{"tasks crash in the service", func(w *world) {
			w.aws.ECS.Behave(second, fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Alone: &fakeaws.Behaviour{}})
		}, deployment.RolledBack, "failed", family + "1"},
		{"tasks crash", func(w *world) {
			w.aws.ECS.Behave(second, fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Log: []string{"Traceback", "MemoryError"}})
		}, trial.Failed, "the service was not touched", family + "1"},
		{"an alarm rings", func(w *world) {
			w.clock.At(5*time.Minute, func() { w.aws.ECS.SetAlarm(service + "-5xx") })
		}, deployment.RolledBack, "-5xx", family + "1"},
		{"no room for the service", func(w *world) {
			w.aws.ECS.Behave(second, fakeaws.Behaviour{NoCapacity: "unable to place a task. Reason: Capacity is unavailable at this time.",
				Alone: &fakeaws.Behaviour{}})
		}, deployment.NoCapacity, "Capacity", family + "1"},
		{"no room at all", func(w *world) {
			w.aws.ECS.Behave(second, fakeaws.Behaviour{NoCapacity: "unable to place a task. Reason: Capacity is unavailable at this time."})
		}, deployment.NoCapacity, "so the service was not touched", family + "1"},
		{"stuck", func(w *world) {
			w.aws.ECS.Behave(second, fakeaws.Behaviour{Hangs: "PRODUCTION_TRAFFIC_SHIFT"})
		}, deployment.Stuck, "not done after", family + "1"},
		{"the rollback fails", func(w *world) {
			w.aws.ECS.Behave(second, fakeaws.Behaviour{RollbackFails: true})
			w.clock.At(5*time.Minute, func() { w.aws.ECS.SetAlarm(service + "-5xx") })
		}, deployment.RollbackFailed, "", ""},
		{"the load balancer finds the tasks sick", func(w *world) {
			w.aws.ECS.Behave(second, fakeaws.Behaviour{Sick: true})
		}, deployment.LBUnhealthy, "503", second},
		{"desired is 0", func(w *world) {
			w.clock.At(9*time.Minute, func() { w.aws.ECS.SetDesired(cluster, service, 0) })
		}, deployment.NoRunningTasks, "0 tasks", second},
		{"the smoke test fails while it bakes", func(w *world) { w.answer = errors.New("502") }, deployment.RolledBack, "probes", family + "1"},
		{"it cannot be reached at all", func(w *world) { w.answer = &net.OpError{Op: "dial", Err: errors.New("timeout")} }, SmokeUnreachable,
			"dial", family + "1"},
		{"the credentials end", func(w *world) {
			w.clock.At(3*time.Minute, func() {
				w.aws.Fail("ecs:DescribeServiceDeployments", apiError("ExpiredTokenException"))
			})
		}, deployment.AuthExpired, "Expired", family + "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.deployed("a")
			c.arrange(w)
			result := w.deploy("b")
			w.code(t, c.code, result)
			assert.Contains(t, result.Stage.Cause, c.cause)
			assert.Equal(t, c.serving, w.serving())
			assert.Nil(t, w.state().Holder, "the lock is let go")
		})
	}
}

func TestThrottlingEndsNothing(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	w.clock.At(2*time.Minute, func() {
		for range 10 {
			w.aws.ECS.Fail("DescribeServiceDeployments", fakeaws.Throttled())
			w.aws.ECS.Fail("DescribeServices", fakeaws.Throttled())
		}
	})
	w.deployed("b")
}

func TestTheReasonsOfACrashAreInTheReport(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	crashes := fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Log: []string{"Traceback", "MemoryError"}}
	for n, behaviour := range []fakeaws.Behaviour{crashes, {Failure: crashes.Failure, FailAfter: crashes.FailAfter, Log: crashes.Log,
		Alone: &fakeaws.Behaviour{}}} {
		w.aws.ECS.Behave(family+"2", behaviour)
		result := w.deploy("b")
		details := strings.Join(result.Stage.Problems[0].Details, "\n")
		assert.Contains(t, details, "exit code 137 (killed: most often a lack of memory", "on trial, in the service: %d", n)
		assert.Contains(t, details, "log: MemoryError")
	}
}

func TestAFirstDeployThatFailsLeavesNoServiceAndTheNextMakesIt(t *testing.T) {
	for _, strategy := range strategies() {
		w := newWorld(t, strategy)
		w.aws.ECS.Behave(family+"1", fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second})
		result := w.deploy("a")
		w.code(t, trial.Failed, result)
		assert.Zero(t, count(w.aws.Calls(), "ecs:CreateService"), "no service was made for what does not start")
		assert.Contains(t, strings.Join(result.Stage.Published, "\n"), "task definition openstack-rca-task-staging", "what surrounds it was")
		w.aws.ECS.Behave(family+"1", fakeaws.Behaviour{Failure: crash(), FailAfter: 15 * time.Second, Alone: &fakeaws.Behaviour{}})
		result = w.deploy("a")
		w.code(t, deployment.NoRollbackTarget, result)
		assert.Contains(t, result.Stage.Cause, "the service was deleted")
		w.deployed("b")
		assert.Equal(t, family+"2", w.serving())
	}
}

func apiError(code string) error { return &coded{code} }

type coded struct{ code string }

func (c *coded) Error() string                 { return c.code }
func (c *coded) ErrorCode() string             { return c.code }
func (c *coded) ErrorMessage() string          { return c.code }
func (c *coded) ErrorFault() smithy.ErrorFault { return smithy.FaultClient }
