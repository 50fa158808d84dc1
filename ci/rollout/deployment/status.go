package deployment

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// HasEnded reports whether a status of a deployment is final. Of a status that ECS got after this version was made, the
// time at which the deployment finished tells it: what is not known to have ended is in flight.
func HasEnded(status types.ServiceDeploymentStatus, finished *time.Time) bool {
	switch status {
	case types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed:
		return true
	default:
		return !isKnown(status) && finished != nil
	}
}

func isKnown(status types.ServiceDeploymentStatus) bool {
	return slices.Contains(status.Values(), status)
}

// IsUndone reports whether a deployment is or was rolled back.
func IsUndone(status types.ServiceDeploymentStatus) bool {
	switch status {
	case types.ServiceDeploymentStatusStopRequested, types.ServiceDeploymentStatusRollbackRequested,
		types.ServiceDeploymentStatusRollbackInProgress, types.ServiceDeploymentStatusRollbackSuccessful,
		types.ServiceDeploymentStatusRollbackFailed:
		return true
	default:
		return false
	}
}

// isAdvancing reports whether a deployment moves towards its target, as far as is known.
func isAdvancing(status types.ServiceDeploymentStatus) bool {
	return !HasEnded(status, nil) && !IsUndone(status)
}

// StatusText is a status in words.
func StatusText(status types.ServiceDeploymentStatus) string {
	if isKnown(status) {
		return string(status)
	}
	return string(status) + " (a status that this version does not know, taken for in flight)"
}
