package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

const (
	// keptResults limits the number of kept results, keptBytes the total size of their outputs. A single result may use a
	// quarter of that.
	keptResults = 20
	keptBytes   = 2 << 30
	// abandoned is the age from which an unfinished result belongs to no running process.
	abandoned = 24 * time.Hour
	// maxRecord limits what is read of a kept result.
	maxRecord = launch.MaxResultBytes + 4<<10
)

// record is a kept result without its outputs.
type record struct {
	// Result is what the launcher wrote.
	Result launch.Result `json:"result"`
	// Outputs is the digest of the outputs, Bytes their size.
	Outputs string `json:"outputs"`
	Bytes   int64  `json:"bytes"`
}

// results are the results of earlier steps, each in a directory named after its key.
type results struct {
	dir string
	// temp is the directory for copies of outputs.
	temp string
	// limit is the total size of all results in bytes.
	limit int64
}

func (r *results) kept(key string) string { return filepath.Join(r.dir, key) }

// readRecord returns a kept record, or nil if it is missing or damaged.
func readRecord(ctx context.Context, dir string) *record {
	data, err := filetree.Dir(dir).Read(ctx, "record.json", maxRecord)
	found := &record{}
	if err != nil || json.Unmarshal(data, found) != nil {
		return nil
	}
	return found
}

// recall returns the kept result of a step, or nil. A damaged result is ignored; the step runs again and replaces it.
func (r *results) recall(ctx context.Context, key string) (*runner.Result, error) {
	found := readRecord(ctx, r.kept(key))
	if found == nil {
		return nil, ctx.Err()
	}
	// Copied, because another process may clean the cache while the outputs are in use.
	copied, err := os.MkdirTemp(r.temp, "outputs-")
	if err != nil {
		return nil, fmt.Errorf("make output directory: %w", err)
	}
	if err := filetree.Dir(filepath.Join(r.kept(key), "outputs")).Export(ctx, copied); err != nil {
		return nil, ctx.Err()
	}
	outputs := filetree.Dir(copied)
	digest, err := outputs.Digest(ctx)
	if err != nil || digest != found.Outputs {
		return nil, ctx.Err()
	}
	// Determines only the order of removal.
	_ = os.Chtimes(r.kept(key), time.Now(), time.Now())
	return found.Result.Runner(outputs), nil
}

// remember keeps the result of a step atomically, unless it is too large.
func (r *results) remember(ctx context.Context, key string, result *runner.Result) (err error) {
	rec := record{Result: launch.Result{
		ExitCode: result.ExitCode, Seconds: result.Seconds, Started: result.Started,
		Stdout: result.Stdout, Stderr: result.Stderr, NetworkOpen: result.NetworkOpen, Made: result.Made,
		Altered: result.Altered,
	}}
	names, err := result.Outputs.List(ctx)
	for _, name := range names {
		var size int64
		if size, err = result.Outputs.Size(ctx, name); err != nil {
			return err
		}
		rec.Bytes += size
	}
	if err != nil || rec.Bytes > r.limit/4 {
		return err
	}
	if rec.Outputs, err = result.Outputs.Digest(ctx); err != nil {
		return err
	}
	data, err := json.Marshal(rec)
	if err != nil {
		return err
	}
	partial, err := os.MkdirTemp(r.dir, ".partial-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeAll(partial)) }()
	if err := os.WriteFile(filepath.Join(partial, "record.json"), data, 0o600); err != nil {
		return err
	}
	if err := result.Outputs.Export(ctx, filepath.Join(partial, "outputs")); err != nil {
		return err
	}
	// An existing result is damaged, or the same result of another process.
	if err := discardResult(r.kept(key)); err != nil {
		return err
	}
	if err := os.Rename(partial, r.kept(key)); err != nil {
		return err
	}
	return r.prune(ctx)
}

// prune removes the least recently used results, and what killed processes left behind.
func (r *results) prune(ctx context.Context) error {
	entries, err := os.ReadDir(r.dir)
	if err != nil {
		return fmt.Errorf("clean results: %w", err)
	}
	used := map[string]time.Time{}
	var results []string
	var errs []error
	for _, entry := range entries {
		path := filepath.Join(r.dir, entry.Name())
		info, err := entry.Info()
		switch {
		case err != nil: // another process has removed it
		case !strings.HasPrefix(entry.Name(), "."):
			results, used[path] = append(results, path), info.ModTime()
		case time.Since(info.ModTime()) > abandoned:
			errs = append(errs, removeAll(path))
		}
	}
	slices.SortFunc(results, func(a, b string) int { return used[b].Compare(used[a]) })
	total := int64(0)
	for i, path := range results {
		if rec := readRecord(ctx, path); rec != nil {
			total += rec.Bytes
		}
		if i >= keptResults || total > r.limit {
			errs = append(errs, discardResult(path))
		}
	}
	return errors.Join(errs...)
}

// discardResult removes a result atomically.
func discardResult(path string) error {
	away, err := os.MkdirTemp(filepath.Dir(path), ".discard-")
	if err != nil {
		return fmt.Errorf("remove result: %w", err)
	}
	err = os.Rename(path, filepath.Join(away, "result"))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, removeAll(away))
}
