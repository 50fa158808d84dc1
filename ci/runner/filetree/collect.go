package filetree

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// ErrTooMuch is the error of outputs beyond the limits of Collect.
var ErrTooMuch = errors.New("more than is taken along")

// Limits bound what Collect takes.
type Limits struct {
	// Files is the number of files and directories, Bytes the sum of the files' sizes. Holes
	// count, because a reader of the file reads them.
	Files int
	Bytes int64
}

// Collect moves the files of a directory that are at or below one of the given relative paths
// to another directory on the same file system. It checks all of them before it moves the
// first. dir must not be used afterwards.
//
// The error is a runner.FileError for an entry that is not a file, and ErrTooMuch, with the
// name of the largest file, beyond the limits. In both cases nothing was moved.
func Collect(ctx context.Context, dir string, names []string, to string, limits Limits) (*Tree, error) {
	w, err := newWalker(ctx, dir)
	if err != nil {
		return nil, &runner.FileError{Path: ".", Err: err}
	}
	w.most = limits.Files
	if err := w.walk(names); err != nil {
		return nil, err
	}
	files, err := sound(w.files)
	if err != nil {
		return nil, err
	}
	var total, largest int64
	var which string
	for _, name := range files {
		size := w.files[name].length
		total += size
		if size > largest {
			largest, which = size, name
		}
	}
	if total > limits.Bytes {
		return nil, fmt.Errorf("%d bytes, at most %d; the largest file is %s with %d: %w", total, limits.Bytes, which, largest, ErrTooMuch)
	}
	return Dir(to), w.take(files, to)
}

// take moves files. Targets of links are copied first, because they may be among the files.
func (w *walker) take(names []string, to string) error {
	var direct []string
	linked := map[string]*file{}
	for _, name := range names {
		f := w.files[name]
		// A file with a second name could still be written through it.
		if f.host == filepath.Join(w.real, filepath.FromSlash(name)) && !f.shared {
			direct = append(direct, name)
		} else {
			linked[name] = f
		}
	}
	made := map[string]bool{}
	for _, name := range direct {
		parent := filepath.Dir(filepath.Join(to, filepath.FromSlash(name)))
		if made[parent] {
			continue
		}
		if err := os.MkdirAll(parent, 0o755); err != nil {
			return err
		}
		made[parent] = true
	}
	if err := ready(linked).Export(w.ctx, to); err != nil {
		return err
	}
	rest := map[string]*file{}
	for _, name := range direct {
		f, target := w.files[name], filepath.Join(to, filepath.FromSlash(name))
		// Its directory may be read-only.
		if err := os.Rename(f.host, target); err != nil {
			rest[name] = f
		} else if err := os.Chmod(target, f.mode()); err != nil {
			return err
		}
	}
	return ready(rest).Export(w.ctx, to)
}

// sound returns the sorted names of entries, or an error that lists those that cannot be
// files of a tree.
func sound(files map[string]*file) ([]string, error) {
	names := slices.Sorted(maps.Keys(files))
	var faults []error
	for _, name := range names {
		if f := files[name]; f.fault != nil && !f.spared {
			faults = append(faults, f.fault)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { return files[name].fault != nil })
	const shown = 10
	if len(faults) > shown {
		more := len(faults) - shown
		faults = append(faults[:shown], fmt.Errorf("and %d more", more))
	}
	return names, errors.Join(faults...)
}
