package assembly

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/probe"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// serveApp starts the application with the model in it as a service of the runner and
// probes it like the image: what can be tested of the image without an engine.
func serveApp(ctx context.Context, r runner.Runner, request pipeline.ImageRequest) *pipeline.ImageResult {
	result := &pipeline.ImageResult{Stage: verdict.Stage{Name: verdict.Image}}
	stage, app := &result.Stage, request.Config.Image
	project, built, problem := servingEnvironment(ctx, r, request, stage)
	if problem != nil {
		stage.Judge(problem)
		return result
	}
	source := request.Source.Filter(app.Inputs.Include, append(request.Config.Exclude, app.Inputs.Exclude...))
	// As in the image: what lies where the model goes is left out, except for code.
	models := path.Clean(app.ModelDir)
	source = source.Filter(nil, []string{models}).With(".", source.Filter([]string{models + "/**/*.py"}, nil))
	if problem := loadModel(ctx, r, request, project, stage); problem != nil {
		stage.Judge(problem)
		return result
	}
	started := time.Now()
	running, err := r.Start(ctx, runner.Service{
		Name: "app",
		Env:  project.Environment(r, request.Source),
		Inputs: []runner.Mount{
			{Path: ".", Files: built.Over(source)},
			{Path: app.ModelDir, Files: request.Model.Files},
		},
		Args: app.Command, Vars: app.Vars, Path: built.Path, PythonPath: built.PythonPath, Port: app.Port,
		StartTimeout: time.Duration(app.StartBudget),
		Waiting:      (&startWatch{app: app, tell: request.Tell, now: time.Now, answers: answersAt}).look,
	})
	if err != nil {
		problem, printed := notStarted(err, app, project)
		explain(stage, project, problem, printed)
		problem.Next = cmp.Or(image.OpenedNext(printed, app.ModelDir, request.Model), problem.Next)
		stage.Judge(problem)
		return result
	}
	// Creating the environment is not part of the start: an image contains it.
	if !running.Started.IsZero() {
		started = running.Started
	}
	target := probe.Target{
		Address: running.Address, Paths: healthPaths(app), Successes: app.Successes,
		Budget: time.Duration(app.StartBudget), Before: time.Since(started),
		Tell: request.Tell,
	}
	if running.Ended != nil {
		target.Alive = func(context.Context) (bool, string, error) {
			ending, ended := running.Ended()
			return !ended, ending, nil
		}
	}
	found := probe.Run(ctx, target)
	stage.Add("probed", "the application as a process of this host")
	stage.Gate(pipeline.Answered, fmt.Sprintf("after %.1f s", max(time.Since(started), 0).Seconds()),
		fmt.Sprintf("within %.0f s", time.Duration(app.StartBudget).Seconds()), found.Healthy)
	found.Warn(stage)
	if found.Problem != nil && running.Logs != nil {
		explain(stage, project, found.Problem, running.Logs(), target.Paths...)
		found.Problem.Next = cmp.Or(image.OpenedNext(running.Logs(), app.ModelDir, request.Model), found.Problem.Next)
	}
	problems := []*verdict.Problem{found.Problem}
	if err := running.Stop(ctx); err != nil {
		problems = append(problems, verdict.Problemf(CodeServeFailed, "stop the application: %v", err))
	}
	stage.Judge(problems...)
	return result
}

// notStarted is the problem of an application that nothing could be asked, and what it
// printed: it crashed, listens elsewhere, or does not listen.
func notStarted(err error, app config.Image, project *pyenv.Project) (*verdict.Problem, string) {
	var start *runner.StartError
	switch {
	case notRun(err, project) != nil:
		return notRun(err, project), ""
	case !errors.As(err, &start):
		return verdict.Problemf(CodeServeFailed, "%v", err), ""
	case !start.Alive:
		return verdict.Problemf(probe.CodeCrashed, "%v", err), start.Logs
	}
	problem := verdict.Problemf(probe.CodeNotListening, "nothing answers after %s", time.Duration(app.StartBudget))
	if elsewhere := probe.Listening(start.Sockets, start.Port); elsewhere != "" {
		problem = verdict.Problemf(image.CodeElsewhere, "it listens on %s, not on port %d of all addresses, which it was given",
			elsewhere, start.Port)
		switch {
		case start.Port == app.Port && !toldPort(app):
			problem = verdict.Problemf(image.CodeElsewhere, "it listens on %s, not on image.port, which is %d", elsewhere, start.Port)
			problem.Next = "Let the application listen on 0.0.0.0, and write its port into image.port of pipeline.yaml"
		case !toldPort(app):
			problem.Cause += " as {{port}}: image.command does not hold that"
			problem.Next = "Write {{port}} for the port into image.command in pipeline.yaml: without an engine any free one is used, in an image " +
				"image.port"
		}
	}
	return problem, start.Logs
}

// explain adds to a problem what the application printed, and which hosts it could not reach. paths are those that it was
// asked for.
func explain(stage *verdict.Stage, project *pyenv.Project, problem *verdict.Problem, printed string, paths ...string) {
	if printed == "" {
		return
	}
	lines := strings.Split(strings.TrimRight(printed, "\n"), "\n")
	if problem.Code.Name == probe.CodeCrashed.Name {
		problem.Next = cmp.Or(project.MissingNext(printed), problem.Next)
	}
	problem.Details = append(problem.Details, strings.Join(probe.WithoutOwn(lines, paths...), "\n"))
	if hosts := refused.Hosts(printed); len(hosts) > 0 {
		stage.Warn(refused.Image, "%s", strings.Join(hosts, ", "))
	}
}

// loadModel loads the model in the serving environment: one of an older Keras may be unable to,
// and many applications load a model at the first request only.
func loadModel(ctx context.Context, r runner.Runner, request pipeline.ImageRequest, project *pyenv.Project, stage *verdict.Stage,
) *verdict.Problem {
	app := request.Config.Image
	format, ok := formats.Named(request.Model.Format)
	if !ok {
		return nil
	}
	golden := ""
	if request.Model.Golden != "" && len(request.Config.Train.ScoreCommand) == 0 {
		golden = path.Join(app.ModelDir, request.Model.Golden)
	}
	ran, err := r.Run(ctx, runner.Step{
		Name: "load the model", Env: project.Environment(r, request.Source), Vars: app.Vars, Offline: true, Timeout: modelfile.LoadLimit,
		Inputs: []runner.Mount{
			{Path: app.ModelDir, Files: request.Model.Files},
			{Path: loadDir, Files: r.NewFiles(format.Programs())},
		},
		Args: format.Load(loadDir, path.Join(app.ModelDir, request.Model.File), golden, request.Model.Beyond),
	})
	switch {
	case err != nil && notRun(err, project) != nil:
		return notRun(err, project)
	case err != nil:
		return verdict.Problemf(CodeServeFailed, "load the model: %v", err)
	case ran.TimedOut:
		problem := verdict.Problemf(image.CodeLoadTimeout, "loading %s did not end within %s", request.Model.File, modelfile.LoadLimit)
		problem.Details = safetext.LastLines(ran.Stdout+"\n"+ran.Stderr, 20)
		return problem
	}
	problem, _ := image.JudgeLoad(stage, request.Model.Versions, golden != "", ran.ExitCode, ran.Stdout+"\n"+ran.Stderr)
	return problem
}

// loadDir is where the program that loads the model is in the step's working directory.
const loadDir = "pipeline-load"

func healthPaths(app config.Image) []string {
	paths := []string{app.Health}
	if app.ScriptHealth != "" {
		paths = append(paths, app.ScriptHealth)
	}
	return paths
}
