package ensure

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Pruned is the result of Prune.
type Pruned struct {
	// Deregistered are the ARNs of those that cannot be deployed any more.
	Deregistered []string `json:"deregistered"`
	// Kept are the ARNs of those that stay, newest first, each with the reason.
	Kept []Kept `json:"kept"`
}

// Kept is a thing that stays, and why.
type Kept struct {
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Prune deregisters the revisions of the plan's family except the newest, keep in number,
// at least 1. Never one that the service runs, that a deployment under way uses, that a
// rollback would go back to, or that is not ours. What ECS remembers of that is seen here;
// needed are those that the caller knows of beside it. A deregistered revision cannot be
// deployed again; what runs goes on. The result is never nil, also with a problem.
func Prune(ctx context.Context, client ECS, plan *rollout.Plan, keep int, needed ...string) (*Pruned, *verdict.Problem) {
	pruned := &Pruned{}
	if keep < 1 {
		problem := verdict.Problemf(PruneFailed, "--keep %d: at least 1 has to stay, and nothing was deregistered", keep)
		problem.Next = "Pass --keep with how many of the newest are to stay, 1 or more"
		return pruned, problem
	}
	// Everything is read before anything is deregistered.
	s := &State{clients: Clients{ECS: client}, plan: plan, known: map[string]string{}}
	all, err := definitions{s}.revisions(ctx)
	if err != nil {
		return pruned, deployment.ProblemOf(LookFailed, err)
	}
	used, err := definitions{s}.used(ctx)
	if err != nil {
		return pruned, deployment.ProblemOf(LookFailed, err)
	}
	for _, arn := range needed {
		if used[arn] == "" {
			used[arn] = rollbackTarget
		}
	}
	for n, arn := range all {
		switch reason := used[arn]; {
		case reason != "":
			pruned.Kept = append(pruned.Kept, Kept{arn, reason})
			continue
		case n < keep:
			pruned.Kept = append(pruned.Kept, Kept{arn, fmt.Sprintf("one of the newest %d", keep)})
			continue
		}
		ours, err := definitions{s}.deregister(ctx, arn)
		if err != nil {
			return pruned, verdict.Problemf(PruneFailed, "deregister %s: %v", arn, err)
		}
		if ours {
			pruned.Deregistered = append(pruned.Deregistered, arn)
		} else {
			pruned.Kept = append(pruned.Kept, Kept{arn, "it does not carry our tags"})
		}
	}
	return pruned, nil
}

// Why a revision stays.
const (
	rollbackTarget = "a rollback goes back to it"
	runs           = "the service runs it"
)

// definitions lists and deregisters the revisions of the task definition.
type definitions struct{ *State }

// deregister makes a revision of ours inactive, and says whether it was ours.
func (s definitions) deregister(ctx context.Context, arn string) (bool, error) {
	out, err := s.clients.ECS.DescribeTaskDefinition(ctx, &ecs.DescribeTaskDefinitionInput{
		TaskDefinition: aws.String(arn), Include: []types.TaskDefinitionField{types.TaskDefinitionFieldTags},
	})
	if err != nil {
		return false, err
	}
	if !s.own(&item{}, ecsTags(out.Tags)) {
		return false, nil
	}
	_, err = s.clients.ECS.DeregisterTaskDefinition(ctx, &ecs.DeregisterTaskDefinitionInput{TaskDefinition: aws.String(arn)})
	return true, err
}

// revisions are the ARNs of the family's active ones, the newest first.
func (s definitions) revisions(ctx context.Context) ([]string, error) {
	family := *s.plan.TaskDefinition.Family
	in := &ecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String(family), Status: types.TaskDefinitionStatusActive, Sort: types.SortOrderDesc}
	var all []string
	for {
		out, err := s.clients.ECS.ListTaskDefinitions(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("list task definitions of %s: %w", family, err)
		}
		for _, arn := range out.TaskDefinitionArns {
			// The family is given as a prefix, so others come along.
			if name, _, _ := strings.Cut(arn[strings.LastIndexByte(arn, '/')+1:], ":"); name == family {
				all = append(all, arn)
			}
		}
		if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
			break
		}
	}
	// Not every server sorts as it is asked to.
	slices.SortStableFunc(all, func(a, b string) int { return number(b) - number(a) })
	return all, nil
}

func number(arn string) int {
	n := 0
	for _, digit := range arn[strings.LastIndexByte(arn, ':')+1:] {
		n = n*10 + int(digit-'0')
	}
	return n
}

// used are the revisions that must stay, each with the reason.
func (s definitions) used(ctx context.Context) (map[string]string, error) {
	used := map[string]string{}
	if err := services(s).lookAtService(ctx); err != nil {
		return nil, err
	}
	if s.service == nil {
		return used, nil
	}
	deployments, err := deployment.List(ctx, s.clients.ECS, aws.ToString(s.plan.Service.Cluster), aws.ToString(s.plan.Service.ServiceName))
	if err != nil {
		return nil, err
	}
	reasons := map[string]string{} // by service revision
	good := 0
	for _, d := range deployments { // the newest first
		target := aws.ToString(d.TargetServiceRevisionArn)
		switch d.Status {
		case types.ServiceDeploymentStatusSuccessful:
			if good++; good <= 2 && reasons[target] == "" {
				reasons[target] = rollbackTarget
			}
		case types.ServiceDeploymentStatusStopped, types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed:
		default:
			reasons[target] = "a deployment under way uses it"
		}
	}
	for _, r := range s.service.CurrentServiceRevisions {
		reasons[aws.ToString(r.Arn)] = runs
	}
	for chunk := range slices.Chunk(sortedReasons(reasons), 20) { // the most that one call describes
		out, err := s.clients.ECS.DescribeServiceRevisions(ctx, &ecs.DescribeServiceRevisionsInput{ServiceRevisionArns: chunk})
		if err != nil {
			return nil, fmt.Errorf("describe revisions of service %s: %w", aws.ToString(s.plan.Service.ServiceName), err)
		}
		for _, r := range out.ServiceRevisions {
			used[aws.ToString(r.TaskDefinition)] = reasons[aws.ToString(r.ServiceRevisionArn)]
		}
	}
	// The service may name one that was rolled back; only its current revisions say what runs.
	// A service without any is described by an API older than they are.
	named := "the service names it, and does not run it"
	if len(s.service.CurrentServiceRevisions) == 0 {
		named = runs
	}
	names := []string{aws.ToString(s.service.TaskDefinition)}
	for _, d := range s.service.Deployments {
		names = append(names, aws.ToString(d.TaskDefinition))
	}
	for _, arn := range names {
		if used[arn] == "" {
			used[arn] = named
		}
	}
	return used, nil
}

func sortedReasons(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
