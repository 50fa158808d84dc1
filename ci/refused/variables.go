package refused

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// asked are the forms in which a traceback or a message names a variable of the environment that is not there:
// the line of code that reads it without a default, or the words of the usual libraries for settings.
var asked = []*regexp.Regexp{
	regexp.MustCompile(`\b(?:getenv\(|environ(?:\.get\(|\[))\s*["']([A-Za-z_][A-Za-z0-9_]*)["']\s*[)\]]`),
	regexp.MustCompile(`\b([A-Z][A-Z0-9]*_[A-Z0-9_]+)\b[^\n]{0,40}\b(?:environment|envvar|env var)`),
	regexp.MustCompile(`(?i:\benvironment variables?:? |\benv vars?:? )["'` + "`" + `]?([A-Z][A-Z0-9_]{2,})\b`),
}

// own are variables that every step has.
var own = []string{"PATH", "HOME", "TMPDIR", "LANG"}

// Variables are those of the environment that the output of a failure says were looked for, and that a program has not
// got from vars; sorted, at most five.
func Variables(output string, vars map[string]string) []string {
	var found []string
	for _, form := range asked {
		for _, m := range form.FindAllStringSubmatch(output, -1) {
			if _, set := vars[m[1]]; !set && !slices.Contains(own, m[1]) {
				found = append(found, m[1])
			}
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), 5)]
}

// Give says how a program gets the variables that it looked for, by a key such as test.vars; "" for none.
func Give(names []string, key string) string {
	if len(names) == 0 {
		return ""
	}
	verb := "is"
	if len(names) > 1 {
		verb = "are"
	}
	return fmt.Sprintf("%s %s not set here: no variable of this machine or of the CI system is passed on. %s of pipeline.yaml gives a value, "+
		"which must be no secret", strings.Join(names, ", "), verb, key)
}
