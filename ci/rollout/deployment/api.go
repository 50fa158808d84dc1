package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awsclock"
)

// api wraps the client: it counts calls, follows pages, turns the "failures" of a successful
// answer into errors, and measures AWS's time.
type api struct {
	ECS
	clock *awsclock.Clock
	calls *int
}

// errMissing: ECS does not know the resource, which it reports in a successful answer.
var errMissing = errors.New("ECS knows no such resource")

func (a *api) service(ctx context.Context, cluster, name string) (*types.Service, error) {
	*a.calls++
	out, err := a.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{name}})
	awsclock.See(a.clock, out, err)
	if Absent(err) {
		return nil, fmt.Errorf("describe service %s in cluster %s: %w (%w)", name, cluster, errMissing, err)
	}
	if err != nil {
		return nil, fmt.Errorf("describe service %s: %w", name, err)
	}
	if len(out.Services) == 0 {
		return nil, fmt.Errorf("describe service %s in cluster %s: %w%s", name, cluster, errMissing, failuresText(out.Failures))
	}
	return &out.Services[0], nil
}

func failuresText(failures []types.Failure) string {
	var all []string
	for _, f := range failures {
		all = append(all, strings.TrimSpace(aws.ToString(f.Reason)+" "+aws.ToString(f.Detail)))
	}
	if len(all) == 0 {
		return ""
	}
	return " (" + strings.Join(all, "; ") + ")"
}

// page is the largest page of ListServiceDeployments; its default is 20.
const page = 100

// Lists is the part of the ECS client that List needs.
type Lists interface {
	ListServiceDeployments(context.Context, *ecs.ListServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error)
}

// List returns a service's deployments, the newest first; ECS does not document its order. It
// reads all pages. With status, only deployments of these statuses are listed.
func List(ctx context.Context, client Lists, cluster, service string,
	status ...types.ServiceDeploymentStatus) ([]types.ServiceDeploymentBrief, error) {
	return list(ctx, client, &ecs.ListServiceDeploymentsInput{Cluster: aws.String(cluster), Service: aws.String(service), Status: status})
}

// InFlightOf returns a service's deployments in flight, the newest first. ECS is not asked for their statuses: it may
// have got one that this version does not know.
func InFlightOf(ctx context.Context, client Lists, cluster, service string) ([]types.ServiceDeploymentBrief, error) {
	all, err := List(ctx, client, cluster, service)
	return slices.DeleteFunc(all, func(d types.ServiceDeploymentBrief) bool { return HasEnded(d.Status, d.FinishedAt) }), err
}

func list(ctx context.Context, client Lists, in *ecs.ListServiceDeploymentsInput) ([]types.ServiceDeploymentBrief, error) {
	in.MaxResults = aws.Int32(page)
	var all []types.ServiceDeploymentBrief
	for {
		out, err := client.ListServiceDeployments(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list deployments of service %s: %w", aws.ToString(in.Service), err)
		}
		all = append(all, out.ServiceDeployments...)
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in.NextToken = out.NextToken
	}
	slices.SortStableFunc(all, func(x, y types.ServiceDeploymentBrief) int {
		return aws.ToTime(y.CreatedAt).Compare(aws.ToTime(x.CreatedAt))
	})
	return all, nil
}

// ListServiceDeployments counts the call and measures AWS's time.
func (a *api) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput,
	options ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	*a.calls++
	out, err := a.ECS.ListServiceDeployments(ctx, in, options...)
	awsclock.See(a.clock, out, err)
	return out, err
}

// deployments lists the service's deployments, the newest first. since, unless zero, leaves out
// those created before; it must be a time that ECS reported.
func (a *api) deployments(ctx context.Context, cluster, service string, since time.Time) ([]types.ServiceDeploymentBrief, error) {
	in := &ecs.ListServiceDeploymentsInput{Cluster: aws.String(cluster), Service: aws.String(service)}
	if !since.IsZero() {
		in.CreatedAt = &types.CreatedAt{After: aws.Time(since)}
	}
	return list(ctx, a, in)
}

func (a *api) deployment(ctx context.Context, arn string) (*types.ServiceDeployment, error) {
	*a.calls++
	out, err := a.DescribeServiceDeployments(ctx, &ecs.DescribeServiceDeploymentsInput{ServiceDeploymentArns: []string{arn}})
	awsclock.See(a.clock, out, err)
	if err != nil {
		return nil, fmt.Errorf("describe deployment: %w", err)
	}
	if len(out.ServiceDeployments) == 0 {
		return nil, fmt.Errorf("describe deployment %s: %w%s", arn, errMissing, failuresText(out.Failures))
	}
	return &out.ServiceDeployments[0], nil
}

func (a *api) revision(ctx context.Context, arn string) (*types.ServiceRevision, error) {
	*a.calls++
	out, err := a.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: []string{arn}})
	awsclock.See(a.clock, out, err)
	if err != nil {
		return nil, fmt.Errorf("describe revision: %w", err)
	}
	if len(out.ServiceRevisions) == 0 {
		return nil, fmt.Errorf("describe revision %s: %w%s", arn, errMissing, failuresText(out.Failures))
	}
	return &out.ServiceRevisions[0], nil
}

// tasks describes the service's tasks with a desired status, except those in seen.
func (a *api) tasks(ctx context.Context, cluster, service string, status types.DesiredStatus, seen map[string]bool) ([]types.Task, error) {
	in := &ecs.ListTasksInput{Cluster: aws.String(cluster), ServiceName: aws.String(service), DesiredStatus: status}
	var fresh []string
	for {
		*a.calls++
		out, err := a.ListTasks(ctx, in)
		awsclock.See(a.clock, out, err)
		if err != nil {
			return nil, fmt.Errorf("list tasks to be %s: %w", strings.ToLower(string(status)), err)
		}
		for _, arn := range out.TaskArns {
			if !seen[arn] {
				fresh = append(fresh, arn)
			}
		}
		if aws.ToString(out.NextToken) == "" {
			break
		}
		in.NextToken = out.NextToken
	}
	var all []types.Task
	for chunk := range slices.Chunk(fresh, 100) { // DescribeTasks takes 100 at once
		*a.calls++
		out, err := a.DescribeTasks(ctx, &ecs.DescribeTasksInput{Cluster: aws.String(cluster), Tasks: chunk})
		awsclock.See(a.clock, out, err)
		if err != nil {
			return nil, fmt.Errorf("describe tasks: %w", err)
		}
		all = append(all, out.Tasks...)
	}
	return all, nil
}
