package release

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/journal"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// beside does something about a deployment under way while the run that holds the lock
// follows it. Nothing is done where nothing is under way or nobody holds the lock, and nothing
// but one call that ECS itself makes safe: stopping a deployment, or answering a pause by its id.
// A holder that was lost records no end: again then does, once the lock is over.
func (o *operation) beside(act func(*types.Service, types.ServiceDeployment) ([]*verdict.Problem, bool),
	again func(*types.Service, types.ServiceDeployment) []*verdict.Problem,
) ([]*verdict.Problem, bool) {
	past, err := o.journal.Read(o.ctx)
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(journal.JournalFailed, "%v", err)}, true
	}
	holder := o.journal.Held(past)
	if holder == nil {
		return nil, false
	}
	service, running, problem := o.underWay()
	if problem != nil {
		return []*verdict.Problem{problem}, true
	}
	o.past = past
	for _, d := range running {
		o.holder = holder
		evidence, published := len(o.stage().Evidence), len(o.stage().Published)
		problems, done := act(service, d)
		o.holder = nil
		if !done {
			continue
		}
		if o.result.Outcome != nil && (len(problems) == 0 || !unfinished(problems[0].Code)) && o.abandoned(d) {
			// It shows once more what was shown, and records it.
			o.stage().Evidence, o.stage().Published = o.stage().Evidence[:evidence], o.stage().Published[:published]
			return o.optimistic(func() []*verdict.Problem { return again(service, d) }), true
		}
		return problems, true
	}
	return nil, false
}

// abandoned waits for the end of a deployment to be on record, or for the lock to be over
// without it.
func (o *operation) abandoned(d types.ServiceDeployment) bool {
	// A run that was lost with the answer to its update has no deployment on record.
	definition, problem := o.definitionOf(d)
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
	left := o.patience()
	for looks := 0; ; looks++ {
		past, err := o.journal.Read(o.ctx)
		if err != nil {
			o.stage().Warn(NotRecorded, "%v", err)
			return false
		}
		switch {
		case past.Run == nil || !of(past.Run):
			return false
		case o.journal.Held(past) == nil:
			return true
		case looks == 2: // whoever is there has recorded it by now
			o.say("the deployment has ended; waiting until %s records that, or its lock is over as it was lost", past.Run.By)
		}
		if left <= 0 || o.clock.Sleep(o.ctx, poll) != nil {
			return false // the holder of the lock is there, and records it
		}
		left -= poll
	}
}

// besideRequest is a request to look on while the holder of the lock decides.
func (o *operation) besideRequest(service *types.Service, d types.ServiceDeployment) (deployment.Request, *verdict.Problem) {
	request := o.bare(service)
	revision, problem := o.target(d)
	if problem != nil {
		return request, problem
	}
	if revision != nil {
		request.TaskDefinition = aws.ToString(revision.TaskDefinition)
		o.plan.Image = imageOf(*revision) // what the report says was deployed
		request.Digest = o.digest()
	}
	request.AwaitApproval = o.in.AwaitApproval
	return request, nil
}

// lookOn follows a deployment that the holder of the lock decides on.
func (o *operation) lookOn(service *types.Service, d types.ServiceDeployment, answered string) []*verdict.Problem {
	request, problem := o.besideRequest(service, d)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	request.Answered = answered
	outcome := deployment.Follow(o.ctx, o.clients.ECS, o.clock, request, aws.ToString(d.ServiceDeploymentArn))
	o.evidence(outcome)
	return o.problems(outcome)
}
