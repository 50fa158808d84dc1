package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

type operationOf = func(context.Context, Clients, clock.Clock, Input) *Result

// asked runs an operation that needs no image.
func (w *world) asked(f operationOf) *Result {
	in := w.in
	in.Image = ""
	return f(w.ctx, w.clients(), w.clock, in)
}

func (w *world) passed(result *Result) *Result {
	w.t.Helper()
	require.Equal(w.t, verdict.Pass, result.Stage.Verdict, "%s: %s", result.Stage.Code, result.Stage.Cause)
	return result
}

// lose runs a deployment that is lost when its clock has gone on for so long.
func (w *world) lose(n string, after time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.ctx)
	w.clock.At(after, func() { w.aws.Cut(1, false); cancel() })
	keep := w.ctx
	w.ctx = ctx
	result := w.deploy(n)
	w.ctx = keep
	w.aws.Cut(0, false)
	require.NotEqual(w.t, verdict.Pass, result.Stage.Verdict)
}

func evidenceOf(r *Result) string {
	var all []string
	for _, e := range r.Stage.Evidence {
		all = append(all, e.Name+": "+e.Value)
	}
	return strings.Join(all, "\n")
}

func warnings(r *Result) string {
	var all []string
	for _, f := range r.Stage.Warnings {
		all = append(all, f.Code+": "+f.Cause)
	}
	return strings.Join(all, "\n")
}

func TestAFinishedReleaseIsRolledBackWithItsSettings(t *testing.T) {
	for _, strategy := range strategies() {
		t.Run(strategy, func(t *testing.T) {
			w := newWorld(t, strategy)
			w.deployed("a")
			w.in.Spec.App.Health = "/new-health"
			w.deployed("b")
			path := func() string {
				out, err := w.aws.Balancing.DescribeTargetGroups(w.ctx,
					&elb.DescribeTargetGroupsInput{Names: []string{*w.passed(w.asked(Status)).Plan.LoadBalancer.TargetGroups[0].Name}})
				require.NoError(t, err)
				return aws.ToString(out.TargetGroups[0].HealthCheckPath)
			}
			require.Equal(t, "/new-health", path())
			from := len(w.aws.Calls())
			w.passed(w.asked(Rollback))
			calls := w.aws.Calls()[from:]
			assert.Equal(t, family+"1", w.serving())
			assert.Equal(t, 1, count(calls, "ecs:UpdateService"))
			assert.Zero(t, count(calls, "ecs:RegisterTaskDefinition"))
			assert.Zero(t, count(calls, "ecs:DeregisterTaskDefinition"))
			assert.Equal(t, "/_stcore/health", path(), "the old version is asked where it answers")
			state := w.state()
			last := state.Last()
			assert.Equal(t, journal.Rollback, last.Kind)
			assert.Equal(t, family+"2", last.Previous)

			w.code(t, NoRelease, w.asked(Rollback))
			assert.Equal(t, family+"1", w.serving(), "what was left is not gone back to")
		})
	}
}

