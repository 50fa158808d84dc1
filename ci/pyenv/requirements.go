package pyenv

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
)

// generatedFile has requirements that another file declares in another format.
const generatedFile = "openstack-rca-requirements.txt"

var (
	// include matches a line that includes another file: -r x, -rx, --requirement=x, -c x.
	include = regexp.MustCompile(`^(?:-r|-c|--requirement|--constraint)(?:\s+|=|)(\S+)`)
	// links matches a line that names a directory of packages.
	links = regexp.MustCompile(`^(?:-f|--find-links)(?:\s+|=|)(\S+)`)
	// localPath matches a line that installs from a path: -e ./x[extra], ./x.whl, name @ file:./x.
	localPath = regexp.MustCompile(`^(-e\s*|--editable[\s=]+)?(?:[A-Za-z0-9._-]+\s*(?:\[[^\]]*\])?\s*@\s*)?` +
		`(file:(?://localhost)?)?([^\s\[;@]+?)(?:\[([^\]]*)\])?\s*(?:;.*|\s--.*)?$`)
)

// lines returns a requirements file's lines without comments, with continuation lines joined.
func lines(text string) []string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	var out []string
	for _, line := range strings.Split(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		if i := strings.Index(" "+line, " #"); i >= 0 {
			line = line[:max(0, i)]
		}
		if line = strings.TrimSpace(line); line != "" {
			out = append(out, line)
		}
	}
	return out
}

// included returns a file and all files that it includes, in order.
func (t *tree) included(name string) []string {
	seen := []string{}
	var follow func(name, by string)
	follow = func(name, by string) {
		switch {
		case slices.Contains(seen, name):
			return
		case !fs.ValidPath(name):
			if by != "" {
				by = ", which " + by + " includes,"
			}
			t.fault("%s%s is outside of the source", name, by)
			return
		case !t.has(name):
			wrong := name + " is not in the source"
			if by != "" {
				wrong = name + ", which " + by + " includes, is not in the source"
			}
			t.fault("%s", wrong+t.whyMissing(name))
			return
		}
		seen = append(seen, name)
		for _, line := range lines(t.text(name)) {
			m := include.FindStringSubmatch(line)
			if m != nil && !strings.Contains(m[1], "://") {
				follow(path.Join(path.Dir(name), m[1]), name)
			}
		}
	}
	follow(path.Clean(name), "")
	return seen
}

// lists reads the requirements files that a draft installs.
type lists struct{ *draft }

// requirements installs from the files that pipeline.yaml names: pip requirements files, or one file of another tool.
func (d lists) requirements(names []string) {
	if len(names) == 1 && d.has(names[0]) && d.ofTool(names[0]) {
		return
	}
	d.project.Kind, d.project.Locked, d.project.From = Hashed, true, names
	var hashed, plain []string
	for _, name := range names {
		switch path.Base(name) {
		case "pyproject.toml", "setup.cfg", "setup.py":
			plain = append(plain, d.own(path.Dir(path.Clean(name)), nil)...)
			continue
		}
		if name = path.Clean(name); path.Ext(name) == ".py" && d.has(name) { // uv reads a script's own metadata
			d.used[name], d.project.files, plain = true, append(d.project.files, name), append(plain, "-r", name)
			continue
		}
		more, locked := d.requirementsFile(path.Clean(name))
		if locked {
			hashed = append(hashed, "-r", path.Clean(name))
		} else {
			plain = append(plain, "-r", path.Clean(name))
		}
		plain = append(plain, more...)
	}
	if len(hashed) > 0 {
		d.pipInstall(append([]string{"--require-hashes"}, hashed...))
	}
	if len(plain) > 0 {
		d.project.Kind, d.project.Locked = Requirements, false
		d.pipInstall(plain)
	}
}

// ofTool installs from another tool's file; it returns false for any other file.
func (d *draft) ofTool(name string) bool {
	switch ending := path.Ext(name); {
	case name == "uv.lock":
		locked{d}.uvLock()
	case name == "poetry.lock":
		poetry{d}.lock()
	case name == "pdm.lock":
		locked{d}.pdmLock()
	case strings.HasPrefix(path.Base(name), "pylock.") && ending == ".toml":
		locked{d}.pylock(path.Clean(name))
	case name == "Pipfile.lock":
		pipenv{d}.lock()
	case name == "Pipfile":
		pipenv{d}.pipfile()
	case name == "pixi.toml":
		pixi(d)
	case ending == ".yml", ending == ".yaml":
		d.conda(name)
	default:
		return false
	}
	return true
}

