package rollout

import (
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
)

// LoadBalancer is everything between the users and the tasks.
type LoadBalancer struct {
	LoadBalancer *elb.CreateLoadBalancerInput
	Attributes   *elb.ModifyLoadBalancerAttributesInput
	// TargetGroups are blue and green, in this order. They swap roles with each
	// deployment: blue is not always production.
	TargetGroups          []*elb.CreateTargetGroupInput
	TargetGroupAttributes []*elb.ModifyTargetGroupAttributesInput
	// Listener is the one that users reach: HTTPS where there is a certificate.
	Listener *elb.CreateListenerInput
	// Redirect sends HTTP requests to HTTPS; nil without a certificate.
	Redirect *elb.CreateListenerInput
	// Rule forwards to both target groups. Its weights are written only at its creation:
	// from then on ECS owns them.
	Rule *elb.CreateRuleInput
}

// resources lists what there is; nothing for a service without a load balancer.
func (lb *LoadBalancer) resources(n names) []Resource {
	if lb == nil || lb.LoadBalancer == nil {
		return nil
	}
	all := []Resource{
		{"load balancer", n.loadBalancer, []any{lb.LoadBalancer, lb.Attributes}},
		{"target group", n.blue, []any{lb.TargetGroups[0], lb.TargetGroupAttributes[0]}},
		{"target group", n.green, []any{lb.TargetGroups[1], lb.TargetGroupAttributes[1]}},
		{"listener", fmt.Sprintf("%s:%d", n.loadBalancer, *lb.Listener.Port), []any{lb.Listener}},
		{"listener rule", fmt.Sprintf("%s:%d/%d", n.loadBalancer, *lb.Listener.Port, *lb.Rule.Priority), []any{lb.Rule}},
	}
	if redirect := lb.Redirect; redirect != nil {
		all = append(all, Resource{"listener", fmt.Sprintf("%s:%d", n.loadBalancer, *redirect.Port), []any{redirect}})
	}
	return all
}

// rulePriority is the priority of the only rule. It must never change, as ECS refers to the rule.
const rulePriority = 100

// balancers renders the load balancer and what belongs to it.
type balancers struct{ *settings }

// ofService is the load balancer of the service; an empty one for a service that listens nowhere.
func (s balancers) ofService() *LoadBalancer {
	if s.NoPort {
		return &LoadBalancer{}
	}
	return s.loadBalancer()
}

func (s balancers) loadBalancer() *LoadBalancer {
	t := s.tuning
	scheme := types.LoadBalancerSchemeEnumInternal
	if s.InternetFacing {
		scheme = types.LoadBalancerSchemeEnumInternetFacing
	}
	all := &LoadBalancer{
		LoadBalancer: &elb.CreateLoadBalancerInput{
			Name: aws.String(s.names.loadBalancer), Type: types.LoadBalancerTypeEnumApplication, Scheme: scheme,
			IpAddressType: types.IpAddressTypeIpv4, Subnets: s.BalancerSubnets, SecurityGroups: s.BalancerSecurityGroups,
			Tags: elbTags(s.ownership()),
		},
		Attributes: &elb.ModifyLoadBalancerAttributesInput{
			LoadBalancerArn: aws.String(ARN("load-balancer", s.names.loadBalancer)),
			Attributes: []types.LoadBalancerAttribute{
				{Key: aws.String("idle_timeout.timeout_seconds"), Value: aws.String(strconv.Itoa(t.IdleSeconds))},
				{Key: aws.String("routing.http.drop_invalid_header_fields.enabled"), Value: aws.String("true")},
				{Key: aws.String("deletion_protection.enabled"), Value: aws.String(strconv.FormatBool(s.environment == Production))},
			},
		},
		Listener: s.listener(),
		Redirect: s.redirect(),
		Rule:     s.rule(),
	}
	for _, name := range []string{s.names.blue, s.names.green} {
		all.TargetGroups = append(all.TargetGroups, s.targetGroup(name))
		all.TargetGroupAttributes = append(all.TargetGroupAttributes, s.targetGroupAttributes(name))
	}
	return all
}

func (s balancers) targetGroup(name string) *elb.CreateTargetGroupInput {
	return &elb.CreateTargetGroupInput{
		Name: aws.String(name), TargetType: types.TargetTypeEnumIp, IpAddressType: types.TargetGroupIpAddressTypeEnumIpv4,
		Protocol: types.ProtocolEnumHttp, ProtocolVersion: aws.String("HTTP1"), // websockets need HTTP/1.1
		Port: aws.Int32(int32(s.App.Port)), VpcId: aws.String(s.VPC),
		HealthCheckEnabled: aws.Bool(true), HealthCheckProtocol: types.ProtocolEnumHttp, HealthCheckPort: aws.String("traffic-port"),
		HealthCheckPath: aws.String(s.App.Health), Matcher: &types.Matcher{HttpCode: aws.String("200,204")},
		// AWS's defaults, 30 s five times, would add minutes to every rollout.
		HealthCheckIntervalSeconds: aws.Int32(10), HealthCheckTimeoutSeconds: aws.Int32(5),
		HealthyThresholdCount: aws.Int32(2), UnhealthyThresholdCount: aws.Int32(3),
		Tags: elbTags(s.ownership()),
	}
}

