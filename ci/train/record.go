package train

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"
	"time"

	"maps"

	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// RunRecord is what the training recorded about itself: an MLflow run, a metrics file, or both.
type RunRecord struct {
	// ID, Name, Experiment and Status are those of the MLflow run; empty if there is only a file.
	ID, Name, Experiment, Status string
	// Ran is the run's duration by its own clock; 0 if unknown.
	Ran time.Duration
	// Source names the source of the final metrics, for messages.
	Source string
	// Metrics are the final values. Invalid has the metrics that are not finite, with the logged text.
	Metrics map[string]float64
	Invalid map[string]string
	// nested are numbers of a metrics file that are one level too deep, by dotted name.
	nested []string
	// History has every finite logged point; Gaps counts the others.
	History map[string][]model.Point
	Gaps    map[string]int
	// Params and Tags are as logged.
	Params, Tags map[string]string
}

func newRecord() *RunRecord {
	return &RunRecord{
		Metrics: map[string]float64{}, Invalid: map[string]string{}, History: map[string][]model.Point{},
		Gaps: map[string]int{}, Params: map[string]string{}, Tags: map[string]string{},
	}
}

// maxPoints limits the history of one metric.
const maxPoints = 1_000_000

// parseExport reads the output of export_run.py.
func parseExport(content []byte) ([]*RunRecord, error) {
	value, err := strictjson.Parse(content, strictjson.Limits{Depth: 10, Values: 20_000_000})
	if err != nil {
		return nil, err
	}
	document, _ := value.(map[string]any)
	if document["format"] != 1.0 {
		return nil, fmt.Errorf("format is %v, not 1", document["format"])
	}
	list, ok := document["runs"].([]any)
	if !ok {
		return nil, fmt.Errorf("it has no list of runs")
	}
	var records []*RunRecord
	for i, entry := range list {
		run, ok := entry.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("runs[%d] is not an object", i)
		}
		record, err := parseRun(run)
		if err != nil {
			return nil, fmt.Errorf("runs[%d]: %w", i, err)
		}
		records = append(records, record)
	}
	return records, nil
}

func parseRun(run map[string]any) (*RunRecord, error) {
	record := newRecord()
	for key, target := range map[string]*string{
		"run_id": &record.ID, "name": &record.Name, "experiment": &record.Experiment, "status": &record.Status,
	} {
		text, ok := run[key].(string)
		if !ok {
			return nil, fmt.Errorf("%s is not text", key)
		}
		*target = text
	}
	record.Source = "MLflow run " + record.ID
	if start, ok := run["start_time"].(float64); ok {
		if end, ok := run["end_time"].(float64); ok && end >= start {
			record.Ran = time.Duration(end-start) * time.Millisecond
		}
	}
	record.Params, record.Tags = texts(run["params"]), texts(run["tags"])
	metrics, _ := run["metrics"].(map[string]any)
	for name, value := range metrics {
		points, ok := value.([]any)
		if !ok || len(points) > maxPoints {
			return nil, fmt.Errorf("metric %s has no history of at most %d points", name, maxPoints)
		}
		if err := record.addHistory(name, points); err != nil {
			return nil, fmt.Errorf("metric %s: %w", name, err)
		}
	}
	return record, nil
}

// addHistory adds a metric's logged points. The last one by step, then by time, is the final value, as in MLflow.
func (r *RunRecord) addHistory(name string, points []any) error {
	type logged struct {
		step, timestamp float64
		value           any
	}
	var all []logged
	for _, p := range points {
		triple, ok := p.([]any)
		if !ok || len(triple) != 3 {
			return fmt.Errorf("a point is not [step, timestamp, value]")
		}
		step, stepOK := triple[0].(float64)
		timestamp, timestampOK := triple[1].(float64)
		if !stepOK || !timestampOK || math.Abs(step) > 1<<53 || math.Abs(timestamp) > 1<<53 {
			return fmt.Errorf("a point's step or timestamp is not a whole number")
		}
		all = append(all, logged{step, timestamp, triple[2]})
	}
	sort.SliceStable(all, func(i, j int) bool {
		return all[i].step < all[j].step || all[i].step == all[j].step && all[i].timestamp < all[j].timestamp
	})
	for i, p := range all {
		last := i == len(all)-1
		value, ok := p.value.(float64)
		switch {
		case ok:
			r.History[name] = append(r.History[name], model.Point{Step: int64(p.step), Timestamp: int64(p.timestamp), Value: value})
			if last {
				r.Metrics[name] = value
			}
		default:
			r.Gaps[name]++
			if last {
				r.Invalid[name] = fmt.Sprint(p.value)
			}
		}
	}
	return nil
}

