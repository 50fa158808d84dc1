package fakeaws

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
)

// CreateLoadBalancer is idempotent as long as the settings are the same.
func (b *Balancing) CreateLoadBalancer(_ context.Context, in *elb.CreateLoadBalancerInput) (*elb.CreateLoadBalancerOutput, error) {
	return over(b.cable, "elb:CreateLoadBalancer", func() (*elb.CreateLoadBalancerOutput, error) {
		if b.balancers[*in.Name] != nil {
			return nil, refuse("DuplicateLoadBalancerName", "A load balancer with the same name '%s' exists, but with different settings", *in.Name)
		}
		lb := &types.LoadBalancer{
			LoadBalancerName: in.Name, LoadBalancerArn: aws.String(elbARN + "loadbalancer/app/" + *in.Name + "/" + b.id()), DNSName: aws.String(*in.Name + ".elb.amazonaws.com"),
			Scheme: in.Scheme, Type: in.Type, IpAddressType: in.IpAddressType, SecurityGroups: in.SecurityGroups, State: &types.LoadBalancerState{Code: types.LoadBalancerStateEnumProvisioning},
		}
		lb.AvailabilityZones = zones(in.Subnets)
		if b.Host != nil {
			lb.DNSName = aws.String(b.Host(*in.Name))
		}
		b.balancers[*in.Name], b.tags[*lb.LoadBalancerArn] = lb, in.Tags
		return &elb.CreateLoadBalancerOutput{LoadBalancers: []types.LoadBalancer{*lb}}, nil
	})
}

// zones are in AWS's own order, which is not the caller's.
func zones(subnets []string) []types.AvailabilityZone {
	var all []types.AvailabilityZone
	for _, subnet := range slices.Backward(subnets) {
		all = append(all, types.AvailabilityZone{SubnetId: aws.String(subnet)})
	}
	return all
}

// CreateTargetGroup makes one; a name is unique.
func (b *Balancing) CreateTargetGroup(_ context.Context, in *elb.CreateTargetGroupInput) (*elb.CreateTargetGroupOutput, error) {
	return over(b.cable, "elb:CreateTargetGroup", func() (*elb.CreateTargetGroupOutput, error) {
		if b.groups[*in.Name] != nil {
			return nil, refuse("DuplicateTargetGroupName", "A target group with the same name '%s' exists", *in.Name)
		}
		g := &types.TargetGroup{
			TargetGroupName: in.Name, TargetGroupArn: aws.String(elbARN + "targetgroup/" + *in.Name + "/" + b.id()),
			Port: in.Port, Protocol: in.Protocol, ProtocolVersion: in.ProtocolVersion, TargetType: in.TargetType, VpcId: in.VpcId, IpAddressType: in.IpAddressType,
			HealthCheckEnabled: in.HealthCheckEnabled, HealthCheckProtocol: in.HealthCheckProtocol, HealthCheckPort: in.HealthCheckPort, HealthCheckPath: in.HealthCheckPath,
			HealthCheckIntervalSeconds: in.HealthCheckIntervalSeconds, HealthCheckTimeoutSeconds: in.HealthCheckTimeoutSeconds,
			HealthyThresholdCount: in.HealthyThresholdCount, UnhealthyThresholdCount: in.UnhealthyThresholdCount, Matcher: in.Matcher,
		}
		b.groups[*in.Name], b.tags[*g.TargetGroupArn] = g, in.Tags
		return &elb.CreateTargetGroupOutput{TargetGroups: []types.TargetGroup{*g}}, nil
	})
}

func (b *Balancing) hasARN(arn *string) bool {
	for _, lb := range b.balancers {
		if *lb.LoadBalancerArn == aws.ToString(arn) {
			return true
		}
	}
	for _, g := range b.groups {
		if *g.TargetGroupArn == aws.ToString(arn) {
			return true
		}
	}
	return b.listeners[aws.ToString(arn)] != nil || b.rules[aws.ToString(arn)] != nil
}

