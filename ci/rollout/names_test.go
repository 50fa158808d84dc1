package rollout

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

func TestTwoEnvironmentsOfOneAccountNeverShareAName(t *testing.T) {
	seen := map[string]string{}
	for _, environment := range []string{Sandbox, "staging", Production, "dev"} {
		n := namesOf(config.Default().RolloutSpec(), environment)
		for _, name := range []string{n.cluster, n.service, n.family, n.loadBalancer, n.blue, n.green, n.logGroup, n.alarm5xx} {
			if other, taken := seen[name]; taken && other != environment {
				t.Errorf("%s is in %s and in %s", name, other, environment)
			}
			seen[name] = environment
		}
	}
}

func TestTheDocumentsNamesAreProductions(t *testing.T) {
	n := namesOf(config.Default().RolloutSpec(), Production)
	assert.Equal(t, "openstack-rca-cluster", n.cluster)
	assert.Equal(t, "openstack-rca-service", n.service)
	assert.Equal(t, "openstack-rca-task", n.family)
	assert.Equal(t, "openstack-rca-service-staging", namesOf(config.Default().RolloutSpec(), "staging").service)
}

func TestAChosenNameIsTakenAsItIs(t *testing.T) {
	cfg := config.Default().RolloutSpec()
	cfg.Service = "rca-staging"
	n := namesOf(cfg, "staging")
	assert.Equal(t, "rca-staging", n.service)
	assert.Equal(t, "rca-staging-blue", n.blue, "the environment is in the name already")
	cfg.Service = "stagingly"
	assert.Equal(t, "stagingly-staging-blue", namesOf(cfg, "staging").blue)
}

func TestNamesOfTheLoadBalancerAreAlwaysAccepted(t *testing.T) {
	for _, c := range []struct{ name, base, suffix, want string }{
		{"a short name stays", "rca-staging", "-blue", "rca-staging-blue"},
		{"a long name is cut and hashed", "openstack-rca-service-production", "-blue", "openstack-rca-servic-" + "??????" + "-blue"},
		{"underscores are hyphens, and hashed so that they do not collide", "my_service", "", "my-service-??????"},
		{"the reserved beginning goes", "internal-rca", "", "rca-??????"},
		{"nothing usable is a hash", "___", "-green", "??????-green"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := elbName(c.base, c.suffix)
			assert.LessOrEqual(t, len(got), elbNameLimit)
			if !strings.Contains(c.want, "?") {
				assert.Equal(t, c.want, got)
			}
			assert.Regexp(t, "^"+strings.ReplaceAll(c.want, "??????", "[0-9a-f]{6}")+"$", got)
			assert.Regexp(t, `^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`, got)
		})
	}
	assert.NotEqual(t, elbName("a_b", ""), elbName("a-b", ""))
	assert.NotEqual(t, elbName(strings.Repeat("x", 40), "-blue"), elbName(strings.Repeat("x", 41), "-blue"))
}

// The longest name that the plan takes makes no name that AWS refuses.
func TestNoNameOfAValidPlanIsTooLong(t *testing.T) {
	longest := 0
	for n := 200; n <= 255; n++ {
		in := input("staging")
		in.Spec.Service = strings.Repeat("s", n)
		plan, problems := NewPlan(in)
		if len(problems) > 0 {
			require.Len(t, problems, 1)
			assert.Equal(t, NameInvalid.Name, problems[0].Code.Name)
			continue
		}
		longest = n
		for _, alarm := range plan.Alarms {
			assert.LessOrEqual(t, len(*alarm.AlarmName), 255)
		}
		assert.LessOrEqual(t, len(*plan.Dashboard.DashboardName), 255)
		for _, policy := range plan.Scaling.Policies {
			assert.LessOrEqual(t, len(*policy.PolicyName), 256)
		}
	}
	assert.Equal(t, 255-len("-unhealthy-targets")-len("-staging"), longest)
}

// A plan for each part of AWS names it, and no other, in all ARNs.
func TestThePlanOfEachPartition(t *testing.T) {
	for region, id := range map[string]string{"eusc-de-east-1": "aws-eusc", "us-isob-east-1": "aws-iso-b", "cn-north-1": "aws-cn"} {
		in := input("staging")
		r := &in.Spec
		r.Region, r.ExecutionRole, r.Secrets = region, "", nil
		for _, role := range []*string{&r.TaskRole, &r.InfrastructureRole} {
			*role = strings.Replace(*role, "arn:aws:", "arn:"+id+":", 1)
		}
		plan, problems := NewPlan(in)
		require.Empty(t, problems)
		assert.Contains(t, *plan.TaskDefinition.ExecutionRoleArn, "arn:"+id+":iam::")
		for _, file := range plan.Files() {
			assert.NotContains(t, string(file.Content), "arn:aws:", file.Path)
		}
	}
}
