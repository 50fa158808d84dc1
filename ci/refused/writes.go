package refused

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Write is the code of an application that may have needed to write where it may not.
var Write = verdict.Code{Name: "WRITE_REFUSED", Stage: verdict.Image,
	Meaning: "The application did not start or show its page, and it could not write to files: an image runs with a read-only root " +
		"file system.",
	Remedy: "Name the directory in image.volumes of pipeline.yaml, unless it has code; or let the application write below /tmp, " +
		"such as by a variable in image.vars"}

// UnknownPath stands for a path that the output does not name.
const UnknownPath = "a file that the output does not name"

var (
	// refusal is what the kernel's errors EACCES and EROFS are called, by Python, shells and Node.
	refusal = regexp.MustCompile(`(?i)permission denied|read-only file system`)
	// paths are the forms in which such a line names a path.
	paths = []*regexp.Regexp{
		regexp.MustCompile(`['"\x{2018}](\.{0,2}/?[^'"\x{2019}]*/[^'"\x{2019}]*)['"\x{2019}]`),
		regexp.MustCompile(`(?:^|[\s:])(/[^\s:'"]+):? (?i:permission denied|read-only file system)`),
		regexp.MustCompile(`(?i:permission denied|read-only file system)[^'"]*?:? (/[^\s:'"]+)`),
		regexp.MustCompile(`(?i)errno (?:13|30)\][^:]*: '([^'/]+)'`),
	}
	// database is SQLite's refusal, which names no path.
	database = regexp.MustCompile(`(?i)unable to open database file|attempt to write a readonly database`)
)

// Writes are the paths that output says could not be written to or opened, sorted, at most ten; one entry stands for a path
// that is not named. It is empty for output without such a refusal, and for one of something else, such as a port.
func Writes(output string) []string {
	var found []string
	unnamed := false
	for _, line := range strings.Split(output, "\n") {
		unnamed = unnamed || database.MatchString(line)
		if !refusal.MatchString(line) {
			continue
		}
		for _, form := range paths {
			if m := form.FindStringSubmatch(line); m != nil {
				found = append(found, path.Clean(m[1]))
				break
			}
		}
	}
	if unnamed {
		found = append(found, UnknownPath)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), 10)]
}
