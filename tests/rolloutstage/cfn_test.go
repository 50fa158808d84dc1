//go:build unix

package rolloutstage_test

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

//go:embed testdata/cfn.lock
var cfnLock []byte

// The files that a reviewer gets are what AWS takes: rendered as CloudFormation, they pass the
// rules of cfn-lint, which are generated from AWS's own schemas.
func TestTheReviewedPlanIsValidCloudFormation(t *testing.T) {
	reachable.Python(t)
	if testing.Short() {
		t.Skip("installing cfn-lint takes seconds; run without -short")
	}
	files := map[string][]byte{"cfn.lock": cfnLock}
	var args []string
	for _, strategy := range spec.Strategies() {
		for name, change := range map[string]func(*spec.Spec){
			"": func(*spec.Spec) {}, "-large": func(r *spec.Spec) { r.CPU, r.Memory, r.ExecutionRole = 32768, 249856, "" },
		} {
			template := strategy + name + ".json"
			files[template] = templateOf(t, strategy, change)
			args = append(args, template)
		}
	}
	broken := templateOf(t, "rolling", func(*spec.Spec) {})
	files["broken.json"] = []byte(strings.Replace(string(broken), `"Cpu": "1024"`, `"Cpu": "1000"`, 1))
	require.NotEqual(t, string(broken), string(files["broken.json"]))

	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	lint := func(templates ...string) *runner.Result {
		t.Helper()
		result, err := r.Run(t.Context(), runner.Step{
			Name: "cfn-lint",
			Env: runner.Environment{Python: "3.11", Files: r.NewFiles(map[string][]byte{"cfn.lock": cfnLock}),
				Install: [][]string{{"uv", "pip", "install", "--quiet", "--require-hashes", "-r", "cfn.lock"}}},
			// W3005: what is made first is said twice, by a reference and here.
			Inputs: []runner.Mount{{Files: r.NewFiles(files)}}, Args: append([]string{"cfn-lint", "--regions", "ap-south-1", "--ignore-checks",
				"W3005", "--"}, templates...),
			Timeout: 5 * time.Minute,
		})
		require.NoError(t, err)
		return result
	}
	result := lint(args...)
	assert.Zero(t, result.ExitCode, "%s%s", result.Stdout, result.Stderr)
	result = lint("broken.json")
	assert.NotZero(t, result.ExitCode, "it sees what is wrong")
	assert.Contains(t, result.Stdout, "1000")
}

// templateOf renders the plan's files as a template of CloudFormation.
func templateOf(t *testing.T, strategy string, change func(*spec.Spec)) []byte {
	t.Helper()
	in := rollout.Input{Spec: config.Default().RolloutSpec(), Environment: "staging",
		Image: "444455556666.dkr.ecr.ap-south-1.amazonaws.com/openstack-rca-system@sha256:" + strings.Repeat("a", 64)}
	role := "arn:aws:iam::444455556666:role/"
	c := &in.Spec
	c.Account, c.Strategy, c.VPC = "444455556666", strategy, "vpc-0123456789abcdef0"
	c.Subnets, c.SecurityGroups = []string{"subnet-0123456789abcdef0", "subnet-0123456789abcdef1"}, []string{"sg-0123456789abcdef0"}
	c.ExecutionRole, c.TaskRole, c.InfrastructureRole = role+"execution", role+"task", role+"infrastructure"
	c.Vars = map[string]string{"LOG_LEVEL": "info"}
	c.Secrets = map[string]string{"API_KEY": "arn:aws:secretsmanager:ap-south-1:444455556666:secret:rca/key-AbCdEf:key::"}
	change(c)
	plan, problems := rollout.NewPlan(in)
	require.Empty(t, problems)
	calls := map[string]any{}
	for _, file := range plan.Files() {
		if !strings.HasSuffix(file.Path, ".json") {
			continue
		}
		var content map[string]any
		require.NoError(t, json.Unmarshal(file.Content, &content), file.Path)
		if strings.HasSuffix(file.Path, "task-definition.json") {
			content = map[string]any{"registerTaskDefinition": content}
		}
		for call, input := range content {
			calls[call] = input
		}
	}
	resources := map[string]any{}
	for _, kind := range kinds {
		inputs, many := calls[kind.call].([]any)
		if !many {
			if calls[kind.call] == nil {
				require.True(t, kind.optional, kind.call)
				continue
			}
			inputs = []any{calls[kind.call]}
		}
		for n, input := range inputs {
			properties := upper(input, "").(map[string]any)
			kind.finish(properties, calls, n)
			resources[fmt.Sprint(kind.name, n)] = map[string]any{"Type": kind.resource, "Properties": properties}
		}
	}
	service := resources["Service0"].(map[string]any)
	service["DependsOn"] = []string{"Rule0"}
	content, err := json.MarshalIndent(map[string]any{"AWSTemplateFormatVersion": "2010-09-09", "Resources": resources}, "", "  ")
	require.NoError(t, err)
	return content
}

