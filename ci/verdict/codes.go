package verdict

import (
	"fmt"
	"slices"
	"strings"
)

// The codes of this package.
var (
	// CodeNoVerdict: a stage returned none of the valid verdicts.
	CodeNoVerdict = Code{Name: "NO_VERDICT", Stage: "any", Outcome: CouldNotRun,
		Meaning: "A stage ended without a verdict.",
		Remedy:  "Report this as a bug of the pipeline, with report.json"}
	// CodeInconsistent: a stage passed although one of its gates failed.
	CodeInconsistent = Code{Name: "VERDICT_INCONSISTENT", Stage: "any", Outcome: Fail,
		Meaning: "A stage's verdict was pass although one of its gates failed.",
		Remedy:  "Fix what the gate measured, and report the stage's verdict as a bug of the pipeline"}
	// CodeNothingRan: no stage passed, failed or could not run.
	CodeNothingRan = Code{Name: "NOTHING_RAN", Stage: Preflight, Outcome: CouldNotRun,
		Meaning: "No stage of the run reached a verdict, so nothing could have passed.",
		Remedy:  "Run `plan` to see which stages run for this ref, and why"}
	// CodeOverBudget is the warning of a run that took too long.
	CodeOverBudget = Code{Name: "OVER_BUDGET", Stage: Preflight,
		Meaning: "The run took longer than the target of 15 minutes.",
		Remedy:  "See the stage times in the report; a changed lock file or data set explains a slow run once"}
	// CodeGatesNone: a stage has no gate. It is a warning in the sandbox and a failure of publish
	// elsewhere; raise it as CodeGatesNone.In(stage).
	CodeGatesNone = Code{Name: "GATES_NONE", Stage: "any", Outcome: Fail,
		Meaning: "A stage has no gate, so any measurement would pass. The sandbox warns; other environments refuse to publish.",
		Remedy:  "Set a gate in pipeline.yaml: test.coverage.total, or train.gates"}
	// CodeNoTests: pytest found no test. The test stage raises it; the gate for publishing has one exception for it.
	CodeNoTests = Code{Name: "NO_TESTS", Stage: Test, Outcome: Fail,
		Meaning: "pytest found no test. In the sandbox a call of publish or image goes on all the same, and fails.",
		Remedy:  "Check test.command and test.inputs of pipeline.yaml, and that files are named test_*.py"}
	// CodeReportFile warns that a stage's file is missing from the report directory.
	CodeReportFile = Code{Name: "REPORT_FILE", Stage: Preflight,
		Meaning: "A stage's file could not be copied to the report directory.",
		Remedy:  "Read the cause; the verdicts do not depend on this file"}
)

// OwnCodes returns the codes this package raises itself.
func OwnCodes() []Code {
	return []Code{CodeNoVerdict, CodeInconsistent, CodeNothingRan, CodeOverBudget, CodeGatesNone, CodeReportFile}
}

// In returns the code as raised by the given stage.
func (c Code) In(stage string) Code {
	c.Stage = stage
	return c
}

// Codes merges the codes of all packages, sorted by stage order and name. The error lists every code that is incomplete or
// declared twice for a stage.
func Codes(groups ...[]Code) ([]Code, error) {
	var all []Code
	var wrong []string
	seen := map[string]bool{}
	for _, c := range slices.Concat(groups...) {
		all = append(all, c)
		id := c.Stage + " " + c.Name
		if seen[id] {
			wrong = append(wrong, id+": declared twice")
		}
		seen[id] = true
		for _, fault := range c.faults() {
			wrong = append(wrong, id+": "+fault)
		}
	}
	slices.SortFunc(all, func(a, b Code) int {
		if n := stageRank(a.Stage) - stageRank(b.Stage); n != 0 {
			return n
		}
		if n := strings.Compare(a.Stage, b.Stage); n != 0 {
			return n
		}
		return strings.Compare(a.Name, b.Name)
	})
	if len(wrong) > 0 {
		return all, fmt.Errorf("check codes: %s", strings.Join(wrong, "; "))
	}
	return all, nil
}

func (c Code) faults() []string {
	var faults []string
	if !isCodeName(c.Name) {
		faults = append(faults, "the name is not upper case with underscores")
	}
	if stageRank(c.Stage) == len(stageOrder()) {
		faults = append(faults, fmt.Sprintf("%q is not a stage", c.Stage))
	}
	if strings.TrimSpace(c.Meaning) == "" {
		faults = append(faults, "no meaning")
	}
	if strings.TrimSpace(c.Remedy) == "" {
		faults = append(faults, "no remedy")
	}
	if c.Outcome != "" && c.Outcome != Fail && c.Outcome != CouldNotRun {
		faults = append(faults, fmt.Sprintf("outcome %q is not that of a failure", string(c.Outcome)))
	}
	return faults
}

func isCodeName(name string) bool {
	for i, r := range name {
		letter := r >= 'A' && r <= 'Z'
		if !letter && (i == 0 || (r != '_' && (r < '0' || r > '9'))) {
			return false
		}
	}
	return name != "" && !strings.HasSuffix(name, "_")
}

func stageOrder() []string { return append([]string{Preflight, "any"}, Stages()...) }

func stageRank(stage string) int {
	if i := slices.Index(stageOrder(), stage); i >= 0 {
		return i
	}
	return len(stageOrder())
}