// texts converts an object of scalars to strings.
func texts(value any) map[string]string {
	found := map[string]string{}
	object, _ := value.(map[string]any)
	for key, v := range object {
		switch v := v.(type) {
		case string:
			found[key] = v
		case float64:
			found[key] = number(v)
		case bool:
			found[key] = fmt.Sprint(v)
		}
	}
	return found
}

// chooseRun finds the model's run among all logged runs. Nested runs are parts of another one, such as the trials of a
// search.
func chooseRun(records []*RunRecord, sha256 string) (*RunRecord, *verdict.Problem) {
	var top, named []*RunRecord
	for _, r := range records {
		if r.Tags["mlflow.parentRunId"] != "" {
			continue
		}
		top = append(top, r)
		if sha256 != "" && r.Tags["model_sha256"] == sha256 {
			named = append(named, r)
		}
	}
	if len(named) > 0 {
		top = named
	}
	switch {
	case len(top) == 0:
		return nil, verdict.Problemf(RunMissing, "the MLflow store holds no run")
	case len(top) > 1:
		var names []string
		for _, r := range top {
			names = append(names, fmt.Sprintf("%s (%s)", r.ID, r.Status))
		}
		slices.Sort(names)
		return nil, verdict.Problemf(RunAmbiguous, "the training logged %d runs: %s", len(top), clip(strings.Join(names, ", "), 300))
	}
	chosen := top[0]
	if chosen.Status != "FINISHED" {
		code := RunUnfinished
		if chosen.Status == "FAILED" || chosen.Status == "KILLED" {
			code = RunFailed
		}
		return chosen, verdict.Problemf(code, "MLflow run %s of experiment %s is %s", chosen.ID, chosen.Experiment, chosen.Status)
	}
	return chosen, nil
}

// parseMetricsFile reads a metrics file. Numbers at its top level are the final values; "history" (a list of objects with a
// number per metric, or, as in Keras, a list of numbers per metric), "params" and "tags" are optional.
func parseMetricsFile(name string, content []byte) (*RunRecord, *verdict.Problem) {
	content = bytes.TrimPrefix(content, []byte("\ufeff")) // some editors and shells on Windows write one
	value, err := strictjson.Parse(content, strictjson.Limits{Depth: 10})
	if err != nil {
		if fault := (*strictjson.Error)(nil); asFault(err, &fault) && fault.NotFinite {
			return nil, verdict.Problemf(MetricInvalid, "%s: %v", name, err)
		}
		return nil, verdict.Problemf(MetricsMalformed, "%s: %v", name, err)
	}
	object, ok := value.(map[string]any)
	if !ok {
		problem := verdict.Problemf(MetricsMalformed, "%s is not a JSON object", name)
		problem.Next = `Write the final metrics as one object, {"accuracy": 0.9}; what they were in each epoch goes into its key history`
		return nil, problem
	}
	record := newRecord()
	record.Source = name
	record.Params, record.Tags = texts(object["params"]), texts(object["tags"])
	var quoted []string
	for key, v := range object {
		switch v := v.(type) {
		case float64:
			record.Metrics[key] = v
		case string:
			if isNumber(v) {
				quoted = append(quoted, fmt.Sprintf("%s is the text %q", key, v))
			}
			record.Invalid[key] = fmt.Sprintf("the text %q", clip(v, 40))
		case nil:
			record.Invalid[key] = "null"
		case bool:
			record.Invalid[key] = fmt.Sprint(v)
		case map[string]any:
			record.Invalid[key] = "not a number"
			for inner, n := range v {
				if _, is := n.(float64); is && key != "params" && key != "tags" {
					record.nested = append(record.nested, key+"."+inner)
				}
			}
		case []any:
			record.Invalid[key] = "not a number"
		}
	}
	if len(quoted) > 0 {
		slices.Sort(quoted)
		return nil, verdict.Problemf(MetricsMalformed, "%s: %s where a number belongs", name, strings.Join(quoted, ", "))
	}
	if problem := record.addRows(name, object["history"]); problem != nil {
		return nil, problem
	}
	return record, nil
}