// A rollback that is lost anywhere is resumed by the next, and goes back one release, not two.
func TestARollbackThatIsLostAnywhereIsGoneOnWithByTheNext(t *testing.T) {
	end := func(cut int, after bool) (*world, int) {
		w := newWorld(t, "blue_green")
		w.in.Spec.BakeMinutes = 1
		for _, n := range []string{"a", "b", "c"} {
			w.deployed(n)
		}
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
	want, calls := clean.aws.Dump(), clean.aws.Calls()
	require.Equal(t, "s3:PutObject", calls[len(calls)-1], "the record of the end")
	for _, cut := range cuts(total) {
		for _, after := range []bool{false, true} {
			if after && cut == total {
				continue // its end is on record: another one is another step back
			}
			w, _ := end(cut, after)
			require.Equal(t, family+"2", w.serving(), "call %d of %d, carried out=%v", cut, total, after)
			require.Equal(t, want, w.aws.Dump(), "call %d of %d, carried out=%v", cut, total, after)
			require.Nil(t, w.state().Run)
		}
	}
}

// A rollback under way, whose run was lost, is followed: to stop it would put back what was to go.
func TestARollbackThatIsUnderWayIsNotRolledBack(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.in.Spec.BakeMinutes = 120
	for _, n := range []string{"a", "b", "c"} {
		w.deployed(n)
	}
	from := len(w.aws.Calls())
	w.aws.Cut(60, true) // while it is followed
	w.asked(Rollback)
	w.aws.Cut(0, false)
	require.Equal(t, 1, count(w.aws.Calls()[from:], "ecs:UpdateService"), "it has begun")
	require.NotNil(t, w.state().Run, "and its end is not on record")

	result := w.passed(w.asked(Rollback))
	calls := w.aws.Calls()[from:]
	assert.Zero(t, count(calls, "ecs:StopServiceDeployment"))
	assert.Equal(t, 1, count(calls, "ecs:UpdateService"))
	assert.Contains(t, warnings(result), Resumed.Name)
	assert.Equal(t, family+"2", w.serving())
	assert.Nil(t, w.state().Run)
}

func TestADeploymentInFlightIsStoppedAndRolledBack(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	w.lose("b", 5*time.Minute)
	from := len(w.aws.Calls())
	var said []string
	w.in.Progress = func(line string) { said = append(said, line) }
	result := w.passed(w.asked(Rollback))
	assert.Contains(t, strings.Join(said, "\n"), "waiting until run 1 records that, or its lock expires",
		"nobody looks at silence for minutes")
	assert.Equal(t, 1, strings.Count(evidenceOf(result), "deployment: rolled back"), "though it was followed twice")
	calls := w.aws.Calls()[from:]
	assert.Equal(t, 1, count(calls, "ecs:StopServiceDeployment"))
	assert.Zero(t, count(calls, "ecs:UpdateService"))
	assert.Equal(t, family+"1", w.serving())
	s := w.state()
	assert.Nil(t, s.Run)
	assert.Equal(t, deployment.RolledBack.Name, s.Ended[len(s.Ended)-1].Code)
}

func TestWithoutAJournalECSKnowsTheLastRelease(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.deployed("b")
	w.in.Journal = "s3://bucket/elsewhere"
	result := w.passed(w.asked(Rollback))
	assert.Contains(t, warnings(result), NoSettings.Name)
	assert.Equal(t, family+"1", w.serving())
}

func TestAPauseAwaitsAnAnswer(t *testing.T) {
	for _, stage := range []string{"pre_scale_up", "post_scale_up", "pre_production_traffic_shift", "post_production_traffic_shift"} {
		t.Run(stage, func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.deployed("a")
			w.in.Spec.PauseAt = []string{stage}
			result := w.deploy("b")
			w.code(t, deployment.AwaitingApproval, result)
			assert.Equal(t, verdict.CouldNotRun, result.Stage.Verdict)
			assert.Nil(t, w.state().Holder)
			assert.Contains(t, evidenceOf(w.passed(w.asked(Status))), "awaiting approval until")
			require.NoError(t, w.clock.Sleep(w.ctx, 5*time.Hour)) // somebody sleeps over it
			w.passed(w.asked(Approve))
			assert.Equal(t, family+"2", w.serving())
			assert.Nil(t, w.state().Run)
			w.code(t, NothingPaused, w.asked(Approve))
			w.code(t, NothingPaused, w.asked(Reject))
		})
	}
}

func TestAPauseThatIsRejectedRollsBack(t *testing.T) {
	w := newWorld(t, "linear")
	w.deployed("a")
	w.in.Spec.PauseAt = []string{"post_scale_up"}
	w.code(t, deployment.AwaitingApproval, w.deploy("b"))
	w.passed(w.asked(Reject))
	assert.Equal(t, family+"1", w.serving())
	assert.Nil(t, w.state().Run)
}

