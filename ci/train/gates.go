package train

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ratio are the metrics that are fractions by definition.
var ratio = regexp.MustCompile(`(?i)(^|[_\-./ ])(accuracy|acc|precision|recall|f1|auc|auroc|specificity|sensitivity)($|[_\-./ ])`)

// gateRow is the outcome of one gate, for the report.
type gateRow struct {
	metric, value, want, champion, outcome string
	ok                                     bool
}

// judgeGates applies the gates in the manner of MLflow's MetricThreshold: an absolute limit, and a limit on the change
// compared with the champion.
// https://mlflow.org/docs/latest/api_reference/python_api/mlflow.models.html#mlflow.models.MetricThreshold
func judgeGates(stage *verdict.Stage, record *RunRecord, gates []config.Gate, champion *Champion, tolerance Tolerance,
	called func(string) string) ([]gateRow, []*verdict.Problem) {
	var rows []gateRow
	var problems []*verdict.Problem
	for _, gate := range gates {
		row := gateRow{metric: called(gate.Metric), value: "none", want: wants(gate), outcome: "pass", ok: true}
		value, problem := metric(record, gate)
		if problem == nil {
			row.value = near(value, gate.Min, gate.Max, gate.AlertBelow)
			stage.Measure(verdict.MeasureModel, gate.Metric, value, gate.Min)
			problem = bound(gate, value)
			if gate.AlertBelow != nil && value < *gate.AlertBelow {
				stage.Warn(ModelDegraded, "%s is %s, below the alert threshold of %s", gate.Metric,
					near(value, gate.AlertBelow), number(*gate.AlertBelow))
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
		// The comparison is separate evidence.
		stage.Gate(row.metric, row.value, row.want, problem == nil)
		rows = append(rows, row)
	}
	return rows, problems
}

// metric returns the final value of a gate's metric, if there is one.
func metric(record *RunRecord, gate config.Gate) (float64, *verdict.Problem) {
	name := gate.Metric
	if logged, invalid := record.Invalid[name]; invalid {
		problem := verdict.Problemf(MetricInvalid, "%s is %s in %s", name, logged, record.Source)
		if strings.HasPrefix(logged, "the text") {
			problem.Next = fmt.Sprintf("Write %s as a number, without quotes and not in percent", name)
		}
		return 0, problem
	}
	value, ok := record.Metrics[name]
	switch {
	case !ok:
		return 0, missing(record, gate)
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

// missing is the problem of a metric that was not logged. It names similar metrics; the details list all.
func missing(record *RunRecord, gate config.Gate) *verdict.Problem {
	name := gate.Metric
	names := slices.Sorted(maps.Keys(record.Metrics))
	meant := similar(name, names)
	hint := ""
	slices.Sort(record.nested)
	deep := slices.IndexFunc(record.nested, func(nested string) bool { return strings.HasSuffix(nested, "."+name) })
	switch {
	case deep >= 0:
		hint = " on its top level; it has " + clip(record.nested[deep], 80)
	case len(names) == 0:
		hint = "; it has none"
	case len(meant) > 0:
		hint = " (did you mean " + strings.Join(meant, " or ") + "?)"
	default:
		hint = "; it has " + listed(names)
	}
	problem := verdict.Problemf(MetricsMissing, "%s has no metric %s%s", record.Source, name, hint)
	switch {
	case deep >= 0:
		problem.Next = fmt.Sprintf("Write %s on the top level of the file, as {%q: 0.9}", name, name)
	case len(meant) > 0:
		problem.Next = fmt.Sprintf("Write the logged name into train.gates in pipeline.yaml (%s), or log %s", renamed(gate, meant[0]), name)
	case len(names) > 0:
		// The gate may be a default that is not in pipeline.yaml.
		problem.Next = fmt.Sprintf("Log %s, or write the metric that decides into train.gates in pipeline.yaml, with min or max, such as "+
			"train.gates: [{metric: %s, min: NUMBER}]", name, strconv.Quote(names[0]))
	}
	if len(names) > 0 {
		problem.Details = append([]string{"Metrics there are:"}, names...)
	}
	return problem
}

// renamed renders a gate for pipeline.yaml with another metric. train.gates replaces the whole list, so the limits are
// included.
func renamed(gate config.Gate, metric string) string {
	text := "{metric: " + metric
	for _, limit := range []struct {
		key   string
		value *float64
	}{{"min", gate.Min}, {"max", gate.Max}, {"alert_below", gate.AlertBelow}} {
		if limit.value != nil {
			text += ", " + limit.key + ": " + number(*limit.value)
		}
	}
	return text + "}"
}

// maxListed limits how many names a cause lists; the details have all.
const maxListed = 12

// listed returns the first names of a list, none of them cut.
func listed(names []string) string {
	text := strings.Join(names[:min(len(names), maxListed)], ", ")
	if more := len(names) - maxListed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// short maps short names of frameworks' metrics to the long ones.
var short = map[string]string{"acc": "accuracy", "prec": "precision", "rec": "recall", "f1score": "f1", "auroc": "auc", "err": "error"}

// words splits a metric's name into lower-case words in their long form.
func words(name string) []string {
	parts := strings.FieldsFunc(strings.ToLower(name), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	for i, part := range parts {
		if long, ok := short[part]; ok {
			parts[i] = long
		}
	}
	return parts
}

// aside are words that say where or how a metric was measured, not what it is. Earlier ones are closer to what a gate is for:
// unseen data.
var aside = []string{"test", "val", "validation", "eval", "holdout", "heldout", "final", "score", "metric", "metrics", "categorical",
	"sparse", "binary", "macro", "weighted", "micro"}

// similar returns up to three names that probably mean the same metric: with other case or separators, short forms, a data
// set in front (val_accuracy), or a typing error.
func similar(name string, names []string) []string {
	want := words(name)
	core := func(parts []string) string {
		return strings.Join(slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return slices.Contains(aside, p) }), " ")
	}
	rank := map[string]int{}
	for _, candidate := range names {
		have := words(candidate)
		switch {
		case slices.Equal(want, have):
			rank[candidate] = 0
		case core(want) != "" && core(want) == core(have):
			rank[candidate] = 10 + len(aside)
			for i, word := range aside {
				if slices.Contains(have, word) {
					rank[candidate] = 10 + i
					break
				}
			}
		case core(want) != "" && distance(strings.Join(want, " "), strings.Join(have, " ")) <= 2 && len(name) > 4:
			rank[candidate] = 100
		}
	}
	found := slices.SortedFunc(maps.Keys(rank), func(a, b string) int { return cmp.Or(rank[a]-rank[b], strings.Compare(a, b)) })
	return found[:min(len(found), 3)]
}

// distance is the number of letters to change, add or leave out (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

func bound(gate config.Gate, value float64) *verdict.Problem {
	if gate.Min != nil && value < *gate.Min {
		return verdict.Problemf(MetricBelow, "%s is %s, below its minimum of %s", gate.Metric, near(value, gate.Min), number(*gate.Min))
	}
	if gate.Max != nil && value > *gate.Max {
		return verdict.Problemf(MetricAbove, "%s is %s, above its maximum of %s", gate.Metric, near(value, gate.Max), number(*gate.Max))
	}
	return nil
}

// lowerIsBetter uses the gate's own setting, or else assumes that a gate with only a maximum is for a loss or an error.
func lowerIsBetter(gate config.Gate) bool {
	if gate.Better != "" {
		return gate.Better == "lower"
	}
	return gate.Max != nil && gate.Min == nil && gate.AlertBelow == nil
}

// compare compares a metric with the champion's: it must be better by the required margin, or may be worse by the tolerance.
// It returns the champion's value for the report.
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
	was := near(known, &value)
	stage.Gate(gate.Metric+" against the champion", fmt.Sprintf("%s over %s of version %s", signed(better), was, champion.Version),
		"better by >= "+signed(demanded), ok)
	switch {
	case ok:
		return was, nil
	case better < 0:
		return was, verdict.Problemf(Regression,
			"%s is %s, worse than the %s of version %s in production by %s (at most %s is tolerated)",
			gate.Metric, near(value, &known), was, champion.Version, rounded(-better), rounded(max(-demanded, 0)))
	}
	return was, verdict.Problemf(NoImprovement,
		"%s is %s, better than the %s of version %s in production by %s (at least %s is demanded)",
		gate.Metric, near(value, &known), was, champion.Version, rounded(better), rounded(demanded))
}

// demand returns by how much a value must be better than the champion's; it is negative if a loss is tolerated. Relative
// limits multiply rather than divide, so that a champion of 0 is not a special case.
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

// signed formats a change with its sign.
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

// number formats a value in full, so that 0.84999 never looks like 0.85.
func number(value float64) string { return strconv.FormatFloat(value, 'g', -1, 64) }

// near formats a value with four decimals, or with more if rounding would move it across a limit. A nil limit means none.
func near(value float64, limits ...*float64) string {
	for decimals := 4; decimals < 17; decimals++ {
		shown, err := strconv.ParseFloat(strconv.FormatFloat(value, 'f', decimals, 64), 64)
		if err != nil || math.Abs(shown-value) > math.Abs(value)/1000 || slices.ContainsFunc(limits, func(limit *float64) bool {
			return limit != nil && cmp.Compare(shown, *limit) != cmp.Compare(value, *limit)
		}) {
			continue
		}
		return strconv.FormatFloat(shown, 'f', -1, 64)
	}
	return number(value)
}

// rounded formats a value with at most four decimals.
func rounded(value float64) string {
	return strings.TrimSuffix(strings.TrimRight(strconv.FormatFloat(value, 'f', 4, 64), "0"), ".")
}

func percent(value float64) string { return fmt.Sprintf("%.1f %%", 100*value) }

// isNumber reports whether a text is a quoted number.
func isNumber(text string) bool {
	_, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	return err == nil || errors.Is(err, strconv.ErrRange)
}

func asFault(err error, target **strictjson.Error) bool { return errors.As(err, target) }
