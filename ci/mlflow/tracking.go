package mlflow

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// The limits of one log-batch call and of its values, the same in 2.x and 3.x
// (mlflow/utils/validation.py): 1,000 entities in all, of them 100 params and 100 tags.
const (
	maxBatchMetrics = 1000
	maxBatchParams  = 100
	maxBatchTags    = 100
	// MaxKey, MaxParam and MaxTag bound keys and values, in characters.
	MaxKey   = 250
	MaxParam = 6000
	MaxTag   = 8000
)

// Experiment is an experiment of the server.
type Experiment struct {
	ID        string `json:"experiment_id"`
	Name      string `json:"name"`
	Lifecycle string `json:"lifecycle_stage"`
	Location  string `json:"artifact_location"`
}

// Deleted means that the experiment is in the trash: nothing can be logged to it.
func (e *Experiment) Deleted() bool { return e.Lifecycle == "deleted" }

// Tag is a key with a value. Params have the same form.
type Tag struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// Metric is one logged value.
type Metric struct {
	Key string `json:"key"`
	// Timestamp is in milliseconds since 1970, UTC.
	Timestamp int64  `json:"timestamp"`
	Step      int64  `json:"step"`
	Value     Number `json:"value"`
}

// Number is a float64 that, as protocol buffers do in JSON, writes NaN and the
// infinities as texts and reads numbers in texts.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	f := float64(n)
	switch {
	case math.IsNaN(f):
		return []byte(`"NaN"`), nil
	case math.IsInf(f, 1):
		return []byte(`"Infinity"`), nil
	case math.IsInf(f, -1):
		return []byte(`"-Infinity"`), nil
	}
	return json.Marshal(f)
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(b []byte) error {
	switch strings.Trim(string(b), `"`) {
	case "NaN":
		*n = Number(math.NaN())
		return nil
	case "Infinity":
		*n = Number(math.Inf(1))
		return nil
	case "-Infinity":
		*n = Number(math.Inf(-1))
		return nil
	}
	return json.Unmarshal([]byte(strings.Trim(string(b), `"`)), (*float64)(n))
}

// millis reads an int64 that servers write as a number or, as protocol buffers do, as a text.
type millis int64

// UnmarshalJSON implements json.Unmarshaler.
func (m *millis) UnmarshalJSON(b []byte) error {
	return json.Unmarshal([]byte(strings.Trim(string(b), `"`)), (*int64)(m))
}

// Run is a run with the last value of each metric.
type Run struct {
	ID           string
	ExperimentID string
	Name         string
	// Status is RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.
	Status string
	// ArtifactURI is where the run's artifacts are.
	ArtifactURI string
	// Started is in milliseconds since 1970, UTC.
	Started int64
	Metrics map[string]float64
	Params  map[string]string
	Tags    map[string]string
}

// wireRun is a run as the API writes it.
type wireRun struct {
	Info struct {
		RunID        string `json:"run_id"`
		ExperimentID string `json:"experiment_id"`
		RunName      string `json:"run_name"`
		Status       string `json:"status"`
		ArtifactURI  string `json:"artifact_uri"`
		StartTime    millis `json:"start_time"`
	} `json:"info"`
	Data struct {
		Metrics []struct {
			Key   string `json:"key"`
			Value Number `json:"value"`
		} `json:"metrics"`
		Params []Tag `json:"params"`
		Tags   []Tag `json:"tags"`
	} `json:"data"`
}

func (w *wireRun) run() *Run {
	r := &Run{ID: w.Info.RunID, ExperimentID: w.Info.ExperimentID, Name: w.Info.RunName, Status: w.Info.Status,
		ArtifactURI: w.Info.ArtifactURI, Started: int64(w.Info.StartTime),
		Metrics: map[string]float64{}, Params: tagMap(w.Data.Params), Tags: tagMap(w.Data.Tags)}
	for _, m := range w.Data.Metrics {
		r.Metrics[m.Key] = float64(m.Value)
	}
	return r
}

func tagMap(tags []Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[t.Key] = t.Value
	}
	return m
}

// ExperimentByName returns the experiment, deleted ones too. A missing one is NotFound.
func (t Tracking) ExperimentByName(ctx context.Context, name string) (*Experiment, error) {
	var out struct {
		Experiment *Experiment `json:"experiment"`
	}
	query := url.Values{"experiment_name": {name}}
	if err := t.json(ctx, "get experiment "+name, http.MethodGet, "mlflow/experiments/get-by-name", query, nil, &out, true); err != nil {
		return nil, err
	}
	if out.Experiment == nil || out.Experiment.ID == "" {
		return nil, t.incomplete("get experiment "+name, "experiment")
	}
	return out.Experiment, nil
}

// CreateExperiment creates an experiment and returns its id; an existing name is Exists.
func (t Tracking) CreateExperiment(ctx context.Context, name string, tags []Tag) (string, error) {
	var out struct {
		ID string `json:"experiment_id"`
	}
	in := map[string]any{"name": name}
	list(in, "tags", tags)
	// A second execution answers Exists, which says the same.
	if err := t.json(ctx, "create experiment "+name, http.MethodPost, "mlflow/experiments/create", nil, in, &out, true); err != nil {
		return "", err
	}
	if out.ID == "" {
		return "", t.incomplete("create experiment "+name, "experiment_id")
	}
	return out.ID, nil
}