func TestAPauseThatIsRolledBackWaitsForNoAnswer(t *testing.T) {
	w := newWorld(t, "linear")
	w.deployed("a")
	w.in.Spec.PauseAt = []string{"post_scale_up"}
	w.code(t, deployment.AwaitingApproval, w.deploy("b"))
	var said []string
	w.in.Progress = func(line string) { said = append(said, line) }
	w.passed(w.asked(Rollback))
	assert.Equal(t, family+"1", w.serving())
	assert.Contains(t, strings.Join(said, "\n"), "STOP_REQUESTED")
	assert.NotContains(t, strings.Join(said, "\n"), "awaiting approval")
}

func TestTheFirstDeploymentOfAllCanBeApprovedAndNotUndone(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.in.Spec.PauseAt = []string{"post_scale_up"}
	w.code(t, deployment.AwaitingApproval, w.deploy("a"))
	from := len(w.aws.Calls())
	for _, f := range []operationOf{Reject, Rollback} {
		result := w.asked(f)
		w.code(t, deployment.NoRollbackTarget, result)
		assert.Contains(t, result.Stage.Cause, "destroy")
	}
	for _, call := range fakeaws.Writes(w.aws.Calls()[from:]) {
		assert.Equal(t, "s3:PutObject", call, "but for the lock")
	}
	w.passed(w.asked(Approve))
	assert.Equal(t, family+"1", w.serving())
}

func TestAPauseThatNobodyAnswersRollsBack(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	w.in.Spec.PauseAt = []string{"post_scale_up"}
	w.in.AwaitApproval = true
	result := w.deploy("b")
	w.code(t, deployment.RolledBack, result)
	assert.Equal(t, 1, strings.Count(result.Stage.Cause, "timed out"), result.Stage.Cause)
	assert.Equal(t, family+"1", w.serving())
}

func TestAnAnswerThatECSRefuses(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.in.Spec.PauseAt = []string{"post_scale_up"}
	w.deploy("b")
	w.aws.ECS.Fail("ContinueServiceDeployment", apiError("InvalidParameterException"))
	w.code(t, AnswerRefused, w.asked(Approve))
	w.aws.ECS.Fail("StopServiceDeployment", apiError("ConflictException"))
	w.code(t, StopRefused, w.asked(Rollback))
}

func TestWaitFollowsWhatALostRunLeft(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	w.code(t, NothingInFlight, w.asked(Wait))
	w.lose("b", 5*time.Minute)
	w.passed(w.asked(Wait))
	assert.Equal(t, family+"2", w.serving())
	s := w.state()
	assert.Nil(t, s.Run)
	assert.Len(t, s.Ended, 2)
}

// beside runs an operation of somebody else while a deployment of ours goes on.
func (w *world) beside(after time.Duration, f operationOf) (ours, theirs *Result) {
	w.t.Helper()
	in, other := w.in, w.in
	in.Image = image("b")
	other.Name, other.Image, other.AwaitApproval = "run 2", "", false
	together(w.clock, func(clock clock.Clock) { ours = Deploy(w.ctx, w.clients(), clock, in) },
		after, func(clock clock.Clock) { theirs = f(w.ctx, w.clients(), clock, other) })
	require.NotNil(w.t, ours)
	require.NotNil(w.t, theirs)
	return ours, theirs
}

func TestWhileARunDeploysOthersCanStopItAnswerItAndLookOn(t *testing.T) {
	paused := func(w *world) { w.in.Spec.PauseAt, w.in.AwaitApproval = []string{"post_scale_up"}, true }
	for name, c := range map[string]struct {
		arrange func(*world)
		do      operationOf
		code    string // of our run
		serving string
		call    string // the one write of the other
	}{
		"rollback": {func(*world) {}, Rollback, deployment.RolledBack.Name, family + "1", "ecs:StopServiceDeployment"},
		"approve":  {paused, Approve, "", family + "2", "ecs:ContinueServiceDeployment"},
		"reject":   {paused, Reject, deployment.RolledBack.Name, family + "1", "ecs:ContinueServiceDeployment"},
		"wait":     {func(*world) {}, Wait, "", family + "2", ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "canary")
			w.deployed("a")
			c.arrange(w)
			from := len(w.aws.Calls())
			ours, theirs := w.beside(4*time.Minute, c.do)
			assert.Equal(t, c.code, ours.Stage.Code, ours.Stage.Cause)
			w.passed(theirs)
			assert.Equal(t, c.serving, w.serving())
			calls := w.aws.Calls()[from:]
			assert.Equal(t, 1, count(calls, "ecs:UpdateService"))
			if c.call != "" {
				assert.Equal(t, 1, count(calls, c.call))
			}
			s := w.state()
			require.Len(t, s.Ended, 2)
			assert.Equal(t, "run 1", s.Ended[1].By, "who deployed records the end")
			assert.Nil(t, s.Run)
			assert.Nil(t, s.Holder)
		})
	}
}

