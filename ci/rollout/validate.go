package rollout

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var (
	environmentForm = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	accountForm     = regexp.MustCompile(`^[0-9]{12}$`)
	ecsNameForm     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	// Of at most 256 characters. A count in the expression made every start 15 ms slower; so did,
	// less, that of healthForm.
	tagValueForm = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
	// The path goes into a Python string of the container's health check.
	healthForm = regexp.MustCompile(`^/[A-Za-z0-9._~/%?&=+-]*$`)
	volumeForm = regexp.MustCompile(`^/[A-Za-z0-9._/-]{1,254}$`)
)

// checker collects every problem of one input.
type checker struct {
	*settings
	problems []*verdict.Problem
}

func (c *checker) bad(code verdict.Code, format string, args ...any) {
	c.problems = append(c.problems, verdict.Problemf(code, format, args...))
}

func (c *checker) within(code verdict.Code, key string, value, low, high float64) {
	if !(value >= low && value <= high) { // also catches NaN
		c.bad(code, "%s: %v is not within %v..%v", key, value, low, high)
	}
}

// validate returns all problems, the most important keys first.
func (s *settings) validate() []*verdict.Problem {
	c := &checker{settings: s}
	c.checkEnvironment()
	c.checkImage()
	c.checkAccount()
	c.checkRoles()
	c.checkNames()
	c.checkSize()
	c.checkContainer()
	c.checkVariables()
	c.checkNetwork()
	c.checkScaling()
	c.checkStrategy()
	c.checkAnalysis()
	c.checkLoadBalancer()
	c.checkKeys()
	return c.problems
}

func (c *checker) checkEnvironment() {
	if !environmentForm.MatchString(c.environment) {
		c.bad(EnvironmentInvalid, "--environment: %q is not a name of lower-case letters, digits and hyphens, at most 32", c.environment)
	}
}

func (c *checker) checkImage() {
	if c.given == "" {
		c.bad(ImageMissing, "%s needs an image, and none was built or given", c.environment)
		return
	}
	ref := c.image
	switch {
	case c.unparsed != nil:
		c.bad(ImageNotPinned, "image %q: %v", c.given, c.unparsed)
		return
	case ref.Digest == "" && ref.Tag != "":
		c.bad(ImageNotPinned, "image %q: the tag %q can point at another image tomorrow", c.given, ref.Tag)
		return
	case ref.Digest == "":
		c.bad(ImageNotPinned, "image %q: without a digest it means the tag latest, which can point at another image tomorrow", c.given)
		return
	}
	if c.environment == Sandbox {
		return
	}
	if ref.Digest == PlaceholderDigest {
		c.bad(ImageMissing, "image %q holds the placeholder of a plan without image", c.given)
	}
	registry := ref.Repository.Registry()
	host, _, _ := strings.Cut(registry, ":")
	local := slices.Contains([]string{"localhost", "127.0.0.1", "[", "0.0.0.0", "host.docker.internal"}, host)
	if local || strings.HasSuffix(host, ".localhost") || strings.HasSuffix(host, ".local") {
		c.bad(ImageUnreachable, "image %q is in the registry %s", c.given, registry)
	}
}

func (c *checker) checkAccount() {
	switch {
	case c.Account == "":
		c.bad(AccountInvalid, "rollout.account: %s has no account, so nothing guards against deploying into the wrong one", c.environment)
	case !accountForm.MatchString(c.Account):
		c.bad(AccountInvalid, "rollout.account: %q is not 12 digits", c.Account)
	}
	if _, known := partition.Of(c.Region); !known {
		c.bad(PlanInvalid, "rollout.region: %q is not a region, such as ap-south-1", c.Region)
	}
}

func (c *checker) checkRoles() {
	if !c.roleMade {
		c.role("rollout.execution_role", c.ExecutionRole, true, "ECS pulls the image and reads the secrets with it")
	}
	c.role("rollout.task_role", c.TaskRole, true, "the application calls AWS with it")
	c.role("rollout.infrastructure_role", c.InfrastructureRole, c.strategy.shiftsTraffic(), "ECS shifts the traffic with it")
}

