// Package filetree is runner.Files for files that this process can read itself: a
// directory of the host, contents in memory, or any overlay of both. The native and
// the fake runner share it, so that patterns, overlays and digests mean the same in
// unit tests as on a developer's machine.
//
// A tree holds regular files. A link to something inside the directory it was read
// from stands for a copy of what it points to; a link that leads out of it, points
// nowhere, or is not a file at all (a socket, a device) makes an error as soon as a
// tree that still contains it is used. Filter it out to do without, or take what is
// Readable. Empty directories are not kept.
package filetree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// Tree is a runner.Files. It is read when it is first used and never again: what
// changes on disk afterwards is either not seen or an error, never a silent mixture.
type Tree struct {
	load func(ctx context.Context) (map[string]*file, error)

	mu     sync.Mutex
	loaded map[string]*file
}

// New returns a tree of the given contents, keyed by slash-separated relative path.
// Paths that are absolute, empty or contain ".." make every use of the tree fail.
func New(contents map[string][]byte) *Tree {
	files := make(map[string]*file, len(contents))
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(contents)) {
		if !fs.ValidPath(name) || name == "." {
			wrong = append(wrong, fmt.Errorf("make file %q: the path is not relative and clean", name))
			continue
		}
		files[name] = &file{data: bytes.Clone(contents[name]), memory: true}
	}
	if err := errors.Join(append(wrong, clash(files))...); err != nil {
		return failed(err)
	}
	return ready(files)
}

// Dir returns the files below a directory of the host, read when they are needed.
func Dir(dir string) *Tree {
	return &Tree{load: func(ctx context.Context) (map[string]*file, error) { return walk(ctx, dir, []string{"."}) }}
}

// Paths returns those files of a directory that are at or below one of the given
// relative paths. A path that does not exist contributes nothing.
func Paths(dir string, names []string) *Tree {
	names = slices.Clone(names)
	return &Tree{load: func(ctx context.Context) (map[string]*file, error) { return walk(ctx, dir, names) }}
}

// Readable returns the tree without the entries that it cannot hold: List, Export and Digest leave
// them out, and only who reads one of them hears why it cannot. Which of them matter must be asked
// of the tree itself.
func (t *Tree) Readable() *Tree {
	return &Tree{load: func(ctx context.Context) (map[string]*file, error) {
		files, err := t.entries(ctx)
		if err != nil {
			return nil, err
		}
		files = maps.Clone(files)
		for name, f := range files {
			if f.fault != nil {
				files[name] = &file{fault: f.fault, spared: true}
			}
		}
		return files, nil
	}}
}

func ready(files map[string]*file) *Tree {
	return &Tree{load: func(context.Context) (map[string]*file, error) { return files, nil }}
}

func failed(err error) *Tree {
	return &Tree{load: func(context.Context) (map[string]*file, error) { return nil, err }}
}

// entries returns all entries, the faulty ones included.
func (t *Tree) entries(ctx context.Context) (map[string]*file, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.loaded != nil {
		return t.loaded, nil
	}
	files, err := t.load(ctx)
	if err != nil {
		return nil, err
	}
	t.loaded = files
	return files, nil
}

// sound returns all entries and their sorted names, or an error that lists every
// entry that cannot be a file of a tree.
func (t *Tree) sound(ctx context.Context) ([]string, map[string]*file, error) {
	files, err := t.entries(ctx)
	if err != nil {
		return nil, nil, err
	}
	names, err := sound(files)
	if err != nil {
		return nil, nil, err
	}
	return names, files, nil
}

// Filter implements runner.Files. An invalid pattern makes every use of the result fail.
func (t *Tree) Filter(include, exclude []string) runner.Files {
	in, err := compile(include)
	if err != nil {
		return failed(err)
	}
	out, err := compile(exclude)
	if err != nil {
		return failed(err)
	}
	return &Tree{load: func(ctx context.Context) (map[string]*file, error) {
		files, err := t.entries(ctx)
		if err != nil {
			return nil, err
		}
		kept := map[string]*file{}
		for name, f := range files {
			wanted := len(in) == 0 || in.match(name) || f.fault != nil && in.reach(name)
			if wanted && !out.match(name) {
				kept[name] = f
			}
		}
		return kept, nil
	}}
}

// Sub implements runner.Files. A directory that is not there is fs.ErrNotExist on use.
func (t *Tree) Sub(name string) runner.Files {
	dir, err := cleanPath(name)
	if err != nil {
		return failed(err)
	}
	if dir == "." {
		return t
	}
	return &Tree{load: func(ctx context.Context) (map[string]*file, error) {
		files, err := t.entries(ctx)
		if err != nil {
			return nil, err
		}
		below := map[string]*file{}
		for name, f := range files {
			if rest, ok := strings.CutPrefix(name, dir+"/"); ok {
				below[rest] = f
			}
		}
		if f := files[dir]; f != nil {
			if f.fault != nil {
				return nil, f.fault
			}
			return nil, fmt.Errorf("open directory %s: it is a file", dir)
		}
		if len(below) == 0 {
			return nil, &fs.PathError{Op: "open directory", Path: dir, Err: fs.ErrNotExist}
		}
		return below, nil
	}}
}