func TestWhoLooksOnStopsNothing(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.aws.ECS.Behave(family+"2",
		fakeaws.Behaviour{NoCapacity: "(service x) was unable to place a task. Reason: Capacity is unavailable at this time.",
			Alone: &fakeaws.Behaviour{}})
	from := len(w.aws.Calls())
	ours, theirs := w.beside(time.Minute, Wait)
	w.code(t, deployment.NoCapacity, ours)
	w.code(t, deployment.RolledBack, theirs)
	assert.Equal(t, 1, count(w.aws.Calls()[from:], "ecs:StopServiceDeployment"), "it is ended by the run that began it")
	assert.Equal(t, family+"1", w.serving())
}

func TestBesideARunThatHasNotBegunADeploymentTheLockCounts(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	s := w.state()
	s.Token++
	s.Holder = &journal.Holder{Name: "run 9", Until: w.clock.Now().Add(time.Hour)}
	content, err := json.Marshal(s)
	require.NoError(t, err)
	w.aws.Objects.Set(journalAt+"staging/"+service+".json", string(content))
	w.in.LockWait = -1
	for _, f := range []operationOf{Rollback, Approve, Reject, Wait} {
		w.code(t, journal.Locked, w.asked(f))
	}
	w.aws.Objects.Set(journalAt+"staging/"+service+".json", "{")
	for _, f := range []operationOf{Rollback, Approve, Reject, Wait} {
		w.code(t, journal.JournalFailed, w.asked(f))
	}
}

func TestALostRunIsResumedByTheSameDeploy(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	w.lose("b", 5*time.Minute)
	require.NotNil(t, w.state().Run)
	from := len(w.aws.Calls())
	result := w.deployed("b")
	assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"))
	assert.True(t, result.Outcome.Adopted)
	assert.Contains(t, warnings(result), Resumed.Name)
}

func TestALostRunThatWasRolledBackMeanwhileIsReportedAndNotRepeated(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.clock.At(6*time.Minute, func() { w.aws.ECS.SetAlarm(service + "-5xx") })
	w.lose("b", 3*time.Minute)
	for range 100 {
		require.NoError(t, w.clock.Sleep(w.ctx, 10*time.Second))
	}
	from := len(w.aws.Calls())
	result := w.deploy("b")
	w.code(t, deployment.RolledBack, result)
	assert.Zero(t, count(w.aws.Calls()[from:], "ecs:UpdateService"))
	assert.Nil(t, w.state().Run)
}

func TestAnotherVersionAfterALostRun(t *testing.T) {
	for policy, stops := range map[deployment.InFlight]int{"": 0, deployment.Wait: 0, deployment.Undo: 1, deployment.Supersede: 0} {
		w := newWorld(t, "blue_green")
		w.deployed("a")
		w.lose("b", 3*time.Minute)
		w.in.InFlight = policy
		from := len(w.aws.Calls())
		w.deployed("c")
		assert.Equal(t, family+"3", w.serving(), policy)
		assert.Equal(t, stops, count(w.aws.Calls()[from:], "ecs:StopServiceDeployment"), policy)
		assert.Equal(t, 1, count(w.aws.Calls()[from:], "ecs:UpdateService"), policy)
	}
}

