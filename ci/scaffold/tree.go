package scaffold

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Limits of what is read, because a repository may be large or hostile.
const (
	fileLimit = 256 << 10
	mostFiles = 400
)

// unread are directories that reveal nothing about the project itself.
var unread = []string{".venv", "venv", "env", "node_modules", "**/__pycache__", "site-packages", "**/site-packages", "build", "dist",
	".tox", ".nox", "mlruns", "mlartifacts", "htmlcov",
	".git/objects", ".git/logs", ".git/lfs", ".git/modules"}

var (
	// plainName matches a file name that can appear in a command and in a comment.
	plainName = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./ -]*$`)
	notInName = regexp.MustCompile(`[^a-z0-9._-]+`)
	// comment matches a Python comment. It also cuts at a # in a string, but nothing that is searched for contains one.
	comment = regexp.MustCompile(`(?m)(^|\s)#.*$`)
)

// tree is what was read of a repository.
type tree struct {
	ctx    context.Context //nolint:containedctx // that of the call
	source runner.Files
	// names are all files; code are the application's Python files, those nearest to the root first.
	names, code []string
	texts       map[string]string
	err         error
	// srcIsPackage is set if src is imported as a package: from src.api import app.
	srcIsPackage bool
}

var importsSrc = regexp.MustCompile(`(?m)^[ \t]*(?:from|import)[ \t]+src(?:\.\w|[ \t])`)

func readTree(ctx context.Context, source runner.Files) (*tree, error) {
	names, err := source.Filter(nil, unread).List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list source: %w", err)
	}
	others := glob.EscapeAll(slices.Concat(pyenv.Virtual(names), verdict.ReportDirs(names)))
	names = slices.DeleteFunc(names, func(name string) bool { return !plainName.MatchString(name) || glob.MatchAny(others, name) })
	t := &tree{ctx: ctx, source: source, names: names, texts: map[string]string{}}
	for _, name := range names {
		if strings.HasSuffix(name, ".py") && !strings.HasPrefix(name, ".") && !isTest(name) && !glob.MatchAny(tooling, name) {
			t.code = append(t.code, name)
		}
	}
	slices.SortStableFunc(t.code, func(a, b string) int {
		return cmp.Or(cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(a, b))
	})
	t.code = t.code[:min(len(t.code), mostFiles)]
	for _, name := range t.code {
		t.text(name)
	}
	t.srcIsPackage = t.uses(importsSrc) || t.has("src/__init__.py") && !t.importsFromSrc()
	return t, t.err
}

// tooling matches Python files that are not part of the application.
var tooling = []string{"setup.py", "noxfile.py", "**/conftest.py", "docs", "doc", "examples", "example", "benchmarks", "bench", "tasks.py"}

// isTest reports whether a file contains tests.
func isTest(name string) bool {
	base := path.Base(name)
	for _, dir := range strings.Split(path.Dir(name), "/") {
		if dir == "tests" || dir == "test" || dir == "testing" {
			return true
		}
	}
	return isTestFile(base)
}

func isTestFile(base string) bool {
	return strings.HasSuffix(base, ".py") && (strings.HasPrefix(base, "test_") || strings.HasSuffix(base, "_test.py"))
}

func (t *tree) has(name string) bool {
	_, found := slices.BinarySearch(t.names, name)
	return found
}

// below reports whether a directory contains files.
func (t *tree) below(dir string) bool {
	at, _ := slices.BinarySearch(t.names, dir+"/")
	return at < len(t.names) && strings.HasPrefix(t.names[at], dir+"/")
}

// measures reports whether coverage.py finds files for a source: a directory, or the dotted name of a package or module.
func (t *tree) measures(source string) bool {
	at := path.Clean(strings.TrimPrefix(source, "./"))
	if at == "." || t.below(at) {
		return true
	}
	module := strings.ReplaceAll(at, ".", "/")
	for _, root := range []string{"", "src/"} {
		if t.below(root+module) || t.has(root+module+".py") {
			return true
		}
	}
	return false
}

// text reads a file. It returns "" if the file is missing, too large or binary. Any other error is recorded in t.err, so that
// an unreadable file is not taken for a missing one.
func (t *tree) text(name string) string {
	if text, ok := t.texts[name]; ok || !t.has(name) {
		return text
	}
	content, err := t.source.Read(t.ctx, name, fileLimit)
	text := safetext.Decode(content)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, runner.ErrTooLarge):
		text = ""
	case err != nil:
		t.err = cmp.Or(t.err, fmt.Errorf("read %s: %w", name, err))
		text = ""
	case !utf8.ValidString(text) || strings.ContainsRune(text, 0):
		text = ""
	case strings.HasSuffix(name, ".py"):
		text = comment.ReplaceAllString(text, "$1")
	}
	t.texts[name] = text
	return text
}

