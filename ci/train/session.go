package train

import (
	"context"
	_ "embed" // export_run.py
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"golang.org/x/sync/errgroup"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed export_run.py
var exportScript []byte

const (
	// dataDir is where the data set is placed in the working directory.
	dataDir = "pipeline-data"
	// store is the MLflow store of the training, in its working directory: it belongs
	// to this one training, and nothing of another can be in it.
	store      = "mlflow.db"
	scriptFile = "export_run.py"
	exportFile = "mlflow-runs.json"
	// exportLimit bounds reading the store; scoreLimit bounds scoring a few samples.
	exportLimit = 5 * time.Minute
	scoreLimit  = 10 * time.Minute
	// exitData is EX_DATAERR of sysexits.h: "the input data was incorrect".
	exitData = 65
	// maxExport, maxMetrics and maxPredictions bound what is read into memory.
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
	trained *runner.Result
	outputs []string
	// data says what was trained on; leaked counts are taken from the metrics.
	data string
	// asked says who was asked for the model in production.
	asked string
	// notAsked is why nobody was.
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

// train runs the steps and returns all problems found. Each step that the next one
// stands on ends it; whatever can still be judged is judged.
func (s *session) train(ctx context.Context) []*verdict.Problem {
	problems := s.describe(ctx)
	if problem := s.findChampion(ctx); problem != nil {
		problems = append(problems, problem)
	}
	if len(problems) > 0 {
		return problems
	}
	result, err := s.runner.Run(ctx, s.step())
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "training", err)}
	}
	s.trained = result
	s.warnNetwork(result)
	hosts := refused.Hosts(result.Stderr + "\n" + result.Stdout)
	if s.cfg.Network {
		hosts = nil
	}
	if len(hosts) > 0 {
		s.stage.Warn(refused.Train, "%s", strings.Join(hosts, ", "))
	}
	if problem := s.trainingEnded(result); problem != nil {
		if missing := s.project.Missing(result.Stderr + result.Stdout); missing != nil {
			s.stage.Warn(missing.Code, "%s", missing.Cause)
		}
		// The run's status and curves still help to find out why.
		record, _ := s.readRun(ctx, "")
		s.candidate = &Candidate{Run: record}
		if len(hosts) > 0 {
			problem.Cause += "; it tried to reach " + strings.Join(hosts, ", ") + " and has no network"
			problem.Next = refused.Train.Remedy
		}
		return []*verdict.Problem{problem}
	}
	problems = s.judge(ctx)
	// A model that does not pass need not be trained again to say so.
	if s.in.Twice && len(problems) == 0 {
		problems = s.trainAgain(ctx)
	}
	return problems
}

// findChampion asks for the model in production, unless the input names it.
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

// describe makes the training's environment, inputs and command.
func (s *session) describe(ctx context.Context) []*verdict.Problem {
	var problems []*verdict.Problem
	if len(s.cfg.Command) == 0 || s.cfg.Model == "" || !doublestar.ValidatePattern(s.cfg.Model) {
		problems = append(problems, verdict.Problemf(ConfigInvalid, "train.command is %q and train.model is %q", s.cfg.Command, s.cfg.Model))
	}
	arguments, problem := parameters(s.in.Params)
	problems = append(problems, problem...)
	s.command = append(slices.Clone(s.cfg.Command), arguments...)
	source := s.in.Source.Filter(nil, s.in.Config.Exclude)
	// What the training is to leave must not be there before: whatever is there
	// afterwards is then newer than the start.
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
	if problem := s.environment(ctx); problem != nil {
		return []*verdict.Problem{problem}
	}
	s.inputs[0].Files = s.built.Over(s.inputs[0].Files)
	return nil
}

// useData places the data set and adds the arguments that name it.
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

// parameters turns parameters into arguments. All bad ones are named at once.
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

// warnNetwork says once when a step that was to have no network may have had one.
func (s *session) warnNetwork(result *runner.Result) {
	if result.NetworkOpen && !slices.ContainsFunc(s.stage.Warnings, func(w verdict.Finding) bool { return w.Code == NetworkOpen.Name }) {
		s.stage.Warn(NetworkOpen, "the training ran without being cut off from the network")
	}
}

