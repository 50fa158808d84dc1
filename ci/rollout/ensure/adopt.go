package ensure

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
)

// ErrNoService means that the service that is to be adopted does not exist.
var ErrNoService = errors.New("there is no such service to adopt")

// FindRunning reads a service of somebody else, what it runs and its tags. The error is
// ErrNoService when there is none that is active.
func FindRunning(ctx context.Context, client ECS, cluster, name string) (rollout.Running, error) {
	var r rollout.Running
	out, err := client.DescribeServices(ctx, &ecs.DescribeServicesInput{
		Cluster: aws.String(cluster), Services: []string{name}, Include: []types.ServiceField{types.ServiceFieldTags},
	})
	if err != nil && !is(err, "ClusterNotFoundException", "ServiceNotFoundException") {
		return r, fmt.Errorf("describe service %s: %w", name, err)
	}
	if err != nil || len(out.Services) == 0 || aws.ToString(out.Services[0].Status) != "ACTIVE" {
		return r, fmt.Errorf("service %s in cluster %s: %w", name, cluster, ErrNoService)
	}
	r.Service = &out.Services[0]
	unknown := &unknownMembers{}
	described, err := client.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: r.Service.TaskDefinition, Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	}, unknown.watch)
	if err != nil {
		return r, fmt.Errorf("describe task definition %s: %w", aws.ToString(r.Service.TaskDefinition), err)
	}
	if lost := unknown.of(described.TaskDefinition); len(lost) > 0 {
		return r, fmt.Errorf("task definition %s: %w: %v", aws.ToString(r.Service.TaskDefinition), ErrUnknownMember, lost)
	}
	r.TaskDefinition, r.Tags = described.TaskDefinition, described.Tags
	if len(r.Service.CurrentServiceRevisions) != 1 {
		return r, nil // a deployment is in flight
	}
	arn := aws.ToString(r.Service.CurrentServiceRevisions[0].Arn)
	revisions, err := client.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{arn}})
	if err != nil {
		return r, fmt.Errorf("describe revision %s: %w", arn, err)
	}
	for _, revision := range revisions.ServiceRevisions {
		if aws.ToString(revision.TaskDefinition) == aws.ToString(r.Service.TaskDefinition) {
			r.Images = revision.ContainerImages
		}
	}
	return r, nil
}

// lookAtAdopted compares the plan for a service of somebody else with it. Only the task definition
// is written, and the service gets only that.
func (s services) lookAtAdopted(ctx context.Context) error {
	if err := s.lookAtService(ctx); err != nil {
		return err
	}
	i := s.add("task definition", aws.ToString(s.plan.TaskDefinition.Family))
	i.Owner = Ours
	if err := s.findRevision(ctx, i); err != nil {
		return err
	}
	i = s.add(serviceKind, *s.plan.Service.ServiceName)
	i.Owner = Adopted
	if s.service == nil || aws.ToString(s.service.Status) != "ACTIVE" {
		i.Action, i.foreign = Refuse, "it does not exist, or is being deleted"
		return nil
	}
	if arn, have := s.TaskDefinition(), aws.ToString(s.service.TaskDefinition); arn != have {
		i.differs([]Difference{{"taskDefinition", lastName(have), newName(arn)}})
	}
	for _, left := range s.plan.Adoption.Left {
		s.add(left.Kind, left.Name).Owner = LeftAlone
	}
	return s.lookAtItsAlarms(ctx)
}

// findRevision finds a revision with the plan's content: the running one, or the family's newest,
// which an interrupted run or one that was rolled back may have registered.
func (s services) findRevision(ctx context.Context, i *item) error {
	want, a := s.plan.TaskDefinition, s.plan.Adoption
	reference := rollout.ARN("task-definition", aws.ToString(want.Family))
	switch {
	case s.plan.Revision != "":
		s.known[reference] = s.plan.Revision
		have, err := s.described(ctx, s.plan.Revision)
		if err != nil || have.TaskDefinition.Status == types.TaskDefinitionStatusActive {
			return err
		}
		return s.registerAgain(ctx, i, have)
	case a.Keep:
		s.known[reference] = a.ARN
		return nil
	}
	out, err := s.describe(ctx, aws.ToString(want.Family))
	if err != nil && !is(err, "ClientException") {
		return err
	}
	if err == nil && out.TaskDefinition.Status == types.TaskDefinitionStatusActive &&
		rollout.Same(rollout.TakeOver(out.TaskDefinition, out.Tags), want) {
		s.known[reference] = aws.ToString(out.TaskDefinition.TaskDefinitionArn)
		return nil
	}
	i.Differences = compare(wire.Encode(a.Base), wire.Encode(want))
	i.Action = Create
	i.write = s.register(want, reference)
	return nil
}

// lookAtItsAlarms finds those of the service's own alarms that are in ALARM already.
func (s services) lookAtItsAlarms(ctx context.Context) error {
	c := s.service.DeploymentConfiguration
	if c == nil || c.Alarms == nil || !c.Alarms.Enable || len(c.Alarms.AlarmNames) == 0 {
		return nil
	}
	out, err := describeAlarms(ctx, s.clients.CloudWatch, c.Alarms.AlarmNames, cloudwatch.AlarmTypeMetricAlarm,
		cloudwatch.AlarmTypeCompositeAlarm)
	if err != nil {
		return err
	}
	for _, alarm := range out.MetricAlarms {
		if alarm.StateValue == cloudwatch.StateValueAlarm {
			s.alarmed = append(s.alarmed, aws.ToString(alarm.AlarmName))
		}
	}
	for _, alarm := range out.CompositeAlarms {
		if alarm.StateValue == cloudwatch.StateValueAlarm {
			s.alarmed = append(s.alarmed, aws.ToString(alarm.AlarmName))
		}
	}
	slices.Sort(s.alarmed)
	return nil
}

// updateAdopted is the update of a service of somebody else: its task definition, and nothing else.
func (s services) updateAdopted() *ecs.UpdateServiceInput {
	return &ecs.UpdateServiceInput{Cluster: s.plan.Service.Cluster, Service: s.plan.Service.ServiceName,
		TaskDefinition: aws.String(s.TaskDefinition())}
}

func lastName(arn string) string { return arn[lastSlash(arn)+1:] }

// newName is a revision in words, before it has an ARN.
func newName(arn string) string {
	if arn == "" {
		return "a new revision"
	}
	return lastName(arn)
}
