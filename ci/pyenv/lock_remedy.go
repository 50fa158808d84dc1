package pyenv

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// lockNames are the names of the stages' lock files that are found without configuration, in a directory and without one; see
// usualFiles.
var lockNames = map[string]string{verdict.Test: "test", verdict.Train: "train", verdict.Image: "serve"}

// lockers are the tools that can lock a kind of declaration, with their command.
var lockers = map[Kind]string{
	Poetry: "poetry lock", PDM: "pdm lock", Pipfile: "pipenv lock",
}

// locker returns the tool whose own tables pyproject.toml has, because another tool would not lock what they declare.
func locker(d *draft) string {
	tables := d.toml.sub("tool")
	switch {
	case poetry{d}.declares(), d.toml.sub("project") == nil && tables.has("poetry"):
		return "poetry"
	case tables.has("pdm"):
		return "pdm"
	}
	return "uv"
}

// LockNext is the remedy for a project that is not Locked: the command to run in the root of the source, and the
// configuration key for its result if that has no usual name.
func (p *Project) LockNext() string {
	next := p.lockNext()
	if len(p.pipsOwn) > 0 && strings.Contains(next, ": uv ") {
		next = fmt.Sprintf("uv reads only a part of %s: there, write a space after -r and the like, nothing editable from git, and no line in "+
			"parts. %s", strings.Join(p.pipsOwn, ", "), next)
	}
	for _, tool := range []string{"uv", "poetry", "pdm", "pipenv"} {
		if strings.Contains(next, ": "+tool+" ") {
			return next + "; where " + tool + " is missing: pip install " + tool
		}
	}
	return next
}

func (p *Project) lockNext() string {
	file := "requirements-" + lockNames[p.Stage] + ".lock"
	switch {
	case p.requirementsDir:
		file = "requirements/" + lockNames[p.Stage] + ".lock"
	case p.Kind == Requirements && !p.named && slices.Equal(p.From, []string{"requirements.txt"}):
		file = "requirements.lock" // the stages that share the file share one lock, which all of them look for first
	}
	compile := func(what ...string) string {
		command := slices.Concat([]string{"uv pip compile --universal --generate-hashes --python-version", p.Python}, p.options, what,
			[]string{"-o", file})
		return "Lock them: " + strings.Join(command, " ")
	}
	key := p.Stage + ".requirements"
	switch {
	case p.Kind == Pyproject && p.locker == "pdm" && slices.Equal(p.From, []string{"pyproject.toml", pdmDevelopment}):
		return "Lock them: pdm lock"
	case p.tool || p.Kind == Requirements && len(p.Parts) > 0: // no command reads all of these
	case p.Kind == Pyproject:
		return "Lock them: " + p.locker + " lock"
	case lockers[p.Kind] != "":
		return "Lock them: " + lockers[p.Kind]
	case p.Kind == Requirements && p.named:
		return fmt.Sprintf("%s; then name it in pipeline.yaml: %s: [%s]", compile(p.From...), key, file)
	case p.Kind == Requirements:
		return compile(p.From...)
	case p.Kind == Setuptools && !slices.ContainsFunc(p.Parts, func(part string) bool { return !strings.HasPrefix(part, "extra ") }):
		what := p.From[:1:1]
		for _, part := range p.Parts {
			what = append(what, "--extra", strings.TrimPrefix(part, "extra "))
		}
		return compile(what...)
	}
	return fmt.Sprintf("Write what %s declares into %s.in and lock it: %s", strings.Join(p.From, ", "), strings.TrimSuffix(file, ".lock"),
		strings.TrimPrefix(compile(strings.TrimSuffix(file, ".lock")+".in"), "Lock them: "))
}
