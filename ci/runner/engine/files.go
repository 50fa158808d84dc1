package engine

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
)

// files is a runner.Files that lives in the engine.
type files struct {
	runner *Runner
	dir    *dagger.Directory
	// memory is the same tree if this process has its contents. The engine filters and hashes by
	// content only directories of the host; this process does it for those in memory.
	memory runner.Files
	// err is an error in the description of the tree; every use returns it.
	err error

	mu sync.Mutex
	// names are the result of the first List; the tree does not change.
	names []string
}

// Source makes a directory of the engine a tree for steps.
func (r *Runner) Source(dir *dagger.Directory) runner.Files { return &files{runner: r, dir: dir} }

// Directory returns the engine's directory behind a tree of this runner.
func (r *Runner) Directory(tree runner.Files) (*dagger.Directory, error) {
	f, ok := tree.(*files)
	if !ok {
		return nil, fmt.Errorf("use files: %T does not belong to the engine runner", tree)
	}
	return f.dir, f.err
}

// NewFiles implements runner.Runner. Contents must be UTF-8: they travel in a query.
func (r *Runner) NewFiles(contents map[string][]byte) runner.Files {
	f := &files{runner: r, dir: r.client.Directory(), memory: filetree.New(contents)}
	// The order is part of the query, and so of the cache's key.
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if !utf8.Valid(contents[name]) {
			f.err = fmt.Errorf("make file %s: its content is not UTF-8", name)
			return f
		}
		f.dir = f.dir.WithNewFile(name, string(contents[name]))
	}
	return f
}

// Filter implements runner.Files. It uses the engine's filter, whose result is
// content-hashed: what it leaves out cannot invalidate a step.
func (f *files) Filter(include, exclude []string) runner.Files {
	if f.memory != nil && f.err == nil {
		return f.runner.copyOf(f.memory.Filter(include, exclude))
	}
	include, exclude = expand(include), expand(exclude)
	return &files{runner: f.runner, err: f.err, dir: f.dir.Filter(dagger.DirectoryFilterOpts{Include: include, Exclude: exclude})}
}

// Sub implements runner.Files.
func (f *files) Sub(name string) runner.Files {
	if path.Clean(name) == "." {
		return f
	}
	if f.memory != nil && f.err == nil {
		return f.runner.copyOf(f.memory.Sub(name))
	}
	return &files{runner: f.runner, err: f.err, dir: f.dir.Directory(name)}
}

// copyOf takes a tree in memory to the engine.
func (r *Runner) copyOf(memory runner.Files) runner.Files {
	ctx := context.Background()
	names, err := memory.List(ctx)
	contents := map[string][]byte{}
	for _, name := range names {
		if err == nil {
			contents[name], err = memory.Read(ctx, name, math.MaxInt64)
		}
	}
	if err != nil {
		return &files{runner: r, dir: r.client.Directory(), err: err}
	}
	return r.NewFiles(contents)
}

// With implements runner.Files.
func (f *files) With(name string, other runner.Files) runner.Files {
	dir, err := f.runner.Directory(other)
	if err == nil {
		err = f.err
	}
	if err != nil {
		return &files{runner: f.runner, dir: f.dir, err: err}
	}
	return &files{runner: f.runner, dir: f.dir.WithDirectory(name, dir)}
}

// List implements runner.Files.
func (f *files) List(ctx context.Context) ([]string, error) {
	if f.err != nil {
		return nil, f.err
	}
	f.mu.Lock()
	known := f.names
	f.mu.Unlock()
	if known != nil {
		return slices.Clone(known), nil
	}
	all, err := f.dir.Glob(ctx, "**/*")
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	names := slices.DeleteFunc(all, func(name string) bool { return strings.HasSuffix(name, "/") })
	slices.Sort(names)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = names
	return slices.Clone(names), nil
}

// missing reports whether the list shows that a file does not exist. The engine would show a
// failed lookup as an error in its progress view. Files behind a link to a directory are in no
// list.
func (f *files) missing(name string) bool {
	name = path.Clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.names == nil || strings.Contains(name, "/") {
		return false
	}
	_, found := slices.BinarySearch(f.names, name)
	return !found
}

// inline is the size up to which a file is read in the answer to a query. An export takes
// several times as long, whatever the size.
const inline = 1 << 20

// Size implements runner.Files.
func (f *files) Size(ctx context.Context, name string) (int64, error) {
	if f.err != nil {
		return 0, f.err
	}
	if f.missing(name) {
		return 0, &fs.PathError{Op: "measure", Path: name, Err: fs.ErrNotExist}
	}
	size, err := f.dir.File(name).Size(ctx)
	if err != nil {
		// Asked only after a failure: most requested files exist.
		if exists, lookup := f.dir.Exists(ctx, name); lookup == nil && !exists {
			return 0, &fs.PathError{Op: "measure", Path: name, Err: fs.ErrNotExist}
		}
		return 0, fmt.Errorf("measure %s: %w", name, err)
	}
	return int64(size), nil
}

// Read implements runner.Files.
func (f *files) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	size, err := f.Size(ctx, name)
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, fmt.Errorf("read %s: %d bytes, at most %d: %w", name, size, limit, runner.ErrTooLarge)
	}
	if size <= inline {
		content, err := f.dir.File(name).Contents(ctx)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", name, err)
		}
		// In JSON, bytes that are not UTF-8 become this character; then the file is exported.
		if !strings.ContainsRune(content, utf8.RuneError) {
			return []byte(content), nil
		}
	}
	return f.exported(ctx, name)
}

// exported reads a file through this process's file system.
func (f *files) exported(ctx context.Context, name string) ([]byte, error) {
	temp, err := f.runner.temp()
	if err != nil {
		return nil, err
	}
	local := filepath.Join(temp, "file")
	if _, err := f.dir.File(name).Export(ctx, local); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	content, err := os.ReadFile(local)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content, nil
}

// Export implements runner.Files.
func (f *files) Export(ctx context.Context, dir string) error {
	if f.err != nil {
		return f.err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	if _, err := f.dir.Export(ctx, dir); err != nil {
		return fmt.Errorf("export files to %s: %w", dir, err)
	}
	return nil
}

// Digest implements runner.Files.
func (f *files) Digest(ctx context.Context) (string, error) {
	if f.err != nil {
		return "", f.err
	}
	digest, err := f.dir.Digest(ctx)
	if err != nil {
		return "", fmt.Errorf("digest files: %w", err)
	}
	return digest, nil
}