func (c *checker) role(key, value string, required bool, purpose string) {
	if value == "" {
		if required {
			c.bad(RoleInvalid, "%s: missing; %s", key, purpose)
		}
		return
	}
	a, err := arn.Parse(value)
	if err != nil || a.Service != "iam" || !strings.HasPrefix(a.Resource, "role/") || len(a.Resource) == len("role/") {
		c.bad(RoleInvalid, "%s: %q is not the ARN of a role: arn:aws:iam::<account>:role/<name>", key, value)
		return
	}
	c.same(key, a, false)
}

// same compares an ARN with the environment's account, partition and, when regional, region.
// An invalid account or region is reported once, not for each ARN.
func (c *checker) same(key string, a arn.ARN, regional bool) {
	if accountForm.MatchString(c.Account) && a.AccountID != c.Account {
		c.bad(AccountMismatch, "%s: the ARN is of account %s, rollout.account is %s", key, a.AccountID, c.Account)
	}
	home, known := partition.Of(c.Region)
	if !known {
		return
	}
	if a.Partition != home.ID {
		c.bad(AccountMismatch, "%s: the ARN is of partition %s, region %s is in %s", key, a.Partition, c.Region, home.ID)
	}
	if regional && a.Region != c.Region {
		c.bad(AccountMismatch, "%s: the ARN is of region %q, rollout.region is %s", key, a.Region, c.Region)
	}
}

func (c *checker) checkNames() {
	if !environmentForm.MatchString(c.environment) {
		return // it is part of the names
	}
	for _, n := range []struct{ key, value string }{
		{"rollout.cluster", c.names.cluster}, {"rollout.service", c.names.service}, {"rollout.family", c.names.family},
	} {
		if !ecsNameForm.MatchString(n.value) {
			c.bad(NameInvalid, "%s: ECS does not accept %q: letters, digits, hyphens and underscores, at most 255", n.key, n.value)
		}
	}
	over := 0
	for _, d := range c.derived() {
		over = max(over, len(d.name)-d.limit)
	}
	if n := len(c.names.service); over > 0 && n <= 255 {
		c.bad(NameInvalid, "rollout.service: %q has %d characters, and the names derived from it would be longer "+
			"than AWS takes (an alarm's 255): at most %d fit",
			c.names.service, n, n-over)
	}
	for _, tag := range c.release() {
		if !tagValueForm.MatchString(tag.value) || utf8.RuneCountInString(tag.value) > 256 {
			c.bad(NameInvalid, "%s: %q cannot be the value of a tag: letters, digits, spaces and _.:/=+-@, at most 256", tag.key, tag.value)
		}
	}
}

func (c *checker) checkSize() {
	sizes := spec.FargateMemory(c.CPU)
	switch {
	case len(sizes) == 0:
		c.bad(SizeInvalid, "rollout.cpu: Fargate has no task of %d CPU units; it has %s", c.CPU,
			strings.Trim(fmt.Sprint(spec.FargateCPU()), "[]"))
	case !slices.Contains(sizes, c.Memory):
		c.bad(SizeInvalid, "rollout.memory: Fargate has no task of %d CPU units with %d MiB; with these units it has %s", c.CPU, c.Memory,
			listSizes(sizes))
	}
	c.within(SizeInvalid, "rollout.ephemeral_storage", float64(c.EphemeralStorage), fargateStorage, 200)
	if a := c.tuning.Architecture; a != "X86_64" && a != "ARM64" {
		c.bad(PlanInvalid, "tuning.Architecture: %q is not X86_64 or ARM64", a)
	}
}

func listSizes(sizes []int) string {
	if n := len(sizes); n > 8 {
		return fmt.Sprintf("%d to %d MiB in steps of %d", sizes[0], sizes[n-1], sizes[1]-sizes[0])
	}
	return strings.Trim(fmt.Sprint(sizes), "[]") + " MiB"
}

