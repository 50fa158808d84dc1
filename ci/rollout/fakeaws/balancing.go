package fakeaws

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
)

var reads = regexp.MustCompile(`:(Describe|List|Get|Simulate)`)

// Balancing is Elastic Load Balancing. Its methods are those of the client.
type Balancing struct {
	cable     *cable
	balancers map[string]*types.LoadBalancer
	groups    map[string]*types.TargetGroup
	listeners map[string]*types.Listener
	rules     map[string]*types.Rule
	// attributes and tags are by ARN.
	attributes map[string]map[string]string
	tags       map[string][]types.Tag
	ruleOwner  map[string]string
	number     int
	// Host, when set, makes the DNS name of a new load balancer.
	Host func(name string) string
	// used reports whether a service uses a target group.
	used func(group string) bool
	// health are the targets of a group, which are a service's tasks.
	health func(group string) []types.TargetHealthDescription
}

const elbARN = "arn:aws:elasticloadbalancing:ap-south-1:111122223333:"

func (b *Balancing) clear() {
	b.balancers, b.groups = map[string]*types.LoadBalancer{}, map[string]*types.TargetGroup{}
	b.listeners, b.rules = map[string]*types.Listener{}, map[string]*types.Rule{}
	b.attributes, b.tags, b.ruleOwner = map[string]map[string]string{}, map[string][]types.Tag{}, map[string]string{}
}

func (b *Balancing) id() string {
	b.number++
	return fmt.Sprintf("%016x", b.number)
}

// Retag gives a thing other tags, as another owner would.
func (b *Balancing) Retag(arn string, tags ...types.Tag) { b.tags[arn] = tags }

// Weigh sets the weights of every rule, as ECS does: the first target group's and the others'.
func (b *Balancing) Weigh(weights ...int32) {
	for _, rule := range b.rules {
		for n := range rule.Actions[0].ForwardConfig.TargetGroups {
			rule.Actions[0].ForwardConfig.TargetGroups[n].Weight = aws.Int32(weights[n])
		}
	}
}

// attached reports whether a listener or a rule forwards to a target group. A group that is not here
// was given, and is taken for attached.
func (b *Balancing) attached(group string) bool {
	return !b.hasARN(&group) || len(b.balancersOf(group)) > 0
}

// balancersOf are the load balancers that forward to a target group.
func (b *Balancing) balancersOf(group string) []string {
	var all []string
	look := func(listener string, actions []types.Action) {
		if l := b.listeners[listener]; l != nil && slices.ContainsFunc(actions, func(action types.Action) bool {
			return aws.ToString(action.TargetGroupArn) == group || action.ForwardConfig != nil && slices.ContainsFunc(action.ForwardConfig.TargetGroups,
				func(t types.TargetGroupTuple) bool { return aws.ToString(t.TargetGroupArn) == group })
		}) && !slices.Contains(all, *l.LoadBalancerArn) {
			all = append(all, *l.LoadBalancerArn)
		}
	}
	for arn, rule := range b.rules {
		look(b.ruleOwner[arn], rule.Actions)
	}
	for arn, listener := range b.listeners {
		look(arn, listener.DefaultActions)
	}
	return all
}

// DescribeLoadBalancers fails when one of the names is not there.
func (b *Balancing) DescribeLoadBalancers(_ context.Context, in *elb.DescribeLoadBalancersInput) (*elb.DescribeLoadBalancersOutput, error) {
	return over(b.cable, "elb:DescribeLoadBalancers", func() (*elb.DescribeLoadBalancersOutput, error) {
		out := &elb.DescribeLoadBalancersOutput{}
		for _, lb := range values(b.balancers) {
			if slices.Contains(in.Names, *lb.LoadBalancerName) {
				out.LoadBalancers = append(out.LoadBalancers, *lb)
			}
		}
		if len(out.LoadBalancers) < len(in.Names) {
			return nil, refuse("LoadBalancerNotFound", "Load balancers '%v' not found", in.Names)
		}
		return out, nil
	})
}

// DescribeLoadBalancerAttributes lists them, with defaults of AWS.
func (b *Balancing) DescribeLoadBalancerAttributes(_ context.Context, in *elb.DescribeLoadBalancerAttributesInput) (*elb.DescribeLoadBalancerAttributesOutput, error) {
	return over(b.cable, "elb:DescribeLoadBalancerAttributes", func() (*elb.DescribeLoadBalancerAttributesOutput, error) {
		out := &elb.DescribeLoadBalancerAttributesOutput{Attributes: []types.LoadBalancerAttribute{{Key: aws.String("routing.http2.enabled"),
			Value: aws.String("true")}}}
		for key, value := range b.attributes[*in.LoadBalancerArn] {
			out.Attributes = append(out.Attributes, types.LoadBalancerAttribute{Key: aws.String(key), Value: aws.String(value)})
		}
		return out, nil
	})
}

