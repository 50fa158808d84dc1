// Package config reads pipeline.yaml, in which the application's repository configures how
// it is tested, trained, published, built and run. Every key is optional; the defaults are
// the commands, thresholds and names of the pipeline document.
package config

import (
	"slices"
	"strings"
	"time"
)

// FileName is the configuration's path in the source.
const FileName = "pipeline.yaml"

// Config is a whole configuration, defaults filled in and one environment's overlay applied.
type Config struct {
	// Name of the application: the first part of folder, image and resource names.
	Name string `yaml:"name" json:"name"`
	// Python version of all environments, "3.10".
	Python string `yaml:"python" json:"python"`
	// SystemPackages are packages of Debian that the Python packages need, "libgomp1".
	SystemPackages []string `yaml:"system_packages" json:"system_packages"`
	// Exclude are globs of files no stage ever sees.
	Exclude []string `yaml:"exclude" json:"exclude"`

	Test    Test    `yaml:"test" json:"test"`
	Train   Train   `yaml:"train" json:"train"`
	Publish Publish `yaml:"publish" json:"publish"`
	Image   Image   `yaml:"image" json:"image"`
	Rollout Rollout `yaml:"rollout" json:"rollout"`
	// Security configures the audit of the source and the scan of the image.
	Security Security `yaml:"security" json:"security"`

	Observe Observe `yaml:"observe" json:"observe"`
	Notify  Notify  `yaml:"notify" json:"notify"`

	// Policy maps a branch glob to the stages that run for it; the longest matching glob applies.
	Policy map[string][]string `yaml:"policy" json:"policy"`

	// PythonSet reports whether the file names a Python. Without it, the project's own
	// requires-python or .python-version chooses one.
	PythonSet bool `yaml:"-" json:"-"`

	// NameSet reports whether the file names the application; see NameAfter.
	NameSet bool `yaml:"-" json:"-"`
	// FloorSet reports whether the file says how much must be covered; else test.coverage.total is
	// a default that nobody chose.
	FloorSet bool `yaml:"-" json:"-"`
	// set are the keys that the file has, as far as they decide on names or are of the rollout.
	set []string `yaml:"-" json:"-"`

	// Environment is the name of the environment whose overlay is applied: sandbox, staging, production.
	Environment string `yaml:"-" json:"environment"`
}

// Duration is a time.Duration written as "90s", "10m", "1h30m".
type Duration time.Duration

// Selection is a set of globs over the source tree.
type Selection struct {
	// Include are the files; everything when empty.
	Include []string `yaml:"include" json:"include"`
	// Exclude are exceptions.
	Exclude []string `yaml:"exclude" json:"exclude"`
}

// Test configures how the tests run and what they must reach.
type Test struct {
	// Requirements are files the environment is installed from, each a pip
	// requirements file; those with hashes are installed with --require-hashes.
	// When empty the stage looks for the usual files of a Python project.
	Requirements []string `yaml:"requirements" json:"requirements"`
	// Build selects whether the project itself is built by its own backend, for all stages:
	// auto, always or never.
	Build string `yaml:"build" json:"build"`
	// Inputs are the files the tests may see.
	Inputs Selection `yaml:"inputs" json:"inputs"`
	// Command is the test command; reports and coverage options are added to it.
	Command []string `yaml:"command" json:"command"`
	// Vars are environment variables of the tests.
	Vars map[string]string `yaml:"vars" json:"vars"`
	// Timeout of the whole run.
	Timeout Duration `yaml:"timeout" json:"timeout"`
	// MaxSkipped is how many tests may be skipped; negative means any number.
	MaxSkipped int `yaml:"max_skipped" json:"max_skipped"`
	// MinTests is how many tests there must be at least, skipped ones included; 0 for no floor.
	MinTests int `yaml:"min_tests" json:"min_tests"`
	// Categories group tests in the report by path or marker.
	Categories []Category `yaml:"categories" json:"categories"`
	// Services starts an MLflow server and an S3 API beside the tests.
	Services bool `yaml:"services" json:"services"`
	// Coverage are the gates.
	Coverage Coverage `yaml:"coverage" json:"coverage"`
}

// Category is a named group of tests.
type Category struct {
	Name string `yaml:"name" json:"name"`
	// Paths are globs of test files, Marker is a mark of pytest. A test belongs to the
	// category by either.
	Paths  []string `yaml:"paths" json:"paths"`
	Marker string   `yaml:"marker" json:"marker"`
}

// Coverage are the gates on line coverage, in percent.
type Coverage struct {
	// Source is what is measured, as for pytest --cov.
	Source []string `yaml:"source" json:"source"`
	// Omit are globs that are not part of any total; tests never are.
	Omit []string `yaml:"omit" json:"omit"`
	// Total is the floor for all lines: 80 in the document.
	Total float64 `yaml:"total" json:"total"`
	// Critical and Model are the floors for groups of files: 95 and 90 in the document.
	Critical Floor `yaml:"critical" json:"critical"`
	Model    Floor `yaml:"model" json:"model"`
	// Branch is the floor for branches; 0 means that branches are reported but not gated.
	Branch float64 `yaml:"branch" json:"branch"`
}