func TestSomebodyElsesDeploymentIsLeftAlone(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.deployed("b")
	_, err := w.aws.ECS.UpdateService(w.ctx, &ecs.UpdateServiceInput{Cluster: aws.String(cluster), Service: aws.String(service),
		TaskDefinition: aws.String(family + "1")})
	require.NoError(t, err)
	w.code(t, deployment.Busy, w.deploy("c"))
	w.in.InFlight = deployment.Supersede
	w.deployed("c")
}

func TestOneDeployerAtATime(t *testing.T) {
	w := newWorld(t, "canary")
	w.deployed("a")
	other := w.in
	other.Name, other.Image, other.LockWait = "run 2", image("c"), -1
	var second *Result
	w.clock.At(4*time.Minute, func() {
		if second == nil {
			second = Deploy(w.ctx, w.clients(), w.clock, other)
		}
	})
	w.deployed("b")
	require.NotNil(t, second)
	w.code(t, journal.Locked, second)
	assert.Contains(t, second.Stage.Cause, "run 1 deploys service "+service)
	assert.Equal(t, family+"2", w.serving())
}

func TestALoserOfTheLockWritesNothingMore(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.aws.ECS.Behave(family+"2", fakeaws.Behaviour{Failure: crash(), FailAfter: 3 * time.Minute})
	// Another run finds the lock over, as this one was asleep, and takes it.
	w.clock.At(2*time.Minute, func() {
		s := w.state()
		s.Token++
		s.Holder = &journal.Holder{Name: "run 2", Until: w.clock.Now().Add(time.Hour)}
		content, err := json.Marshal(s)
		require.NoError(t, err)
		w.aws.Objects.Set(journalAt+"staging/"+service+".json", string(content))
	})
	from := len(w.aws.Calls())
	result := w.deploy("b")
	w.code(t, deployment.LockLost, result)
	assert.Zero(t, count(w.aws.Calls()[from:], "ecs:StopServiceDeployment"))
	assert.Equal(t, "run 2", w.state().Holder.Name)
}

func TestWhoReadAnOldJournalDecidesAnew(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	first := true
	clients := w.clients()
	// Between our reading of the journal and our first write, somebody else deploys the same.
	clients.Logs = &interrupted{Logs: clients.Logs, first: func() {
		if first {
			first = false
			other := w.in
			other.Name, other.Image = "run 2", image("b")
			w.passed(Deploy(w.ctx, w.clients(), w.clock, other))
		}
	}}
	w.in.Image = image("b")
	from := len(w.aws.Calls())
	w.passed(Deploy(w.ctx, clients, w.clock, w.in))
	calls := w.aws.Calls()[from:]
	assert.Equal(t, 1, count(calls, "ecs:UpdateService"))
	assert.Equal(t, 1, count(calls, "ecs:RegisterTaskDefinition"))
}

type interrupted struct {
	Logs
	first func()
}

func (i *interrupted) DescribeLogGroups(ctx context.Context, in *logs.DescribeLogGroupsInput) (*logs.DescribeLogGroupsOutput, error) {
	i.first()
	return i.Logs.DescribeLogGroups(ctx, in)
}

func TestProductionTakesWhatStagingHasRun(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.in.Environment = rollout.Production
	result := w.deploy("b")
	w.code(t, NotPromoted, result)
	assert.Zero(t, count(w.aws.Calls(), "ecs:UpdateService"))
	w.deployed("a")
	w.in.Override = "hotfix agreed with the owner"
	result = w.deployed("b")
	assert.Contains(t, warnings(result), "hotfix agreed")
	content, _ := w.aws.Objects.Content(journalAt + "production/openstack-rca-service.json")
	assert.Contains(t, content, "hotfix agreed with the owner")
}

