package rollout

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheLinksAreThoseOfTheConsoleOfTheRegion(t *testing.T) {
	links := mustPlan(t, input("staging")).Links()
	require.Len(t, links, 5)
	const at = "https://ap-south-1.console.aws.amazon.com/"
	assert.Equal(t, Link{"service",
		at + "ecs/v2/clusters/openstack-rca-cluster-staging/services/openstack-rca-service-staging/health?region=ap-south-1"}, links[0])
	assert.Equal(t, Link{"logs",
		at + "cloudwatch/home?region=ap-south-1#logsV2:log-groups/log-group/$252Fecs$252Fopenstack-rca-service-staging"}, links[2])
}

func TestThereIsNoLinkToAConsoleThatNobodyKnows(t *testing.T) {
	plan := mustPlan(t, input("staging"))
	plan.Region = "us-iso-east-1"
	assert.Empty(t, plan.Links())
}
