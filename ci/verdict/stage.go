// Package verdict holds the results of a run: a verdict for each stage, its evidence, and the
// reports.
//
// A stage that should run ends with one of three verdicts: pass, fail or could-not-run. A stage
// that should not run (the branch policy excludes it, or this runner does not support it) is
// not-run, with the reason; it counts neither as a pass nor as a failure.
//
// The data are in stage.go, run.go, problem.go, codes.go and block.go. clean.go makes them safe
// to show, with package safetext. The render_*.go files render them, and report_dir.go writes
// the report directory.
package verdict

import (
	"fmt"
	"time"
)

// Outcome is the verdict on a stage or a run.
type Outcome string

// The outcomes. CouldNotRun never counts as Pass.
const (
	Pass        Outcome = "pass"
	Fail        Outcome = "fail"
	CouldNotRun Outcome = "could-not-run"
	NotRun      Outcome = "not-run"
)

// Stage is the verdict on one stage with its evidence.
type Stage struct {
	// Name is one of Stages.
	Name string `json:"name"`
	// Verdict is the outcome; Problems are empty exactly when it is Pass or NotRun.
	Verdict Outcome `json:"verdict"`
	// Code and Cause are those of the first problem, or the reason why the stage did not run.
	Code  string `json:"code"`
	Cause string `json:"cause"`
	// Next is the remedy.
	Next string `json:"next,omitempty"`
	// Problems are all failures, the most severe first.
	Problems []Finding `json:"problems,omitempty"`
	// Warnings did not fail the stage.
	Warnings []Finding `json:"warnings,omitempty"`
	// Published lists what the stage made visible to others.
	Published []string `json:"published,omitempty"`
	// Seconds is how long the stage took in this run.
	Seconds float64 `json:"seconds"`
	// Evidence is the basis of the verdict, most important first.
	Evidence []Evidence `json:"evidence"`
	// Measures are numeric measurements, for metrics and trends.
	Measures []Measure `json:"measures,omitempty"`
	// Deployment is the change of a service; nil if the stage is not about one.
	Deployment *Deployment `json:"deployment,omitempty"`
	// Blocks are the tables and charts of the report.
	Blocks []Block `json:"-"`
	// Notes are remarks about lines of the source, for code hosts.
	Notes []Note `json:"-"`
	// Files are further files for the report directory (JUnit, coverage HTML, model
	// card), by path relative to the report's root: contents, or a local path.
	Files []ReportFile `json:"-"`
}

// Finding is a Problem or a warning as the report shows it.
type Finding struct {
	Code    string   `json:"code"`
	Cause   string   `json:"cause"`
	Next    string   `json:"next,omitempty"`
	Details []string `json:"details,omitempty"`
	// Remark is set for a warning that needs no action. Reports list it separately.
	Remark bool `json:"remark,omitempty"`
}

// Evidence is one measured fact.
type Evidence struct {
	// Name is what was measured: "line coverage", "model sha256".
	Name string `json:"name"`
	// Value is what was found.
	Value string `json:"value"`
	// Want is the gate's condition; empty for a fact without a gate.
	Want string `json:"want,omitempty"`
	// OK is whether the value passed the gate; true for a fact without a gate.
	OK bool `json:"ok"`
}

// ReportFile is a file that a stage adds to the report directory.
type ReportFile struct {
	// Path is slash-separated and relative to the report directory.
	Path string
	// Content is the file's content, unless Local is set.
	Content []byte
	// Local is a file or directory of this process's file system to copy.
	Local string
}

// Judge sets the stage's verdict: Pass without problems, otherwise the outcome of the most severe problem (Fail before
// CouldNotRun), whose code and cause become the stage's. It returns the stage for chaining.
func (s *Stage) Judge(problems ...*Problem) *Stage {
	s.Verdict, s.Code, s.Cause, s.Next, s.Problems = Pass, "", "", "", nil
	var ordered []*Problem
	for _, outcome := range []Outcome{Fail, CouldNotRun} {
		for _, p := range problems {
			// A code without an outcome is a bug in this program; it must not pass.
			if p != nil && (p.Code.Outcome == CouldNotRun) == (outcome == CouldNotRun) {
				ordered = append(ordered, p)
			}
		}
	}
	for _, p := range ordered {
		next := p.Next
		if next == "" {
			next = p.Code.Remedy
		}
		s.Problems = append(s.Problems, Finding{Code: p.Code.Name, Cause: p.Cause, Next: next, Details: p.Details})
		s.Published = appendNew(s.Published, p.Published...)
	}
	if len(ordered) > 0 {
		first := s.Problems[0]
		s.Verdict, s.Code, s.Cause, s.Next = Fail, first.Code, first.Cause, first.Next
		if ordered[0].Code.Outcome == CouldNotRun {
			s.Verdict = CouldNotRun
		}
	}
	return s
}

// Warn adds a warning of the given code.
func (s *Stage) Warn(code Code, format string, args ...any) {
	s.Warnings = append(s.Warnings, Finding{Code: code.Name, Cause: fmt.Sprintf(format, args...), Next: code.Remedy})
}

// WarnNext is Warn with a specific remedy; if next is empty, the code's remedy is used.
func (s *Stage) WarnNext(code Code, next, format string, args ...any) {
	if next != "" {
		code.Remedy = next
	}
	s.Warn(code, format, args...)
}

// Remark adds a warning that needs no action.
func (s *Stage) Remark(code Code, format string, args ...any) {
	s.Warn(code, format, args...)
	s.Warnings[len(s.Warnings)-1].Remark = true
}

// Add adds a fact without a gate.
func (s *Stage) Add(name, value string) {
	s.Evidence = append(s.Evidence, Evidence{Name: name, Value: value, OK: true})
}

// Reused is the name of the evidence for work that an earlier run did with the same inputs.
const Reused = "reused"

// Reuse adds that evidence if the work was done before the stage asked for it at called.
func (s *Stage) Reuse(done, called time.Time) {
	if !done.IsZero() && done.Before(called.Add(-time.Second)) {
		s.Add(Reused, "the result of a run at "+done.UTC().Format("2006-01-02 15:04:05 UTC")+" with the same inputs")
	}
}

// Gate adds a fact that has a gate.
func (s *Stage) Gate(name, value, want string, ok bool) {
	s.Evidence = append(s.Evidence, Evidence{Name: name, Value: value, Want: want, OK: ok})
}

// Failure returns the line that users see for a stage that did not pass, otherwise an empty string. It has only this stage's
// published things; Run.Failures has those of the run.
func (s *Stage) Failure() string {
	if s.Verdict == Pass || s.Verdict == NotRun {
		return ""
	}
	return (&Problem{Code: Code{Name: s.Code, Stage: s.Name}, Cause: s.Cause, Next: s.Next, Published: s.Published}).Error()
}

// Took records the stage's duration since start.
func (s *Stage) Took(start time.Time) { s.Seconds = time.Since(start).Seconds() }
