package rollout

import (
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// PlaceholderDigest stands for the digest in a sandbox's plan when no image was built. No
// content has this hash, so it can never be pulled.
const PlaceholderDigest = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// Example is a made-up value that lets the sandbox show a complete plan.
type Example struct {
	// Key is the key in pipeline.yaml, Value what stands in its place.
	Key, Value string
}

// The account is the one AWS's documentation uses in examples; the identifiers have the
// form of real ones so that the rules about them are exercised.
const exampleAccount = "111122223333"

// settings is an Input with all defaults filled in. It is validated, then rendered.
type settings struct {
	spec.Spec
	environment string
	names       names
	tuning      Tuning
	strategy    strategy
	// roleMade is true when the rollout creates the execution role, as the spec names none.
	roleMade bool

	// image is what given says; unparsed is why it says nothing.
	image      imageref.Reference
	given      string
	unparsed   error
	imageBuilt bool
	commit     string
	taskFile   []byte
	model      *spec.Model
	examples   []Example
}

// newSettings fills in defaults. Only the sandbox gets examples.
func newSettings(in Input) *settings {
	tuning := DefaultTuning()
	if in.Tuning != nil {
		tuning = *in.Tuning
	} else if in.Spec.App.Platform == "linux/arm64" {
		tuning.Architecture = "ARM64"
	}
	s := &settings{
		Spec: in.Spec, environment: in.Environment, names: namesOf(in.Spec, in.Environment), tuning: tuning,
		strategy: strategy(in.Spec.Strategy),
		given:    in.Image, imageBuilt: in.Image != "", commit: in.Commit, taskFile: in.TaskFile, model: in.Model,
	}
	s.Subnets, s.SecurityGroups = slices.Clone(s.Subnets), slices.Clone(s.SecurityGroups)
	if in.Environment == Sandbox {
		s.fillExamples()
	}
	s.image, s.unparsed = imageref.Parse(s.given)
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
	if s.given == "" {
		s.given = s.App.Repository + "@" + PlaceholderDigest
	}
}

// strategy is one of spec.Strategies.
type strategy string

const (
	rolling   strategy = "rolling"
	blueGreen strategy = "blue_green"
	canary    strategy = "canary"
	linear    strategy = "linear"
)

// shiftsTraffic is true where ECS runs both versions and moves the listener rule's weights.
func (s strategy) shiftsTraffic() bool { return s == blueGreen || s == canary || s == linear }
