//go:build unix

package rolloutstage_test

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

//go:embed testdata/botocore.lock
var botocoreLock []byte

//go:embed testdata/validate.py
var validateScript []byte

// request is a call of ECS as it crossed the wire.
type request struct {
	Case      string          `json:"case"`
	Operation string          `json:"operation"`
	Body      json.RawMessage `json:"body"`
	answer    []byte
}

// wire serves the fake AWS, and keeps what is said to ECS and what it answers.
func wire(t *testing.T, server http.Handler, name string, change func([]byte) []byte, all *[]request) string {
	t.Helper()
	served := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, operation, isECS := strings.Cut(r.Header.Get("X-Amz-Target"), "AmazonEC2ContainerServiceV20141113.")
		if !isECS {
			server.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		server.ServeHTTP(answer, r)
		content := answer.Body.Bytes()
		if operation == "DescribeTaskDefinition" && change != nil {
			content = change(content)
		}
		*all = append(*all, request{name, operation, body, content})
		for key, values := range answer.Header() {
			if key != "Content-Length" {
				w.Header()[key] = values
			}
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(content)
	}))
	t.Cleanup(served.Close)
	return served.URL
}

// theirCase is a service as people have it.
type theirCase struct {
	TaskDefinition ecs.RegisterTaskDefinitionInput `json:"taskDefinition"`
	Service        ecs.CreateServiceInput          `json:"service"`
}

// readCase reads a case, with the target groups and rules that it names made in the account.
func readCase(t *testing.T, file string, there *fakeaws.Account) theirCase {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	groups := map[string]string{}
	for _, name := range []string{"public", "internal", "blue", "green"} {
		out, err := there.Balancing.CreateTargetGroup(t.Context(), &elb.CreateTargetGroupInput{Name: aws.String(name)})
		require.NoError(t, err)
		groups[name] = *out.TargetGroups[0].TargetGroupArn
		content = bytes.ReplaceAll(content, []byte("{{group "+name+"}}"), []byte(groups[name]))
	}
	balancer, err := there.Balancing.CreateLoadBalancer(t.Context(), &elb.CreateLoadBalancerInput{Name: aws.String("shop")})
	require.NoError(t, err)
	forward := []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward, ForwardConfig: &elbtypes.ForwardActionConfig{
		TargetGroups: []elbtypes.TargetGroupTuple{{TargetGroupArn: aws.String(groups["blue"]), Weight: aws.Int32(100)},
			{TargetGroupArn: aws.String(groups["green"]), Weight: aws.Int32(0)}}}}}
	listener, err := there.Balancing.CreateListener(t.Context(), &elb.CreateListenerInput{
		LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn, Port: aws.Int32(443), DefaultActions: forward})
	require.NoError(t, err)
	rule, err := there.Balancing.CreateRule(t.Context(), &elb.CreateRuleInput{ListenerArn: listener.Listeners[0].ListenerArn,
		Priority: aws.Int32(10), Actions: forward})
	require.NoError(t, err)
	for n, name := range []string{"public", "internal"} {
		_, err = there.Balancing.CreateListener(t.Context(), &elb.CreateListenerInput{LoadBalancerArn: balancer.LoadBalancers[0].LoadBalancerArn,
			Port: aws.Int32(int32(8080 + n)), DefaultActions: []elbtypes.Action{{Type: elbtypes.ActionTypeEnumForward,
				TargetGroupArn: aws.String(groups[name])}}})
		require.NoError(t, err)
	}
	content = bytes.ReplaceAll(content, []byte("{{rule}}"), []byte(*rule.Rules[0].RuleArn))
	var c theirCase
	decoder := json.NewDecoder(bytes.NewReader(content))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&c), file)
	return c
}

// what is described of a revision without what ECS gave it.
func described(t *testing.T, answer []byte) string {
	t.Helper()
	var all map[string]any
	require.NoError(t, json.Unmarshal(answer, &all))
	definition, _ := all["taskDefinition"].(map[string]any)
	require.NotEmpty(t, definition)
	for _, key := range []string{"revision", "taskDefinitionArn", "registeredAt"} {
		delete(definition, key)
	}
	content, err := json.MarshalIndent(all, "", " ")
	require.NoError(t, err)
	return string(content)
}

