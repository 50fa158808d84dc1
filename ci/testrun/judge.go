package testrun

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// pytest's exit codes, https://docs.pytest.org/en/stable/reference/exit-codes.html.
const (
	exitOK          = 0
	exitFailed      = 1
	exitInterrupted = 2
	exitInternal    = 3
	exitUsage       = 4
	exitNone        = 5
	exitWarnings    = 6
)

// shown limits how many failures the terminal and the summary name.
const shown = 20

// unreadable returns the code for an unreadable report: it is not a regular file, or it is malformed.
func unreadable(err error) verdict.Code {
	if _, odd := errors.AsType[*runner.FileError](err); odd {
		return runner.CodeOutputUnusable
	}
	return ReportMalformed
}

// testJudge compares what the runs left behind with the plan.
type testJudge struct {
	*Result
	*plan
	*outcome
}

// judgeRun judges whether the tests ran and passed. The most serious problem comes first: the one that casts doubt on
// everything else.
func judgeRun(result *Result, p *plan, found *outcome) {
	j := &testJudge{result, p, found}
	incomplete := false
	for _, p := range j.parts {
		p.incomplete = j.judgeEnd(p)
		incomplete = incomplete || p.incomplete
	}
	report := j.JUnit
	for _, p := range j.parts {
		switch {
		case p.junitErr != nil:
			j.fail(unreadable(p.junitErr), "%s%v", p.prefix(), p.junitErr)
		case p.report == nil && !p.incomplete:
			j.judgeMissing(p)
		}
	}
	if j.junitErr != nil && j.parts[0].junitErr == nil {
		j.fail(ReportMalformed, "%v", j.junitErr)
	}
	if report == nil {
		for _, p := range j.parts {
			if p.eventsErr != nil {
				j.Stage.Warn(EventsMissing, "%s%v", p.prefix(), p.eventsErr)
			}
		}
		return
	}
	j.events.complete(report.Failures)
	j.judgeTests(report, incomplete)
	for _, p := range j.parts {
		if p.report != nil && !p.incomplete {
			j.judgeAgreement(p)
			j.judgeSeal(p)
		} else if p.eventsErr != nil {
			j.Stage.Warn(EventsMissing, "%s%v", p.prefix(), p.eventsErr)
		}
	}
	if len(j.parts) > 1 && !incomplete && len(report.CollectionErrors) == 0 {
		if wrong := checkPartition(j.parts); len(wrong) > 0 {
			j.problem(ReportDisagrees, "%s", names(wrong, 3)).Details = wrong[:min(len(wrong), shown)]
		}
	}
	if flaky := slices.Compact(slices.Sorted(slices.Values(j.flaky))); len(flaky) > 0 {
		j.Stage.Warn(FlakyTests, "%d: %s", len(flaky), names(flaky, shown))
	}
}

// judgeEnd reports whether a part ended prematurely.
func (j *testJudge) judgeEnd(of *part) (incomplete bool) {
	running := of.events.running()
	where := of.events.during("")
	if len(running) > 0 {
		where = " while " + names(running, 3) + " ran"
	}
	if of.events.seen && of.events.finished() > 0 {
		where += fmt.Sprintf(" (%d tests had ended before)", of.events.finished())
	}
	code, ran := of.ran.ExitCode, of.ran
	var p *verdict.Problem
	switch {
	case ran.TimedOut:
		p = j.problem(Timeout, of.prefix()+"the tests did not end within %s: they were stopped%s", time.Duration(j.in.Config.Test.Timeout), where)
	case code > 128:
		p = j.problem(RunnerKilled, of.prefix()+"signal %d (exit code %d) ended the test run%s%s", code-128, code, where, memoryHint(code))
	case of.events.fault != nil && of.events.fault.kind == "SystemExit":
		p = j.exited(of)
	case code == exitInternal:
		p = j.broken(of, where)
	case len(running) > 0 && !of.events.ended:
		p = j.problem(RunnerKilled, of.prefix()+"the process ended with exit code %d%s", code, where)
	case code == exitInterrupted && (of.report == nil || len(of.report.CollectionErrors) == 0) && of.events.seen && !of.hasFailed():
		p = j.problem(RunnerKilled, of.prefix()+"pytest was interrupted (exit code 2)%s", where)
	case code == exitUsage && of.report != nil && of.report.Total() == 0 && len(of.report.CollectionErrors) == 0:
		p = j.refused(of)
	default:
		return false
	}
	if len(running) > 0 {
		p.Next = j.in.again(running[0])
	}
	p.Details = slices.Concat(running[:min(len(running), shown)], tail(ran, 20))
	return true
}

