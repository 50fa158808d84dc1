package native

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	tempPrefix = "openstack-rca-"
	// lockFile is locked by the process that a temporary directory belongs to.
	lockFile = "lock"
)

// makeTemp creates the temporary directory of a runner, with a lock that is held as long as the process lives, and removes
// those of killed runners.
func makeTemp() (dir string, lock io.Closer, err error) {
	removeStale(os.TempDir())
	if dir, err = os.MkdirTemp("", tempPrefix); err != nil {
		return "", nil, fmt.Errorf("make temporary directory: %w", err)
	}
	// On macOS the temporary directory is behind a link, which commands would see.
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", nil, fmt.Errorf("make temporary directory: %w", err)
	}
	// The lock is taken before the file is visible under its name.
	lock, err = tryLock(filepath.Join(dir, lockFile+".new"))
	if err == nil {
		err = os.Rename(filepath.Join(dir, lockFile+".new"), filepath.Join(dir, lockFile))
	}
	if err != nil {
		return "", nil, fmt.Errorf("make temporary directory: %w", errors.Join(err, os.RemoveAll(dir)))
	}
	return dir, lock, nil
}

// removeStale removes temporary directories of killed runners below parent. It goes by the lock, because a process id could
// be reused, or belong to another container.
func removeStale(parent string) {
	// The pattern is valid.
	dirs, _ := filepath.Glob(filepath.Join(parent, tempPrefix+"*"))
	for _, dir := range dirs {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() || !isOurs(info) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(dir, lockFile)); errors.Is(err, fs.ErrNotExist) {
			// It is being created, or was created by something that holds no lock.
			if time.Since(info.ModTime()) < abandoned {
				continue
			}
		}
		lock, err := tryLock(filepath.Join(dir, lockFile))
		if err != nil {
			continue
		}
		// The next run tries again to remove what could not be removed.
		_ = removeAll(dir)
		_ = lock.Close()
	}
}
