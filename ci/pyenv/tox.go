package pyenv

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

var (
	// factor matches a conditional line of tox: "py310,py311: pytest<9".
	factor = regexp.MustCompile(`^([A-Za-z0-9_.,!{}-]+)\s*:\s+(.*)$`)
	// reference matches the value of another section: {[testenv]deps}. It can be a part of a line.
	reference = regexp.MustCompile(`\{\[([^\]]+)\](\w+)\}`)
	// environment matches a variable with its default, which may be empty.
	environment = regexp.MustCompile(`\{env:\w+:([^{}]*)\}`)
	// alternatives matches a part of a name with alternatives: py{310,311}.
	alternatives = regexp.MustCompile(`\{([^{}\[\]]*)\}`)
)

// toxEnvironment reads the tox environment that runs the tests: the one for this Python, or one that is named after tests. It
// inherits from [testenv].
func (f toolFiles) toxEnvironment() []declaration {
	tox := f.toml.sub("tool", "tox")
	for _, found := range []declaration{
		f.toxTOML(f.table("tox.toml"), "", "tox.toml"),
		f.toxTOML(tox, "tool.tox.", "pyproject.toml"),
		f.toxINI(f.text("tox.ini"), "testenv", "tox.ini"),
		f.toxINI(f.text("setup.cfg"), "tox:testenv", "setup.cfg"),
		f.toxINI(f.text("setup.cfg"), "testenv", "setup.cfg"),
		f.toxINI(tox.str("legacy_tox_ini"), "testenv", "legacy_tox_ini of pyproject.toml"),
	} {
		if !found.empty() {
			return []declaration{found}
		}
	}
	return nil
}

// toxNames are the usual names of a tox environment for tests.
func (f toolFiles) toxNames() []string {
	return []string{"py" + strings.ReplaceAll(f.python, ".", ""), f.python, "py3", "py", "test", "tests", "unit"}
}

func (f toolFiles) toxTOML(root table, prefix, file string) declaration {
	env, section := f.toxTable(root)
	return f.toxDeclaration(prefix+section, file, nil, func(key string) []string { return toxValues(root, env[key], nil) })
}

// toxTable returns the environment merged with its base, and its name.
func (f toolFiles) toxTable(root table) (env table, section string) {
	env, section = table{}, "env_run_base"
	maps.Copy(env, root.sub(section))
	for _, name := range f.toxNames() {
		if own := root.sub("env", name); own != nil {
			maps.Copy(env, own)
			return env, "env." + name
		}
	}
	return env, section
}

// toxValues returns the strings of a value in tox.toml, in which a table can refer to another value. References that led here
// are not followed again.
func toxValues(root table, value any, from []string) []string {
	switch value := value.(type) {
	case string:
		return strings.Split(value, "\n")
	case []any:
		var out []string
		for _, element := range value {
			out = append(out, toxValues(root, element, from)...)
		}
		return out
	case map[string]any:
		at := table(value).strs("of")
		if env := table(value).str("env"); env != "" {
			at = []string{"env", env, table(value).str("key")}
		}
		place, last := strings.Join(at, "."), len(at)-1
		switch {
		case slices.Contains(from, place):
			return nil
		case table(value).str("replace") == "ref" && last >= 0:
			return toxValues(root, root.sub(at[:last]...)[at[last]], append(slices.Clone(from), place))
		}
		return []string{fmt.Sprintf("{replace = %q}", table(value).str("replace"))}
	}
	return nil
}

func (f toolFiles) toxINI(text, base, file string) declaration {
	sections, section := f.toxSection(text, base)
	return f.toxDeclaration(section, file, sections, func(key string) []string {
		if value, is := sections[section][key]; is {
			return strings.Split(value, "\n")
		}
		return strings.Split(sections[base][key], "\n")
	})
}

// toxSection returns all sections, and the environment's.
func (f toolFiles) toxSection(text, base string) (sections ini, section string) {
	sections = parseINI(text)
	for name, content := range sections {
		// [testenv:py{310,311}] defines two environments.
		for _, one := range expand(name) {
			sections[one] = content
		}
	}
	for _, name := range f.toxNames() {
		if _, is := sections[base+":"+name]; is {
			return sections, base + ":" + name
		}
	}
	return sections, base
}

// toxDeclaration reads the keys of an environment, whose lines can refer to other sections.
func (f toolFiles) toxDeclaration(section, file string, sections ini, values func(key string) []string) declaration {
	found := declaration{label: "[" + section + "] deps of " + file, tests: true}
	for _, line := range values("deps") {
		f.toxLine(sections, line, &found, nil)
	}
	names := func(key string) []string {
		var read declaration
		for _, line := range values(key) {
			f.toxLine(sections, line, &read, nil)
		}
		found.left = append(found.left, read.left...)
		return strings.FieldsFunc(strings.Join(read.lines, "\n"), func(r rune) bool { return r == ',' || r == '\n' || r == ' ' })
	}
	found.extras, found.groups = names("extras"), names("dependency_groups")
	return found
}

// toxLine converts one line of a value. References that led to it are not followed again.
func (f toolFiles) toxLine(sections ini, line string, into *declaration, from []string) {
	line = strings.Join(lines(line), " ")
	if line == "" {
		return
	}
	if m := factor.FindStringSubmatch(line); m != nil {
		if !f.factors(m[1]) {
			into.left = append(into.left, line)
			return
		}
		line = m[2]
	}
	if m := reference.FindStringSubmatch(line); m != nil && sections != nil {
		for _, inner := range strings.Split(strings.ReplaceAll(line, m[0], sections[m[1]][m[2]]), "\n") {
			if !slices.Contains(from, m[0]) {
				f.toxLine(sections, inner, into, append(slices.Clone(from), m[0]))
			}
		}
		return
	}
	for _, root := range []string{"{toxinidir}/", "{tox_root}/", "{toxinidir}{/}", "{tox_root}{/}"} {
		line = strings.ReplaceAll(line, root, "./")
	}
	line = environment.ReplaceAllString(line, "$1")
	if strings.Contains(line, "{") {
		into.left = append(into.left, line)
		return
	}
	// tox accepts "-rfile", relative to its own file.
	if !slices.Contains(into.lines, line) {
		into.lines = append(into.lines, line)
	}
}

// factors reports whether a condition applies to tests with this Python: one of its alternatives neither names another
// environment nor excludes this one.
func (f toolFiles) factors(condition string) bool {
	known := f.toxNames()
	return slices.ContainsFunc(expand(condition), func(conditions string) bool {
		return slices.ContainsFunc(strings.Split(conditions, ","), func(alternative string) bool {
			for _, part := range strings.Split(alternative, "-") {
				name, negated := strings.CutPrefix(part, "!")
				if slices.Contains(known, name) == negated {
					return false
				}
			}
			return true
		})
	})
}

// expand returns all names that a name with alternatives in braces stands for.
func expand(name string) []string {
	at := alternatives.FindStringSubmatchIndex(name)
	if at == nil {
		return []string{name}
	}
	var out []string
	for _, one := range strings.Split(name[at[2]:at[3]], ",") {
		out = append(out, expand(name[:at[0]]+strings.TrimSpace(one)+name[at[1]:])...)
	}
	return out
}