// judgeMissing explains why there is no report.
func (j *testJudge) judgeMissing(of *part) {
	text := of.ran.Stdout + "\n" + of.ran.Stderr
	var p *verdict.Problem
	switch {
	case strings.Contains(text, "while loading conftest"):
		p = j.problem(CollectionError, "a conftest.py could not be loaded: %s", lastError(text))
		p.Next = j.project.MissingNext(text)
	case of.ran.ExitCode == exitUsage:
		p = j.problem(UsageError, "pytest refused its command line or configuration: %s", lastError(text))
		p.Next = cmp.Or(j.project.MissingNext(lastError(text)), p.Next)
	case strings.Contains(text, "run "+j.in.Config.Test.Command[0]+": "):
		p = j.problem(ReportMissing, "test.command begins with %s, which is not in the environment of the tests", j.in.Config.Test.Command[0])
		p.Next = notInstalled(j.in.Config.Test.Command)
	default:
		p = j.problem(ReportMissing, "the command ended with exit code %d and left no %s: %s", of.ran.ExitCode, junitFile, lastError(text))
	}
	p.Details = tail(of.ran, 20)
}

// notInstalled is the remedy for a command that is missing from the environment: the pipeline creates the environment itself,
// unlike other tools.
func notInstalled(command []string) string {
	if len(command) > 2 && command[1] == "run" {
		return fmt.Sprintf("The pipeline installs the packages itself, so leave %s run out: test.command: [%s]",
			command[0], strings.Join(command[2:], ", "))
	}
	return fmt.Sprintf("The pipeline installs the packages itself: set test.command to what %s runs, such as [python, -m, pytest, tests]",
		command[0])
}

// lastError returns the line of the output that most likely has the error.
func lastError(text string) string {
	lines := safetext.LastLines(text, 200)
	for _, marks := range []func(string) bool{
		func(line string) bool { return strings.Contains(line, "rror: ") },
		func(line string) bool { return strings.HasPrefix(line, "ERROR") },
	} {
		for i := len(lines) - 1; i >= 0; i-- {
			if line := strings.TrimSpace(strings.TrimPrefix(lines[i], "E ")); marks(line) {
				return line
			}
		}
	}
	if len(lines) == 0 {
		return "it printed nothing"
	}
	return lines[len(lines)-1]
}

// tail returns the end of the run's output.
func tail(ran *runner.Result, n int) []string {
	return append(safetext.LastLines(unsealed(ran.Stdout), n), safetext.LastLines(ran.Stderr, n)...)
}

