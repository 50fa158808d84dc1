package pyenv

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
)

// Messages of uv from before it resolves versions.
var (
	unreached  = regexp.MustCompile("(?:Failed to (?:fetch|download)|error sending request for url)[:` (]*(https?://[^\\s`)]+)")
	otherHash  = regexp.MustCompile("[Hh]ash mismatch for `([^`]+)`")
	noHash     = regexp.MustCompile("(?:no trusted hash was provided for|all requirements must have a hash, but none were provided for)")
	notBuilt   = regexp.MustCompile("Failed to (?:build|download and build) `([A-Za-z0-9._-]+)==([^`]+)`")
	confused   = regexp.MustCompile("hint: `([A-Za-z0-9._-]+)` is often confused for `([A-Za-z0-9._-]+)`")
	otherUV    = regexp.MustCompile("Required uv version `([^`]+)` does not match the running version `([^`]+)`")
	notOnPyPI  = regexp.MustCompile("Because ([A-Za-z0-9._-]+) was not found in the package registry")
	statusLine = regexp.MustCompile(`HTTP status (?:client|server) error \((\d{3})`)
)

// InstallNext returns the remedy for a failed installation, derived from the installer's output, or an empty string. The
// project may be nil if it is unknown what was to be installed.
func (p *Project) InstallNext(said string) string {
	if next := cmp.Or(PythonNext(said), SystemNext(said)); next != "" {
		return next
	}
	flat := strings.Join(strings.Fields(said), " ")
	if m := unreached.FindStringSubmatch(flat); m != nil && statusLine.FindString(flat) == "" && !strings.ContainsAny(m[1], "'$\\") {
		return fmt.Sprintf("Look whether the address can be reached from there: curl -sSI '%s'", strings.TrimRight(m[1], ".,"))
	}
	if m := otherUV.FindStringSubmatch(flat); m != nil {
		return fmt.Sprintf("Let required-version, in [tool.uv] of pyproject.toml or in uv.toml, allow %s too, which the pipeline installs with",
			m[2])
	}
	if p == nil || p.Kind == None {
		return ""
	}
	// uv sync refuses the environment's interpreter because of requires-python, but does not say so.
	if strings.Contains(flat, "No interpreter found for executable name `python`") {
		return fmt.Sprintf("Install Python %[1]s, which the project asks for: uv python install %[1]s; where uv is missing: pip install uv",
			p.Python)
	}
	if next := notThere(p.System, flat); next != "" {
		return next
	}
	from := strings.Join(p.From, ", ")
	again, relocked := relocks[p.Kind]
	place := " in " + from
	if relocked {
		place = ". " + again
	}
	if m := confused.FindStringSubmatch(flat); m != nil {
		return fmt.Sprintf("Name %s instead of %s%s", m[2], m[1], place)
	}
	if m := notBuilt.FindStringSubmatch(flat); m != nil {
		return fmt.Sprintf("%s %s has no wheel for Python %s, and its source did not build: allow a newer version%s", m[1], m[2], p.Python, place)
	}
	if relocked {
		return again
	}
	if m := notOnPyPI.FindStringSubmatch(flat); m != nil && p.Kind == Conda {
		file := "requirements-" + lockNames[p.Stage] + ".txt"
		return fmt.Sprintf("PyPI, from which conda's packages are taken here, does not have %s. List what the stage needs from there in %s, "+
			"which is found by its name", m[1], file)
	}
	if p.Kind != Hashed {
		next := fmt.Sprintf("Correct what the installer's last lines name in %s", from)
		if _, lock, ok := strings.Cut(p.LockNext(), "Lock them: "); ok {
			next += ", until this succeeds: " + lock
		}
		if p.Kind == Requirements && !p.named && len(p.From) > 1 {
			next += fmt.Sprintf(". Files that are not for one environment: name those that are in pipeline.yaml, such as %s.requirements: [%s]",
				p.Stage, p.From[len(p.From)-1])
		}
		return next
	}
	if len(p.From) != 1 {
		return ""
	}
	compile := fmt.Sprintf("uv pip compile --universal --generate-hashes --python-version %s %s -o %s; where uv is missing: pip install uv",
		p.Python, from, from)
	if m := otherHash.FindStringSubmatch(flat); m != nil {
		return fmt.Sprintf("Find out why the files of %s are others than when %s was locked. If that is right, delete the hashes of %s "+
			"there, and: %s", m[1], from, m[1], compile)
	}
	if noHash.MatchString(flat) {
		return "Lock what is missing: " + compile
	}
	return fmt.Sprintf("Correct what the installer's last lines name in %s, and lock it again: %s", from, compile)
}

// relocks returns the commands that update a lock, by the tool that owns it.
var relocks = map[Kind]string{
	UV: relock("uv", "uv lock"), Poetry: relock("poetry", "poetry lock"), PDM: relock("pdm", "pdm lock"),
	PipfileLock: relock("pipenv", "pipenv lock"),
	Pylock:      "Make the lock again with the tool that its key created-by names",
}

func relock(tool, command string) string {
	return fmt.Sprintf("Lock again, and correct what that names: %s; where %s is missing: pip install %s", command, tool, tool)
}
