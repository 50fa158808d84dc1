package publish

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
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

// modelDir is the model directory's path in the run's artifacts.
const modelDir = "model"

func newNonce() (string, error) {
	b := make([]byte, 16)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make nonce: %w", err)
	}
	return hex.EncodeToString(b), nil
}

// findExperiment is the preflight, too: a call of the API proper, made before
// anything is claimed. It returns "" when the experiment does not exist yet.
func (p *publication) findExperiment(ctx context.Context) (string, error) {
	name := p.experiment()
	experiment, err := p.mlflow.ExperimentByName(ctx, name)
	switch {
	case mlflow.IsKind(err, mlflow.NotFound):
		return "", nil
	case err != nil:
		return "", err
	case experiment.Deleted():
		return "", verdict.Problemf(CodeExperimentDeleted, "experiment %s (id %s) is deleted", name, experiment.ID)
	}
	return experiment.ID, nil
}

// defaultExperiment is the one that every MLflow server has.
const defaultExperiment = "Default"

// place is the experiment to log to, which is made when there is none. Where its artifacts
// cannot be stored from here, it says so before a number is claimed: by the experiment's own
// location, or by that of the server's default one, so that none is made in vain.
func (p *publication) place(ctx context.Context, experiment string) (string, error) {
	name := p.experiment()
	if experiment == "" {
		name = defaultExperiment
	}
	at, err := p.mlflow.ExperimentByName(ctx, name)
	switch {
	case err == nil:
		if err := p.reachable(name, at.Location); err != nil {
			return "", err
		}
	case experiment != "" || !mlflow.IsKind(err, mlflow.NotFound) && !mlflow.IsKind(err, mlflow.Forbidden):
		return "", err
	}
	if experiment != "" {
		return experiment, nil
	}
	if experiment, err = p.createExperiment(ctx); err != nil {
		return "", err
	}
	if at, err = p.mlflow.ExperimentByName(ctx, p.experiment()); err != nil {
		return "", err
	}
	return experiment, p.reachable(p.experiment(), at.Location)
}

// reachable says whether artifacts can be stored at a location: through the tracking server
// itself, or in S3. The credentials go to no other server.
func (p *publication) reachable(experiment, location string) error {
	if _, ok := p.mlflow.Proxied(location); ok || location == "" || strings.HasPrefix(location, "s3://") || location == "mlflow-artifacts:/" {
		return nil
	}
	where := "file: (a disk)"
	if scheme, rest, ok := strings.Cut(location, ":"); ok && scheme != "file" {
		where = scheme + ":"
		if host, _, found := strings.Cut(strings.TrimPrefix(rest, "//"), "/"); found && strings.HasPrefix(rest, "//") && host != "" {
			where += "//" + host
		}
	}
	return verdict.Problemf(CodeArtifactsElsewhere, "experiment %s keeps its artifacts at %s, which is neither %s itself nor S3",
		experiment, mlflow.Clip(p.redact(where), 120), p.mlflow.Host())
}

// createExperiment makes the experiment; another publisher may have been faster.
func (p *publication) createExperiment(ctx context.Context) (string, error) {
	id, err := p.mlflow.CreateExperiment(ctx, p.experiment(), []mlflow.Tag{{Key: tagEnvironment, Value: p.Environment}})
	if mlflow.IsKind(err, mlflow.Exists) {
		return p.findExperiment(ctx)
	}
	return id, err
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
			metrics = append(metrics, mlflow.Metric{Key: mlflow.Key(name), Timestamp: point.Timestamp, Step: point.Step, Value: mlflow.Number(point.Value)})
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

// storeModel puts the model directory among the run's artifacts.
func (p *publication) storeModel(ctx context.Context, run *mlflow.Run, source string) error {
	kerasVersion := p.content.versions["keras"]
	if filepath.Ext(p.Model.File) == ".keras" {
		recorded, err := mlflow.KerasVersion(p.content.model().Path)
		if err != nil {
			return verdict.Problemf(CodeModelChanged, "%v", err)
		}
		kerasVersion = recorded
	}
	description := mlflow.KerasModel{
		ArtifactPath: modelDir, RunID: run.ID, UUID: p.content.key[:32], Created: time.UnixMilli(run.Started),
		KerasVersion: kerasVersion, Backend: backend(p.content.versions), Python: first(p.content.versions["python"], p.Config.Python),
		Requirements: requirements(kerasVersion, p.content.versions), Bytes: p.content.bytes(),
	}
	files, err := description.Files()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := p.storeBytes(ctx, source+"/"+name, files[name]); err != nil {
			return err
		}
	}
	for i, f := range p.content.files {
		name := servedPath(f.name, i == 0)
		if err := p.storeFile(ctx, source+"/"+name, f.Local); err != nil {
			return err
		}
	}
	return nil
}

// backend is the Keras backend that the model was made with: TensorFlow, unless the
// application says that it had none.
func backend(versions map[string]string) string {
	for _, name := range []string{"tensorflow", "torch", "jax"} {
		if versions[name] != "" {
			return name
		}
	}
	return "tensorflow"
}

// requirements is what loads the model, pinned as far as known.
func requirements(keras string, versions map[string]string) []string {
	var lines []string
	if keras != "" {
		lines = append(lines, "keras=="+keras)
	}
	if name := backend(versions); versions[name] != "" {
		lines = append(lines, name+"=="+versions[name])
	} else {
		lines = append(lines, name)
	}
	if v := versions["numpy"]; v != "" {
		lines = append(lines, "numpy=="+v)
	}
	return lines
}

