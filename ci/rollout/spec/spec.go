// Package spec is what the rollout takes: the service as it should be, and the closed sets
// that AWS accepts for it. It depends on no other package of this module.
package spec

import "time"

// The environments that need not be declared. Sandbox has no account, Production the strictest rules.
const (
	Sandbox    = "sandbox"
	Staging    = "staging"
	Production = "production"
)

// The names that a pipeline.yaml without its own gets. They do not contain an environment,
// so outside production the environment's name is appended to them.
const (
	DefaultCluster = "openstack-rca-cluster"
	DefaultService = "openstack-rca-service"
	DefaultFamily  = "openstack-rca-task"
)

// Spec describes a service on ECS in one environment.
type Spec struct {
	// Application is the application's name, for tags and the journal.
	Application string
	// App describes the image's container.
	App App
	// Account is the AWS account this environment lives in; the guard against the wrong one.
	Account string
	Region  string
	Cluster string
	Service string
	Family  string
	// CPU is in units of 1/1024 vCPU, Memory in MiB.
	CPU    int
	Memory int
	// Desired, Min and Max count tasks.
	Desired int
	Min     int
	Max     int
	// TargetCPU and TargetMemory are the utilisation, in percent, that scaling keeps.
	TargetCPU    float64
	TargetMemory float64
	// Strategy is one of Strategies.
	Strategy string
	// BakeMinutes is how long both versions run before the old one is stopped.
	BakeMinutes int
	// CanaryPercent of the traffic goes to the new version first, for CanaryBakeMinutes.
	CanaryPercent     float64
	CanaryBakeMinutes int
	// LinearStepPercent of the traffic moves every LinearStepMinutes.
	LinearStepPercent float64
	LinearStepMinutes int
	// ExecutionRole and TaskRole are ARNs; InfrastructureRole lets ECS shift traffic. An empty
	// ExecutionRole is created by the rollout.
	ExecutionRole      string
	TaskRole           string
	InfrastructureRole string
	// VPC, Subnets and SecurityGroups say where the tasks run.
	VPC            string
	Subnets        []string
	SecurityGroups []string
	// Vars are environment variables of the task; Secrets map a variable to the ARN its value
	// comes from.
	Vars    map[string]string
	Secrets map[string]string
	// StartPeriod is the grace period of the container's health check.
	StartPeriod time.Duration
	// LogDays is the retention of the log group.
	LogDays int
	// Trial runs one task of a new version, which must become healthy, before the service is
	// updated.
	Trial bool
	// Soak is how long staging must have served a digest before production takes it.
	Soak time.Duration
	// Journal is s3://bucket/prefix, where the lock and the record of rollouts are kept.
	Journal string
	// Smoke is the address that must answer 200 during and after a deployment: empty is the
	// load balancer's own, "none" skips the check.
	Smoke string
	// Certificate is the ARN of the load balancer's certificate: with it the listener serves
	// HTTPS and HTTP is redirected. InternetFacing makes the load balancer public.
	Certificate    string
	InternetFacing bool
	// BalancerSubnets and BalancerSecurityGroups are the load balancer's; the tasks' when empty.
	BalancerSubnets        []string
	BalancerSecurityGroups []string
	// AssignPublicIP gives each task a public address, for subnets without a NAT gateway.
	AssignPublicIP bool
	// AlarmTopic is the ARN of the SNS topic that alarms notify.
	AlarmTopic string
	// Drain is how long a target may finish its requests before its task is stopped.
	Drain time.Duration
	// EphemeralStorage is a task's scratch storage in GiB, 20..200.
	EphemeralStorage int
	// WritableRoot leaves the container's root file system writable.
	WritableRoot bool
	// Volumes are the paths whose content outlives a task.
	Volumes []Volume
	// KMSKeys are the ARNs of customer-managed keys that encrypt Secrets.
	KMSKeys []string
	// PauseAt are the stages, each one of PauseStages, at which a deployment stops until it is
	// approved. After PauseTimeout it is rolled back.
	PauseAt      []string
	PauseTimeout time.Duration
	// Analysis are the metrics that decide while traffic shifts; Inconclusive is what happens when they
	// give no result: rollback or pause.
	Analysis     []Analysis
	Inconclusive string
	// NoPort is true for a service that listens nowhere, such as a worker: it gets no load balancer and no
	// health check. Command replaces the image's; the image's own when empty.
	NoPort  bool
	Command []string
	// Services are further services of the same image, and Tasks run before any of them is touched.
	Services []Service
	Tasks    []Task
	// Adopt is AdoptService for a service that somebody else made and keeps; empty for our own.
	Adopt string
	// Container is the container of an adopted service that runs the image; found when empty.
	Container string
	// TaskDefinition is a file with the input of RegisterTaskDefinition as JSON, with {{image}}.
	// Without one, an adopted service keeps the task definition that it runs.
	TaskDefinition string
	// WithoutEffect are the configuration keys that are set though an adopted service has its own.
	WithoutEffect []string
}

// AdoptService deploys new images into a service of somebody else, and changes nothing else of it.
const AdoptService = "service"

// Analysis is a metric of the application that is measured while traffic shifts to a new version.
type Analysis struct {
	Name string
	// Prometheus is the address of a server; Metrics are CloudWatch's; Command runs in the image. One
	// of the three is set. Query is PromQL, or metric math over Metrics.
	Prometheus string
	Query      string
	Metrics    []Metric
	Command    []string
	// Compare is "psi" to compare the distribution of the new version with the old one's: value is the
	// population stability index. MinSamples is how many samples both need; 0 is the default.
	Compare    string
	MinSamples int
	// Success and Failure are conditions such as value < 0.01.
	Success, Failure string
	// Interval is the length of a measurement's window, Count how many make a round; 0 is the default.
	Interval time.Duration
	Count    int
	// FailureLimit and InconclusiveLimit are how many measurements of a round may be so.
	FailureLimit      int
	InconclusiveLimit int
	// Late is how long after its window data may come.
	Late time.Duration
}

// Metric is a metric of CloudWatch.
type Metric struct {
	ID, Namespace, Name, Stat string
	Dimensions                map[string]string
}

// The values of Spec.Inconclusive.
const (
	InconclusiveRollback = "rollback"
	InconclusivePause    = "pause"
)

// App is what the rollout needs to know about the image.
type App struct {
	// Repository is where the image is, without tag and digest.
	Repository string
	// Platform is linux/amd64 or linux/arm64; empty is linux/amd64.
	Platform string
	// Port is where the application listens, Health the path that answers 200 when it is ready.
	Port   int
	Health string
	// User is the numeric user that the container runs as.
	User int
	// Vars are the variables that the image sets.
	Vars map[string]string
	// Volumes are the paths the application writes to, ModelDir the model's, below /app.
	Volumes  []string
	ModelDir string
	// StartBudget is how long the image may take to become healthy.
	StartBudget time.Duration
}

// Volume is a directory of a file system of Amazon EFS in the container. The connection is
// always encrypted.
type Volume struct {
	// Path is where the container sees it.
	Path string
	// FileSystem is its id, fs-...; AccessPoint, fsap-..., the root directory and the user
	// that files are written as; the file system's root when empty.
	FileSystem  string
	AccessPoint string
	// IAM mounts it with the rights of the task's role.
	IAM bool
}

// Model is the published model inside an image.
type Model struct {
	// Number is its version, SHA256 the hash of its file in hex.
	Number int
	SHA256 string
}
