package testrun

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/refused"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var (
	// notThere matches Python's messages about a missing file.
	notThere = regexp.MustCompile(`No such file or directory: '([^'\n]+)'`)
	// listed matches a path in an assertion about the content of a directory, such as PosixPath('.env').
	listed = regexp.MustCompile(`Path\('([^'\n]+)'\)`)
	// absent matches an error line about something missing, pathName a path in it, shell an unquoted command.
	absent   = regexp.MustCompile(`(?i)[^\n]*(?:no such file|not found|not exist|n't exist|unable to (?:open|load)|cannot open)[^\n]*`)
	pathName = regexp.MustCompile(`[\w./-]+\.\w+`)
	shell    = regexp.MustCompile(`^[\w ./:=,+@-]+$`)
	// ownAuthority matches the error of requests for a server of this machine whose certificate the system does not trust.
	ownAuthority = regexp.MustCompile(`requests\.exceptions\.SSLError: [^\n]*host='(?:localhost|127\.0\.0\.1)'[^\n]*CERTIFICATE_VERIFY_FAILED`)
)

// hidden returns a file or directory that a test did not find although the source has it, because the configuration hides it
// from the tests. It returns an empty string if there is none.
func (j *testJudge) hidden(cases []junit.Case) string {
	for _, c := range cases {
		text := j.said(c)
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

// lacking adds a remedy to a problem if tests failed because a file or variable is missing.
func (j *testJudge) lacking(p *verdict.Problem, cases []junit.Case) {
	if name := j.hidden(cases); name != "" {
		p.Next = unhide(name)
	} else if name := j.untrained(cases); name != "" {
		p.Next = j.trainFirst(name)
	} else if slices.ContainsFunc(cases, func(c junit.Case) bool { return ownAuthority.MatchString(j.said(c)) }) {
		p.Next = j.afterwards("If the tests trust an authority of their own: requests takes REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE, which the "+
			`pipeline sets, before it. Write into pipeline.yaml: test.vars: {REQUESTS_CA_BUNDLE: "", CURL_CA_BUNDLE: ""}`, cases[0].ID())
	} else if names := j.unset(cases); len(names) > 0 {
		p.Next = j.afterwards(refused.Give(names, "test.vars")+j.around().VarsNext(names, "test.vars"), cases[0].ID())
	} else if next := j.around().ServicesNext(); next != "" && j.unreached(cases) {
		p.Next = j.afterwards(next, cases[0].ID())
	}
}

// afterwards returns a remedy, if there is one, followed by the command that runs the failed tests again.
func (j *testJudge) afterwards(remedy, failed string) string {
	if remedy == "" {
		return j.in.again(failed)
	}
	return remedy + ". Then " + j.in.again(failed)
}

// unset returns the environment variables that tests looked for and that are not set.
func (j *testJudge) unset(cases []junit.Case) []string {
	var texts []string
	for _, c := range cases {
		texts = append(texts, j.said(c))
	}
	return refused.Variables(strings.Join(texts, "\n"), j.in.Config.Test.Vars)
}

// around returns what a workflow of the source provides to its tests.
func (j *testJudge) around() pyenv.Surroundings {
	if j.project == nil {
		return pyenv.Surroundings{}
	}
	return j.project.Around
}

// unreached reports whether a test failed because a host did not answer.
func (j *testJudge) unreached(cases []junit.Case) bool {
	return slices.ContainsFunc(cases, func(c junit.Case) bool { return len(refused.Hosts(j.said(c))) > 0 })
}

// said returns everything that is known about a failed test.
func (j *testJudge) said(c junit.Case) string {
	text := strings.Join(append([]string{c.Message}, c.Tail...), "\n")
	if t := j.events.tests[c.ID()]; t != nil {
		text += "\n" + t.text
	}
	return text
}

// untrained returns the path of the trained model if a test did not find it because the source does not contain it.
func (j *testJudge) untrained(cases []junit.Case) string {
	model := j.in.Config.Train.Model
	isModel := func(name string) bool { return glob.MatchAny([]string{model, "**/" + model}, name) }
	if slices.ContainsFunc(j.source, isModel) {
		return ""
	}
	for _, c := range cases {
		for _, line := range absent.FindAllString(j.said(c), -1) {
			for _, name := range pathName.FindAllString(line, -1) {
				if isModel(strings.TrimLeft(path.Clean(strings.TrimRight(name, ".")), "/")) {
					return path.Base(strings.TrimRight(name, "."))
				}
			}
		}
	}
	return ""
}

// trainFirst is the remedy for tests that need the trained model.
func (j *testJudge) trainFirst(name string) string {
	next := fmt.Sprintf("The tests need %s, which the training makes and the source does not have: give them a small model of their own", name)
	train, test := strings.Join(j.in.Config.Train.Command, " "), strings.Join(j.in.Config.Test.Command, " ")
	if shell.MatchString(train) && shell.MatchString(test) {
		next += fmt.Sprintf(`, or train before them, test.command: [sh, -c, "%s && %s"]`, train, test)
	}
	return next
}

// isThere reports whether sorted names contain a file or directory.
func isThere(names []string, name string) bool {
	if _, found := slices.BinarySearch(names, name); found {
		return true
	}
	at, _ := slices.BinarySearch(names, name+"/")
	return at < len(names) && strings.HasPrefix(names[at], name+"/")
}

// unhide is the remedy for a hidden file.
func unhide(name string) string {
	return fmt.Sprintf("%s is in the source, and exclude or test.inputs of pipeline.yaml keeps it from the tests: "+
		"set them without the glob that matches it", name)
}