const (
	oldImage = "111122223333.dkr.ecr.ap-south-1.amazonaws.com/shop/web:2026-11-01"
	newImage = "111122223333.dkr.ecr.ap-south-1.amazonaws.com/shop/web@sha256:"
)

// Task definitions as people have them are adopted and deployed with another image: what ECS then
// describes is byte for byte what it described before, but for the image. Each request is valid by
// the newest service model of AWS.
func TestServicesAsPeopleHaveThemAreAdopted(t *testing.T) {
	files, err := filepath.Glob("testdata/adopt/*.json")
	require.NoError(t, err)
	require.Len(t, files, 12)
	var all []request
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) { all = append(all, adoptOver(t, file, name)...) })
	}
	t.Run("a task before the service", func(t *testing.T) {
		count := len(all)
		_, clients, in, clock := adoptable(t, files[0], nil, &all)
		in.Spec.Tasks = []spec.Task{{Name: "migrate", Command: []string{"python", "migrate.py"}}}
		result := release.Deploy(t.Context(), clients, clock, in)
		require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s: %s", result.Stage.Code, result.Stage.Cause)
		assert.True(t, slices.ContainsFunc(all[count:], func(r request) bool { return r.Operation == "RunTask" }))
	})
	t.Run("requests are valid by botocore", func(t *testing.T) { validate(t, all) })
}

// adoptable makes the service of a case in an account, and what is needed to adopt it over HTTP.
func adoptable(t *testing.T, file string, change func([]byte) []byte, all *[]request) (*fakeaws.Account, release.Clients, release.Input,
	*fakeaws.Clock) {
	t.Helper()
	ctx, clock := t.Context(), fakeaws.NewClock()
	there := fakeaws.NewAccount(clock)
	c := readCase(t, file, there)
	_, err := there.ECS.CreateCluster(ctx, &ecs.CreateClusterInput{ClusterName: aws.String("shop")})
	require.NoError(t, err)
	registered, err := there.ECS.RegisterTaskDefinition(ctx, &c.TaskDefinition)
	require.NoError(t, err)
	c.Service.Cluster, c.Service.ServiceName = aws.String("shop"), aws.String("web")
	c.Service.TaskDefinition = registered.TaskDefinition.TaskDefinitionArn
	_, err = there.ECS.CreateService(ctx, &c.Service)
	require.NoError(t, err)
	require.NoError(t, clock.Sleep(ctx, time.Hour))
	name := strings.TrimSuffix(filepath.Base(file), ".json")
	clients, problem := account.Open(ctx, account.Options{Region: "ap-south-1", Endpoint: wire(t, overhttp.New(there), name, change, all),
		AccessKey: "id", SecretKey: "none", MaxBackoff: time.Millisecond})
	require.Nil(t, problem)
	in := release.Input{Journal: "s3://bucket/rollouts", Name: "run", Input: rollout.Input{Spec: config.Default().RolloutSpec(),
		Environment: "staging", Image: newImage + strings.Repeat("a", 64)}}
	s := &in.Spec
	s.Adopt, s.Account, s.Cluster, s.Service, s.Smoke = spec.AdoptService, "111122223333", "shop", "web", release.None
	return there, release.Of(clients), in, clock
}

func adoptOver(t *testing.T, file, family string) []request {
	t.Helper()
	var all []request
	there, clients, in, clock := adoptable(t, file, nil, &all)
	ctx := t.Context()
	result := release.Deploy(ctx, clients, clock, in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, "%s: %s", result.Stage.Code, result.Stage.Cause)
	assert.True(t, strings.HasSuffix(there.ECS.Serving("shop", "web"), "/"+family+":2"), there.ECS.Serving("shop", "web"))

	describe := func(revision string) string {
		_, err := clients.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String(revision),
			Include: []ecstypes.TaskDefinitionField{ecstypes.TaskDefinitionFieldTags}})
		require.NoError(t, err)
		return described(t, all[len(all)-1].answer)
	}
	was := describe(family + ":1")
	require.Contains(t, was, oldImage)
	assert.Equal(t, strings.ReplaceAll(was, oldImage, in.Image), describe(family+":2"))

	var update map[string]any
	for _, r := range all {
		if r.Operation == "UpdateService" {
			require.Nil(t, update, "one update")
			require.NoError(t, json.Unmarshal(r.Body, &update))
		}
	}
	require.Len(t, update, 3, "cluster, service and task definition: %v", update)
	count := len(all)
	again := release.Deploy(ctx, clients, clock, in)
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Cause)
	for _, r := range all[count:] {
		assert.True(t, strings.HasPrefix(r.Operation, "Describe") || strings.HasPrefix(r.Operation, "List"), r.Operation)
	}
	return all
}

