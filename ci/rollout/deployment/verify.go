package deployment

import (
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// verify compares what runs with the request. A successful deployment is necessary and not enough.
// What ECS describes lags behind, and auto-scaling may be adding a task, so a bad result is checked
// again for a while before it counts.
func (s *session) verify(ctx context.Context, revisionARN string) *verdict.Problem {
	for end := s.clock.Now().Add(settles); ; {
		problem := s.check(ctx, revisionARN)
		if problem == nil || problem.Code == DigestMismatch || !s.clock.Now().Before(end) {
			return problem
		}
		s.renewLock(ctx)
		if err := s.clock.Sleep(ctx, s.Poll); err != nil {
			return s.interrupted(err)
		}
	}
}

// check is one comparison of verify.
func (s *session) check(ctx context.Context, revisionARN string) *verdict.Problem {
	service, err := s.ecs.service(ctx, s.Cluster, s.Service)
	if err != nil {
		return s.awsProblem(ctx, Lost, err)
	}
	if revisionARN == "" && len(service.CurrentServiceRevisions) > 0 {
		revisionARN = aws.ToString(service.CurrentServiceRevisions[0].Arn)
	}
	revision, err := s.ecs.revision(ctx, revisionARN)
	if err != nil {
		return s.awsProblem(ctx, Lost, err)
	}
	s.outcome.Running, s.outcome.Desired = int(service.RunningCount), int(service.DesiredCount)
	if of := aws.ToString(revision.TaskDefinition); of != s.TaskDefinition {
		// The answer may be older than the end of our deployment. It proves nothing about our
		// digest; verify asks again.
		return s.withPublished(verdict.Problemf(Superseded, "the current revision of service %s is of %s, %s was deployed", s.Service, id(of),
			id(s.TaskDefinition)))
	}
	if problem := s.runs(ctx, runningImage(revision, s.Container)); problem != nil {
		return s.withPublished(problem)
	}
	switch {
	case aws.ToString(service.TaskDefinition) != s.TaskDefinition:
		return s.withPublished(verdict.Problemf(Superseded, "service %s runs %s, %s was deployed", s.Service,
			id(aws.ToString(service.TaskDefinition)), id(s.TaskDefinition)))
	case service.DesiredCount == 0:
		return s.withPublished(verdict.Problemf(NoRunningTasks, "0 tasks run, and 0 are to"))
	case service.RunningCount != service.DesiredCount:
		return s.withPublished(verdict.Problemf(NotServing, "%d of %d tasks run", service.RunningCount, service.DesiredCount))
	}
	if problem := s.checkTargets(ctx, revision, int(service.DesiredCount)); problem != nil {
		return problem
	}
	if s.Probe != nil {
		if err := s.Probe(ctx); err != nil {
			return s.withPublished(verdict.Problemf(NotServing, "%d tasks run, and the service does not answer: %v", service.RunningCount, err))
		}
	}
	return nil
}

// runs requires that what runs is the digest, or an image of the index that it names.
func (s *session) runs(ctx context.Context, running string) *verdict.Problem {
	if strings.Contains(running, s.Digest) {
		return nil
	}
	var members []string
	if s.Members != nil {
		var err error
		if members, err = s.Members(ctx, s.Digest); err != nil {
			return verdict.Problemf(IndexUnreadable, "container %s runs %s, and whether that is an image of %s could not be found out: %v",
				s.Container, running, s.Digest, err)
		}
	}
	switch {
	case slices.Contains(members, running):
		return nil
	case !strings.Contains(running, "sha256:"):
		return verdict.Problemf(DigestUnknown, "container %s runs %s, and ECS does not name its digest; %s was to be deployed", s.Container,
			running, s.Digest)
	}
	return verdict.Problemf(DigestMismatch, "container %s runs %s, %s was to be deployed", s.Container, running, s.Digest)
}

// checkTargets requires as many healthy targets as tasks are desired.
func (s *session) checkTargets(ctx context.Context, revision *types.ServiceRevision, desired int) *verdict.Problem {
	groups := groupsOf(revision)
	if s.Targets == nil || len(groups) == 0 {
		return nil
	}
	targets, healthy, err := s.leastHealthy(ctx, groups)
	if groupGone(err) {
		return s.withPublished(verdict.Problemf(NotServing, "a target group of the service is gone, so no requests reach its tasks: %v", err))
	}
	if err != nil {
		return s.awsProblem(ctx, Lost, err)
	}
	s.outcome.Targets = targets
	if healthy < desired {
		return s.withPublished(verdict.Problemf(LBUnhealthy, "%d of %d targets are healthy%s", healthy, desired, prefixed(": ",
			summary(targets))))
	}
	return nil
}

// runningImage returns the digest of a container's image as ECS resolved it, or its reference.
func runningImage(revision *types.ServiceRevision, container string) string {
	for _, image := range revision.ContainerImages {
		if aws.ToString(image.ContainerName) != container {
			continue
		}
		if digest := aws.ToString(image.ImageDigest); digest != "" {
			return digest
		}
		return aws.ToString(image.Image)
	}
	return "an image that ECS does not name"
}
