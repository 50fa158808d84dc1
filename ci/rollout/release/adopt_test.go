package release

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	theirCluster = "shop"
	theirService = "web"
	theirFamily  = "arn:aws:ecs:ap-south-1:111122223333:task-definition/web:"
)

// theirTask is a task definition as somebody else made it.
func theirTask() *ecs.RegisterTaskDefinitionInput {
	return &ecs.RegisterTaskDefinitionInput{
		Family: aws.String("web"), NetworkMode: types.NetworkModeAwsvpc, Cpu: aws.String("512"), Memory: aws.String("1024"),
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		ExecutionRoleArn:        aws.String("arn:aws:iam::111122223333:role/their-execution"),
		ContainerDefinitions: []types.ContainerDefinition{
			{
				Name: aws.String("web"), Image: aws.String(accountID + ".dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system:v1"),
				Essential: aws.Bool(true), PortMappings: []types.PortMapping{{ContainerPort: aws.Int32(8080)}},
				Environment: []types.KeyValuePair{{Name: aws.String("EMPTY"), Value: aws.String("")}},
				Secrets: []types.Secret{{Name: aws.String("DB"),
					ValueFrom: aws.String("arn:aws:secretsmanager:ap-south-1:111122223333:secret:db-AbCdEf:password::")}},
				HealthCheck: &types.HealthCheck{Command: []string{"CMD", "true"}, StartPeriod: aws.Int32(30)},
				LogConfiguration: &types.LogConfiguration{LogDriver: types.LogDriverAwslogs,
					Options: map[string]string{"awslogs-group": "/their/logs", "awslogs-stream-prefix": "web"}},
			},
			{Name: aws.String("envoy"), Image: aws.String("public.ecr.aws/envoy:v1.30"), Essential: aws.Bool(true)},
		},
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("shop")}},
	}
}

// theirs is a world in which somebody else runs a service.
func theirs(t *testing.T, task *ecs.RegisterTaskDefinitionInput, change func(*ecs.CreateServiceInput)) *world {
	t.Helper()
	w := newWorld(t, "rolling")
	clients := w.clients()
	_, err := clients.ECS.CreateCluster(w.ctx, &ecs.CreateClusterInput{ClusterName: aws.String(theirCluster)})
	require.NoError(t, err)
	out, err := clients.ECS.RegisterTaskDefinition(w.ctx, task)
	require.NoError(t, err)
	in := &ecs.CreateServiceInput{
		Cluster: aws.String(theirCluster), ServiceName: aws.String(theirService), TaskDefinition: out.TaskDefinition.TaskDefinitionArn,
		DesiredCount: aws.Int32(2), LaunchType: types.LaunchTypeFargate,
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: []string{"subnet-0123456789abcdef0"}, SecurityGroups: []string{"sg-0123456789abcdef0"}}},
	}
	if change != nil {
		change(in)
	}
	_, err = clients.ECS.CreateService(w.ctx, in)
	require.NoError(t, err)
	require.NoError(t, w.clock.Sleep(w.ctx, 3600e9))
	r := &w.in.Spec
	r.Adopt, r.Cluster, r.Service = spec.AdoptService, theirCluster, theirService
	r.ExecutionRole, r.TaskRole, r.InfrastructureRole, r.VPC, r.Subnets, r.SecurityGroups = "", "", "", "", nil, nil
	return w
}

func (w *world) theirService() types.Service {
	out, err := w.aws.ECS.DescribeServices(w.ctx, &ecs.DescribeServicesInput{Cluster: aws.String(theirCluster), Services: []string{theirService}})
	require.NoError(w.t, err)
	return out.Services[0]
}

func (w *world) definition(name string) *ecs.RegisterTaskDefinitionInput {
	out, err := w.aws.ECS.DescribeTaskDefinition(w.ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(name)})
	require.NoError(w.t, err)
	return rollout.TakeOver(out.TaskDefinition, out.Tags)
}

// writes are the calls that change something.
func writes(calls []string) []string {
	var all []string
	for _, call := range calls {
		_, operation, _ := strings.Cut(call, ":")
		for _, reads := range []string{"Describe", "List", "Get"} {
			if strings.HasPrefix(operation, reads) {
				operation = ""
			}
		}
		if operation != "" && !strings.HasPrefix(call, "s3:") && !strings.HasPrefix(call, "sts:") {
			all = append(all, call)
		}
	}
	return all
}

