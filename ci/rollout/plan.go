package rollout

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// maxTaskDefinition is the largest task definition that ECS registers, in bytes.
const maxTaskDefinition = 64 << 10

// Plan is everything that a rollout creates, as the inputs of the calls that create it. Where
// an input needs the result of an earlier call, it holds a reference in double braces.
type Plan struct {
	// Environment, Account and Region are where it would be created.
	Environment, Account, Region string
	// Image is the image by digest; ImageBuilt is false when it is a placeholder.
	Image      imageref.Reference
	ImageBuilt bool
	// Strategy is rolling, blue_green, canary or linear.
	Strategy string
	// Estimate is how long the rollout of a new version takes.
	Estimate Estimate
	// Trial is the task that is run before the service is touched.
	Trial *Trial
	// Examples are the sandbox's made-up values.
	Examples []Example
	// ConfigHash is the hash of TaskDefinition without its tags, in lower-case hex. The
	// same content has the same hash, whatever the commit.
	ConfigHash string
	// Revision is the ARN of a registered task definition to run instead of TaskDefinition, as a
	// rollback does; empty registers or finds TaskDefinition.
	Revision string

	Cluster  *ecs.CreateClusterInput
	LogGroup LogGroup
	// ExecutionRole is nil where the configuration names one.
	ExecutionRole  *ExecutionRole
	TaskDefinition *ecs.RegisterTaskDefinitionInput
	LoadBalancer   *LoadBalancer
	Alarms         []*cloudwatch.PutMetricAlarmInput
	Dashboard      *cloudwatch.PutDashboardInput
	Service        *ecs.CreateServiceInput
	Scaling        *Scaling
	// Adoption is what was found of a service of somebody else; nil for our own, and before Adopt.
	// Then there is no more than Service's names, TaskDefinition and Trial.
	Adoption *Adoption

	settings *settings
}

// NewPlan renders the plan of a rollout. It is a pure function: the same input gives the
// same plan. It returns either a plan or every problem it found, each naming the key in
// pipeline.yaml to correct.
func NewPlan(in Input) (*Plan, []*verdict.Problem) {
	s := newSettings(in)
	if s.Adopt != "" {
		return s.adoptedPlan()
	}
	if problems := s.validate(); len(problems) > 0 {
		return nil, problems
	}
	plan := &Plan{
		Environment: s.environment, Account: s.Account, Region: s.Region,
		Image: s.image, ImageBuilt: s.imageBuilt, Strategy: string(s.strategy), Estimate: s.estimate(), Trial: s.trial(), Examples: s.examples,
		Cluster: s.cluster(), LogGroup: monitors{s}.logGroup(), TaskDefinition: tasks{s}.taskDefinition(),
		LoadBalancer: balancers{s}.ofService(),
		Alarms:       monitors{s}.alarms(), Dashboard: monitors{s}.dashboard(), Service: services{s}.create(), Scaling: s.scaling(),
		settings: s,
	}
	if s.roleMade {
		plan.ExecutionRole = policies{plan}.executionRole()
	}
	sum := sha256.Sum256(wire.JSON(plan.TaskDefinition))
	plan.ConfigHash = hex.EncodeToString(sum[:])
	plan.TaskDefinition.Tags = ecsTags(append(s.release(), tag{TagConfigHash, plan.ConfigHash}))
	if size := len(wire.JSON(plan.TaskDefinition)); size > maxTaskDefinition {
		return nil, []*verdict.Problem{verdict.Problemf(PlanInvalid,
			"rollout.vars: the task definition has %d bytes, ECS takes %d", size, maxTaskDefinition)}
	}
	return plan, nil
}

// Platform is that of a plan's tasks: linux/amd64 or linux/arm64.
func Platform(p *Plan) string {
	if of := p.TaskDefinition.RuntimePlatform; of != nil && of.CpuArchitecture == types.CPUArchitectureArm64 {
		return "linux/arm64"
	}
	return "linux/amd64" // also where a task definition says nothing
}

// Resource is one resource that the plan creates.
type Resource struct {
	// Kind is its type, such as "target group".
	Kind, Name string
	// Inputs are those of the calls that create it, in order.
	Inputs []any
}

// Resources lists what the plan creates, in the order of creation: no resource refers to a
// later one.
func (p *Plan) Resources() []Resource {
	if p.Adopts() {
		return p.adoptedResources()
	}
	n := p.settings.names
	all := []Resource{
		{"ecs cluster", n.cluster, []any{p.Cluster}},
		{"log group", n.logGroup, []any{p.LogGroup.Group, p.LogGroup.Retention}},
	}
	if r := p.ExecutionRole; r != nil {
		all = append(all, Resource{"iam role", n.executionRole, []any{r.Role, r.Policy}})
	}
	all = append(all, Resource{"task definition", n.family, []any{p.TaskDefinition}})
	all = append(all, p.LoadBalancer.resources(n)...)
	for _, alarm := range p.Alarms {
		all = append(all, Resource{"alarm", *alarm.AlarmName, []any{alarm}})
	}
	all = append(all,
		Resource{"ecs service", n.service, []any{p.Service}},
		Resource{"scalable target", *p.Scaling.Target.ResourceId, []any{p.Scaling.Target}})
	for _, policy := range p.Scaling.Policies {
		all = append(all, Resource{"scaling policy", *policy.PolicyName, []any{policy}})
	}
	all = append(all, Resource{"dashboard", *p.Dashboard.DashboardName, []any{p.Dashboard}})
	return all
}

// Balanced reports whether the service of ours has a load balancer.
func (p *Plan) Balanced() bool { return p.LoadBalancer != nil && p.LoadBalancer.LoadBalancer != nil }
