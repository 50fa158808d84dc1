package pyenv

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Messages of uv when it finds nothing for the environment's Python.
var (
	usedPython  = regexp.MustCompile(`(?:Python version \(|CPython )3\.(\d+)`)
	needsPython = regexp.MustCompile(`(\S+) depends on Python((?:[<>=!~]+[0-9][0-9.*]*,?)+)`)
	hasWheels   = regexp.MustCompile("we only found wheels for `([^`]+)`[^`]* tags?: ((?:`cp3\\d+`(?:, )?)+)")
	wheelTag    = regexp.MustCompile("`cp3(\\d+)`")
	packageName = regexp.MustCompile(`^[A-Za-z0-9._-]+`)
)

// PythonNext returns the remedy for an installation that failed because packages do not support its Python: the nearest
// version that all of them support, later ones first. It is empty if the installer did not say so, or if there is no such
// version.
func PythonNext(said string) string {
	said = strings.Join(strings.Fields(said), " ")
	m := usedPython.FindStringSubmatch(said)
	if m == nil {
		return ""
	}
	used, err := strconv.Atoi(m[1])
	if err != nil {
		return ""
	}
	// Releases of one package may support different versions; one of them is enough.
	fits := map[string]map[int]bool{}
	var reasons []string
	note := func(what, reason string, fit func(minor int) bool) {
		name := packageName.FindString(what)
		if fits[name] == nil {
			fits[name] = map[int]bool{}
		}
		for minor := oldestMinor; minor <= newestMinor; minor++ {
			fits[name][minor] = fits[name][minor] || fit(minor)
		}
		if !slices.Contains(reasons, reason) {
			reasons = append(reasons, reason)
		}
	}
	for _, m := range needsPython.FindAllStringSubmatch(said, -1) {
		spec := strings.TrimRight(m[2], ",")
		note(m[1], m[1]+" needs Python"+spec, func(minor int) bool { return allows(spec, minor) })
	}
	for _, m := range hasWheels.FindAllStringSubmatch(said, -1) {
		var minors, versions []string
		for _, tag := range wheelTag.FindAllStringSubmatch(m[2], -1) {
			minors, versions = append(minors, tag[1]), append(versions, "3."+tag[1])
		}
		note(m[1], m[1]+" has wheels for Python "+strings.Join(versions, ", "),
			func(minor int) bool { return slices.Contains(minors, strconv.Itoa(minor)) })
	}
	if len(fits) == 0 {
		return ""
	}
	good := func(minor int) bool {
		for _, fit := range fits {
			if !fit[minor] {
				return false
			}
		}
		return true
	}
	var candidates []int
	for minor := used + 1; minor <= newestMinor; minor++ {
		candidates = append(candidates, minor)
	}
	for minor := used - 1; minor >= oldestMinor; minor-- {
		candidates = append(candidates, minor)
	}
	at := slices.IndexFunc(candidates, good)
	if at < 0 {
		return ""
	}
	return fmt.Sprintf("Set python: \"3.%d\" in pipeline.yaml, as %s", candidates[at], strings.Join(reasons, " and "))
}
