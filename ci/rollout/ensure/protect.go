package ensure

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// A deployment changes what differs from the plan, but never weakens a protection that goes
// beyond the plan. Such a protection stays, and is reported.

// keeps records a protection that goes beyond the plan and stays.
func (i *item) keeps(path string, have, want any, why string) {
	i.Kept = append(i.Kept, shown(path, have, want))
	i.warnings = append(i.warnings, fmt.Sprintf("%s %%s: %s is %s, the plan says %s%s", i.Kind, path, value(have), value(want), why))
}

// Protected describes the protections that go beyond the plan and stay.
func (s *State) Protected() []string {
	var all []string
	for _, i := range s.items {
		for _, text := range i.warnings {
			all = append(all, strings.Replace(text, "%s", i.Name, 1))
		}
	}
	return all
}

// Warn adds warnings about what exists in the account.
func (s *State) Warn(stage *verdict.Stage) {
	if !s.Encrypted() && s.plan.Balanced() {
		s.plan.WarnNotEncrypted(stage)
	}
	for _, text := range s.Protected() {
		stage.Warn(ProtectionKept, "%s", text)
	}
}

// strictPolicy matches the security policies that allow nothing older than TLS 1.2, by how
// Elastic Load Balancing names them ("Security policies for your Application Load Balancer").
var strictPolicy = regexp.MustCompile(`-(TLS13|TLS|FS)-1-[23](-|$)`)

// keepEncryption keeps a certificate that the plan does not have, and a security policy that
// is as strict as the plan's.
func (i *item) keepEncryption(have *types.Listener, want *elb.CreateListenerInput) {
	if have.Protocol != types.ProtocolEnumHttps {
		return
	}
	if want.Protocol != types.ProtocolEnumHttps {
		certificate := ""
		for _, c := range have.Certificates {
			certificate = aws.ToString(c.CertificateArn)
		}
		i.keeps("Protocol", string(have.Protocol), string(want.Protocol), "; set rollout.certificate to "+certificate)
		want.Port, want.Protocol, want.Certificates, want.SslPolicy = have.Port, have.Protocol, have.Certificates, have.SslPolicy
	} else if strictPolicy.MatchString(aws.ToString(have.SslPolicy)) {
		want.SslPolicy = have.SslPolicy
	}
}

// keepProtection keeps the protection against deletion.
func (i *item) keepProtection(have []types.LoadBalancerAttribute,
	want *elb.ModifyLoadBalancerAttributesInput) *elb.ModifyLoadBalancerAttributesInput {
	out := wire.Replace(want, func(text string) string { return text })
	for n, attribute := range out.Attributes {
		const protection = "deletion_protection.enabled"
		if aws.ToString(attribute.Key) != protection || aws.ToString(attribute.Value) == "true" {
			continue
		}
		for _, found := range have {
			if aws.ToString(found.Key) == protection && aws.ToString(found.Value) == "true" {
				i.keeps(protection, "true", aws.ToString(attribute.Value), "; destroy takes it away")
				out.Attributes[n].Value = found.Value
			}
		}
	}
	return out
}

// keepGuards keeps the conditions of a rule that restrict access, and the actions that make
// users sign in.
func (i *item) keepGuards(have *types.Rule, want *elb.CreateRuleInput) (conditions []types.RuleCondition, checks []types.Action) {
	conditions = want.Conditions
	narrower := slices.ContainsFunc(have.Conditions, func(c types.RuleCondition) bool { return aws.ToString(c.Field) == "path-pattern" })
	if narrower && len(have.Conditions) > len(want.Conditions) {
		i.keeps("Conditions", fmt.Sprintf("%d conditions", len(have.Conditions)), fmt.Sprintf("%d", len(want.Conditions)), "")
		conditions = have.Conditions
	}
	for _, action := range have.Actions {
		if strings.HasPrefix(string(action.Type), "authenticate-") || action.Type == "jwt-validation" {
			i.keeps("Actions", string(action.Type), "forward", "; ECS shifts traffic only by a rule that does nothing else")
			checks = append(checks, action)
		}
	}
	slices.SortStableFunc(checks, func(a, b types.Action) int { return int(aws.ToInt32(a.Order)) - int(aws.ToInt32(b.Order)) })
	return conditions, checks
}

// inOrder are the checks and then the others, numbered as a rule of several actions must be.
func inOrder(checks, then []types.Action) []types.Action {
	all := append(slices.Clone(checks), then...)
	if len(checks) > 0 {
		for n := range all {
			all[n].Order = aws.Int32(int32(n + 1))
		}
	}
	return all
}

// keepActions keeps the notifications of an alarm where the plan has none: one call replaces
// the whole alarm.
func keepActions(have cloudwatch.MetricAlarm, want *cloudwatch.PutMetricAlarmInput) *cloudwatch.PutMetricAlarmInput {
	out := wire.Replace(want, func(text string) string { return text })
	if len(out.AlarmActions) == 0 {
		out.AlarmActions = have.AlarmActions
	}
	if len(out.OKActions) == 0 {
		out.OKActions = have.OKActions
	}
	if len(out.InsufficientDataActions) == 0 {
		out.InsufficientDataActions = have.InsufficientDataActions
	}
	return out
}

// keepWatchers keeps the alarms and the lifecycle functions that somebody added to the
// service's deployments. Pauses are the plan's.
func keepWatchers(have *ecstypes.Service, want *ecs.CreateServiceInput) {
	to := want.DeploymentConfiguration
	if have == nil || have.DeploymentConfiguration == nil || to == nil {
		return
	}
	if alarms := have.DeploymentConfiguration.Alarms; alarms != nil && to.Alarms != nil && alarms.Enable {
		for _, name := range alarms.AlarmNames {
			if !slices.Contains(to.Alarms.AlarmNames, name) {
				to.Alarms.AlarmNames = append(to.Alarms.AlarmNames, name)
			}
		}
	}
	if to.Strategy == ecstypes.DeploymentStrategyRolling {
		return
	}
	for _, hook := range have.DeploymentConfiguration.LifecycleHooks {
		if hook.TargetType != ecstypes.DeploymentLifecycleHookTargetTypePause {
			to.LifecycleHooks = append(to.LifecycleHooks, hook)
		}
	}
}
