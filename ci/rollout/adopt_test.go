package rollout

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// filled sets every member of a value, as deep as it goes.
func filled(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		filled(v.Elem(), depth)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && depth < 8 {
				filled(v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		filled(v.Index(0), depth+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key"), reflect.ValueOf("value"))
	case reflect.String:
		v.SetString("text")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int32, reflect.Int64:
		v.SetInt(7)
	case reflect.Float64:
		v.SetFloat(7)
	}
}

// Whatever ECS describes and registers is taken over, also what a newer SDK adds to both.
func TestEverythingThatIsDescribedAndRegisteredIsTakenOver(t *testing.T) {
	var have types.TaskDefinition
	filled(reflect.ValueOf(&have).Elem(), 0)
	got := TakeOver(&have, []types.Tag{{Key: aws.String("team")}, {Key: aws.String("aws:cloudformation:stack-name")}})
	assert.Len(t, got.Tags, 1)
	v := reflect.ValueOf(got).Elem()
	for i := range v.NumField() {
		if field := v.Type().Field(i); field.IsExported() {
			assert.False(t, v.Field(i).IsZero(), "%s is not taken over", field.Name)
		}
	}
	assert.Equal(t, wire.Encode(have.ContainerDefinitions), wire.Encode(got.ContainerDefinitions))
	// What is described only is known by name, so that a new one is looked at.
	described := readOnly()
	slices.Sort(described)
	assert.Equal(t, []string{"compatibilities", "deleteRequestedAt", "deregisteredAt", "registeredAt", "registeredBy", "requiresAttributes",
		"revision", "status", "taskDefinitionArn"}, described)
}

func TestWhatECSFillsInMakesNoDifference(t *testing.T) {
	read := func(content string) *ecs.RegisterTaskDefinitionInput {
		var in ecs.RegisterTaskDefinitionInput
		require.NoError(t, json.Unmarshal([]byte(content), &in))
		return &in
	}
	given := read(`{"family": "a", "networkMode": "awsvpc", "cpu": "1 vCPU", "memory": "2 GB", "containerDefinitions": [{"name": "app",
		"image": "i", "portMappings": [{"containerPort": 80}], "environment": [{"name": "B", "value": ""}, {"name": "A", "value": "1"}],
		"healthCheck": {"command": ["CMD", "true"]}}], "volumes": [{"name": "v"}]}`)
	described := read(`{"family": "a", "networkMode": "awsvpc", "cpu": "1024", "memory": "2048", "placementConstraints": [],
		"containerDefinitions": [{"name": "app", "image": "i", "cpu": 0, "essential": true, "portMappings": [{"containerPort": 80, "hostPort": 80,
		"protocol": "tcp"}], "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": ""}], "mountPoints": [], "volumesFrom": [],
		"systemControls": [], "healthCheck": {"command": ["CMD", "true"], "interval": 30, "timeout": 5, "retries": 3}}],
		"volumes": [{"name": "v", "host": {}}]}`)
	assert.True(t, Same(given, described))
	for what, change := range map[string]func(*ecs.RegisterTaskDefinitionInput){
		"a variable": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].Environment[0].Value = aws.String("2")
		},
		"an empty variable": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].Environment = in.ContainerDefinitions[0].Environment[:1]
		},
		"not essential":    func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Essential = aws.Bool(false) },
		"the health check": func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].HealthCheck = nil },
		"another host port": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].PortMappings[0].HostPort = aws.Int32(81)
		},
		"read-only root": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].ReadonlyRootFilesystem = aws.Bool(true)
		},
		"a label that reads like a default": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].DockerLabels = map[string]string{"protocol": "tcp"}
		},
		"an empty option": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].LogConfiguration = &types.LogConfiguration{Options: map[string]string{"tag": ""}}
		},
		"an empty argument": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].EntryPoint = []string{""}
		},
		"no swap": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].LinuxParameters = &types.LinuxParameters{MaxSwap: aws.Int32(0)}
		},
		"stopped at once": func(in *ecs.RegisterTaskDefinitionInput) {
			in.ContainerDefinitions[0].StopTimeout = aws.Int32(0)
		},
		"the memory":        func(in *ecs.RegisterTaskDefinitionInput) { in.Memory = aws.String("4096") },
		"order of commands": func(in *ecs.RegisterTaskDefinitionInput) { in.ContainerDefinitions[0].Command = []string{"b"} },
	} {
		other := read(string(wire.JSON(described)))
		change(other)
		assert.False(t, Same(described, other), what)
	}
}

func TestATaskDefinitionFileIsReadStrictly(t *testing.T) {
	for content, want := range map[string]string{
		`{`:           "too early",
		`[]`:          "not a JSON object",
		`{"famly":1}`: "no famly",
		`{"containerDefinitions":[{"name":"a","imag":"{{image}}"}]}`:                            "containerDefinitions[0].imag",
		`{"containerDefinitions":[{"name":"a","image":"nginx"}]}`:                               "no container has the image",
		`{"containerDefinitions":[{"name":"a","image":"{{image}}","cpu":"many"}]}`:              "Cpu of type",
		`{"family":"{{ must_env }}","containerDefinitions":[{"name":"a","image":"{{image}}"}]}`: "another template",
		`{"family":"a","family":"b","containerDefinitions":[{"name":"a","image":"{{image}}"}]}`: "family",
	} {
		in, problems := readTaskDefinition("task.json", []byte(content), "image")
		require.Len(t, problems, 1, content)
		assert.Nil(t, in)
		assert.Equal(t, TaskFileInvalid, problems[0].Code)
		assert.Contains(t, problems[0].Cause, want)
	}
	// As describe-task-definition shows it.
	in, problems := readTaskDefinition("task.json", []byte(`{"taskDefinition": {"family": "a", "revision": 7, "status": "ACTIVE",
		"registeredAt": "2026-01-01T00:00:00Z", "containerDefinitions": [{"name": "a", "image": "{{image}}"}]}, "tags": [{"key": "k"}]}`), "image")
	require.Empty(t, problems)
	assert.Equal(t, "image", *in.ContainerDefinitions[0].Image)
	assert.Len(t, in.Tags, 1)
}

