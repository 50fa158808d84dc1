package pyenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// fileLimit limits the size of a file that is read; the largest known lock files have 5 MB.
const fileLimit = 32 << 20

// tree is a source whose files are read once, on demand.
type tree struct {
	ctx    context.Context
	source runner.Files
	names  []string
	texts  map[string]string
	tables map[string]table
	// toml is the project's pyproject.toml.
	toml table
	// submodules are the directories of submodules that were not checked out.
	submodules []string
	// wrong are faults in its files; err is why it cannot be read.
	wrong []string
	err   error
	// exclude is Request.Exclude.
	exclude []string
}

func readTree(ctx context.Context, source runner.Files) (*tree, error) {
	names, err := source.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	t := &tree{ctx: ctx, source: source, names: names, texts: map[string]string{}, tables: map[string]table{}}
	t.toml = t.table("pyproject.toml")
	for _, m := range submodule.FindAllStringSubmatch(t.text(".gitmodules"), -1) {
		if dir := path.Clean(m[1]); !t.below(dir) {
			t.submodules = append(t.submodules, dir)
		}
	}
	return t, nil
}

func (t *tree) fault(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(t.wrong, text) {
		t.wrong = append(t.wrong, text)
	}
}

func (t *tree) has(name string) bool {
	_, found := slices.BinarySearch(t.names, name)
	return found
}

// below reports whether a directory contains any file.
func (t *tree) below(dir string) bool {
	if dir == "." {
		return len(t.names) > 0
	}
	at, _ := slices.BinarySearch(t.names, dir+"/")
	return at < len(t.names) && strings.HasPrefix(t.names[at], dir+"/")
}

// first returns the first of some names that exists.
func (t *tree) first(names []string) string {
	for _, name := range names {
		if t.has(name) {
			return name
		}
	}
	return ""
}

// firstNaming returns the first of some requirements files that is not empty: an empty file declares and locks nothing.
func (t *tree) firstNaming(files []string) string {
	return t.first(slices.DeleteFunc(slices.Clone(files), func(name string) bool { return t.has(name) && len(lines(t.text(name))) == 0 }))
}

// text returns a file's content, or "" if it is missing.
func (t *tree) text(name string) string {
	if text, ok := t.texts[name]; ok {
		return text
	}
	if !t.has(name) || t.err != nil {
		return ""
	}
	content, err := t.source.Read(t.ctx, name, fileLimit)
	switch {
	case errors.Is(err, runner.ErrTooLarge):
		t.fault("%s is larger than %d MiB", name, fileLimit>>20)
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		t.err = fmt.Errorf("read %s: %w", name, err)
	}
	t.texts[name] = safetext.Decode(content)
	return t.texts[name]
}

// table parses a TOML file. It returns nil if the file is missing or, as a recorded fault, unreadable.
func (t *tree) table(name string) table {
	if parsed, ok := t.tables[name]; ok {
		return parsed
	}
	parsed, err := parseTOML(t.text(name))
	if err != nil {
		t.fault("%s cannot be read: %v", name, err)
	}
	t.tables[name] = parsed
	return parsed
}
