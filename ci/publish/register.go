package publish

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The tags by which runs and versions are found again. model_version and those after
// it are the names that the application's own registration used.
const (
	tagKey         = "idempotency_key"
	tagSHA         = "model_sha256"
	tagCommit      = "git_commit"
	tagTree        = "source_tree"
	tagData        = "data_fingerprint"
	tagEnvironment = "environment"
	tagModule      = "module_version"
	tagNumber      = "model_version"
	tagFolder      = "meaningful_folder"
	tagFile        = "keras_filename"
	tagURI         = "s3_path"
	tagFormat      = "model_format"
	// tagCommitted is set once COMMIT.json is written.
	tagCommitted = "committed"
)

func newNonce() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make nonce: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// tags describe the content on the run and on the version.
func (p *publication) tags() []mlflow.Tag {
	modelPath := p.content.pathIn(p.series(), p.number, p.content.model())
	all := map[string]string{
		tagKey: p.content.key, tagSHA: p.Model.SHA256, tagCommit: p.Commit, tagTree: p.Tree, tagData: p.Model.Data,
		tagEnvironment: p.Environment, tagModule: p.ModuleVersion, tagNumber: strconv.Itoa(p.number),
		tagFolder: p.series().Folder(p.number), tagFile: filepath.Base(modelPath), tagURI: p.ledger.URI(p.number, modelPath),
		tagFormat: strings.TrimPrefix(filepath.Ext(p.Model.File), "."),
	}
	var tags []mlflow.Tag
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if all[key] != "" {
			tags = append(tags, mlflow.Tag{Key: key, Value: p.clean(all[key], mlflow.MaxTag)})
		}
	}
	return tags
}

// clean makes a value fit for a server that others read.
func (p *publication) clean(value string, limit int) string {
	return mlflow.Clip(p.redact(value), limit)
}

// register makes sure that there is exactly one version of the registered model with
// this content, with a run behind it, and returns it.
func (p *publication) register(ctx context.Context, experiment string) (*mlflow.ModelVersion, error) {
	p.at = registering
	version, err := p.findVersion(ctx)
	if err != nil {
		return nil, err
	}
	if version != nil {
		// An earlier run got this far; the run behind it may still be open.
		p.runID = version.RunID
		return version, p.finishRun(ctx)
	}
	p.at = logging
	run, err := p.openRun(ctx, experiment)
	if err != nil {
		return nil, err
	}
	p.runID = run.ID
	p.show("MLflow run %s", run.ID)
	if err := p.logRun(ctx, run); err != nil {
		return nil, err
	}
	source := strings.TrimRight(run.ArtifactURI, "/") + "/" + modelDir
	if err := p.storeModel(ctx, run, source); err != nil {
		return nil, err
	}
	if err := p.finishRun(ctx); err != nil {
		return nil, err
	}
	p.at = registering
	if err := p.mlflow.EnsureRegisteredModel(ctx, p.registered(), nil); err != nil {
		return nil, err
	}
	return p.createVersion(ctx, run.ID, source)
}

func (p *publication) finishRun(ctx context.Context) error {
	return p.mlflow.UpdateRun(ctx, p.runID, "FINISHED", p.Clock.Now())
}

// openRun returns the run of this content, making it when there is none. Of several,
// which two publishers of the same content can make, the oldest counts for both.
func (p *publication) openRun(ctx context.Context, experiment string) (*mlflow.Run, error) {
	filter := fmt.Sprintf("tags.`%s` = '%s'", tagKey, p.content.key)
	for attempt := 1; ; attempt++ {
		runs, err := p.mlflow.SearchRuns(ctx, experiment, filter, 100)
		if err != nil {
			return nil, err
		}
		// The run of a number that was abandoned is not this one's.
		runs = slices.DeleteFunc(runs, func(r *mlflow.Run) bool { return r.Tags[tagNumber] != strconv.Itoa(p.number) })
		if len(runs) > 0 {
			slices.SortStableFunc(runs, func(a, b *mlflow.Run) int {
				return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.ID, b.ID))
			})
			return runs[0], p.mlflow.UpdateRun(ctx, runs[0].ID, "RUNNING", time.Time{})
		}
		run, err := p.mlflow.CreateRun(ctx, experiment, p.series().Folder(p.number), p.Clock.Now(), p.tags())
		if err == nil {
			return run, nil
		}
		// The answer may be lost and the run there: look before making another.
		if !mlflow.IsAmbiguous(err) || attempt == 3 || ctx.Err() != nil {
			return nil, err
		}
	}
}