// requirementsFile adds a requirements file with all that it includes. Source directories that it installs become locals of
// the project: their lines are removed, and the returned arguments install their dependencies instead.
func (d lists) requirementsFile(name string) (more []string, locked bool) {
	all := d.included(name)
	locked = len(all) > 0
	for _, file := range all {
		d.used[file] = true
		text := d.text(file)
		kept, args, changed := d.withoutLocals(file, text)
		if changed {
			d.project.written[file] = []byte(kept)
			more = append(more, args...)
		}
		if strings.TrimSpace(kept) != "" && !strings.Contains(text, "--hash=") && names(kept) {
			locked = false
		}
	}
	d.project.files = append(d.project.files, all...)
	if locked && slices.ContainsFunc(all, func(file string) bool { return compiledBy.MatchString(d.text(file)) }) {
		return nil, true // it pins the dependencies of these directories, too
	}
	return more, locked
}

// compiledBy matches the header of files that uv and pip-tools write.
var compiledBy = regexp.MustCompile(`\A(?:\s*#[^\n]*\n){0,3}\s*#[^\n]*autogenerated by`)

// names reports whether a requirements file itself names a package.
func names(text string) bool {
	return slices.ContainsFunc(lines(text), func(line string) bool {
		return !include.MatchString(line) && !strings.HasPrefix(line, "--") && !links.MatchString(line)
	})
}

// glued matches a one-letter option followed directly by its value.
var glued = regexp.MustCompile(`^(\s*-[rcfi])([^\s=])`)

// editableVCS matches a package that pip would check out as editable.
var editableVCS = regexp.MustCompile(`^\s*(?:-e\s*|--editable[\s=]+)((?:git|hg|svn|bzr)\+)`)

// forUV rewrites for uv what only pip accepts: uv takes a continuation line only before an option, no -rfile, and no editable
// packages from git.
func forUV(text string) (out string, changed bool) {
	joined, changed := continued(text)
	lines := strings.Split(joined, "\n")
	for i, line := range lines {
		lines[i] = editableVCS.ReplaceAllString(glued.ReplaceAllString(line, "$1 $2"), "$1")
		changed = changed || lines[i] != line
	}
	return strings.Join(lines, "\n"), changed
}

func continued(text string) (joined string, changed bool) {
	var out []string
	open := false
	for _, line := range strings.Split(text, "\n") {
		rest := strings.TrimSpace(line)
		if open && rest != "" && !strings.HasPrefix(rest, "--") {
			last := len(out) - 1
			out[last], changed = strings.TrimSuffix(out[last], "\\")+line, true
		} else {
			out = append(out, line)
		}
		open = strings.HasSuffix(line, "\\") && !strings.HasPrefix(strings.TrimSpace(out[len(out)-1]), "#")
	}
	return strings.Join(out, "\n"), changed
}

// withoutLocals removes the lines that install directories of the source.
func (d lists) withoutLocals(file, text string) (kept string, args []string, changed bool) {
	var out []string
	if text, changed = forUV(strings.ReplaceAll(text, "\r\n", "\n")); changed {
		d.project.pipsOwn = append(d.project.pipsOwn, file)
	}
	for _, line := range strings.Split(text, "\n") {
		bare := strings.Join(lines(line), " ")
		d.option(file, bare)
		if m := links.FindStringSubmatch(bare); m != nil && !strings.Contains(m[1], "://") {
			d.takeAlong(file, m[1])
		}
		dir, extras, is := d.localLine(file, bare)
		if !is {
			out = append(out, line)
			continue
		}
		changed = true
		args = append(args, d.own(dir, extras)...)
	}
	return strings.Join(out, "\n"), args, changed
}

var (
	// trusted matches an option that makes pip trust a host; secretOf matches a variable in an address, as used for
	// credentials.
	trusted  = regexp.MustCompile(`^--trusted-host[\s=]+(\S+)`)
	secretOf = regexp.MustCompile(`://[^/\s]*\$\{(\w+)\}`)
)

