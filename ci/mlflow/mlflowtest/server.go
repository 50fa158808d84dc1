// Package mlflowtest is an MLflow server in memory: the calls that publishing makes,
// with the answers that servers of the 3.x line give, and the faults that tests ask for.
package mlflowtest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// Experiment is an experiment of the server.
type Experiment struct{ ID, Name, Lifecycle string }

// Point is a logged value.
type Point struct {
	Value           float64
	Timestamp, Step int64
}

// Run is a run of the server.
type Run struct {
	ID, Experiment, Name, Status, ArtifactURI string
	Started                                   int64
	Params, Tags                              map[string]string
	Metrics                                   map[string][]Point
	// Deleted runs are in the trash.
	Deleted bool
}

// Version is a version of a registered model.
type Version struct {
	Name          string
	Number        int
	Source, RunID string
	Tags          map[string]string
	// Status is READY when empty.
	Status string
}

// Before sees a request and may answer it: true when it did.
type Before func(w http.ResponseWriter, r *http.Request) bool

// After runs when a request has been executed, before its answer is sent; true drops the answer.
type After func(r *http.Request) bool

// Server is an MLflow server in memory.
type Server struct {
	// URL is its tracking URI.
	URL string
	// ArtifactRoot is where runs keep artifacts; "mlflow-artifacts:/" when empty.
	ArtifactRoot string
	// Username and Password, or Token, are demanded when set.
	Username, Password, Token string
	// NewStatus is the status of new versions; READY when empty.
	NewStatus string
	before    atomic.Pointer[Before]
	after     atomic.Pointer[After]

	mu          sync.Mutex
	experiments []*Experiment
	runs        []*Run
	models      map[string]bool
	modelTags   map[string]map[string]string
	versions    []*Version
	next        map[string]int
	aliases     map[string]int // name + "\n" + alias
	artifacts   map[string][]byte
	requests    []string
}

// New returns an empty server that nothing serves yet: its caller does, and sets URL.
func New() *Server {
	return &Server{models: map[string]bool{}, modelTags: map[string]map[string]string{}, next: map[string]int{}, aliases: map[string]int{},
		artifacts:   map[string][]byte{},
		experiments: []*Experiment{{ID: "0", Name: "Default", Lifecycle: "active"}}}
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := New()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// AddExperiment adds an experiment.
func (s *Server) AddExperiment(name, lifecycle string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.experiments = append(s.experiments, &Experiment{ID: strconv.Itoa(len(s.experiments)), Name: name, Lifecycle: lifecycle})
}

// root is where artifacts are.
func (s *Server) root() string {
	if s.ArtifactRoot == "" {
		return "mlflow-artifacts:/"
	}
	return s.ArtifactRoot
}

// Runs returns all runs, oldest first.
func (s *Server) Runs() []Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	var runs []Run
	for _, r := range s.runs {
		runs = append(runs, *r)
	}
	return runs
}

// Versions returns all versions of a model, oldest first.
func (s *Server) Versions(name string) []Version {
	s.mu.Lock()
	defer s.mu.Unlock()
	var versions []Version
	for _, v := range s.versions {
		if v.Name == name {
			versions = append(versions, *v)
		}
	}
	return versions
}

// Alias returns the version an alias points at, 0 for none.
func (s *Server) Alias(name, alias string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aliases[name+"\n"+alias]
}

// SetAlias points an alias at a version, 0 to remove it.
func (s *Server) SetAlias(name, alias string, version int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aliases[name+"\n"+alias] = version
}

// SetStatus sets the status of a version; "" is READY.
func (s *Server) SetStatus(name string, number int, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version(name, strconv.Itoa(number)).Status = status
}

// Artifacts returns the stored artifacts by path.
func (s *Server) Artifacts() map[string][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := map[string][]byte{}
	for k, v := range s.artifacts {
		m[k] = v
	}
	return m
}

// SetArtifact replaces an artifact.
func (s *Server) SetArtifact(path string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.artifacts[path] = content
}

// Requests returns "METHOD path" of all requests so far, without the API's prefix.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Fail answers a request with an error in MLflow's form.
func Fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"error_code": code, "message": message}) // a client that left gets nothing
}

