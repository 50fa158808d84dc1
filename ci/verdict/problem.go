package verdict

import (
	"fmt"
	"regexp"
	"strings"
)

// Code names one kind of failure or warning. Codes are an interface for users: documented, searchable and never renamed.
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
	// Cause says in one line what was found: names, values, limits.
	Cause string
	// Next is the command or action that helps; Code.Remedy when empty.
	Next string
	// Published names what is visible to others despite the failure.
	Published []string
	// Details are additional lines, such as failed assertions or the end of a log.
	Details []string
}

// Problemf makes a Problem with a formatted cause.
func Problemf(code Code, format string, args ...any) *Problem {
	return &Problem{Code: code, Cause: fmt.Sprintf(format, args...)}
}

// Error renders the problem as users see it: FAIL <stage> <CODE>: <cause>. Published: <what>. Next: <command>. It has only
// its own Published; Run.Failures has that of the whole run.
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

// typed matches a remedy that ends in a command. A full stop after it would be copied with the command.
var typed = regexp.MustCompile(`(?:^|: )((?:openstack-rca|dagger call|uv|pip|poetry|pdm|pipenv|git|docker|python) [^;]+)$`)

// stopped returns a sentence with a full stop.
func stopped(sentence string) string {
	if strings.HasSuffix(sentence, "?") || strings.HasSuffix(sentence, "!") {
		return sentence
	}
	return sentence + "."
}
