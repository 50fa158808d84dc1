package release

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// inFlightDeployments returns the service and its deployments in progress, newest first.
func (o *observer) inFlightDeployments(ctx context.Context) (*types.Service, []types.ServiceDeployment, *verdict.Problem) {
	cluster, name := *o.plan.Service.Cluster, *o.plan.Service.ServiceName
	out, err := o.clients.ECS.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{name}})
	if err != nil && !noCluster(err) && !deployment.Absent(err) {
		return nil, nil, deployment.ProblemOf(deployment.AWSFailed, fmt.Errorf("describe service %s: %w", name, err))
	}
	if err != nil || len(out.Services) == 0 || aws.ToString(out.Services[0].Status) == "INACTIVE" {
		return nil, nil, verdict.Problemf(deployment.TargetMissing, "there is no service %s in cluster %s", name, cluster)
	}
	list, err := deployment.InFlightOf(ctx, o.clients.ECS, cluster, name)
	if err != nil {
		return nil, nil, deployment.ProblemOf(deployment.AWSFailed, err)
	}
	var all []types.ServiceDeployment
	if d, problem := unlisted(ctx, o.operation, list); problem != nil {
		return nil, nil, problem
	} else if d != nil {
		all = append(all, *d)
	}
	for _, brief := range list {
		d, problem := seen(ctx, o.operation, "deployment", aws.ToString(brief.ServiceDeploymentArn), deploymentOf)
		if problem != nil {
			return nil, nil, problem
		}
		all = append(all, *d)
	}
	return &out.Services[0], all, nil
}

// unlisted returns the deployment of the journal's open run if it is in progress but not yet listed by ECS, whose lists are
// eventually consistent. It is newer than those listed.
func unlisted(ctx context.Context, o *operation, listed []types.ServiceDeploymentBrief) (*types.ServiceDeployment, *verdict.Problem) {
	if o.past.Run == nil || o.past.Run.Deployment == "" ||
		slices.ContainsFunc(listed, func(d types.ServiceDeploymentBrief) bool {
			return aws.ToString(d.ServiceDeploymentArn) == o.past.Run.Deployment
		}) {
		return nil, nil
	}
	d, err := deploymentOf(ctx, o.clients.ECS, o.past.Run.Deployment)
	if err != nil {
		return nil, deployment.ProblemOf(deployment.AWSFailed, err)
	}
	if d == nil || deployment.HasEnded(d.Status, d.FinishedAt) {
		return nil, nil
	}
	return d, nil
}

// deploymentOf returns nil if ECS no longer knows the deployment.
func deploymentOf(ctx context.Context, client ECS, arn string) (*types.ServiceDeployment, error) {
	out, err := client.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{arn}})
	if err != nil {
		return nil, fmt.Errorf("describe deployment: %w", err)
	}
	if len(out.ServiceDeployments) == 0 {
		return nil, nil
	}
	return &out.ServiceDeployments[0], nil
}

// revisionOf returns nil if ECS does not know the revision.
func revisionOf(ctx context.Context, client ECS, arn string) (*types.ServiceRevision, error) {
	out, err := client.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{arn}})
	if err != nil {
		return nil, fmt.Errorf("describe revision %s: %w", arn, err)
	}
	if len(out.ServiceRevisions) == 0 {
		return nil, nil
	}
	return &out.ServiceRevisions[0], nil
}

// targetOf returns the target revision of a deployment in progress.
func targetOf(ctx context.Context, o *operation, d types.ServiceDeployment) (*types.ServiceRevision, *verdict.Problem) {
	arn := ""
	if d.TargetServiceRevision != nil {
		arn = aws.ToString(d.TargetServiceRevision.Arn)
	}
	return seen(ctx, o, "revision", arn, revisionOf)
}

// definitionOf returns the target task definition of a deployment in progress.
func definitionOf(ctx context.Context, o *operation, d types.ServiceDeployment) (string, *verdict.Problem) {
	revision, problem := targetOf(ctx, o, d)
	if problem != nil {
		return "", problem
	}
	return aws.ToString(revision.TaskDefinition), nil
}

// seen retries a description of something that ECS has listed elsewhere but may not describe yet.
func seen[T any](ctx context.Context, o *operation, kind, arn string, describe func(context.Context, ECS, string) (*T, error)) (*T,
	*verdict.Problem) {
	for gone := (deployment.Absence{}); ; {
		found, err := describe(ctx, o.clients.ECS, arn)
		switch {
		case err != nil:
			return nil, deployment.ProblemOf(deployment.AWSFailed, err)
		case found != nil:
			return found, nil
		case gone.Lasts(true, o.clock.Now()):
			return nil, verdict.Problemf(deployment.AWSFailed, "ECS names %s %q, and does not describe it", kind, arn)
		}
		if err := o.clock.Sleep(ctx, trialPoll); err != nil {
			return nil, verdict.Problemf(rollout.Cancelled, "%v", err)
		}
	}
}