// SetBefore makes each request go through f first; nil for none.
func (s *Server) SetBefore(f Before) {
	if f == nil {
		s.before.Store(nil)
		return
	}
	s.before.Store(&f)
}

// SetAfter makes each executed request go through f; nil for none.
func (s *Server) SetAfter(f After) {
	if f == nil {
		s.after.Store(nil)
		return
	}
	s.after.Store(&f)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if before := s.before.Load(); before != nil && (*before)(w, r) {
		return
	}
	recorder := httptest.NewRecorder()
	s.serve(recorder, r)
	if after := s.after.Load(); after != nil && (*after)(r) {
		panic(http.ErrAbortHandler)
	}
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes()) // a client that left gets nothing
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	route := strings.TrimPrefix(r.URL.Path, "/api/2.0/")
	s.requests = append(s.requests, r.Method+" "+route)
	user, password, _ := r.BasicAuth()
	if s.Username != "" && (user != s.Username || password != s.Password) ||
		s.Token != "" && r.Header.Get("Authorization") != "Bearer "+s.Token {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, "You are not authenticated.")
		return
	}
	if rest, ok := strings.CutPrefix(route, "mlflow-artifacts/artifacts"); ok {
		s.artifact(w, r, strings.TrimPrefix(rest, "/"))
		return
	}
	var in map[string]any
	if r.Method != http.MethodGet {
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			Fail(w, http.StatusBadRequest, "BAD_REQUEST", "not JSON")
			return
		}
		for key, value := range in {
			if value == nil {
				// As real servers do on null where a list belongs.
				Fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", key+" is null")
				return
			}
		}
	} else {
		in = map[string]any{}
		for k, v := range r.URL.Query() {
			in[k] = v[0]
		}
	}
	out, status, code, message := s.handle(r.Method+" "+strings.TrimPrefix(route, "mlflow/"), in)
	if code != "" {
		Fail(w, status, code, message)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(out) // into a recorder
}

