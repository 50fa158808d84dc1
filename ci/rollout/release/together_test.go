package release

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/rollout/oneoff"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// shop is a world with services of somebody else: web, and further ones with the same image. A migration
// goes before them.
func shop(t *testing.T, further ...string) *world {
	t.Helper()
	w := theirs(t, theirTask(), nil)
	for _, name := range further {
		task := theirTask()
		task.Family = aws.String(name)
		out, err := w.aws.ECS.RegisterTaskDefinition(w.ctx, task)
		require.NoError(t, err)
		_, err = w.aws.ECS.CreateService(w.ctx, &ecs.CreateServiceInput{
			Cluster: aws.String(theirCluster), ServiceName: aws.String(name), TaskDefinition: out.TaskDefinition.TaskDefinitionArn,
			DesiredCount: aws.Int32(1), LaunchType: types.LaunchTypeFargate,
			NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
				Subnets: []string{"subnet-0123456789abcdef0"}}},
		})
		require.NoError(t, err)
		w.in.Spec.Services = append(w.in.Spec.Services, spec.Service{Name: name})
	}
	require.NoError(t, w.clock.Sleep(w.ctx, 3600e9))
	w.aws.ECS.Tag(*theirTask().ContainerDefinitions[0].Image, "sha256:"+strings.Repeat("9", 64))
	w.in.Spec.App.Repository = accountID + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system"
	w.in.Spec.Tasks = []spec.Task{{Name: "migrate", Command: []string{"python", "migrate.py"}}}
	return w
}

func (w *world) serves(name string) string {
	arn := w.aws.ECS.Serving(theirCluster, name)
	return arn[strings.LastIndexByte(arn, '/')+1:]
}

func (w *world) groupState() journal.State {
	content, exists := w.aws.Objects.Content(journalAt + "staging/web.services.json")
	var s journal.State
	if exists {
		require.NoError(w.t, json.Unmarshal([]byte(content), &s))
	}
	return s
}

func (w *world) settled(t *testing.T, web, worker string) {
	t.Helper()
	assert.Equal(t, web, w.serves("web"))
	assert.Equal(t, worker, w.serves("worker"))
	s := w.groupState()
	assert.Nil(t, s.Run)
	assert.Nil(t, s.Holder)
	assert.Empty(t, w.aws.ECS.Alone(theirCluster))
}

func task(name string) string { return "arn:aws:ecs:ap-south-1:111122223333:task-definition/" + name }

func TestServicesAreDeployedTogetherAfterTheirMigration(t *testing.T) {
	w := shop(t, "worker")
	from := len(w.aws.Calls())
	result := w.deployed("a")
	w.settled(t, "web:2", "worker:2")
	assert.Equal(t, [][]string{{"python", "migrate.py"}}, w.aws.ECS.Commands())
	calls := writes(w.aws.Calls()[from:])
	// Two trials and the migration come before the first update.
	first := strings.Index(strings.Join(calls, " "), "ecs:UpdateService")
	assert.Equal(t, 3, strings.Count(strings.Join(calls, " ")[:first], "ecs:RunTask"), calls)
	assert.Contains(t, evidenceOf(result), "task migrate: exit code 0 after")
	assert.Contains(t, evidenceOf(result), "worker: running tasks: 1 of 1")
	_, ran := w.aws.Objects.Content(journalAt + "staging/ran/" + strings.Repeat("a", 64) + ".json")
	assert.True(t, ran)

	from = len(w.aws.Calls())
	again := w.deployed("a")
	assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	assert.False(t, again.Changed)
	plan := Plan(w.ctx, w.clients(), w.clock, w.in)
	assert.False(t, plan.Changed, plan.Text)
	assert.Contains(t, plan.Text, "Nothing would change, so these tasks would not run")
	w.in.Image = image("b")
	plan = Plan(w.ctx, w.clients(), w.clock, w.in)
	assert.True(t, plan.Changed)
	assert.Contains(t, plan.Text, `> run task "migrate" as service web, at most 10m0s: python migrate.py`)
	assert.Contains(t, plan.Text, "# Service worker")
	w.passed(w.asked(Status))

	w.deployed("b")
	w.settled(t, "web:3", "worker:3")
	assert.Len(t, w.aws.ECS.Commands(), 2)
}