// mentions returns the application's files whose text matches, in the order of code.
func (t *tree) mentions(pattern *regexp.Regexp) (found []string) {
	for _, name := range t.code {
		if pattern.MatchString(t.text(name)) {
			found = append(found, name)
		}
	}
	return found
}

// uses reports whether any file of the application matches.
func (t *tree) uses(pattern *regexp.Regexp) bool {
	return slices.ContainsFunc(t.code, func(name string) bool { return pattern.MatchString(t.text(name)) })
}

// packages returns the importable packages in the root or below src, by name.
func (t *tree) packages() (found []string) {
	for _, name := range t.code {
		dir := path.Dir(name)
		if path.Base(name) == "__init__.py" && strings.Count(strings.TrimPrefix(dir, "src/"), "/") == 0 && dir != "." && dir != "src" {
			found = append(found, dir)
		}
	}
	slices.Sort(found)
	return found
}

var importsName = regexp.MustCompile(`(?m)^[ \t]*(?:from|import)[ \t]+(\w+)`)

// script returns the command that runs a Python file: as a module if it is in a package, otherwise by its path, also if it
// imports neighbouring files by their plain names.
func (t *tree) script(name string) []string {
	dir := path.Dir(name)
	beside, root := false, false
	for _, m := range importsName.FindAllStringSubmatch(t.text(name), -1) {
		atRoot := t.holds(m[1])
		root = root || atRoot
		beside = beside || !atRoot && t.holds(path.Join(dir, m[1]))
	}
	inPackage := t.has(path.Join(dir, "__init__.py")) || t.srcIsPackage && strings.HasPrefix(name, "src/")
	switch {
	case inPackage && (!beside || dir == "."):
		return []string{"python", "-m", strings.TrimSuffix(t.importable(name), ".__main__")}
	case root && dir != "." && !strings.Contains(t.text(name), "sys.path"):
		return []string{"env", "PYTHONPATH=.", "python", name}
	}
	return []string{"python", name}
}

// importsFromSrc reports whether code imports something in src by its plain name, so that src must be on the path.
func (t *tree) importsFromSrc() bool {
	return slices.ContainsFunc(t.code, func(name string) bool {
		return slices.ContainsFunc(importsName.FindAllStringSubmatch(t.text(name), -1), func(m []string) bool {
			return t.holds("src/"+m[1]) && !t.holds(m[1])
		})
	})
}

// holds reports whether a path is a module or package.
func (t *tree) holds(at string) bool {
	return t.has(at+".py") || slices.ContainsFunc(t.code, func(name string) bool { return strings.HasPrefix(name, at+"/") })
}

// importable returns the name by which a file is imported: relative to src if that is only a directory, otherwise to the
// root.
func (t *tree) importable(name string) string {
	if t.inSrc(name) {
		name = strings.TrimPrefix(name, "src/")
	}
	return strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(name, ".py"), "/__init__"), "/", ".")
}

// inSrc reports whether src must be on the path to import a file.
func (t *tree) inSrc(name string) bool { return strings.HasPrefix(name, "src/") && !t.srcIsPackage }

// imported maps modules to distributions with another name.
var imported = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+(tensorflow|keras|torch|sklearn|xgboost|lightgbm|onnx|skops|numpy|pandas|` +
	`catboost|spacy|transformers|joblib|mlflow|streamlit|gradio|fastapi|flask|litserve|bentoml)\b`)

// projects are the files that list packages for a subdirectory with Python code of its own.
func (t *tree) projects() (found []string) {
	for _, name := range t.names {
		dir, base := path.Split(name)
		if strings.Count(dir, "/") == 1 && (base == "requirements.txt" || base == "pyproject.toml") && t.holds(path.Clean(dir)) {
			found = append(found, name)
		}
	}
	return found
}

// imports returns the known distributions that the application imports, sorted.
func (t *tree) imports() (names []string) {
	for _, file := range t.code {
		for _, m := range imported.FindAllStringSubmatch(t.text(file), -1) {
			name := m[1]
			if name == "sklearn" {
				name = "scikit-learn"
			}
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
