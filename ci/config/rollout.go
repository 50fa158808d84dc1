package config

// Rollout configures how the image runs on ECS.
type Rollout struct {
	// Account is the AWS account this environment lives in; the guard against the wrong one.
	Account string `yaml:"account" json:"account"`
	Region  string `yaml:"region" json:"region"`
	Cluster string `yaml:"cluster" json:"cluster"`
	Service string `yaml:"service" json:"service"`
	Family  string `yaml:"family" json:"family"`
	// CPU in units of 1/1024 vCPU, Memory in MiB: 1024 and 2048 in the document.
	CPU    int `yaml:"cpu" json:"cpu"`
	Memory int `yaml:"memory" json:"memory"`
	// Desired, Min and Max are numbers of tasks.
	Desired int `yaml:"desired" json:"desired"`
	Min     int `yaml:"min" json:"min"`
	Max     int `yaml:"max" json:"max"`
	// TargetCPU and TargetMemory are the utilisation, in percent, that scaling keeps.
	TargetCPU    float64 `yaml:"target_cpu" json:"target_cpu"`
	TargetMemory float64 `yaml:"target_memory" json:"target_memory"`
	// Strategy is rolling, blue_green, canary or linear.
	Strategy string `yaml:"strategy" json:"strategy"`
	// BakeMinutes is how long both versions run before the old one is stopped.
	BakeMinutes int `yaml:"bake_minutes" json:"bake_minutes"`
	// CanaryPercent of the traffic goes to the new version first, for CanaryBakeMinutes;
	// the strategy canary's.
	CanaryPercent     float64 `yaml:"canary_percent" json:"canary_percent"`
	CanaryBakeMinutes int     `yaml:"canary_bake_minutes" json:"canary_bake_minutes"`
	// LinearStepPercent of the traffic moves every LinearStepMinutes; the strategy linear's.
	LinearStepPercent float64 `yaml:"linear_step_percent" json:"linear_step_percent"`
	LinearStepMinutes int     `yaml:"linear_step_minutes" json:"linear_step_minutes"`
	// ExecutionRole and TaskRole are ARNs; InfrastructureRole lets ECS shift traffic.
	ExecutionRole      string `yaml:"execution_role" json:"execution_role"`
	TaskRole           string `yaml:"task_role" json:"task_role"`
	InfrastructureRole string `yaml:"infrastructure_role" json:"infrastructure_role"`
	// VPC, Subnets and SecurityGroups are those of the tasks.
	VPC            string   `yaml:"vpc" json:"vpc"`
	Subnets        []string `yaml:"subnets" json:"subnets"`
	SecurityGroups []string `yaml:"security_groups" json:"security_groups"`
	// Vars are environment variables of the task; Secrets map a variable to the ARN its value comes from.
	Vars    map[string]string `yaml:"vars" json:"vars"`
	Secrets map[string]string `yaml:"secrets" json:"secrets"`
	// StartPeriod is the grace of the container's health check.
	StartPeriod Duration `yaml:"start_period" json:"start_period"`
	// LogDays is the retention of the log group.
	LogDays int `yaml:"log_days" json:"log_days"`
	// Trial runs one task of a new version, which must get healthy, before the service is touched.
	Trial bool `yaml:"trial" json:"trial"`
	// Soak is how long staging must have served a digest before production takes it.
	Soak Duration `yaml:"soak" json:"soak"`
	// Journal is s3://bucket/prefix for the lock and the record of rollouts; publish.artifact_root when empty.
	Journal string `yaml:"journal" json:"journal"`
	// Smoke is the address that must answer 200 while and after a deployment: empty is the
	// load balancer's own, "none" is no smoke test.
	Smoke string `yaml:"smoke" json:"smoke"`
	// Certificate is the ARN of the load balancer's certificate: with it the listener speaks
	// HTTPS and HTTP is redirected. InternetFacing makes the load balancer public.
	Certificate    string `yaml:"certificate" json:"certificate"`
	InternetFacing bool   `yaml:"internet_facing" json:"internet_facing"`
	// BalancerSubnets and BalancerSecurityGroups are the load balancer's; the tasks' when empty.
	BalancerSubnets        []string `yaml:"balancer_subnets" json:"balancer_subnets"`
	BalancerSecurityGroups []string `yaml:"balancer_security_groups" json:"balancer_security_groups"`
	// AssignPublicIP gives each task a public address, for subnets without a NAT gateway.
	AssignPublicIP bool `yaml:"assign_public_ip" json:"assign_public_ip"`
	// AlarmTopic is the ARN of the SNS topic that alarms notify.
	AlarmTopic string `yaml:"alarm_topic" json:"alarm_topic"`
	// Drain is how long a target may finish its requests before its task is stopped.
	Drain Duration `yaml:"drain" json:"drain"`
	// EphemeralStorage is a task's scratch storage in GiB, 20..200.
	EphemeralStorage int `yaml:"ephemeral_storage" json:"ephemeral_storage"`
	// WritableRoot leaves the container's root file system writable.
	WritableRoot bool `yaml:"writable_root" json:"writable_root"`
	// Volumes are the paths whose content outlives a task, on file systems of Amazon EFS.
	Volumes []Volume `yaml:"volumes" json:"volumes"`
	// KMSKeys are the ARNs of your own keys that encrypt Secrets.
	KMSKeys []string `yaml:"kms_keys" json:"kms_keys"`
	// PauseAt are the stages at which a deployment stops until somebody approves it, and
	// PauseTimeout how long it waits before it is rolled back.
	PauseAt      []string `yaml:"pause_at" json:"pause_at"`
	PauseTimeout Duration `yaml:"pause_timeout" json:"pause_timeout"`
	// Analysis are metrics that decide while traffic shifts; Inconclusive is rollback or pause.
	Analysis     []Analysis `yaml:"analysis" json:"analysis"`
	Inconclusive string     `yaml:"inconclusive" json:"inconclusive"`
	// Services are further services of the same image; Tasks run before any of them is touched.
	Services []Service `yaml:"services" json:"services"`
	Tasks    []Task    `yaml:"tasks" json:"tasks"`
	// Adopt is "service" for a service that somebody else made and keeps; empty for our own.
	Adopt string `yaml:"adopt" json:"adopt"`
	// Container is the container of an adopted service that runs the image; found when empty.
	Container string `yaml:"container" json:"container"`
	// TaskDefinition is a file with the task definition of an adopted service.
	TaskDefinition string `yaml:"task_definition" json:"task_definition"`
}

