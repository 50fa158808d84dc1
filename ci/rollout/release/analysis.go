package release

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/rollout/analysis"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/ensure"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// open is the analysis of a rollback, which always passes: the earlier release has served here, and every minute counts.
type open struct{}

// Look implements deployment.Analysis.
func (open) Look(context.Context, deployment.Traffic) deployment.Advice {
	return deployment.Advice{Go: true}
}

// Finish implements deployment.Analysis.
func (open) Finish() *verdict.Problem { return nil }

// analyse adds the analysis to a request, if one is configured.
func (o *observer) analyse(request *deployment.Request, kind string) {
	metrics := o.plan.Metrics()
	if len(metrics) == 0 {
		return
	}
	request.PeoplesPauses = o.plan.PeoplesPauses()
	if kind == journal.Rollback {
		request.Analysis = open{}
		return
	}
	command := &analysis.Command{Tasks: o.clients.ECS, Container: o.plan.Container()}
	task := *o.plan.Trial.Task
	task.TaskDefinition = aws.String(request.TaskDefinition)
	command.Task = &task
	o.analyzer = analysis.New(metrics, analysis.Options{
		Source: func(m *analysis.Metric) analysis.Source {
			switch {
			case m.Prometheus != "":
				return analysis.Prometheus{Client: o.in.HTTP}
			case len(m.Command) > 0:
				return command
			default:
				return analysis.CloudWatch{Client: o.clients.CloudWatch}
			}
		},
		Subjects: o.subjects, Pauses: o.plan.AnalysisPauses(), AskPeople: o.plan.AskPeople(),
	})
	request.Analysis = o.analyzer
}

// subjects returns the new and the old version for the placeholders of queries.
func (o *observer) subjects(ctx context.Context, newARN, oldARN string) (analysis.Subject, analysis.Subject, error) {
	now, err := o.subject(ctx, newARN)
	if err != nil || oldARN == "" {
		return now, analysis.Subject{}, err
	}
	old, err := o.subject(ctx, oldARN)
	return now, old, err
}

func (o *observer) subject(ctx context.Context, arn string) (analysis.Subject, error) {
	s := analysis.Subject{Cluster: *o.plan.Service.Cluster, Service: *o.plan.Service.ServiceName}
	revision, err := revisionOf(ctx, o.clients.ECS, arn)
	switch {
	case err != nil:
		return s, err
	case revision == nil:
		return s, fmt.Errorf("ECS does not know revision %s", arn)
	}
	definition := aws.ToString(revision.TaskDefinition)
	s.Revision = definition[strings.LastIndexByte(definition, ':')+1:]
	s.Digest = strings.TrimPrefix(o.imageOf(*revision).Digest, "sha256:")
	group := groupOf(revision)
	s.TargetGroup = group[strings.LastIndexByte(group, ':')+1:]
	if group == "" {
		return s, nil
	}
	out, err := o.clients.Balancing.DescribeTargetGroups(ctx, &elb.DescribeTargetGroupsInput{TargetGroupArns: []string{group}})
	if err != nil {
		return s, fmt.Errorf("describe target group: %w", err)
	}
	if len(out.TargetGroups) == 0 { // otherwise it would look like a group without a load balancer
		return s, fmt.Errorf("describe target group %s: %w", group, ensure.ErrUnnamed)
	}
	for _, g := range out.TargetGroups {
		for _, balancer := range g.LoadBalancerArns {
			_, s.LoadBalancer, _ = strings.Cut(balancer, ":loadbalancer/")
		}
	}
	return s, nil
}

// groupOf returns the target group of a revision's production traffic, or an empty string.
func groupOf(revision *types.ServiceRevision) string {
	if c := revision.ResolvedConfiguration; c != nil && len(c.LoadBalancers) > 0 {
		return aws.ToString(c.LoadBalancers[0].TargetGroupArn)
	}
	if len(revision.LoadBalancers) > 0 {
		return aws.ToString(revision.LoadBalancers[0].TargetGroupArn)
	}
	return ""
}

// analysisEvidence reports every measurement.
func (o *observer) analysisEvidence(outcome *deployment.Outcome) {
	if o.analyzer == nil {
		return
	}
	counts := map[analysis.State]int{}
	for _, s := range o.analyzer.Samples() {
		counts[s.State]++
	}
	value := fmt.Sprintf("%d good, %d bad, %d inconclusive measurements", counts[analysis.Successful], counts[analysis.Failed],
		counts[analysis.Inconclusive])
	held := outcome.Problem == nil
	if len(o.analyzer.Samples()) == 0 && held {
		o.stage().Add("analysis", "nothing was measured: no traffic shifted while this run looked, or all metrics compare with an old version")
	} else {
		o.stage().Gate("analysis", value, "enough good ones at each stage", held)
	}
	o.stage().Blocks = append(o.stage().Blocks, o.analyzer.Blocks()...)
}

// unwatched is the problem of a deployment of an adopted service that ended while no run was watching: nothing could have
// stopped it, and nothing has verified it.
func (o deployer) unwatched(run journal.Run, outcome *deployment.Outcome) *verdict.Problem {
	before := o.past.Run
	if outcome.Problem != nil || !outcome.Unchanged || o.analyzer == nil || !o.plan.Adopts() || before == nil ||
		before.Kind != journal.Deploy || before.TaskDefinition != run.TaskDefinition {
		return nil //nolint:nilerr // the outcome has its own problem, which is not an error here
	}
	return verdict.Problemf(deployment.AnalysisInconclusive, "the run of %s was interrupted, and its deployment ended meanwhile; the new "+
		"version serves without a result, and rollback goes back", before.By)
}
