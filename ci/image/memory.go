package image

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed scripts/memory.py
var memoryScript string

// A proof by running cannot be a cached step: it needs a service of its own and this
// process to ask it. But it is as pure as one: the same digest, started the same way and
// asked the same questions, has been seen to answer. So a proof that held is kept in a
// volume of the engine, and in the sandbox the same image is not started again to show it
// once more. What goes to a real registry is always started, whatever is remembered, and
// a proof that failed is never kept: starting may fail for reasons that are not the image's.
const memoryDir = "/openstack-rca-proofs"

// proofDir is where a proof to keep is handed over: it may be longer than an argument.
const proofDir = "/openstack-rca-proof"

// proofFormat is part of the key: a change of what a proof means, or of how it is kept,
// makes all older ones void.
const proofFormat = "2"

// proof is what a run that passed had to show.
type proof struct {
	// Seen is when the image ran.
	Seen     time.Time          `json:"seen"`
	Evidence []verdict.Evidence `json:"evidence"`
	Warnings []verdict.Finding  `json:"warnings"`
	Log      []logBlock         `json:"log"`
	// Files are the files of the report, the picture of the page among them.
	Files map[string][]byte `json:"files"`
}

type logBlock struct {
	Title string `json:"title"`
	Log   string `json:"log"`
}

// memory looks proofs up. A nil one remembers nothing.
type memory struct {
	session *session
	done    chan struct{}
	proofs  map[string]json.RawMessage
}

// openMemory starts to read what is remembered, in the background.
func (s *session) openMemory(ctx context.Context) *memory {
	if s.in.Push.real() || s.in.Fresh != "" {
		return nil
	}
	m := &memory{session: s, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		out, err := m.run(nil, "recall", memoryDir).Stdout(ctx)
		if err == nil && json.Unmarshal([]byte(out), &m.proofs) != nil {
			m.proofs = nil
		}
		// One that cannot be read is one that knows nothing: the image is started.
	}()
	return m
}

// run runs the script on the volume; each time is one of its own.
func (m *memory) run(change func(*dagger.Container) *dagger.Container, args ...string) *dagger.Container {
	s := m.session
	ctr := engine.WithoutTrustUpdate(s.client.Container().From(s.engine.Image(s.in.Config.Python))).
		WithMountedCache(memoryDir, s.client.CacheVolume("openstack-rca-image-proofs")).
		WithEnvVariable("LOOK", newID())
	if change != nil {
		ctr = change(ctr)
	}
	return s.python(ctr, "memory.py", memoryScript, args...)
}

// close waits for the reading to end: the engine must not be asked anything after the run.
func (m *memory) close() {
	if m != nil {
		<-m.done
	}
}

// recall puts what an earlier run saw of this image into the stage, if there was one.
func (m *memory) recall(key string) bool {
	if m == nil {
		return false
	}
	<-m.done
	kept, ok := m.proofs[key]
	if !ok {
		return false
	}
	var p proof
	if json.Unmarshal(kept, &p) != nil || p.Seen.IsZero() || len(p.Evidence) == 0 {
		return false
	}
	stage := m.session.stage
	stage.Evidence = append(stage.Evidence, p.Evidence...)
	stage.Warnings = append(stage.Warnings, p.Warnings...)
	for _, block := range p.Log {
		stage.Blocks = append(stage.Blocks, verdict.Block{Title: block.Title, Log: block.Log})
	}
	for _, path := range sortedKeys(p.Files) {
		stage.Files = append(stage.Files, verdict.ReportFile{Path: path, Content: p.Files[path]})
	}
	stage.Add("proof", "this digest was started and answered on "+p.Seen.UTC().Format("2006-01-02 15:04:05 UTC")+", on this engine")
	return true
}

// remember keeps a proof that held. Failing to is no failure of the image.
func (m *memory) remember(ctx context.Context, key string, seen *verdict.Stage) {
	if m == nil {
		return
	}
	p := proof{Seen: time.Now().UTC(), Evidence: seen.Evidence, Warnings: seen.Warnings}
	for _, block := range seen.Blocks {
		p.Log = append(p.Log, logBlock{Title: block.Title, Log: block.Log})
	}
	p.Files = map[string][]byte{}
	for _, file := range seen.Files {
		p.Files[file.Path] = file.Content
	}
	content, err := json.Marshal(p)
	if err == nil {
		file := m.session.client.Directory().WithNewFile("proof.json", string(content))
		_, err = m.run(func(ctr *dagger.Container) *dagger.Container {
			return ctr.WithMountedDirectory(proofDir, file)
		}, "remember", memoryDir, key, proofDir+"/proof.json").Sync(ctx)
	}
	if err != nil {
		m.session.stage.Warn(WarnProof, "%v", m.session.plain(err))
	}
}

// proofKey tells proofs apart: by the image, by what is asked of it, and by what asks.
func (s *session) proofKey(digest string) string {
	c := s.in.Config.Image
	// Marshalling strings, numbers and lists of them cannot fail.
	parts, _ := json.Marshal([]any{
		proofFormat, digest, s.engine.Image(s.in.Config.Python),
		c.Port, c.Health, c.ScriptHealth, c.Successes, c.StartBudget, c.User, c.Volumes, c.Page,
		witness, evidenceScript, cutScript, readonlyScript, pageScript,
	})
	sum := sha256.Sum256(parts)
	return hex.EncodeToString(sum[:])
}

// proveOnce runs the image, unless it has been seen to run.
func (s *session) proveOnce(ctx context.Context, m *memory, image *dagger.Container, digest string) []*verdict.Problem {
	key := s.proofKey(digest)
	if m.recall(key) {
		return nil
	}
	seen := verdict.Stage{}
	problems := (&session{client: s.client, engine: s.engine, in: s.in, id: s.id, appDir: s.appDir, stage: &seen}).prove(ctx, image)
	s.take(seen)
	if len(problems) == 0 {
		m.remember(ctx, key, &seen)
	}
	return problems
}
