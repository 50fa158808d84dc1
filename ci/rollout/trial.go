package rollout

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// Trial is a single task of the new version that runs before the service is updated.
//
// With every strategy ECS launches all desired tasks of a new version at once and replaces
// each that fails. A standalone task shows that a version cannot start with one launch, while
// the old version keeps serving.
type Trial struct {
	// Task is the task as the service would run it: same revision, network and roles. Its task
	// definition is filled in once that has an ARN; StartedBy identifies this service's trials.
	Task *ecs.RunTaskInput
	// Patience is how long it may take to become healthy.
	Patience time.Duration
	// Off is true when no trial is made, and Why says the reason where that is not rollout.trial.
	// Trials that an earlier run left are still found.
	Off bool
	Why string
	// NoHealthCheck is true if ECS cannot tell whether the task is healthy: then it has to keep running.
	NoHealthCheck bool
}

// maxStartedBy is the maximum length of RunTask's startedBy (API reference).
const maxStartedBy = 128

func (s *settings) trial() *Trial {
	service := services{s}.create()
	return &Trial{
		Task: &ecs.RunTaskInput{
			Cluster: service.Cluster, TaskDefinition: service.TaskDefinition, Count: aws.Int32(1),
			LaunchType: types.LaunchTypeFargate, PlatformVersion: service.PlatformVersion, NetworkConfiguration: service.NetworkConfiguration,
			StartedBy: aws.String(startedBy("trial", s.names.service)), EnableECSManagedTags: true, Tags: ecsTags(s.ownership()),
		},
		Patience: s.trialPatience(), Off: !s.Trial, NoHealthCheck: s.NoPort,
	}
}

// startedBy identifies the tasks of a kind that belong to a service.
func startedBy(kind, service string) string {
	if by := kind + "/" + service; len(by) <= maxStartedBy {
		return by
	}
	return kind + "/" + clientToken(service)
}

// TaskStartedBy identifies the one-off tasks of this service.
func (p *Plan) TaskStartedBy() string { return startedBy("task", p.settings.names.service) }

// trialPatience allows for a large image or a slow registry. Only a task that hangs before it
// runs takes this long: once it runs, ECS itself reports when it is unhealthy.
func (s *settings) trialPatience() time.Duration { return 10*provision + s.patience() }