func (s *Server) artifact(w http.ResponseWriter, r *http.Request, name string) {
	switch r.Method {
	case http.MethodPut:
		b, err := io.ReadAll(r.Body)
		if err != nil || int64(len(b)) != r.ContentLength {
			panic(http.ErrAbortHandler)
		}
		s.artifacts[name] = b
		_, _ = fmt.Fprint(w, "{}")
	case http.MethodGet:
		b, ok := s.artifacts[name]
		if !ok {
			Fail(w, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "no such artifact")
			return
		}
		_, _ = w.Write(b) // into a recorder
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}

func text(in map[string]any, key string) string { v, _ := in[key].(string); return v }

func pairs(in any) map[string]string {
	m := map[string]string{}
	list, _ := in.([]any)
	for _, item := range list {
		kv, _ := item.(map[string]any)
		m[text(kv, "key")] = text(kv, "value")
	}
	return m
}

func tags(m map[string]string) []map[string]string {
	out := []map[string]string{}
	for k, v := range m {
		out = append(out, map[string]string{"key": k, "value": v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i]["key"] < out[j]["key"] })
	return out
}

func (s *Server) run(id string) *Run {
	for _, r := range s.runs {
		if r.ID == id {
			return r
		}
	}
	return nil
}

func (s *Server) version(name, number string) *Version {
	for _, v := range s.versions {
		if v.Name == name && strconv.Itoa(v.Number) == number {
			return v
		}
	}
	return nil
}

func wireRun(r *Run) map[string]any {
	metrics := []map[string]any{}
	for key, points := range r.Metrics {
		last := points[len(points)-1]
		metrics = append(metrics, map[string]any{"key": key, "value": last.Value, "timestamp": last.Timestamp, "step": last.Step})
	}
	return map[string]any{
		"info": map[string]any{"run_id": r.ID, "experiment_id": r.Experiment, "run_name": r.Name, "status": r.Status,
			"artifact_uri": r.ArtifactURI, "start_time": strconv.FormatInt(r.Started, 10)},
		"data": map[string]any{"metrics": metrics, "params": tags(r.Params), "tags": tags(r.Tags)},
	}
}

func (s *Server) wireVersion(v *Version) map[string]any {
	aliases := []string{}
	for key, number := range s.aliases {
		if name, alias, _ := strings.Cut(key, "\n"); name == v.Name && number == v.Number {
			aliases = append(aliases, alias)
		}
	}
	slices.Sort(aliases)
	return map[string]any{"name": v.Name, "version": strconv.Itoa(v.Number), "source": v.Source, "run_id": v.RunID,
		"status": cmp.Or(v.Status, "READY"), "tags": tags(v.Tags), "aliases": aliases}
}

// handle executes one JSON call.
func (s *Server) handle(route string, in map[string]any) (out any, status int, code, message string) {
	missing := func(what string) (any, int, string, string) {
		return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", what + " not found"
	}
	ok := func(v any) (any, int, string, string) { return v, http.StatusOK, "", "" }
	empty := map[string]any{}
	name := text(in, "name")
	switch route {
	case "GET experiments/get-by-name":
		for _, e := range s.experiments {
			if e.Name == text(in, "experiment_name") {
				return ok(map[string]any{"experiment": map[string]any{"experiment_id": e.ID, "name": e.Name, "lifecycle_stage": e.Lifecycle,
					"artifact_location": strings.TrimSuffix(s.root(), "/") + "/" + e.ID}})
			}
		}
		return missing("experiment")
	case "POST experiments/create":
		for _, e := range s.experiments {
			if e.Name == name {
				return nil, http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", "exists"
			}
		}
		e := &Experiment{ID: strconv.Itoa(len(s.experiments)), Name: name, Lifecycle: "active"}
		s.experiments = append(s.experiments, e)
		return ok(map[string]any{"experiment_id": e.ID})
	case "POST runs/create":
		id := fmt.Sprintf("%032x", len(s.runs)+1)
		root := s.root()
		started, _ := in["start_time"].(float64)
		r := &Run{ID: id, Experiment: text(in, "experiment_id"), Name: text(in, "run_name"), Status: "RUNNING", Started: int64(started),
			ArtifactURI: root + text(in, "experiment_id") + "/" + id + "/artifacts", Params: map[string]string{}, Tags: pairs(in["tags"]),
			Metrics: map[string][]Point{}}
		s.runs = append(s.runs, r)
		return ok(map[string]any{"run": wireRun(r)})
	case "POST runs/search":
		// Filters are of the form: tags.`key` = 'value'
		_, rest, _ := strings.Cut(text(in, "filter"), "tags.`")
		key, value, _ := strings.Cut(rest, "` = '")
		value = strings.TrimSuffix(value, "'")
		found := []any{}
		for _, r := range s.runs {
			if r.Tags[key] == value && !r.Deleted {
				found = append(found, wireRun(r))
			}
		}
		return ok(map[string]any{"runs": found})
	case "GET runs/get", "POST runs/update", "POST runs/log-batch", "POST runs/delete":
		r := s.run(text(in, "run_id"))
		if r == nil {
			return missing("run")
		}
		return s.onRun(route, r, in)
	case "POST registered-models/create":
		if s.models[name] {
			return nil, http.StatusBadRequest, "RESOURCE_ALREADY_EXISTS", "exists"
		}
		s.models[name] = true
		return ok(empty)
	case "GET registered-models/get":
		if !s.models[name] {
			return missing("registered model")
		}
		aliases := []any{}
		for key, number := range s.aliases {
			if model, alias, _ := strings.Cut(key, "\n"); model == name && number > 0 {
				aliases = append(aliases, map[string]any{"alias": alias, "version": strconv.Itoa(number)})
			}
		}
		return ok(map[string]any{"registered_model": map[string]any{"name": name, "aliases": aliases, "tags": tags(s.modelTags[name])}})
	case "POST registered-models/set-tag":
		if !s.models[name] {
			return missing("registered model")
		}
		if s.modelTags[name] == nil {
			s.modelTags[name] = map[string]string{}
		}
		s.modelTags[name][text(in, "key")] = text(in, "value")
		return ok(empty)
	case "POST model-versions/create":
		if !s.models[name] {
			return missing("registered model")
		}
		r := s.run(text(in, "run_id"))
		if r == nil || !strings.HasPrefix(text(in, "source"), r.ArtifactURI) {
			return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Invalid model version source"
		}
		s.next[name]++
		v := &Version{Name: name, Number: s.next[name], Source: text(in, "source"), RunID: text(in, "run_id"), Tags: pairs(in["tags"]),
			Status: s.NewStatus}
		s.versions = append(s.versions, v)
		return ok(map[string]any{"model_version": s.wireVersion(v)})
	case "GET model-versions/search":
		// Filters are of the form: name = 'x' and tags.`key` = 'value'
		nameFilter, tagFilter, hasTag := strings.Cut(text(in, "filter"), "' and tags.`")
		want := strings.TrimSuffix(strings.TrimPrefix(nameFilter, "name = '"), "'")
		key, value, _ := strings.Cut(strings.TrimSuffix(tagFilter, "'"), "` = '")
		found := []any{}
		for _, v := range slices.Backward(s.versions) {
			if v.Name == want && (!hasTag || v.Tags[key] == value) {
				found = append(found, s.wireVersion(v))
			}
		}
		return ok(map[string]any{"model_versions": found})
	case "GET model-versions/get", "GET model-versions/get-download-uri", "POST model-versions/set-tag",
		"DELETE model-versions/delete":
		v := s.version(name, text(in, "version"))
		if v == nil {
			return missing("model version")
		}
		return s.onVersion(route, v, in)
	case "GET registered-models/alias", "POST registered-models/alias":
		return s.onAlias(route, name, text(in, "alias"), text(in, "version"))
	}
	return nil, http.StatusNotFound, "ENDPOINT_NOT_FOUND", route
}

func (s *Server) onRun(route string, r *Run, in map[string]any) (out any, status int, code, message string) {
	empty := map[string]any{}
	switch route {
	case "GET runs/get":
		return map[string]any{"run": wireRun(r)}, http.StatusOK, "", ""
	case "POST runs/update":
		r.Status = text(in, "status")
	case "POST runs/delete":
		r.Deleted = true
	case "POST runs/log-batch":
		metrics, _ := in["metrics"].([]any)
		params, _ := in["params"].([]any)
		if len(metrics) > 1000 || len(params) > 100 || len(metrics)+len(params) > 1000 {
			return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "too many entities"
		}
		for _, item := range metrics {
			m, _ := item.(map[string]any)
			value, _ := m["value"].(float64)
			timestamp, _ := m["timestamp"].(float64)
			step, _ := m["step"].(float64)
			point := Point{Value: value, Timestamp: int64(timestamp), Step: int64(step)}
			if key := text(m, "key"); !slices.Contains(r.Metrics[key], point) {
				r.Metrics[key] = append(r.Metrics[key], point)
			}
		}
		for key, value := range pairs(in["params"]) {
			if old, there := r.Params[key]; there && old != value {
				return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "params cannot change"
			}
			r.Params[key] = value
		}
		for key, value := range pairs(in["tags"]) {
			r.Tags[key] = value
		}
	}
	return empty, http.StatusOK, "", ""
}

func (s *Server) onVersion(route string, v *Version, in map[string]any) (out any, status int, code, message string) {
	switch route {
	case "GET model-versions/get":
		return map[string]any{"model_version": s.wireVersion(v)}, http.StatusOK, "", ""
	case "GET model-versions/get-download-uri":
		return map[string]any{"artifact_uri": v.Source}, http.StatusOK, "", ""
	case "POST model-versions/set-tag":
		v.Tags[text(in, "key")] = text(in, "value")
	case "DELETE model-versions/delete":
		s.versions = slices.DeleteFunc(s.versions, func(o *Version) bool { return o == v })
	}
	return map[string]any{}, http.StatusOK, "", ""
}

func (s *Server) onAlias(route, name, alias, version string) (out any, status int, code, message string) {
	key := name + "\n" + alias
	if !s.models[name] {
		return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Registered Model with name=" + name + " not found"
	}
	if strings.HasPrefix(route, "POST") {
		v := s.version(name, version)
		if v == nil {
			return nil, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "Model Version not found"
		}
		s.aliases[key] = v.Number
		return map[string]any{}, http.StatusOK, "", ""
	}
	v := s.version(name, strconv.Itoa(s.aliases[key]))
	if v == nil {
		// The form of real servers, 2.x and 3.x.
		return nil, http.StatusBadRequest, "INVALID_PARAMETER_VALUE", "Registered model alias " + alias + " not found."
	}
	return map[string]any{"model_version": s.wireVersion(v)}, http.StatusOK, "", ""
}
