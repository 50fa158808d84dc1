package verdict

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// Budget is the target for the duration of a whole run, from the pipeline document. A slower run gets a warning; it does not
// fail.
const Budget = 15 * time.Minute

// maxFailures limits the problems of a stage that an error lists, maxPublished the published things, and publishedRoom their
// characters, so that the remedy after them stays visible.
const (
	maxFailures   = 50
	maxPublished  = 10
	publishedRoom = 800
)

// Preflight is the name of the part before the first stage. It reads the source, the configuration and the arguments.
const Preflight = "preflight"

// Run is the verdict on a whole run, with the identity of its content: commit, tree, and the digests of model and image.
type Run struct {
	// Verdict is the overall outcome, set by Judge. Code and Cause are those of the stage that determined it, and empty for a
	// pass.
	Verdict Outcome `json:"verdict"`
	Code    string  `json:"code"`
	Cause   string  `json:"cause"`

	// Application is the application's name, Environment the environment's.
	Application string `json:"application,omitempty"`
	Environment string `json:"environment"`
	// Ref and Commit are the branch and revision of the run.
	Ref    string `json:"ref"`
	Commit string `json:"commit"`
	// Tree is the digest of the source as the stages saw it.
	Tree string `json:"tree"`
	// Runner is "engine" or "native", Module the version of this program.
	Runner string `json:"runner,omitempty"`
	Module string `json:"module,omitempty"`

	// Started is when the run began, Seconds how long it took.
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	// BudgetSeconds is the target for its duration; 0 means Budget.
	BudgetSeconds float64 `json:"budget_seconds"`

	// Preflight has the problems found before the first stage, or is nil.
	Preflight *Stage `json:"preflight,omitempty"`
	// Stages has the verdicts in pipeline order.
	Stages []Stage `json:"stages"`
	// Critical lists the stages that determine the run's duration, in order. Of concurrent stages it has the slowest.
	Critical []string `json:"critical_path,omitempty"`
	// Warnings are about the run as a whole.
	Warnings []Finding `json:"warnings,omitempty"`

	// ModelSHA256 is the hash of the gated model file, ModelVersion its published
	// version; Image is the image's reference by digest, ImageDigest the digest alone.
	ModelSHA256  string `json:"model_sha256,omitempty"`
	ModelVersion string `json:"model_version,omitempty"`
	Image        string `json:"image,omitempty"`
	ImageDigest  string `json:"image_digest,omitempty"`

	// Redact masks secrets in all strings of all reports; see safetext.Redact. Nil masks nothing.
	Redact func(string) string `json:"-"`
}

// Refuse records problems found before the first stage. A refused run fails.
func (r *Run) Refuse(problems ...*Problem) *Run {
	stage := Stage{Name: Preflight}
	r.Preflight = stage.Judge(problems...)
	return r
}

// Stage returns the named stage of the run, or nil.
func (r *Run) Stage(name string) *Stage {
	for i := range r.Stages {
		if r.Stages[i].Name == name {
			return &r.Stages[i]
		}
	}
	return nil
}

// Judge computes the run's verdict: Fail if any stage failed, otherwise CouldNotRun if any could not run, otherwise Pass if
// at least one passed. NotRun stages do not count. Invalid verdicts are corrected first: an unknown one, and a pass despite
// problems or a failed gate. It may be called again after stages were added.
func (r *Run) Judge() *Run {
	if r.BudgetSeconds <= 0 {
		r.BudgetSeconds = Budget.Seconds()
	}
	r.Verdict, r.Code, r.Cause = "", "", ""
	passed := false
	for _, outcome := range []Outcome{Fail, CouldNotRun} {
		for _, s := range r.all() {
			s.settle()
			passed = passed || s.Verdict == Pass
			if s.Verdict == outcome && r.Verdict == "" {
				r.Verdict, r.Code, r.Cause = outcome, s.Code, s.Cause
			}
		}
	}
	switch {
	case r.Verdict != "":
	case passed:
		r.Verdict = Pass
	default:
		r.Verdict, r.Code, r.Cause = CouldNotRun, CodeNothingRan.Name, "no stage ran to a verdict"
	}
	r.warnOverBudget()
	return r
}

func (r *Run) warnOverBudget() {
	kept := r.Warnings[:0:0]
	for _, w := range r.Warnings {
		if w.Code != CodeOverBudget.Name {
			kept = append(kept, w)
		}
	}
	r.Warnings = kept
	if r.Seconds > r.BudgetSeconds {
		r.Warn(CodeOverBudget, "the run took %s, the budget is %s", seconds(r.Seconds), seconds(r.BudgetSeconds))
	}
}

// Warn adds a warning about the run as a whole.
func (r *Run) Warn(code Code, format string, args ...any) {
	r.Warnings = append(r.Warnings, Finding{Code: code.Name, Cause: fmt.Sprintf(format, args...), Next: code.Remedy})
}

// Remark adds a warning about the whole run that needs no action.
func (r *Run) Remark(code Code, format string, args ...any) {
	r.Warn(code, format, args...)
	r.Warnings[len(r.Warnings)-1].Remark = true
}

