package verdict

import (
	"fmt"
	"regexp"
	"strings"
)

// Code names one way to fail, or one warning. Codes are part of the contract with
// users: documented, searchable, never renamed.
type Code struct {
	// Name is upper case with underscores: "TESTS_FAILED".
	Name string
	// Stage is the stage that raises it, or "preflight".
	Stage string
	// Meaning is what was found, in one sentence.
	Meaning string
	// Remedy is what to do, in one sentence.
	Remedy string
	// Outcome is Fail or CouldNotRun; empty for a warning.
	Outcome Outcome
}

// Problem is one failure of a stage. It implements error.
type Problem struct {
	// Code is the kind of failure.
	Code Code
	// Cause is what exactly was found, in one line: names, values, limits.
	Cause string
	// Next is the command or action that helps; Code.Remedy when empty.
	Next string
	// Published names what others can see despite the failure.
	Published []string
	// Details are further lines: the failing assertions, the end of a log.
	Details []string
}

// Problemf makes a Problem with a formatted cause.
func Problemf(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Cause: fmt.Sprintf(format, args...)}
}

// Error renders the problem in the form that users see:
// FAIL <stage> <CODE>: <cause>. Published: <what>. Next: <command>. It knows only its own Published;
// Run.Failures counts the whole run.
func (p *Problem) Error() string {
	published := "nothing"
	if len(p.Published) > 0 {
		published = strings.Join(p.Published, ", ")
	}
	next := p.Next
	if next == "" {
		next = p.Code.Remedy
	}
	next = strings.TrimRight(next, ".")
	if !typed.MatchString(next) {
		next = stopped(next)
	}
	return fmt.Sprintf("FAIL %s %s: %s Published: %s. Next: %s", p.Code.Stage, p.Code.Name,
		stopped(strings.TrimRight(p.Cause, ".")), published, next)
}

// typed is a text that ends in a command: a full stop behind it would be typed too.
var typed = regexp.MustCompile(`(?:^|: )((?:openstack-rca|dagger call|uv|pip|poetry|pdm|pipenv|git|docker|python) [^;]+)$`)

// stopped is a sentence with its end.
func stopped(sentence string) string {
	if strings.HasSuffix(sentence, "?") || strings.HasSuffix(sentence, "!") {
		return sentence
	}
	return sentence + "."
}
