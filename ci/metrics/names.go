package metrics

import "slices"

// Prefix begins the name of every metric.
const Prefix = "openstack_rca_"

// Metric is a declared metric.
type Metric struct {
	// Name is with the prefix, Help a sentence, Unit that of OpenMetrics or empty.
	Name, Help, Unit string
	// Counter is set for one that only grows; its name ends in _total.
	Counter bool
	// Labels are those it may have besides the target's.
	Labels []string
	// Delivery is set for one that needs the ledger of runs.
	Delivery bool
}

// The metrics of a run.
var (
	RunDuration   = gauge("run_duration_seconds", "How long the last run took.", "seconds")
	RunBudget     = gauge("run_budget_seconds", "How long a run may take.", "seconds")
	RunVerdict    = gauge("run_verdict", "1 for the verdict of the last run.", "", "verdict", "code")
	RunTimestamp  = gauge("run_timestamp_seconds", "When the last run ended, in seconds since 1970.", "seconds")
	LastSuccess   = gauge("last_success_timestamp_seconds", "When the last run that passed ended, in seconds since 1970.", "seconds")
	StageDuration = gauge("stage_duration_seconds", "How long a stage of the last run took.", "seconds", "stage")
	StageVerdict  = gauge("stage_verdict", "1 for the verdict of a stage of the last run.", "", "stage", "verdict")
	Tests         = gauge("tests", "Tests of the last run by their outcome.", "", "outcome")
	Coverage      = gauge("coverage_ratio", "Share of covered lines or branches of the last run, 0 to 1.", "ratio", "set")
	CoverageFloor = gauge("coverage_floor_ratio", "Lowest coverage that passes.", "ratio", "set")
	Model         = gauge("model_metric", "Metric of the model of the last run.", "", "metric")
	ModelFloor    = gauge("model_metric_floor", "Lowest value of the metric that passes.", "", "metric")
	ImageSize     = gauge("image_size_bytes", "Sum of the image's compressed layers.", "bytes")

	Vulnerabilities = gauge("vulnerabilities", "Known vulnerabilities of the last run that no exception allows.", "", "by", "severity",
		"fixable")
	Advisories = gauge("advisories_timestamp_seconds",
		"When the database of advisories was built, and the oldest of its data collected, in seconds since 1970.", "seconds", "by", "clock")
	Waivers = gauge("waivers", "Exceptions of the last run that end soon, have ended, end too far away, or allow nothing.", "", "by", "state")

	DeploymentOutcome  = gauge("deployment_outcome", "1 for how the last deployment ended.", "", "service", "outcome")
	DeploymentDuration = gauge("deployment_duration_seconds", "How long the last deployment took.", "seconds", "service")
	Info               = gauge("info", "1, with the version of the pipeline, the image and the model.", "", "version", "image", "model")
)

// The metrics of the ledger of runs, over its window.
var (
	WindowSeconds       = delivery("window_seconds", "How far back the figures look.", "seconds")
	WindowRuns          = delivery("window_runs", "Runs in the window by their verdict.", "", "verdict")
	WindowDeployments   = delivery("window_deployments", "Deployments in the window by their end.", "", "outcome")
	DeploymentsFinished = delivery("deployments_finished", "Deployments that the success ratio is of.", "")
	SuccessRatio        = delivery("deployments_success_ratio", "Share of deployments that succeeded.", "ratio")
	FailRatio           = delivery("change_fail_ratio", "Share of changes that failed.", "ratio")
	ReworkRatio         = delivery("rework_ratio", "Share of changes that are hotfixes.", "ratio")
	Frequency           = delivery("deployments_per_day", "Changes deployed a day.", "")
	LeadTime            = delivery("lead_time_seconds", "From the commit to the deployment, by quantile.", "seconds", "quantile")
	RecoveryTime        = delivery("recovery_time_seconds", "From a failed change to the recovery, by quantile.", "seconds", "quantile")
	BuildTime           = delivery("build_time_seconds", "Duration of runs that passed, by quantile.", "seconds", "quantile")
)

// The counters of a history.
var (
	RunsTotal        = Metric{Name: Prefix + "runs_total", Help: "Runs by their verdict.", Counter: true, Labels: []string{"verdict"}}
	DeploymentsTotal = Metric{Name: Prefix + "deployments_total", Help: "Deployments by their end.", Counter: true,
		Labels: []string{"outcome"}}
)

func gauge(name, help, unit string, labels ...string) Metric {
	return Metric{Name: Prefix + name, Help: help, Unit: unit, Labels: labels}
}

func delivery(name, help, unit string, labels ...string) Metric {
	m := gauge(name, help, unit, labels...)
	m.Delivery = true
	return m
}

// All returns every declared metric, in the order of the output.
func All() []Metric {
	return slices.Concat([]Metric{
		RunDuration, RunBudget, RunVerdict, RunTimestamp, LastSuccess, StageDuration, StageVerdict, Tests, Coverage, CoverageFloor,
		Model, ModelFloor, ImageSize, Vulnerabilities, Advisories, Waivers, DeploymentOutcome, DeploymentDuration, Info,
		WindowSeconds, WindowRuns, WindowDeployments, DeploymentsFinished, SuccessRatio, FailRatio, ReworkRatio, Frequency,
		LeadTime, RecoveryTime, BuildTime, RunsTotal, DeploymentsTotal,
	})
}