func TestThePlanOfAnAdoptedServiceIsShownWithoutAnAccount(t *testing.T) {
	in := Input{Environment: Sandbox, Spec: spec.Spec{Application: "app", Adopt: spec.AdoptService, Region: "ap-south-1", Cluster: "c", Service: "s",
		App: spec.App{Repository: "shop/web"}}}
	result := Run(t.Context(), in)
	require.NotNil(t, result.Plan, result.Stage.Cause)
	assert.Equal(t, "pass", string(result.Stage.Verdict), result.Stage.Cause)
	assert.Contains(t, result.Plan.Markdown(), "belongs to somebody else")
	in.Spec.Service = "not a name"
	assert.Equal(t, NameInvalid.Name, Run(t.Context(), in).Stage.Code)
}

func TestAnAnalysisIsCheckedWithThePlan(t *testing.T) {
	for _, c := range []struct {
		strategy string
		analysis spec.Analysis
		cause    string
	}{
		{"rolling", spec.Analysis{Name: "a", Success: "value < 1", Command: []string{"x"}}, "rolling deployment"},
		{"canary", spec.Analysis{Name: "a", Success: "value <", Command: []string{"x"}}, "rollout.analysis[0]"},
		{"canary", spec.Analysis{Success: "value < 1", Command: []string{"x"}}, "no name"},
	} {
		in := input("staging")
		in.Spec.Strategy, in.Spec.Analysis = c.strategy, []spec.Analysis{c.analysis}
		_, problems := NewPlan(in)
		require.Len(t, problems, 1)
		assert.Contains(t, problems[0].Cause, c.cause)
	}
	// A command is started once for each name: a second one of this name would never run, and pass.
	twice := Input{Environment: "staging", Image: input("staging").Image, Spec: spec.Spec{
		Application: "app", Adopt: spec.AdoptService, Account: "111122223333", Region: "ap-south-1", Cluster: "c", Service: "s", App: spec.App{Repository: "shop/web"},
		Analysis: []spec.Analysis{{Name: "a", Command: []string{"x"}}, {Name: "a", Command: []string{"y"}}, {Command: []string{"z"}}}}}
	_, problems := NewPlan(twice)
	require.Len(t, problems, 2)
	assert.Contains(t, problems[0].Cause, `rollout.analysis[1].name: "a" is no name of its own`)
	assert.NotContains(t, problems[1].Cause, "nil")
	in := input("staging")
	in.Spec.Strategy, in.Spec.PauseAt = "canary", []string{"pre_production_traffic_shift"}
	in.Spec.Analysis = []spec.Analysis{{Name: "a", Success: "value < 1", Command: []string{"x"}}}
	plan, problems := NewPlan(in)
	require.Empty(t, problems)
	hooks := plan.Service.DeploymentConfiguration.LifecycleHooks
	require.Len(t, hooks, 1)
	assert.Equal(t, []types.DeploymentLifecycleHookStage{"PRE_PRODUCTION_TRAFFIC_SHIFT", "POST_PRODUCTION_TRAFFIC_SHIFT"}, hooks[0].LifecycleStages)
	assert.Equal(t, []string{"PRE_PRODUCTION_TRAFFIC_SHIFT"}, plan.PeoplesPauses())
	assert.Len(t, plan.Metrics(), 1)
	assert.True(t, plan.AnalysisPauses())
	assert.False(t, plan.AskPeople())
}

// A one-off task of a service whose volumes are configured at launch needs them as well.
func TestATaskOfItsOwnGetsTheVolumesOfTheService(t *testing.T) {
	var ebs types.ServiceManagedEBSVolumeConfiguration
	filled(reflect.ValueOf(&ebs).Elem(), 0)
	ebs.TagSpecifications[0].PropagateTags = types.PropagateTagsService
	volumes := []types.ServiceVolumeConfiguration{{Name: aws.String("data"), ManagedEBSVolume: &ebs}}
	got := volumesOf(&types.Service{Deployments: []types.Deployment{
		{Status: aws.String("ACTIVE"), VolumeConfigurations: []types.ServiceVolumeConfiguration{{Name: aws.String("old")}}},
		{Status: aws.String("PRIMARY"), VolumeConfigurations: volumes},
	}})
	require.Len(t, got, 1)
	assert.Equal(t, "data", *got[0].Name)
	given, taken := wire.Encode(&ebs).(map[string]any), wire.Encode(got[0].ManagedEBSVolume).(map[string]any)
	for member := range given {
		if member != "tagSpecifications" {
			assert.Equal(t, given[member], taken[member], member)
		}
	}
	assert.Empty(t, got[0].ManagedEBSVolume.TagSpecifications[0].PropagateTags)
	assert.Equal(t, types.PropagateTagsService, ebs.TagSpecifications[0].PropagateTags, "the service's own stay")
}