// addRows adds a history with one object per epoch, or one list per metric.
func (r *RunRecord) addRows(file string, history any) *verdict.Problem {
	if history == nil {
		return nil
	}
	if byMetric, ok := history.(map[string]any); ok {
		return r.addColumns(file, byMetric)
	}
	rows, ok := history.([]any)
	if !ok {
		problem := verdict.Problemf(MetricsMalformed, "%s: history is neither a list nor an object", file)
		problem.Next = "Write history as [{\"epoch\": 1, \"accuracy\": 0.9}, ...], as {\"accuracy\": [0.9, ...]}, or leave it out"
		return problem
	}
	for i, entry := range rows {
		row, ok := entry.(map[string]any)
		if !ok {
			return verdict.Problemf(MetricsMalformed, "%s: history[%d] is not an object", file, i)
		}
		step := float64(i + 1)
		for _, key := range []string{"epoch", "step"} {
			if n, ok := row[key].(float64); ok && n == math.Trunc(n) && math.Abs(n) < 1<<53 {
				step = n
			}
		}
		for key, v := range row {
			if key == "epoch" || key == "step" {
				continue
			}
			if value, ok := v.(float64); ok {
				r.History[key] = append(r.History[key], model.Point{Step: int64(step), Value: value})
			} else {
				r.Gaps[key]++
			}
		}
	}
	return nil
}

// addColumns adds a history in the form of Keras's History.history. Anything that is not a list of numbers is a gap.
func (r *RunRecord) addColumns(file string, history map[string]any) *verdict.Problem {
	for _, key := range slices.Sorted(maps.Keys(history)) {
		values, ok := history[key].([]any)
		if !ok {
			return verdict.Problemf(MetricsMalformed, "%s: history.%s is not a list", file, clip(key, 40))
		}
		for i, v := range values {
			if value, ok := v.(float64); ok {
				r.History[key] = append(r.History[key], model.Point{Step: int64(i + 1), Value: value})
			} else {
				r.Gaps[key]++
			}
		}
	}
	return nil
}

// merge adds what only the MLflow run has to the record of a metrics file.
func (r *RunRecord) merge(run *RunRecord) {
	r.ID, r.Name, r.Experiment, r.Status, r.Ran = run.ID, run.Name, run.Experiment, run.Status, run.Ran
	r.Source += " and " + run.Source
	for key, value := range run.Params {
		if _, ok := r.Params[key]; !ok {
			r.Params[key] = value
		}
	}
	for key, value := range run.Tags {
		if _, ok := r.Tags[key]; !ok {
			r.Tags[key] = value
		}
	}
	for key, points := range run.History {
		if len(points) >= len(r.History[key]) { // the run's points have timestamps
			r.History[key] = points
			r.Gaps[key] = run.Gaps[key]
		}
	}
}

// judgeRecord checks that the record belongs to this model and that its curves are finite.
func (j judging) judgeRecord(record *RunRecord) []*verdict.Problem {
	for _, name := range slices.Sorted(maps.Keys(record.Gaps)) {
		if record.Gaps[name] > 0 {
			j.stage.Warn(CurveNotFinite, "%d logged values of %s are no finite numbers", record.Gaps[name], name)
		}
	}
	if logged := record.Tags["model_sha256"]; logged != "" && j.candidate.Artifact.SHA256 != "" && logged != j.candidate.Artifact.SHA256 {
		return []*verdict.Problem{verdict.Problemf(ModelMismatch, "%s names the model %s, the file is %s", record.Source, clip(logged, 64),
			j.candidate.Artifact.SHA256)}
	}
	return nil
}
