package runledger

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Dir keeps records in a directory of this machine. Nothing outside of it is read or written, also
// through links.
type Dir struct{ path, folder string }

// InDir is the store of an application's records in a directory; it creates nothing yet.
func InDir(dir, app string) Dir { return Dir{dir, FolderOf(app)} }

// Where implements Store.
func (d Dir) Where() string { return d.path + "/" + d.folder }

// Create implements Store. A reader never sees half of a record: it is written under another name
// and then linked, which fails if the name is taken.
func (d Dir) Create(_ context.Context, name string, content []byte) (err error) {
	if err := os.MkdirAll(d.path, 0o755); err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return fmt.Errorf("open directory: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	name = path.Join(d.folder, name)
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	random := make([]byte, 6)
	_, _ = rand.Read(random) // never fails
	temporary := path.Join(path.Dir(name), "."+hex.EncodeToString(random)+".partial")
	defer func() { err = errors.Join(err, root.Remove(temporary)) }()
	if err := root.WriteFile(temporary, content, 0o644); err != nil {
		return err
	}
	err = root.Link(temporary, name)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	if there, readErr := root.ReadFile(name); readErr == nil && string(there) == string(content) {
		return nil
	}
	return err
}

// Read implements Store.
func (d Dir) Read(_ context.Context, name string) (content []byte, err error) {
	root, err := os.OpenRoot(d.path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	f, err := root.Open(path.Join(d.folder, name))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err = io.ReadAll(io.LimitReader(f, maxRollup+1))
	if err == nil && len(content) > maxRollup {
		err = fmt.Errorf("%s has more than %d bytes", name, maxRollup)
	}
	return content, err
}

// List implements Store.
func (d Dir) List(_ context.Context, prefix string) (names []string, err error) {
	root, err := os.OpenRoot(d.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	from := path.Join(d.folder, path.Dir(prefix+"x"))
	err = fs.WalkDir(root.FS(), from, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		short := strings.TrimPrefix(name, d.folder+"/")
		if err != nil || entry.IsDir() || strings.HasSuffix(name, ".partial") || !strings.HasPrefix(short, prefix) {
			return err
		}
		names = append(names, short)
		return nil
	})
	slices.Sort(names)
	return names, err
}