// Service is a further service of the image, deployed together with the first.
type Service struct {
	Name string `yaml:"name" json:"name"`
	// Container runs the image in an adopted service; found when empty.
	Container string `yaml:"container" json:"container"`
	// Port is "none" for a service that listens nowhere. Command replaces the image's.
	Port    string   `yaml:"port" json:"port"`
	Command []string `yaml:"command" json:"command"`
	// CPU, Memory and Desired are those of the first service when 0.
	CPU     int `yaml:"cpu" json:"cpu"`
	Memory  int `yaml:"memory" json:"memory"`
	Desired int `yaml:"desired" json:"desired"`
	// After names the services that are deployed before this one.
	After []string `yaml:"after" json:"after"`
}

// Task is a command of the image that runs once before any service is touched.
type Task struct {
	Name    string   `yaml:"name" json:"name"`
	Command []string `yaml:"command" json:"command"`
	// Service is the one as which it runs; the first when empty.
	Service string   `yaml:"service" json:"service"`
	Timeout Duration `yaml:"timeout" json:"timeout"`
}

// Analysis is a metric of the application that is measured while traffic shifts to a new version.
type Analysis struct {
	Name string `yaml:"name" json:"name"`
	// Prometheus, Metrics (of CloudWatch) or Command is where it is measured, Query the expression.
	Prometheus string   `yaml:"prometheus" json:"prometheus"`
	Query      string   `yaml:"query" json:"query"`
	Metrics    []Metric `yaml:"metrics" json:"metrics"`
	Command    []string `yaml:"command" json:"command"`
	// Compare is psi to compare distributions; MinSamples is how many samples both versions need.
	Compare    string `yaml:"compare" json:"compare"`
	MinSamples int    `yaml:"min_samples" json:"min_samples"`
	// Success and Failure are conditions on value and old.
	Success string `yaml:"success" json:"success"`
	Failure string `yaml:"failure" json:"failure"`
	// Interval, Count and Late are the length of a window, how many make a round, and how late data may be.
	Interval          Duration `yaml:"interval" json:"interval"`
	Count             int      `yaml:"count" json:"count"`
	FailureLimit      int      `yaml:"failure_limit" json:"failure_limit"`
	InconclusiveLimit int      `yaml:"inconclusive_limit" json:"inconclusive_limit"`
	Late              Duration `yaml:"late" json:"late"`
}

// Metric is a metric of CloudWatch.
type Metric struct {
	ID         string            `yaml:"id" json:"id"`
	Namespace  string            `yaml:"namespace" json:"namespace"`
	Name       string            `yaml:"name" json:"name"`
	Stat       string            `yaml:"stat" json:"stat"`
	Dimensions map[string]string `yaml:"dimensions" json:"dimensions"`
}

// Volume is a directory of a file system of Amazon EFS in the container. The connection is
// always encrypted.
type Volume struct {
	// Path is where the container sees it.
	Path string `yaml:"path" json:"path"`
	// FileSystem is its id, fs-...; AccessPoint, fsap-..., the root directory and the user
	// that files are written as; the file system's root when empty.
	FileSystem  string `yaml:"file_system" json:"file_system"`
	AccessPoint string `yaml:"access_point" json:"access_point"`
	// IAM mounts it with the rights of the task's role.
	IAM bool `yaml:"iam" json:"iam"`
}
