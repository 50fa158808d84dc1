package deployment

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/stretchr/testify/assert"
)

// The texts are those of "Stopped tasks error messages" and "Service event messages" in the ECS
// developer guide, as far as one remedy could be taken for another.
func TestARemedyFitsItsMessage(t *testing.T) {
	const initialization = "ResourceInitializationError: "
	for text, remedy := range map[string]string{
		initialization + "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve ecr registry auth: " +
			"service call has been retried 3 time(s): RequestError: send request failed": "may log in to ECR",
		initialization + "unable to pull secrets or registry auth: The task cannot pull registry auth from Amazon ECR: There is a connection " +
			"issue between the task and Amazon ECR. Check your task network configuration.": "may log in to ECR",
		initialization + "unable to pull secrets or registry auth: execution resource retrieval failed: unable to retrieve secret from asm: " +
			"AccessDeniedException": "check the secret's ARN",
		initialization + "failed to invoke EFS utils commands to set up EFS volumes: stderr: Mount attempt 1/3 failed": "port 2049",
		initialization + "failed to validate logger args: create stream has been retried 1 times":                      "CloudWatch Logs",
		"CannotPullContainerError: failed to register layer: write /x: no space left on device":                        "rollout.ephemeral_storage",
		"CannotPullImageManifestError: manifest unknown":                                                               "the digest exists",
		"CannotPullContainerError: failed to resolve ref app@sha256:1: not found":                                      "the digest exists",
		"CannotStartContainerError: exec: \"serve\": executable file not found in $PATH: unknown":                      "image.command",
		"(service app) (port 8080) is unhealthy in (target-group x) due to (reason Health checks failed with these codes: [404])": "the path and " +
			"the port",
		"(service app) was unable to place a task. Reason: You've reached the limit on the number of tasks you can run concurrently": "a higher " +
			"Fargate quota",
		"something nobody has seen": "",
	} {
		if remedy == "" {
			assert.Empty(t, remedyFor(text), text)
			continue
		}
		assert.Contains(t, remedyFor(text), remedy, text)
	}
	assert.True(t, NoRoom("You've reached the limit on the number of tasks you can run concurrently"))
	assert.False(t, NoRoom("CannotPullContainerError: not found"))
}

// What the scheduler stops is evidence only where it names a health check: it also scales in, and moves tasks.
func TestWhichStoppedTasksCountAgainstTheirVersion(t *testing.T) {
	for reason, failed := range map[string]bool{
		"Task failed ELB health checks in (target-group arn:aws:elasticloadbalancing:...)": true,
		"Task failed container health checks":                                              true,
		"Scaling activity initiated by (deployment ecs-svc/1)":                             false,
		"Availability Zone rebalancing":                                                    false,
	} {
		stopped := types.Task{StopCode: types.TaskStopCodeServiceSchedulerInitiated, StoppedReason: aws.String(reason)}
		assert.Equal(t, failed, Failed(stopped), reason)
	}
	for code, failed := range map[types.TaskStopCode]bool{types.TaskStopCodeTaskFailedToStart: true,
		types.TaskStopCodeEssentialContainerExited: true, types.TaskStopCodeUserInitiated: false, types.TaskStopCodeSpotInterruption: false,
		types.TaskStopCodeTerminationNotice: false, "": false, "SomethingNew": false} {
		assert.Equal(t, failed, Failed(types.Task{StopCode: code}), code)
	}
}
