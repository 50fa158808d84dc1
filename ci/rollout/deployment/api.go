package deployment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
)

// api counts calls, follows pages, turns "failures" of an HTTP 200 into errors, and reads
// the time of AWS from the answers.
type api struct {
	ECS
	clock *awsclock.Clock
	calls *int
}

// errMissing says that ECS knows no such thing, which it answers with success.
var errMissing = errors.New("ECS knows no such resource")

func (a *api) service(ctx context.Context, cluster, name string) (*types.Service, error) {
	*a.calls++
	out, err := a.DescribeServices(ctx, &ecs.DescribeServicesInput{Cluster: aws.String(cluster), Services: []string{name}})
	awsclock.See(a.clock, out, err)
	if Absent(err) {
		return nil, fmt.Errorf("describe service %s in cluster %s: %w (%v)", name, cluster, errMissing, err)
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

// Absent says that ECS answered that there is no such service. DescribeServices will do so
// for one that was deleted, and lists it under its failures until then (API reference,
// DeleteService).
func Absent(err error) bool {
	var none *types.ServiceNotFoundException
	var known smithy.APIError
	return errors.As(err, &none) || errors.As(err, &known) && known.ErrorCode() == "ServiceNotFoundException"
}

// page is the most that ListServiceDeployments lists at once; 20 is what it does unasked.
const page = 100

// Lists is what List asks of the client of Amazon ECS.
type Lists interface {
	ListServiceDeployments(context.Context, *ecs.ListServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error)
}

// List lists a service's deployments, the newest first: in which order ECS lists them is
// documented nowhere. It reads all pages; a status leaves all others out.
func List(ctx context.Context, client Lists, cluster, service string, status ...types.ServiceDeploymentStatus) ([]types.ServiceDeploymentBrief, error) {
	return list(ctx, client, &ecs.ListServiceDeploymentsInput{Cluster: aws.String(cluster), Service: aws.String(service), Status: status})
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

// ListServiceDeployments counts and dates each page.
func (a *api) ListServiceDeployments(ctx context.Context, in *ecs.ListServiceDeploymentsInput, options ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error) {
	*a.calls++
	out, err := a.ECS.ListServiceDeployments(ctx, in, options...)
	awsclock.See(a.clock, out, err)
	return out, err
}

// deployments lists the service's deployments, the newest first. A time that is not zero
// leaves out those of before; it must be one that ECS itself has stamped.
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

// tasks describes the service's tasks that are to run, or to stop, and are not among seen.
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

// Refused says that asking again cannot help: ECS understood, and said no.
func Refused(err error) bool {
	if errors.Is(err, errMissing) {
		return true
	}
	var known smithy.APIError
	if !errors.As(err, &known) {
		return false
	}
	code := known.ErrorCode()
	for _, transient := range []string{"Throttl", "TooManyRequests", "RequestLimitExceeded", "ServerException", "ServiceUnavailable", "InternalFailure", "InternalError", "UpdateInProgress"} {
		if strings.Contains(code, transient) {
			return false
		}
	}
	return known.ErrorFault() != smithy.FaultServer
}
