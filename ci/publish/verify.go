package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// verifyRegistry takes the way of a user of the registry: the version by its number, its
// address, the files there; compares their hashes and loads them. A wrong or older model
// can never satisfy it. It returns what loading them found.
func (o *operation) verifyRegistry(ctx context.Context, registryVersion, key string, files []served) (checked string, err error) {
	o.at = verifying
	version, err := o.ready(ctx, registryVersion)
	if err != nil {
		return "", err
	}
	if version.Tags[tagKey] != key {
		return "", verdict.Problemf(CodeVerifyFailed, "version %s of %s belongs to other content", registryVersion, o.registered())
	}
	uri, err := o.mlflow.DownloadURI(ctx, o.registered(), registryVersion)
	if err != nil {
		return "", err
	}
	dir := ""
	if o.Check != nil {
		if dir, err = os.MkdirTemp(o.WorkDir, "openstack-rca-version-"); err != nil {
			return "", fmt.Errorf("make temporary directory: %w", err)
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	for _, f := range files {
		to := ""
		if dir != "" {
			to = filepath.Join(dir, f.name)
		}
		sum, size, err := o.fetch(ctx, strings.TrimRight(uri, "/")+"/"+f.path, to, f.bytes)
		if err != nil {
			return "", err
		}
		if sum != f.sha256 || size != f.bytes {
			return "", verdict.Problemf(CodeVerifyFailed, "version %s of %s hands out a %s with sha256 %s and %d bytes, want %s and %d",
				registryVersion, o.registered(), f.path, sum, size, f.sha256, f.bytes)
		}
	}
	if o.Check == nil {
		return "", nil
	}
	loaded := o.Check(ctx, o.registered()+"/"+registryVersion, dir)
	if loaded.Problem != nil {
		return "", loaded.Problem
	}
	if loaded.Warning != nil {
		o.stage.Warn(loaded.Warning.Code, "%s", loaded.Warning.Cause)
	}
	return loaded.Found, nil
}

// pendingFor is how long a registry may take to make a version that it accepted.
const pendingFor = 2 * time.Minute

// ready is a version that the registry has made. Some accept one and copy its files afterwards.
func (o *operation) ready(ctx context.Context, number string) (*mlflow.ModelVersion, error) {
	for began := o.Clock.Now(); ; {
		version, err := o.mlflow.GetModelVersion(ctx, o.registered(), number)
		if mlflow.IsKind(err, mlflow.NotFound) {
			gone := verdict.Problemf(CodeVerifyFailed, "the registry does not have the version any more: %v", err)
			gone.Next = "See who deleted it: MLflow cannot bring it back. Publish a new version, of a source that differs, or point the alias " +
				"at another one (promote --number)"
			return nil, gone
		}
		if err != nil || version.Status == "" || version.Status == mlflow.Ready {
			return version, err
		}
		if version.Status != mlflow.Pending || o.Clock.Now().Sub(began) >= pendingFor {
			return nil, verdict.Problemf(CodeRegistryFailed, "version %s of %s has status %s", number, o.registered(), clip(version.Status, 60))
		}
		if err := o.Clock.Sleep(ctx, 2*time.Second); err != nil {
			return nil, err
		}
	}
}

// fetch reads an artifact of at most limit bytes, returns its hash and size, and keeps it
// at a path unless that is empty.
func (c *connection) fetch(ctx context.Context, uri, to string, limit int64) (sum string, size int64, err error) {
	h := sha256.New()
	into := io.Writer(h)
	// again forgets what an attempt that broke off has written.
	again := func() error { h.Reset(); return nil } //nolint:unparam // the other one can fail
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
	if path, ok := c.mlflow.Proxied(uri); ok {
		var failed error
		size, err = c.mlflow.DownloadArtifact(ctx, path, limit, func() io.Writer {
			if failed = again(); failed != nil {
				return io.Discard
			}
			return into
		})
		err = errors.Join(err, failed)
	} else if strings.HasPrefix(uri, "s3://") {
		size, err = c.ledger.Copy(ctx, uri, limit, into, again)
	} else {
		err = unsupported(uri)
	}
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), size, nil
}

// readBack compares the stored files of a number with their manifest.
func (c *connection) readBack(ctx context.Context, n int, files []ledger.File) error {
	for _, f := range files {
		uri := c.ledger.URI(n, f.Path)
		sum, size, err := c.ledger.Hash(ctx, uri, f.Bytes)
		if ledger.IsKind(err, ledger.NotFound) {
			return verdict.Problemf(CodeCorrupt, "%s is gone", uri)
		}
		if ledger.IsKind(err, ledger.TooLong) {
			return verdict.Problemf(CodeCorrupt, "%s reads back with more than the %d bytes that were sent", uri, f.Bytes)
		}
		if err != nil {
			return err
		}
		if sum != f.SHA256 || size != f.Bytes {
			return verdict.Problemf(CodeCorrupt, "%s reads back with sha256 %s and %d bytes, want %s and %d",
				uri, sum, size, f.SHA256, f.Bytes)
		}
	}
	return nil
}
