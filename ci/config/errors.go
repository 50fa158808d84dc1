package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// maxProblems bounds how many problems of one file are reported.
const maxProblems = 100

// Problem is one thing that is wrong in a configuration.
type Problem struct {
	// File is the file's name, Line and Column count from 1; 0 when the problem is not
	// in one place.
	File         string
	Line, Column int
	// Key is the path of the key, such as "test.coverage.total"; empty for the whole file.
	Key string
	// Message is what is wrong and what would be right.
	Message string
}

// String renders the problem in the form of compilers: file:line:column: key: message.
func (p Problem) String() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	b.WriteString(": ")
	if p.Key != "" {
		b.WriteString(p.Key + ": ")
	}
	// Keys come from the file unchecked.
	return verdict.Line(b.String()+p.Message, 0)
}

// Errors is every problem of a configuration, in the order of the file.
type Errors struct{ Problems []Problem }

// Error lists the problems, one a line.
func (e *Errors) Error() string {
	lines := make([]string, 0, len(e.Problems))
	for _, p := range e.Problems {
		lines = append(lines, p.String())
	}
	return strings.Join(lines, "\n")
}

// Verdict is e as a problem of the run, whose details are the lines of Error.
func (e *Errors) Verdict() *verdict.Problem {
	p := verdict.Problemf(CodeInvalid, "%s has %d problems", FileName, len(e.Problems))
	if len(e.Problems) == 1 {
		p = verdict.Problemf(CodeInvalid, "%s", e.Problems[0])
		return p
	}
	for _, problem := range e.Problems {
		p.Details = append(p.Details, problem.String())
	}
	return p
}

// sorted orders the problems by place and drops duplicates.
func sorted(problems []Problem) *Errors {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		if a.Line != b.Line {
			return a.Line - b.Line
		}
		if a.Column != b.Column {
			return a.Column - b.Column
		}
		if n := strings.Compare(a.Key, b.Key); n != 0 {
			return n
		}
		return strings.Compare(a.Message, b.Message)
	})
	problems = slices.Compact(problems)
	if more := len(problems) - maxProblems; more > 0 {
		problems = append(problems[:maxProblems:maxProblems], Problem{File: FileName, Message: fmt.Sprintf("%d more problems", more)})
	}
	return &Errors{Problems: problems}
}
