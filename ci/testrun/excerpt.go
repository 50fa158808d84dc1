package testrun

import (
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// excerptLines bounds what is shown of one failure.
const excerptLines = 6

// excerpt is what says why a test failed: what pytest found to be different, and where. The end of its text is mostly that
// of a full diff, which misleads without its beginning.
func excerpt(c junit.Case) []string {
	end := c.Tail[max(0, len(c.Tail)-excerptLines):]
	first, _, _ := strings.Cut(c.Message, "\n")
	if slices.ContainsFunc(end, func(line string) bool { return strings.Contains(line, first) }) {
		return end // from the assertion on
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

// location is the last line of pytest's text of a failure.
var location = regexp.MustCompile(`^\S+:\d+: \w+`)
