package testrun

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// refused reports a selection that pytest rejected after loading the tests.
func (j *testJudge) refused(of *part) *verdict.Problem {
	said := lastError(of.ran.Stdout + "\n" + of.ran.Stderr)
	for _, given := range j.in.Paths {
		if strings.HasSuffix(said, "/"+given) { // relative to the run's directory
			said = "there is no " + given
		}
	}
	p := j.problem(UsageError, "%spytest refused its command line or configuration: %s", of.prefix(), said)
	if j.in.Selective() {
		p.Next = "Correct " + selectionWords(j.in, nil) + ": pytest could not follow it"
	}
	return p
}

// exited reports a module that ended the process while pytest loaded it.
func (j *testJudge) exited(of *part) *verdict.Problem {
	f := of.events.fault
	status := ""
	if f.text != "" {
		status = " (" + firstLine(f.text) + ")"
	}
	where := "a file"
	if f.file != "" {
		where = fmt.Sprintf("line %d of %s", f.line, f.file)
	}
	p := j.problem(PytestExited, "%s%s ended the process%s%s", of.prefix(), where, status, of.events.during(f.file))
	if f.file != "" {
		p.Next = fmt.Sprintf("put what line %d of %s does under if __name__ == \"__main__\":, and run %s", f.line, f.file,
			j.in.again(of.events.loading))
	}
	return p
}

// unfit matches pluggy's error for a plugin that does not fit this version of pytest.
var unfit = regexp.MustCompile(`PluginValidationError: (?:Plugin|unknown hook \S+ in plugin) ['<]?([\w.-]+)`)

// broken reports an exception outside of any test that ended the session.
func (j *testJudge) broken(of *part, where string) *verdict.Problem {
	f := of.events.fault
	if f == nil {
		text := of.ran.Stdout + "\n" + of.ran.Stderr
		p := j.problem(RunnerKilled, of.prefix()+"pytest failed internally (exit code 3): %s%s", lastError(text), where)
		p.Next = "Look at the plugin or hook that raised it: the traceback is at the end of the output"
		if m := unfit.FindStringSubmatch(text); m != nil {
			p.Next = fmt.Sprintf("The plugin %s does not fit the pytest that is installed: allow a newer version of the plugin, "+
				"or an older pytest, in the requirements", m[1])
		}
		return p
	}
	at := ""
	if f.file != "" {
		at = fmt.Sprintf(" at line %d of %s", f.line, f.file)
	}
	p := j.problem(RunnerKilled, "%spytest failed internally (exit code 3): %s%s: %s%s%s", of.prefix(), f.kind, at, firstLine(f.text),
		of.events.during(f.file), where)
	p.Next = "Look at the plugin or hook that raised it: the traceback is at the end of the output"
	if j.in.Workers != "" && j.in.Selective() { // how pytest-xdist ends if pytest rejects an expression
		p.Next = "Run it without --workers, which hides what pytest says of " + selectionWords(j.in, nil)
	}
	return p
}

// during names the module that was being loaded, unless it has been named already.
func (e *events) during(named string) string {
	// If an exception ends the collection, nothing was collected.
	if e.loading == "" || e.collected > 0 || e.loading == named {
		return ""
	}
	return " while pytest loaded " + e.loading
}

func memoryHint(code int) string {
	if code == 137 {
		return "; it may have run out of memory"
	}
	return ""
}

// internal reports whether the only failure is the one for which pytest reports an internal error.
func internal(r *junit.Report) bool {
	return r.Bad() == 1 && len(r.Failures) == 1 && r.Failures[0].ID() == "pytest::internal"
}
