package image

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// loadDir is where the script that loads the model is in the image, while it runs.
const loadDir = "/openstack-rca-load"

// score runs the model on the golden sample with the image's packages: by the application's own
// command, or without one by the program that loads the model, as after the training.
func (i inspector) score(ctx context.Context, image *dagger.Container) []*verdict.Problem {
	command, golden := i.in.Config.Train.ScoreCommand, i.in.Model.Golden
	if len(command) == 0 || golden == "" {
		problem, scored := i.load(ctx, image, golden)
		switch {
		case problem != nil:
			return []*verdict.Problem{problem}
		case golden == "":
			i.stage.Warn(WarnNotScored, "there is no golden sample")
		case !scored:
			i.stage.Warn(WarnNotScored, "nothing in the image can load the model, and there is no command to score the golden sample")
		}
		return nil
	}
	ran, code, problem := i.try(ctx, image, command, "score the golden sample")
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	i.stage.Gate("golden sample in the image", outcome(code), "equal", code == 0)
	if code == 0 {
		return nil
	}
	// The reason may be an older library: then that is the problem, and not another score.
	if problem, _ := i.load(ctx, image, ""); problem != nil && problem.Code.Name == CodeUnreadable.Name {
		return []*verdict.Problem{problem}
	}
	problem = verdict.Problemf(CodeGolden, "%s ended with exit code %d", strings.Join(command, " "), code)
	out, err := ran.CombinedOutput(ctx)
	if err != nil {
		return []*verdict.Problem{problem, i.engineProblem(ctx, CodeEngineFailed, "read what scoring printed", err)}
	}
	problem.Details = safetext.LastLines(i.redact(out), logLines)
	return []*verdict.Problem{problem}
}

// load loads the model file with the image's packages, and scores the golden sample of that name, if any. It reports whether
// the sample was scored.
func (i inspector) load(ctx context.Context, image *dagger.Container, golden string) (*verdict.Problem, bool) {
	format, ok := formats.Named(i.in.Model.Format)
	if !ok {
		return nil, false // loading it could run code
	}
	programs := i.client.Directory()
	for name, content := range format.Programs() {
		programs = programs.WithNewFile(name, string(content))
	}
	with := image.WithMountedDirectory(loadDir, programs)
	dir := path.Join(i.appDir, i.in.Config.Image.ModelDir)
	if golden != "" {
		golden = path.Join(dir, golden)
	}
	command := format.Load(loadDir, path.Join(dir, i.in.Model.File), golden, i.in.Model.Beyond)
	ran, code, problem := i.try(ctx, with, command, "load the model")
	if problem != nil {
		return problem, false
	}
	out, err := ran.CombinedOutput(ctx)
	if err != nil {
		return i.engineProblem(ctx, CodeEngineFailed, "read what loading the model printed", err), false
	}
	return JudgeLoad(i.stage, i.in.Model.Versions, golden != "", code, i.redact(out))
}

// JudgeLoad adds to the stage what loading the model found in a serving environment, by its
// exit code and output: a problem, if any, and whether the golden sample, where one was given,
// was scored. versions are those of the packages that the model was made or loaded with before.
func JudgeLoad(stage *verdict.Stage, versions map[string]string, golden bool, code int, out string) (*verdict.Problem, bool) {
	said := clip(modelfile.LoadSaid(out), 300)
	warnOlder(stage, versions, modelfile.LoadedWith(out))
	switch code {
	case 0:
		stage.Gate("model in the serving environment", said, "loads", true)
		if golden {
			stage.Gate("golden sample in the image", outcome(code), "equal", true)
		}
		return nil, golden
	case modelfile.ExitNoLibrary, modelfile.ExitUnknownClass:
		// Serving may read the model by other means, or bring the classes itself.
		stage.Add("model in the serving environment", "not loaded: "+strings.TrimPrefix(said, "nothing here loads it: "))
		return nil, false
	case modelfile.ExitDiffers, modelfile.ExitNoGolden:
		stage.Gate("golden sample in the image", outcome(code), "equal", false)
		problem := verdict.Problemf(CodeGolden, "%s", said)
		problem.Details = safetext.LastLines(out, logLines)
		return problem, true
	}
	if said == "" {
		said = fmt.Sprintf("loading it ended with exit code %d", code)
	}
	stage.Gate("model in the serving environment", "does not load", "loads", false)
	problem := verdict.Problemf(CodeUnreadable, "%s", said)
	problem.Details = safetext.LastLines(out, logLines)
	return problem, false
}

// warnOlder tells of packages that are older in the serving environment than those that made or
// loaded the model before: a file of a newer library may load there and answer otherwise. NumPy
// and Python only compute.
func warnOlder(stage *verdict.Stage, before, here map[string]string) {
	var older, want []string
	for _, name := range slices.Sorted(maps.Keys(here)) {
		was, known := modelfile.ParseVersion(before[name])
		is, read := modelfile.ParseVersion(here[name])
		if known && read && name != "numpy" && name != "python" && slices.Compare(is[:], was[:]) < 0 {
			older = append(older, fmt.Sprintf("%s %s, after %s in the training", name, here[name], before[name]))
			want = append(want, name+"=="+before[name])
		}
	}
	if len(older) > 0 {
		stage.WarnNext(WarnOlder, "Require "+strings.Join(want, " and ")+" for serving", "%s", strings.Join(older, "; "))
	}
}

// try runs a command in the image for as long as loading a model may take, and returns its
// exit code.
func (i inspector) try(
	ctx context.Context, image *dagger.Container, command []string, what string,
) (*dagger.Container, int, *verdict.Problem) {
	limited, cancel := context.WithTimeout(ctx, modelfile.LoadLimit)
	defer cancel()
	ran := image.WithExec(command, dagger.ContainerWithExecOpts{Expect: dagger.ReturnTypeAny})
	code, err := ran.ExitCode(limited)
	switch {
	case err == nil:
		return ran, code, nil
	case ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded):
		return nil, 0, verdict.Problemf(CodeLoadTimeout, "%s in the image: %s did not end within %s", what, strings.Join(command, " "),
			modelfile.LoadLimit)
	}
	return nil, 0, i.engineProblem(ctx, CodeGolden, what, err)
}

func outcome(code int) string {
	if code == 0 {
		return "equal"
	}
	return "exit code " + strconv.Itoa(code)
}
