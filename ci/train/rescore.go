package train

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// Rescored is what loading a model again found.
type Rescored struct {
	// Outcome says what was done and found.
	Outcome string
	// OK means that the model loaded and scores as trained. Loaded is false where nothing
	// can load it: no score command, no Keras.
	OK, Loaded bool
	// TimedOut means that loading did not end in its time.
	TimedOut bool
	// Details are the last lines of a command that failed.
	Details []string
}

// Rescore loads a model's files in a fresh environment of the training, where nothing
// else of it is: by train.score_command with the golden sample, or, where there is no
// such command, with Keras alone. files holds them under their base names; version,
// which names them, is part of what makes this a step of its own. The error is a
// *verdict.Problem: the environment could not be made.
func Rescore(
	ctx context.Context, r runner.Runner, in Input, artifact *model.Artifact, files runner.Files, version string,
) (*Rescored, error) {
	s := newSession(r, in)
	if problems := s.describe(ctx); len(problems) > 0 {
		return nil, problems[0]
	}
	byDir := map[string][]string{}
	for name, p := range artifact.Paths {
		byDir[path.Dir(p)] = append(byDir[path.Dir(p)], name)
	}
	inputs := []runner.Mount{s.inputs[0]}
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		slices.Sort(byDir[dir])
		inputs = append(inputs, runner.Mount{Path: dir, Files: files.Filter(glob.EscapeAll(byDir[dir]), nil)})
	}
	step := s.built.Use(runner.Step{
		Name: "load the published model", Env: s.env, Inputs: inputs, Vars: s.vars(),
		Timeout: kerasfile.LoadLimit, Fresh: "published " + version, Offline: true,
	})
	golden := s.cfg.Golden != "" && len(s.cfg.ScoreCommand) > 0 && artifact.Golden != ""
	if golden {
		step.Args = s.cfg.ScoreCommand
	} else {
		step.Args = []string{"python", loadFile, artifact.Paths[artifact.File]}
		step.Inputs = append(step.Inputs, runner.Mount{Path: ".", Files: r.NewFiles(map[string][]byte{loadFile: kerasfile.LoadScript})})
	}
	result, err := r.Run(ctx, step)
	if err != nil {
		return nil, stepProblem(ctx, "loading the published model", err)
	}
	found := &Rescored{OK: result.ExitCode == 0 && !result.TimedOut, Loaded: true}
	switch {
	case found.OK && golden:
		found.Outcome = "the golden sample scores as trained"
	case found.OK:
		found.Outcome = cmp.Or(kerasfile.LoadSaid(result.Stdout), "loaded with Keras") + ", without a golden sample to score"
	case !golden && result.ExitCode == kerasfile.ExitNoKeras:
		found.OK, found.Loaded = true, false
		found.Outcome = "neither train.score_command with a golden sample nor Keras is there to load it with"
	case !golden && result.ExitCode == kerasfile.ExitUnknownClass && len(s.cfg.AllowLayers) > 0:
		found.OK, found.Loaded = true, false
		found.Outcome = fmt.Sprintf("Keras alone does not know what train.allow_layers allows (%s): only train.score_command with "+
			"train.golden can load it",
			clip(strings.Join(s.cfg.AllowLayers, ", "), 100))
	default:
		found.TimedOut = result.TimedOut
		found.Outcome = fmt.Sprintf("%s %s: %s", strings.Join(step.Args, " "), ended(result, kerasfile.LoadLimit), reason(result))
		found.Details = said(result)
	}
	return found, nil
}

const loadFile = "load_published_model.py"
