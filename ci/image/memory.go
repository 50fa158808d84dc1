package image

import (
	"context"
	_ "embed"
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed scripts/memory.py
var memoryScript string

// memoryDir is a volume of the engine with the proofs of images that passed. Running an image
// cannot be a cached step, because this process has to reach its services. The result is as
// pure as one: the same image, inspected, started and probed in the same way. So in the sandbox
// an image with a proof is not pushed and started again. An image for a real registry always
// is, and failures are never stored, because their cause may not be the image.
const memoryDir = "/openstack-rca-proofs"

// recalledDir holds one file for each proof, so that this process reads only the one it needs.
const recalledDir = "/openstack-rca-recalled"

// proofDir holds the proofs to store: they may be longer than an argument.
const proofDir = "/openstack-rca-proof"

// proofFormat is part of the key. Change it with the meaning or the format of a proof, and
// older proofs are ignored.
const proofFormat = "4"

// proof is the evidence of a run that passed.
type proof struct {
	// Seen is when the image ran.
	Seen     time.Time          `json:"seen"`
	Evidence []verdict.Evidence `json:"evidence"`
	Measures []verdict.Measure  `json:"measures,omitempty"`
	Warnings []verdict.Finding  `json:"warnings"`
	Blocks   []verdict.Block    `json:"blocks"`
	// Files are the files of the report, the picture of the page among them, in their order.
	Files []proofFile `json:"files"`
	// For a whole build: the key without the model, and the image's reference.
	WithoutModel string `json:"without_model,omitempty"`
	Reference    string `json:"reference,omitempty"`
}

type proofFile struct {
	Path    string `json:"path"`
	Content []byte `json:"content"`
}

// memory stores and returns proofs. A nil memory is empty.
type memory struct {
	session *session
	done    chan struct{}
	// known are the keys of all proofs, each with its key without the model, and the names of what others found.
	known map[string]string
	// recalled has the proofs in its recalledDir.
	recalled *dagger.Container
	// kept are proofs to remember, by key.
	kept map[string]proof
}

// openMemory starts to read the stored proofs in the background.
func (s *session) openMemory(ctx context.Context) *memory {
	if s.in.Push.real() || s.in.Fresh != "" {
		return nil
	}
	m := &memory{session: s, done: make(chan struct{}), kept: map[string]proof{}}
	go func() {
		defer close(m.done)
		m.recalled = m.run(nil, "recall", memoryDir, recalledDir)
		out, err := m.recalled.Stdout(ctx)
		if err != nil || json.Unmarshal([]byte(out), &m.known) != nil {
			// Without proofs the image is started.
			m.known = nil
		}
	}()
	return m
}

// run runs the script on the volume, never from the engine's cache.
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

// close waits for the background read: the engine must not be used after the run.
func (m *memory) close() {
	if m != nil {
		<-m.done
	}
}

// has reports whether there is a proof of an image with these inputs and any model.
func (m *memory) has(withoutModel string) bool {
	if m == nil || withoutModel == "" {
		return false
	}
	<-m.done
	for _, known := range m.known {
		if known == withoutModel {
			return true
		}
	}
	return false
}

// recall returns the proof of an earlier run, or nil.
func (m *memory) recall(ctx context.Context, key string) *proof {
	if m == nil || key == "" {
		return nil
	}
	<-m.done
	if _, ok := m.known[key]; !ok {
		return nil
	}
	content, err := m.recalled.File(recalledDir + "/" + key + ".json").Contents(ctx)
	var p proof
	if err != nil || json.Unmarshal([]byte(content), &p) != nil || p.Seen.IsZero() || len(p.Evidence) == 0 {
		return nil
	}
	return &p
}

// tell adds a recalled proof to a stage.
func (p *proof) tell(stage *verdict.Stage, what string) {
	stage.Evidence = append(stage.Evidence, p.Evidence...)
	stage.Measures = append(stage.Measures, p.Measures...)
	stage.Warnings = append(stage.Warnings, p.Warnings...)
	stage.Blocks = append(stage.Blocks, p.Blocks...)
	for _, file := range p.Files {
		stage.Files = append(stage.Files, verdict.ReportFile{Path: file.Path, Content: file.Content})
	}
	stage.Add("proof", what+" on "+p.Seen.UTC().Format("2006-01-02 15:04:05 UTC")+", on this engine")
}

// keep notes a proof, for remember to store.
func (m *memory) keep(key string, p proof, seen *verdict.Stage) {
	if m == nil || key == "" {
		return
	}
	p.Seen, p.Evidence, p.Warnings, p.Blocks = time.Now().UTC(), seen.Evidence, seen.Warnings, seen.Blocks
	p.Measures = seen.Measures
	for _, file := range seen.Files {
		p.Files = append(p.Files, proofFile{file.Path, file.Content})
	}
	m.kept[key] = p
}

// remember stores the noted proofs. A failure is only a warning.
func (m *memory) remember(ctx context.Context) {
	if m == nil || len(m.kept) == 0 {
		return
	}
	var err error
	files := map[string]string{}
	for key, p := range m.kept {
		var content []byte
		if content, err = json.Marshal(p); err != nil {
			break
		}
		files[key+".json"] = string(content)
	}
	if err == nil {
		err = m.store(ctx, files)
	}
	if err != nil {
		m.session.stage.Warn(WarnProof, "%v", m.session.plain(err))
	}
}

// store writes files into the volume.
func (m *memory) store(ctx context.Context, files map[string]string) error {
	dir := m.session.client.Directory()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		dir = dir.WithNewFile(name, files[name])
	}
	_, err := m.run(func(ctr *dagger.Container) *dagger.Container {
		return ctr.WithMountedDirectory(proofDir, dir)
	}, "remember", memoryDir, proofDir).Sync(ctx)
	return err
}