// CreateListener makes one on a port that is free.
func (b *Balancing) CreateListener(_ context.Context, in *elb.CreateListenerInput) (*elb.CreateListenerOutput,
	error) {
	return over(b.cable, "elb:CreateListener", func() (*elb.CreateListenerOutput, error) {
		if !b.hasARN(in.LoadBalancerArn) {
			return nil, refuse("LoadBalancerNotFound", "Load balancer '%s' not found", *in.LoadBalancerArn)
		}
		for _, l := range b.listeners {
			if *l.LoadBalancerArn == *in.LoadBalancerArn && *l.Port == *in.Port {
				return nil, refuse("DuplicateListener", "A listener already exists on this port")
			}
		}
		if err := encrypted(in.Protocol, in.Certificates, nil); err != nil {
			return nil, err
		}
		arn := strings.Replace(*in.LoadBalancerArn, ":loadbalancer/", ":listener/", 1) + "/" + b.id()
		l := &types.Listener{
			ListenerArn: aws.String(arn), LoadBalancerArn: in.LoadBalancerArn, Port: in.Port, Protocol: in.Protocol,
			Certificates: in.Certificates, SslPolicy: in.SslPolicy, DefaultActions: in.DefaultActions,
		}
		b.listeners[arn], b.tags[arn] = l, in.Tags
		return &elb.CreateListenerOutput{Listeners: []types.Listener{*l}}, nil
	})
}

// encrypted refuses HTTPS without a certificate.
func encrypted(protocol types.ProtocolEnum, given, had []types.Certificate) error {
	if protocol == types.ProtocolEnumHttps && len(given) == 0 && len(had) == 0 {
		return refuse("CertificateNotFound", "A certificate must be specified for HTTPS listeners")
	}
	return nil
}

// CreateRule makes one at a priority that is free, and only to groups that exist.
func (b *Balancing) CreateRule(_ context.Context, in *elb.CreateRuleInput) (*elb.CreateRuleOutput, error) {
	return over(b.cable, "elb:CreateRule", func() (*elb.CreateRuleOutput, error) {
		if b.listeners[*in.ListenerArn] == nil {
			return nil, refuse("ListenerNotFound", "Listener '%s' not found", *in.ListenerArn)
		}
		priority := strconv.Itoa(int(*in.Priority))
		for arn, rule := range b.rules {
			if b.ruleOwner[arn] == *in.ListenerArn && *rule.Priority == priority {
				return nil, refuse("PriorityInUse", "Priority '%s' is currently in use", priority)
			}
		}
		if err := b.targets(in.Actions); err != nil {
			return nil, err
		}
		arn := strings.Replace(*in.ListenerArn, ":listener/", ":listener-rule/", 1) + "/" + b.id()
		rule := &types.Rule{RuleArn: aws.String(arn), Priority: aws.String(priority), Conditions: in.Conditions, Actions: in.Actions,
			IsDefault: aws.Bool(false)}
		b.rules[arn], b.ruleOwner[arn], b.tags[arn] = rule, *in.ListenerArn, in.Tags
		return &elb.CreateRuleOutput{Rules: []types.Rule{*rule}}, nil
	})
}

func (b *Balancing) targets(actions []types.Action) error {
	for _, action := range actions {
		if action.ForwardConfig == nil {
			continue
		}
		for _, group := range action.ForwardConfig.TargetGroups {
			if !b.hasARN(group.TargetGroupArn) {
				return refuse("TargetGroupNotFound", "One or more target groups not found")
			}
		}
	}
	return nil
}

// ModifyLoadBalancerAttributes sets those that are given.
func (b *Balancing) ModifyLoadBalancerAttributes(_ context.Context, in *elb.ModifyLoadBalancerAttributesInput) (*elb.ModifyLoadBalancerAttributesOutput, error) {
	return over(b.cable, "elb:ModifyLoadBalancerAttributes", func() (*elb.ModifyLoadBalancerAttributesOutput, error) {
		if !b.hasARN(in.LoadBalancerArn) {
			return nil, refuse("LoadBalancerNotFound", "not found")
		}
		for _, a := range in.Attributes {
			b.set(*in.LoadBalancerArn, *a.Key, *a.Value)
		}
		return &elb.ModifyLoadBalancerAttributesOutput{}, nil
	})
}

func (b *Balancing) set(arn, key, value string) {
	if b.attributes[arn] == nil {
		b.attributes[arn] = map[string]string{}
	}
	b.attributes[arn][key] = value
}

// given are the new values, or the old ones where none are given.
func given[T any](now, before []T) []T {
	if now == nil {
		return before
	}
	return now
}

