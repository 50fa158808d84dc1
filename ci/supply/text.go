package supply

import (
	"fmt"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
)

// plural formats a number with a noun: 1 package, 2 packages.
func plural(n int, noun string) string {
	stem, y := strings.CutSuffix(noun, "y")
	switch {
	case n == 1 || noun == "more":
	case y:
		noun = stem + "ies"
	default:
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// where formats file:line, or only the file if the line is unknown.
func where(file string, line int) string {
	if line <= 0 {
		return file
	}
	return fmt.Sprintf("%s:%d", file, line)
}

func joinOr(words []string, none string) string {
	if len(words) == 0 {
		return none
	}
	return strings.Join(words, ", ")
}

// oneLine formats a finding: jinja2 3.1.0: CVE-2024-22195 (high), fixed in 3.1.3.
func oneLine(f advisory.Finding) string {
	text := fmt.Sprintf("%s %s: %s (%s)", f.Package, f.Version, f.ID, f.Severity)
	if f.Exploited {
		text += ", known to be exploited"
	}
	if f.Uncertain != "" {
		text += ", not ruled out: " + f.Uncertain
	}
	if len(f.Fixed) > 0 {
		return text + ", fixed in " + strings.Join(f.Fixed, ", ")
	}
	return text + ", no version fixes it"
}
