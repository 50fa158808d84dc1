package wire_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/document"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

func TestAnAnswerIsReadAsTheSDKReadsIt(t *testing.T) {
	var out ecs.DescribeServicesOutput
	require.NoError(t, wire.Decode([]byte(`{"failures": null, "new": {"deep": 1}, "resultMetadata": {"a": 1}, "services": [
		{"serviceName": "a", "desiredCount": 2, "enableECSManagedTags": true, "createdAt": 1790000000.5, "launchType": "NEW", "tags": []}]}`), &out))
	assert.Equal(t, ecs.DescribeServicesOutput{Services: []types.Service{{ServiceName: aws.String("a"), DesiredCount: 2, EnableECSManagedTags: true,
		CreatedAt: aws.Time(time.UnixMilli(1790000000500).UTC()), LaunchType: "NEW", Tags: []types.Tag{}}}}, out)

	require.NoError(t, wire.Decode(nil, &ecs.DeleteServiceOutput{}), "some answers are empty")
	for answer, words := range map[string]string{
		`{"services":`:                          "unexpected EOF",
		`[]`:                                    "answer is a []interface {}",
		`{"services": "a"}`:                     "answer.services is a string",
		`{"services": [1]}`:                     "answer.services[0] is a json.Number",
		`{"services": [{"desiredCount": 2.5}]}`: "answer.services[0].desiredCount is 2.5",
		`{"services": [{"desiredCount": 3000000000}]}`: "answer.services[0].desiredCount is 3000000000",
		`{"services": [{"serviceName": true}]}`:        "answer.services[0].serviceName is true",
		`{"services": [{"createdAt": {}}]}`:            "answer.services[0].createdAt is a map",
	} {
		assert.ErrorContains(t, wire.Decode([]byte(answer), &out), words)
	}
}

// Details of a hook have no fixed shape; they must survive a read and a write.
func TestAMemberWithoutAShapeIsKept(t *testing.T) {
	var hook types.DeploymentLifecycleHook
	require.NoError(t, wire.Decode([]byte(`{"hookDetails": {"of": ["x", 7, true, null]}}`), &hook))
	assert.Equal(t, map[string]any{"hookDetails": map[string]any{"of": []any{"x", 7.0, true, nil}}}, wire.Encode(&hook))
	assert.Panics(t, func() {
		wire.Encode(&types.DeploymentLifecycleHook{HookDetails: document.NewLazyDocument(make(chan int))})
	})
}

func TestATimeIsSentInSeconds(t *testing.T) {
	at := time.UnixMilli(1790000000250)
	assert.Equal(t, map[string]any{"createdAt": map[string]any{"after": 1790000000.25}},
		wire.Encode(&ecs.ListServiceDeploymentsInput{CreatedAt: &types.CreatedAt{After: &at}}))
}
