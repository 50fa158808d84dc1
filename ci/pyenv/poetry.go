package pyenv

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// poetry reads what Poetry's files declare.
type poetry struct{ *draft }

// declares reports whether pyproject.toml has dependencies in Poetry's own tables, which no other tool reads.
func (p poetry) declares() bool {
	poetry := p.toml.sub("tool", "poetry")
	return poetry.has("dependencies") && p.toml.sub("project") == nil || len(poetry.sub("group")) > 0 || poetry.has("dev-dependencies")
}

// groups returns the groups that the stage needs.
func (p poetry) groups() []string {
	poetry := p.toml.sub("tool", "poetry")
	var byDefault, all []string
	for _, name := range keys(poetry.sub("group")) {
		all = append(all, name)
		if optional, _ := poetry.sub("group", name)["optional"].(bool); !optional {
			byDefault = append(byDefault, name)
		}
	}
	if poetry.has("dev-dependencies") && !slices.Contains(all, "dev") {
		byDefault, all = append(byDefault, "dev"), append(all, "dev")
	}
	for _, name := range keys(p.toml.sub("dependency-groups")) {
		if !slices.Contains(all, name) {
			byDefault, all = append(byDefault, name), append(all, name)
		}
	}
	groups := installedByDefault(p.stage, byDefault)
	for _, name := range p.chosen(all) {
		if !slices.Contains(groups, name) {
			groups = append(groups, name)
		}
	}
	for i := 0; i < len(groups); i++ {
		for _, name := range poetry.sub("group", groups[i]).strs("include-groups") {
			if !slices.Contains(groups, name) {
				groups = append(groups, name)
			}
		}
	}
	return groups
}

// lock exports the lock with Poetry.
func (p poetry) lock() {
	p.project.files = append(p.project.files, "pyproject.toml", "poetry.lock")
	groups := p.groups()
	extras := p.chosen(append(keys(p.toml.sub("project", "optional-dependencies")), keys(p.toml.sub("tool", "poetry", "extras"))...))
	p.parts("group", groups)
	p.parts("extra", extras)
	export := slices.Concat([]string{
		"uv", "tool", "run", "--quiet", "--from", "poetry==" + poetryVersion, "--with", "poetry-plugin-export==" + poetryExportVersion,
		"poetry", "export", "--no-interaction", "--format", "requirements.txt", "--output", exported,
	}, options("--with", groups), options("--extras", extras))
	unhashed := false
	lock := p.table("poetry.lock")
	files := lock.sub("metadata", "files") // Poetry 1 has them here; some versions wrote empty lists
	for _, pkg := range lock.list("package") {
		if name := pkg.str("name"); files.has(name) && len(files.list(name)) == 0 || pkg.has("files") && len(pkg.list("files")) == 0 {
			unhashed = true
		}
		switch source := pkg.sub("source"); source.str("type") {
		case "directory":
			unhashed = true
			p.lockedDir("poetry.lock", source.str("url"))
			p.project.takeDir(path.Clean(source.str("url")))
		case "file":
			p.takeAlong("poetry.lock", source.str("url"))
		case "git", "url":
			unhashed = true
		}
	}
	p.project.Kind, p.project.From, p.project.Locked = Poetry, []string{"poetry.lock"}, !unhashed
	p.export([][]string{export}, unhashed)
}

// unlocked installs what Poetry's tables declare without a lock; uv resolves it.
func (p poetry) unlocked() {
	p.project.Kind, p.project.From = Pyproject, []string{"pyproject.toml"}
	poetry := p.toml.sub("tool", "poetry")
	groups := p.groups()
	p.parts("group", groups)
	var out, standard []string
	var optional []string
	extras := p.chosen(keys(poetry.sub("extras")))
	p.parts("extra", extras)
	for _, extra := range extras {
		optional = append(optional, poetry.sub("extras").strs(extra)...)
	}
	add := func(dependencies table) {
		for _, name := range keys(dependencies) {
			if name != "python" {
				out = append(out, p.entry(name, dependencies[name], optional)...)
			}
		}
	}
	var args []string
	if p.toml.sub("project") == nil {
		add(poetry.sub("dependencies"))
	} else {
		args = p.own(".", p.chosen(keys(p.toml.sub("project", "optional-dependencies"))))
		for _, name := range keys(poetry.sub("dependencies")) {
			// Poetry installs it as editable, so the files in the source are the ones under test.
			if where := poetry.sub("dependencies", name).str("path"); where != "" {
				p.sourcePath("pyproject.toml", where)
			}
		}
	}
	for _, group := range groups {
		if group == "dev" {
			add(poetry.sub("dev-dependencies"))
		}
		add(poetry.sub("group", group, "dependencies"))
		if p.toml.sub("dependency-groups").has(group) {
			standard = append(standard, group)
		}
	}
	for i, source := range poetry.list("source") {
		if address := source.str("url"); address != "" && source.str("priority") != "explicit" {
			flag := "--extra-index-url "
			if i == 0 && (source.str("priority") == "primary" || source["default"] == true) {
				flag = "--index-url "
			}
			out = append([]string{flag + address}, out...)
		}
	}
	if len(standard) > 0 {
		p.project.files = append(p.project.files, "pyproject.toml")
		args = append(args, options("--group", standard)...)
	}
	if len(out) > 0 {
		args = append(args, p.generated(out, "pyproject.toml")...)
	}
	p.pipInstall(args)
}

