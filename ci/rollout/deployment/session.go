package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// appears is how long a new deployment may take to be listed: lists lag behind.
	appears = 60 * time.Second
	// rollsBack is how long a rollback may take after it was requested.
	rollsBack = 15 * time.Minute
	// blind is how long ECS may fail to answer before we give up following.
	blind = 5 * time.Minute
	// settles is how long the service may take to show the result of its deployment.
	settles = 3 * time.Minute
)

// session is one call of this package: what was requested, the connection to ECS, and the
// outcome so far. observer, follower and starter build on it.
type session struct {
	Request
	ecs     *api
	clock   *awsclock.Clock
	outcome *Outcome
	// started is when ECS created the deployment; zero until that is known. timerStart is when
	// the deadline began, by this machine's clock: a pause does not count.
	started, timerStart time.Time
	// followedSince is when this call began, after a pause was answered.
	followedSince time.Time
	// lastEvent is the last reported state of the deployment.
	lastEvent Event
	// fenced is set when another run has taken the lock: nothing more is written.
	fenced bool
}

// log emits a message with the last known state of the deployment.
func (s *session) log(format string, args ...any) {
	e := s.lastEvent
	e.Text = fmt.Sprintf(format, args...)
	s.emit(e)
}

// emit records an event and passes it to the caller.
func (s *session) emit(e Event) {
	e.Time = s.clock.Server()
	s.outcome.Events = append(s.outcome.Events, e)
	if s.Progress != nil {
		s.Progress(e)
	}
}

// awsProblem is the problem of a call that failed.
func (s *session) awsProblem(ctx context.Context, code verdict.Code, err error) *verdict.Problem {
	if ctx.Err() != nil {
		return s.interrupted(err)
	}
	if Expired(err) {
		code = AuthExpired
	}
	problem := verdict.Problemf(code, "%v", err)
	if code == Lost && Denied(err) {
		problem.Next = "Allow the call that the cause names, as in docs/iam, and deploy the same again: what is in flight or serves is found"
	}
	if code == Lost || s.outcome.Deployment != "" {
		return s.withPublished(problem)
	}
	return problem
}

// interrupted is the problem of a context that ended.
func (s *session) interrupted(err error) *verdict.Problem {
	if s.outcome.Deployment == "" && !s.outcome.Adopted {
		return verdict.Problemf(Interrupted, "%v", err)
	}
	return s.withPublished(verdict.Problemf(Interrupted, "%v; deployment %s goes on", err, id(s.outcome.Deployment)))
}

// withPublished adds what others can see in spite of the problem.
func (s *session) withPublished(p *verdict.Problem) *verdict.Problem {
	what := "an update of service " + s.Service
	if s.outcome.Deployment != "" {
		what = "deployment " + id(s.outcome.Deployment) + " of service " + s.Service
	}
	p.Published = append(p.Published, what)
	return p
}

// mayWrite checks the lock. Once it is lost, nothing more is written.
func (s *session) mayWrite(ctx context.Context) *verdict.Problem {
	if s.fenced {
		return verdict.Problemf(LockLost, "another run has taken over service %s", s.Service)
	}
	if s.Fence == nil {
		return nil
	}
	err := s.Fence(ctx)
	var known *verdict.Problem
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return s.interrupted(err)
	case errors.As(err, &known):
		return known
	default:
		return verdict.Problemf(LockLost, "%v", err)
	}
}

// renewLock lets the caller renew its lock while we wait. When another run has taken it, nothing more
// is written.
func (s *session) renewLock(ctx context.Context) {
	if s.Look == nil || s.fenced {
		return
	}
	if err := s.Look(ctx); err != nil && ctx.Err() == nil {
		var known *verdict.Problem
		if errors.As(err, &known) && known.Code.Name != LockLost.Name {
			// While its store does not answer, nobody else can take the lock either. It is checked
			// again before a write.
			s.log("the lock could not be kept: %s", known.Cause)
			return
		}
		s.fenced = true
		s.log("another run has taken the lock; this one only follows: %v", err)
	}
}

// notifyStarted passes the ARN of our deployment to the caller.
func (s *session) notifyStarted(ctx context.Context) {
	if s.Started != nil {
		s.Started(ctx, s.outcome.Deployment)
	}
}

// isOurs reports whether a deployment is of our task definition.
func (s *session) isOurs(ctx context.Context, brief types.ServiceDeploymentBrief) (bool, error) {
	arn := aws.ToString(brief.TargetServiceRevisionArn)
	if arn == "" {
		return false, nil
	}
	revision, err := s.ecs.revision(ctx, arn)
	if errors.Is(err, errMissing) {
		return false, nil // not visible yet; the next look asks again
	}
	if err != nil {
		return false, err
	}
	return aws.ToString(revision.TaskDefinition) == s.TaskDefinition, nil
}

// startTimer starts the deployment's deadline: time spent waiting before does not count.
func (s *session) startTimer() { s.started, s.timerStart = time.Time{}, s.clock.Now() }

// adoptTimer counts the deadline from the time at which ECS says that the deployment was created.
// How long ago that was is known only after an answer of ECS has had a Date.
func (s *session) adoptTimer(created time.Time) {
	s.started, s.timerStart = created, s.clock.Now()
	if s.clock.Measured() && !created.IsZero() {
		s.timerStart = s.timerStart.Add(-max(0, s.clock.Server().Sub(created)))
	}
}

// id returns the last part of an ARN.
func id(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }
