package ensure

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
)

// balancing is what exists between the users and the tasks; what does not exist is nil.
type balancing struct {
	balancer *types.LoadBalancer
	groups   map[string]*types.TargetGroup
	// listeners are all of the load balancer; listener is the service's.
	listeners []types.Listener
	listener  *types.Listener
	rule      *types.Rule
	// tags are by ARN.
	tags map[string]map[string]string
}

// balancers looks at the load balancer, its listeners, its rule and its target groups.
type balancers struct{ *State }

func (s balancers) findBalancing(ctx context.Context) (*balancing, error) {
	want := s.plan.LoadBalancer
	b := &balancing{groups: map[string]*types.TargetGroup{}, tags: map[string]map[string]string{}}
	var arns []string
	for _, group := range want.TargetGroups {
		out, err := s.clients.Balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{Names: []string{*group.Name}})
		if err != nil && !is(err, "TargetGroupNotFound") {
			return nil, fmt.Errorf("describe target group %s: %w", *group.Name, err)
		}
		if err == nil && len(out.TargetGroups) == 0 {
			return nil, fmt.Errorf("describe target group %s: %w", *group.Name, ErrUnnamed)
		}
		if err == nil {
			b.groups[*group.Name] = &out.TargetGroups[0]
			arns = append(arns, aws.ToString(out.TargetGroups[0].TargetGroupArn))
		}
	}
	name := *want.LoadBalancer.Name
	out, err := s.clients.Balancing.DescribeLoadBalancers(ctx, &elb.DescribeLoadBalancersInput{Names: []string{name}})
	if err != nil && !is(err, "LoadBalancerNotFound") {
		return nil, fmt.Errorf("describe load balancer %s: %w", name, err)
	}
	if err == nil && len(out.LoadBalancers) == 0 {
		return nil, fmt.Errorf("describe load balancer %s: %w", name, ErrUnnamed)
	}
	if err == nil {
		b.balancer = &out.LoadBalancers[0]
		arns = append(arns, aws.ToString(b.balancer.LoadBalancerArn))
		listeners, err := s.clients.Balancing.DescribeListeners(ctx, &elb.DescribeListenersInput{LoadBalancerArn: b.balancer.LoadBalancerArn})
		if err != nil {
			return nil, fmt.Errorf("describe listeners: %w", err)
		}
		b.listeners = listeners.Listeners
		for aws.ToString(listeners.NextMarker) != "" {
			listeners, err = s.clients.Balancing.DescribeListeners(ctx,
				&elb.DescribeListenersInput{LoadBalancerArn: b.balancer.LoadBalancerArn, Marker: listeners.NextMarker})
			if err != nil {
				return nil, fmt.Errorf("describe listeners: %w", err)
			}
			b.listeners = append(b.listeners, listeners.Listeners...)
		}
		for _, l := range b.listeners {
			arns = append(arns, *l.ListenerArn)
		}
	}
	if err := s.findTags(ctx, b, arns); err != nil {
		return nil, err
	}
	if b.listener = s.chooseListener(b); b.listener == nil {
		return b, nil
	}
	in := &elb.DescribeRulesInput{ListenerArn: b.listener.ListenerArn}
	for {
		rules, err := s.clients.Balancing.DescribeRules(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("describe rules: %w", err)
		}
		for _, r := range rules.Rules {
			if aws.ToString(r.Priority) == strconv.Itoa(int(*want.Rule.Priority)) {
				b.rule = &r
				return b, s.findTags(ctx, b, []string{*r.RuleArn})
			}
		}
		if in.Marker = rules.NextMarker; aws.ToString(in.Marker) == "" {
			return b, nil
		}
	}
}

// ErrUnnamed is for an answer without what the call names: Elastic Load Balancing describes it, or refuses the call (API
// reference, DescribeLoadBalancers, LoadBalancerNotFound). What answers without either is not AWS.
var ErrUnnamed = errors.New("the answer does not have what was asked for; run it again")

// mostTagged is how many resources one call of DescribeTags takes.
const mostTagged = 20

