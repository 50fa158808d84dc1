package deployment

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// rollBack asks ECS to put the old version back; the caller goes on following. A request without an
// answer is repeated at the next look.
func (f *follower) rollBack(ctx context.Context, why *verdict.Problem) *verdict.Problem {
	if problem := f.mayWrite(ctx); problem != nil {
		if problem.Code.Name != LockLost.Name && ctx.Err() == nil && f.retryRollback(why) {
			f.log("the deployment must be rolled back, and the lock could not be checked: %s", problem.Cause)
			return nil
		}
		problem.Cause = why.Cause + "; " + problem.Cause
		return f.withPublished(problem)
	}
	if f.firstDeployment {
		return f.deleteFirst(ctx, why)
	}
	f.log("rolling back: %s", why.Cause)
	*f.ecs.calls++
	if _, err := f.ecs.StopServiceDeployment(ctx, stopInput(f.outcome.Deployment)); err != nil {
		if Expired(err) {
			return f.awsProblem(ctx, Lost, fmt.Errorf("%s; it could not be rolled back: %w", why.Cause, err))
		}
		if Refused(err) {
			// It has ended in the meantime, or there is no version to go back to.
			d, lookErr := f.ecs.deployment(ctx, f.outcome.Deployment)
			if lookErr == nil {
				if done, problem := f.judgeEnd(ctx, d); done {
					f.on(deploymentEnded)
					return problem
				}
			}
			problem := f.withPublished(verdict.Problemf(Stuck, "%s; it cannot be rolled back: %v", why.Cause, err))
			f.explain(ctx, problem)
			return problem
		}
		if !f.retryRollback(why) {
			problem := f.withPublished(verdict.Problemf(Stuck, "%s; for %s it could not be rolled back: %v", why.Cause, blind, err))
			f.explain(ctx, problem)
			return problem
		}
		return nil
	}
	f.on(rollbackAccepted)
	f.reason, f.rollbackAt, f.rollbackRequested = why, f.clock.Now(), true
	return nil
}

// retryRollback keeps a rollback that could not be requested for the next look. It returns false when
// requests have failed for too long.
func (f *follower) retryRollback(why *verdict.Problem) bool {
	f.on(rollbackUnanswered)
	f.pendingRollback = why
	if f.rollbackFailingSince.IsZero() {
		f.rollbackFailingSince = f.clock.Now()
	}
	return f.clock.Now().Sub(f.rollbackFailingSince) <= blind
}

// deleteFirst deletes a service whose first deployment failed, if this run may create it: nothing
// served before, and ECS would restart a crashing task again and again.
func (f *follower) deleteFirst(ctx context.Context, why *verdict.Problem) *verdict.Problem {
	problem := verdict.Problemf(NoRollbackTarget, "%s; it is the first deployment, so there is nothing to roll back to", why.Cause)
	if why.Code == NoCapacity || why.Code == NeverHealthy {
		problem.Code = why.Code
	}
	f.explain(ctx, problem)
	if f.Create == nil || f.OnTimeout == Leave {
		return f.withPublished(problem)
	}
	f.log("deleting service %s, which never served: %s", f.Service, why.Cause)
	*f.ecs.calls++
	_, err := f.ecs.DeleteService(ctx, &ecs.DeleteServiceInput{Cluster: aws.String(f.Cluster), Service: aws.String(f.Service),
		Force: aws.Bool(true)})
	if err != nil {
		problem.Cause += "; and the service could not be deleted: " + err.Error()
		return f.withPublished(problem)
	}
	problem.Cause += "; the service was deleted, as it never served"
	return problem
}

// stopInput asks for a rollback. The API has a type ABORT, and accepts only ROLLBACK.
func stopInput(arn string) *ecs.StopServiceDeploymentInput {
	return &ecs.StopServiceDeploymentInput{ServiceDeploymentArn: aws.String(arn), StopType: types.StopServiceDeploymentStopTypeRollback}
}
