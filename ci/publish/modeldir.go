package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// modelDir is the path of the model directory in the run's artifacts.
const modelDir = "model"

// storeModel stores the model directory among the run's artifacts.
func (r *registration) storeModel(ctx context.Context, run *mlflow.Run, source string) error {
	format := r.content.format
	saved := modelfile.Saved{Versions: r.content.versions, Facts: r.Model.Facts, Allowed: r.Model.Beyond}
	description := mlflow.ModelDir{
		ArtifactPath: modelDir, RunID: run.ID, UUID: r.content.key[:32], Created: time.UnixMilli(run.Started),
		Flavor:   format.Flavor(modelfile.Served(r.Model.File, r.Model.File), saved),
		Versions: r.content.versions, Python: first(r.content.versions["python"], r.Config.Python),
		Requirements: format.Require(r.content.versions), Bytes: r.content.bytes(),
	}
	files, err := description.Files()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := r.storeBytes(ctx, source+"/"+name, files[name]); err != nil {
			return err
		}
	}
	for _, f := range r.content.files {
		name := modelfile.Served(f.name, r.Model.File)
		if err := r.storeFile(ctx, source+"/"+name, f.Local); err != nil {
			return err
		}
	}
	return nil
}

// storeBytes and storeFile store an artifact where the run's artifacts are: through the server if it proxies them, otherwise
// in the same S3 store.
func (c *connection) storeBytes(ctx context.Context, uri string, content []byte) error {
	if path, ok := c.mlflow.Proxied(uri); ok {
		return c.mlflow.UploadArtifact(ctx, path, func() (io.ReadCloser, int64, error) {
			return io.NopCloser(bytes.NewReader(content)), int64(len(content)), nil
		})
	}
	f, err := os.CreateTemp("", "artifact-*")
	if err != nil {
		return fmt.Errorf("make temporary file: %w", err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	_, err = f.Write(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("write temporary file: %w", err)
	}
	sum := sha256.Sum256(content)
	return c.storeFile(ctx, uri, ledger.Local{Path: f.Name(), SHA256: hex.EncodeToString(sum[:]), Bytes: int64(len(content))})
}

func (c *connection) storeFile(ctx context.Context, uri string, file ledger.Local) error {
	if path, ok := c.mlflow.Proxied(uri); ok {
		return c.mlflow.UploadArtifact(ctx, path, func() (io.ReadCloser, int64, error) {
			f, err := os.Open(file.Path)
			return f, file.Bytes, err
		})
	}
	if !strings.HasPrefix(uri, "s3://") {
		return unsupported(uri)
	}
	_, err := c.ledger.Put(ctx, uri, file)
	return err
}

func unsupported(uri string) error {
	scheme, _, _ := strings.Cut(uri, ":")
	return verdict.Problemf(CodeUnsupported, "the server keeps artifacts at %s: addresses, which cannot be reached from here",
		mlflow.Clip(scheme, 40))
}
