package image

import (
	"context"
	"errors"
	"fmt"
	"path"
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

// score runs the model on the golden sample with the image's packages. Without a sample, or
// if it scores otherwise, it finds out whether the image's packages load the model at all.
func (i inspector) score(ctx context.Context, image *dagger.Container) []*verdict.Problem {
	command := i.in.Config.Train.ScoreCommand
	if len(command) == 0 || i.in.Model.Golden == "" {
		i.stage.Warn(WarnNotScored, "there is no golden sample or no command to score it")
		return i.load(ctx, image)
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
	if problems := i.load(ctx, image); len(problems) > 0 && problems[0].Code.Name == CodeUnreadable.Name {
		return problems
	}
	problem = verdict.Problemf(CodeGolden, "%s ended with exit code %d", strings.Join(command, " "), code)
	out, err := ran.CombinedOutput(ctx)
	if err != nil {
		return []*verdict.Problem{problem, i.engineProblem(ctx, CodeEngineFailed, "read what scoring printed", err)}
	}
	problem.Details = safetext.LastLines(i.redact(out), logLines)
	return []*verdict.Problem{problem}
}

// load loads the model file with the image's packages.
func (i inspector) load(ctx context.Context, image *dagger.Container) []*verdict.Problem {
	format, ok := formats.Named(i.in.Model.Format)
	if !ok {
		return nil // loading it could run code
	}
	programs := i.client.Directory()
	for name, content := range format.Programs() {
		programs = programs.WithNewFile(name, string(content))
	}
	with := image.WithMountedDirectory(loadDir, programs)
	file := path.Join(i.appDir, i.in.Config.Image.ModelDir, i.in.Model.File)
	ran, code, problem := i.try(ctx, with, format.Load(loadDir, file, "", i.in.Model.Beyond), "load the model")
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	out, err := ran.CombinedOutput(ctx)
	if err != nil {
		return []*verdict.Problem{i.engineProblem(ctx, CodeEngineFailed, "read what loading the model printed", err)}
	}
	if problem := JudgeLoad(i.stage, code, i.redact(out)); problem != nil {
		return []*verdict.Problem{problem}
	}
	return nil
}

// JudgeLoad adds to the stage what loading the model found in a serving environment, by its
// exit code and output. The problem, if any, names the versions.
func JudgeLoad(stage *verdict.Stage, code int, out string) *verdict.Problem {
	said := clip(modelfile.LoadSaid(out), 300)
	switch code {
	case 0:
		stage.Gate("model in the serving environment", said, "loads", true)
	case modelfile.ExitNoLibrary, modelfile.ExitUnknownClass:
		// Serving may read the model by other means, or bring the classes itself.
		stage.Add("model in the serving environment", "not loaded: "+strings.TrimPrefix(said, "nothing here loads it: "))
	default:
		if said == "" {
			said = fmt.Sprintf("loading it ended with exit code %d", code)
		}
		stage.Gate("model in the serving environment", "does not load", "loads", false)
		problem := verdict.Problemf(CodeUnreadable, "%s", said)
		problem.Details = safetext.LastLines(out, logLines)
		return problem
	}
	return nil
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
