package modelfile

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Open lets look read the file at a path in one opening. The cause says why the file is none to
// look into, or that it changed meanwhile; it is empty for a sound one. The error is for what
// cannot be read at all.
func Open(path string, look func(file io.ReaderAt, size int64) error) (cause string, err error) {
	before, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("inspect model file: %w", err)
	}
	if !before.Mode().IsRegular() {
		return "is not a regular file", nil
	}
	file, err := os.Open(path) //nolint:gosec // the path is the caller's own export
	if err != nil {
		return "", fmt.Errorf("inspect model file: %w", err)
	}
	defer file.Close() //nolint:errcheck // opened for reading only
	if err := look(file, before.Size()); err != nil {
		return "", err
	}
	after, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("inspect model file: %w", err)
	}
	if !os.SameFile(before, after) || after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime()) {
		return "changed while it was read", nil
	}
	return "", nil
}

// CopyContext is io.Copy that ends with the context.
func CopyContext(ctx context.Context, w io.Writer, r io.Reader) (int64, error) {
	return io.CopyBuffer(struct{ io.Writer }{w}, readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return r.Read(p)
	}), make([]byte, 1<<20))
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// Reader reads size bytes of a file from their beginning, for as long as the context lasts.
func Reader(ctx context.Context, file io.ReaderAt, size int64) io.Reader {
	section := io.NewSectionReader(file, 0, size)
	return readerFunc(func(p []byte) (int, error) {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		return section.Read(p)
	})
}
