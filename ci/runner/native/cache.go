package native

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/launch"
)

const (
	// keptResults is how many results of steps stay in the cache.
	keptResults = 20
	// abandoned is the age at which a half-written result belongs to no living process.
	abandoned = 24 * time.Hour
	// maxRecord bounds what is read of a kept result.
	maxRecord = launch.MaxResultBytes + 4<<10
)

// record is a kept result without its outputs.
type record struct {
	// Result is what the launcher wrote.
	Result launch.Result `json:"result"`
	// Outputs is the digest of the outputs.
	Outputs string `json:"outputs"`
}

func (r *Runner) kept(key string) string { return filepath.Join(r.opts.CacheDir, "steps", key) }

// recall returns the kept result of a step, or nil. A damaged one is no result: the
// step runs again and replaces it.
func (r *Runner) recall(ctx context.Context, key string) (*runner.Result, error) {
	data, err := filetree.Dir(r.kept(key)).Read(ctx, "record.json", maxRecord)
	if err != nil {
		return nil, ctx.Err()
	}
	var rec record
	if err := json.Unmarshal(data, &rec); err != nil {
		return nil, nil
	}
	// A copy: another process may clean the cache while the outputs are in use.
	copied, err := os.MkdirTemp(r.temp, "outputs-")
	if err != nil {
		return nil, fmt.Errorf("make output directory: %w", err)
	}
	if err := filetree.Dir(filepath.Join(r.kept(key), "outputs")).Export(ctx, copied); err != nil {
		return nil, ctx.Err()
	}
	outputs := filetree.Dir(copied)
	digest, err := outputs.Digest(ctx)
	if err != nil || digest != rec.Outputs {
		return nil, ctx.Err()
	}
	touch(r.kept(key))
	return rec.Result.Runner(outputs), nil
}

// remember keeps the result of a step. It appears at once or not at all.
func (r *Runner) remember(ctx context.Context, key string, result *runner.Result) (err error) {
	steps := filepath.Join(r.opts.CacheDir, "steps")
	partial, err := os.MkdirTemp(steps, ".partial-")
	if err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	defer func() { err = errors.Join(err, removeAll(partial)) }()
	digest, err := result.Outputs.Digest(ctx)
	if err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	data, err := json.Marshal(record{Outputs: digest, Result: launch.Result{
		ExitCode: result.ExitCode, Seconds: result.Seconds, Started: result.Started, Stdout: result.Stdout, Stderr: result.Stderr, NetworkOpen: result.NetworkOpen,
	}})
	if err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	if err := os.WriteFile(filepath.Join(partial, "record.json"), data, 0o600); err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	if err := result.Outputs.Export(ctx, filepath.Join(partial, "outputs")); err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	// What is there is damaged, or the same result of another process: both may go.
	if err := discard(r.kept(key)); err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	if err := os.Rename(partial, r.kept(key)); err != nil {
		return fmt.Errorf("keep result: %w", err)
	}
	return r.pruneResults(steps)
}

func (r *Runner) pruneResults(steps string) error {
	entries, err := os.ReadDir(steps)
	if err != nil {
		return fmt.Errorf("clean results: %w", err)
	}
	var results []string
	var errs []error
	for _, entry := range entries {
		path := filepath.Join(steps, entry.Name())
		if !strings.HasPrefix(entry.Name(), ".") {
			results = append(results, path)
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > abandoned {
			errs = append(errs, removeAll(path))
		}
	}
	for _, path := range oldestFirst(results, keptResults) {
		errs = append(errs, discard(path))
	}
	return errors.Join(errs...)
}

// discard removes a result so that nobody sees half of it.
func discard(path string) error {
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