func TestWhatIsRefusedBeforeAnythingIsWritten(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(*world)
		code    verdict.Code
	}{
		"another account": {func(w *world) { w.aws.Identity.Account = "999999999999" }, account.WrongAccount},
		"no credentials": {func(w *world) { w.aws.Fail("sts:GetCallerIdentity", apiError("ExpiredToken")) },
			account.CredentialsInvalid},
		"the sandbox":           {func(w *world) { w.in.Environment = rollout.Sandbox }, NoSandbox},
		"no journal":            {func(w *world) { w.in.Journal = "" }, journal.JournalFailed},
		"a journal that is not": {func(w *world) { w.in.Journal = "ftp://x" }, journal.JournalFailed},
		"a damaged journal":     {func(w *world) { w.aws.Objects.Set(journalAt+"staging/"+service+".json", "{") }, journal.JournalFailed},
		"a newer journal": {func(w *world) { w.aws.Objects.Set(journalAt+"staging/"+service+".json", `{"schema": 2}`) },
			journal.JournalFailed},
		"a store without conditions":   {func(w *world) { w.aws.Objects.IgnoreConditions = true }, journal.JournalFailed},
		"writes that always meet one":  {func(w *world) { w.aws.Objects.Conflicts = 1000 }, journal.JournalFailed},
		"a store that does not answer": {func(w *world) { w.aws.Fail("s3:GetObject", errors.New("connection refused")) }, journal.JournalFailed},
		"no right to look":             {func(w *world) { w.aws.Fail("elb:DescribeTargetGroups", apiError("AccessDenied")) }, ensure.LookFailed},
		"no valid plan":                {func(w *world) { w.in.Spec.Memory = 3 }, rollout.SizeInvalid},
		"cancelled":                    {func(w *world) { ctx, cancel := context.WithCancel(w.ctx); cancel(); w.ctx = ctx }, rollout.Cancelled},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, "rolling")
			c.arrange(w)
			w.code(t, c.code, w.deploy("a"))
			for _, call := range fakeaws.Writes(w.aws.Calls()) {
				assert.Equal(t, "s3:PutObject", call)
			}
		})
	}
}

// S3 refuses one of two conditional writes that are in flight at once, and the same write again is right.
func TestWritesOfTheJournalThatMeetOthersAreSentAgain(t *testing.T) {
	w := newWorld(t, "rolling")
	for n, conflicts := range map[string]int{"a": 1, "b": 7} {
		w.aws.Objects.Conflicts = conflicts
		w.deployed(n)
		assert.Zero(t, w.aws.Objects.Conflicts)
	}
	assert.Nil(t, w.state().Holder)
}

func TestAPlanShowsTheDifferenceAndWritesNothing(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	from := len(w.aws.Calls())
	result := w.passed(Plan(w.ctx, w.clients(), w.clock, w.in))
	assert.False(t, result.Changed)
	w.in.Image = image("b")
	w.in.Spec.Max = 9
	result = w.passed(Plan(w.ctx, w.clients(), w.clock, w.in))
	assert.True(t, result.Changed)
	assert.Contains(t, result.Text, `MaxCapacity: 6 -> 9`)
	assert.Contains(t, result.Text, strings.Repeat("b", 64))
	assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	w.in.Spec.Memory = 3
	w.code(t, rollout.SizeInvalid, Plan(w.ctx, w.clients(), w.clock, w.in))
}

func TestTheStatusWritesNothingAndTellsAll(t *testing.T) {
	w := newWorld(t, "canary")
	w.code(t, deployment.TargetMissing, w.asked(Status))
	w.deployed("a")
	w.lose("b", 5*time.Minute)
	from := len(w.aws.Calls())
	result := w.passed(w.asked(Status))
	text := evidenceOf(result)
	for _, want := range []string{service + " is ACTIVE", "2 of 2", "deployment under way: IN_PROGRESS", "10 % of the traffic",
		"deployer: run 1 since", "run in progress: deploy",
		"image: " + image("b"), "it replaces: arn:aws:ecs:ap-south-1:111122223333:task-definition/openstack-rca-task-staging:1", "healthy"} {
		assert.Contains(t, text, want)
	}
	assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	// The short form of a report has no evidence but gates; this is what is asked for.
	var now string
	for _, block := range result.Stage.Blocks {
		if block.Summary && block.Answer && block.Title == "Now" {
			now = fmt.Sprint(block.Table.Rows)
		}
	}
	for _, want := range []string{"deployment under way IN_PROGRESS", "deployer run 1", "the lock lasts until", "run in progress deploy"} {
		assert.Contains(t, now, want)
	}
	require.NoError(t, w.clock.Sleep(w.ctx, 3*time.Minute))
	text = evidenceOf(w.passed(w.asked(Status)))
	assert.Contains(t, text, "interrupted run: deploy", "once its lock has expired")
	assert.NotContains(t, text, "deployer:")
}

