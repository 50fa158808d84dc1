package spec

import "slices"

// Strategies are the deployment strategies of Amazon ECS.
func Strategies() []string { return []string{"rolling", "blue_green", "canary", "linear"} }

// PauseStages are the stages at which a deployment can stop for approval. ECS has no pause
// at the shifts themselves, and its test traffic needs a rule that the rollout does not create.
func PauseStages() []string {
	return []string{"pre_scale_up", "post_scale_up", "pre_production_traffic_shift", "post_production_traffic_shift"}
}

// LogDays are the retentions of CloudWatch Logs, in days (PutRetentionPolicy).
func LogDays() []int {
	return []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}
}

// fargate are the sizes of a Fargate task on Linux: CPU units of 1/1024 vCPU, with the memory
// in MiB. Sources: "Task CPU and memory" in the Amazon ECS developer guide; the rules E3047
// and E3048 of cfn-lint 1.58.0, which are generated from AWS's own schemas, for 32 vCPU.
var fargate = []struct {
	cpu    int
	memory []int
}{
	{256, []int{512, 1024, 2048}},
	{512, gib(1, 4, 1)},
	{1024, gib(2, 8, 1)},
	{2048, gib(4, 16, 1)},
	{4096, gib(8, 30, 1)},
	{8192, gib(16, 60, 4)},
	{16384, gib(32, 120, 8)},
	{32768, []int{60 << 10, 120 << 10, 244 << 10}},
}

func gib(from, to, by int) []int {
	var all []int
	for m := from; m <= to; m += by {
		all = append(all, m<<10)
	}
	return all
}

// FargateCPU lists the CPU units, of 1/1024 vCPU, that a Fargate task can have.
func FargateCPU() []int {
	all := make([]int, 0, len(fargate))
	for _, size := range fargate {
		all = append(all, size.cpu)
	}
	return all
}

// FargateMemory lists the memory sizes, in MiB, that Fargate has for a number of CPU units;
// empty when no task has that number.
func FargateMemory(cpu int) []int {
	for _, size := range fargate {
		if size.cpu == cpu {
			return slices.Clone(size.memory)
		}
	}
	return nil
}
