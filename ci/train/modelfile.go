package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// judgeModel finds the model's files, exports them and inspects them.
func (j judging) judgeModel(ctx context.Context) []*verdict.Problem {
	models := j.matching(j.cfg.Model)
	if len(models) != 1 {
		return []*verdict.Problem{j.noModel(ctx, models)}
	}
	file := models[0]
	artifact := &j.candidate.Artifact
	paths := append(j.matching(j.cfg.Artifacts...), append(j.golden(), file)...)
	files, names, problem := j.flat(paths)
	if problem != nil {
		return []*verdict.Problem{problem}
	}
	if problem := j.tooLarge(ctx, file, paths); problem != nil {
		return []*verdict.Problem{problem}
	}
	artifact.Files, artifact.Dir = files, filepath.Join(j.in.WorkDir, "model")
	// Files left by an earlier call do not belong to this model.
	if err := os.RemoveAll(artifact.Dir); err != nil {
		return []*verdict.Problem{verdict.Problemf(RunnerFailed, "clear the directory for the model: %v", err)}
	}
	if err := files.Export(ctx, artifact.Dir); err != nil {
		return []*verdict.Problem{stepProblem(ctx, "export the model", err)}
	}
	options, err := j.inspection(artifact.Dir)
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "inspect the model", err)}
	}
	report, err := formats.Inspect(ctx, filepath.Join(artifact.Dir, path.Base(file)), options)
	if err != nil {
		return []*verdict.Problem{stepProblem(ctx, "inspect the model", err)}
	}
	artifact.Paths = map[string]string{}
	for _, p := range paths {
		artifact.Paths[path.Base(p)] = p
	}
	artifact.File, artifact.SHA256, artifact.Bytes = path.Base(file), report.SHA256, report.Bytes
	artifact.Format = report.Format
	if format, ok := formats.Named(report.Format); ok && format.Allows != nil {
		artifact.Beyond = format.Allows(options)
	}
	artifact.Versions, artifact.Facts = maps.Clone(report.Versions), map[string]string{}
	for _, fact := range report.Facts {
		artifact.Facts[fact.Name] = fact.Value
	}
	if golden := path.Base(j.cfg.Golden); slices.Contains(names, golden) {
		artifact.Golden = golden
	}
	j.candidate.Inspection = report
	if artifact.Unseen = report.Unseen; report.Unseen != "" {
		j.stage.Warn(NotInspected, "%s is a file of the format %s, which train.allow_formats names", artifact.File, report.Unseen)
	}
	for _, warning := range report.Warnings {
		j.stage.WarnNext(warning.Code, warning.Next, "%s", warning.Cause)
	}
	return report.Problems
}

// inspection returns what the contract allows in a model file that is in a directory with its companion files.
func (s *session) inspection(dir string) (modelfile.Options, error) {
	options := modelfile.Options{
		Format: s.cfg.Format, Loader: s.cfg.Loader, AllowLayers: s.cfg.AllowLayers, AllowDomains: s.cfg.AllowDomains,
		AllowTypes:   s.cfg.AllowTypes,
		AllowFormats: s.cfg.AllowFormats,
		Recurrent:    s.cfg.Recurrent, Python: s.in.Python, Beside: map[string]int64{},
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return options, fmt.Errorf("list the model's files: %w", err)
	}
	for _, entry := range entries {
		info, err := entry.Info()
		if err != nil {
			return options, fmt.Errorf("list the model's files: %w", err)
		}
		if info.Mode().IsRegular() {
			options.Beside[entry.Name()] = info.Size()
		}
	}
	return options, nil
}

// maxModel and maxArtifact limit the files before they are exported.
var maxModel, maxArtifact int64 = formats.MaxBytes, 1 << 30