func (s balancers) findTags(ctx context.Context, b *balancing, arns []string) error {
	for chunk := range slices.Chunk(arns, mostTagged) {
		tags, err := s.clients.Balancing.DescribeTags(ctx, &elb.DescribeTagsInput{ResourceArns: chunk})
		if err != nil {
			return fmt.Errorf("describe tags of load balancer %s: %w", *s.plan.LoadBalancer.LoadBalancer.Name, err)
		}
		for _, d := range tags.TagDescriptions {
			of := map[string]string{}
			for _, t := range d.Tags {
				of[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			b.tags[aws.ToString(d.ResourceArn)] = of
		}
		for _, arn := range chunk {
			if b.tags[arn] == nil { // it would be taken for somebody else's
				return fmt.Errorf("describe tags of %s: %w", arn, ErrUnnamed)
			}
		}
	}
	return nil
}

// learn resolves references to a load balancer or target group.
func (s balancers) learn(kind, name, arn string) {
	s.known[rollout.ARN(kind, name)] = arn
	// CloudWatch's names: app/name/id for a load balancer, targetgroup/name/id for a group.
	_, dimension, _ := strings.Cut(arn, ":loadbalancer/")
	if kind == "target-group" {
		dimension = arn[strings.LastIndexByte(arn, ':')+1:]
	}
	s.known[rollout.Dimension(kind, name)] = dimension
}

func (s balancers) lookAtBalancing(ctx context.Context) error {
	if !s.plan.Balanced() {
		return nil
	}
	found, err := s.findBalancing(ctx)
	if err != nil {
		return err
	}
	if err := s.lookAtBalancer(ctx, found); err != nil {
		return err
	}
	for n := range s.plan.LoadBalancer.TargetGroups {
		if err := s.lookAtGroup(ctx, found, n); err != nil {
			return err
		}
	}
	s.compareListener(found)
	s.compareRedirect(found)
	s.compareRule(found)
	return nil
}

func (s balancers) lookAtBalancer(ctx context.Context, found *balancing) error {
	want, attributes := s.plan.LoadBalancer.LoadBalancer, s.plan.LoadBalancer.Attributes
	i := s.add("load balancer", *want.Name)
	client := s.clients.Balancing
	modify := func(ctx context.Context) error {
		_, err := client.ModifyLoadBalancerAttributes(ctx, resolve(s.State, attributes))
		return err
	}
	have := found.balancer
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error {
			out, err := client.CreateLoadBalancer(ctx, want)
			if err != nil {
				return err
			}
			arn, err := arnOf(out.LoadBalancers, func(made types.LoadBalancer) *string { return made.LoadBalancerArn })
			if err != nil {
				return err
			}
			s.learn("load-balancer", *want.Name, arn)
			s.balancer = aws.ToString(out.LoadBalancers[0].DNSName)
			return modify(ctx)
		}
		return nil
	}
	arn := *have.LoadBalancerArn
	s.learn("load-balancer", *want.Name, arn)
	s.balancer = aws.ToString(have.DNSName)
	if !s.own(i, found.tags[arn]) {
		return nil
	}
	is := &elb.CreateLoadBalancerInput{Name: have.LoadBalancerName, Type: have.Type, Scheme: have.Scheme, IpAddressType: have.IpAddressType,
		SecurityGroups: have.SecurityGroups}
	for _, zone := range have.AvailabilityZones {
		is.Subnets = append(is.Subnets, aws.ToString(zone.SubnetId))
	}
	shape := compare(wire.Encode(is), wire.Encode(want))
	i.differs(shape, "Scheme", "Type", "IpAddressType")
	out, err := client.DescribeLoadBalancerAttributes(ctx, &elb.DescribeLoadBalancerAttributesInput{LoadBalancerArn: have.LoadBalancerArn})
	if err != nil {
		return fmt.Errorf("describe attributes of load balancer %s: %w", *want.Name, err)
	}
	attributes = i.keepProtection(out.Attributes, attributes)
	options := compare(wire.Encode(out), wire.Encode(&elb.ModifyLoadBalancerAttributesInput{Attributes: attributes.Attributes}))
	i.differs(options)
	i.write = func(ctx context.Context) error {
		if touches(shape, "Subnets") {
			if _, err := client.SetSubnets(ctx, &elb.SetSubnetsInput{LoadBalancerArn: &arn, Subnets: want.Subnets}); err != nil {
				return err
			}
		}
		if touches(shape, "SecurityGroups") {
			if _, err := client.SetSecurityGroups(ctx, &elb.SetSecurityGroupsInput{LoadBalancerArn: &arn,
				SecurityGroups: want.SecurityGroups}); err != nil {
				return err
			}
		}
		if len(options) > 0 {
			return modify(ctx)
		}
		return nil
	}
	return nil
}

func touches(all []Difference, member string) bool {
	return slices.ContainsFunc(all, func(d Difference) bool {
		return topMember(d.Path) == member
	})
}

// topMember is the first member of a path such as a.b[0].
func topMember(path string) string {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return path
}

func (s balancers) lookAtGroup(ctx context.Context, found *balancing, n int) error {
	want, attributes := s.plan.LoadBalancer.TargetGroups[n], s.plan.LoadBalancer.TargetGroupAttributes[n]
	i := s.add("target group", *want.Name)
	client := s.clients.Balancing
	modify := func(ctx context.Context) error {
		_, err := client.ModifyTargetGroupAttributes(ctx, resolve(s.State, attributes))
		return err
	}
	have := found.groups[*want.Name]
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error {
			out, err := client.CreateTargetGroup(ctx, want)
			if err != nil {
				return err
			}
			arn, err := arnOf(out.TargetGroups, func(made types.TargetGroup) *string { return made.TargetGroupArn })
			if err != nil {
				return err
			}
			s.learn("target-group", *want.Name, arn)
			return modify(ctx)
		}
		return nil
	}
	s.learn("target-group", *want.Name, *have.TargetGroupArn)
	if !s.own(i, found.tags[*have.TargetGroupArn]) {
		return nil
	}
	encoded, _ := wire.Encode(have).(map[string]any)
	encoded["Name"] = encoded["TargetGroupName"]
	checks := compare(encoded, wire.Encode(want))
	i.differs(checks, "Port", "Protocol", "ProtocolVersion", "VpcId", "TargetType", "IpAddressType")
	out, err := client.DescribeTargetGroupAttributes(ctx, &elb.DescribeTargetGroupAttributesInput{TargetGroupArn: have.TargetGroupArn})
	if err != nil {
		return fmt.Errorf("describe attributes of target group %s: %w", *want.Name, err)
	}
	options := compare(wire.Encode(out), wire.Encode(&elb.ModifyTargetGroupAttributesInput{Attributes: attributes.Attributes}))
	i.differs(options)
	if s.serves(found, n) {
		// The old version answers to the old checks. Where the new one has a group of its own,
		// this one is changed when it is left; else it is changed back when the old one stays.
		i.when = late
		if s.plan.Service.LoadBalancers[0].AdvancedConfiguration == nil {
			i.when = soon
			i.back = func(ctx context.Context) error {
				return setGroup(ctx, client, have, formerAttributes(have, out.Attributes, attributes.Attributes), len(checks) > 0, len(options) > 0)
			}
		}
	}
	i.write = func(ctx context.Context) error {
		to := *have
		to.HealthCheckEnabled, to.HealthCheckPath, to.HealthCheckPort = want.HealthCheckEnabled, want.HealthCheckPath, want.HealthCheckPort
		to.HealthCheckProtocol, to.Matcher = want.HealthCheckProtocol, want.Matcher
		to.HealthCheckIntervalSeconds, to.HealthCheckTimeoutSeconds = want.HealthCheckIntervalSeconds, want.HealthCheckTimeoutSeconds
		to.HealthyThresholdCount, to.UnhealthyThresholdCount = want.HealthyThresholdCount, want.UnhealthyThresholdCount
		return setGroup(ctx, client, &to, resolve(s.State, attributes), len(checks) > 0, len(options) > 0)
	}
	return nil
}