// With implements runner.Files. The other tree must be one of this package.
func (t *Tree) With(name string, other runner.Files) runner.Files {
	over, ok := other.(*Tree)
	if !ok {
		return failed(fmt.Errorf("overlay files at %s: %T belongs to another runner", name, other))
	}
	dir, err := cleanPath(name)
	if err != nil {
		return failed(err)
	}
	return &Tree{load: func(ctx context.Context) (map[string]*file, error) {
		base, err := t.entries(ctx)
		if err != nil {
			return nil, err
		}
		top, err := over.entries(ctx)
		if err != nil {
			return nil, err
		}
		files := maps.Clone(base)
		for name, f := range top {
			files[path.Join(dir, name)] = f
		}
		return files, clash(files)
	}}
}

// List implements runner.Files.
func (t *Tree) List(ctx context.Context) ([]string, error) {
	names, _, err := t.sound(ctx)
	if err != nil {
		return nil, fmt.Errorf("list files: %w", err)
	}
	return names, nil
}

// Read implements runner.Files.
func (t *Tree) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	f, err := t.find(ctx, "read", name)
	if err != nil {
		return nil, err
	}
	var content bytes.Buffer
	if err := f.copyTo(ctx, &content, limit); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return content.Bytes(), nil
}

// Size implements runner.Files.
func (t *Tree) Size(ctx context.Context, name string) (int64, error) {
	f, err := t.find(ctx, "measure", name)
	if err != nil {
		return 0, err
	}
	size, err := f.size()
	if err != nil {
		return 0, fmt.Errorf("measure %s: %w", name, err)
	}
	return size, nil
}

// find looks up a file for what is to be done with it.
func (t *Tree) find(ctx context.Context, verb, name string) (*file, error) {
	clean, err := cleanPath(name)
	if err != nil {
		return nil, err
	}
	files, err := t.entries(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", verb, name, err)
	}
	if f := files[clean]; f != nil {
		return f, nil
	}
	return nil, &fs.PathError{Op: verb, Path: name, Err: fs.ErrNotExist}
}

// Export implements runner.Files. Files of the same name are replaced, others are
// left alone, and nothing is written through a link that leads out of dir.
func (t *Tree) Export(ctx context.Context, dir string) error {
	names, files, err := t.sound(ctx)
	if err != nil {
		return fmt.Errorf("export files: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("export files: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("export files: %w", err)
	}
	for _, name := range names {
		if err = writeFile(ctx, root, name, files[name]); err != nil {
			err = fmt.Errorf("export %s: %w", name, err)
			break
		}
	}
	return errors.Join(err, root.Close())
}

func writeFile(ctx context.Context, root *os.Root, name string, f *file) error {
	local := filepath.FromSlash(name)
	if err := root.MkdirAll(filepath.Dir(local), 0o755); err != nil {
		return err
	}
	// A new file instead of a truncated one: the old one may have other names.
	if err := root.Remove(local); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	opened, err := root.OpenFile(local, os.O_WRONLY|os.O_CREATE|os.O_EXCL, f.mode())
	if err != nil {
		return err
	}
	out := &sparse{File: opened}
	// The umask may have taken the executable bit.
	err = errors.Join(f.copyTo(ctx, out, noLimit), out.Chmod(f.mode()))
	return errors.Join(err, out.Close())
}

// Digest implements runner.Files: "sha256:" and the hash of the sorted paths, executable
// bits and contents.
func (t *Tree) Digest(ctx context.Context) (string, error) {
	names, files, err := t.sound(ctx)
	if err != nil {
		return "", fmt.Errorf("digest files: %w", err)
	}
	sum := sha256.New()
	for _, name := range names {
		content, err := files[name].hash(ctx)
		if err != nil {
			return "", fmt.Errorf("digest %s: %w", name, err)
		}
		mode := "-"
		if files[name].executable {
			mode = "x"
		}
		// A path holds no NUL and the other fields no line end: the encoding is unambiguous.
		if _, err := fmt.Fprintf(sum, "%s\x00%s %s\n", name, mode, content); err != nil {
			return "", fmt.Errorf("digest %s: %w", name, err)
		}
	}
	return "sha256:" + hex.EncodeToString(sum.Sum(nil)), nil
}

// cleanPath checks and cleans a path given by a stage.
func cleanPath(name string) (string, error) {
	clean := path.Clean(name)
	if !fs.ValidPath(clean) {
		return "", fmt.Errorf("use path %q: it leads out of the tree", name)
	}
	return clean, nil
}

// clash reports paths that would have to be a file and a directory at once.
func clash(files map[string]*file) error {
	var wrong []error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if f := files[dir]; f != nil && !f.spared {
				wrong = append(wrong, fmt.Errorf("place %s: %s is a file", name, dir))
				break
			}
		}
	}
	return errors.Join(wrong...)
}