// option handles options that uv does not read from a file by passing them on the command line. An address with a variable
// cannot be used, because installations only see the variables of pip and uv.
func (d lists) option(file, line string) {
	var args []string
	if m := trusted.FindStringSubmatch(line); m != nil {
		args = []string{"--allow-insecure-host", m[1]}
	}
	if line == "--pre" {
		args = []string{"--prerelease", "allow"}
	}
	if len(args) > 0 && !slices.Contains(d.project.options, args[1]) {
		d.project.options = append(d.project.options, args...)
	}
	if m := secretOf.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "PIP_") && !strings.HasPrefix(m[1], "UV_") {
		d.fault("%s has an address with the variable %s, which installations do not see: leave the line out, and give the index with its login "+
			"in PIP_INDEX_URL or PIP_EXTRA_INDEX_URL, or by --index-url of the module", file, m[1])
	}
}

// localLine reports whether a line installs a directory of the source. Files that it installs are added to the installation.
func (d lists) localLine(file, line string) (dir string, extras []string, is bool) {
	option := strings.HasPrefix(line, "--") && !strings.HasPrefix(line, "--editable")
	if line == "" || option || include.MatchString(line) || links.MatchString(line) {
		return "", nil, false
	}
	m := localPath.FindStringSubmatch(line)
	if m == nil || strings.Contains(m[3], "://") || strings.HasPrefix(m[3], "git+") {
		return "", nil, false
	}
	where, _, _ := strings.Cut(m[3], "#") // pip names the package after it: #egg=x
	editable, scheme, where := m[1] != "", m[2] != "", strings.TrimSuffix(where, "/")
	for _, root := range []string{"${PROJECT_ROOT}/", "///${PROJECT_ROOT}/", "$PWD/", "${PWD}/"} {
		where = strings.TrimPrefix(where, root)
	}
	isPath := editable || scheme || where == "." || strings.HasPrefix(where, "./") || strings.HasPrefix(where, "../") ||
		strings.HasSuffix(where, ".whl") || strings.HasSuffix(where, ".tar.gz") || strings.Contains(where, "/")
	switch {
	case !isPath:
		return "", nil, false
	case strings.HasPrefix(where, "/"):
		d.fault("%s installs /%s: a path of one machine, which is not in the source", file, strings.TrimLeft(where, "/"))
		return "", nil, false
	}
	found, isDir := d.resolve(file, where)
	switch {
	case found == "":
		d.fault("%s installs %s, which is not in the source%s", file, where, d.whyMissing(path.Clean(where)))
	case isDir:
		for _, extra := range strings.Split(m[4], ",") {
			if extra = strings.TrimSpace(extra); extra != "" {
				extras = append(extras, extra)
			}
		}
		return found, extras, true
	default:
		d.project.files = append(d.project.files, found)
	}
	return "", nil, false
}

// resolve finds a path from a requirements file: relative to the source, as for pip and uv, or else relative to the file.
func (t *tree) resolve(file, where string) (found string, isDir bool) {
	for _, candidate := range []string{path.Clean(where), path.Join(path.Dir(file), where)} {
		if !fs.ValidPath(candidate) {
			continue
		}
		if t.has(candidate) {
			return candidate, false
		}
		if t.below(candidate) {
			return candidate, true
		}
	}
	return "", false
}

// takeAlong adds a file or directory that an installation reads.
func (d *draft) takeAlong(file, where string) {
	where = strings.TrimPrefix(where, "file:")
	found, isDir := d.resolve(file, where)
	switch {
	case found == "":
		d.fault("%s looks for packages in %s, which is not in the source%s", file, where, d.whyMissing(path.Clean(where)))
	case isDir:
		d.project.takeDir(found)
	default:
		d.project.files = append(d.project.files, found)
	}
}

func (p *Project) takeDir(dir string) {
	p.globs = append(p.globs, strings.TrimPrefix(glob.Escape(dir)+"/**", "./"))
}

// generated installs requirements that another file declares in another format.
func (d *draft) generated(lines []string, label string) []string {
	d.texts[generatedFile] = strings.Join(lines, "\n") + "\n"
	var args []string
	kept, more, _ := lists{d}.withoutLocals(label, d.texts[generatedFile])
	for _, line := range lines {
		if m := include.FindStringSubmatch(line); m != nil && !strings.Contains(m[1], "://") {
			inner, _ := lists{d}.requirementsFile(path.Clean(m[1]))
			more = append(more, inner...)
		}
	}
	d.project.written[generatedFile] = []byte(kept)
	args = append(args, "-r", generatedFile)
	return append(args, more...)
}
