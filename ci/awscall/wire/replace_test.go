package wire_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

func TestEveryStringIsReplacedInACopy(t *testing.T) {
	of := func(x string) *ecs.RegisterTaskDefinitionInput {
		return &ecs.RegisterTaskDefinitionInput{
			Family: aws.String(x), Volumes: nil, ContainerDefinitions: []types.ContainerDefinition{{
				Command: []string{"a", x}, Cpu: 7, Essential: aws.Bool(true),
				LogConfiguration: &types.LogConfiguration{Options: map[string]string{"group": x}},
			}},
		}
	}
	input := of("{{x}}")
	assert.Equal(t, of("y"), wire.Replace(input, func(s string) string { return strings.ReplaceAll(s, "{{x}}", "y") }))
	assert.Equal(t, of("{{x}}"), input)
	var none *ecs.RegisterTaskDefinitionInput
	assert.Nil(t, wire.Replace(none, strings.ToUpper))
}
