package ensure

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/rollout/wire"
)

// scalers looks at the scalable target and its policies.
type scalers struct{ *State }

// scalableTarget is nil when it does not exist.
func (s scalers) scalableTarget(ctx context.Context) (*scaling.ScalableTarget, error) {
	want := s.plan.Scaling.Target
	out, err := s.clients.Scaling.DescribeScalableTargets(ctx, &scaling.DescribeScalableTargetsInput{
		ServiceNamespace: want.ServiceNamespace, ResourceIds: []string{*want.ResourceId}, ScalableDimension: want.ScalableDimension,
	})
	if err != nil {
		return nil, fmt.Errorf("describe scalable target %s: %w", *want.ResourceId, err)
	}
	if len(out.ScalableTargets) == 0 {
		return nil, nil
	}
	return &out.ScalableTargets[0], nil
}

func (s scalers) targetTags(ctx context.Context, target *scaling.ScalableTarget) (map[string]string, error) {
	out, err := s.clients.Scaling.ListTagsForResource(ctx, &scaling.ListTagsForResourceInput{ResourceARN: target.ScalableTargetARN})
	if err != nil {
		return nil, fmt.Errorf("list tags of scalable target %s: %w", aws.ToString(target.ResourceId), err)
	}
	return out.Tags, nil
}

// lookAtScaling compares the scalable target and its two policies with the plan. Other
// policies of the target, and the alarms that target tracking creates, are ignored.
func (s scalers) lookAtScaling(ctx context.Context) error {
	want := s.plan.Scaling
	i := s.add("scalable target", *want.Target.ResourceId)
	i.when = late
	i.write = func(ctx context.Context) error {
		_, err := s.clients.Scaling.RegisterScalableTarget(ctx, want.Target)
		return err
	}
	have, err := s.scalableTarget(ctx)
	if err != nil {
		return err
	}
	policies := map[string]scaling.Policy{}
	if have == nil {
		i.Action = Create
	} else {
		tags, err := s.targetTags(ctx, have)
		if err != nil {
			return err
		}
		if s.own(i, tags) {
			i.differs(compare(wire.Encode(have), wire.Encode(want.Target)))
		}
		out, err := s.clients.Scaling.DescribeScalingPolicies(ctx, &scaling.DescribeScalingPoliciesInput{
			ServiceNamespace: want.Target.ServiceNamespace, ResourceId: want.Target.ResourceId, ScalableDimension: want.Target.ScalableDimension,
		})
		if err != nil {
			return fmt.Errorf("describe scaling policies of %s: %w", *want.Target.ResourceId, err)
		}
		for _, policy := range out.ScalingPolicies {
			policies[aws.ToString(policy.PolicyName)] = policy
		}
	}
	for _, policy := range want.Policies {
		p := s.add("scaling policy", *policy.PolicyName)
		p.when = late
		p.write = func(ctx context.Context) error {
			_, err := s.clients.Scaling.PutScalingPolicy(ctx, policy)
			return err
		}
		if there, exists := policies[*policy.PolicyName]; exists {
			p.differs(compare(wire.Encode(&there), wire.Encode(policy)))
		} else {
			p.Action = Create
		}
	}
	return nil
}