// Whatever goes wrong, nothing is half deployed.
func TestIfOneFailsAllServeWhatServedBefore(t *testing.T) {
	crashes := fakeaws.Behaviour{FailAfter: 15e9, Failure: crash(), Log: []string{"Traceback", "KeyError"}}
	later := crashes
	later.Alone = &fakeaws.Behaviour{}
	for name, test := range map[string]struct {
		of       string
		does     fakeaws.Behaviour
		after    bool
		code     verdict.Code
		cause    string
		commands int
		updates  int
	}{
		"the migration fails": {of: "web:2", does: fakeaws.Behaviour{Command: &fakeaws.Command{Exit: 3}, Log: []string{"no such table"}},
			code: oneoff.Failed, cause: "exit code 3", commands: 1},
		"the migration cannot start": {of: "web:2", does: fakeaws.Behaviour{Command: &fakeaws.Command{Unstarted: "CannotPullContainerError: 403"}},
			code: oneoff.NotStarted, cause: "CannotPullContainerError: 403 -> check that the digest exists", commands: 1},
		"the migration takes too long": {of: "web:2", does: fakeaws.Behaviour{Command: &fakeaws.Command{After: time.Hour}},
			code: oneoff.TimedOut, cause: "10m0s", commands: 1},
		"a trial fails":         {of: "worker:2", does: crashes, code: trial.Failed, cause: "worker: "},
		"the worker fails":      {of: "worker:2", does: later, code: deployment.RolledBack, cause: "worker: ", commands: 1, updates: 3},
		"the web service fails": {of: "web:2", does: later, code: deployment.RolledBack, cause: "web: ", commands: 1, updates: 3},
		"the worker fails long after": {of: "worker:2", does: fakeaws.Behaviour{NeverHealthy: true, Alone: &fakeaws.Behaviour{}},
			code: deployment.NeverHealthy, cause: "worker: ", commands: 1, updates: 3},
		"the worker, which goes last": {of: "worker:2", does: later, after: true, code: deployment.RolledBack, cause: "worker: ", commands: 1,
			updates: 3},
		"web, and the worker goes last": {of: "web:2", does: later, after: true, code: deployment.RolledBack, cause: "web: ", commands: 1,
			updates: 1},
	} {
		t.Run(name, func(t *testing.T) {
			w := shop(t, "worker")
			if test.after {
				w.in.Spec.Services[0].After = []string{"web"}
			}
			w.aws.ECS.Behave(task(test.of), test.does)
			from := len(w.aws.Calls())
			result := w.deploy("a")
			w.code(t, test.code, result)
			assert.Contains(t, result.Stage.Cause, test.cause)
			w.settled(t, "web:1", "worker:1")
			assert.Len(t, w.aws.ECS.Commands(), test.commands)
			assert.Equal(t, test.updates, count(w.aws.Calls()[from:], "ecs:UpdateService"))
			_, ran := w.aws.Objects.Content(journalAt + "staging/ran/" + strings.Repeat("a", 64) + ".json")
			assert.False(t, ran, "production does not take it")

			w.aws.ECS.Behave(task(test.of), fakeaws.Behaviour{})
			w.deployed("a")
			w.settled(t, "web:2", "worker:2")
			assert.Len(t, w.aws.ECS.Commands(), test.commands+1, "the next deploy migrates again")
		})
	}
}

// A run that is killed at any of its calls, and repeated, ends in the same state, and migrates once.
func TestAKilledDeployOfSeveralServicesMigratesOnce(t *testing.T) {
	for name, fails := range map[string]bool{"it works": false, "the worker fails": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			killedAnywhere(t, fails)
		})
	}
}

func killedAnywhere(t *testing.T, fails bool) {
	end := func(cut int, after bool) (*world, int) {
		w := shop(t, "worker")
		if fails {
			w.in.Spec.Services[0].After = []string{"web"}
			w.aws.ECS.Behave(task("worker:2"), fakeaws.Behaviour{FailAfter: 15e9, Failure: crash(), Alone: &fakeaws.Behaviour{}})
		}
		from := len(w.aws.Calls())
		w.aws.Cut(cut, after)
		w.deploy("a")
		w.aws.Cut(0, false)
		calls := len(w.aws.Calls()) - from
		if s := w.groupState(); cut > 0 && (s.Run != nil || len(s.Ended) == 0) { // else its end is on record
			w.in.Name = "run 2"
			result := w.deploy("a")
			require.Equal(t, !fails, result.Stage.Verdict == verdict.Pass, "call %d, carried out=%v: %s %s", cut, after, result.Stage.Code,
				result.Stage.Cause)
		}
		return w, calls
	}
	web, worker := "web:2", "worker:2"
	if fails {
		web, worker = "web:1", "worker:1"
	}
	_, total := end(0, false)
	for _, cut := range cuts(total) {
		for _, after := range []bool{false, true} {
			w, _ := end(cut, after)
			require.Len(t, w.aws.ECS.Commands(), 1, "call %d of %d, carried out=%v", cut, total, after)
			w.settled(t, web, worker)
			require.False(t, t.Failed(), "call %d of %d, carried out=%v", cut, total, after)
		}
	}
	t.Logf("%d calls, killed at %d of them, before and after it was carried out", total, len(cuts(total)))
}

