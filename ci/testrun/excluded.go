package testrun

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

var (
	// notThere is what Python says of a file that is not there.
	notThere = regexp.MustCompile(`No such file or directory: '([^'\n]+)'`)
	// listed is a path in an assertion on what a folder holds, such as PosixPath('.env').
	listed = regexp.MustCompile(`Path\('([^'\n]+)'\)`)
)

// hidden names a file or folder that a test looked for in vain, or missed in a folder, although the source
// has it: the configuration keeps it from the tests. It is empty when there is none.
func (j *testJudge) hidden(cases []junit.Case) string {
	for _, c := range cases {
		text := strings.Join(append([]string{c.Message}, c.Tail...), "\n")
		if t := j.events.tests[c.ID()]; t != nil {
			text += "\n" + t.text
		}
		for _, m := range notThere.FindAllStringSubmatch(text, -1) {
			name := path.Clean(m[1])
			if inside, ok := strings.CutPrefix(name, j.events.directory+"/"); ok && j.events.directory != "" {
				name = inside
			}
			if isThere(j.source, name) && !isThere(j.names, name) {
				return name
			}
		}
		for _, m := range listed.FindAllStringSubmatch(text, -1) {
			ends := func(name string) bool { return strings.HasSuffix("/"+name, "/"+m[1]) }
			if at := slices.IndexFunc(j.source, ends); at >= 0 && !slices.ContainsFunc(j.names, ends) {
				return j.source[at]
			}
		}
	}
	return ""
}

// isThere reports whether sorted names hold a file or a folder.
func isThere(names []string, name string) bool {
	if _, found := slices.BinarySearch(names, name); found {
		return true
	}
	at, _ := slices.BinarySearch(names, name+"/")
	return at < len(names) && strings.HasPrefix(names[at], name+"/")
}

// unhide is what to do about a hidden file.
func unhide(name string) string {
	return fmt.Sprintf("%s is in the source, and exclude or test.inputs of pipeline.yaml keeps it from the tests: "+
		"set them without the glob that matches it", name)
}
