package fakeaws

import (
	"context"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
)

// Scaling stores scalable targets and policies. Its methods are those of the client.
type Scaling struct {
	cable    *cable
	targets  map[string]*scaling.ScalableTarget
	policies map[string]*scaling.Policy
	tags     map[string]map[string]string
	// Settles is how long a target that was registered, or changed, is not known everywhere: a
	// policy for it is refused until then, and so is another change of the target (API reference,
	// RegisterScalableTarget and ConcurrentUpdateException).
	Settles time.Duration
	changed map[string]time.Time
	// exists reports whether a service, as cluster/name, exists.
	exists func(service string) bool
}

func (s *Scaling) clear() {
	s.targets, s.policies, s.tags = map[string]*scaling.ScalableTarget{}, map[string]*scaling.Policy{}, map[string]map[string]string{}
	s.changed = map[string]time.Time{}
}

func (s *Scaling) unsettled(id string) bool {
	at, changed := s.changed[id]
	return changed && s.cable.clock.Now().Sub(at) < s.Settles
}

const scalableARN = "arn:aws:application-autoscaling:ap-south-1:111122223333:scalable-target/"

// DescribeScalableTargets describes those of the resources.
func (s *Scaling) DescribeScalableTargets(
	_ context.Context, in *scaling.DescribeScalableTargetsInput,
) (*scaling.DescribeScalableTargetsOutput, error) {
	return over(s.cable, "application-autoscaling:DescribeScalableTargets", func() (*scaling.DescribeScalableTargetsOutput, error) {
		out := &scaling.DescribeScalableTargetsOutput{}
		for _, id := range in.ResourceIds {
			if t := s.targets[id]; t != nil {
				out.ScalableTargets = append(out.ScalableTargets, *t)
			}
		}
		return out, nil
	})
}

// DescribeScalingPolicies describes those of a resource.
func (s *Scaling) DescribeScalingPolicies(
	_ context.Context, in *scaling.DescribeScalingPoliciesInput,
) (*scaling.DescribeScalingPoliciesOutput, error) {
	return over(s.cable, "application-autoscaling:DescribeScalingPolicies", func() (*scaling.DescribeScalingPoliciesOutput, error) {
		out := &scaling.DescribeScalingPoliciesOutput{}
		for _, p := range values(s.policies) {
			if *p.ResourceId == *in.ResourceId {
				out.ScalingPolicies = append(out.ScalingPolicies, *p)
			}
		}
		return out, nil
	})
}

// ListTagsForResource lists a target's tags.
func (s *Scaling) ListTagsForResource(_ context.Context, in *scaling.ListTagsForResourceInput) (*scaling.ListTagsForResourceOutput, error) {
	return over(s.cable, "application-autoscaling:ListTagsForResource", func() (*scaling.ListTagsForResourceOutput, error) {
		return &scaling.ListTagsForResourceOutput{Tags: s.tags[*in.ResourceARN]}, nil
	})
}

// RegisterScalableTarget makes or changes one; the service must be there.
func (s *Scaling) RegisterScalableTarget(
	_ context.Context, in *scaling.RegisterScalableTargetInput,
) (*scaling.RegisterScalableTargetOutput, error) {
	return over(s.cable, "application-autoscaling:RegisterScalableTarget", func() (*scaling.RegisterScalableTargetOutput, error) {
		id := *in.ResourceId
		if s.exists != nil && !s.exists(strings.TrimPrefix(id, "service/")) {
			return nil, refuse("ValidationException", "ECS service doesn't exist: %s", id)
		}
		if s.unsettled(id) {
			return nil, refuse("ConcurrentUpdateException", "You already have a pending update to an Auto Scaling resource.")
		}
		if s.Settles > 0 {
			s.changed[id] = s.cable.clock.Now()
		}
		arn := scalableARN + id
		if s.targets[id] == nil {
			s.tags[arn] = in.Tags
		}
		s.targets[id] = &scaling.ScalableTarget{
			ResourceId: in.ResourceId, ServiceNamespace: in.ServiceNamespace, ScalableDimension: in.ScalableDimension,
			MinCapacity: in.MinCapacity, MaxCapacity: in.MaxCapacity, ScalableTargetARN: aws.String(arn),
		}
		return &scaling.RegisterScalableTargetOutput{ScalableTargetARN: aws.String(arn)}, nil
	})
}

// PutScalingPolicy makes or replaces a policy of a registered target.
func (s *Scaling) PutScalingPolicy(_ context.Context, in *scaling.PutScalingPolicyInput) (*scaling.PutScalingPolicyOutput, error) {
	return over(s.cable, "application-autoscaling:PutScalingPolicy", func() (*scaling.PutScalingPolicyOutput, error) {
		if s.targets[*in.ResourceId] == nil || s.unsettled(*in.ResourceId) {
			return nil, refuse("ObjectNotFoundException", "No scalable target registered for service namespace: ecs, resource ID: %s",
				*in.ResourceId)
		}
		s.policies[*in.ResourceId+"/"+*in.PolicyName] = &scaling.Policy{
			PolicyName: in.PolicyName, PolicyType: in.PolicyType, ResourceId: in.ResourceId, ServiceNamespace: in.ServiceNamespace,
			ScalableDimension: in.ScalableDimension, TargetTrackingScalingPolicyConfiguration: in.TargetTrackingScalingPolicyConfiguration,
		}
		return &scaling.PutScalingPolicyOutput{}, nil
	})
}

// DeregisterScalableTarget deletes a target with its policies; what is not there fails.
func (s *Scaling) DeregisterScalableTarget(
	_ context.Context, in *scaling.DeregisterScalableTargetInput,
) (*scaling.DeregisterScalableTargetOutput, error) {
	return over(s.cable, "application-autoscaling:DeregisterScalableTarget", func() (*scaling.DeregisterScalableTargetOutput, error) {
		if s.targets[*in.ResourceId] == nil {
			return nil, refuse("ObjectNotFoundException", "No scalable target found")
		}
		delete(s.targets, *in.ResourceId)
		for key, p := range s.policies {
			if *p.ResourceId == *in.ResourceId {
				delete(s.policies, key)
			}
		}
		return &scaling.DeregisterScalableTargetOutput{}, nil
	})
}