func TestThreeServicesTakeAsLongAsOne(t *testing.T) {
	took := func(further ...string) (time.Duration, float64) {
		w := shop(t, further...)
		w.in.Spec.Tasks = nil
		from, start := len(w.aws.Calls()), w.clock.Now()
		w.deployed("a")
		calls := w.aws.Calls()[from:]
		d := w.clock.Now().Sub(start)
		return d, float64(len(calls)-beforeWaiting(calls)) / d.Seconds() / float64(1+len(further))
	}
	one, _ := took()
	three, rate := took("worker", "mailer")
	t.Logf("one: %s, three: %s, %.2f calls a second and service", one, three, rate)
	assert.LessOrEqual(t, three.Seconds(), 1.2*one.Seconds())
	assert.Less(t, rate, 1.0)
}

func TestSeveralServicesAreRolledBackTogether(t *testing.T) {
	w := shop(t, "worker")
	w.deployed("a")
	w.deployed("b")
	w.settled(t, "web:3", "worker:3")
	w.passed(w.asked(Rollback))
	w.settled(t, "web:2", "worker:2")
	w.passed(w.asked(Rollback))
	w.settled(t, "web:1", "worker:1")
	w.code(t, NoRelease, w.asked(Rollback))
	assert.Len(t, w.aws.ECS.Commands(), 2, "a rollback migrates nothing")
}

// A rollback of several services that is killed is finished by the next, which does not go back twice.
func TestAKilledRollbackOfSeveralServicesIsFinished(t *testing.T) {
	end := func(cut int, after bool) (*world, int) {
		w := shop(t, "worker")
		w.deployed("a")
		w.deployed("b")
		from := len(w.aws.Calls())
		w.aws.Cut(cut, after)
		w.asked(Rollback)
		w.aws.Cut(0, false)
		return w, len(w.aws.Calls()) - from
	}
	_, total := end(0, false)
	for cut := 1; cut < total-1; cut += 3 * step { // the last calls release locks
		w, _ := end(cut, cut%2 == 0)
		if w.groupState().Run == nil && w.serves("web") == "web:2" {
			continue // it was done
		}
		w.in.Name = "run 2"
		w.passed(w.asked(Rollback))
		w.settled(t, "web:2", "worker:2")
		require.False(t, t.Failed(), "call %d of %d", cut, total)
	}
}

// Somebody else rolls back while the deploy goes on: all of them go back.
func TestARollbackBesideADeployOfSeveralServices(t *testing.T) {
	w := shop(t, "worker")
	w.in.Image = image("a")
	var deployed, back *Result
	together(w.clock, func(c clock.Clock) {
		deployed = Deploy(w.ctx, w.clients(), c, w.in)
	}, 110*time.Second, func(c clock.Clock) {
		in := w.in
		in.Name, in.Image = "somebody", ""
		back = Rollback(w.ctx, w.clients(), c, in)
	})
	w.passed(back)
	require.NotEqual(t, verdict.Pass, deployed.Stage.Verdict)
	w.settled(t, "web:1", "worker:1")
}

func TestWhatATaskOfAnEarlierDeployMeans(t *testing.T) {
	w := shop(t, "worker")
	w.in.Spec.Tasks[0].Timeout = time.Minute
	w.aws.ECS.Behave(task("web:2"), fakeaws.Behaviour{Command: &fakeaws.Command{After: time.Hour}})
	w.lose("a", 70*time.Second) // it runs on
	require.Equal(t, []string{"task/web"}, w.aws.ECS.Alone(theirCluster))
	result := w.deploy("b")
	w.code(t, oneoff.Busy, result)
	assert.Len(t, w.aws.ECS.Commands(), 1)
	assert.Equal(t, "web:1", w.serves("web"))
}

// ECS forgets a stopped task; a run that comes later cannot know how it ended.
func TestATaskThatECSForgotIsUnknown(t *testing.T) {
	w := shop(t, "worker")
	w.lose("a", 60*time.Second)
	require.Len(t, w.aws.ECS.Commands(), 1)
	require.NoError(t, w.clock.Sleep(w.ctx, 2*time.Hour))
	w.aws.ECS.Forget()
	w.code(t, oneoff.Unknown, w.deploy("a"))
	assert.Len(t, w.aws.ECS.Commands(), 1)
	w.deployed("a")
	assert.Len(t, w.aws.ECS.Commands(), 2)
	w.settled(t, "web:2", "worker:2")
}

