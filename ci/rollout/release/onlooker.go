package release

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// alongside acts on a deployment that another run holds the lock for and follows. It does nothing if nobody holds the lock or
// nothing is in progress. act may make one call only, of those that ECS itself makes safe: stopping a deployment, or
// answering a pause by its ID. If the holder was interrupted, nobody records the end; then again runs once the lock has
// expired.
func (o onlooker) alongside(ctx context.Context, act func(*types.Service, types.ServiceDeployment) ([]*verdict.Problem, bool),
	again func(context.Context, *types.Service, types.ServiceDeployment) []*verdict.Problem,
) ([]*verdict.Problem, bool) {
	past, err := o.journal.Read(ctx)
	if err != nil {
		return []*verdict.Problem{journal.Problem(err)}, true
	}
	holder := o.journal.Held(past)
	if holder == nil {
		return nil, false
	}
	o.past = past
	service, running, problem := o.inFlightDeployments(ctx)
	if problem != nil {
		return []*verdict.Problem{problem}, true
	}
	for _, d := range running {
		o.holder = holder
		evidence, published := len(o.stage().Evidence), len(o.stage().Published)
		problems, done := act(service, d)
		o.holder = nil
		if !done {
			continue
		}
		if o.result.Outcome != nil && (len(problems) == 0 || !unfinished(problems[0].Code)) && o.holderIsGone(ctx, d) {
			// again repeats the evidence and records the end.
			o.stage().Evidence, o.stage().Published = o.stage().Evidence[:evidence], o.stage().Published[:published]
			return o.optimistic(ctx, func(ctx context.Context) []*verdict.Problem { return again(ctx, service, d) }), true
		}
		return problems, true
	}
	return nil, false
}

// holderIsGone waits until the end of a deployment is recorded, or until the lock expires first.
func (o onlooker) holderIsGone(ctx context.Context, d types.ServiceDeployment) bool {
	// A run that was interrupted before the response to its update has recorded no deployment.
	definition, problem := definitionOf(ctx, o.operation, d)
	if problem != nil {
		definition = ""
	}
	of := func(run *journal.Run) bool {
		if run.Deployment == "" {
			return run.TaskDefinition == definition && definition != ""
		}
		return run.Deployment == aws.ToString(d.ServiceDeploymentArn)
	}
	const poll = 5 * time.Second
	left := o.lockPatience()
	for looks := 0; ; looks++ {
		past, err := o.journal.Read(ctx)
		if err != nil {
			o.stage().Warn(NotRecorded, "%v", err)
			return false
		}
		switch {
		case past.Run == nil || !of(past.Run):
			return false
		case o.journal.Held(past) == nil:
			return true
		case looks == 2: // a live holder has recorded it by now
			o.log("the deployment has ended; waiting until %s records that, or its lock expires", past.Run.By)
		}
		if left <= 0 || o.clock.Sleep(ctx, poll) != nil {
			return false // the holder of the lock is alive and will record it
		}
		left -= poll
	}
}

// onlookerRequest returns a request to follow a deployment without deciding anything, which the holder of the lock does.
func (o onlooker) onlookerRequest(ctx context.Context, service *types.Service, d types.ServiceDeployment) (deployment.Request,
	*verdict.Problem) {
	request := o.followRequest(service)
	revision, problem := targetOf(ctx, o.operation, d)
	if problem != nil {
		return request, problem
	}
	request.TaskDefinition = aws.ToString(revision.TaskDefinition)
	o.plan.Image = o.imageOf(*revision) // for the report
	request.Digest = o.digest()
	request.AwaitApproval = o.in.AwaitApproval
	return request, nil
}

// lookOn follows a deployment while the holder of the lock makes the decisions.
func (o onlooker) lookOn(ctx context.Context, service *types.Service, d types.ServiceDeployment, answered string) []*verdict.Problem {
	request, problem := o.onlookerRequest(ctx, service, d)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	request.Answered = answered
	outcome := deployment.Follow(ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	o.evidence(outcome)
	return o.problems(outcome)
}
