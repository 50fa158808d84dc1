package rollout

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Trial is the one task of a new version that is run before the service is touched.
//
// ECS launches as many tasks of a new version as are desired at once, with every strategy,
// and replaces each that fails: what cannot start costs that many launches before anybody
// can see it. One task that belongs to no service shows the same with one launch, while the
// old version serves untouched.
type Trial struct {
	// Task is the task as the service would run it: same revision, network and roles. The
	// task definition is filled in when it has an ARN; StartedBy names this service's trials.
	Task *ecs.RunTaskInput
	// Patience is how long it may take to be healthy.
	Patience time.Duration
	// Off says that rollout.trial wants none. What an earlier run left is still known by its name.
	Off bool
}

// maxStartedBy is the most characters that ECS takes for who started a task (API
// reference, RunTask).
const maxStartedBy = 128

func (s *settings) trial() *Trial {
	startedBy := "trial/" + s.names.service
	if len(startedBy) > maxStartedBy {
		startedBy = "trial/" + clientToken(s.names.service)
	}
	service := s.service()
	return &Trial{
		Task: &ecs.RunTaskInput{
			Cluster: service.Cluster, TaskDefinition: service.TaskDefinition, Count: aws.Int32(1),
			LaunchType: types.LaunchTypeFargate, PlatformVersion: service.PlatformVersion, NetworkConfiguration: service.NetworkConfiguration,
			StartedBy: aws.String(startedBy), EnableECSManagedTags: true, Tags: ecsTags(s.ownership()),
		},
		Patience: s.trialPatience(), Off: !s.Trial,
	}
}

// trialPatience takes a large image or a slow registry for no dead task. Only one that hangs
// before it runs takes so long: once it runs, ECS itself says when it is unhealthy.
func (s *settings) trialPatience() time.Duration { return 10*provision + s.patience() }
