package filetree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// walker reads a directory of the host into entries.
type walker struct {
	ctx context.Context
	// root is the directory as given, real the same without links.
	root, real string
	files      map[string]*file
	// seen counts the entries, most is how many are read; 0 for all.
	seen, most int
}

// walk reads what is at or below the given slash-separated paths of dir.
func walk(ctx context.Context, dir string, names []string) (map[string]*file, error) {
	w, err := newWalker(ctx, dir)
	if err != nil {
		return nil, err
	}
	return w.files, w.walk(names)
}

func newWalker(ctx context.Context, dir string) (*walker, error) {
	root, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	resolved, err := filepath.EvalSymlinks(root)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	info, err := os.Stat(resolved)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", dir, err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open directory %s: it is not a directory", dir)
	}
	return &walker{ctx: ctx, root: root, real: resolved, files: map[string]*file{}}, nil
}

func (w *walker) walk(names []string) error {
	for _, name := range names {
		clean, err := cleanPath(name)
		if err != nil {
			return err
		}
		if err := w.start(clean); err != nil {
			return err
		}
	}
	return nil
}

// start visits one path, whose own parents may be links as well.
func (w *walker) start(name string) error {
	if name == "." {
		return w.directory(".", w.real, nil)
	}
	host := filepath.Join(w.real, filepath.FromSlash(name))
	info, err := os.Lstat(host)
	if errors.Is(err, fs.ErrNotExist) || isNotDir(err) {
		return nil
	}
	if err != nil {
		w.fault(name, err)
		return nil
	}
	parent, err := filepath.EvalSymlinks(filepath.Dir(host))
	if err != nil {
		w.fault(name, err)
		return nil
	}
	if !w.inside(parent) {
		w.fault(name, fmt.Errorf("its directory is a link to %s, outside of the tree", parent))
		return nil
	}
	return w.entry(name, filepath.Join(parent, filepath.Base(host)), info.Mode(), nil)
}

// directory visits all entries; above are the real paths of the directories we are in.
func (w *walker) directory(name, host string, above []string) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if slices.Contains(above, host) {
		w.fault(name, fmt.Errorf("the link leads back to a directory above it"))
		return nil
	}
	above = append(slices.Clone(above), host)
	entries, err := os.ReadDir(host)
	if err != nil {
		w.fault(name, err)
		return nil
	}
	for _, e := range entries {
		if err := w.entry(path.Join(name, e.Name()), filepath.Join(host, e.Name()), e.Type(), above); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) entry(name, host string, mode fs.FileMode, above []string) error {
	if w.seen++; w.most > 0 && w.seen > w.most {
		return fmt.Errorf("more than %d files and directories, many of them in %s: %w", w.most, path.Dir(name), ErrTooMuch)
	}
	if mode&fs.ModeSymlink != 0 {
		target, err := filepath.EvalSymlinks(host)
		if err != nil {
			w.fault(name, fmt.Errorf("follow link: %w", err))
			return nil
		}
		if !w.inside(target) {
			w.fault(name, fmt.Errorf("it is a link to %s, outside of the tree", target))
			return nil
		}
		host = target
	}
	info, err := os.Stat(host)
	if err != nil {
		w.fault(name, err)
		return nil
	}
	switch {
	case info.IsDir():
		return w.directory(name, host, above)
	case info.Mode().IsRegular():
		w.files[name] = &file{host: host, executable: info.Mode()&0o111 != 0, length: info.Size(), shared: hasLinks(info)}
	default:
		w.fault(name, fmt.Errorf("it is neither a file nor a directory (%s)", info.Mode().Type()))
	}
	return nil
}

func (w *walker) fault(name string, err error) {
	w.files[name] = &file{fault: &runner.FileError{Path: name, Err: err}}
}

func (w *walker) inside(target string) bool {
	return target == w.real || strings.HasPrefix(target, strings.TrimSuffix(w.real, string(filepath.Separator))+string(filepath.Separator))
}
