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
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// Rescored is what loading a model again found.
type Rescored struct {
	// Outcome says what was done and found.
	Outcome string
	// OK means that the model loaded and scores as trained. Loaded is false where nothing
	// can load it: no score command, no library.
	OK, Loaded bool
	// TimedOut means that loading did not end in its time.
	TimedOut bool
	// Details are the last lines of a command that failed.
	Details []string
}

// Rescore loads a model's files in a fresh environment of the training, where nothing
// else of it is: by train.score_command with the golden sample, or, where there is no
// such command, with the library of its format alone. files holds them under their base names; version,
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
	var inputs []runner.Mount
	for _, dir := range slices.Sorted(maps.Keys(byDir)) {
		slices.Sort(byDir[dir])
		inputs = append(inputs, runner.Mount{Path: dir, Files: files.Filter(glob.EscapeAll(byDir[dir]), nil)})
	}
	format, ok := formats.Named(artifact.Format)
	if !ok {
		return &Rescored{OK: true, Outcome: fmt.Sprintf("nothing here loads models of the format %q", artifact.Format)}, nil
	}
	golden := s.cfg.Golden != "" && artifact.Golden != ""
	sample := ""
	if golden && !s.byCommand() {
		sample = artifact.Paths[artifact.Golden]
	}
	step := s.loadStep(format, artifact, sample, inputs...)
	step.Name, step.Fresh = "load the published model", "published "+version
	if golden && s.byCommand() {
		step.Args = s.cfg.ScoreCommand
	}
	result, err := r.Run(ctx, step)
	if err != nil {
		return nil, stepProblem(ctx, "loading the published model", err)
	}
	found := &Rescored{OK: result.ExitCode == 0 && !result.TimedOut, Loaded: true}
	byLibrary := !golden || !s.byCommand()
	switch {
	case found.OK && golden:
		found.Outcome = "the golden sample scores as trained"
	case found.OK:
		found.Outcome = cmp.Or(modelfile.LoadSaid(result.Stdout), "loaded with "+format.Library) + ", without a golden sample to score"
	case byLibrary && result.ExitCode == modelfile.ExitNoLibrary:
		found.OK, found.Loaded = true, false
		found.Outcome = fmt.Sprintf("neither train.score_command with a golden sample nor %s is there to load it with", format.Library)
	case byLibrary && result.ExitCode == modelfile.ExitUnknownClass && len(s.cfg.AllowLayers)+len(artifact.Beyond) > 0:
		found.OK, found.Loaded = true, false
		found.Outcome = fmt.Sprintf("%s alone does not know what the contract allows (%s): only train.score_command with "+
			"train.golden can load it", format.Library, clip(strings.Join(slices.Concat(s.cfg.AllowLayers, artifact.Beyond), ", "), 100))
	default:
		found.TimedOut = result.TimedOut
		found.Outcome = fmt.Sprintf("%s %s: %s", strings.Join(step.Args, " "), ended(result, modelfile.LoadLimit), reason(result))
		found.Details = said(result)
	}
	return found, nil
}
