package fakeaws

import (
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// Answer is the status with which a load balancer answers users: that of the application,
// 200, while a target that gets traffic is healthy. location is where it redirects to by HTTP;
// empty for nowhere.
func (b *Balancing) Answer(name string, encrypted bool) (status int, location string) {
	lb := b.balancers[name]
	if lb == nil {
		return http.StatusServiceUnavailable, ""
	}
	protocol := types.ProtocolEnumHttp
	if encrypted {
		protocol = types.ProtocolEnumHttps
	}
	for _, l := range b.listeners {
		if *l.LoadBalancerArn != *lb.LoadBalancerArn || l.Protocol != protocol {
			continue
		}
		if len(l.DefaultActions) > 0 && l.DefaultActions[0].Type == types.ActionTypeEnumRedirect {
			return http.StatusMovedPermanently, "https"
		}
		for arn, rule := range b.rules {
			if b.ruleOwner[arn] == *l.ListenerArn {
				return b.applicationBehind(rule.Actions), ""
			}
		}
		return http.StatusNotFound, ""
	}
	return http.StatusBadRequest, "" // no listener speaks this protocol
}

func (b *Balancing) applicationBehind(actions []types.Action) int {
	for _, action := range actions {
		if action.ForwardConfig == nil {
			continue
		}
		for _, group := range action.ForwardConfig.TargetGroups {
			if aws.ToInt32(group.Weight) == 0 || b.health == nil {
				continue
			}
			for _, target := range b.health(*group.TargetGroupArn) {
				if target.TargetHealth != nil && target.TargetHealth.State == types.TargetHealthStateEnumHealthy {
					return http.StatusOK
				}
			}
		}
	}
	return http.StatusServiceUnavailable
}