// Failures returns one line per problem that keeps the run from passing: FAIL <stage> <CODE>: <cause>. Published: <what>.
// Next: <command>. Published covers the whole run, whichever stage failed, because people on call act on it. A passed run has
// no lines. From the 51st problem of a stage on, only the number is given. A stage that did not start because of another has
// no line of its own.
func (r *Run) Failures() []string {
	var lines []string
	more := 0
	published := shorten(r.published())
	for _, s := range r.toSolve() {
		problems := s.Problems
		if len(problems) == 0 {
			problems = []Finding{{Code: s.Code, Cause: s.Cause, Next: s.Next}}
		}
		for i, p := range problems {
			if i >= maxFailures {
				more += len(problems) - i
				break
			}
			line := (&Problem{Code: Code{Name: p.Code, Stage: s.Name}, Cause: p.Cause, Next: p.Next, Published: published}).Error()
			lines = append(lines, r.clean().line(line, maxLine))
		}
	}
	if more > 0 {
		lines = append(lines, safetext.Count(more, "more problem is in ", "more problems are in ")+ReportJSON)
	}
	if len(lines) == 0 && r.Verdict != Pass {
		nothing := &Problem{Code: CodeNothingRan, Cause: "no stage ran to a verdict", Published: published}
		lines = append(lines, nothing.Error())
	}
	return lines
}

// published lists what the run made visible to others, in stage order, without repetitions.
func (r *Run) published() []string {
	var all []string
	for _, s := range r.all() {
		all = appendNew(all, s.Published...)
	}
	return all
}

// appendNew appends the items that the list does not contain.
func appendNew(list []string, items ...string) []string {
	for _, item := range items {
		if !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return list
}

// shorten keeps the first published things and the number of the others.
func shorten(published []string) []string {
	room := publishedRoom
	for i, p := range published {
		if room -= len(p); i > 0 && room < 0 || i == maxPublished {
			return append(slices.Clone(published[:i]), fmt.Sprintf("%d more", len(published)-i))
		}
	}
	return published
}

// Enforce returns nil for a run that passed, otherwise a NotPassed error.
func (r *Run) Enforce() error {
	if r.Verdict == "" {
		r.Judge()
	}
	if r.Verdict == Pass {
		return nil
	}
	return &NotPassed{Verdict: r.Verdict, Lines: r.Failures()}
}

// NotPassed is the error of a run or stage that did not pass.
type NotPassed struct {
	// Verdict is Fail or CouldNotRun.
	Verdict Outcome
	// Lines are the failures, as users see them.
	Lines []string
}

// Error implements error.
func (e *NotPassed) Error() string { return strings.Join(e.Lines, "\n") }

// Blocked is the code of a stage that did not start because an earlier one did not pass.
const Blocked = "BLOCKED"

// toSolve returns the stages that keep the run from passing, without those that only wait for another one.
func (r *Run) toSolve() []*Stage {
	var own, blocked []*Stage
	for _, s := range r.all() {
		switch {
		case s.Verdict == Pass || s.Verdict == NotRun:
		case s.Code == Blocked:
			blocked = append(blocked, s)
		default:
			own = append(own, s)
		}
	}
	if len(own) > 0 {
		return own
	}
	return blocked
}

// waiting returns the names of the stages that did not start because of those in toSolve.
func (r *Run) waiting() []string {
	var names []string
	for _, s := range r.all() {
		if s.Code == Blocked && !slices.Contains(r.toSolve(), s) {
			names = append(names, s.Name)
		}
	}
	return names
}

// all returns the preflight, if any, and the stages.
func (r *Run) all() []*Stage {
	var all []*Stage
	if r.Preflight != nil {
		all = append(all, r.Preflight)
	}
	for i := range r.Stages {
		all = append(all, &r.Stages[i])
	}
	return all
}

// settle corrects a verdict that contradicts the stage's findings. A stage without a verdict must not count as passed.
func (s *Stage) settle() {
	switch s.Verdict {
	case NotRun:
		return
	case Fail, CouldNotRun:
		if s.Code == "" && len(s.Problems) > 0 {
			s.Code, s.Cause, s.Next = s.Problems[0].Code, s.Problems[0].Cause, s.Problems[0].Next
		}
		if s.Code == "" {
			s.Code, s.Next = CodeNoVerdict.Name, CodeNoVerdict.Remedy
		}
		return
	case Pass:
		s.Code = ""
	default:
		s.Judge(Problemf(CodeNoVerdict.In(s.Name), "the stage ended with the verdict %q", string(s.Verdict)))
		return
	}
	if len(s.Problems) > 0 {
		first := s.Problems[0]
		s.Verdict, s.Code, s.Cause, s.Next = Fail, first.Code, first.Cause, first.Next
		return
	}
	for _, e := range s.Evidence {
		if !e.OK {
			s.Judge(Problemf(CodeInconsistent.In(s.Name), "%s is %s, wanted %s, but the stage's verdict is pass", e.Name, e.Value, e.Want))
			return
		}
	}
}

// seconds formats a duration: "0.4 s", "41 s", "3 min 12 s", "15 min".
func seconds(s float64) string {
	switch {
	case s < 10:
		return fmt.Sprintf("%.1f s", s)
	case s < 120:
		return fmt.Sprintf("%.0f s", s)
	default:
		d := time.Duration(s * float64(time.Second)).Round(time.Second)
		if whole := int(d.Minutes()); d == time.Duration(whole)*time.Minute {
			return fmt.Sprintf("%d min", whole)
		}
		return fmt.Sprintf("%d min %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
}

// criticalPath renders Critical with the duration of each stage. It is empty if it would repeat the list of stages.
func (r *Run) criticalPath() string {
	if len(r.Critical) < 2 {
		return ""
	}
	var steps []string
	for _, name := range r.Critical {
		if stage := r.Stage(name); stage != nil {
			steps = append(steps, name+" "+stageTime(stage))
		}
	}
	return strings.Join(steps, " → ")
}
