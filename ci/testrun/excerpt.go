package testrun

import (
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// excerptLines limits how many lines are shown of one failure.
const excerptLines = 6

// excerpt returns the lines that explain a failure: the difference that pytest found, and the location. The end of the text
// alone would mostly be that of a long diff, which misleads without its beginning.
func excerpt(c junit.Case) []string {
	end := c.Tail[max(0, len(c.Tail)-excerptLines):]
	first, _, _ := strings.Cut(c.Message, "\n")
	if slices.ContainsFunc(end, func(line string) bool { return strings.Contains(line, first) }) {
		return end // start at the assertion
	}
	var found []string
	for _, line := range strings.Split(c.Message, "\n")[1:] {
		if strings.HasPrefix(strings.TrimSpace(line), "Full diff:") {
			break
		}
		if strings.TrimSpace(line) != "" {
			found = append(found, line)
		}
	}
	if len(found) == 0 {
		return end
	}
	if len(found) > excerptLines {
		found = append(found[:excerptLines], "...")
	}
	if n := len(c.Tail); n > 0 && location.MatchString(c.Tail[n-1]) {
		found = append(found, c.Tail[n-1])
	}
	return found
}

// location matches the last line of pytest's text about a failure.
var location = regexp.MustCompile(`^\S+:\d+: \w+`)
