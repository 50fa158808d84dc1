package deployment

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// remedies suggest a fix for what ECS writes as the reason of a stopped task or container, or as
// an event of a service. The first match counts. Sources: "Stopped tasks error messages" and
// "Service event messages" in the ECS developer guide.
var remedies = []struct{ sign, remedy string }{
	{"exec format error", "the image is of another CPU architecture than the task: build it for linux/amd64, or set the architecture to " +
		"ARM64"},
	{"no space left on device", "raise rollout.ephemeral_storage, or make the image smaller"},
	{"executable file not found", "check image.command, or the CMD of the Dockerfile: the image does not have that program"},
	{"EFS", "check that the file system has a mount target in each zone of the subnets whose security group admits port 2049 from the " +
		"tasks, that the access point exists, and, with iam, that the task role may mount it"},
	{"CannotPull", // ContainerError, ECRContainerError, ContainerAuthError, ImageManifestError
		"check that the digest exists, that the execution role may pull it, and that the subnets reach the registry (NAT or VPC endpoints)"},
	// They begin as those of a secret do: "unable to pull secrets or registry auth".
	{"ecr registry auth", registryAuth},
	{"registry auth from Amazon ECR", registryAuth},
	{"unable to pull secrets", "check the secret's ARN, that the execution role may read and decrypt it, and that the subnets reach " +
		"Secrets Manager (NAT or VPC endpoint)"},
	{"ResourceInitializationError",
		"check the execution role, and that the subnets reach ECR, Secrets Manager and CloudWatch Logs (NAT or VPC endpoints)"},
	{"OutOfMemory", "raise rollout.memory, or find what uses the memory"},
	{"health check", "look at the application's log: it started and did not answer its health check in time; raise rollout.start_period " +
		"if it only starts slowly"},
	{"is unhealthy in", "look at the application's log: it does not answer the load balancer's health check; compare the path and the port"},
	{"Capacity is unavailable", "try again later, or use subnets in other zones"},
	{"vCPU", "ask for a higher Fargate vCPU quota, or run fewer tasks"},
	{"on the number of tasks", "ask for a higher Fargate quota, or run fewer tasks"},
	{"assume the role", "a new role takes seconds to be usable; check its trust policy"},
	{"Essential container", "look at the application's log: it exited by itself"},
}

const registryAuth = "check that the execution role may log in to ECR (ecr:GetAuthorizationToken), and that the subnets reach it (NAT, " +
	"or VPC endpoints for ecr.api, ecr.dkr and S3)"

func remedyFor(text string) string {
	for _, r := range remedies {
		if strings.Contains(text, r.sign) {
			return r.remedy
		}
	}
	return ""
}

// NoRoom reports whether a message of AWS is about a lack of capacity, which no new image fixes.
func NoRoom(text string) bool {
	for _, sign := range []string{"Capacity is unavailable", "unable to place a task", "RESOURCE:", "on the number of vCPUs",
		"on the number of tasks",
		"not enough free addresses", "InsufficientFreeAddresses"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// Failed reports whether a stopped task is evidence against its version: it did not start, exited
// by itself, or did not become healthy. Tasks that the scheduler replaced are not.
func Failed(t types.Task) bool {
	switch t.StopCode {
	case types.TaskStopCodeTaskFailedToStart, types.TaskStopCodeEssentialContainerExited:
		return true
	case types.TaskStopCodeServiceSchedulerInitiated:
		return strings.Contains(aws.ToString(t.StoppedReason), "health check")
	default:
		return false
	}
}

// Explain returns why a task stopped, and how to fix it.
func Explain(t types.Task) string {
	parts := []string{aws.ToString(t.StoppedReason)}
	for _, c := range t.Containers {
		detail := aws.ToString(c.Reason)
		if c.ExitCode != nil && *c.ExitCode != 0 {
			detail = strings.TrimPrefix(fmt.Sprintf("%s, exit code %d%s", detail, *c.ExitCode, signal(*c.ExitCode)), ", ")
		}
		if detail != "" {
			parts = append(parts, aws.ToString(c.Name)+": "+detail)
		}
	}
	return WithRemedy(strings.Join(parts, "; "))
}

// WithRemedy appends the known fix to a reason.
func WithRemedy(text string) string {
	if remedy := remedyFor(text); remedy != "" {
		text += " -> " + remedy
	}
	return text
}

func signal(exit int32) string {
	switch exit {
	case 137:
		return " (killed: most often a lack of memory, or a stop that took too long)"
	case 139:
		return " (segmentation fault)"
	case 143:
		return " (ended on SIGTERM)"
	default:
		return ""
	}
}