// storeBytes and storeFile put an artifact where the run's artifacts are: through the
// server when it proxies them, else into the same S3 store.
func (p *publication) storeBytes(ctx context.Context, uri string, content []byte) error {
	if path, ok := p.mlflow.Proxied(uri); ok {
		return p.mlflow.UploadArtifact(ctx, path, func() (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
		})
	}
	f, err := os.CreateTemp("", "artifact-*")
	if err != nil {
		return fmt.Errorf("make temporary file: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	sum := sha256.Sum256(content)
	return p.storeFile(ctx, uri, ledger.Local{Path: f.Name(), SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(content))})
}

func (p *publication) storeFile(ctx context.Context, uri string, file ledger.Local) error {
	if path, ok := p.mlflow.Proxied(uri); ok {
		return p.mlflow.UploadArtifact(ctx, path, func() (io.ReadCloser, int64, error) {
			f, err := os.Open(file.Path)
			return f, file.Bytes, err
		})
	}
	if !strings.HasPrefix(uri, "s3://") {
		return unsupported(uri)
	}
	_, err := p.ledger.PutURI(ctx, uri, file)
	return err
}

func unsupported(uri string) error {
	scheme, _, _ := strings.Cut(uri, ":")
	return verdict.Problemf(CodeUnsupported, "the server keeps artifacts at %s: addresses, which cannot be reached from here", mlflow.Clip(scheme, 40))
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
	description := fmt.Sprintf("Version %d of %s in %s, commit %s", p.number, p.Config.Publish.Model, p.Environment, first(p.Commit, "unknown"))
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

// verifyRegistry takes the way of a user of the registry: the version by its number, its
// address, the files there; compares their hashes and loads them. A wrong or older model
// can never satisfy it.
func (p *publication) verifyRegistry(ctx context.Context, registryVersion, key string, files []served) error {
	p.at = verifying
	version, err := p.mlflow.GetModelVersion(ctx, p.registered(), registryVersion)
	if err != nil {
		return err
	}
	if version.Tags[tagKey] != key {
		return verdict.Problemf(CodeVerifyFailed, "version %s of %s belongs to other content", registryVersion, p.registered())
	}
	if version.Status != "" && version.Status != "READY" {
		return verdict.Problemf(CodeVerifyFailed, "version %s of %s has status %s", registryVersion, p.registered(), version.Status)
	}
	uri, err := p.mlflow.DownloadURI(ctx, p.registered(), registryVersion)
	if err != nil {
		return err
	}
	dir := ""
	if p.Check != nil {
		if dir, err = os.MkdirTemp(p.WorkDir, "openstack-rca-version-"); err != nil {
			return fmt.Errorf("make temporary directory: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	for _, f := range files {
		to := ""
		if dir != "" {
			to = filepath.Join(dir, f.name)
		}
		sum, size, err := p.fetch(ctx, strings.TrimRight(uri, "/")+"/"+f.path, to, f.bytes)
		if err != nil {
			return err
		}
		if sum != f.sha256 || size != f.bytes {
			return verdict.Problemf(CodeVerifyFailed, "version %s of %s hands out a %s with sha256 %s and %d bytes, want %s and %d",
				registryVersion, p.registered(), f.path, sum, size, f.sha256, f.bytes)
		}
	}
	if p.Check == nil {
		return nil
	}
	checked := p.Check(ctx, p.registered()+"/"+registryVersion, dir)
	if checked.Problem != nil {
		return checked.Problem
	}
	if checked.Warning != nil {
		p.stage.Warn(checked.Warning.Code, "%s", checked.Warning.Cause)
	}
	p.checked = checked.Found
	return nil
}

// fetch reads an artifact of at most limit bytes, returns its hash and size, and keeps it
// at a path unless that is empty.
func (p *publication) fetch(ctx context.Context, uri, to string, limit int64) (sum string, size int64, err error) {
	h := sha256.New()
	into := io.Writer(h)
	// again forgets what an attempt that broke off has written.
	again := func() error { h.Reset(); return nil }
	if to != "" {
		f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return "", 0, fmt.Errorf("keep artifact: %w", err)
		}
		defer func() {
			if closeErr := f.Close(); err == nil && closeErr != nil {
				err = fmt.Errorf("keep artifact: %w", closeErr)
			}
		}()
		into = io.MultiWriter(h, f)
		again = func() error {
			h.Reset()
			if err := f.Truncate(0); err != nil {
				return err
			}
			_, err := f.Seek(0, io.SeekStart)
			return err
		}
	}
	if path, ok := p.mlflow.Proxied(uri); ok {
		var failed error
		size, err = p.mlflow.DownloadArtifact(ctx, path, limit, func() io.Writer {
			if failed = again(); failed != nil {
				return io.Discard
			}
			return into
		})
		err = errors.Join(err, failed)
	} else if strings.HasPrefix(uri, "s3://") {
		size, err = p.ledger.CopyURI(ctx, uri, limit, into, again)
	} else {
		err = unsupported(uri)
	}
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// finite leaves out what JSON has no numbers for.
func finite(metrics map[string]float64) map[string]float64 {
	out := map[string]float64{}
	for name, value := range metrics {
		if !math.IsNaN(value) && !math.IsInf(value, 0) {
			out[name] = value
		}
	}
	return out
}
