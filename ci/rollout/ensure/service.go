package ensure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/unrepeatable"
)

const serviceKind = "ecs service"

// TaskDefinitionKind is the kind of a task definition among the changes.
const TaskDefinitionKind = "task definition"

// services looks at the service and its task definition.
type services struct{ *State }

func (s services) lookAtService(ctx context.Context) error {
	want := s.plan.Service
	out, err := s.clients.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: want.Cluster, Services: []string{*want.ServiceName}, Include: []types.ServiceField{types.ServiceFieldTags},
	})
	if is(err, "ClusterNotFoundException", "ServiceNotFoundException") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("describe service %s: %w", *want.ServiceName, err)
	}
	for _, one := range out.Services {
		// A deleted service is described as INACTIVE for a while, and its name is free.
		if aws.ToString(one.Status) != "INACTIVE" {
			s.service = &one
		}
	}
	return nil
}

// lookAtTaskDefinition finds a revision with the plan's content: the one that the service
// runs, or the family's newest. The hash in the tags finds it and the content confirms it,
// as tags can be copied.
func (s services) lookAtTaskDefinition(ctx context.Context) error {
	want := s.plan.TaskDefinition
	i := s.add(TaskDefinitionKind, *want.Family)
	if s.plan.Revision != "" {
		return s.pin(ctx, i)
	}
	candidates := []string{*want.Family}
	if s.service != nil && aws.ToString(s.service.TaskDefinition) != "" {
		candidates = []string{*s.service.TaskDefinition, *want.Family}
	}
	for _, candidate := range candidates {
		out, err := s.describe(ctx, candidate)
		if is(err, "ClientException") {
			continue // ECS's answer for a missing one
		}
		if err != nil {
			return err
		}
		have := out.TaskDefinition
		differences := compare(wire.Encode(have), wire.Encode(want))
		active := have.Status == types.TaskDefinitionStatusActive
		if active && ecsTags(out.Tags)[rollout.TagConfigHash] == s.plan.ConfigHash && len(differences) == 0 {
			s.known[rollout.ARN("task-definition", *want.Family)] = aws.ToString(have.TaskDefinitionArn)
			i.Action, i.Differences = Keep, nil
			return nil
		}
		if i.Action == Keep {
			// The first candidate is the running one: the reader wants the difference to that.
			i.differs(differences)
		}
	}
	if i.Action == Keep {
		i.Action = Create
	}
	i.write = s.register(want, rollout.ARN("task-definition", *want.Family))
	return nil
}

// pin selects the revision that the plan names, if it is ours.
func (s services) pin(ctx context.Context, i *item) error {
	have, err := s.described(ctx, s.plan.Revision)
	if err != nil {
		return err
	}
	s.known[rollout.ARN("task-definition", *s.plan.TaskDefinition.Family)] = aws.ToString(have.TaskDefinition.TaskDefinitionArn)
	if s.own(i, ecsTags(have.Tags)) && have.TaskDefinition.Status != types.TaskDefinitionStatusActive {
		return s.registerAgain(ctx, i, have)
	}
	return nil
}

// describe describes a revision, or the newest of a family, with its tags.
func (s services) describe(ctx context.Context, name string, options ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error) {
	out, err := s.clients.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: aws.String(name), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	}, options...)
	if err == nil && out.TaskDefinition == nil {
		err = errNoDefinition
	}
	if err != nil {
		return nil, fmt.Errorf("describe task definition %s: %w", name, err)
	}
	return out, nil
}

// described describes a revision. The error is ErrUnknownMember for one that is not active and could not be
// registered again as it is.
func (s services) described(ctx context.Context, revision string) (*ecs.DescribeTaskDefinitionOutput, error) {
	unknown := &unknownMembers{}
	out, err := s.describe(ctx, revision, unknown.watch)
	if err != nil {
		return nil, err
	}
	if lost := unknown.of(out.TaskDefinition); len(lost) > 0 && out.TaskDefinition.Status != types.TaskDefinitionStatusActive {
		return nil, fmt.Errorf("task definition %s is %s: %w: %v", revision, out.TaskDefinition.Status, ErrUnknownMember, lost)
	}
	return out, nil
}