func nothing(map[string]any, map[string]any, int) {}

// take moves what another call says into the properties of a resource.
func take(call, from, to string) func(map[string]any, map[string]any, int) {
	return func(properties, calls map[string]any, n int) {
		input := calls[call]
		if list, many := input.([]any); many {
			input = list[n]
		}
		properties[to] = upper(input, "").(map[string]any)[from]
	}
}

// listed makes a list of tags of a map of them.
func listed(properties map[string]any) {
	tags, is := properties["Tags"].(map[string]any)
	if !is {
		return
	}
	var all []any
	for key, value := range tags {
		all = append(all, map[string]any{"Key": key, "Value": value})
	}
	properties["Tags"] = all
}

var kinds = []struct {
	call, name, resource string
	optional             bool
	finish               func(properties, calls map[string]any, n int)
}{
	{"registerTaskDefinition", "TaskDefinition", "AWS::ECS::TaskDefinition", false, nothing},
	{"createCluster", "Cluster", "AWS::ECS::Cluster", false, func(p, _ map[string]any, _ int) {
		p["ClusterSettings"] = p["Settings"]
		delete(p, "Settings")
	}},
	{"createLogGroup", "LogGroup", "AWS::Logs::LogGroup", false, func(p, calls map[string]any, n int) {
		take("putRetentionPolicy", "RetentionInDays", "RetentionInDays")(p, calls, n)
		listed(p)
	}},
	{"createService", "Service", "AWS::ECS::Service", false, func(p, _ map[string]any, _ int) {
		delete(p, "ClientToken")
		p["Cluster"] = map[string]any{"Ref": "Cluster0"}
	}},
	{"createLoadBalancer", "Balancer", "AWS::ElasticLoadBalancingV2::LoadBalancer", false,
		take("modifyLoadBalancerAttributes", "Attributes", "LoadBalancerAttributes")},
	{"createTargetGroup", "Group", "AWS::ElasticLoadBalancingV2::TargetGroup", false,
		take("modifyTargetGroupAttributes", "Attributes", "TargetGroupAttributes")},
	{"createListener", "Listener", "AWS::ElasticLoadBalancingV2::Listener", false, func(p, _ map[string]any, _ int) { delete(p, "Tags") }},
	{"createRule", "Rule", "AWS::ElasticLoadBalancingV2::ListenerRule", false, func(p, _ map[string]any, _ int) { delete(p, "Tags") }},
	{"putMetricAlarm", "Alarm", "AWS::CloudWatch::Alarm", false, nothing},
	{"putDashboard", "Dashboard", "AWS::CloudWatch::Dashboard", false, nothing},
	{"registerScalableTarget", "Target", "AWS::ApplicationAutoScaling::ScalableTarget", false, func(p, _ map[string]any, _ int) {
		delete(p, "Tags") // the schema of the resource has none, the API does
	}},
	{"putScalingPolicy", "Policy", "AWS::ApplicationAutoScaling::ScalingPolicy", false, nothing},
	{"createRole", "Role", "AWS::IAM::Role", true, func(p, _ map[string]any, _ int) {
		var document any
		if json.Unmarshal([]byte(p["AssumeRolePolicyDocument"].(string)), &document) == nil {
			p["AssumeRolePolicyDocument"] = document
		}
	}},
}

var referenceForm = regexp.MustCompile(`^\{\{(arn|dimension):([^/]+)/(.*)\}\}$`)

// upper writes the names of members as CloudFormation does, and references as its own. What is
// inside of options belongs to others and keeps its names.
func upper(value any, path string) any {
	switch v := value.(type) {
	case map[string]any:
		if strings.HasSuffix(path, "/Options") {
			return v
		}
		out := map[string]any{}
		for name, member := range v {
			name = strings.ToUpper(name[:1]) + name[1:]
			out[name] = upper(member, path+"/"+name)
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, one := range v {
			out = append(out, upper(one, path))
		}
		return out
	case string:
		m := referenceForm.FindStringSubmatch(v)
		if m == nil {
			return regexp.MustCompile(`\{\{.*?\}\}`).ReplaceAllString(v, "x")
		}
		resource := map[string]string{"task-definition": "TaskDefinition0", "load-balancer": "Balancer0", "listener": "Listener0",
			"listener-rule": "Rule0"}[m[2]]
		if resource == "" {
			resource = map[bool]string{true: "Group1", false: "Group0"}[strings.Contains(m[3], "green")]
		}
		if m[1] == "arn" {
			return map[string]any{"Ref": resource}
		}
		attribute := map[bool]string{true: "LoadBalancerFullName", false: "TargetGroupFullName"}[resource == "Balancer0"]
		return map[string]any{"Fn::GetAtt": []string{resource, attribute}}
	default:
		return value
	}
}