// logRun logs params, metrics with their history, and tags. All of it may be logged
// again by a later run without doubling anything.
func (p *publication) logRun(ctx context.Context, run *mlflow.Run) error {
	var metrics []mlflow.Metric
	points := history(p.Model, run.Started)
	for _, name := range slices.Sorted(maps.Keys(points)) {
		for _, point := range points[name] {
			metrics = append(metrics, mlflow.Metric{Key: mlflow.Key(name), Timestamp: point.Timestamp, Step: point.Step,
				Value: mlflow.Number(point.Value)})
		}
	}
	var params []mlflow.Tag
	for _, name := range slices.Sorted(maps.Keys(p.Model.Params)) {
		params = append(params, mlflow.Tag{Key: mlflow.Key(name), Value: p.clean(p.Model.Params[name], mlflow.MaxParam)})
	}
	tags := p.tags()
	if p.Commit != "" {
		tags = append(tags, mlflow.Tag{Key: "mlflow.source.git.commit", Value: p.Commit})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Model.Tags)) {
		key := mlflow.Key(name)
		// The training's own tags come along, but not those that MLflow keeps for
		// itself, nor one that would take the place of ours.
		if !strings.HasPrefix(key, "mlflow.") && !slices.ContainsFunc(tags, func(t mlflow.Tag) bool { return t.Key == key }) {
			tags = append(tags, mlflow.Tag{Key: key, Value: p.clean(p.Model.Tags[name], mlflow.MaxTag)})
		}
	}
	return p.mlflow.LogBatch(ctx, run.ID, metrics, params, tags)
}

// findVersion returns the registry's version of this content, nil when there is none.
// Two publishers of the same content can make two; the lower number counts, and the
// other, which nobody can have been told of, is removed.
func (p *publication) findVersion(ctx context.Context) (*mlflow.ModelVersion, error) {
	filter := fmt.Sprintf("name = '%s' and tags.`%s` = '%s'", p.registered(), tagKey, p.content.key)
	versions, err := p.mlflow.SearchModelVersions(ctx, filter)
	if mlflow.IsKind(err, mlflow.NotFound) {
		return nil, nil // the registered model does not exist yet
	}
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	// Some servers ignore the tag in the filter; and the version of a number that was
	// abandoned is not this one's.
	versions = slices.DeleteFunc(versions, func(v *mlflow.ModelVersion) bool {
		return v.Tags[tagKey] != p.content.key || v.Tags[tagNumber] != strconv.Itoa(p.number)
	})
	if len(versions) == 0 {
		return nil, nil
	}
	slices.SortFunc(versions, func(a, b *mlflow.ModelVersion) int { return number(a) - number(b) })
	for _, twin := range versions[1:] {
		if err := p.mlflow.DeleteModelVersion(ctx, twin.Name, twin.Version); err != nil {
			return nil, err
		}
	}
	return versions[0], nil
}

// number is a version's number; the registry counts.
func number(v *mlflow.ModelVersion) int {
	n, err := strconv.Atoi(v.Version)
	if err != nil {
		return math.MaxInt
	}
	return n
}

// createVersion registers the model directory and returns the version that counts.
func (p *publication) createVersion(ctx context.Context, runID, source string) (*mlflow.ModelVersion, error) {
	description := fmt.Sprintf("Version %d of %s in %s, commit %s", p.number, p.Config.Publish.Model, p.Environment,
		first(p.Commit, "unknown"))
	for attempt := 1; ; attempt++ {
		_, createErr := p.mlflow.CreateModelVersion(ctx, p.registered(), source, runID, description, p.tags())
		if createErr != nil && (!mlflow.IsAmbiguous(createErr) || ctx.Err() != nil) {
			return nil, createErr
		}
		// Also after success: a twin may have registered the same content meanwhile.
		version, err := p.findVersion(ctx)
		if err != nil {
			return nil, err
		}
		if version != nil {
			p.show("version %s of %s (registered, not committed)", version.Version, version.Name)
			return version, nil
		}
		if createErr == nil {
			createErr = verdict.Problemf(CodeRegistryFailed, "the server accepted a version of %s and does not list it", p.registered())
		}
		if attempt == 3 {
			return nil, createErr
		}
	}
}