// setGroup gives a target group its health check and its attributes, where they are to change.
func setGroup(ctx context.Context, client Balancing, to *types.TargetGroup, attributes *elb.ModifyTargetGroupAttributesInput,
	checks, options bool) error {
	if checks {
		if _, err := client.ModifyTargetGroup(ctx, &elb.ModifyTargetGroupInput{
			TargetGroupArn: to.TargetGroupArn, HealthCheckEnabled: to.HealthCheckEnabled, HealthCheckPath: to.HealthCheckPath,
			HealthCheckPort: to.HealthCheckPort, HealthCheckProtocol: to.HealthCheckProtocol, Matcher: to.Matcher,
			HealthCheckIntervalSeconds: to.HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds: to.HealthCheckTimeoutSeconds,
			HealthyThresholdCount: to.HealthyThresholdCount, UnhealthyThresholdCount: to.UnhealthyThresholdCount,
		}); err != nil {
			return err
		}
	}
	if options {
		_, err := client.ModifyTargetGroupAttributes(ctx, attributes)
		return err
	}
	return nil
}

// formerAttributes are those that a group had of the ones that are to be set.
func formerAttributes(group *types.TargetGroup, had, set []types.TargetGroupAttribute) *elb.ModifyTargetGroupAttributesInput {
	former := &elb.ModifyTargetGroupAttributesInput{TargetGroupArn: group.TargetGroupArn}
	for _, attribute := range had {
		if slices.ContainsFunc(set, func(other types.TargetGroupAttribute) bool {
			return aws.ToString(other.Key) == aws.ToString(attribute.Key)
		}) {
			former.Attributes = append(former.Attributes, attribute)
		}
	}
	return former
}

// serves reports whether the n-th group has the traffic of a running service: the rule's weights,
// which are ECS's, say which one has.
func (s balancers) serves(found *balancing, n int) bool {
	if s.service == nil || s.service.RunningCount == 0 || found.rule == nil {
		return false
	}
	weights := map[string]int32{}
	for _, action := range found.rule.Actions {
		if action.ForwardConfig != nil {
			for _, group := range action.ForwardConfig.TargetGroups {
				weights[aws.ToString(group.TargetGroupArn)] = aws.ToInt32(group.Weight)
			}
		}
	}
	mine := weights[aws.ToString(found.groups[*s.plan.LoadBalancer.TargetGroups[n].Name].TargetGroupArn)]
	for _, weight := range weights {
		if weight > mine {
			return false
		}
	}
	return mine > 0
}