// tooLarge checks the sizes of the model's files before they are exported.
func (t *training) tooLarge(ctx context.Context, file string, paths []string) *verdict.Problem {
	sizes := make([]int64, len(paths))
	group, inner := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for i, p := range paths {
		group.Go(func() (err error) {
			sizes[i], err = t.result.Outputs.Size(inner, p)
			if errors.Is(err, fs.ErrNotExist) { // it is listed
				return verdict.Problemf(modelfile.ArchiveInvalid, "%s is a link to no file that the training left", p)
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
			return verdict.Problemf(modelfile.ArchiveInvalid, "%s is %d bytes long, more than the limit of %d", p, sizes[i], maxModel)
		case p != file && sizes[i] > maxArtifact:
			return verdict.Problemf(ArtifactTooLarge, "%s is %d bytes long, more than the limit of %d", p, sizes[i], maxArtifact)
		}
	}
	return nil
}

// generated matches directories that MLflow names after the ID of a run or model, so that the name changes each time.
var generated = regexp.MustCompile(`(^|/)(?:m-)?[0-9a-f]{32}\b`)

// noModel explains why there is not exactly one model.
func (t *training) noModel(ctx context.Context, models []string) *verdict.Problem {
	if len(models) > 1 {
		return verdict.Problemf(ModelAmbiguous, "%s matches %d files: %s", t.cfg.Model, len(models), clip(strings.Join(models, ", "), 300))
	}
	problem := verdict.Problemf(NoModel, "%s ended with exit code 0 and left no file that matches %s", strings.Join(t.command, " "),
		t.cfg.Model)
	// The model in the source was hidden from the training; it is mentioned, not used.
	if committed, err := t.in.Source.Filter([]string{t.cfg.Model}, nil).List(ctx); err == nil && len(committed) > 0 {
		problem = verdict.Problemf(StaleModel, "the training left no model; %s in the source is from an earlier one", committed[0])
	}
	problem.Details = said(t.result)
	left := t.otherModels()
	if folder := savedModel(left); folder != "" {
		problem.Cause += fmt.Sprintf("; %s is a SavedModel of TensorFlow, a folder, which is in no format that can be published", folder)
		problem.Next = fmt.Sprintf("Save the model as one file (model.save(%q)), and name that in train.model of pipeline.yaml",
			beside(t.cfg.Model, "NAME.keras"))
	} else if len(left) > 0 {
		problem.Cause += "; what looks like a model: " + listed(left)
		takes := func(name string) bool {
			return slices.ContainsFunc(formats.All, func(f modelfile.Format) bool { return f.Has(name, false) })
		}
		at := max(0, slices.IndexFunc(left, takes))
		problem.Next = fmt.Sprintf("Set train.model in pipeline.yaml to the file that counts (%s), or write what %s names",
			generated.ReplaceAllString(left[at], "$1*"), t.cfg.Model)
		if !slices.ContainsFunc(left, takes) {
			kind, _ := formats.LooksLikeModel(left[0])
			problem.Next = fmt.Sprintf("No format that can be published has the ending of %s (%s). Save the model in one of docs/models.md "+
				"too, and name that file in train.model of pipeline.yaml", left[0], kind)
		}
	}
	return problem
}

// savedModel returns the directory of a SavedModel, if there is one and no other model.
func savedModel(left []string) string {
	at := slices.IndexFunc(left, func(name string) bool { return path.Base(name) == "saved_model.pb" })
	if at < 0 || slices.ContainsFunc(left, func(name string) bool { return path.Ext(name) != ".pb" }) {
		return ""
	}
	return path.Dir(left[at])
}

// otherModels lists outputs that look like models, wherever they are.
func (t *training) otherModels() []string {
	found := slices.DeleteFunc(slices.Concat(t.left, t.result.Made), func(name string) bool {
		_, ok := formats.LooksLikeModel(name)
		return !ok
	})
	slices.Sort(found)
	return slices.Compact(found)
}

// golden returns the golden sample among the outputs.
func (t *training) golden() []string { return t.matching(t.cfg.Golden) }

// flat copies output files into one directory, under their base names.
func (t *training) flat(paths []string) (runner.Files, []string, *verdict.Problem) {
	files := t.runner.NewFiles(nil)
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
		part := t.result.Outputs
		if dir != "." {
			part = part.Sub(dir)
		}
		files = files.With(".", part.Filter(glob.EscapeAll(byDir[dir]), nil))
	}
	return files, slices.Sorted(maps.Keys(byName)), nil
}