func TestAnAdoptedServiceGetsTheImageAndNothingElse(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	before, was := w.theirService(), len(w.aws.Calls())
	result := w.deployed("a")
	assert.Equal(t, theirFamily+"2", w.aws.ECS.Serving(theirCluster, theirService))
	assert.Equal(t, []string{"ecs:RegisterTaskDefinition", "ecs:RunTask", "ecs:StopTask", "ecs:UpdateService"}, writes(w.aws.Calls()[was:]))
	want := w.definition("web:1")
	want.ContainerDefinitions[0].Image = aws.String(image("a"))
	assert.Equal(t, string(wire.JSON(want)), string(wire.JSON(w.definition("web:2"))))
	after := w.theirService()
	assert.Equal(t, before.NetworkConfiguration, after.NetworkConfiguration)
	assert.Equal(t, before.DeploymentConfiguration, after.DeploymentConfiguration)
	assert.Contains(t, result.Text, `+ create task definition "web" (ours)`)
	assert.Contains(t, result.Text, `~ change ecs service "web" (adopted)`)
	assert.Contains(t, result.Text, `keep security group "sg-0123456789abcdef0" (left alone)`)

	again := w.deployed("a")
	assert.True(t, again.Outcome.Unchanged)
	plan := Plan(w.ctx, w.clients(), w.clock, w.in)
	assert.False(t, plan.Changed, plan.Text)
	assert.Equal(t, theirFamily+"2", w.aws.ECS.Serving(theirCluster, theirService))
}

// What Terraform and CloudFormation read of the service and around it is as before, but for the task
// definition; their next plan has no other difference.
func TestWhatOthersManageStaysAsItIs(t *testing.T) {
	w := theirs(t, theirTask(), func(in *ecs.CreateServiceInput) {
		in.HealthCheckGracePeriodSeconds, in.PropagateTags, in.EnableExecuteCommand = aws.Int32(77), types.PropagateTagsService, true
		in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("shop")}}
		in.DeploymentConfiguration = &types.DeploymentConfiguration{MaximumPercent: aws.Int32(150), MinimumHealthyPercent: aws.Int32(50),
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, Rollback: true}}
	})
	seen := func() (string, string) {
		service := w.theirService()
		definition := aws.ToString(service.TaskDefinition)
		service.TaskDefinition, service.Deployments, service.Events = nil, nil, nil
		service.CurrentServiceDeployment, service.CurrentServiceRevisions = nil, nil
		return string(wire.Indent(wire.Encode(&service))), definition
	}
	around := func() string {
		var dump map[string]any
		require.NoError(t, json.Unmarshal([]byte(w.aws.Dump()), &dump))
		for _, ours := range []string{"definitions", "deployments"} {
			delete(dump, ours)
		}
		delete(dump, "services") // seen has it
		return string(wire.Indent(dump))
	}
	before, old := seen()
	surroundings := around()
	w.deployed("a")
	after, made := seen()
	assert.Equal(t, before, after)
	assert.Equal(t, surroundings, around())
	assert.NotEqual(t, old, made)
	was, is := w.definition(old), w.definition(made)
	assert.NotEqual(t, was.ContainerDefinitions[0].Image, is.ContainerDefinitions[0].Image)
	is.ContainerDefinitions[0].Image = was.ContainerDefinitions[0].Image
	assert.Equal(t, string(wire.JSON(was)), string(wire.JSON(is)))
}

func TestATagThatMeansOurDigestIsKept(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	w.aws.ECS.Tag(*theirTask().ContainerDefinitions[0].Image, "sha256:"+strings.Repeat("a", 64))
	w.in.Image = image("a")
	plan := Plan(w.ctx, w.clients(), w.clock, w.in)
	require.Equal(t, verdict.Pass, plan.Stage.Verdict, plan.Stage.Cause)
	assert.False(t, plan.Changed, plan.Text)
	result := w.deployed("a")
	assert.True(t, result.Outcome.Unchanged)
	assert.Equal(t, theirFamily+"1", w.aws.ECS.Serving(theirCluster, theirService))
}

