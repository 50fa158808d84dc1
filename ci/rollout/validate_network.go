package rollout

import (
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
)

var (
	vpcForm    = regexp.MustCompile(`^vpc-[0-9a-f]{8,17}$`)
	subnetForm = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	groupForm  = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
)

func (c *checker) checkNetwork() {
	if !vpcForm.MatchString(c.VPC) {
		c.bad(NetworkInvalid, "rollout.vpc: %q is not a VPC, such as vpc-0123456789abcdef0", c.VPC)
	}
	c.ids("rollout.subnets", c.Subnets, subnetForm, 1, 16)
	c.ids("rollout.security_groups", c.SecurityGroups, groupForm, 1, 5)
	// A load balancer of this type stands in two zones at least, so it needs two subnets.
	key := "rollout.balancer_subnets"
	if slices.Equal(c.BalancerSubnets, c.Subnets) {
		key = "rollout.subnets"
	}
	if n := len(c.BalancerSubnets); n < 2 {
		c.bad(NetworkInvalid, "%s: the load balancer needs subnets in two zones, there is %d", key, n)
	}
	if key != "rollout.subnets" {
		c.ids(key, c.BalancerSubnets, subnetForm, 2, 16)
	}
	if !slices.Equal(c.BalancerSecurityGroups, c.SecurityGroups) {
		c.ids("rollout.balancer_security_groups", c.BalancerSecurityGroups, groupForm, 1, 5)
	}
}

func (c *checker) ids(key string, values []string, form *regexp.Regexp, low, high int) {
	if len(values) < low || len(values) > high {
		c.bad(NetworkInvalid, "%s: there are %d, ECS takes %d to %d", key, len(values), low, high)
	}
	seen := map[string]bool{}
	for i, value := range values {
		switch {
		case !form.MatchString(value):
			c.bad(NetworkInvalid, "%s[%d]: %q does not have the form %s", key, i, value, strings.Trim(form.String(), "^$"))
		case seen[value]:
			c.bad(NetworkInvalid, "%s[%d]: %s is there already", key, i, value)
		}
		seen[value] = true
	}
}

func (c *checker) checkLoadBalancer() {
	t := c.tuning
	c.within(PlanInvalid, "rollout.drain (seconds)", c.Drain.Seconds(), 0, 3600)
	c.within(PlanInvalid, "tuning.GroupStickinessSeconds", float64(t.GroupStickinessSeconds), 1, 604800)
	c.within(PlanInvalid, "tuning.TargetStickinessSeconds", float64(t.TargetStickinessSeconds), 1, 604800)
	c.within(PlanInvalid, "tuning.IdleSeconds", float64(t.IdleSeconds), 1, 4000)
	c.within(PlanInvalid, "tuning.Errors5xx", t.Errors5xx, 1, 1e6)
	c.within(PlanInvalid, "tuning.LatencySeconds", t.LatencySeconds, 0.001, 3600)
	c.optionalARN("rollout.certificate", c.Certificate, "acm", "certificate/")
	c.optionalARN("rollout.alarm_topic", c.AlarmTopic, "sns", "")
	if c.InternetFacing && c.Certificate == "" {
		c.bad(PlanInvalid, "rollout.internet_facing: a public load balancer needs rollout.certificate")
	}
}

func (c *checker) optionalARN(key, value, service, prefix string) {
	if value == "" {
		return
	}
	a, err := arn.Parse(value)
	if err != nil || a.Service != service || !strings.HasPrefix(a.Resource, prefix) {
		c.bad(PlanInvalid, "%s: %q is not an ARN of %s", key, value, service)
		return
	}
	c.same(key, a, true)
}