// CreateRun creates a run. It is not repeated on its own when the answer is lost:
// after an ambiguous error look with SearchRuns before calling it again.
func (t Tracking) CreateRun(ctx context.Context, experimentID, name string, started time.Time, tags []Tag) (*Run, error) {
	in := map[string]any{"experiment_id": experimentID, "run_name": name, "start_time": started.UnixMilli()}
	list(in, "tags", tags)
	return t.oneRun(ctx, "create run "+name, http.MethodPost, "mlflow/runs/create", nil, in, false)
}

// GetRun returns a run.
func (t Tracking) GetRun(ctx context.Context, id string) (*Run, error) {
	return t.oneRun(ctx, "get run "+id, http.MethodGet, "mlflow/runs/get", url.Values{"run_id": {id}}, nil, true)
}

func (t Tracking) oneRun(ctx context.Context, op, method, path string, query url.Values, in any, repeatable bool) (*Run, error) {
	var out struct {
		Run *wireRun `json:"run"`
	}
	if err := t.json(ctx, op, method, path, query, in, &out, repeatable); err != nil {
		return nil, err
	}
	if out.Run == nil || out.Run.Info.RunID == "" {
		return nil, t.incomplete(op, "run")
	}
	return out.Run.run(), nil
}

// UpdateRun sets a run's status; end is left out when zero.
func (t Tracking) UpdateRun(ctx context.Context, id, status string, end time.Time) error {
	in := map[string]any{"run_id": id, "status": status}
	if !end.IsZero() {
		in["end_time"] = end.UnixMilli()
	}
	return t.json(ctx, "set status of run "+id, http.MethodPost, "mlflow/runs/update", nil, in, nil, true)
}

// DeleteRun moves a run to the server's trash, from where it can be restored; a missing
// run is no error.
func (t Tracking) DeleteRun(ctx context.Context, id string) error {
	err := t.json(ctx, "delete run "+id, http.MethodPost, "mlflow/runs/delete", nil, map[string]any{"run_id": id}, nil, true)
	if IsKind(err, NotFound) {
		return nil
	}
	return err
}

// SearchRuns returns the runs of an experiment that match the filter, oldest first.
// All pages are read, up to limit runs.
func (t Tracking) SearchRuns(ctx context.Context, experimentID, filter string, limit int) ([]*Run, error) {
	var runs []*Run
	seen := pages{}
	for token := ""; ; {
		in := map[string]any{"experiment_ids": []string{experimentID}, "filter": filter, "max_results": min(limit, 1000),
			"order_by": []string{"attributes.start_time ASC"}}
		if token != "" {
			in["page_token"] = token
		}
		var out struct {
			Runs []wireRun `json:"runs"`
			Next string    `json:"next_page_token"`
		}
		if err := t.json(ctx, "search runs", http.MethodPost, "mlflow/runs/search", nil, in, &out, true); err != nil {
			return nil, err
		}
		for _, w := range out.Runs {
			runs = append(runs, w.run())
		}
		if out.Next == "" || len(runs) >= limit {
			return runs, nil
		}
		if token = out.Next; !seen.add(token) {
			return nil, t.endless("search runs", len(seen))
		}
	}
}

// LogBatch logs metrics, params and tags in as many calls as the server's limits
// demand. It may be repeated: the server keeps one copy of an equal metric point,
// and params of equal value.
func (t Tracking) LogBatch(ctx context.Context, runID string, metrics []Metric, params, tags []Tag) error {
	for len(metrics)+len(params)+len(tags) > 0 {
		p := min(len(params), maxBatchParams)
		k := min(len(tags), maxBatchTags)
		m := min(len(metrics), maxBatchMetrics-p-k)
		in := map[string]any{"run_id": runID}
		list(in, "metrics", metrics[:m])
		list(in, "params", params[:p])
		list(in, "tags", tags[:k])
		if err := t.json(ctx, "log to run "+runID, http.MethodPost, "mlflow/runs/log-batch", nil, in, nil, true); err != nil {
			return err
		}
		metrics, params, tags = metrics[m:], params[p:], tags[k:]
	}
	return nil
}

// list adds a list to a request unless it is empty: servers take an absent list for an
// empty one, and fail on null.
func list[T any](in map[string]any, key string, items []T) {
	if len(items) > 0 {
		in[key] = items
	}
}

var badKey = regexp.MustCompile(`[^A-Za-z0-9_\-. :/]`)

// Key makes a text usable as the key of a metric, param or tag: characters that
// servers refuse become "_", and paths that would leave the run are flattened.
func Key(s string) string {
	s = badKey.ReplaceAllString(s, "_")
	s = strings.ReplaceAll(strings.Trim(s, "/"), "..", "__")
	for strings.Contains(s, "//") {
		s = strings.ReplaceAll(s, "//", "/")
	}
	if s == "" || s == "." {
		s = "_"
	}
	return s[:min(len(s), MaxKey)]
}

// Clip shortens a value to n characters.
func Clip(s string, n int) string {
	r := []rune(strings.ToValidUTF8(s, "?"))
	return string(r[:min(len(r), n)])
}
