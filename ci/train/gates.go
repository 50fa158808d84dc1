package train

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ratio are the metrics that are fractions by definition.
var ratio = regexp.MustCompile(`(?i)(^|[_\-./ ])(accuracy|acc|precision|recall|f1|auc|auroc|specificity|sensitivity)($|[_\-./ ])`)

// gateRow is one gate's outcome for the report.
type gateRow struct {
	metric, value, want, champion, outcome string
	ok                                     bool
}

// judgeGates holds the metrics against their gates in the manner of MLflow's
// MetricThreshold: an absolute bound, and a bound on the change against the champion.
// https://mlflow.org/docs/latest/api_reference/python_api/mlflow.models.html#mlflow.models.MetricThreshold
func judgeGates(stage *verdict.Stage, record *RunRecord, gates []config.Gate, champion *Champion, tolerance Tolerance) ([]gateRow, []*verdict.Problem) {
	var rows []gateRow
	var problems []*verdict.Problem
	for _, gate := range gates {
		row := gateRow{metric: gate.Metric, value: "none", want: wants(gate), outcome: "pass", ok: true}
		value, problem := metric(record, gate.Metric)
		if problem == nil {
			row.value = number(value)
			problem = bound(gate, value)
			if gate.AlertBelow != nil && value < *gate.AlertBelow {
				stage.Warn(ModelDegraded, "%s is %s, below the alert threshold of %s", gate.Metric, number(value), number(*gate.AlertBelow))
			}
			if champion != nil {
				known, regression := compare(stage, gate, value, champion, tolerance)
				row.champion = known
				if regression != nil {
					problems = append(problems, regression)
					row.outcome, row.ok = strings.ToLower(strings.ReplaceAll(regression.Code.Name, "_", " ")), false
				}
			}
		}
		if problem != nil {
			problems = append(problems, problem)
			row.outcome, row.ok = strings.ToLower(strings.ReplaceAll(problem.Code.Name, "_", " ")), false
		}
		// The comparison is evidence of its own.
		stage.Gate(gate.Metric, row.value, row.want, problem == nil)
		rows = append(rows, row)
	}
	return rows, problems
}

// metric is the final value of a metric, if it is one.
func metric(record *RunRecord, name string) (float64, *verdict.Problem) {
	if logged, invalid := record.Invalid[name]; invalid {
		return 0, verdict.Problemf(MetricInvalid, "%s is %s in %s", name, logged, record.Source)
	}
	value, ok := record.Metrics[name]
	switch {
	case !ok:
		return 0, verdict.Problemf(MetricsMissing, "%s has no metric %s; it has %s", record.Source, name, metricNames(record))
	case math.IsNaN(value) || math.IsInf(value, 0):
		return 0, verdict.Problemf(MetricInvalid, "%s is %v in %s", name, value, record.Source)
	case ratio.MatchString(name) && (value < 0 || value > 1):
		hint := ""
		if value > 1 && value <= 100 {
			hint = "; it looks like percent"
		}
		return 0, verdict.Problemf(MetricInvalid, "%s is %s in %s, not a fraction within 0..1%s", name, number(value), record.Source, hint)
	}
	return value, nil
}

func metricNames(record *RunRecord) string {
	names := make([]string, 0, len(record.Metrics))
	for name := range record.Metrics {
		names = append(names, name)
	}
	if len(names) == 0 {
		return "none"
	}
	slices.Sort(names)
	return clip(strings.Join(names, ", "), 200)
}

func bound(gate config.Gate, value float64) *verdict.Problem {
	if gate.Min != nil && value < *gate.Min {
		return verdict.Problemf(MetricBelow, "%s is %s, below its minimum of %s", gate.Metric, number(value), number(*gate.Min))
	}
	if gate.Max != nil && value > *gate.Max {
		return verdict.Problemf(MetricAbove, "%s is %s, above its maximum of %s", gate.Metric, number(value), number(*gate.Max))
	}
	return nil
}

// lowerIsBetter goes by what the gate says, else takes a gate with nothing but a maximum
// for one on a loss or an error.
func lowerIsBetter(gate config.Gate) bool {
	if gate.Better != "" {
		return gate.Better == "lower"
	}
	return gate.Max != nil && gate.Min == nil && gate.AlertBelow == nil
}

// compare holds a metric against the champion's: it must be better by what the gate
// demands, or may be worse by what it tolerates. It returns the champion's value for the report.
func compare(stage *verdict.Stage, gate config.Gate, value float64, champion *Champion, tolerance Tolerance) (string, *verdict.Problem) {
	known, ok := champion.Metrics[gate.Metric]
	if !ok {
		stage.Warn(NotCompared, "%s is not known for version %s", gate.Metric, champion.Version)
		return "unknown", nil
	}
	better := value - known
	if lowerIsBetter(gate) {
		better = -better
	}
	demanded := demand(gate, known, tolerance)
	// Sums of floats: 0.90-0.89 is a little more than 0.01.
	ok = better >= demanded-1e-9
	stage.Gate(gate.Metric+" against the champion", fmt.Sprintf("%s over %s of version %s", signed(better), number(known), champion.Version),
		"better by >= "+signed(demanded), ok)
	switch {
	case ok:
		return number(known), nil
	case better < 0:
		return number(known), verdict.Problemf(Regression, "%s is %s, worse than the %s of version %s in production by %s (at most %s is tolerated)",
			gate.Metric, number(value), number(known), champion.Version, rounded(-better), rounded(max(-demanded, 0)))
	}
	return number(known), verdict.Problemf(NoImprovement, "%s is %s, better than the %s of version %s in production by %s (at least %s is demanded)",
		gate.Metric, number(value), number(known), champion.Version, rounded(better), rounded(demanded))
}

// demand is by how much a value must be better than the champion's; negative where a loss
// is tolerated. Relative bounds multiply rather than divide, so that a champion of 0 is no special case.
func demand(gate config.Gate, known float64, tolerance Tolerance) float64 {
	at := func(value *float64) float64 {
		if value == nil {
			return 0
		}
		return *value
	}
	if gate.MinAbsoluteChange != nil || gate.MinRelativeChange != nil {
		return max(at(gate.MinAbsoluteChange), at(gate.MinRelativeChange)*math.Abs(known))
	}
	if gate.Tolerance != nil || gate.RelativeTolerance != nil {
		tolerance = Tolerance{Absolute: at(gate.Tolerance), Relative: at(gate.RelativeTolerance)}
	}
	return -max(tolerance.Absolute, tolerance.Relative*math.Abs(known))
}

// signed shows a change with its sign.
func signed(value float64) string {
	if text := rounded(value); value < 0 || text == "0" {
		return text
	}
	return "+" + rounded(value)
}

func wants(gate config.Gate) string {
	var parts []string
	if gate.Min != nil {
		parts = append(parts, ">= "+number(*gate.Min))
	}
	if gate.Max != nil {
		parts = append(parts, "<= "+number(*gate.Max))
	}
	if len(parts) == 0 {
		return "a number"
	}
	return strings.Join(parts, " and ")
}

// number shows a value in full, so that 0.84999 never looks like 0.85.
func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

// rounded shows a value with four decimals at most.
func rounded(value float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(value, 'f', 4, 64), "0"), ".")
}

func percent(value float64) string { return fmt.Sprintf("%.1f %%", 100*value) }

// isNumber says whether a text is a number that somebody put into quotes.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

func asFault(err error, target **strictjson.Error) bool { return errors.As(err, target) }
