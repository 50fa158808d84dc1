package native

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// keptEnvironments is the total size of all environments as a multiple of that of all kept results.
const keptEnvironments = 5

// slot is a cache directory that is used by one step or service at a time. It is only reused while its files are those that
// were installed, so that nothing that a step writes into its environment reaches another step, project or run.
type slot struct {
	dir  string
	lock io.Closer
}

// seal is the file that describes what was installed. It is written last.
func (s *slot) seal() string { return s.dir + ".seal" }

// take returns a complete slot of the given name. The caller owns it until release. works reports whether files outside of
// the cache that the slot links to still exist.
func (e *environments) take(
	ctx context.Context, name string, works func(dir string) bool, install func(dir string) error,
) (*slot, error) {
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		s := &slot{dir: filepath.Join(e.host.opts.CacheDir, fmt.Sprintf("%s-%d", name, n))}
		var err error
		if s.lock, err = tryLock(s.dir + ".lock"); errors.Is(err, errLocked) {
			continue
		} else if err != nil {
			return nil, err
		}
		changed, err := s.changes()
		switch {
		case err == nil && len(changed) == 0 && works(s.dir):
			// Determines only which slot is removed first.
			_ = os.Chtimes(s.seal(), time.Now(), time.Now())
			return s, nil
		case err == nil && len(changed) > 0:
			e.host.log.say("environment", "an environment was changed since it was made, and is made again: "+summary(changed))
		}
		if err := s.install(install); err != nil {
			return nil, errors.Join(err, s.lock.Close())
		}
		e.prune(filepath.Dir(s.dir))
		return s, nil
	}
}

func (s *slot) install(install func(dir string) error) error {
	if err := s.discard(); err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return fmt.Errorf("make environment: %w", err)
	}
	err := install(s.dir)
	if err == nil {
		var content string
		if content, err = stamps(s.dir); err == nil {
			err = os.WriteFile(s.seal()+".partial", []byte(content), 0o600)
			err = errors.Join(err, os.Rename(s.seal()+".partial", s.seal()))
		}
	}
	if err != nil {
		return errors.Join(err, s.discard())
	}
	return nil
}

// release ends the use of a slot by a step or service. An environment that was changed is
// removed, with a warning, and counted in changed.
func (e *environments) release(s *slot, user string) (err error) {
	defer func() { err = errors.Join(err, s.lock.Close()) }()
	changed, err := s.changes()
	if err == nil && len(changed) == 0 {
		return nil
	}
	if err != nil {
		changed = []string{err.Error()}
	}
	e.changed.Add(1)
	e.host.warn(CodeEnvChanged, "%s changed the packages that were installed for it: %s", user, summary(changed))
	return s.discard()
}

// discard removes the content of a slot. The seal goes first, so that a partly removed
// environment does not look complete.
func (s *slot) discard() error {
	if err := os.Remove(s.seal()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove environment: %w", err)
	}
	return removeAll(s.dir)
}

// changes returns the paths below a slot that differ from its seal. It returns an error if the slot is not sealed or cannot
// be read.
func (s *slot) changes() ([]string, error) {
	sealed, err := os.ReadFile(s.seal())
	if err != nil {
		return nil, err
	}
	now, err := stamps(s.dir)
	if err != nil || now == string(sealed) {
		return nil, err
	}
	before, after := parseStamps(string(sealed)), parseStamps(now)
	var changed []string
	for name, stamp := range after {
		if before[name] == "" && isBytecode(name) {
			// Bytecode that Python wrote is removed, because it would be run instead of the source beside it.
			err = errors.Join(err, removeAll(filepath.Join(s.dir, name)))
		} else if before[name] != stamp {
			changed = append(changed, name)
		}
	}
	for name := range before {
		if after[name] == "" {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed, err
}

// isBytecode reports whether a path is one where Python stores compiled modules.
func isBytecode(name string) bool {
	return filepath.Base(name) == "__pycache__" || filepath.Base(filepath.Dir(name)) == "__pycache__" && strings.HasSuffix(name, ".pyc")
}

// stamps describes each file below a directory by attributes that change whenever it is written or replaced. A program can
// set a file's mtime, but not its ctime.
func stamps(dir string) (string, error) {
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		b.WriteString(strings.TrimPrefix(path[len(dir):], "/"))
		if entry.IsDir() {
			b.WriteString("\x00directory\x00")
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "\x00%o %d %d %s\x00", info.Mode(), info.Size(), info.ModTime().UnixNano(), identity(info))
		return nil
	})
	if err != nil {
		return "", fmt.Errorf("look through environment: %w", err)
	}
	return b.String(), nil
}

func parseStamps(text string) map[string]string {
	fields := strings.Split(text, "\x00")
	found := make(map[string]string, len(fields)/2)
	for i := 0; i+1 < len(fields); i += 2 {
		found[fields[i]] = fields[i+1]
	}
	return found
}

// summary lists the first of some paths and the number of the others.
func summary(names []string) string {
	const most = 3
	text := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// size returns how many bytes were installed, or 0 without a seal.
func (s *slot) size() (total int64) {
	sealed, _ := os.ReadFile(s.seal())
	for _, stamp := range parseStamps(string(sealed)) {
		var mode, size int64
		_, _ = fmt.Sscanf(stamp, "%o %d", &mode, &size)
		total += size
	}
	return total
}

// prune removes incomplete environments and the least recently used ones beyond the limit, except those in use.
func (e *environments) prune(parent string) {
	dirs, _ := filepath.Glob(filepath.Join(parent, "*[0-9]")) // the pattern is valid
	used := map[string]time.Time{}
	for _, dir := range dirs {
		if info, err := os.Lstat((&slot{dir: dir}).seal()); err == nil {
			used[dir] = info.ModTime()
		}
	}
	slices.SortFunc(dirs, func(a, b string) int { return used[b].Compare(used[a]) })
	total := int64(0)
	for _, dir := range dirs {
		s := &slot{dir: dir}
		if total += s.size(); total <= keptEnvironments*e.host.opts.KeptBytes && !used[dir].IsZero() {
			continue
		}
		var err error
		if s.lock, err = tryLock(dir + ".lock"); err != nil {
			continue
		}
		if err := errors.Join(s.discard(), s.lock.Close()); err != nil {
			e.host.log.say("environment", "an old environment could not be removed: "+err.Error())
		}
	}
}