// Floor is a minimum for the files that match.
type Floor struct {
	// Paths are globs; without any the minimum is not checked, and the report notes it.
	Paths []string `yaml:"paths" json:"paths"`
	// Min is in percent.
	Min float64 `yaml:"min" json:"min"`
}

// Train configures how the model is trained and what it must reach.
type Train struct {
	Requirements []string  `yaml:"requirements" json:"requirements"`
	Inputs       Selection `yaml:"inputs" json:"inputs"`
	Command      []string  `yaml:"command" json:"command"`
	// DataArgs are added to Command when a data set is given; {{data}} is its path.
	DataArgs []string          `yaml:"data_args" json:"data_args"`
	Vars     map[string]string `yaml:"vars" json:"vars"`
	Timeout  Duration          `yaml:"timeout" json:"timeout"`
	// Experiment is the MLflow experiment the training logs to (the document's MLFLOW_EXPERIMENT_NAME).
	Experiment string `yaml:"experiment" json:"experiment"`
	// Model is a glob for the model file; exactly one file must match.
	Model string `yaml:"model" json:"model"`
	// Artifacts are further files that belong to the model (tokeniser, labels): globs.
	Artifacts []string `yaml:"artifacts" json:"artifacts"`
	// Metrics is a JSON file of metrics; empty means the MLflow run that the training logs.
	Metrics string `yaml:"metrics" json:"metrics"`
	// Predictions is the JSON file of held-out predictions: labels, y_true, y_pred. Optional.
	Predictions string `yaml:"predictions" json:"predictions"`
	// Golden is the JSON file of a fixed sample with its expected output. Optional.
	Golden string `yaml:"golden" json:"golden"`
	// ScoreCommand loads the model and scores Golden; exit code 0 means equal. Optional.
	ScoreCommand []string `yaml:"score_command" json:"score_command"`
	// Gates on metrics, by name of the metric.
	Gates []Gate `yaml:"gates" json:"gates"`
	// BaselineMargin is by how much accuracy must exceed the majority class, 0..1.
	BaselineMargin float64 `yaml:"baseline_margin" json:"baseline_margin"`
	// MinExamples is how many held-out predictions a measurement needs to be taken without a
	// warning.
	MinExamples int `yaml:"min_examples" json:"min_examples"`
	// TopK is how many guesses of a ranking may count for accuracy; what the training says of
	// it is refused above.
	TopK int `yaml:"top_k" json:"top_k"`
	// Recurrent demands at least one recurrent layer in the model.
	Recurrent bool `yaml:"recurrent" json:"recurrent"`
	// Format is the format of the model file: one of ModelFormats, or empty for what its name tells.
	Format string `yaml:"format" json:"format"`
	// Loader is the module that makes a model of weights alone, as mlflow.pyfunc loads it.
	Loader string `yaml:"loader" json:"loader"`
	// AllowLayers are further layer classes a Keras model may hold.
	AllowLayers []string `yaml:"allow_layers" json:"allow_layers"`
	// AllowDomains are further operator domains an ONNX model may name.
	AllowDomains []string `yaml:"allow_domains" json:"allow_domains"`
	// AllowTypes are further Python types a skops file may name.
	AllowTypes []string `yaml:"allow_types" json:"allow_types"`
	// AllowFormats are formats of the model file that may leave the stage although nothing can
	// look into them: h5, pickle, torchscript.
	AllowFormats []string `yaml:"allow_formats" json:"allow_formats"`
	// Network lets the training reach the network.
	Network bool `yaml:"network" json:"network"`
	// GPU gives the training the machine's GPUs; without it they are hidden.
	GPU bool `yaml:"gpu" json:"gpu"`
	// Deterministic declares that the same inputs give the same bytes.
	Deterministic bool `yaml:"deterministic" json:"deterministic"`
}

// Gated reports whether any gate or the baseline margin can fail a model.
func (t Train) Gated() bool {
	return t.BaselineMargin > 0 || slices.ContainsFunc(t.Gates, Gate.CanFail)
}

// CanFail reports whether a model can miss a bound of the gate. One that every model keeps does not count: a
// minimum of 0, or of next to nothing, for a fraction; a minimum of 0 for a loss; a maximum beyond all figures.
func (g Gate) CanFail() bool {
	const hardly, beyond = 0.01, 1e12
	name := strings.ToLower(g.Metric)
	lowest, highest := -beyond, beyond
	switch {
	case fractionMetrics.MatchString(name):
		lowest, highest = hardly, 1-hardly
	case lossMetrics.MatchString(name):
		lowest = 0
	}
	return g.Min != nil && *g.Min > lowest || g.Max != nil && *g.Max < highest
}

