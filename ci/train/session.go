package train

import (
	"cmp"
	"context"
	_ "embed" // export_run.py
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed export_run.py
var exportScript []byte

const (
	// dataDir is the directory of the data set, in the working directory.
	dataDir = "pipeline-data"
	// store is the MLflow store of the training, in its working directory, so that it contains only this training.
	store      = "mlflow.db"
	scriptFile = "export_run.py"
	exportFile = "mlflow-runs.json"
	// exportLimit limits the time to read the store.
	exportLimit = 5 * time.Minute
	// exitData is EX_DATAERR of sysexits.h: "the input data was incorrect".
	exitData = 65
	// maxExport, maxMetrics and maxPredictions limit what is read into memory.
	maxExport, maxMetrics, maxPredictions = 256 << 20, 16 << 20, 256 << 20
)

// session is one run of the stage.
type session struct {
	runner    runner.Runner
	in        Input
	cfg       config.Train
	stage     verdict.Stage
	candidate *Candidate

	env     runner.Environment
	project *pyenv.Project
	built   *pyenv.Built
	inputs  []runner.Mount
	command []string
	trained *training
	// data describes the data set.
	data string
	// asked says where the model in production was looked up.
	asked string
	// notAsked is why it was not looked up.
	notAsked string
}

func newSession(r runner.Runner, in Input) *session {
	if in.Threads <= 0 {
		in.Threads = DefaultThreads
	}
	if in.Tolerance == nil {
		in.Tolerance = &DefaultTolerance
	}
	if in.Python == "" {
		in.Python = in.Config.Python
	}
	return &session{runner: r, in: in, cfg: in.Config.Train, stage: verdict.Stage{Name: verdict.Train}}
}

// train runs the steps and returns all problems. A step that a later one depends on ends the stage; everything that can still
// be judged is judged.
func (s *session) train(ctx context.Context) []*verdict.Problem {
	problems := s.describe(ctx)
	if problem := s.findChampion(ctx); problem != nil {
		problems = append(problems, problem)
	}
	if len(problems) == 0 {
		if problem := s.unheard(ctx); problem != nil {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	trained, problem := s.obtain(ctx)
	if trained == nil {
		return []*verdict.Problem{problem}
	}
	s.trained = trained
	result := trained.result
	s.warnNetwork(result)
	hosts := refused.Hosts(result.Stderr + "\n" + result.Stdout)
	if s.cfg.Network {
		hosts = nil
	}
	if len(hosts) > 0 {
		s.stage.Warn(refused.Train, "%s", strings.Join(hosts, ", "))
	}
	if problem != nil {
		for _, f := range s.project.Explain(result.Stderr + result.Stdout) {
			s.stage.Warn(f.Code, "%s", f.Cause)
		}
		problem.Next = cmp.Or(s.project.MissingNext(result.Stderr), problem.Next)
		// The run's status and curves still help to find the cause.
		record, _ := trained.readRun(ctx, "")
		s.candidate = &Candidate{Run: record}
		if len(hosts) > 0 {
			problem.Cause += "; it tried to reach " + strings.Join(hosts, ", ") + " and has no network"
			problem.Next = cmp.Or(ownTracking(result.Stderr), refused.Train.Remedy)
		}
		if missed := refused.Variables(result.Stderr, s.cfg.Vars); len(missed) > 0 && len(hosts) == 0 {
			problem.Next = refused.Give(missed, "train.vars")
		}
		return []*verdict.Problem{problem}
	}
	s.candidate = &Candidate{}
	problems = judging{trained}.judge(ctx)
	// A model that does not pass its gates is not trained again for comparison.
	if s.in.Twice && len(problems) == 0 {
		problems = s.trainAgain(ctx)
	}
	return problems
}

// findChampion looks for the model in production, unless the input has it.
func (s *session) findChampion(ctx context.Context) *verdict.Problem {
	switch {
	case s.in.Champion != nil:
		s.asked = "the caller"
	case s.in.FindChampion == nil:
		return nil
	default:
		found, problem := s.in.FindChampion(ctx)
		s.in.Champion, s.asked = found.Champion, found.Asked
		if problem != nil {
			return problem
		}
		if found.NotAsked != "" {
			s.notAsked = found.NotAsked
			s.stage.Warn(NotCompared, "the registry was not asked for the model in production: %s", found.NotAsked)
		}
	}
	return comparableWith(s.in.Champion, s.cfg.Gates)
}

// describe prepares the training's environment, inputs and command.
func (s *session) describe(ctx context.Context) []*verdict.Problem {
	var problems []*verdict.Problem
	if len(s.cfg.Command) == 0 || s.cfg.Model == "" || !doublestar.ValidatePattern(s.cfg.Model) {
		problems = append(problems, verdict.Problemf(ConfigInvalid, "train.command is %q and train.model is %q", s.cfg.Command, s.cfg.Model))
	}
	arguments, problem := parameters(s.in.Params)
	problems = append(problems, problem...)
	s.command = append(slices.Clone(s.cfg.Command), arguments...)
	source := s.in.Source.Filter(nil, s.in.Config.Exclude)
	// Outputs must not exist before the training: whatever exists afterwards is then new.
	leaves := []string{s.cfg.Model, s.cfg.Metrics, s.cfg.Predictions, store}
	excluded := slices.Concat(s.cfg.Inputs.Exclude, slices.DeleteFunc(leaves, func(glob string) bool { return glob == "" }))
	s.inputs = []runner.Mount{{Path: ".", Files: source.Filter(s.cfg.Inputs.Include, excluded)}}
	if s.in.Data != nil {
		problem := s.useData(ctx)
		if problem != nil {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return problems
	}
	if problem := s.scriptMissing(ctx); problem != nil {
		problems = append(problems, problem)
	}
	if problem := s.environment(ctx); problem != nil {
		problems = append(problems, problem)
	}
	if len(problems) == 0 {
		s.inputs[0].Files = s.built.Over(s.inputs[0].Files)
	}
	return problems
}

// useData adds the data set and the arguments that name it.
func (s *session) useData(ctx context.Context) *verdict.Problem {
	names, err := s.in.Data.List(ctx)
	if err != nil {
		return verdict.Problemf(DataInvalid, "the data set cannot be listed: %v", err)
	}
	if len(names) == 0 {
		return verdict.Problemf(DataInvalid, "the data set holds no file")
	}
	full := false
	for _, name := range names {
		content, err := s.in.Data.Read(ctx, name, 1)
		if full = errors.Is(err, runner.ErrTooLarge) || len(content) > 0; full {
			break
		}
	}
	if !full {
		return verdict.Problemf(DataInvalid, "all %d files of the data set are empty", len(names))
	}
	digest, err := s.in.Data.Digest(ctx)
	if err != nil {
		return verdict.Problemf(DataInvalid, "the data set cannot be read: %v", err)
	}
	s.data = digest
	s.inputs = append(s.inputs, runner.Mount{Path: dataDir, Files: s.in.Data})
	for _, argument := range s.cfg.DataArgs {
		s.command = append(s.command, strings.ReplaceAll(argument, "{{data}}", dataDir))
	}
	return nil
}

var parameterName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,63}$`)

// parameters converts parameters to arguments. All invalid ones are reported at once.
func parameters(params map[string]string) (arguments []string, problems []*verdict.Problem) {
	for _, name := range slices.Sorted(maps.Keys(params)) {
		value := params[name]
		switch {
		case !parameterName.MatchString(name):
			problems = append(problems, verdict.Problemf(ParamInvalid, "%q is not the name of a parameter", clip(name, 80)))
		case strings.ContainsAny(value, "\x00\n\r") || strings.Contains(value, "{{"):
			problems = append(problems, verdict.Problemf(ParamInvalid, "the value of %s holds a line break, a NUL or {{", name))
		case value == "":
			arguments = append(arguments, "--"+name)
		default:
			arguments = append(arguments, "--"+name, value)
		}
	}
	return arguments, problems
}

// warnNetwork warns once if a step that should have had no network may have had one.
func (s *session) warnNetwork(result *runner.Result) {
	if result.NetworkOpen && !slices.ContainsFunc(s.stage.Warnings, func(w verdict.Finding) bool { return w.Code == NetworkOpen.Name }) {
		s.stage.Warn(NetworkOpen, "the training ran without being cut off from the network")
	}
}

// vars is the environment of all steps of the stage. The configuration adds to it, but cannot point the training to an
// external store or to credentials.
func (s *session) vars() map[string]string {
	threads := strconv.Itoa(s.in.Threads)
	vars := map[string]string{
		"PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1",
		"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "MKL_NUM_THREADS": threads,
		"TF_NUM_INTRAOP_THREADS": threads, "TF_NUM_INTEROP_THREADS": threads,
		"GIT_PYTHON_REFRESH": "quiet", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
	}
	if s.cfg.Deterministic {
		vars["TF_DETERMINISTIC_OPS"] = "1"
		if s.cfg.GPU {
			// Required by TensorFlow before 2.8, and by cuBLAS, which PyTorch uses.
			vars["TF_CUDNN_DETERMINISTIC"], vars["CUBLAS_WORKSPACE_CONFIG"] = "1", ":4096:8"
		}
	}
	maps.Copy(vars, s.cfg.Vars)
	vars["MLFLOW_TRACKING_URI"] = "sqlite:///" + store
	vars["MLFLOW_EXPERIMENT_NAME"] = s.cfg.Experiment
	// On EC2 and ECS an SDK would find the host's role by itself.
	vars["AWS_EC2_METADATA_DISABLED"] = "true"
	return vars
}

// step returns the training step.
func (s *session) step() runner.Step {
	outputs := []string{store}
	for _, glob := range slices.Concat([]string{s.cfg.Model, s.cfg.Metrics, s.cfg.Predictions, s.cfg.Golden}, s.cfg.Artifacts) {
		if glob != "" {
			outputs = append(outputs, base(glob))
		}
	}
	slices.Sort(outputs)
	return refused.Watch(s.runner, s.built.Use(runner.Step{
		Name: "train", Env: s.env, Inputs: s.inputs, Args: s.command, Vars: s.vars(), Offline: !s.cfg.Network,
		Outputs: slices.Compact(outputs), Timeout: time.Duration(s.cfg.Timeout), Fresh: s.in.Fresh,
		GPU: s.cfg.GPU, ListMade: true,
	}))
}

// base returns the file or directory that contains everything a glob can match.
func base(glob string) string {
	if dir, pattern := doublestar.SplitPattern(glob); strings.ContainsAny(pattern, `*?[{\`) {
		return dir
	}
	return path.Clean(glob)
}

// otherFlags matches the messages of argparse, click and others about unknown options.
var otherFlags = regexp.MustCompile(`(?i)unrecognized arguments:|no such option:|` +
	`unknown (?:option|flag|argument)|unexpected (?:extra )?argument|Could not consume arg`)

// trainingEnded returns the problem of a failed training.
func (s *session) trainingEnded(result *runner.Result) *verdict.Problem {
	code := TrainFailed
	switch {
	case result.TimedOut:
		code = TrainTimeout
	case result.ExitCode == 0:
		return nil
	case result.ExitCode == exitData:
		code = DataInvalid
	case result.ExitCode > 128 && result.ExitCode < 160:
		code = TrainKilled
	}
	problem := verdict.Problemf(code, "%s %s: %s", strings.Join(s.command, " "), ended(result, time.Duration(s.cfg.Timeout)), reason(result))
	problem.Details = said(result)
	if code.Name == TrainFailed.Name {
		problem.Next = "Fix the error in its last lines, and train alone, in the same environment: " + s.in.again()
		if command := config.Default().Train.Command; slices.Equal(s.command, command) && otherFlags.MatchString(result.Stderr) {
			problem.Next = fmt.Sprintf("Nobody chose this command, it is the default. Write the project's own into pipeline.yaml: "+
				"train.command: [%s]", strings.Join(command[:2], ", "))
		}
	}
	return problem
}

// tracking matches the address of an MLflow server in a failed request.
var tracking = regexp.MustCompile(`(https?://[^\s/]+)/api/2\.0/mlflow/`)

// ownTracking is the remedy for a training that logs to its own server, which it cannot reach.
func ownTracking(said string) string {
	m := tracking.FindStringSubmatch(said)
	if m == nil {
		return ""
	}
	return fmt.Sprintf("Let the code not choose %s (mlflow.set_tracking_uri): MLflow logs to MLFLOW_TRACKING_URI, which is set for "+
		"the training", m[1])
}