// foundSuffix is that of the files with what others found, which are none of this stage's proofs.
const foundSuffix = ".found"

// Recall returns what Keep stored in an earlier run, or nil.
func (a *Ahead) Recall(ctx context.Context, key string) []byte {
	m := a.memory
	if m == nil || key == "" {
		return nil
	}
	<-m.done
	if _, ok := m.known[key+foundSuffix]; !ok {
		return nil
	}
	content, err := m.recalled.File(recalledDir + "/" + key + foundSuffix).Contents(ctx)
	if err != nil {
		return nil
	}
	return []byte(content)
}

// Keep stores what was found, text by key, beside the proofs of images, and where these are stored: not
// for an image of a real registry.
func (a *Ahead) Keep(ctx context.Context, found map[string][]byte) error {
	if a.memory == nil {
		return nil
	}
	files := map[string]string{}
	for key, content := range found {
		files[key+foundSuffix] = string(content)
	}
	return a.memory.store(ctx, files)
}

// proofKey identifies the proof of a running image: by the image, by the configuration of the
// probe, and by the scripts.
func (p prover) proofKey(digest string) string {
	c := p.in.Config.Image
	return runner.Key(proofFormat, digest, p.engine.Image(p.in.Config.Python),
		c.Port, c.Health, c.ScriptHealth, c.Successes, c.StartBudget, c.User, c.Volumes, c.Page,
		witness, evidenceScript, cutScript, readonlyScript, pageScript)
}

// withoutModel is the part of a build's key that does not depend on the model: the content of
// the packages and the source, the configuration, and this program. Empty if it cannot be
// computed; then nothing is recalled.
func (b builder) withoutModel(ctx context.Context, f *foundation) string {
	var packages, source string
	var packagesErr, sourceErr error
	var group sync.WaitGroup
	group.Go(func() { packages, packagesErr = f.packages.Directory(rootDir).Digest(ctx) })
	group.Go(func() {
		application, err := b.over(b.applicationSource(), f.serving.built)
		if err != nil {
			sourceErr = err
			return
		}
		source, sourceErr = application.Digest(ctx)
	})
	group.Wait()
	if packagesErr != nil || sourceErr != nil || runner.Program() == "" {
		return ""
	}
	return runner.Key(proofFormat, runner.Program(), f.base, packages, source, b.in.Config, b.engine.Image(b.in.Config.Python),
		b.in.Environment, b.in.Ref, b.in.Commit, b.in.CommitTime, b.in.Push.Address)
}

// buildKey identifies a whole build by its content.
func (b builder) buildKey(ctx context.Context, withoutModel string, made *built) string {
	if withoutModel == "" {
		return ""
	}
	var application, manifest string
	var applicationErr, manifestErr error
	var group sync.WaitGroup
	group.Go(func() { application, applicationErr = made.root.Directory(AppDir).Digest(ctx) })
	group.Go(func() { manifest, manifestErr = made.root.File(ManifestFile).Digest(ctx) })
	group.Wait()
	if applicationErr != nil || manifestErr != nil {
		return ""
	}
	version := 0 // the run that made it is another each time, and not in the image
	if b.in.Version != nil {
		version = b.in.Version.Number
	}
	return runner.Key(withoutModel, application, manifest, b.in.Model.File, b.in.Model.SHA256, b.in.Model.Golden, version)
}

// proveOnce runs the image unless there is a proof for it.
func (p prover) proveOnce(ctx context.Context, m *memory, image *dagger.Container, digest string) []*verdict.Problem {
	key := p.proofKey(digest)
	if known := m.recall(ctx, key); known != nil {
		known.tell(p.stage, "this digest was started and answered")
		return nil
	}
	seen := verdict.Stage{}
	problems := prover{p.with(&seen)}.prove(ctx, image)
	p.take(seen)
	if len(problems) == 0 {
		m.keep(key, proof{}, &seen)
	}
	return problems
}