// ModifyTargetGroup changes what is given of the health check.
func (b *Balancing) ModifyTargetGroup(_ context.Context, in *elb.ModifyTargetGroupInput) (*elb.ModifyTargetGroupOutput, error) {
	return over(b.cable, "elb:ModifyTargetGroup", func() (*elb.ModifyTargetGroupOutput, error) {
		for _, g := range b.groups {
			if *g.TargetGroupArn == *in.TargetGroupArn {
				g.HealthCheckEnabled, g.HealthCheckPath = cmp.Or(in.HealthCheckEnabled, g.HealthCheckEnabled), cmp.Or(in.HealthCheckPath, g.HealthCheckPath)
				g.HealthCheckPort = cmp.Or(in.HealthCheckPort, g.HealthCheckPort)
				g.HealthCheckProtocol = cmp.Or(in.HealthCheckProtocol, g.HealthCheckProtocol)
				g.HealthCheckIntervalSeconds = cmp.Or(in.HealthCheckIntervalSeconds, g.HealthCheckIntervalSeconds)
				g.HealthCheckTimeoutSeconds = cmp.Or(in.HealthCheckTimeoutSeconds, g.HealthCheckTimeoutSeconds)
				g.HealthyThresholdCount = cmp.Or(in.HealthyThresholdCount, g.HealthyThresholdCount)
				g.UnhealthyThresholdCount, g.Matcher = cmp.Or(in.UnhealthyThresholdCount, g.UnhealthyThresholdCount), cmp.Or(in.Matcher, g.Matcher)
			}
		}
		return &elb.ModifyTargetGroupOutput{}, nil
	})
}

// ModifyTargetGroupAttributes sets those that are given.
func (b *Balancing) ModifyTargetGroupAttributes(_ context.Context, in *elb.ModifyTargetGroupAttributesInput) (*elb.ModifyTargetGroupAttributesOutput, error) {
	return over(b.cable, "elb:ModifyTargetGroupAttributes", func() (*elb.ModifyTargetGroupAttributesOutput, error) {
		if !b.hasARN(in.TargetGroupArn) {
			return nil, refuse("TargetGroupNotFound", "not found")
		}
		for _, a := range in.Attributes {
			b.set(*in.TargetGroupArn, *a.Key, *a.Value)
		}
		return &elb.ModifyTargetGroupAttributesOutput{}, nil
	})
}

// ModifyListener changes what is given.
func (b *Balancing) ModifyListener(_ context.Context, in *elb.ModifyListenerInput) (*elb.ModifyListenerOutput,
	error) {
	return over(b.cable, "elb:ModifyListener", func() (*elb.ModifyListenerOutput, error) {
		l := b.listeners[*in.ListenerArn]
		if in.Port != nil {
			for _, other := range b.listeners {
				if other != l && *other.LoadBalancerArn == *l.LoadBalancerArn && *other.Port == *in.Port {
					return nil, refuse("DuplicateListener", "A listener already exists on this port")
				}
			}
			l.Port = in.Port
		}
		if err := encrypted(in.Protocol, in.Certificates, l.Certificates); err != nil {
			return nil, err
		}
		// "Any properties that you do not specify retain their current values"; changing the protocol to
		// HTTP removes "the security policy and default certificate properties" (API reference, ModifyListener).
		l.Protocol, l.SslPolicy = cmp.Or(in.Protocol, l.Protocol), cmp.Or(in.SslPolicy, l.SslPolicy)
		l.Certificates, l.DefaultActions = given(in.Certificates, l.Certificates), given(in.DefaultActions, l.DefaultActions)
		if l.Protocol == types.ProtocolEnumHttp {
			l.Certificates, l.SslPolicy = nil, nil
		}
		return &elb.ModifyListenerOutput{}, nil
	})
}

// ModifyRule changes what is given.
func (b *Balancing) ModifyRule(_ context.Context, in *elb.ModifyRuleInput) (*elb.ModifyRuleOutput, error) {
	return over(b.cable, "elb:ModifyRule", func() (*elb.ModifyRuleOutput, error) {
		if err := b.targets(in.Actions); err != nil {
			return nil, err
		}
		rule := b.rules[*in.RuleArn]
		rule.Conditions, rule.Actions = given(in.Conditions, rule.Conditions), given(in.Actions, rule.Actions)
		return &elb.ModifyRuleOutput{}, nil
	})
}

