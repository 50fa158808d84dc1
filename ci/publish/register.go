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

// registration brings content that has a number into MLflow.
type registration struct {
	*operation
	content *content
	number  int
	// runID is the MLflow run behind it, once there is one.
	runID string
	// refused is the problem of a version that the registry failed to make; nil without one.
	refused *verdict.Problem
}

// tags describe the content on the run and on the version.
func (r *registration) tags() []mlflow.Tag {
	modelPath := r.content.pathIn(r.series(), r.number, r.content.model())
	all := map[string]string{
		tagKey: r.content.key, tagSHA: r.Model.SHA256, tagCommit: r.Commit, tagTree: r.Tree, tagData: r.Model.Data,
		tagEnvironment: r.Environment, tagModule: r.ModuleVersion, tagNumber: strconv.Itoa(r.number),
		tagFolder: r.series().Folder(r.number), tagFile: filepath.Base(modelPath), tagURI: r.ledger.URI(r.number, modelPath),
		tagFormat: strings.TrimPrefix(filepath.Ext(r.Model.File), "."),
	}
	var tags []mlflow.Tag
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if all[key] != "" {
			tags = append(tags, mlflow.Tag{Key: key, Value: r.clean(all[key], mlflow.MaxTag)})
		}
	}
	return tags
}

// register makes sure that there is exactly one version of the registered model with
// this content, with a run behind it, and returns it.
func (r *registration) register(ctx context.Context, experiment string) (*mlflow.ModelVersion, error) {
	r.at = registering
	version, err := r.findVersion(ctx)
	if err != nil {
		return nil, err
	}
	if version != nil {
		// An earlier run got this far; the run behind it may still be open.
		r.runID = version.RunID
		return version, r.finishRun(ctx)
	}
	r.at = logging
	run, err := r.openRun(ctx, experiment)
	if err != nil {
		return nil, err
	}
	r.runID = run.ID
	r.show("MLflow run %s", run.ID)
	if err := r.logRun(ctx, run); err != nil {
		return nil, err
	}
	source := strings.TrimRight(run.ArtifactURI, "/") + "/" + modelDir
	if err := r.storeModel(ctx, run, source); err != nil {
		return nil, err
	}
	if err := r.finishRun(ctx); err != nil {
		return nil, err
	}
	r.at = registering
	if err := r.mlflow.EnsureRegisteredModel(ctx, r.registered(), nil); err != nil {
		return nil, err
	}
	return r.createVersion(ctx, run.ID, source)
}

// closeRun marks the run of a failed publication as failed, also when the failure is
// a cancellation. The next publisher of the content opens it again.
func (r *registration) closeRun(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return r.mlflow.UpdateRun(ctx, r.runID, "FAILED", r.Clock.Now())
}

func (r *registration) finishRun(ctx context.Context) error {
	return r.mlflow.UpdateRun(ctx, r.runID, "FINISHED", r.Clock.Now())
}

