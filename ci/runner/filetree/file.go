package filetree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// noLimit reads a file of any size.
const noLimit = math.MaxInt64 - 1

// ErrChanged is the error of a file that changed after its tree was first read. Otherwise one
// run could mix two states of the source.
var ErrChanged = errors.New("the file changed while the run was using it; run again")

// file is one regular file, in memory or on the host.
type file struct {
	memory     bool
	data       []byte
	host       string
	executable bool
	// length is the size of a file of the host when it was found; shared reports whether it has
	// another name (hard link).
	length int64
	shared bool
	// fault says why this entry is not a file that a tree may hold. A spared one is told only to who reads it.
	fault  error
	spared bool

	mu  sync.Mutex
	sum string
}

// mode is the mode of a copy.
func (f *file) mode() fs.FileMode {
	if f.executable {
		return 0o755
	}
	return 0o644
}

func (f *file) open() (io.ReadCloser, error) {
	if f.fault != nil {
		return nil, f.fault
	}
	if f.memory {
		return io.NopCloser(bytes.NewReader(f.data)), nil
	}
	return os.Open(f.host)
}

// size is the number of bytes of the content as it is now.
func (f *file) size() (int64, error) {
	switch {
	case f.fault != nil:
		return 0, f.fault
	case f.memory:
		return int64(len(f.data)), nil
	}
	info, err := os.Stat(f.host)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// hash returns the hexadecimal SHA-256 of the content, computed once.
func (f *file) hash(ctx context.Context) (string, error) {
	f.mu.Lock()
	known := f.sum
	f.mu.Unlock()
	if known != "" {
		return known, nil
	}
	if err := f.copyTo(ctx, io.Discard, noLimit); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sum, nil
}

// copyTo writes the content and checks that it is still the content of the first time.
func (f *file) copyTo(ctx context.Context, w io.Writer, limit int64) (err error) {
	in, err := f.open()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	if opened, ok := in.(*os.File); ok {
		info, err := opened.Stat()
		if err != nil {
			return err
		}
		if info.Size() > limit {
			return fmt.Errorf("%d bytes, at most %d: %w", info.Size(), limit, runner.ErrTooLarge)
		}
	}
	sum := sha256.New()
	// One byte more than allowed tells a file that grew from one that fits.
	// One more than the limit tells a file of the limit's size from a larger one. It must
	// not overflow: a negative limit reads nothing and says nothing.
	n, err := io.Copy(io.MultiWriter(w, sum), io.LimitReader(contextReader{ctx, in}, min(limit, math.MaxInt64-1)+1))
	if err != nil {
		return err
	}
	if n > limit {
		return fmt.Errorf("more than %d bytes: %w", limit, runner.ErrTooLarge)
	}
	got := hex.EncodeToString(sum.Sum(nil))
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.sum != "" && f.sum != got {
		return ErrChanged
	}
	f.sum = got
	return nil
}

// contextReader stops a long copy when its context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

// Read implements io.Reader.
func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
