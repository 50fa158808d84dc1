package deployment

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// handleInFlight deals with a deployment of another version that is in flight. again is true when it
// has ended, and everything must be looked at again.
func (s *starter) handleInFlight(ctx context.Context, other types.ServiceDeploymentBrief) (again bool, _ *verdict.Problem) {
	arn := aws.ToString(other.ServiceDeploymentArn)
	what := s.InFlight
	if what != Supersede && s.Create != nil {
		d, err := s.ecs.deployment(ctx, arn)
		if err == nil && len(d.SourceServiceRevisions) == 0 {
			s.log("deployment %s replaces nothing that served, so ours replaces it", id(arn))
			what = Supersede
		}
	}
	switch what {
	case Supersede:
		s.log("superseding deployment %s, which is %s", id(arn), StatusText(other.Status))
		return false, nil
	case Wait, Undo:
		if s.hasWaited {
			break
		}
		s.hasWaited = true
		return true, s.awaitOther(ctx, arn, what == Undo)
	}
	problem := verdict.Problemf(Busy, "deployment %s is %s since %s", id(arn), StatusText(other.Status),
		aws.ToTime(other.CreatedAt).UTC().Format(time.RFC3339))
	return false, problem
}

// awaitOther waits until another deployment has ended.
func (s *starter) awaitOther(ctx context.Context, arn string, undo bool) *verdict.Problem {
	patience := max(s.Deadline, rollsBack)
	s.log("waiting up to %s for deployment %s to end", patience, id(arn))
	stands, gone := "", Absence{}
	for end := s.clock.Now().Add(patience); ; {
		d, err := s.ecs.deployment(ctx, arn)
		missing := errors.Is(err, errMissing)
		switch {
		case gone.Lasts(missing, s.clock.Now()):
			return nil
		case err != nil && !missing && Refused(err):
			return s.awsProblem(ctx, AWSFailed, err)
		case err == nil && HasEnded(d.Status, d.FinishedAt):
			s.log("deployment %s is %s", id(arn), d.Status)
			return nil
		case err == nil && undo && isAdvancing(d.Status):
			if problem := s.mayWrite(ctx); problem != nil {
				return problem
			}
			*s.ecs.calls++
			if _, err := s.ecs.StopServiceDeployment(ctx, stopInput(arn)); err != nil && Refused(err) && !Expired(err) {
				return verdict.Problemf(Busy, "deployment %s is %s, and cannot be rolled back: %v", id(arn), StatusText(d.Status), err)
			}
		}
		if err == nil && describeProgress(d) != stands {
			stands = describeProgress(d)
			s.log("deployment %s is %s", id(arn), stands)
		}
		s.renewLock(ctx)
		if !s.clock.Now().Before(end) {
			return verdict.Problemf(Busy, "deployment %s has not ended within %s: %s", id(arn), patience, stands)
		}
		if err := s.clock.Sleep(ctx, s.Poll); err != nil {
			return s.interrupted(err)
		}
	}
}

// describeProgress describes where a deployment is, and for which answer it waits.
func describeProgress(d *types.ServiceDeployment) string {
	text := strings.TrimSpace(StatusText(d.Status) + " " + string(d.LifecycleStage))
	if hook := HookOf(d); hook != nil {
		text += fmt.Sprintf(", awaiting approval until %s, then %s", hook.Expires.UTC().Format(time.RFC3339), hook.OnExpiry)
	}
	return text
}