// Gate is a limit on one metric. Fractions, not percent.
type Gate struct {
	Metric string `yaml:"metric" json:"metric"`
	// Min and Max bound the value; nil is no limit.
	Min *float64 `yaml:"min" json:"min"`
	Max *float64 `yaml:"max" json:"max"`
	// AlertBelow also raises the degradation alert: 0.80 for accuracy in the document.
	AlertBelow *float64 `yaml:"alert_below" json:"alert_below"`
	// Better is the better direction, "higher" or "lower"; when empty it follows from the bounds.
	Better string `yaml:"better" json:"better"`
	// MinAbsoluteChange and MinRelativeChange are by how much the value must be better than
	// the champion's: in the metric's own unit, and as a fraction of the champion's value.
	MinAbsoluteChange *float64 `yaml:"min_absolute_change" json:"min_absolute_change"`
	MinRelativeChange *float64 `yaml:"min_relative_change" json:"min_relative_change"`
	// Tolerance and RelativeTolerance are by how much it may be worse instead; the wider one applies.
	Tolerance         *float64 `yaml:"tolerance" json:"tolerance"`
	RelativeTolerance *float64 `yaml:"relative_tolerance" json:"relative_tolerance"`
}

// BuildModes are the values of test.build, the default first.
var BuildModes = []string{"auto", "always", "never"}

// ModelFormats are the values of train.format besides the empty one.
var ModelFormats = []string{"keras", "onnx", "skops", "xgboost", "lightgbm", "safetensors"}

// Formats are the formats of a model file that train.allow_formats can name.
var Formats = []string{"h5", "pickle", "torchscript"}

// Publish configures where a model is published. Addresses and credentials are arguments and
// secrets of the call, never part of this file.
type Publish struct {
	// Model is the model's name: lstm_model; the registered model is <experiment>_<model>.
	Model string `yaml:"model" json:"model"`
	// Experiment is the MLflow experiment; {{environment}} stands for the environment.
	Experiment string `yaml:"experiment" json:"experiment"`
	// Workspace is the workspace of the MLflow server (3.10 and later); empty for its default.
	Workspace string `yaml:"workspace" json:"workspace"`
	// ArtifactRoot is s3://bucket/prefix, the document's MLFLOW_ARTIFACT_ROOT; a call's argument wins.
	ArtifactRoot string `yaml:"artifact_root" json:"artifact_root"`
	// Region is the S3 region: ap-south-1 in the document.
	Region string `yaml:"region" json:"region"`
}

// Image configures how the serving image is built.
type Image struct {
	// Repository is [registry/]name without tag: openstack-rca-system in the document.
	Repository string `yaml:"repository" json:"repository"`
	// Base is the base image; empty means python:<python>-slim.
	Base string `yaml:"base" json:"base"`
	// Platform is linux/amd64 or linux/arm64; the engine's own when empty.
	Platform string `yaml:"platform" json:"platform"`
	// Platforms are those whose images are joined in one index; empty for one image.
	Platforms []string `yaml:"platforms" json:"platforms"`
	// Dockerfile builds the image from this file of the source instead of from the keys
	// of this section that describe a build; empty for the pipeline's own build.
	Dockerfile string `yaml:"dockerfile" json:"dockerfile"`
	// Target is the stage of the Dockerfile to build; the last one when empty.
	Target string `yaml:"target" json:"target"`
	// BuildArgs are the Dockerfile's arguments. No secrets: they stay in the image.
	BuildArgs map[string]string `yaml:"build_args" json:"build_args"`
	// Source is the address of the source for the image's label of that name.
	Source string `yaml:"source" json:"source"`
	// Requirements is what serving needs.
	Requirements []string  `yaml:"requirements" json:"requirements"`
	Inputs       Selection `yaml:"inputs" json:"inputs"`
	// Prune are globs below the packages' directory of files that serving does without.
	Prune []string `yaml:"prune" json:"prune"`
	// Slim leaves out what only compilers, installers and debuggers read.
	Slim bool `yaml:"slim" json:"slim"`
	// Command starts the application.
	Command []string          `yaml:"command" json:"command"`
	Vars    map[string]string `yaml:"vars" json:"vars"`
	// ModelDir is where the model files go, relative to the application.
	ModelDir string `yaml:"model_dir" json:"model_dir"`
	// Port is the application's port: 7051.
	Port int `yaml:"port" json:"port"`
	// Health is the health check's path: /_stcore/health.
	Health string `yaml:"health" json:"health"`
	// ScriptHealth is a second path that must answer, too; empty for none.
	ScriptHealth string `yaml:"script_health" json:"script_health"`
	// Page is the page that a browser must load and render; empty for none.
	Page string `yaml:"page" json:"page"`
	// Imports are modules that must import in the image. When empty those of the
	// document's debug command are tried, as far as they are installed.
	Imports []string `yaml:"imports" json:"imports"`
	// StartBudget is how long the application may take until it is healthy.
	StartBudget Duration `yaml:"start_budget" json:"start_budget"`
	// Successes is how many health checks in a row make it healthy.
	Successes int `yaml:"successes" json:"successes"`
	// User is the numeric id the application runs as; never 0.
	User int `yaml:"user" json:"user"`
	// Volumes are the paths of persistent data.
	Volumes []string `yaml:"volumes" json:"volumes"`
	// MaxMegabytes is the limit on the sum of the compressed layers; 0 for none.
	MaxMegabytes int `yaml:"max_megabytes" json:"max_megabytes"`
}
