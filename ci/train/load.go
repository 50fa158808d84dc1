package train

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// loadDir is the directory of the program that loads a model, in a step's working directory.
const loadDir = "pipeline-load"

// loadable is a model format that the pipeline itself loads and scores. For a Keras file the application's own command is
// enough, because the file states everything it needs.
func (j judging) loadable() (modelfile.Format, bool) {
	format, ok := formats.Named(j.candidate.Artifact.Format)
	return format, ok && (!j.byCommand() || format.Name != kerasfile.Format.Name)
}

// byCommand reports whether the application scores the golden sample itself.
func (s *session) byCommand() bool { return len(s.cfg.ScoreCommand) > 0 }

// load loads the model with its format's library, in a step with nothing of its training but the environment, and makes it
// score the golden sample: with the application's own command if there is one, and otherwise with the program that loads the
// model.
func (j judging) load(ctx context.Context, format modelfile.Format) []*verdict.Problem {
	artifact := &j.candidate.Artifact
	golden := ""
	if artifact.Golden != "" && !j.byCommand() {
		golden = artifact.Paths[artifact.Golden]
	}
	keep := glob.EscapeAll(slices.Collect(maps.Values(artifact.Paths)))
	step := j.loadStep(format, artifact, golden, runner.Mount{Path: ".", Files: j.result.Outputs.Filter(keep, nil)})
	step.Name, step.Fresh = "load the model", j.in.Fresh
	result, err := j.runner.Run(ctx, step)
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "loading the model", err)}
	}
	j.warnNetwork(result)
	for name, version := range modelfile.LoadedWith(result.Stdout) {
		if artifact.Versions == nil {
			artifact.Versions = map[string]string{}
		}
		artifact.Versions[name] = version
	}
	if problem := j.judgeLoad(result, golden, loadSaid(result)); problem != nil {
		problem.Details = said(result)
		return []*verdict.Problem{problem}
	}
	if j.byCommand() {
		return j.scoreByCommand(ctx)
	}
	if golden == "" && result.ExitCode == 0 { // otherwise nothing here can load it, which is reported
		j.stage.WarnNext(NotScored, goldenNext(&j.cfg, format.Library), "the training left no golden sample")
	}
	return nil
}

// judgeLoad adds the result of loading to the stage.
func (j judging) judgeLoad(result *runner.Result, golden, said string) *verdict.Problem {
	scored := golden != "" && (result.ExitCode == 0 || result.ExitCode == modelfile.ExitDiffers)
	loads := !result.TimedOut && slices.Contains([]int{0, modelfile.ExitDiffers, modelfile.ExitNoGolden}, result.ExitCode)
	switch {
	case result.TimedOut:
		return verdict.Problemf(ScoreTimeout, "loading the model %s", ended(result, modelfile.LoadLimit))
	case result.ExitCode == modelfile.ExitNoLibrary || result.ExitCode == modelfile.ExitUnknownClass:
		j.stage.Add("model loaded", "no: "+strings.TrimPrefix(said, "nothing here loads it: "))
		next := ""
		if result.ExitCode == modelfile.ExitUnknownClass {
			next = "Let the application's own code load it: set train.score_command, which scores the golden sample of train.golden, " +
				"in pipeline.yaml"
		}
		j.stage.WarnNext(NotLoaded, next, "%s", said)
		return nil
	case !loads:
		j.stage.Gate("model loaded", "it does not load", "loads", false)
		return verdict.Problemf(LoadFailed, "%s", either(said, "loading the model "+ended(result, modelfile.LoadLimit)+": "+reason(result)))
	}
	j.stage.Gate("model loaded", strings.TrimPrefix(loadedSaid(result.Stdout), "loaded "), "loads", true)
	if scored {
		j.stage.Gate("golden sample", goldenOutcome(result), "equal after reloading", result.ExitCode == 0)
	}
	switch result.ExitCode {
	case modelfile.ExitDiffers:
		return verdict.Problemf(GoldenMismatch, "%s", said)
	case modelfile.ExitNoGolden:
		problem := verdict.Problemf(ScoreFailed, "%s", said)
		problem.Next = "Write rows and what the model predicts for them, as in " + goldenForm + ", or set train.score_command, " +
			"which reads the file itself, in pipeline.yaml"
		return problem
	}
	return nil
}

// loadedSaid returns the line that says what was loaded, whatever follows it.
func loadedSaid(output string) string {
	said := ""
	for line := range strings.Lines(output) {
		if strings.HasPrefix(line, "loaded ") {
			said = strings.TrimSpace(line)
		}
	}
	return clip(said, 300)
}

// loadSaid returns the last message of the program that loads models.
func loadSaid(result *runner.Result) string {
	return clip(modelfile.LoadSaid(result.Stdout+"\n"+result.Stderr), 300)
}

// loadStep returns the step that loads the model in the mounts.
func (s *session) loadStep(format modelfile.Format, artifact *model.Artifact, golden string, mounts ...runner.Mount) runner.Step {
	inputs := append([]runner.Mount{s.inputs[0]}, mounts...)
	inputs = append(inputs, runner.Mount{Path: loadDir, Files: s.runner.NewFiles(format.Programs())})
	return s.built.Use(runner.Step{
		Env: s.env, Inputs: inputs, Vars: s.vars(), Timeout: modelfile.LoadLimit, Offline: true,
		Args: format.Load(loadDir, artifact.Paths[artifact.File], golden, artifact.Beyond),
	})
}