// judgeTests judges the tests in the report.
func (j *testJudge) judgeTests(r *junit.Report, incomplete bool) {
	if n := len(r.CollectionErrors); n > 0 {
		var files []string
		for _, c := range r.CollectionErrors {
			files = append(files, c.ID())
		}
		p := j.problem(CollectionError, "%s could not be loaded, so %s tests did not run", names(files, 3), plural(n, "its", "their"))
		p.Details = j.events.details(r.CollectionErrors)
		p.Next = j.afterwards(j.project.MissingNext(strings.Join(p.Details, "\n")), files[0])
		if said := lacks(r.CollectionErrors); said != "" {
			p.Cause += ": " + said
		}
		j.lacking(p, r.CollectionErrors)
	}
	switch {
	case r.Total() == 0:
		if len(r.CollectionErrors) == 0 && !incomplete {
			p := j.problem(NoTests, "pytest found no test with %s", strings.Join(j.in.Config.Test.Command, " "))
			if left := j.events.left.words(); left != "" {
				p.Cause, p.Next = p.Cause+left, TestsDeselected.Remedy
			}
			if j.in.Selective() {
				p.Cause += ", by " + selectionWords(j.in, nil)
				p.Next = "Correct the selection, or leave it out: no test of the source has what it asks for"
			}
			if !slices.ContainsFunc(j.source, func(name string) bool { return glob.MatchAny(conventional[:2], name) }) {
				p.Cause += "; no file of the source is named test_*.py or *_test.py"
				p.Next = cmp.Or(pyenv.OtherTestsNext(j.source),
					"Write a test, such as tests/test_main.py: without tests that passed nothing is published")
			}
		}
	case r.Executed() == 0:
		j.problem(AllSkipped, "none of %d tests ran: %s", r.Total(), r.Counts).Details = reasons(r)
	}
	own := incomplete && internal(r) // an internal error of pytest, which has its own problem
	if r.Bad() > 0 && !own {
		p := j.problem(TestsFailed, "%d of %d tests: %s", r.Bad(), r.Total(), failed(r.Failures, 3, r.Bad()))
		missing := ""
		if said := r.Failures[0].Message; !strings.HasPrefix(strings.ToLower(said), "assert") { // which may compare such a text
			missing = j.project.MissingNext(said)
		}
		p.Next = j.afterwards(missing, r.Failures[0].ID())
		j.lacking(p, r.Failures)
		p.Details = j.events.details(r.Failures)
		if more := r.Bad() - min(len(r.Failures), shown); more > 0 {
			p.Details = append(p.Details, fmt.Sprintf("and %d more, in test/%s", more, junitFile))
		}
	}
	if floor := j.in.Config.Test.MinTests; floor > r.Total() && !j.selective && !incomplete {
		j.fail(TooFewTests, "there are %d tests, at least %d are demanded%s", r.Total(), floor, j.events.left.words())
	}
	if j.stopped() && !own {
		at := slices.IndexFunc(j.problems, func(p *verdict.Problem) bool { return p.Code.Name == TestsFailed.Name })
		if note := j.stoppedWords(); at >= 0 {
			j.problems[at].Cause += "; " + note
		} else {
			// They passed when they were run again; the others never ran.
			j.fail(ReportDisagrees, "%s", note)
		}
	}
	if limit := j.in.Config.Test.MaxSkipped; limit >= 0 && r.Skipped > limit {
		j.problem(TooManySkipped, "%s skipped, %d may be", safetext.Count(r.Skipped, "test was", "tests were"), limit).Details = reasons(r)
	}
}

// lacks returns the error about the first of some modules that cannot be found, or an empty string if all were found.
func lacks(cases []junit.Case) string {
	for _, c := range cases {
		if said := pyenv.NoModule.FindString(c.Message + "\n" + strings.Join(c.Tail, "\n")); said != "" {
			return said
		}
	}
	return ""
}

// exceeded matches pytest's message about more warnings than its setting allows.
var exceeded = regexp.MustCompile(`maximum allowed warnings exceeded: (\d+ > \d+)`)

