package pyenv

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	// word matches anything that looks like a path, a file name or a module name.
	word = regexp.MustCompile(`[A-Za-z0-9_][A-Za-z0-9_./-]*`)
	// imported is a package or module that a program imports.
	imported = regexp.MustCompile(`(?m)^\s*(?:from|import)\s+([A-Za-z_]\w*)`)
	// compiled are extensions of sources that setup.py names to compile, not to read.
	compiled = regexp.MustCompile(`\.(?:c|cc|cpp|cxx|cu|pyx|rs|f|f90)$`)
)

// versionTables are the pyproject.toml tables whose values name files or modules that the backend reads for metadata.
var versionTables = [][]string{
	{"tool", "setuptools", "dynamic"}, {"tool", "setuptools", "package-dir"}, {"tool", "hatch", "version"}, {"tool", "hatch", "metadata"},
	{"tool", "pdm", "version"},
	{"project", "readme"}, {"project", "license"},
}

// buildReads returns the files that a package's setup.py or metadata settings name, because the backend reads them to
// determine dependencies. As setup.py is a program, every word in it that names a source file or module counts.
func (t *tree) buildReads(dir string) []string {
	var text strings.Builder
	text.WriteString(t.text(in(dir, "setup.py")))
	for _, name := range versionTables {
		parent := t.manifest(dir).sub(name[:len(name)-1]...)
		gather(&text, parent[name[len(name)-1]])
	}
	setup := parseINI(t.text(in(dir, "setup.cfg")))
	for _, section := range []string{"metadata", "options"} {
		for _, value := range setup[section] {
			text.WriteString(" " + value)
		}
	}
	// The program may join a bare name to a directory.
	named := map[string][]string{}
	for _, file := range t.names {
		if relative, below := strings.CutPrefix(file, strings.TrimPrefix(in(dir, ".")+"/", "./")); below && !compiled.MatchString(file) {
			named[path.Base(relative)] = append(named[path.Base(relative)], file)
		}
	}
	var found []string
	for _, m := range imported.FindAllStringSubmatch(t.text(in(dir, "setup.py")), -1) {
		// It imports the package, and everything that this imports, to ask for the version.
		for _, file := range t.names {
			if strings.HasPrefix(file, in(dir, m[1])+"/") && strings.HasSuffix(file, ".py") {
				found = append(found, file)
			}
		}
	}
	for _, text := range word.FindAllString(t.text(in(dir, "setup.py")), -1) {
		// A program that names a directory may compute the names of the lists in it.
		for _, file := range t.names {
			if path.Dir(file) == in(dir, strings.Trim(text, "./")) && slices.Contains([]string{".txt", ".in"}, path.Ext(file)) {
				found = append(found, file)
			}
		}
	}
	words := word.FindAllString(text.String(), -1)
	roots := []string{"", "src"}
	for i := range words {
		// Packages are in a directory that package_dir names.
		if words[i] = strings.Trim(words[i], "./"); t.below(in(dir, words[i])) && !slices.Contains(roots, words[i]) {
			roots = append(roots, words[i])
		}
	}
	for _, text := range words {
		switch {
		case compiled.MatchString(text):
		case t.has(in(dir, text)):
			found = append(found, in(dir, text))
		case strings.Contains(text, ".") && path.Base(text) == text && text != "__init__.py" && named[text] != nil:
			found = append(found, named[text]...)
		default:
			found = append(found, t.module(dir, roots, strings.ReplaceAll(text, ".", "/"))...)
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

// module returns the files of a module, given with slashes or as the owner of an attribute, below one of the roots.
func (t *tree) module(dir string, roots []string, name string) []string {
	for ; name != "." && name != "/"; name = path.Dir(name) {
		for _, root := range roots {
			for _, file := range []string{name + ".py", name + "/__init__.py"} {
				if file = in(dir, path.Join(root, file)); t.has(file) {
					return []string{file}
				}
			}
		}
	}
	return nil
}

// gather appends all strings in a TOML value.
func gather(to *strings.Builder, value any) {
	switch value := value.(type) {
	case string:
		to.WriteString(" " + value)
	case []any:
		for _, element := range value {
			gather(to, element)
		}
	case map[string]any:
		for _, element := range value {
			gather(to, element)
		}
	}
}