// What is out of order is what is asked for, and no fault of the status.
func TestTheStatusOfASickServiceIsTold(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.aws.ECS.Behave(family+"1", fakeaws.Behaviour{Sick: true})
	result := w.passed(w.asked(Status))
	assert.Contains(t, evidenceOf(result), "target 10.0.0.1:7051: unhealthy")
	run := &verdict.Run{Stages: []verdict.Stage{result.Stage}}
	run.Judge()
	assert.Equal(t, verdict.Pass, run.Verdict, run.Cause)
}

func TestOldTaskDefinitionsArePrunedAndAllIsDestroyed(t *testing.T) {
	w := newWorld(t, "rolling")
	for _, n := range []string{"a", "b", "c", "d", "e"} {
		w.deployed(n)
	}
	prune := func(keep int) *Result {
		return w.asked(func(ctx context.Context, c Clients, k clock.Clock, in Input) *Result {
			return Prune(ctx, c, k, in, keep)
		})
	}
	none := prune(0)
	w.code(t, ensure.PruneFailed, none)
	assert.Contains(t, none.Stage.Next, "--keep", "AWS was asked nothing")
	w.passed(prune(2))
	out, err := w.aws.ECS.ListTaskDefinitions(w.ctx, &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String("openstack-rca-task-staging"),
		Status: "ACTIVE"})
	require.NoError(t, err)
	assert.Len(t, out.TaskDefinitionArns, 2)
	w.passed(w.asked(Rollback))

	destroy := func(confirm string) *Result {
		return w.asked(func(ctx context.Context, c Clients, k clock.Clock, in Input) *Result {
			return Destroy(ctx, c, k, in, confirm, true)
		})
	}
	from := len(w.aws.Calls())
	w.code(t, ensure.DestroyRefused, destroy("yes"))
	assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	w.passed(destroy(service))
	w.code(t, deployment.TargetMissing, w.asked(Status))
	w.deployed("f")
}

func TestWhatShouldBeKnownIsAWarning(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.aws.ECS.SetAlarm(service + "-latency")
	w.in.Smoke = None
	w.gets = nil
	result := w.deployed("b")
	assert.Contains(t, warnings(result), AlarmPreexisting.Name+": "+service+"-latency")
	assert.Contains(t, warnings(result), SmokeOff.Name)
	assert.Empty(t, w.gets)
}

func TestADeployThatCannotBeRecordedIsStillTrue(t *testing.T) {
	w := newWorld(t, "rolling")
	w.deployed("a")
	w.clock.At(60*time.Second, func() {
		for range 50 {
			w.aws.Fail("s3:PutObject", errors.New("no route"))
		}
	})
	result := w.deployed("b")
	assert.Contains(t, warnings(result), NotRecorded.Name)
}

// What ran before a service was destroyed cannot be put back: it is deregistered.
func TestNothingIsPutBackFromBeforeADestroy(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.deployed("a")
	w.deployed("b")
	w.passed(Destroy(w.ctx, w.clients(), w.clock, w.in, service, false))
	s := w.state()
	assert.Equal(t, journal.Destroy, s.Ended[len(s.Ended)-1].Kind)
	w.passed(Destroy(w.ctx, w.clients(), w.clock, w.in, service, false))
	assert.Len(t, w.state().Ended, len(s.Ended), "there was nothing to destroy")

	w.deployed("c")
	w.code(t, NoRelease, Rollback(w.ctx, w.clients(), w.clock, w.in))
	w.deployed("d")
	w.passed(Rollback(w.ctx, w.clients(), w.clock, w.in))
	assert.Equal(t, family+"3", w.serving())
}