// validate checks requests against the newest service model, and that the SDK knows each member of
// a task definition that the model has.
func validate(t *testing.T, all []request) {
	t.Helper()
	reachable.Python(t)
	if testing.Short() {
		t.Skip("installing botocore takes seconds; run without -short")
	}
	good := len(all)
	all = append(all, request{Case: "broken", Operation: "RegisterTaskDefinition", Body: json.RawMessage(`{"family":"a","new":1}`)})
	content, err := json.Marshal(all)
	require.NoError(t, err)
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	result, err := r.Run(t.Context(), runner.Step{
		Name: "botocore",
		Env: runner.Environment{Python: "3.11", Files: r.NewFiles(map[string][]byte{"botocore.lock": botocoreLock}),
			Install: [][]string{{"uv", "pip", "install", "--quiet", "--require-hashes", "-r", "botocore.lock"}}},
		Inputs: []runner.Mount{{Files: r.NewFiles(map[string][]byte{"validate.py": validateScript, "requests.json": content})}},
		Args:   []string{"python", "validate.py", "requests.json"}, Timeout: 5 * time.Minute,
	})
	if err != nil || result.ExitCode != 0 {
		t.Skipf("botocore cannot be had from PyPI here: %v %s", err, result.Stderr)
	}
	var answer struct {
		Botocore  string
		Validated int
		Problems  []string
		Members   []string
	}
	require.NoError(t, json.Unmarshal([]byte(result.Stdout), &answer), result.Stdout)
	assert.Equal(t, good+1, answer.Validated)
	require.Len(t, answer.Problems, 1, "only the broken one")
	assert.Contains(t, answer.Problems[0], "broken RegisterTaskDefinition")
	t.Logf("botocore %s: %d requests are valid; a task definition has %d members", answer.Botocore, good, len(answer.Members))
	known := map[string]bool{}
	sdkMembers("", reflect.TypeFor[ecs.RegisterTaskDefinitionInput](), known)
	for _, member := range answer.Members {
		if !known[member] {
			// Such a task definition is refused, as TestASettingThatTheSDKDoesNotKnowIsNotLost shows.
			t.Logf("the SDK of go.mod does not know %s", member)
		}
	}
}

// A setting that AWS has and the SDK has not would be lost without a word.
func TestASettingThatTheSDKDoesNotKnowIsNotLost(t *testing.T) {
	name := "sidecar"
	there, clients, in, clock := adoptable(t, "testdata/adopt/"+name+".json", func(answer []byte) []byte {
		return bytes.Replace(answer, []byte(`"taskDefinition":{`), []byte(`"taskDefinition":{"newerThanTheSDK":{"isolationMode":"STRICT"},`), 1)
	}, new([]request))
	before := len(there.Calls())
	result := release.Deploy(t.Context(), clients, clock, in)
	assert.Equal(t, ensure.WouldLose.Name, result.Stage.Code, result.Stage.Cause)
	assert.Contains(t, result.Stage.Cause, "newerThanTheSDK")
	assert.Empty(t, fakeaws.Writes(there.Calls()[before:]))
}

// sdkMembers collects the paths of all members of a type of the SDK.
func sdkMembers(path string, of reflect.Type, into map[string]bool) {
	for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
		of = of.Elem()
	}
	if of.Kind() != reflect.Struct {
		return
	}
	for i := range of.NumField() {
		field := of.Field(i)
		if !field.IsExported() || field.Anonymous {
			continue
		}
		at := strings.TrimPrefix(path+"."+strings.ToLower(field.Name[:1])+field.Name[1:], ".")
		into[at] = true
		sdkMembers(at, field.Type, into)
	}
}