// entry converts an entry to requirements: a constraint, an object, or a list of these.
func (p poetry) entry(name string, entry any, optional []string) []string {
	if list, ok := entry.([]any); ok {
		var out []string
		for _, one := range list {
			out = append(out, p.entry(name, one, optional)...)
		}
		return out
	}
	if constraint, ok := entry.(string); ok {
		return []string{name + poetryConstraint(constraint)}
	}
	object, _ := entry.(map[string]any)
	fields := table(object)
	if fields["optional"] == true && !slices.Contains(optional, name) {
		return nil
	}
	extras := ""
	if list := fields.strs("extras"); len(list) > 0 {
		extras = "[" + strings.Join(list, ",") + "]"
	}
	marker := poetryMarker(fields)
	switch {
	case fields.str("path") != "":
		found, isDir := p.resolve("pyproject.toml", fields.str("path"))
		if isDir {
			return []string{"-e ./" + found + extras}
		}
		return []string{"./" + path.Clean(fields.str("path")) + marker}
	case fields.str("git") != "":
		ref := fields.str("rev") + fields.str("tag") + fields.str("branch")
		if ref != "" {
			ref = "@" + ref
		}
		return []string{fmt.Sprintf("%s%s @ git+%s%s%s", name, extras, fields.str("git"), ref, marker)}
	case fields.str("url") != "":
		return []string{fmt.Sprintf("%s%s @ %s%s", name, extras, fields.str("url"), marker)}
	}
	return []string{name + extras + poetryConstraint(fields.str("version")) + marker}
}

// poetryMarker returns an entry's environment marker.
func poetryMarker(t table) string {
	var all []string
	if m := t.str("markers"); m != "" {
		all = append(all, "("+m+")")
	}
	if platform := t.str("platform"); platform != "" {
		all = append(all, fmt.Sprintf("sys_platform == %q", platform))
	}
	for _, clause := range strings.Split(strings.TrimPrefix(poetryConstraint(t.str("python")), " "), ",") {
		operator := strings.TrimRight(clause, "0123456789.*")
		if operator != "" && operator != clause {
			all = append(all, fmt.Sprintf("python_full_version %s %q", operator, strings.TrimPrefix(clause, operator)))
		}
	}
	if len(all) == 0 {
		return ""
	}
	return " ; " + strings.Join(all, " and ")
}

// poetryConstraint converts a Poetry constraint to a PEP 440 specifier. Source: Poetry's documentation, "Dependency
// specification".
func poetryConstraint(constraint string) string {
	if strings.Contains(constraint, "|") {
		return "" // alternatives have no counterpart, so any version is accepted
	}
	var out []string
	for _, part := range strings.FieldsFunc(constraint, func(r rune) bool { return r == ',' }) {
		for _, clause := range splitClauses(part) {
			clause = strings.ReplaceAll(clause, " ", "")
			switch {
			case clause == "" || clause == "*":
			case clause[0] == '^':
				out = append(out, ">="+clause[1:], "<"+upper(clause[1:], caret))
			case strings.HasPrefix(clause, "~="):
				out = append(out, clause)
			case clause[0] == '~':
				out = append(out, ">="+clause[1:], "<"+upper(clause[1:], tilde))
			case strings.ContainsAny(clause[:1], "<>!"):
				out = append(out, clause)
			default:
				out = append(out, "=="+strings.TrimLeft(clause, "="))
			}
		}
	}
	if len(out) == 0 {
		return ""
	}
	return " " + strings.Join(out, ",")
}

// caret and tilde return the part of a version that a constraint lets grow: the leftmost non-zero number, and the minor
// version.
func caret(parts []int) int {
	for i, n := range parts {
		if n != 0 {
			return i
		}
	}
	return len(parts) - 1
}

func tilde(parts []int) int { return min(1, len(parts)-1) }

// upper returns the first version that a constraint excludes.
func upper(version string, grows func([]int) int) string {
	var parts []int
	for _, text := range strings.Split(version, ".") {
		digits := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyz+-")
		n, err := strconv.Atoi(digits)
		if err != nil {
			break
		}
		parts = append(parts, n)
	}
	if len(parts) == 0 {
		return "9999"
	}
	at := grows(parts)
	parts = parts[:at+1]
	parts[at]++
	text := make([]string, len(parts))
	for i, n := range parts {
		text[i] = strconv.Itoa(n)
	}
	return strings.Join(text, ".")
}