// DescribeTargetGroups fails when one of the names or ARNs is not there.
func (b *Balancing) DescribeTargetGroups(_ context.Context, in *elb.DescribeTargetGroupsInput) (*elb.DescribeTargetGroupsOutput, error) {
	return over(b.cable, "elb:DescribeTargetGroups", func() (*elb.DescribeTargetGroupsOutput, error) {
		out := &elb.DescribeTargetGroupsOutput{}
		for _, group := range values(b.groups) {
			if slices.Contains(in.Names, *group.TargetGroupName) || slices.Contains(in.TargetGroupArns, *group.TargetGroupArn) {
				described := *group
				described.LoadBalancerArns = b.balancersOf(*group.TargetGroupArn)
				out.TargetGroups = append(out.TargetGroups, described)
			}
		}
		if len(out.TargetGroups) < len(in.Names)+len(in.TargetGroupArns) {
			return nil, refuse("TargetGroupNotFound", "One or more target groups not found")
		}
		return out, nil
	})
}

// DescribeTargetGroupAttributes lists them.
func (b *Balancing) DescribeTargetGroupAttributes(_ context.Context, in *elb.DescribeTargetGroupAttributesInput) (*elb.DescribeTargetGroupAttributesOutput, error) {
	return over(b.cable, "elb:DescribeTargetGroupAttributes", func() (*elb.DescribeTargetGroupAttributesOutput, error) {
		out := &elb.DescribeTargetGroupAttributesOutput{}
		for key, value := range b.attributes[*in.TargetGroupArn] {
			out.Attributes = append(out.Attributes, types.TargetGroupAttribute{Key: aws.String(key), Value: aws.String(value)})
		}
		return out, nil
	})
}

// DescribeListeners lists those of a load balancer.
func (b *Balancing) DescribeListeners(_ context.Context, in *elb.DescribeListenersInput) (*elb.DescribeListenersOutput, error) {
	return over(b.cable, "elb:DescribeListeners", func() (*elb.DescribeListenersOutput, error) {
		out := &elb.DescribeListenersOutput{}
		for _, l := range values(b.listeners) {
			if *l.LoadBalancerArn == *in.LoadBalancerArn {
				out.Listeners = append(out.Listeners, *l)
			}
		}
		return out, nil
	})
}

// DescribeRules lists those of a listener two a page, with its default action as the last.
func (b *Balancing) DescribeRules(_ context.Context, in *elb.DescribeRulesInput) (*elb.DescribeRulesOutput,
	error) {
	return over(b.cable, "elb:DescribeRules", func() (*elb.DescribeRulesOutput, error) {
		out := &elb.DescribeRulesOutput{}
		for _, arn := range slices.Sorted(maps.Keys(b.rules)) {
			if b.ruleOwner[arn] == *in.ListenerArn {
				out.Rules = append(out.Rules, *b.rules[arn])
			}
		}
		out.Rules = append(out.Rules, types.Rule{Priority: aws.String("default"), IsDefault: aws.Bool(true)})
		const page = 2
		from, _ := strconv.Atoi(aws.ToString(in.Marker))
		if from+page < len(out.Rules) {
			out.NextMarker = aws.String(strconv.Itoa(from + page))
		}
		out.Rules = out.Rules[from:min(from+page, len(out.Rules))]
		return out, nil
	})
}

// DescribeTags describes up to 20 things.
func (b *Balancing) DescribeTags(_ context.Context, in *elb.DescribeTagsInput) (*elb.DescribeTagsOutput, error) {
	return over(b.cable, "elb:DescribeTags", func() (*elb.DescribeTagsOutput, error) {
		if len(in.ResourceArns) > 20 {
			return nil, refuse("ValidationError", "at most 20 resources can be described at once")
		}
		out := &elb.DescribeTagsOutput{}
		for _, arn := range in.ResourceArns {
			out.TagDescriptions = append(out.TagDescriptions, types.TagDescription{ResourceArn: aws.String(arn), Tags: b.tags[arn]})
		}
		return out, nil
	})
}
