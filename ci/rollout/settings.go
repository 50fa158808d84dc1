package rollout

import (
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// PlaceholderDigest stands in a sandbox's plan where no image was made. No content has
// this hash, so nothing can ever be pulled by it.
const PlaceholderDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// Example is a value that the sandbox made up to show a whole plan.
type Example struct {
	// Key is the key in pipeline.yaml, Value what stands in its place.
	Key, Value string
}

// The account is the one AWS's documentation uses in examples; the identifiers have the
// form of real ones so that the rules about them are exercised.
const exampleAccount = "111122223333"

// settings is an Input with everything filled in: what the rules check and what is rendered.
type settings struct {
	config.Rollout
	environment string
	names       names
	tuning      Tuning
	app         config.Image
	application string
	strategy    strategy
	startPeriod time.Duration
	startBudget time.Duration
	drain       time.Duration
	// roleMade says that the execution role is ours to make: the configuration names none.
	roleMade bool

	image      string
	imageBuilt bool
	commit     string
	version    *model.Version
	examples   []Example
}

// newSettings fills what an environment may leave out. Only the sandbox gets examples.
func newSettings(in Input) *settings {
	tuning := DefaultTuning()
	if in.Tuning != nil {
		tuning = *in.Tuning
	} else if in.Config.Image.Platform == "linux/arm64" {
		tuning.Architecture = "ARM64"
	}
	s := &settings{
		Rollout: in.Config.Rollout, environment: in.Environment, names: namesOf(in.Config, in.Environment), tuning: tuning,
		app: in.Config.Image, application: in.Config.Name, strategy: strategy(in.Config.Rollout.Strategy),
		startPeriod: time.Duration(in.Config.Rollout.StartPeriod), startBudget: time.Duration(in.Config.Image.StartBudget),
		drain: time.Duration(in.Config.Rollout.Drain),
		image: in.Image, imageBuilt: in.Image != "", commit: in.Commit, version: in.Version,
	}
	s.Subnets, s.SecurityGroups = slices.Clone(s.Subnets), slices.Clone(s.SecurityGroups)
	if in.Environment == Sandbox {
		s.fillExamples()
	}
	if s.roleMade = s.ExecutionRole == ""; s.roleMade {
		s.ExecutionRole = roleARN(s.Region, s.Account, s.names.executionRole)
	}
	if len(s.BalancerSubnets) == 0 {
		s.BalancerSubnets = s.Subnets
	}
	if len(s.BalancerSecurityGroups) == 0 {
		s.BalancerSecurityGroups = s.SecurityGroups
	}
	return s
}

func (s *settings) fillExamples() {
	fill := func(key string, value *string, example string) {
		if *value == "" {
			*value = example
			s.examples = append(s.examples, Example{key, example})
		}
	}
	list := func(key string, value *[]string, example ...string) {
		if len(*value) == 0 {
			*value = example
			s.examples = append(s.examples, Example{key, strings.Join(example, ", ")})
		}
	}
	fill("rollout.account", &s.Account, exampleAccount)
	role := "arn:" + partition.ID(s.Region) + ":iam::" + s.Account + ":role/"
	fill("rollout.task_role", &s.TaskRole, role+"example-openstack-rca-task")
	if s.strategy.shiftsTraffic() {
		fill("rollout.infrastructure_role", &s.InfrastructureRole, role+"example-ecsInfrastructureRole")
	}
	fill("rollout.vpc", &s.VPC, "vpc-0e0a0b1e0e0a0b1e0")
	list("rollout.subnets", &s.Subnets, "subnet-0e0a0b1e0e0a0b1e1", "subnet-0e0a0b1e0e0a0b1e2")
	list("rollout.security_groups", &s.SecurityGroups, "sg-0e0a0b1e0e0a0b1e3")
	if s.InternetFacing {
		fill("rollout.certificate", &s.Certificate,
			"arn:"+partition.ID(s.Region)+":acm:"+s.Region+":"+s.Account+":certificate/0e0a0b1e-0000-4000-8000-000000000000")
	}
	if s.image == "" {
		s.image = s.app.Repository + "@" + PlaceholderDigest
	}
}

// strategy is a deployment strategy as pipeline.yaml names it.
type strategy string

const (
	rolling   strategy = "rolling"
	blueGreen strategy = "blue_green"
	canary    strategy = "canary"
	linear    strategy = "linear"
)

// shiftsTraffic says that ECS runs both versions and moves the listener rule's weights.
func (s strategy) shiftsTraffic() bool { return s == blueGreen || s == canary || s == linear }
