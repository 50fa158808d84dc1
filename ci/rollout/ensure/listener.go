package ensure

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
)

// chooseListener finds the service's listener, on whatever port it is now: that of the rule
// that ECS shifts, else one of ours that does not redirect, HTTPS first, else any on the
// plan's port; nil if there is no such listener.
func (s balancers) chooseListener(b *balancing) *types.Listener {
	port := *s.plan.LoadBalancer.Listener.Port
	rank := func(l types.Listener) int {
		ours := s.own(&item{}, b.tags[*l.ListenerArn]) && !redirects(l)
		switch {
		case s.shiftedRule() != "" && strings.HasPrefix(s.shiftedRule(), strings.Replace(*l.ListenerArn, ":listener/", ":listener-rule/", 1)+"/"):
			return 5
		case ours && l.Protocol == types.ProtocolEnumHttps:
			return 4
		case ours && aws.ToInt32(l.Port) == port:
			return 3
		case ours:
			return 2
		case aws.ToInt32(l.Port) == port:
			return 1
		default:
			return 0
		}
	}
	var best *types.Listener
	for n := range b.listeners {
		if r := rank(b.listeners[n]); r > 0 && (best == nil || r > rank(*best)) {
			best = &b.listeners[n]
		}
	}
	return best
}

// shiftedRule is the rule whose weights ECS shifts for the service; empty for none.
func (s balancers) shiftedRule() string {
	if s.service == nil || len(s.service.LoadBalancers) == 0 || s.service.LoadBalancers[0].AdvancedConfiguration == nil {
		return ""
	}
	return aws.ToString(s.service.LoadBalancers[0].AdvancedConfiguration.ProductionListenerRule)
}

// redirects reports whether the default action of a listener is a redirect.
func redirects(l types.Listener) bool {
	return len(l.DefaultActions) > 0 && l.DefaultActions[0].Type == types.ActionTypeEnumRedirect
}

// listenerAt is a listener on a port, other than the service's; nil if there is no such listener.
func (b *balancing) listenerAt(port int32) *types.Listener {
	for n, l := range b.listeners {
		if aws.ToInt32(l.Port) == port && (b.listener == nil || *l.ListenerArn != *b.listener.ListenerArn) {
			return &b.listeners[n]
		}
	}
	return nil
}

// compareListener changes an existing listener, its port included, instead of replacing it:
// so its rule stays, with its weights and the ARN that ECS refers to.
func (s balancers) compareListener(found *balancing) {
	want := wire.Replace(s.plan.LoadBalancer.Listener, func(text string) string { return text })
	s.listener = want
	balancer := *s.plan.LoadBalancer.LoadBalancer.Name
	have := found.listener
	i := s.add("listener", "")
	if have != nil {
		i.keepEncryption(have, want)
	}
	i.Name = fmt.Sprintf("%s:%d", balancer, *want.Port)
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error {
			out, err := s.clients.Balancing.CreateListener(ctx, resolve(s.State, want))
			if err != nil {
				return err
			}
			s.known[rollout.ARN("listener", balancer)], err = arnOf(out.Listeners, func(made types.Listener) *string { return made.ListenerArn })
			return err
		}
		return
	}
	s.known[rollout.ARN("listener", balancer)] = *have.ListenerArn
	if !s.own(i, found.tags[*have.ListenerArn]) {
		return
	}
	if other := found.listenerAt(*want.Port); other != nil && *have.Port != *want.Port {
		i.Action = Refuse
		i.foreign = fmt.Sprintf("the service is behind port %d, and another listener has port %d, which the plan wants", *have.Port, *want.Port)
		return
	}
	i.differs(compare(wire.Encode(have), wire.Encode(resolve(s.State, want))))
	i.write = func(ctx context.Context) error {
		in := &elb.ModifyListenerInput{
			ListenerArn: have.ListenerArn, Protocol: want.Protocol, Certificates: want.Certificates,
			SslPolicy: want.SslPolicy, DefaultActions: want.DefaultActions,
		}
		if *have.Port != *want.Port {
			in.Port = want.Port
		}
		_, err := s.clients.Balancing.ModifyListener(ctx, in)
		return err
	}
}

// compareRedirect compares the listener that redirects HTTP to HTTPS with the plan. Somebody
// else's listener that redirects too is adopted.
func (s balancers) compareRedirect(found *balancing) {
	want := s.plan.LoadBalancer.Redirect
	if want == nil {
		return
	}
	i := s.add("listener", fmt.Sprintf("%s:%d", *s.plan.LoadBalancer.LoadBalancer.Name, *want.Port))
	have := found.listenerAt(*want.Port)
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error {
			_, err := s.clients.Balancing.CreateListener(ctx, resolve(s.State, want))
			return err
		}
		return
	}
	if !s.own(i, found.tags[*have.ListenerArn]) {
		if redirects(*have) {
			i.Action, i.foreign = Adopt, ""
		}
		return
	}
	i.differs(compare(wire.Encode(have), wire.Encode(resolve(s.State, want))))
	i.write = func(ctx context.Context) error {
		_, err := s.clients.Balancing.ModifyListener(ctx, &elb.ModifyListenerInput{ListenerArn: have.ListenerArn, Protocol: want.Protocol,
			DefaultActions: want.DefaultActions})
		return err
	}
}

