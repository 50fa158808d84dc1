package deployment

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// verify holds what runs against what was asked for. ECS's word that a deployment
// succeeded is necessary and not enough. What ECS describes lags behind, and scaling may
// just be adding a task, so a bad answer is asked for again before it counts.
func (f *follower) verify(revisionARN string) *verdict.Problem {
	for end := f.clock.Now().Add(settles); ; {
		problem := f.check(revisionARN)
		if problem == nil || problem.Code == DigestMismatch || !f.clock.Now().Before(end) {
			return problem
		}
		f.look()
		if err := f.clock.Sleep(f.ctx, f.Poll); err != nil {
			return f.interrupted(err)
		}
	}
}

func (f *follower) check(revisionARN string) *verdict.Problem {
	service, err := f.ecs.service(f.ctx, f.Cluster, f.Service)
	if err != nil {
		return f.unable(Lost, err)
	}
	if revisionARN == "" && len(service.CurrentServiceRevisions) > 0 {
		revisionARN = aws.ToString(service.CurrentServiceRevisions[0].Arn)
	}
	revision, err := f.ecs.revision(f.ctx, revisionARN)
	if err != nil {
		return f.unable(Lost, err)
	}
	f.outcome.Running, f.outcome.Desired = int(service.RunningCount), int(service.DesiredCount)
	if of := aws.ToString(revision.TaskDefinition); of != f.TaskDefinition {
		// What is described may be from before our deployment ended: that says nothing about our
		// digest, and is asked for again.
		return f.published(verdict.Problemf(Superseded, "the current revision of service %s is of %s, %s was deployed", f.Service, id(of), id(f.TaskDefinition)))
	}
	if running := runningImage(revision, f.Container); !strings.Contains(running, f.Digest) {
		return f.published(verdict.Problemf(DigestMismatch, "container %s runs %s, %s was to be deployed", f.Container, running, f.Digest))
	}
	switch {
	case aws.ToString(service.TaskDefinition) != f.TaskDefinition:
		return f.published(verdict.Problemf(Superseded, "service %s runs %s, %s was deployed", f.Service, id(aws.ToString(service.TaskDefinition)), id(f.TaskDefinition)))
	case service.DesiredCount == 0:
		return f.published(verdict.Problemf(NoRunningTasks, "0 tasks run, and 0 are to"))
	case service.RunningCount != service.DesiredCount:
		return f.published(verdict.Problemf(NotServing, "%d of %d tasks run", service.RunningCount, service.DesiredCount))
	}
	if problem := f.checkTargets(revision, int(service.DesiredCount)); problem != nil {
		return f.published(problem)
	}
	if f.Probe != nil {
		if err := f.Probe(f.ctx); err != nil {
			return f.published(verdict.Problemf(NotServing, "%d tasks run, and the service does not answer: %v", service.RunningCount, err))
		}
	}
	return nil
}

// runningImage is the image of a container as ECS resolved it, with its digest.
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
