package deployment

import (
	"crypto/rand"
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
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// drains is how long a deleted service may take to be gone.
const drains = 15 * time.Minute

// mayWrite asks the fence. Once it said no, nothing is written any more.
func (f *follower) mayWrite() *verdict.Problem {
	if f.fenced {
		return verdict.Problemf(LockLost, "another run has taken over service %s", f.Service)
	}
	if f.Fence == nil {
		return nil
	}
	err := f.Fence(f.ctx)
	var known *verdict.Problem
	switch {
	case err == nil:
		return nil
	case f.ctx.Err() != nil:
		return f.interrupted(err)
	case errors.As(err, &known):
		return known
	default:
		return verdict.Problemf(LockLost, "%v", err)
	}
}

// redeploys says that the update starts a deployment although the task definition is the
// same: these members do (API reference, UpdateService).
func (f *follower) redeploys() bool {
	u := &f.Update
	return u.ForceNewDeployment || u.LoadBalancers != nil || u.NetworkConfiguration != nil
}

// adjust changes what the service says about its deployments to come, and starts none: the
// task definition, which runs already, is not sent along. That makes it safe to repeat.
func (f *follower) adjust() *verdict.Problem {
	u := &f.Update
	if u.DeploymentConfiguration == nil && u.HealthCheckGracePeriodSeconds == nil && u.AvailabilityZoneRebalancing == "" && u.PropagateTags == "" {
		return nil
	}
	in := f.Update
	in.Cluster, in.Service, in.TaskDefinition = aws.String(f.Cluster), aws.String(f.Service), nil
	if problem := f.mayWrite(); problem != nil {
		return problem
	}
	f.say("service %s runs the version already; its settings are changed", f.Service)
	*f.ecs.calls++
	if _, err := f.ecs.UpdateService(f.ctx, &in); err != nil {
		err = fmt.Errorf("update service %s: %w", f.Service, err)
		if Refused(err) && !Expired(err) {
			return verdict.Problemf(UpdateFailed, "%v", err)
		}
		return f.unable(AWSFailed, err)
	}
	return nil
}

// look lets the caller keep its lock while we wait.
func (f *follower) look() {
	if f.Look == nil || f.fenced {
		return
	}
	if err := f.Look(f.ctx); err != nil && f.ctx.Err() == nil {
		var known *verdict.Problem
		if errors.As(err, &known) && known.Code.Name != LockLost.Name {
			// Nobody else can take the lock either while its store does not answer. Before a
			// write it is asked again.
			f.say("the lock could not be kept: %s", known.Cause)
			return
		}
		f.fenced = true
		f.say("another run has taken over, so this one only looks on: %v", err)
	}
}

// found tells the caller which deployment is ours.
func (f *follower) found() {
	if f.Started != nil {
		f.Started(f.ctx, f.outcome.Deployment)
	}
}

// create makes the service and follows its first deployment. A deleted service of the
// name must be gone first.
func (f *follower) create(service *types.Service, err error) *verdict.Problem {
	for end := f.clock.Now().Add(drains); ; {
		if err != nil && !errors.Is(err, errMissing) {
			return f.unable(AWSFailed, err)
		}
		if err != nil || aws.ToString(service.Status) == "INACTIVE" {
			break
		}
		if !f.clock.Now().Before(end) {
			return verdict.Problemf(TargetMissing, "service %s is %s, for %s", f.Service, aws.ToString(service.Status), drains)
		}
		f.say("service %s is %s; it is made again when it is gone", f.Service, aws.ToString(service.Status))
		f.look()
		if err := f.clock.Sleep(f.ctx, f.Poll); err != nil {
			return f.interrupted(err)
		}
		service, err = f.ecs.service(f.ctx, f.Cluster, f.Service)
	}
	// That there is no such service yet is an answer too.
	before, err := f.ecs.deployments(f.ctx, f.Cluster, f.Service, time.Time{})
	if Denied(err) && !f.mayFollow {
		return verdict.Problemf(FollowDenied, "%v", err)
	}
	if f.Before != nil {
		return f.afresh()
	}
	if problem := f.mayWrite(); problem != nil {
		return problem
	}
	in := *f.Create
	in.Cluster, in.ServiceName, in.TaskDefinition = aws.String(f.Cluster), aws.String(f.Service), aws.String(f.TaskDefinition)
	in.ClientToken = aws.String(rand.Text())
	f.begin()
	for attempt := 1; ; attempt++ {
		*f.ecs.calls++
		// The client token makes it safe to repeat. It is another one for each creation: with one
		// that has made a service before, ECS does nothing, also where that was deleted since.
		out, err := f.ecs.CreateService(f.ctx, &in)
		awsclock.See(f.clock, out, err)
		if err == nil {
			break
		}
		if Expired(err) {
			return f.unable(AWSFailed, fmt.Errorf("create service %s: %w", f.Service, err))
		}
		if Refused(err) && !notYet(err) && !leaving(err) || attempt == createAttempts {
			return verdict.Problemf(UpdateFailed, "create service %s: %v", f.Service, err)
		}
		if leaving(err) {
			// What is in the way is an old service that ECS has not forgotten, or one that somebody
			// made in this moment.
			if there, err := f.ecs.service(f.ctx, f.Cluster, f.Service); err == nil && aws.ToString(there.Status) == "ACTIVE" {
				return f.deploy()
			}
			f.say("ECS has not forgotten the old service %s yet; it is made again in a moment", f.Service)
		}
		f.look()
		if err := f.clock.Sleep(f.ctx, f.Poll); err != nil {
			return f.interrupted(err)
		}
	}
	f.outcome.Created = true
	if problem := f.find(before, nil); problem != nil {
		return problem
	}
	return f.follow()
}

// createAttempts are those within two minutes: a new role takes seconds to be known.
const createAttempts = 24

// notYet says that ECS does not know a new role yet (pulumi/pulumi-awsx#927).
func notYet(err error) bool {
	return containsAny(err.Error(), "unable to assume", "Unable to assume", "service linked role")
}

// leaving says that a service of the name is in the way. Right after one was deleted, ECS
// says so for a moment although it describes none (hashicorp/terraform-provider-aws#2283).
func leaving(err error) bool {
	return containsAny(err.Error(), "still Draining", "not idempotent")
}

// Expired says that the credentials are no good any more, rather than not allowed to.
func Expired(err error) bool {
	var known smithy.APIError
	return errors.As(err, &known) && slices.Contains([]string{
		"ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "RequestExpired", "InvalidSignatureException",
	}, known.ErrorCode())
}

// Denied says that the credentials are good, and not allowed to.
func Denied(err error) bool {
	var known smithy.APIError
	return errors.As(err, &known) && slices.Contains([]string{"AccessDenied", "AccessDeniedException"}, known.ErrorCode())
}

// undoFirst deletes a service whose first deployment failed, if it is ours to: nothing
// served before it, and what crashes would be started again for ever.
func (f *follower) undoFirst(why *verdict.Problem) *verdict.Problem {
	problem := verdict.Problemf(NoRollbackTarget, "%s; it is the first deployment, so there is nothing to roll back to", why.Cause)
	if why.Code == NoCapacity || why.Code == NeverHealthy {
		problem.Code = why.Code
	}
	f.explain(problem)
	if f.Create == nil || f.OnTimeout == Leave {
		return f.published(problem)
	}
	f.say("deleting service %s, which never served: %s", f.Service, why.Cause)
	*f.ecs.calls++
	_, err := f.ecs.DeleteService(f.ctx, &ecs.DeleteServiceInput{Cluster: aws.String(f.Cluster), Service: aws.String(f.Service), Force: aws.Bool(true)})
	if err != nil {
		problem.Cause += "; and the service could not be deleted: " + err.Error()
		return f.published(problem)
	}
	problem.Cause += "; the service was deleted, as it never served"
	return problem
}

// makeWay deals with a deployment of another version that is under way. again says that
// it is gone, and that everything must be looked at anew.
func (f *follower) makeWay(other types.ServiceDeploymentBrief) (again bool, _ *verdict.Problem) {
	arn := aws.ToString(other.ServiceDeploymentArn)
	what := f.InFlight
	if what != Supersede && f.Create != nil {
		d, err := f.ecs.deployment(f.ctx, arn)
		if err == nil && len(d.SourceServiceRevisions) == 0 {
			f.say("deployment %s replaces nothing that served, so ours replaces it", id(arn))
			what = Supersede
		}
	}
	switch what {
	case Supersede:
		f.say("superseding deployment %s, which is %s", id(arn), other.Status)
		return false, nil
	case Wait, Undo:
		if f.waited {
			break
		}
		f.waited = true
		return true, f.await(arn, what == Undo)
	}
	problem := verdict.Problemf(Busy, "deployment %s is %s since %s", id(arn), other.Status, aws.ToTime(other.CreatedAt).UTC().Format(time.RFC3339))
	return false, problem
}

// await looks at somebody's deployment until it has ended.
func (f *follower) await(arn string, undo bool) *verdict.Problem {
	patience := max(f.Deadline, rollsBack)
	f.say("waiting up to %s for deployment %s to end", patience, id(arn))
	stands := ""
	for end := f.clock.Now().Add(patience); ; {
		d, err := f.ecs.deployment(f.ctx, arn)
		switch {
		case errors.Is(err, errMissing):
			return nil
		case err != nil && Refused(err):
			return f.unable(AWSFailed, err)
		case err == nil && terminal(d.Status):
			f.say("deployment %s is %s", id(arn), d.Status)
			return nil
		case err == nil && undo && forward(d.Status):
			if problem := f.mayWrite(); problem != nil {
				return problem
			}
			*f.ecs.calls++
			if _, err := f.ecs.StopServiceDeployment(f.ctx, stopInput(arn)); err != nil && Refused(err) && !Expired(err) {
				return verdict.Problemf(Busy, "deployment %s is %s, and cannot be rolled back: %v", id(arn), d.Status, err)
			}
		}
		if err == nil && standing(d) != stands {
			stands = standing(d)
			f.say("deployment %s is %s", id(arn), stands)
		}
		f.look()
		if !f.clock.Now().Before(end) {
			return verdict.Problemf(Busy, "deployment %s has not ended within %s: %s", id(arn), patience, stands)
		}
		if err := f.clock.Sleep(f.ctx, f.Poll); err != nil {
			return f.interrupted(err)
		}
	}
}

// standing says where a deployment stands, and whose answer it waits for.
func standing(d *types.ServiceDeployment) string {
	text := strings.TrimSpace(string(d.Status) + " " + string(d.LifecycleStage))
	if hook := HookOf(d); hook != nil {
		text += fmt.Sprintf(", awaiting approval until %s, then %s", hook.Expires.UTC().Format(time.RFC3339), hook.OnExpiry)
	}
	return text
}

func terminal(status types.ServiceDeploymentStatus) bool {
	switch status {
	case types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed:
		return true
	default:
		return false
	}
}
