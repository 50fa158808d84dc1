package fakeaws

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
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
	// scheduled are the scheduled actions of each resource.
	scheduled map[string][]scaling.ScheduledAction
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
	s.changed, s.scheduled = map[string]time.Time{}, map[string][]scaling.ScheduledAction{}
}

// Schedule makes a scheduled action of a resource, as somebody else would, and carries it out: it sets
// the bounds of the target that are given.
func (s *Scaling) Schedule(resource, name string, fewest, most *int32) {
	s.scheduled[resource] = append(s.scheduled[resource], scaling.ScheduledAction{ScheduledActionName: aws.String(name),
		ScalableTargetAction: &scaling.ScalableTargetAction{MinCapacity: fewest, MaxCapacity: most}})
	if fewest != nil {
		s.targets[resource].MinCapacity = fewest
	}
	if most != nil {
		s.targets[resource].MaxCapacity = most
	}
}

func (s *Scaling) unsettled(id string) bool {
	at, changed := s.changed[id]
	return changed && s.cable.clock.Now().Sub(at) < s.Settles
}

// scalableARN is the ARN of a resource's target, which ends in an id of AWS's own (API reference,
// ListTagsForResource, ResourceARN).
func scalableARN(resource string) string {
	sum := sha256.Sum256([]byte(resource))
	return "arn:aws:application-autoscaling:ap-south-1:111122223333:scalable-target/" + hex.EncodeToString(sum[:17])
}

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

// scalingPage is how many policies or actions a page has: "up to 10 results" (API reference,
// DescribeScalingPolicies, MaxResults).
const scalingPage = 10

// scalingPageOf is the page of a list that a token begins, and the token of the next.
func scalingPageOf[T any](all []T, token *string) ([]T, *string) {
	from, _ := strconv.Atoi(aws.ToString(token))
	end := min(from+scalingPage, len(all))
	if end == len(all) {
		return all[from:], nil
	}
	return all[from:end], aws.String(strconv.Itoa(end))
}

// DescribeScheduledActions describes those of a resource.
func (s *Scaling) DescribeScheduledActions(
	_ context.Context, in *scaling.DescribeScheduledActionsInput,
) (*scaling.DescribeScheduledActionsOutput, error) {
	return over(s.cable, "application-autoscaling:DescribeScheduledActions", func() (*scaling.DescribeScheduledActionsOutput, error) {
		out := &scaling.DescribeScheduledActionsOutput{}
		out.ScheduledActions, out.NextToken = scalingPageOf(s.scheduled[*in.ResourceId], in.NextToken)
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
		out.ScalingPolicies, out.NextToken = scalingPageOf(out.ScalingPolicies, in.NextToken)
		return out, nil
	})
}

// ListTagsForResource lists a target's tags.
func (s *Scaling) ListTagsForResource(_ context.Context, in *scaling.ListTagsForResourceInput) (*scaling.ListTagsForResourceOutput, error) {
	return over(s.cable, "application-autoscaling:ListTagsForResource", func() (*scaling.ListTagsForResourceOutput, error) {
		return &scaling.ListTagsForResourceOutput{Tags: s.tags[*in.ResourceARN]}, nil
	})
}

// RegisterScalableTarget makes or changes one; the service must be there. A bound of an existing
// target that is not given stays.
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
		arn := scalableARN(id)
		old := s.targets[id]
		switch {
		case old == nil && (in.MinCapacity == nil || in.MaxCapacity == nil):
			return nil, refuse("ValidationException", "MinCapacity and MaxCapacity are required when registering a new scalable target")
		case old == nil:
			old, s.tags[arn] = &scaling.ScalableTarget{}, in.Tags
		}
		s.targets[id] = &scaling.ScalableTarget{
			ResourceId: in.ResourceId, ServiceNamespace: in.ServiceNamespace, ScalableDimension: in.ScalableDimension,
			MinCapacity: cmp.Or(in.MinCapacity, old.MinCapacity), MaxCapacity: cmp.Or(in.MaxCapacity, old.MaxCapacity),
			ScalableTargetARN: aws.String(arn),
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
		arn := strings.Replace(scalableARN(*in.ResourceId), "scalable-target/", "scalingPolicy:", 1) + ":policyName/" + *in.PolicyName
		return &scaling.PutScalingPolicyOutput{PolicyARN: aws.String(arn)}, nil
	})
}

// DeregisterScalableTarget deletes a target with its policies and scheduled actions; what is not there fails.
func (s *Scaling) DeregisterScalableTarget(
	_ context.Context, in *scaling.DeregisterScalableTargetInput,
) (*scaling.DeregisterScalableTargetOutput, error) {
	return over(s.cable, "application-autoscaling:DeregisterScalableTarget", func() (*scaling.DeregisterScalableTargetOutput, error) {
		if s.targets[*in.ResourceId] == nil {
			return nil, refuse("ObjectNotFoundException", "No scalable target found")
		}
		delete(s.targets, *in.ResourceId)
		delete(s.scheduled, *in.ResourceId)
		for key, p := range s.policies {
			if *p.ResourceId == *in.ResourceId {
				delete(s.policies, key)
			}
		}
		return &scaling.DeregisterScalableTargetOutput{}, nil
	})
}
