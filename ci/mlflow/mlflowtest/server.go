// Package mlflowtest is an MLflow server in memory: the calls that publishing makes,
// with the answers that servers of the 3.x line give, and the faults that tests ask for.
package mlflowtest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
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
		if name == "" { // the list of what is below a path
			b, ok = []byte(`{"files": []}`), true
		}
		if !ok {
			Fail(w, http.StatusNotFound, "RESOURCE_DOES_NOT_EXIST", "no such artifact")
			return
		}
		_, _ = w.Write(b) // into a recorder
	default:
		w.WriteHeader(http.StatusMethodNotAllowed)
	}
}