// vars is the environment of every step of the stage. The configuration adds to it, but
// cannot point the training at a store or credentials outside.
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
	}
	maps.Copy(vars, s.cfg.Vars)
	vars["MLFLOW_TRACKING_URI"] = "sqlite:///" + store
	vars["MLFLOW_EXPERIMENT_NAME"] = s.cfg.Experiment
	// On EC2 and ECS an SDK would find the host's role by itself.
	vars["AWS_EC2_METADATA_DISABLED"] = "true"
	return vars
}

// step is the training.
func (s *session) step() runner.Step {
	outputs := []string{store}
	for _, glob := range slices.Concat([]string{s.cfg.Model, s.cfg.Metrics, s.cfg.Predictions, s.cfg.Golden}, s.cfg.Artifacts) {
		if glob != "" {
			outputs = append(outputs, base(glob))
		}
	}
	slices.Sort(outputs)
	return s.built.Use(runner.Step{
		Name: "train", Env: s.env, Inputs: s.inputs, Args: s.command, Vars: s.vars(), Offline: !s.cfg.Network,
		Outputs: slices.Compact(outputs), Timeout: time.Duration(s.cfg.Timeout), Fresh: s.in.Fresh,
	})
}

// base is the file or directory that holds everything a glob can match.
func base(glob string) string {
	if dir, pattern := doublestar.SplitPattern(glob); strings.ContainsAny(pattern, `*?[{\`) {
		return dir
	}
	return path.Clean(glob)
}

// trainingEnded is the problem of a training that did not end well.
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
	return problem
}

// judge holds everything that the training left against the contract.
func (s *session) judge(ctx context.Context) []*verdict.Problem {
	s.candidate = &Candidate{}
	left, err := s.trained.Outputs.List(ctx)
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(RunnerFailed, "list what the training left: %v", err)}
	}
	s.outputs = left
	problems := s.judgeModel(ctx)
	record, problem := s.readRecord(ctx)
	problems = append(problems, problem...)
	s.candidate.Run = record
	// Before the gates: they say how many guesses the accuracy counts.
	held := s.judgePredictions(ctx)
	if record != nil {
		rows, gateProblems := judgeGates(&s.stage, record, s.cfg.Gates, s.in.Champion, *s.in.Tolerance, s.called)
		s.candidate.gates = rows
		problems = append(problems, gateProblems...)
		problems = append(problems, s.judgeRecord(record)...)
	}
	problems = append(problems, held...)
	s.warnUngated()
	s.fillArtifact()
	// A model that is refused is not loaded, not even to be scored.
	if s.candidate.Inspection != nil && s.candidate.Inspection.OK() && s.candidate.Artifact.File != "" {
		problems = append(problems, s.scoreGolden(ctx)...)
	}
	return problems
}

// warnUngated says that whatever was measured would have passed.
func (s *session) warnUngated() {
	if !s.cfg.Gated() {
		s.candidate.Artifact.Ungated = true
		s.stage.Warn(verdict.CodeGatesNone.In(verdict.Train), "train.gates holds no bound that a metric could miss, and train.baseline_margin is 0")
	}
}

// called is a metric's name with what it counts: accuracy of rankings is no plain accuracy.
func (s *session) called(metric string) string {
	if scores := s.candidate.Scores; scores != nil && scores.TopK > 1 && metric == "accuracy" {
		return scores.called()
	}
	return metric
}

// matching are the files the training left that a glob matches.
func (s *session) matching(globs ...string) []string {
	var found []string
	for _, name := range s.outputs {
		if slices.ContainsFunc(globs, func(glob string) bool {
			return glob != "" && (name == path.Clean(glob) || doublestar.MatchUnvalidated(glob, name))
		}) {
			found = append(found, name)
		}
	}
	return found
}

// judgeModel finds the model's files, exports and inspects them.
func (s *session) judgeModel(ctx context.Context) []*verdict.Problem {
	models := s.matching(s.cfg.Model)
	if len(models) != 1 {
		return []*verdict.Problem{s.noModel(ctx, models)}
	}
	file := models[0]
	artifact := &s.candidate.Artifact
	paths := append(s.matching(s.cfg.Artifacts...), append(s.golden(), file)...)
	files, names, problem := s.flat(paths)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	if problem := s.tooLarge(ctx, file, paths); problem != nil {
		return []*verdict.Problem{problem}
	}
	artifact.Files, artifact.Dir = files, filepath.Join(s.in.WorkDir, "model")
	// What an earlier call left there is not this model's.
	if err := os.RemoveAll(artifact.Dir); err != nil {
		return []*verdict.Problem{verdict.Problemf(RunnerFailed, "clear the directory for the model: %v", err)}
	}
	if err := files.Export(ctx, artifact.Dir); err != nil {
		return []*verdict.Problem{stepProblem(ctx, "export the model", err)}
	}
	report, err := kerasfile.Inspect(ctx, filepath.Join(artifact.Dir, path.Base(file)), s.inspection(false))
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "inspect the model", err)}
	}
	artifact.Paths = map[string]string{}
	for _, p := range paths {
		artifact.Paths[path.Base(p)] = p
	}
	artifact.File, artifact.SHA256, artifact.Bytes = path.Base(file), report.SHA256, report.Bytes
	if golden := path.Base(s.cfg.Golden); slices.Contains(names, golden) {
		artifact.Golden = golden
	}
	s.candidate.Inspection = report
	if artifact.Unseen = report.Unseen; report.Unseen != "" {
		s.stage.Warn(NotInspected, "%s is a file of the format %s, which train.allow_formats names", artifact.File, report.Unseen)
	}
	if report.OldKeras {
		s.stage.Warn(KerasOld, "the model was saved by Keras %s; %s closes the known ways around safe_mode", report.KerasVersion, kerasfile.SafeVersion)
	}
	return report.Problems
}

// inspection is what the contract allows of a model file.
func (s *session) inspection(content bool) kerasfile.Options {
	return kerasfile.Options{AllowLayers: s.cfg.AllowLayers, AllowFormats: s.cfg.AllowFormats, Recurrent: s.cfg.Recurrent, Content: content}
}

// maxModel and maxArtifact bound the files that are exported, before they are.
var maxModel, maxArtifact int64 = kerasfile.DefaultLimits().FileBytes, 1 << 30

// tooLarge measures the model's files where the training left them.
func (s *session) tooLarge(ctx context.Context, file string, paths []string) *verdict.Problem {
	sizes := make([]int64, len(paths))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, p := range paths {
		group.Go(func() (err error) {
			sizes[i], err = s.trained.Outputs.Size(inner, p)
			if errors.Is(err, fs.ErrNotExist) { // it is listed
				return verdict.Problemf(kerasfile.ArchiveInvalid, "%s is a link to no file that the training left", p)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		if problem := (*verdict.Problem)(nil); errors.As(err, &problem) {
			return problem
		}
		return stepProblem(ctx, "measure the model", err)
	}
	for i, p := range paths {
		switch {
		case p == file && sizes[i] > maxModel:
			return verdict.Problemf(kerasfile.ArchiveInvalid, "%s is %d bytes long, more than the limit of %d", p, sizes[i], maxModel)
		case p != file && sizes[i] > maxArtifact:
			return verdict.Problemf(ArtifactTooLarge, "%s is %d bytes long, more than the limit of %d", p, sizes[i], maxArtifact)
		}
	}
	return nil
}

// noModel says why there is not one model.
func (s *session) noModel(ctx context.Context, models []string) *verdict.Problem {
	if len(models) > 1 {
		return verdict.Problemf(ModelAmbiguous, "%s matches %d files: %s", s.cfg.Model, len(models), clip(strings.Join(models, ", "), 300))
	}
	problem := verdict.Problemf(NoModel, "%s ended with exit code 0 and left no file that matches %s", strings.Join(s.command, " "), s.cfg.Model)
	// The model in the source was hidden from the training; it is named, not used.
	if committed, err := s.in.Source.Filter([]string{s.cfg.Model}, nil).List(ctx); err == nil && len(committed) > 0 {
		problem = verdict.Problemf(StaleModel, "the training left no model; %s in the source is from an earlier one", committed[0])
	}
	problem.Details = said(s.trained)
	if left := s.otherModels(); len(left) > 0 {
		problem.Cause += "; what looks like a model: " + listed(left)
		problem.Next = fmt.Sprintf("Set train.model in pipeline.yaml to the file that counts (%s), or write what %s names", left[0], s.cfg.Model)
	}
	return problem
}

// otherModels are what the training left that looks like a model.
func (s *session) otherModels() []string {
	return slices.DeleteFunc(slices.Clone(s.outputs), func(name string) bool {
		_, ok := kerasfile.LooksLikeModel(name)
		return !ok
	})
}

// golden is the golden sample among what the training left.
func (s *session) golden() []string { return s.matching(s.cfg.Golden) }

// flat puts files of the training's outputs into one folder, under their base names.
func (s *session) flat(paths []string) (runner.Files, []string, *verdict.Problem) {
	files := s.runner.NewFiles(nil)
	byName, byDir := map[string]string{}, map[string][]string{}
	for _, p := range paths {
		name := path.Base(p)
		if other, taken := byName[name]; taken && other != p {
			return nil, nil, verdict.Problemf(ArtifactAmbiguous, "%s and %s have the same name", other, p)
		} else if !taken {
			byName[name] = p
			byDir[path.Dir(p)] = append(byDir[path.Dir(p)], name)
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		part := s.trained.Outputs
		if dir != "." {
			part = part.Sub(dir)
		}
		files = files.With(".", part.Filter(escaped(byDir[dir]), nil))
	}
	return files, slices.Sorted(maps.Keys(byName)), nil
}

// readRecord reads what the training wrote down: the declared file of metrics, the
// MLflow run, or both.
func (s *session) readRecord(ctx context.Context) (*RunRecord, []*verdict.Problem) {
	run, problem := s.readRun(ctx, s.candidate.Artifact.SHA256)
	var problems []*verdict.Problem
	// With a file of metrics an MLflow run is welcome but not demanded.
	if problem != nil && (s.cfg.Metrics == "" || problem.Code.Name != RunMissing.Name) {
		problems = append(problems, problem)
	}
	if s.cfg.Metrics == "" {
		return run, problems
	}
	content, err := s.trained.Outputs.Read(ctx, path.Clean(s.cfg.Metrics), maxMetrics)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return run, append(problems, verdict.Problemf(MetricsMissing, "the training left no %s", s.cfg.Metrics))
	case err != nil:
		return run, append(problems, verdict.Problemf(MetricsMalformed, "%s cannot be read: %v", s.cfg.Metrics, err))
	}
	record, problem := parseMetricsFile(s.cfg.Metrics, content)
	if problem != nil {
		return run, append(problems, problem)
	}
	if run != nil {
		record.merge(run)
	}
	return record, problems
}

// readRun exports the MLflow store in a step of its own, in the same environment: the
// training then runs exactly the declared command, and a changed export does not train again.
func (s *session) readRun(ctx context.Context, sha256 string) (*RunRecord, *verdict.Problem) {
	if _, err := s.trained.Outputs.Read(ctx, store, 0); errors.Is(err, fs.ErrNotExist) {
		return nil, verdict.Problemf(RunMissing, "the training wrote nothing to MLFLOW_TRACKING_URI (sqlite:///%s)", store)
	}
	result, err := s.runner.Run(ctx, runner.Step{
		Name: "export MLflow run", Env: s.env,
		Inputs: []runner.Mount{
			{Path: ".", Files: s.trained.Outputs.Filter([]string{store}, nil)},
			{Path: ".", Files: s.runner.NewFiles(map[string][]byte{scriptFile: exportScript})},
		},
		Args: []string{"python", scriptFile, "sqlite:///" + store, exportFile}, Vars: s.vars(),
		Outputs: []string{exportFile}, Timeout: exportLimit, Offline: true,
	})
	if err != nil {
		return nil, stepProblem(ctx, "reading the MLflow store", err)
	}
	if result.ExitCode != 0 || result.TimedOut {
		problem := verdict.Problemf(ExportFailed, "reading %s %s: %s", store, ended(result, exportLimit), reason(result))
		problem.Details = said(result)
		return nil, problem
	}
	content, err := result.Outputs.Read(ctx, exportFile, maxExport)
	if err != nil {
		return nil, verdict.Problemf(ExportFailed, "read the exported runs: %v", err)
	}
	records, err := parseExport(content)
	if err != nil {
		return nil, verdict.Problemf(ExportFailed, "the exported runs are malformed: %v", err)
	}
	return chooseRun(records, sha256)
}

// judgeRecord checks what is not a gate: that the record is of this model, and that its curves are finite.
func (s *session) judgeRecord(record *RunRecord) []*verdict.Problem {
	for _, name := range slices.Sorted(maps.Keys(record.Gaps)) {
		if record.Gaps[name] > 0 {
			s.stage.Warn(CurveNotFinite, "%d logged values of %s are no finite numbers", record.Gaps[name], name)
		}
	}
	if logged := record.Tags["model_sha256"]; logged != "" && s.candidate.Artifact.SHA256 != "" && logged != s.candidate.Artifact.SHA256 {
		return []*verdict.Problem{verdict.Problemf(ModelMismatch, "%s names the model %s, the file is %s", record.Source, clip(logged, 64), s.candidate.Artifact.SHA256)}
	}
	return nil
}

// judgePredictions measures the held-out predictions and compares them with what was logged.
func (s *session) judgePredictions(ctx context.Context) []*verdict.Problem {
	if s.cfg.Predictions == "" {
		return s.judgeLoggedBaseline("train.predictions is not set")
	}
	content, err := s.trained.Outputs.Read(ctx, path.Clean(s.cfg.Predictions), maxPredictions)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.judgeLoggedBaseline("the training left no " + s.cfg.Predictions)
	case err != nil:
		return []*verdict.Problem{verdict.Problemf(MetricsMalformed, "%s cannot be read: %v", s.cfg.Predictions, err)}
	}
	held, err := parsePredictions(content)
	if err != nil {
		return []*verdict.Problem{verdict.Problemf(MetricsMalformed, "%s: %v", s.cfg.Predictions, err)}
	}
	scores := held.measure()
	s.candidate.Scores = scores
	if held.topK > max(s.cfg.TopK, 1) {
		return []*verdict.Problem{verdict.Problemf(TopKRefused, "%s counts the first %d of %d guesses, train.top_k is %d: its %s is %s, with the first guess alone it is %s",
			s.cfg.Predictions, held.topK, len(held.labels), s.cfg.TopK, scores.called(), percent(scores.Accuracy), percent(scores.Top1))}
	}
	if scores.Examples < s.cfg.MinExamples {
		s.stage.Warn(FewExamples, "the held-out set has %d examples, train.min_examples is %d", scores.Examples, s.cfg.MinExamples)
	}
	if scores.present() < 2 {
		return []*verdict.Problem{verdict.Problemf(DataInvalid, "the held-out set holds one class only: nothing can be measured on it")}
	}
	var problems []*verdict.Problem
	problems = append(problems, s.agree("accuracy", scores.Accuracy)...)
	problems = append(problems, s.agree("baseline_accuracy", scores.Baseline)...)
	if problem := s.judgeBaseline(scores.Accuracy, scores.Baseline, fmt.Sprintf("%d held-out predictions", scores.Examples)); problem != nil {
		problems = append(problems, problem)
	}
	if missed := scores.missed(); len(missed) > 0 {
		problems = append(problems, verdict.Problemf(NoBetterThanBaseline, "the model never finds %s", clip(strings.Join(missed, ", "), 300)))
	}
	return problems
}

// agree compares a logged metric with what the predictions give. Four decimals must agree.
func (s *session) agree(name string, measured float64) []*verdict.Problem {
	if s.candidate.Run == nil {
		return nil
	}
	logged, ok := s.candidate.Run.Metrics[name]
	if difference := logged - measured; !ok || difference < 1e-4 && difference > -1e-4 {
		return nil
	}
	return []*verdict.Problem{verdict.Problemf(MetricDisagrees, "%s is %s in %s, but the predictions give %s", name, number(logged), s.candidate.Run.Source, number(measured))}
}

// judgeLoggedBaseline falls back on the baseline that the training logged.
func (s *session) judgeLoggedBaseline(why string) []*verdict.Problem {
	s.stage.Warn(NoPredictions, "%s: baseline and recall cannot be measured", why)
	if s.candidate.Run == nil {
		return nil
	}
	accuracy, ok := s.candidate.Run.Metrics["accuracy"]
	baseline, known := s.candidate.Run.Metrics["baseline_accuracy"]
	if !ok || !known {
		return nil
	}
	if problem := s.judgeBaseline(accuracy, baseline, "as logged, not measured"); problem != nil {
		return []*verdict.Problem{problem}
	}
	return nil
}

func (s *session) judgeBaseline(accuracy, baseline float64, source string) *verdict.Problem {
	margin := s.cfg.BaselineMargin
	ok := accuracy-baseline >= margin-1e-9
	s.stage.Gate(s.called("accuracy")+" above the majority class", fmt.Sprintf("%.1f points (%s over %s)", 100*(accuracy-baseline), percent(accuracy), percent(baseline)),
		fmt.Sprintf(">= %.1f points", 100*margin), ok)
	if ok {
		return nil
	}
	return verdict.Problemf(NoBetterThanBaseline, "%s is %s, always guessing the most frequent class gives %s: %.1f points, at least %.1f are needed (%s)",
		s.called("accuracy"), rounded(accuracy), rounded(baseline), 100*(accuracy-baseline), 100*margin, source)
}

// fillArtifact gives the model what its record says.
func (s *session) fillArtifact() {
	artifact, record := &s.candidate.Artifact, s.candidate.Run
	artifact.Data = s.data
	if record == nil {
		return
	}
	artifact.Metrics, artifact.History, artifact.Params, artifact.Tags = record.Metrics, record.History, record.Params, record.Tags
	for _, from := range []map[string]string{record.Tags, record.Params} {
		if fingerprint := from["data_fingerprint"]; fingerprint != "" {
			artifact.Data = fingerprint
			break
		}
	}
}

// scoreGolden loads the saved model where nothing of its training is left, and lets it
// score the golden sample.
func (s *session) scoreGolden(ctx context.Context) []*verdict.Problem {
	if s.cfg.Golden == "" || len(s.cfg.ScoreCommand) == 0 {
		s.stage.Warn(NotScored, "train.golden and train.score_command are not both set")
		return nil
	}
	golden := s.golden()
	if len(golden) != 1 {
		return []*verdict.Problem{verdict.Problemf(GoldenMissing, "the training left no %s", s.cfg.Golden)}
	}
	keep := escaped(slices.Concat(s.matching(s.cfg.Model), s.matching(s.cfg.Artifacts...), golden))
	result, err := s.runner.Run(ctx, s.built.Use(runner.Step{
		Name: "score golden sample", Env: s.env,
		Inputs: []runner.Mount{s.inputs[0], {Path: ".", Files: s.trained.Outputs.Filter(keep, nil)}},
		Args:   s.cfg.ScoreCommand, Vars: s.vars(), Timeout: scoreLimit, Fresh: s.in.Fresh, Offline: true,
	}))
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "scoring the golden sample", err)}
	}
	s.warnNetwork(result)
	ok := result.ExitCode == 0 && !result.TimedOut
	s.stage.Gate("golden sample", goldenOutcome(result), "equal after reloading", ok)
	if ok {
		return nil
	}
	code := GoldenMismatch
	if result.TimedOut || result.ExitCode > 1 {
		code = ScoreFailed
	}
	problem := verdict.Problemf(code, "%s %s: %s", strings.Join(s.cfg.ScoreCommand, " "), ended(result, scoreLimit), reason(result))
	problem.Details = said(result)
	return []*verdict.Problem{problem}
}
