package assembly

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Bounds of what a folder keeps: of one entry, and how many entries stay.
const (
	maxFound  = 16 << 20
	keptFound = 40
)

// folder keeps what audit and scan reported, beside the results of steps in this user's cache: what it has
// is as good as those, from which the same reports are answered.
type folder string

// Recall returns what Keep wrote in an earlier run, or nil.
func (f folder) Recall(_ context.Context, key string) []byte {
	name := filepath.Join(string(f), filepath.Base(key))
	info, err := os.Stat(name)
	if key == "" || err != nil || !info.Mode().IsRegular() || info.Size() > maxFound {
		return nil
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil
	}
	// Only the order of removal depends on it.
	_ = os.Chtimes(name, time.Now(), time.Now())
	return content
}

// Keep writes each entry, all of it or nothing, and removes those that were not used for longest.
func (f folder) Keep(_ context.Context, found map[string][]byte) error {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fmt.Errorf("keep what was found: %w", err)
	}
	for key, content := range found {
		part, err := os.CreateTemp(string(f), ".part-*")
		if err != nil {
			return fmt.Errorf("keep what was found: %w", err)
		}
		_, err = part.Write(content)
		if err = errors.Join(err, part.Close()); err == nil {
			err = os.Rename(part.Name(), filepath.Join(string(f), filepath.Base(key)))
		}
		if err != nil {
			return errors.Join(fmt.Errorf("keep what was found: %w", err), os.Remove(part.Name()))
		}
	}
	return f.prune()
}

func (f folder) prune() error {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return fmt.Errorf("clean what was found: %w", err)
	}
	used := map[string]time.Time{}
	var names []string
	var errs []error
	remove := func(name string) {
		if err := os.Remove(filepath.Join(string(f), name)); !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	for _, entry := range entries {
		info, err := entry.Info()
		switch {
		case err != nil: // another process has removed it
		case !strings.HasPrefix(entry.Name(), "."):
			names, used[entry.Name()] = append(names, entry.Name()), info.ModTime()
		case time.Since(info.ModTime()) > 24*time.Hour: // no process writes it any more
			remove(entry.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return used[b].Compare(used[a]) })
	for _, name := range names[min(keptFound, len(names)):] {
		remove(name)
	}
	return errors.Join(errs...)
}