// SetSubnets replaces the subnets.
func (b *Balancing) SetSubnets(_ context.Context, in *elb.SetSubnetsInput) (*elb.SetSubnetsOutput, error) {
	return over(b.cable, "elb:SetSubnets", func() (*elb.SetSubnetsOutput, error) {
		for _, lb := range b.balancers {
			if *lb.LoadBalancerArn == *in.LoadBalancerArn {
				lb.AvailabilityZones = zones(in.Subnets)
			}
		}
		return &elb.SetSubnetsOutput{}, nil
	})
}

// SetSecurityGroups replaces the security groups.
func (b *Balancing) SetSecurityGroups(_ context.Context, in *elb.SetSecurityGroupsInput) (*elb.SetSecurityGroupsOutput, error) {
	return over(b.cable, "elb:SetSecurityGroups", func() (*elb.SetSecurityGroupsOutput, error) {
		for _, lb := range b.balancers {
			if *lb.LoadBalancerArn == *in.LoadBalancerArn {
				lb.SecurityGroups = in.SecurityGroups
			}
		}
		return &elb.SetSecurityGroupsOutput{}, nil
	})
}

// DeleteRule deletes one; what is not there fails.
func (b *Balancing) DeleteRule(_ context.Context, in *elb.DeleteRuleInput) (*elb.DeleteRuleOutput, error) {
	return over(b.cable, "elb:DeleteRule", func() (*elb.DeleteRuleOutput, error) {
		if b.rules[*in.RuleArn] == nil {
			return nil, refuse("RuleNotFound", "not found")
		}
		delete(b.rules, *in.RuleArn)
		return &elb.DeleteRuleOutput{}, nil
	})
}

// DeleteListener deletes one with its rules.
func (b *Balancing) DeleteListener(_ context.Context, in *elb.DeleteListenerInput) (*elb.DeleteListenerOutput,
	error) {
	return over(b.cable, "elb:DeleteListener", func() (*elb.DeleteListenerOutput, error) {
		if b.listeners[*in.ListenerArn] == nil {
			return nil, refuse("ListenerNotFound", "not found")
		}
		delete(b.listeners, *in.ListenerArn)
		for arn, owner := range b.ruleOwner {
			if owner == *in.ListenerArn {
				delete(b.rules, arn)
			}
		}
		return &elb.DeleteListenerOutput{}, nil
	})
}

// DeleteLoadBalancer is refused while deletion protection is on.
func (b *Balancing) DeleteLoadBalancer(_ context.Context, in *elb.DeleteLoadBalancerInput) (*elb.DeleteLoadBalancerOutput, error) {
	return over(b.cable, "elb:DeleteLoadBalancer", func() (*elb.DeleteLoadBalancerOutput, error) {
		if b.attributes[*in.LoadBalancerArn]["deletion_protection.enabled"] == "true" {
			return nil, refuse("OperationNotPermitted", "Load balancer '%s' cannot be deleted because deletion protection is enabled",
				*in.LoadBalancerArn)
		}
		for name, lb := range b.balancers {
			if *lb.LoadBalancerArn == *in.LoadBalancerArn {
				delete(b.balancers, name)
			}
		}
		return &elb.DeleteLoadBalancerOutput{}, nil
	})
}

// DeleteTargetGroup is refused while a rule or a service uses it.
func (b *Balancing) DeleteTargetGroup(_ context.Context, in *elb.DeleteTargetGroupInput) (*elb.DeleteTargetGroupOutput, error) {
	return over(b.cable, "elb:DeleteTargetGroup", func() (*elb.DeleteTargetGroupOutput, error) {
		for _, rule := range b.rules {
			for _, group := range rule.Actions[0].ForwardConfig.TargetGroups {
				if *group.TargetGroupArn == *in.TargetGroupArn {
					return nil, refuse("ResourceInUse", "Target group '%s' is currently in use by a listener or a rule", *in.TargetGroupArn)
				}
			}
		}
		if b.used != nil && b.used(*in.TargetGroupArn) {
			return nil, refuse("ResourceInUse", "Target group '%s' is in use by a service", *in.TargetGroupArn)
		}
		for name, g := range b.groups {
			if *g.TargetGroupArn == *in.TargetGroupArn {
				delete(b.groups, name)
			}
		}
		return &elb.DeleteTargetGroupOutput{}, nil
	})
}