// registerAgain plans the registration of a deregistered revision's content: ECS deploys none that is
// INACTIVE, and makes none active again, but describes it. The family's newest revision is used where an
// interrupted run has registered that already.
func (s services) registerAgain(ctx context.Context, i *item, old *ecs.DescribeTaskDefinitionOutput) error {
	family := aws.ToString(old.TaskDefinition.Family)
	want := rollout.TakeOver(old.TaskDefinition, old.Tags)
	reference := rollout.ARN("task-definition", aws.ToString(s.plan.TaskDefinition.Family))
	newest, err := s.described(ctx, family)
	if err != nil && !is(err, "ClientException") {
		return err
	}
	if err == nil && newest.TaskDefinition.Status == types.TaskDefinitionStatusActive &&
		rollout.Same(rollout.TakeOver(newest.TaskDefinition, newest.Tags), want) {
		s.known[reference] = aws.ToString(newest.TaskDefinition.TaskDefinitionArn)
		return nil
	}
	i.Action, i.Note = Create, fmt.Sprintf("%s is %s, so the same is registered again",
		newName(aws.ToString(old.TaskDefinition.TaskDefinitionArn)),
		old.TaskDefinition.Status)
	i.write = s.register(want, reference)
	return nil
}

// register is the write of a revision, which the plan then knows by the reference.
func (s services) register(want *ecs.RegisterTaskDefinitionInput, reference string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := s.clients.ECS.RegisterTaskDefinition(ctx, want, unrepeatable.ECS)
		if err != nil {
			return err
		}
		if out.TaskDefinition == nil {
			return errNoDefinition
		}
		s.known[reference] = aws.ToString(out.TaskDefinition.TaskDefinitionArn)
		return nil
	}
}

// errNoDefinition: what answers is not ECS, such as a proxy on the way.
var errNoDefinition = errors.New("the answer has no task definition")

// arnOf is the ARN of what a call created. Without one, what answers is not AWS.
func arnOf[Made any](made []Made, arn func(Made) *string) (string, error) {
	if len(made) == 0 || aws.ToString(arn(made[0])) == "" {
		return "", errors.New("the answer does not say what was created; run it again, which finds it if it was")
	}
	return *arn(made[0]), nil
}

// compareService compares the service with the plan. The deployment writes it, by one call of
// UpdateService.
func (s services) compareService() {
	want := s.wantedService()
	i := s.add(serviceKind, *want.ServiceName)
	if s.service == nil {
		i.Action = Create
		return
	}
	if !s.own(i, ecsTags(s.service.Tags)) {
		return
	}
	if aws.ToString(s.service.Status) != "ACTIVE" {
		i.Action = Create // it is being deleted, and is created again afterwards
		return
	}
	i.differs(s.serviceDifferences(want))
}

// serviceDifferences ignores what only CreateService can set, and the desired count, which
// belongs to auto-scaling.
func (s services) serviceDifferences(want *ecs.CreateServiceInput) []Difference {
	have := wire.Encode(s.service)
	all := compare(have, wire.Encode(&ecs.UpdateServiceInput{
		TaskDefinition: want.TaskDefinition, DeploymentConfiguration: want.DeploymentConfiguration,
		NetworkConfiguration:          want.NetworkConfiguration,
		HealthCheckGracePeriodSeconds: want.HealthCheckGracePeriodSeconds, AvailabilityZoneRebalancing: want.AvailabilityZoneRebalancing,
		PropagateTags: want.PropagateTags,
	}))
	if !s.attached(want) {
		encoded, _ := have.(map[string]any)
		wanted, _ := wire.Encode(&ecs.UpdateServiceInput{LoadBalancers: want.LoadBalancers}).(map[string]any)
		all = append(all, shown("loadBalancers", encoded["loadBalancers"], wanted["loadBalancers"]))
	}
	return all
}