// judgeAgreement checks that a part's exit code, report and events agree with each other.
func (j *testJudge) judgeAgreement(of *part) {
	var wrong []string
	r, code := of.report, of.ran.ExitCode
	bad := r.Bad() > 0 || len(r.CollectionErrors) > 0
	switch {
	case code == exitOK && bad:
		wrong = append(wrong, fmt.Sprintf("the exit code is 0, the report holds %d failures", r.Bad()+len(r.CollectionErrors)))
	case code == exitNone && r.Total() > 0:
		wrong = append(wrong, fmt.Sprintf("the exit code says that no test ran, the report holds %d", r.Total()))
	case code == exitWarnings && !bad:
		p := j.problem(TooManyWarnings, "%spytest's --max-warnings is exceeded", of.prefix())
		if m := exceeded.FindStringSubmatch(of.ran.Stdout); m != nil {
			p.Cause += ": " + m[1]
		}
		p.Details = tail(of.ran, 20)
	case code != exitOK && code != exitNone && !bad:
		wrong = append(wrong, fmt.Sprintf("the exit code is %d, the report holds no failure", code))
	}
	wrong = append(wrong, r.Disagreements...)
	if of.events.seen {
		if ended := of.events.finished(); ended > r.Total() {
			wrong = append(wrong, fmt.Sprintf("%d tests ended, the report holds %d", ended, r.Total()))
		}
		if failed := of.events.bad(); failed > r.Bad() {
			wrong = append(wrong, fmt.Sprintf("%d tests failed while they ran, the report holds %d", failed, r.Bad()))
		}
		if status := of.events.before; status != 0 {
			wrong = append(wrong, fmt.Sprintf("an earlier pytest of the same command ended with status %d, and the reports are of the last one",
				status))
		}
		if n := len(of.events.turned); n > 0 {
			wrong = append(wrong, fmt.Sprintf("%s an error and %s reported as passed: %s",
				plural(n, "one test raised", strconv.Itoa(n)+" tests raised"),
				plural(n, "was", "were"), names(of.events.turned, 3)))
		}
		if status := of.events.status; status != exitOK && status != exitNone && code == exitOK && !bad {
			wrong = append(wrong, fmt.Sprintf("pytest ended with status %d, its process with 0", status))
		}
		if of.events.collected > len(of.events.order) && code == exitOK {
			wrong = append(wrong, fmt.Sprintf("%d tests were collected and %d were started", of.events.collected, len(of.events.order)))
		}
	}
	if len(wrong) > 0 {
		j.problem(ReportDisagrees, "%s%s", of.prefix(), strings.Join(wrong, "; ")).Details = tail(of.ran, 10)
	}
}

// details lists the failures for a person: name, assertion, last lines.
func (e *events) details(cases []junit.Case) []string {
	var out []string
	for _, c := range cases[:min(len(cases), shown)] {
		out = append(out, c.ID()+": "+firstLine(c.Message))
		for _, line := range excerpt(c) {
			out = append(out, "    "+line)
		}
		if t := e.tests[c.ID()]; t != nil && len(t.parts) > 1 {
			for _, part := range t.parts {
				out = append(out, "    - "+part)
			}
		}
		for _, line := range c.Output[max(0, len(c.Output)-6):] {
			out = append(out, "    | "+line)
		}
	}
	return out
}

func failed(cases []junit.Case, n, total int) string {
	var parts []string
	for _, c := range cases[:min(n, len(cases))] {
		part := c.ID()
		if m := firstLine(c.Message); m != "" {
			part += " (" + m + ")"
		}
		parts = append(parts, part)
	}
	if total > len(parts) {
		parts = append(parts, fmt.Sprintf("and %d more", total-len(parts)))
	}
	return strings.Join(parts, ", ")
}

// unprepared matches pytest's text for a test whose fixtures failed, in which the location comes before the reason.
var unprepared = regexp.MustCompile(`^(failed on (?:setup|teardown)) with "file [^\n]*\n(?:[^\n]*\n)*?E\s+([^\n"]+)`)

func firstLine(text string) string {
	if m := unprepared.FindStringSubmatch(text); m != nil {
		return m[1] + ": " + m[2]
	}
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// reasons lists the reasons of skipped tests, most frequent first.
func reasons(r *junit.Report) []string {
	var out []string
	for _, reason := range sortedByCount(r.SkipReasons) {
		out = append(out, fmt.Sprintf("%d skipped: %s", r.SkipReasons[reason], reason))
	}
	return out[:min(len(out), shown)]
}

// names lists the first n names.
func names(all []string, n int) string {
	text := strings.Join(all[:min(n, len(all))], ", ")
	if len(all) > n {
		text += fmt.Sprintf(" and %d more", len(all)-n)
	}
	return text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}

var errStale = errors.New("the report is older than the run")