func (c *checker) checkContainer() {
	c.within(PlanInvalid, "image.port", float64(c.App.Port), 1, 65535)
	if !healthForm.MatchString(c.App.Health) || len(c.App.Health) > 1000 {
		c.bad(PlanInvalid, "image.health: %q is not a path that a health check can ask for", c.App.Health)
	}
	if c.App.User < 1 || c.App.User > 65535 {
		c.bad(PlanInvalid, "image.user: %d is not a user id of 1..65535; the application never runs as root", c.App.User)
	}
	// ECS: HealthCheck.startPeriod is 0..300 seconds.
	c.within(PlanInvalid, "rollout.start_period (seconds)", c.StartPeriod.Seconds(), 0, 300)
	c.within(PlanInvalid, "tuning.StopSeconds", float64(c.tuning.StopSeconds), 2, 120)
	if days := spec.LogDays(); !slices.Contains(days, c.LogDays) {
		c.bad(PlanInvalid, "rollout.log_days: CloudWatch Logs has no retention of %d days; it has %s", c.LogDays,
			strings.Trim(fmt.Sprint(days), "[]"))
	}
	c.checkVolumes()
}

func (c *checker) checkScaling() {
	switch {
	case c.Min < 1 || c.Desired < 1 || c.Max < 1:
		// With no task there is nothing whose health could be verified.
		c.bad(ScalingInvalid, "rollout.min, rollout.desired, rollout.max: %d, %d, %d; a service that is verified has at least 1", c.Min,
			c.Desired, c.Max)
	case c.Min > c.Max:
		c.bad(ScalingInvalid, "rollout.min: %d is above rollout.max %d", c.Min, c.Max)
	case c.Desired < c.Min || c.Desired > c.Max:
		c.bad(ScalingInvalid, "rollout.desired: %d is not within rollout.min %d and rollout.max %d", c.Desired, c.Min, c.Max)
	case c.Max > 5000:
		c.bad(ScalingInvalid, "rollout.max: %d is above 5000, the most tasks of a service", c.Max)
	default:
		c.checkDeadlock()
	}
	for _, target := range []struct {
		key   string
		value float64
	}{{"rollout.target_cpu", c.TargetCPU}, {"rollout.target_memory", c.TargetMemory}} {
		// Above 90 % there is no room left in which scaling out could help in time.
		c.within(ScalingInvalid, target.key, target.value, 1, 90)
	}
}

// checkDeadlock refuses percentages with which a rolling deployment can neither start a new
// task nor stop an old one. ECS rounds the minimum up and the maximum down.
func (c *checker) checkDeadlock() {
	low, high := c.tuning.MinimumHealthyPercent, c.tuning.MaximumPercent
	c.within(ScalingInvalid, "tuning.MinimumHealthyPercent", float64(low), 0, 100)
	c.within(ScalingInvalid, "tuning.MaximumPercent", float64(high), 100, 200)
	if least, most := taskBounds(c.Desired, low, high); least >= c.Desired && most <= c.Desired {
		c.bad(ScalingInvalid, "rollout.desired: with %d tasks, minimum %d %% and maximum %d %% no task can be started or stopped, "+
			"so a deployment would never end",
			c.Desired, low, high)
	}
}

func taskBounds(desired, minimumPercent, maximumPercent int) (least, most int) {
	return (desired*minimumPercent + 99) / 100, desired * maximumPercent / 100
}

func (c *checker) checkStrategy() {
	if !slices.Contains(spec.Strategies(), string(c.strategy)) {
		c.bad(StrategyInvalid, "rollout.strategy: %q is not one of %s", string(c.strategy), strings.Join(spec.Strategies(), ", "))
	}
	if len(c.PauseAt) > 0 && !c.strategy.shiftsTraffic() {
		c.bad(StrategyInvalid, "rollout.pause_at: a rolling deployment has no stages to pause at")
	}
	t := c.tuning
	c.within(StrategyInvalid, "rollout.bake_minutes", float64(c.BakeMinutes), 0, 1440)
	c.within(StrategyInvalid, "rollout.canary_percent", c.CanaryPercent, 0.1, 100)
	c.within(StrategyInvalid, "rollout.canary_bake_minutes", float64(c.CanaryBakeMinutes), 0, 1440)
	c.within(StrategyInvalid, "rollout.linear_step_percent", c.LinearStepPercent, 3, 100)
	c.within(StrategyInvalid, "rollout.linear_step_minutes", float64(c.LinearStepMinutes), 0, 1440)
	c.within(StrategyInvalid, "tuning.BreakerFailures", float64(t.BreakerFailures), 1, 200)
}