// attached reports whether the service uses the plan's target groups and rule. Which of the
// two groups is in production changes with each deployment, and is up to ECS.
func (s services) attached(want *ecs.CreateServiceInput) bool {
	if len(want.LoadBalancers) == 0 || len(s.service.LoadBalancers) != 1 {
		return len(want.LoadBalancers) == len(s.service.LoadBalancers)
	}
	h, w := s.service.LoadBalancers[0], want.LoadBalancers[0]
	if aws.ToString(h.ContainerName) != aws.ToString(w.ContainerName) || aws.ToInt32(h.ContainerPort) != aws.ToInt32(w.ContainerPort) {
		return false
	}
	if (h.AdvancedConfiguration == nil) != (w.AdvancedConfiguration == nil) {
		return false
	}
	groups := s.groups()
	if w.AdvancedConfiguration == nil {
		return slices.Contains(groups, aws.ToString(h.TargetGroupArn))
	}
	used := []string{aws.ToString(h.TargetGroupArn), aws.ToString(h.AdvancedConfiguration.AlternateTargetGroupArn)}
	slices.Sort(used)
	slices.Sort(groups)
	return slices.Equal(used, groups) &&
		aws.ToString(h.AdvancedConfiguration.ProductionListenerRule) == aws.ToString(w.AdvancedConfiguration.ProductionListenerRule) &&
		aws.ToString(h.AdvancedConfiguration.RoleArn) == aws.ToString(w.AdvancedConfiguration.RoleArn)
}

// groups are the ARNs of blue and green, as far as they exist.
func (s services) groups() []string {
	var all []string
	for _, group := range s.plan.LoadBalancer.TargetGroups {
		if arn := s.known[rollout.ARN("target-group", *group.Name)]; arn != "" {
			all = append(all, arn)
		}
	}
	return all
}

// UpdateService is the input of the single update of an existing service. It holds only what
// differs, as some members start a deployment when sent. It fails before Before has created
// what it refers to.
func (s *State) UpdateService() (*ecs.UpdateServiceInput, error) {
	if s.service == nil {
		return nil, fmt.Errorf("update service %s: it does not exist", *s.plan.Service.ServiceName)
	}
	if s.plan.Adopts() {
		return services{s}.updateAdopted(), nil
	}
	want, err := s.CreateService()
	if err != nil {
		return nil, err
	}
	in := &ecs.UpdateServiceInput{Cluster: want.Cluster, Service: want.ServiceName, TaskDefinition: want.TaskDefinition}
	for _, d := range (services{s}).serviceDifferences(want) {
		switch topMember(d.Path) {
		case "deploymentConfiguration":
			in.DeploymentConfiguration = want.DeploymentConfiguration
		case "networkConfiguration":
			in.NetworkConfiguration = want.NetworkConfiguration
		case "healthCheckGracePeriodSeconds":
			in.HealthCheckGracePeriodSeconds = want.HealthCheckGracePeriodSeconds
		case "availabilityZoneRebalancing":
			in.AvailabilityZoneRebalancing = want.AvailabilityZoneRebalancing
		case "propagateTags":
			in.PropagateTags = want.PropagateTags
		case "loadBalancers":
			if in.LoadBalancers = []types.LoadBalancer{}; len(want.LoadBalancers) > 0 {
				in.LoadBalancers = services{s}.attach(want.LoadBalancers[0])
			}
		}
	}
	return in, nil
}

// attach keeps the group in production that serves now.
func (s services) attach(want types.LoadBalancer) []types.LoadBalancer {
	if len(s.service.LoadBalancers) == 1 {
		serving := aws.ToString(s.service.LoadBalancers[0].TargetGroupArn)
		for _, other := range s.groups() {
			if slices.Contains(s.groups(), serving) && other != serving {
				want.TargetGroupArn = aws.String(serving)
				if want.AdvancedConfiguration != nil {
					advanced := *want.AdvancedConfiguration
					advanced.AlternateTargetGroupArn = aws.String(other)
					want.AdvancedConfiguration = &advanced
				}
			}
		}
	}
	return []types.LoadBalancer{want}
}
