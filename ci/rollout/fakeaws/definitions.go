package fakeaws

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// RegisterTaskDefinition makes the next revision of a family.
func (e *ECS) RegisterTaskDefinition(_ context.Context, in *ecs.RegisterTaskDefinitionInput,
	_ ...func(*ecs.Options)) (*ecs.RegisterTaskDefinitionOutput, error) {
	return over(e.wire, "ecs:RegisterTaskDefinition", func() (*ecs.RegisterTaskDefinitionOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		all := e.registry().definitions
		in = wire.Replace(in, func(s string) string { return s })
		number := len(all[*in.Family]) + 1
		d := &definition{tags: in.Tags, TaskDefinition: described(in)}
		d.TaskDefinitionArn, d.Revision = aws.String(fmt.Sprintf("%stask-definition/%s:%d", ecsARN, *in.Family, number)), int32(number)
		d.Status, d.RegisteredAt = types.TaskDefinitionStatusActive, aws.Time(e.clock.Now())
		d.Compatibilities = []types.Compatibility{types.CompatibilityEc2, types.CompatibilityFargate}
		d.RequiresAttributes = []types.Attribute{{Name: aws.String("com.amazonaws.ecs.capability.docker-remote-api.1.18")}}
		all[*in.Family] = append(all[*in.Family], d)
		return &ecs.RegisterTaskDefinitionOutput{TaskDefinition: &d.TaskDefinition, Tags: d.tags}, nil
	})
}

// described is what ECS describes of what was registered: every member that both have, with the
// empty lists that it answers where nothing was given.
func described(in *ecs.RegisterTaskDefinitionInput) types.TaskDefinition {
	var out types.TaskDefinition
	from, to := reflect.ValueOf(in).Elem(), reflect.ValueOf(&out).Elem()
	for i := range to.NumField() {
		if source := from.FieldByName(to.Type().Field(i).Name); to.Field(i).CanSet() && source.IsValid() {
			to.Field(i).Set(source)
		}
	}
	for n := range out.ContainerDefinitions {
		c := &out.ContainerDefinitions[n]
		if c.Environment == nil {
			c.Environment = []types.KeyValuePair{}
		}
		if c.MountPoints == nil {
			c.MountPoints = []types.MountPoint{}
		}
		if c.VolumesFrom == nil {
			c.VolumesFrom = []types.VolumeFrom{}
		}
		if c.SystemControls == nil {
			c.SystemControls = []types.SystemControl{}
		}
	}
	if out.Volumes == nil {
		out.Volumes = []types.Volume{}
	}
	if out.PlacementConstraints == nil {
		out.PlacementConstraints = []types.TaskDefinitionPlacementConstraint{}
	}
	return out
}

// definition finds a revision by ARN or family:revision, or a family's newest active one.
func (e *ECS) definition(name string) *definition {
	family, revision, _ := strings.Cut(lastPart(name), ":")
	number, err := strconv.Atoi(revision)
	for _, d := range slices.Backward(e.registry().definitions[family]) {
		if err == nil && int(d.Revision) == number || revision == "" && d.Status == types.TaskDefinitionStatusActive {
			return d
		}
	}
	return nil
}

// DescribeTaskDefinition describes a revision, or a family's newest active one.
func (e *ECS) DescribeTaskDefinition(_ context.Context, in *ecs.DescribeTaskDefinitionInput,
	_ ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error) {
	return over(e.wire, "ecs:DescribeTaskDefinition", func() (*ecs.DescribeTaskDefinitionOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		d := e.definition(*in.TaskDefinition)
		if d == nil {
			return nil, &types.ClientException{Message: aws.String("Unable to describe task definition.")}
		}
		out := &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &d.TaskDefinition}
		if slices.Contains(in.Include, types.TaskDefinitionFieldTags) {
			out.Tags = d.tags
		}
		return out, nil
	})
}

// ListTaskDefinitions lists three a page, by a prefix of the family.
func (e *ECS) ListTaskDefinitions(_ context.Context, in *ecs.ListTaskDefinitionsInput,
	_ ...func(*ecs.Options)) (*ecs.ListTaskDefinitionsOutput, error) {
	return over(e.wire, "ecs:ListTaskDefinitions", func() (*ecs.ListTaskDefinitionsOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		var all []string
		for _, revisions := range values(e.registry().definitions) {
			for _, d := range revisions {
				if strings.HasPrefix(*d.Family, *in.FamilyPrefix) && (in.Status == "" || d.Status == in.Status) {
					all = append(all, *d.TaskDefinitionArn)
				}
			}
		}
		if in.Sort == types.SortOrderDesc {
			slices.Reverse(all)
		}
		const page = 3
		from, _ := strconv.Atoi(aws.ToString(in.NextToken))
		out := &ecs.ListTaskDefinitionsOutput{TaskDefinitionArns: all[min(from, len(all)):min(from+page, len(all))]}
		if from+page < len(all) {
			out.NextToken = aws.String(strconv.Itoa(from + page))
		}
		return out, nil
	})
}

// DeregisterTaskDefinition makes a revision INACTIVE: what runs goes on, nothing new can.
func (e *ECS) DeregisterTaskDefinition(_ context.Context, in *ecs.DeregisterTaskDefinitionInput,
	_ ...func(*ecs.Options)) (*ecs.DeregisterTaskDefinitionOutput, error) {
	return over(e.wire, "ecs:DeregisterTaskDefinition", func() (*ecs.DeregisterTaskDefinitionOutput, error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		d := e.definition(*in.TaskDefinition)
		if d == nil {
			return nil, &types.ClientException{Message: aws.String("The specified task definition does not exist.")}
		}
		d.Status = types.TaskDefinitionStatusInactive
		return &ecs.DeregisterTaskDefinitionOutput{TaskDefinition: &d.TaskDefinition}, nil
	})
}
