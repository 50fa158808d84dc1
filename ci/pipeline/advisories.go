package pipeline

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
)

// Advisories downloads today's advisory databases (Python packages and Grype) into a local directory, for machines without
// network access. It returns one line per database with its SHA-256. If one download fails, the other is kept.
func Advisories(ctx context.Context, backend Backend, dir string) (summary string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // the databases are public
		return "", fmt.Errorf("write advisories: %w", err)
	}
	var lines []string
	var failed []error
	for _, source := range []struct {
		name  string
		fetch func(context.Context) (string, error)
	}{{"Python packages, from osv.dev", backend.Advisories}, {"all packages, of Grype", backend.ImageAdvisories}} {
		if source.fetch == nil {
			continue
		}
		file, err := source.fetch(ctx)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", source.name, err))
			continue
		}
		sum, size, err := copyFile(file, filepath.Join(dir, filepath.Base(file)))
		if err != nil {
			failed = append(failed, fmt.Errorf("write advisories: %w", err))
			continue
		}
		lines = append(lines, fmt.Sprintf("%s (%s): %d bytes, sha256:%s\n", filepath.Base(file), source.name, size, sum))
	}
	return strings.Join(lines, ""), errors.Join(failed...)
}

// copyFile copies a file and returns the SHA-256 of what it wrote.
func copyFile(from, to string) (sum string, size int64, err error) {
	in, err := os.Open(from) //nolint:gosec // this process downloaded it
	if err != nil {
		return "", 0, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	out, err := os.Create(to) //nolint:gosec // the caller chose the directory
	if err != nil {
		return "", 0, err
	}
	hash := sha256.New()
	size, err = io.Copy(io.MultiWriter(out, hash), in)
	return hex.EncodeToString(hash.Sum(nil)), size, errors.Join(err, out.Close())
}