func TestAnAdoptedServiceIsRolledBackToWhatRanBefore(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	w.aws.ECS.Tag(*theirTask().ContainerDefinitions[0].Image, "sha256:"+strings.Repeat("9", 64))
	w.aws.ECS.Behave(theirFamily+"2", fakeaws.Behaviour{FailAfter: 15e9, Alone: &fakeaws.Behaviour{}, Failure: &fakeaws.Failure{
		Code: types.TaskStopCodeEssentialContainerExited, Reason: "Essential container in task exited", ExitCode: 1}})
	w.code(t, deployment.RolledBack, w.deploy("a"))
	assert.Equal(t, theirFamily+"1", w.aws.ECS.Serving(theirCluster, theirService))

	w.aws.ECS.Behave(theirFamily+"2", fakeaws.Behaviour{})
	w.deployed("a")
	assert.Equal(t, theirFamily+"2", w.aws.ECS.Serving(theirCluster, theirService), "the revision is used again")
	back := Rollback(w.ctx, w.clients(), w.clock, w.in)
	require.Equal(t, verdict.Pass, back.Stage.Verdict, back.Stage.Cause)
	assert.Equal(t, theirFamily+"1", w.aws.ECS.Serving(theirCluster, theirService))
}

func TestWhatCannotBeAdopted(t *testing.T) {
	for name, test := range map[string]struct {
		task   func(*ecs.RegisterTaskDefinitionInput)
		change func(*ecs.CreateServiceInput)
		spec   func(*spec.Spec)
		code   verdict.Code
		cause  string
	}{
		"no such service":      {spec: func(s *spec.Spec) { s.Service = "other" }, code: deployment.TargetMissing, cause: "service other"},
		"the name is none":     {spec: func(s *spec.Spec) { s.Service = "a b" }, code: rollout.NameInvalid, cause: "a b"},
		"an unknown container": {spec: func(s *spec.Spec) { s.Container = "wab" }, code: rollout.ContainerUnknown, cause: "web, envoy"},
		"two containers may be meant": {task: func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].Image = aws.String("elsewhere/web:1")
		}, code: rollout.ContainerUnknown, cause: "more than one"},
		"CodeDeploy": {change: func(in *ecs.CreateServiceInput) {
			in.DeploymentController = &types.DeploymentController{Type: types.DeploymentControllerTypeCodeDeploy}
		}, code: rollout.CannotAdopt, cause: "CODE_DEPLOY"},
		"a daemon": {change: func(in *ecs.CreateServiceInput) { in.SchedulingStrategy = types.SchedulingStrategyDaemon },
			code: rollout.CannotAdopt, cause: "daemon"},
		"a file without the image": {spec: func(s *spec.Spec) { s.TaskDefinition = "task.json" }, code: rollout.TaskFileInvalid, cause: "{{image}}"},
	} {
		t.Run(name, func(t *testing.T) {
			task := theirTask()
			if test.task != nil {
				test.task(task)
			}
			w := theirs(t, task, test.change)
			if test.spec != nil {
				test.spec(&w.in.Spec)
			}
			w.in.TaskFile = []byte(`{"family":"web","containerDefinitions":[{"name":"web","image":"a"}]}`)
			was := len(w.aws.Calls())
			result := w.deploy("a")
			w.code(t, test.code, result)
			assert.Contains(t, result.Stage.Cause, test.cause)
			assert.Empty(t, writes(w.aws.Calls()[was:]))
		})
	}
}

func TestAnAdoptedServiceIsNotDestroyed(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	was := len(w.aws.Calls())
	w.code(t, rollout.NotForAdopted, Destroy(w.ctx, w.clients(), w.clock, w.in, theirService, true))
	assert.Empty(t, writes(w.aws.Calls()[was:]))
}

func TestAFileIsTheOtherBase(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	w.in.Spec.TaskDefinition, w.in.TaskFile = "task.json", []byte(`{"family": "web", "networkMode": "awsvpc", "cpu": "1 vCPU",
		"memory": "2GB", "requiresCompatibilities": ["FARGATE"], "containerDefinitions": [
		{"name": "web", "image": "{{image}}", "portMappings": [{"containerPort": 8080}], "healthCheck": {"command": ["CMD", "true"]}}]}`)
	w.deployed("a")
	have := w.definition("web:2")
	assert.Len(t, have.ContainerDefinitions, 1, "the sidecar is not in the file")
	assert.Equal(t, image("a"), *have.ContainerDefinitions[0].Image)
	plan := Plan(w.ctx, w.clients(), w.clock, w.in)
	assert.False(t, plan.Changed, plan.Text)
}