func (s balancers) targetGroupAttributes(name string) *elb.ModifyTargetGroupAttributesInput {
	return &elb.ModifyTargetGroupAttributesInput{
		TargetGroupArn: aws.String(ARN("target-group", name)),
		Attributes: []types.TargetGroupAttribute{
			{Key: aws.String("deregistration_delay.timeout_seconds"), Value: aws.String(strconv.Itoa(int(s.Drain.Seconds())))},
			// A Streamlit session lives in one process: uploads and media of a page must reach it.
			{Key: aws.String("stickiness.enabled"), Value: aws.String("true")},
			{Key: aws.String("stickiness.type"), Value: aws.String("lb_cookie")},
			{Key: aws.String("stickiness.lb_cookie.duration_seconds"), Value: aws.String(strconv.Itoa(s.tuning.TargetStickinessSeconds))},
		},
	}
}

func (s balancers) listener() *elb.CreateListenerInput {
	listener := &elb.CreateListenerInput{
		LoadBalancerArn: aws.String(ARN("load-balancer", s.names.loadBalancer)),
		Port:            aws.Int32(80), Protocol: types.ProtocolEnumHttp,
		// ECS shifts the weights of a rule and cannot use the default action, which therefore
		// answers only what the rule does not match.
		DefaultActions: []types.Action{{Type: types.ActionTypeEnumFixedResponse, FixedResponseConfig: &types.FixedResponseActionConfig{
			StatusCode: aws.String("404"), ContentType: aws.String("text/plain"), MessageBody: aws.String("not found"),
		}}},
		Tags: elbTags(s.ownership()),
	}
	if s.Certificate != "" {
		listener.Port, listener.Protocol = aws.Int32(443), types.ProtocolEnumHttps
		listener.Certificates = []types.Certificate{{CertificateArn: aws.String(s.Certificate)}}
		listener.SslPolicy = aws.String("ELBSecurityPolicy-TLS13-1-2-2021-06")
	}
	return listener
}

// redirect sends HTTP to the same address under HTTPS.
func (s balancers) redirect() *elb.CreateListenerInput {
	if s.Certificate == "" {
		return nil
	}
	return &elb.CreateListenerInput{
		LoadBalancerArn: aws.String(ARN("load-balancer", s.names.loadBalancer)),
		Port:            aws.Int32(80), Protocol: types.ProtocolEnumHttp,
		DefaultActions: []types.Action{{Type: types.ActionTypeEnumRedirect, RedirectConfig: &types.RedirectActionConfig{
			Protocol: aws.String("HTTPS"), Port: aws.String("443"), Host: aws.String("#{host}"), Path: aws.String("/#{path}"),
			Query:      aws.String("#{query}"),
			StatusCode: types.RedirectActionStatusCodeEnumHttp301,
		}}},
		Tags: elbTags(s.ownership()),
	}
}

func (s balancers) rule() *elb.CreateRuleInput {
	return &elb.CreateRuleInput{
		ListenerArn: aws.String(ARN("listener", s.names.loadBalancer)),
		Priority:    aws.Int32(rulePriority),
		Conditions: []types.RuleCondition{{
			Field: aws.String("path-pattern"), PathPatternConfig: &types.PathPatternConditionConfig{Values: []string{"/*"}},
		}},
		// A single forward action: ECS fails a deployment whose rule has further actions.
		Actions: []types.Action{{Type: types.ActionTypeEnumForward, ForwardConfig: &types.ForwardActionConfig{
			TargetGroups: []types.TargetGroupTuple{
				{TargetGroupArn: aws.String(ARN("target-group", s.names.blue)), Weight: aws.Int32(100)},
				{TargetGroupArn: aws.String(ARN("target-group", s.names.green)), Weight: aws.Int32(0)},
			},
			// Elastic Load Balancing refuses sticky targets behind a rule whose groups are
			// not sticky (kubernetes-sigs/aws-load-balancer-controller#2734).
			TargetGroupStickinessConfig: &types.TargetGroupStickinessConfig{
				Enabled: aws.Bool(true), DurationSeconds: aws.Int32(int32(s.tuning.GroupStickinessSeconds)),
			},
		}}},
		Tags: elbTags(s.ownership()),
	}
}
