package wire_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

func TestMembersAreNamedAsTheServiceNamesThem(t *testing.T) {
	for _, c := range []struct {
		input any
		want  any
	}{
		{&ecs.CreateClusterInput{ClusterName: aws.String("c")}, map[string]any{"clusterName": "c"}},
		{&types.Cluster{ClusterName: aws.String("c")}, map[string]any{"clusterName": "c"}},
		{&logs.PutRetentionPolicyInput{RetentionInDays: aws.Int32(7)}, map[string]any{"retentionInDays": int64(7)}},
		{&cloudwatch.PutMetricAlarmInput{ActionsEnabled: aws.Bool(false)}, map[string]any{"ActionsEnabled": false}},
		{&types.DeploymentAlarms{}, map[string]any{"enable": false, "rollback": false}},
	} {
		assert.Equal(t, c.want, wire.Encode(c.input))
	}
	assert.JSONEq(t, `{"clusterName": "<c>"}`, string(wire.JSON(&ecs.CreateClusterInput{ClusterName: aws.String("<c>")})))
}

func TestAnUnknownKindOfMemberIsAMistakeOfTheProgram(t *testing.T) {
	assert.Panics(t, func() { wire.Encode(make(chan int)) })
}