func TestAnAlarmOfAnAdoptedServiceThatRingsIsReported(t *testing.T) {
	w := theirs(t, theirTask(), func(in *ecs.CreateServiceInput) {
		in.DeploymentConfiguration = &types.DeploymentConfiguration{Alarms: &types.DeploymentAlarms{AlarmNames: []string{"theirs"}, Enable: true}}
	})
	_, err := w.aws.CloudWatch.PutMetricAlarm(w.ctx, &cloudwatch.PutMetricAlarmInput{AlarmName: aws.String("theirs")})
	require.NoError(t, err)
	w.aws.ECS.SetAlarm("theirs")
	result := w.deployed("a")
	assert.Contains(t, warningsOf(result), AlarmPreexisting.Name)
	assert.Contains(t, warningsOf(result), SmokeOff.Name)
}

func TestATargetGroupWithoutHealthyTargetsFailsTheDeployment(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	for _, name := range []string{"web-public", "web-internal"} {
		_, err := w.aws.Balancing.CreateTargetGroup(w.ctx, &elb.CreateTargetGroupInput{Name: aws.String(name)})
		require.NoError(t, err)
	}
	groups, err := w.aws.Balancing.DescribeTargetGroups(w.ctx, &elb.DescribeTargetGroupsInput{Names: []string{"web-public", "web-internal"}})
	require.NoError(t, err)
	require.Len(t, groups.TargetGroups, 2)
	var both []types.LoadBalancer
	for _, group := range groups.TargetGroups {
		both = append(both, types.LoadBalancer{TargetGroupArn: group.TargetGroupArn, ContainerName: aws.String("web"), ContainerPort: aws.Int32(8080)})
	}
	_, err = w.aws.ECS.UpdateService(w.ctx, &ecs.UpdateServiceInput{Cluster: aws.String(theirCluster), Service: aws.String(theirService),
		TaskDefinition: aws.String(theirFamily + "1"), LoadBalancers: both})
	require.NoError(t, err)
	require.NoError(t, w.clock.Sleep(w.ctx, 3600e9))
	w.deployed("a")
	w.aws.ECS.Sicken(*both[1].TargetGroupArn)
	w.code(t, deployment.LBUnhealthy, w.deploy("b"))
}

// The deployment has ended: there is nothing to follow when somebody deleted the group.
func TestATargetGroupThatIsGoneIsNoLossOfSight(t *testing.T) {
	w := theirs(t, theirTask(), func(in *ecs.CreateServiceInput) {
		in.LoadBalancers = []types.LoadBalancer{{ContainerName: aws.String("web"), ContainerPort: aws.Int32(8080),
			TargetGroupArn: aws.String("arn:aws:elasticloadbalancing:ap-south-1:111122223333:targetgroup/gone/0123456789abcdef")}}
	})
	result := w.deploy("b")
	w.code(t, deployment.NotServing, result)
	assert.Contains(t, result.Stage.Cause, "a target group of the service is gone")
}

func warningsOf(r *Result) []string {
	var all []string
	for _, f := range r.Stage.Warnings {
		all = append(all, f.Code)
	}
	return all
}

// A second deploy after a run that was killed at any of its calls ends in the same state.
func TestAnAdoptionThatIsKilledAnywhereIsFinishedByTheNextRun(t *testing.T) {
	for n := 1; ; n++ {
		w := theirs(t, theirTask(), nil)
		was := len(w.aws.Calls())
		w.aws.Cut(n, n%2 == 0)
		first := w.deploy("a")
		w.aws.Cut(0, false)
		if first.Stage.Verdict == verdict.Pass {
			require.Greater(t, n, 10)
			t.Log("killed at each of", n-1, "calls")
			break
		}
		w.in.Name = "run 2"
		w.deployed("a")
		assert.Equal(t, theirFamily+"2", w.aws.ECS.Serving(theirCluster, theirService), n)
		calls := w.aws.Calls()[was:]
		assert.LessOrEqual(t, count(calls, "ecs:RegisterTaskDefinition"), 2, n)
		assert.Empty(t, w.aws.ECS.Alone(theirCluster), n)
	}
}

func TestKeysWithoutEffectAreNamedOnce(t *testing.T) {
	w := theirs(t, theirTask(), nil)
	w.in.Spec.WithoutEffect = []string{"rollout.cpu", "rollout.vars"}
	for range 2 {
		var told []string
		for _, warning := range w.deploy("a").Stage.Warnings {
			if warning.Code == rollout.KeysWithoutEffect.Name {
				told = append(told, warning.Cause)
			}
		}
		require.Len(t, told, 1)
		assert.Contains(t, told[0], "rollout.cpu, rollout.vars")
	}
	assert.Contains(t, Plan(w.ctx, w.clients(), w.clock, w.in).Text, "Without effect, as the service is adopted: rollout.cpu, rollout.vars.")
}
