package image

import (
	"context"
	"sync"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Ahead is the work of the stage that needs no model: reading the stored proofs, starting the
// registry, and building and pushing the layers below the model, which are most of the image.
type Ahead struct {
	session  *session
	memory   *memory
	stop     context.CancelFunc
	once     sync.Once
	registry *sandbox
	problem  *verdict.Problem
	pushed   sync.WaitGroup
	browser  sync.WaitGroup
}

// Begin starts this work in the background, for a Run with the same Input and with the result
// as Input.Ahead. It does not need Model and Version. It reports no failure, because Run meets
// and reports the same one. The caller closes the result.
func Begin(ctx context.Context, client *dagger.Client, in Input) *Ahead {
	s := &session{client: client, engine: in.Engine, in: in, stage: &verdict.Stage{}, id: newID(), appDir: AppDir}
	ctx, stop := context.WithCancel(ctx)
	a := s.begin(ctx)
	a.stop = stop
	if in.Config.Image.Dockerfile == "" {
		a.pushed.Go(func() { builder{s}.pushPackages(ctx, a) })
	} else {
		a.pushed.Go(func() { a.start(ctx) })
	}
	return a
}

// begin starts the work that every Run needs.
func (s *session) begin(ctx context.Context) *Ahead {
	a := &Ahead{session: s, memory: s.openMemory(ctx), stop: func() {}}
	a.browser.Go(func() { prover{s}.openBrowser(ctx) })
	return a
}

// start starts the registry, once.
func (a *Ahead) start(ctx context.Context) {
	a.once.Do(func() { a.registry, a.problem = a.session.openSandbox(ctx) })
}

// open waits for the registry.
func (a *Ahead) open(ctx context.Context) (*sandbox, *verdict.Problem) {
	a.start(ctx)
	// Wait for the push, or layers would be sent twice.
	a.pushed.Wait()
	return a.registry, a.problem
}

// Close stops the registry, and the work that no Run has taken up: a run that failed before need not wait for it. It returns when
// the engine is no longer used.
func (a *Ahead) Close(ctx context.Context) {
	a.stop()
	a.pushed.Wait()
	if a.registry != nil {
		a.registry.close(ctx)
	}
	a.browser.Wait()
	a.memory.close()
}

// packagesTag is the tag of the layers below the model.
const packagesTag = "packages"

// pushPackages pushes the layers below the model, so that the push of the image skips them.
func (b builder) pushPackages(ctx context.Context, a *Ahead) {
	f, problem := b.foundation(ctx)
	if problem != nil {
		return
	}
	// The model is probably the same too; then nothing is pushed at all.
	if a.memory != nil && a.memory.has(b.withoutModel(ctx, f)) {
		return
	}
	repo, err := repository(b.in)
	if err != nil {
		return
	}
	if repo, err = imageref.ParseRepository(SandboxHost + "/" + repo.Path()); err != nil {
		return
	}
	if a.start(ctx); a.problem != nil {
		return
	}
	image := b.platform().From(f.base).WithRootfs(f.packages.Directory(rootDir))
	// If this fails, the push of the image sends the layers, or reports the failure.
	_, _ = image.Publish(ctx, repo.String()+":"+packagesTag, dagger.ContainerPublishOpts{RegistryService: a.registry.service})
}
