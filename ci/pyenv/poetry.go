package pyenv

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// poetryDeclares reports whether pyproject.toml has dependencies in Poetry's own tables,
// which no other tool reads.
func (d *detector) poetryDeclares() bool {
	poetry := d.toml.sub("tool", "poetry")
	return poetry.has("dependencies") && d.toml.sub("project") == nil || len(poetry.sub("group")) > 0 || poetry.has("dev-dependencies")
}

// poetryGroups are the groups that the stage needs.
func (d *detector) poetryGroups() []string {
	poetry := d.toml.sub("tool", "poetry")
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
	for _, name := range keys(d.toml.sub("dependency-groups")) {
		if !slices.Contains(all, name) {
			byDefault, all = append(byDefault, name), append(all, name)
		}
	}
	groups := d.installedByDefault(byDefault)
	for _, name := range d.chosen(all) {
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

// poetryLock lets Poetry export its lock.
func (d *detector) poetryLock() {
	d.p.files = append(d.p.files, "pyproject.toml", "poetry.lock")
	groups := d.poetryGroups()
	extras := d.chosen(append(keys(d.toml.sub("project", "optional-dependencies")), keys(d.toml.sub("tool", "poetry", "extras"))...))
	d.parts("group", groups)
	d.parts("extra", extras)
	export := slices.Concat([]string{
		"uv", "tool", "run", "--quiet", "--from", "poetry==" + poetryVersion, "--with", "poetry-plugin-export==" + poetryExportVersion,
		"poetry", "export", "--no-interaction", "--format", "requirements.txt", "--output", exported,
	}, options("--with", groups), options("--extras", extras))
	unhashed := false
	for _, pkg := range d.table("poetry.lock").list("package") {
		switch source := pkg.sub("source"); source.str("type") {
		case "directory":
			unhashed = true
			d.lockedDir("poetry.lock", source.str("url"))
			d.takeDir(path.Clean(source.str("url")))
		case "file":
			d.takeAlong("poetry.lock", source.str("url"))
		case "git", "url":
			unhashed = true
		}
	}
	d.p.Kind, d.p.From, d.p.Locked = Poetry, []string{"poetry.lock"}, !unhashed
	d.export([][]string{export}, unhashed)
}

// poetryTables installs what Poetry's tables declare without a lock: uv resolves it.
func (d *detector) poetryTables() {
	d.p.Kind, d.p.From = Pyproject, []string{"pyproject.toml"}
	poetry := d.toml.sub("tool", "poetry")
	groups := d.poetryGroups()
	d.parts("group", groups)
	var out, standard []string
	var optional []string
	extras := d.chosen(keys(poetry.sub("extras")))
	d.parts("extra", extras)
	for _, extra := range extras {
		optional = append(optional, poetry.sub("extras").strs(extra)...)
	}
	add := func(dependencies table) {
		for _, name := range keys(dependencies) {
			if name != "python" {
				out = append(out, d.poetryEntry(name, dependencies[name], optional)...)
			}
		}
	}
	var args []string
	if d.toml.sub("project") == nil {
		add(poetry.sub("dependencies"))
	} else {
		args = d.own(".", d.chosen(keys(d.toml.sub("project", "optional-dependencies"))))
	}
	for _, group := range groups {
		if group == "dev" {
			add(poetry.sub("dev-dependencies"))
		}
		add(poetry.sub("group", group, "dependencies"))
		if d.toml.sub("dependency-groups").has(group) {
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
		d.p.files = append(d.p.files, "pyproject.toml")
		args = append(args, options("--group", standard)...)
	}
	if len(out) > 0 {
		args = append(args, d.generated(out, "pyproject.toml")...)
	}
	d.pipInstall(args)
}

// poetryEntry are the requirements of one entry: a constraint, an object, or a list of these.
func (d *detector) poetryEntry(name string, entry any, optional []string) []string {
	if list, ok := entry.([]any); ok {
		var out []string
		for _, one := range list {
			out = append(out, d.poetryEntry(name, one, optional)...)
		}
		return out
	}
	if constraint, ok := entry.(string); ok {
		return []string{name + poetryConstraint(constraint)}
	}
	fields, _ := entry.(map[string]any)
	t := table(fields)
	if t["optional"] == true && !slices.Contains(optional, name) {
		return nil
	}
	extras := ""
	if list := t.strs("extras"); len(list) > 0 {
		extras = "[" + strings.Join(list, ",") + "]"
	}
	marker := poetryMarker(t)
	switch {
	case t.str("path") != "":
		found, isDir := d.resolve("pyproject.toml", t.str("path"))
		if isDir {
			return []string{"-e ./" + found + extras}
		}
		return []string{"./" + path.Clean(t.str("path")) + marker}
	case t.str("git") != "":
		ref := t.str("rev") + t.str("tag") + t.str("branch")
		if ref != "" {
			ref = "@" + ref
		}
		return []string{fmt.Sprintf("%s%s @ git+%s%s%s", name, extras, t.str("git"), ref, marker)}
	case t.str("url") != "":
		return []string{fmt.Sprintf("%s%s @ %s%s", name, extras, t.str("url"), marker)}
	}
	return []string{name + extras + poetryConstraint(t.str("version")) + marker}
}

// poetryMarker is the environment marker of an entry.
func poetryMarker(t table) string {
	var all []string
	if m := t.str("markers"); m != "" {
		all = append(all, "("+m+")")
	}
	if p := t.str("platform"); p != "" {
		all = append(all, fmt.Sprintf("sys_platform == %q", p))
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

// poetryConstraint turns a constraint of Poetry into a specifier of PEP 440.
// Source: Poetry's documentation, "Dependency specification".
func poetryConstraint(constraint string) string {
	if strings.Contains(constraint, "|") {
		return "" // alternatives have no counterpart: uv takes any version
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

// caret and tilde are the part of a version that a constraint lets grow: the left-most that
// is not zero, and the minor.
func caret(parts []int) int {
	for i, n := range parts {
		if n != 0 {
			return i
		}
	}
	return len(parts) - 1
}

func tilde(parts []int) int { return min(1, len(parts)-1) }

// upper is the first version that a constraint excludes.
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