// URL is the address by which users reach the load balancer; empty until Before has created it.
func (s *State) URL() string {
	if s.balancer == "" || s.listener == nil {
		return ""
	}
	return listenerURL(s.balancer, s.listener.Protocol, aws.ToInt32(s.listener.Port))
}

func listenerURL(host string, protocol types.ProtocolEnum, port int32) string {
	address := strings.ToLower(string(protocol)) + "://" + host
	if standard := map[types.ProtocolEnum]int32{types.ProtocolEnumHttp: 80, types.ProtocolEnumHttps: 443}[protocol]; port != standard {
		address += fmt.Sprintf(":%d", port)
	}
	return address
}

// Encrypted reports whether users reach the service by HTTPS.
func (s *State) Encrypted() bool {
	return s.listener != nil && s.listener.Protocol == types.ProtocolEnumHttps
}

// ServiceURL reads from AWS the address by which users reach the plan's load balancer; empty
// when it does not exist.
func ServiceURL(ctx context.Context, client Balancing, plan *rollout.Plan) (string, error) {
	if !plan.Balanced() {
		return "", nil
	}
	s := &State{clients: Clients{Balancing: client}, plan: plan, known: map[string]string{}}
	found, err := balancers{s}.findBalancing(ctx)
	if err != nil || found.balancer == nil || found.listener == nil {
		return "", err
	}
	return listenerURL(aws.ToString(found.balancer.DNSName), found.listener.Protocol, aws.ToInt32(found.listener.Port)), nil
}

// compareRule ignores the weights: after the rule's creation ECS owns them, and restoring
// them would undo a deployment (terraform-aws-modules/terraform-aws-alb#409).
func (s balancers) compareRule(found *balancing) {
	want := s.plan.LoadBalancer.Rule
	balancer := *s.plan.LoadBalancer.LoadBalancer.Name
	port := *s.plan.LoadBalancer.Listener.Port
	if s.listener != nil {
		port = *s.listener.Port
	}
	i := s.add("listener rule", fmt.Sprintf("%s:%d/%d", balancer, port, *want.Priority))
	have := found.rule
	if have == nil {
		i.Action = Create
		i.write = func(ctx context.Context) error {
			out, err := s.clients.Balancing.CreateRule(ctx, resolve(s.State, want))
			if err != nil {
				return err
			}
			s.known[rollout.ARN("listener-rule", balancer)], err = arnOf(out.Rules, func(made types.Rule) *string { return made.RuleArn })
			return err
		}
		return
	}
	s.known[rollout.ARN("listener-rule", balancer)] = *have.RuleArn
	if !s.own(i, found.tags[*have.RuleArn]) {
		return
	}
	conditions, checks := i.keepGuards(have, want)
	i.differs(compare(wire.Encode(weightless(have.Conditions, have.Actions)), wire.Encode(weightless(conditions, inOrder(checks,
		resolve(s.State, want).Actions)))))
	i.write = func(ctx context.Context) error {
		actions := inOrder(checks, resolve(s.State, want).Actions)
		keepWeights(actions, have.Actions)
		_, err := s.clients.Balancing.ModifyRule(ctx, &elb.ModifyRuleInput{RuleArn: have.RuleArn, Conditions: conditions, Actions: actions})
		return err
	}
}

// weightless are conditions and actions without weights, and the groups in the order of
// their ARNs.
func weightless(conditions []types.RuleCondition, actions []types.Action) *elb.ModifyRuleInput {
	out := wire.Replace(&elb.ModifyRuleInput{Conditions: conditions, Actions: actions}, func(s string) string { return s })
	for _, action := range out.Actions {
		if action.ForwardConfig == nil {
			continue
		}
		groups := action.ForwardConfig.TargetGroups
		for n := range groups {
			groups[n].Weight = nil
		}
		slices.SortFunc(groups, func(a, b types.TargetGroupTuple) int {
			return strings.Compare(aws.ToString(a.TargetGroupArn), aws.ToString(b.TargetGroupArn))
		})
	}
	return out
}

func keepWeights(to, from []types.Action) {
	weights := map[string]*int32{}
	for _, action := range from {
		if action.ForwardConfig != nil {
			for _, group := range action.ForwardConfig.TargetGroups {
				weights[aws.ToString(group.TargetGroupArn)] = group.Weight
			}
		}
	}
	for _, action := range to {
		if action.ForwardConfig == nil {
			continue
		}
		for n, group := range action.ForwardConfig.TargetGroups {
			if weight := weights[aws.ToString(group.TargetGroupArn)]; weight != nil {
				action.ForwardConfig.TargetGroups[n].Weight = weight
			}
		}
	}
}
