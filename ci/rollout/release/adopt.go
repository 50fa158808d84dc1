package release

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// adopt completes the plan for an adopted service with what currently runs.
func (o *operation) adopt(ctx context.Context) []*verdict.Problem {
	running, err := ensure.FindRunning(ctx, o.clients.ECS, *o.plan.Service.Cluster, *o.plan.Service.ServiceName)
	switch {
	case errors.Is(err, ensure.ErrNoService):
		return []*verdict.Problem{nothingToAdopt(err)}
	case errors.Is(err, ensure.ErrUnknownMember):
		return []*verdict.Problem{verdict.Problemf(ensure.WouldLose, "%v", err)}
	case err != nil && ctx.Err() != nil:
		return []*verdict.Problem{verdict.Problemf(rollout.Cancelled, "%v", ctx.Err())}
	case err != nil:
		return []*verdict.Problem{deployment.ProblemOf(ensure.LookFailed, err)}
	}
	return o.plan.Adopt(running)
}

// nothingToAdopt reports that the service does not exist. An adopted service is never created.
func nothingToAdopt(err error) *verdict.Problem {
	problem := verdict.Problemf(deployment.TargetMissing, "%v", err)
	problem.Next = "correct cluster, service, region or account; `aws ecs list-services --cluster CLUSTER` lists what is there"
	return problem
}

// refuseForeign refuses to wait for, roll back or replace a deployment of an adopted service that somebody else started,
// because this run's task definition is based on it.
func (o deployer) refuseForeign(ctx context.Context) *verdict.Problem {
	if !o.plan.Adopts() || o.past.Run != nil || o.in.InFlight == "" || o.in.InFlight == deployment.Refuse {
		return nil
	}
	service, running, problem := o.inFlightDeployments(ctx)
	if problem != nil || len(running) == 0 {
		return problem
	}
	definition, problem := definitionOf(ctx, o.operation, running[0])
	if problem != nil || definition == o.state.TaskDefinition() {
		return problem
	}
	return verdict.Problemf(deployment.Busy, "somebody else deploys %s to service %s; with --in-flight %s this run would deploy on top of "+
		"what that one has not proved", definition, aws.ToString(service.ServiceName), o.in.InFlight)
}

// ownership lists which resources are ours, which are adopted and which stay untouched.
func (o *operation) ownership() {
	if !o.plan.Adopts() || o.state == nil {
		return
	}
	table := &verdict.Table{Columns: []string{"Resource", "Name", "Whose", "What is done"}}
	count := map[ensure.Owner]int{}
	for _, c := range o.state.Changes() {
		count[c.Owner]++
		table.Rows = append(table.Rows, []string{c.Kind, c.Name, string(c.Owner), string(c.Action)})
	}
	o.stage().Add("adopted", fmt.Sprintf("service %s; %d resources are left alone", *o.plan.Service.ServiceName, count[ensure.LeftAlone]))
	o.stage().Blocks = append(o.stage().Blocks, verdict.Block{Title: "Ours, adopted, left alone", Table: table})
}

// imageIn returns the application's image in a task definition, or an empty string.
func (o *operation) imageIn(task *types.TaskDefinition) string {
	for _, c := range task.ContainerDefinitions {
		if aws.ToString(c.Name) == o.plan.Container() {
			return aws.ToString(c.Image)
		}
	}
	return ""
}
