package config

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/partition"
)

var (
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	// storeRegion is that of a bucket, which may be of another store than AWS's.
	storeRegion = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	ecsName     = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	roleARN     = regexp.MustCompile(`^arn:aws[a-z-]*:iam::([0-9]{12}):role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	secretARN   = regexp.MustCompile(`^arn:aws[a-z-]*:(?:secretsmanager:[a-z0-9-]+:([0-9]{12}):secret:|ssm:[a-z0-9-]+:([0-9]{12}):parameter/)[A-Za-z0-9/_+=.@:!-]+$`)
	vpcID       = regexp.MustCompile(`^vpc-[0-9a-f]{8,17}$`)
	subnetID    = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	httpURL     = regexp.MustCompile(`^https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s@]*)?$`)
	groupID     = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
)

// Strategies are the deployment strategies of Amazon ECS.
func Strategies() []string { return []string{"rolling", "blue_green", "canary", "linear"} }

// logDays are the retentions CloudWatch Logs knows (PutRetentionPolicy).
var logDays = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// fargate are the sizes of a Fargate task on Linux: CPU units of 1/1024 vCPU, with the memory
// in MiB. Sources: "Task CPU and memory" in the Amazon ECS developer guide; the rules E3047
// and E3048 of cfn-lint 1.58.0, which are generated from AWS's own schemas, for 32 vCPU.
var fargate = []struct {
	cpu    int
	memory []int
}{
	{256, []int{512, 1024, 2048}},
	{512, gib(1, 4, 1)},
	{1024, gib(2, 8, 1)},
	{2048, gib(4, 16, 1)},
	{4096, gib(8, 30, 1)},
	{8192, gib(16, 60, 4)},
	{16384, gib(32, 120, 8)},
	{32768, []int{60 << 10, 120 << 10, 244 << 10}},
}

func gib(from, to, by int) []int {
	var all []int
	for m := from; m <= to; m += by {
		all = append(all, m<<10)
	}
	return all
}

// FargateCPU lists the CPU units, of 1/1024 vCPU, that a Fargate task can have.
func FargateCPU() []int {
	all := make([]int, 0, len(fargate))
	for _, size := range fargate {
		all = append(all, size.cpu)
	}
	return all
}

// FargateMemory lists the memory sizes, in MiB, that Fargate has for so many CPU units;
// empty when it has no task of that many units.
func FargateMemory(cpu int) []int {
	for _, size := range fargate {
		if size.cpu == cpu {
			return slices.Clone(size.memory)
		}
	}
	return nil
}

// region demands a region of AWS.
func (v *validator) region(key, value string) {
	if _, known := partition.Of(value); !known {
		v.bad(key, "%q is not a region, such as ap-south-1", value)
	}
}

// storeRegion demands the region of a bucket.
func (v *validator) storeRegion(key, value string) {
	if !storeRegion.MatchString(value) {
		v.region(key, value)
	}
}

func (v *validator) rollout(r Rollout) {
	if r.Account != "" && !accountID.MatchString(r.Account) {
		v.bad("rollout.account", "%q is not an AWS account: 12 digits", r.Account)
	}
	v.region("rollout.region", r.Region)
	for _, n := range []struct{ key, value string }{
		{"rollout.cluster", r.Cluster}, {"rollout.service", r.Service}, {"rollout.family", r.Family},
	} {
		if !ecsName.MatchString(n.value) {
			v.bad(n.key, "%q is refused by Amazon ECS: letters, digits, '_' and '-', at most 255", n.value)
		}
	}
	v.size(r)
	v.scaling(r)
	if !slices.Contains(Strategies(), r.Strategy) {
		v.bad("rollout.strategy", "%q is not one of %s%s", r.Strategy, strings.Join(Strategies(), ", "), didYouMean(r.Strategy, Strategies()))
	}
	// ECS takes 0 to 1440 minutes (DeploymentConfiguration.bakeTimeInMinutes).
	v.between("rollout.bake_minutes", r.BakeMinutes, 0, 1440)
	// CanaryConfiguration and LinearConfiguration have the same limits for their times, and
	// take percentages in steps of 0.1.
	v.tenths("rollout.canary_percent", r.CanaryPercent, 0.1, 100)
	v.between("rollout.canary_bake_minutes", r.CanaryBakeMinutes, 0, 1440)
	v.tenths("rollout.linear_step_percent", r.LinearStepPercent, 3, 100)
	v.between("rollout.linear_step_minutes", r.LinearStepMinutes, 0, 1440)
	v.role("rollout.execution_role", r.ExecutionRole, r.Account)
	v.role("rollout.task_role", r.TaskRole, r.Account)
	v.role("rollout.infrastructure_role", r.InfrastructureRole, r.Account)
	if r.VPC != "" && !vpcID.MatchString(r.VPC) {
		v.bad("rollout.vpc", "%q is not a VPC, such as vpc-0123456789abcdef0", r.VPC)
	}
	v.ids("rollout.subnets", r.Subnets, subnetID, "subnet", "subnet-0123456789abcdef0")
	v.ids("rollout.security_groups", r.SecurityGroups, groupID, "security group", "sg-0123456789abcdef0")
	v.vars("rollout.vars", r.Vars, true)
	for _, name := range slices.Sorted(maps.Keys(r.Secrets)) {
		key := join("rollout.secrets", name)
		if !variableName.MatchString(name) {
			v.bad(key, "%q is not a name for a variable: letters, digits and '_', the first no digit", name)
		}
		m := secretARN.FindStringSubmatch(r.Secrets[name])
		if m == nil {
			// The value is not repeated: whoever puts a secret here by mistake must not find it in a log.
			v.bad(key, "the value is not the ARN of a Secrets Manager secret or an SSM parameter")
		} else if account := m[1] + m[2]; r.Account != "" && account != r.Account {
			v.bad(key, "the ARN is of account %s, rollout.account is %s", account, r.Account)
		}
		if _, both := r.Vars[name]; both {
			v.bad(key, "%s is under rollout.vars too", name)
		}
	}
	v.operation(r)
	v.surroundings(r)
	// ECS takes 0 to 300 seconds (HealthCheck.startPeriod).
	v.duration("rollout.start_period", r.StartPeriod, 0, 300*time.Second)
	if !slices.Contains(logDays, r.LogDays) {
		v.bad("rollout.log_days", "%d is not a retention CloudWatch Logs has: %s", r.LogDays, numbers(logDays))
	}
}

// PauseStages are the stages at which a deployment can stop for approval. ECS has no pause
// at the shifts themselves, and its test traffic needs a rule that this plan does not make.
func PauseStages() []string {
	return []string{"pre_scale_up", "post_scale_up", "pre_production_traffic_shift", "post_production_traffic_shift"}
}

func (v *validator) operation(r Rollout) {
	if r.Journal != "" && !s3Root.MatchString(r.Journal) {
		v.bad("rollout.journal", "%q is not s3://bucket or s3://bucket/prefix", r.Journal)
	}
	if r.Smoke != "" && r.Smoke != "none" && !httpURL.MatchString(r.Smoke) {
		v.bad("rollout.smoke", "it is not none, and not an http or https address without user name")
	}
	for _, stage := range r.PauseAt {
		if !slices.Contains(PauseStages(), stage) {
			v.bad("rollout.pause_at", "%q is not one of %s%s", stage, strings.Join(PauseStages(), ", "), didYouMean(stage, PauseStages()))
		}
	}
	if len(r.PauseAt) > 0 && r.Strategy == "rolling" {
		v.bad(v.nearest("rollout.pause_at", "rollout.strategy"), "a rolling deployment has no stages to pause at")
	}
	// ECS takes 1 minute to 14 days (DeploymentLifecycleHookTimeoutConfiguration).
	v.duration("rollout.pause_timeout", r.PauseTimeout, time.Minute, 14*24*time.Hour)
}

// tenths demands a percentage that ECS takes.
func (v *validator) tenths(key string, value, low, high float64) {
	switch {
	case !(value >= low && value <= high): // so that what is no number is refused too
		v.bad(key, "%g is not within %g..%g", value, low, high)
	case math.Abs(value*10-math.Round(value*10)) > 1e-6:
		v.bad(key, "%g is not a multiple of 0.1", value)
	}
}

func (v *validator) size(r Rollout) {
	memory := FargateMemory(r.CPU)
	if memory == nil {
		v.bad("rollout.cpu", "Fargate has no task of %d CPU units; it has %s", r.CPU, numbers(FargateCPU()))
		return
	}
	if !slices.Contains(memory, r.Memory) {
		v.bad(v.nearest("rollout.memory", "rollout.cpu"), "Fargate has no task of %d CPU units with %d MiB; with %d units it has %s", r.CPU, r.Memory, r.CPU, numbers(memory))
	}
}

func (v *validator) scaling(r Rollout) {
	for _, n := range []struct {
		key   string
		value int
		low   int
	}{{"rollout.min", r.Min, 0}, {"rollout.desired", r.Desired, 1}, {"rollout.max", r.Max, 1}} {
		v.between(n.key, n.value, n.low, 5000)
	}
	switch {
	case r.Min > r.Max:
		v.bad(v.nearest("rollout.min", "rollout.max"), "min %d is above max %d", r.Min, r.Max)
	case r.Desired < r.Min || r.Desired > r.Max:
		v.bad(v.nearest("rollout.desired", "rollout.min", "rollout.max"), "desired %d is not within min %d and max %d", r.Desired, r.Min, r.Max)
	}
	for _, n := range []struct {
		key   string
		value float64
	}{{"rollout.target_cpu", r.TargetCPU}, {"rollout.target_memory", r.TargetMemory}} {
		if !(n.value > 0 && n.value <= 100) {
			v.bad(n.key, "%v is not above 0 and at most 100", n.value)
		}
	}
}

func (v *validator) role(key, value, account string) {
	if value == "" {
		return
	}
	m := roleARN.FindStringSubmatch(value)
	switch {
	case m == nil:
		v.bad(key, "%q is not the ARN of a role: arn:aws:iam::123456789012:role/name", value)
	case account != "" && m[1] != account:
		v.bad(key, "the role is of account %s, rollout.account is %s", m[1], account)
	}
}

func (v *validator) ids(key string, values []string, form *regexp.Regexp, what, example string) {
	seen := map[string]bool{}
	for i, value := range values {
		at := fmt.Sprintf("%s[%d]", key, i)
		if !form.MatchString(value) {
			v.bad(at, "%q is not a %s, such as %s", value, what, example)
		}
		if seen[value] {
			v.bad(at, "%s is there already", value)
		}
		seen[value] = true
	}
}

// numbers lists a set of sizes, the long ones by their ends.
func numbers(all []int) string {
	if n := len(all); n > 22 {
		return fmt.Sprintf("%d to %d in steps of %d", all[0], all[n-1], all[1]-all[0])
	}
	words := make([]string, 0, len(all))
	for _, n := range all {
		words = append(words, strconv.Itoa(n))
	}
	return strings.Join(words, ", ")
}
