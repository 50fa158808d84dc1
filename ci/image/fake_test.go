package image_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/internal/daggertest"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	commit     = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"
	baseDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	content    = "model"
	// sha256 of content.
	modelSHA = "9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
)

// world is everything around the stage: an engine that does as it is told, a real
// registry in this process, and an application.
type world struct {
	// programs are further ones in the serving environment.
	programs []string
	t        *testing.T
	engine   *daggertest.Engine
	// sandbox and registry are the hosts of the sandbox's registry and of the real one.
	sandbox, registry string
	// refuse makes the real registry answer a request with a status; 0 lets it through.
	mu     sync.Mutex
	refuse func(r *http.Request) int
	// status is the application's answer by path.
	status func(path string) int
	// image is what the engine is said to have built.
	image v1.Image
	// files are the source's.
	files map[string]string
	// findings and left are what the scripts in the image print.
	findings map[string]any
	left     map[string]any
	listing  map[string]string
	// page is what the browser saw.
	page map[string]any
	// proofs are what an engine remembers.
	proofs map[string]any
	// tree is the content of all directories, as the engine's digest.
	tree string
	in   image.Input
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{
		t: t, engine: daggertest.New(t),
		files:    map[string]string{"requirements/serve.lock": "six==1 --hash=sha256:00"},
		findings: map[string]any{"python": "3.11", "platform": "linux/amd64", "imports": map[string]string{"tensorflow": "absent", "mlflow": "absent", "streamlit": "ok"}},
		left:     map[string]any{"out": "started\n", "health": "0\n", "tcp": "", "outside": "8.8.8.8:53\n", "root": "held\n"},
		page:     map[string]any{"drawn": true, "seconds": 1.2, "status": 200, "title": "RCA", "text": "No log yet.", "length": 11},
		listing:  map[string]string{"lstm_model.keras": modelSHA, "golden.json": "00"},
		status:   func(string) int { return 200 },
		tree:     "sha256:1",
	}
	w.sandbox = w.newRegistry(func(*http.Request) int { return 0 })
	w.registry = w.newRegistry(func(r *http.Request) int {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.refuse == nil {
			return 0
		}
		return w.refuse(r)
	})
	application := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/openstack-rca-") {
			rw.WriteHeader(http.StatusNotFound) // the probe's path that cannot exist
			return
		}
		rw.WriteHeader(w.status(r.URL.Path))
	}))
	t.Cleanup(application.Close)

	w.image = w.newImage(nil)
	w.script(strings.TrimPrefix(application.URL, "http://"))
	w.in = w.input()
	return w
}

// newRegistry is a registry that answers with a status instead where it is told to.
func (w *world) newRegistry(refuse func(*http.Request) int) string {
	handler := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if status := refuse(r); status != 0 {
			rw.WriteHeader(status)
			return
		}
		handler.ServeHTTP(rw, r)
	}))
	w.t.Cleanup(server.Close)
	return strings.TrimPrefix(server.URL, "http://")
}

// newImage is an image as the stage configures it, changed as wanted.
func (w *world) newImage(change func(*v1.ConfigFile)) v1.Image {
	img, err := random.Image(1000, 3)
	require.NoError(w.t, err)
	file, err := img.ConfigFile()
	require.NoError(w.t, err)
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", "amd64"
	file.Config = v1.Config{
		User: "10001:10001", Env: []string{"PATH=/bin"}, ExposedPorts: map[string]struct{}{"7051/tcp": {}},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}},
		Labels:      map[string]string{image.LabelModelSHA256: modelSHA},
	}
	if change != nil {
		change(file)
	}
	img, err = mutate.ConfigFile(img, file)
	require.NoError(w.t, err)
	return img
}

// redated is the same image as if it had been built at another time.
func (w *world) redated() v1.Image {
	file, err := w.image.ConfigFile()
	require.NoError(w.t, err)
	file = file.DeepCopy()
	file.Created = v1.Time{Time: file.Created.Add(time.Hour)}
	for i := range file.History {
		file.History[i].Created = file.Created
	}
	img, err := mutate.ConfigFile(w.image, file)
	require.NoError(w.t, err)
	return img
}