func TestNamesThatDoNotFitTogetherAreRefused(t *testing.T) {
	for name, change := range map[string]func(*spec.Spec){
		"is there twice":            func(s *spec.Spec) { s.Services = append(s.Services, spec.Service{Name: "web"}) },
		"no such service":           func(s *spec.Spec) { s.Services[0].After = []string{"wab"} },
		"waits for itself":          func(s *spec.Spec) { s.Services[0].After = []string{"worker"} },
		"is no name of its own":     func(s *spec.Spec) { s.Tasks = append(s.Tasks, s.Tasks[0]) },
		"service worker is adopted": func(s *spec.Spec) { s.Services[0].NoPort = true },
		"has no command":            func(s *spec.Spec) { s.Tasks[0].Command = nil },
		"runs as service \"none\"":  func(s *spec.Spec) { s.Tasks[0].Service = "none" },
	} {
		w := shop(t, "worker")
		change(&w.in.Spec)
		from := len(w.aws.Calls())
		result := w.deploy("a")
		w.code(t, rollout.PlanInvalid, result)
		assert.Contains(t, result.Stage.Cause, name)
		assert.Len(t, w.aws.Calls(), from)
	}
}

// Services of ours are made together too.
func TestServicesOfOursAreMadeTogether(t *testing.T) {
	w := newWorld(t, "blue_green")
	w.in.Spec.Services = []spec.Service{{Name: "api"}, {Name: "worker", NoPort: true, Command: []string{"python", "worker.py"}, Memory: 4096,
		Desired: 1}}
	w.in.Spec.Tasks = []spec.Task{{Name: "migrate", Command: []string{"python", "migrate.py"}, Service: "worker"}}
	w.deployed("a")
	assert.Equal(t, family+"1", w.serving())
	assert.Equal(t, task("worker:1"), w.aws.ECS.Serving(cluster, "worker"))
	worker := w.definition("worker:1")
	app := worker.ContainerDefinitions[len(worker.ContainerDefinitions)-1]
	assert.Equal(t, []string{"python", "worker.py"}, app.Command)
	assert.Empty(t, app.PortMappings)
	assert.Nil(t, app.HealthCheck)
	assert.Equal(t, "4096", *worker.Memory)
	assert.Equal(t, 2, count(w.aws.Calls(), "elb:CreateLoadBalancer"), "none for the worker")
	from := len(w.aws.Calls())
	w.deployed("a")
	assert.Empty(t, fakeaws.Writes(w.aws.Calls()[from:]))
	w.deployed("b")
	w.passed(w.asked(Rollback))
	assert.Equal(t, family+"1", w.serving())
	assert.Equal(t, task("worker:1"), w.aws.ECS.Serving(cluster, "worker"))
	w.passed(Destroy(w.ctx, w.clients(), w.clock, w.in, service, true))
	w.code(t, NoRelease, w.asked(Rollback))
}

// A pause of one of the services is answered: then all of them serve the new version, or the old one.
func TestAPauseOfOneOfSeveralServicesIsAnswered(t *testing.T) {
	for answer, serves := range map[string]string{"approve": "2", "reject": "1", "wait": "2"} {
		t.Run(answer, func(t *testing.T) {
			w := newWorld(t, "blue_green")
			w.in.Spec.App.Repository = accountID + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system"
			w.in.Spec.Services = []spec.Service{{Name: "worker", NoPort: true}}
			w.deployed("a")
			if answer != "wait" {
				w.in.Spec.PauseAt = []string{"post_production_traffic_shift"}
				w.code(t, deployment.AwaitingApproval, w.deploy("b"))
				assert.Equal(t, task("worker:2"), w.aws.ECS.Serving(cluster, "worker"), "it has no traffic to pause at")
			} else {
				w.lose("b", 150*time.Second)
			}
			w.in.Image = ""
			switch answer {
			case "approve":
				w.passed(Approve(w.ctx, w.clients(), w.clock, w.in))
			case "reject":
				w.passed(Reject(w.ctx, w.clients(), w.clock, w.in))
			default:
				require.NoError(t, w.clock.Sleep(w.ctx, 3*time.Minute))
				w.passed(Wait(w.ctx, w.clients(), w.clock, w.in))
			}
			assert.Equal(t, family+serves, w.serving())
			assert.Equal(t, task("worker:"+serves), w.aws.ECS.Serving(cluster, "worker"))
			content, _ := w.aws.Objects.Content(journalAt + "staging/" + service + ".services.json")
			assert.NotContains(t, content, `"run": {`, "its end is on record")
		})
	}
}
