package ensure

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
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

// scalingPolicies are all policies of the target, by name.
func (s scalers) scalingPolicies(ctx context.Context) (map[string]scaling.Policy, error) {
	target, all := s.plan.Scaling.Target, map[string]scaling.Policy{}
	in := &scaling.DescribeScalingPoliciesInput{ServiceNamespace: target.ServiceNamespace, ResourceId: target.ResourceId,
		ScalableDimension: target.ScalableDimension}
	for {
		out, err := s.clients.Scaling.DescribeScalingPolicies(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describe scaling policies of %s: %w", *target.ResourceId, err)
		}
		for _, policy := range out.ScalingPolicies {
			all[aws.ToString(policy.PolicyName)] = policy
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return all, nil
		}
	}
}

// scheduledActions are all scheduled actions of the target.
func (s scalers) scheduledActions(ctx context.Context) ([]scaling.ScheduledAction, error) {
	target := s.plan.Scaling.Target
	var all []scaling.ScheduledAction
	in := &scaling.DescribeScheduledActionsInput{ServiceNamespace: target.ServiceNamespace, ResourceId: target.ResourceId,
		ScalableDimension: target.ScalableDimension}
	for {
		out, err := s.clients.Scaling.DescribeScheduledActions(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describe scheduled actions of %s: %w", *target.ResourceId, err)
		}
		all = append(all, out.ScheduledActions...)
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			return all, nil
		}
	}
}

// compareTarget compares the bounds of an existing target with the plan, and returns what to register.
// A bound that somebody's scheduled action sets is not written: it is the schedule's by the hour, and
// to put it back to the plan's would take tasks away in the middle of the day.
func (s scalers) compareTarget(ctx context.Context, i *item, have *scaling.ScalableTarget) (*scaling.RegisterScalableTargetInput, error) {
	want := *s.plan.Scaling.Target
	differences := compare(wire.Encode(have), wire.Encode(&want))
	if len(differences) == 0 {
		return &want, nil
	}
	actions, err := s.scheduledActions(ctx)
	if err != nil {
		return nil, err
	}
	var kept []string
	for _, action := range actions {
		if sets := action.ScalableTargetAction; sets != nil && (sets.MinCapacity != nil || sets.MaxCapacity != nil) {
			// What is omitted stays as it is (API reference, RegisterScalableTarget).
			if sets.MinCapacity != nil {
				want.MinCapacity = nil
			}
			if sets.MaxCapacity != nil {
				want.MaxCapacity = nil
			}
			kept = append(kept, aws.ToString(action.ScheduledActionName))
		}
	}
	i.differs(compare(wire.Encode(have), wire.Encode(&want)))
	if len(kept) > 0 {
		i.Note = fmt.Sprintf("%d to %d tasks now; scheduled scaling sets that, which is kept: %s", aws.ToInt32(have.MinCapacity),
			aws.ToInt32(have.MaxCapacity), strings.Join(kept, ", "))
	}
	return &want, nil
}

// lookAtScaling compares the scalable target and its two policies with the plan. Other
// policies of the target, and the alarms that target tracking creates, are ignored.
func (s scalers) lookAtScaling(ctx context.Context) error {
	want := s.plan.Scaling
	i := s.add("scalable target", *want.Target.ResourceId)
	i.when = late
	target := want.Target
	i.write = func(ctx context.Context) error {
		_, err := s.clients.Scaling.RegisterScalableTarget(ctx, target)
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
			if target, err = s.compareTarget(ctx, i, have); err != nil {
				return err
			}
		}
		if policies, err = s.scalingPolicies(ctx); err != nil {
			return err
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