// openRun returns the run of this content, making it when there is none. Of several,
// which two publishers of the same content can make, the oldest counts for both.
func (r *registration) openRun(ctx context.Context, experiment string) (*mlflow.Run, error) {
	filter := fmt.Sprintf("tags.`%s` = '%s'", tagKey, r.content.key)
	for attempt := 1; ; attempt++ {
		runs, err := r.mlflow.SearchRuns(ctx, experiment, filter, 100)
		if err != nil {
			return nil, err
		}
		// Some servers ignore the filter; and the run of a number that was abandoned is not this one's.
		runs = slices.DeleteFunc(runs, func(run *mlflow.Run) bool {
			return run.Tags[tagKey] != r.content.key || run.Tags[tagNumber] != strconv.Itoa(r.number)
		})
		if len(runs) > 0 {
			slices.SortStableFunc(runs, func(a, b *mlflow.Run) int {
				return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.ID, b.ID))
			})
			return runs[0], r.mlflow.UpdateRun(ctx, runs[0].ID, "RUNNING", time.Time{})
		}
		run, err := r.mlflow.CreateRun(ctx, experiment, r.series().Folder(r.number), r.Clock.Now(), r.tags())
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
func (r *registration) logRun(ctx context.Context, run *mlflow.Run) error {
	var metrics []mlflow.Metric
	points := history(r.Model, run.Started)
	for _, name := range slices.Sorted(maps.Keys(points)) {
		for _, point := range points[name] {
			metrics = append(metrics, mlflow.Metric{Key: mlflow.Key(name), Timestamp: point.Timestamp, Step: point.Step,
				Value: mlflow.Number(point.Value)})
		}
	}
	var params []mlflow.Tag
	for _, name := range slices.Sorted(maps.Keys(r.Model.Params)) {
		params = append(params, mlflow.Tag{Key: mlflow.Key(name), Value: r.clean(r.Model.Params[name], mlflow.MaxParam)})
	}
	tags := r.tags()
	if r.Commit != "" {
		tags = append(tags, mlflow.Tag{Key: "mlflow.source.git.commit", Value: r.Commit})
	}
	for _, name := range slices.Sorted(maps.Keys(r.Model.Tags)) {
		key := mlflow.Key(name)
		// The training's own tags come along, but not those that MLflow keeps for
		// itself, nor one that would take the place of ours.
		if !strings.HasPrefix(key, "mlflow.") && !slices.ContainsFunc(tags, func(t mlflow.Tag) bool { return t.Key == key }) {
			tags = append(tags, mlflow.Tag{Key: key, Value: r.clean(r.Model.Tags[name], mlflow.MaxTag)})
		}
	}
	return r.mlflow.LogBatch(ctx, run.ID, metrics, params, tags)
}

// findVersion returns the registry's version of this content, nil when there is none.
// Two publishers of the same content can make two; the lower number counts, and the
// other, which nobody can have been told of, is removed, as is one that the registry failed to make.
func (r *registration) findVersion(ctx context.Context) (*mlflow.ModelVersion, error) {
	filter := fmt.Sprintf("name = '%s' and tags.`%s` = '%s'", r.registered(), tagKey, r.content.key)
	versions, err := r.mlflow.SearchModelVersions(ctx, filter)
	if mlflow.IsKind(err, mlflow.NotFound) {
		return nil, nil // the registered model does not exist yet
	}
	if err != nil || len(versions) == 0 {
		return nil, err
	}
	// Some servers ignore the tag in the filter; and the version of a number that was
	// abandoned is not this one's.
	versions = slices.DeleteFunc(versions, func(v *mlflow.ModelVersion) bool {
		return v.Tags[tagKey] != r.content.key || v.Tags[tagNumber] != strconv.Itoa(r.number)
	})
	slices.SortFunc(versions, func(a, b *mlflow.ModelVersion) int { return number(a) - number(b) })
	var counts *mlflow.ModelVersion
	for _, version := range versions {
		switch {
		case version.Status == mlflow.Failed:
			r.refused = verdict.Problemf(CodeRegistryFailed, "version %s of %s had status %s, and was deleted", version.Version, version.Name,
				version.Status)
		case counts == nil:
			counts = version
			continue
		}
		if err := r.mlflow.DeleteModelVersion(ctx, version.Name, version.Version); err != nil {
			return nil, err
		}
	}
	return counts, nil
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
func (r *registration) createVersion(ctx context.Context, runID, source string) (*mlflow.ModelVersion, error) {
	description := fmt.Sprintf("Version %d of %s in %s, commit %s", r.number, r.Config.Publish.Model, r.Environment,
		first(r.Commit, "unknown"))
	for attempt := 1; ; attempt++ {
		r.refused = nil
		_, createErr := r.mlflow.CreateModelVersion(ctx, r.registered(), source, runID, description, r.tags())
		if createErr != nil && (!mlflow.IsAmbiguous(createErr) || ctx.Err() != nil) {
			return nil, createErr
		}
		// Also after success: a twin may have registered the same content meanwhile.
		version, err := r.findVersion(ctx)
		if err != nil {
			return nil, err
		}
		if version != nil {
			r.show("version %s of %s (registered, not committed)", version.Version, version.Name)
			return version, nil
		}
		if r.refused != nil {
			return nil, r.refused
		}
		if createErr == nil {
			createErr = verdict.Problemf(CodeRegistryFailed, "the server accepted a version of %s and does not list it", r.registered())
		}
		if attempt == 3 {
			return nil, createErr
		}
	}
}