// script tells the engine what to answer.
func (w *world) script(application string) {
	e := w.engine
	encoded := func(v any) (any, error) {
		b, err := json.Marshal(v)
		return string(b), err
	}
	e.Answer("imageRef", "docker.io/library/python:3.11-slim@"+baseDigest)
	e.AnswerFunc("exists", func(c daggertest.Call) (any, error) { _, ok := w.files[argument(c.Query, "exists")]; return ok, nil })
	e.AnswerFunc("glob", func(daggertest.Call) (any, error) { return slices.Sorted(maps.Keys(w.files)), nil })
	e.AnswerFunc("size", func(c daggertest.Call) (any, error) { return len(w.files[argument(c.Query, "file")]), nil })
	e.AnswerFunc("withoutMount.file.contents", func(c daggertest.Call) (any, error) {
		if key, ok := strings.CutPrefix(argument(c.Query, "file"), "/openstack-rca-recalled/"); ok {
			return encoded(w.proofs[strings.TrimSuffix(key, ".json")])
		}
		return "anBlZw==", nil
	})
	e.AnswerFunc("contents", func(c daggertest.Call) (any, error) {
		return w.files[argument(c.Query, "file")], nil
	})
	e.AnswerFunc("entries", func(daggertest.Call) (any, error) { return append([]string{"python", "streamlit"}, w.programs...), nil })
	e.AnswerFunc("digest", func(daggertest.Call) (any, error) { return w.tree, nil })
	e.AnswerFunc("stdout", func(c daggertest.Call) (any, error) {
		switch {
		case strings.Contains(c.Query, "/mnt/inspect.py"):
			return encoded(w.findings)
		case strings.Contains(c.Query, "/mnt/evidence.py"):
			return encoded(w.left)
		case strings.Contains(c.Query, "/mnt/page.py"):
			return encoded(w.page)
		case strings.Contains(c.Query, "/mnt/memory.py"):
			return encoded(w.index())
		case strings.Contains(c.Query, "--want"):
			return encoded(w.listing)
		case strings.Contains(c.Query, "/mnt/slim.py"):
			return "manuals 1.5 MB\n", nil
		}
		return nil, fmt.Errorf("no output for %s", c.Path)
	})
	e.AnswerFunc("platform", func(daggertest.Call) (any, error) { return w.in.Config.Image.Platform, nil })
	e.Answer("exitCode", 0)
	e.Answer("combinedOutput", "score: different\n")
	e.Answer("entrypoint", []string{})
	e.Answer("defaultArgs", []string{"python", "serve.py"})
	e.AnswerFunc("endpoint", func(c daggertest.Call) (any, error) {
		if strings.Contains(c.Path, "withMountedCache") {
			return application, nil
		}
		return w.sandbox, nil
	})
	e.AnswerFunc("publish", func(c daggertest.Call) (any, error) { return w.publish(c) })
	e.Answer("setSecret.plaintext", "hunter2-hunter2")
}

// publish does what an engine does: it pushes to the address, the sandbox's being the
// one that this registry stands for.
func (w *world) publish(c daggertest.Call) (any, error) {
	address := argument(c.Query, "publish")
	ref, err := name.NewTag(strings.Replace(address, image.SandboxHost, w.sandbox, 1), name.Insecure)
	if err != nil {
		return nil, err
	}
	if err := remote.Write(ref, w.image, remote.WithRetryBackoff(remote.Backoff{Steps: 1})); err != nil {
		return nil, err
	}
	digest, err := w.image.Digest()
	return address + "@" + digest.String(), err
}

// argument is the first string argument of the last call of a field that looks like a path or an address.
func argument(query, field string) string {
	i := strings.LastIndex(query, field+"(")
	if i < 0 {
		return ""
	}
	rest := query[i:]
	for _, key := range []string{`address: "`, `path: "`} {
		if _, after, ok := strings.Cut(rest, key); ok {
			value, _, _ := strings.Cut(after, `"`)
			return value
		}
	}
	return ""
}

// input is a whole, valid one.
func (w *world) input() image.Input {
	dir := w.t.TempDir()
	require.NoError(w.t, os.WriteFile(filepath.Join(dir, "lstm_model.keras"), []byte(content), 0o600))
	client := w.engine.Client(w.t)
	cfg := config.Default()
	cfg.Name, cfg.Python = "rca", "3.11"
	cfg.Image.Requirements = []string{"requirements/serve.lock"}
	cfg.Image.StartBudget = config.Duration(200 * time.Millisecond)
	cfg.Image.Successes = 1
	cfg.Image.MaxMegabytes = 100
	cfg.Train.ScoreCommand = []string{"python", "main.py", "--mode", "score"}
	return image.Input{
		Config: cfg, Source: client.Directory(), ModelFiles: client.Directory().WithNewFile("lstm_model.keras", content),
		Model:       &model.Artifact{Format: "keras", Dir: dir, File: "lstm_model.keras", SHA256: modelSHA, Golden: "golden.json"},
		Version:     &model.Version{Number: 7, SHA256: modelSHA, URI: "s3://b/lstm_model_v7.keras"},
		Environment: "sandbox", Ref: "main", Commit: commit, CommitTime: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC),
		Push: image.Push{Sandbox: true},
	}
}

// production points the input at the real registry.
func (w *world) production() {
	w.in.Environment = "production"
	w.in.Push = image.Push{Address: w.registry + "/acme/rca", Username: "ci", Password: w.engine.Client(w.t).SetSecret("registry", "hunter2-hunter2")}
}

func (w *world) setRefuse(refuse func(r *http.Request) int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.refuse = refuse
}

func (w *world) run() *image.Result {
	return image.Run(context.Background(), w.engine.Client(w.t), w.in)
}

// tags are those of a repository of a registry, with their digests.
func (w *world) tags(host, repo string) map[string]string {
	w.t.Helper()
	w.setRefuse(nil)
	r, err := name.NewRepository(host+"/"+repo, name.Insecure)
	require.NoError(w.t, err)
	names, err := remote.List(r)
	if err != nil {
		return map[string]string{}
	}
	all := map[string]string{}
	for _, tag := range names {
		d, err := remote.Head(r.Tag(tag))
		require.NoError(w.t, err)
		all[tag] = d.Digest.String()
	}
	return all
}

func evidence(stage verdict.Stage, name string) string {
	for _, e := range stage.Evidence {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}
