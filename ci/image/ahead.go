package image

import (
	"context"
	"sync"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Ahead is what the stage does before there is a model: it reads which images have been seen
// to run, its registry starts, and the layers that do not depend on the model are built and
// pushed. They are nearly all of the image.
type Ahead struct {
	session  *session
	memory   *memory
	once     sync.Once
	registry *sandbox
	problem  *verdict.Problem
	pushed   sync.WaitGroup
	browser  sync.WaitGroup
}

// Begin starts all that in the background, for a Run with the same Input, which names it in
// Input.Ahead. Of the Input it needs neither Model nor Version. It reports nothing: a Run
// meets the same failure, and does. The caller closes it.
func Begin(ctx context.Context, client *dagger.Client, in Input) *Ahead {
	s := &session{client: client, engine: in.Engine, in: in, stage: &verdict.Stage{}, id: newID(), appDir: AppDir}
	a := s.begin(ctx)
	if in.Config.Image.Dockerfile == "" {
		a.pushed.Go(func() { builder{s}.pushPackages(ctx, a) })
	} else {
		a.pushed.Go(func() { a.start(ctx) })
	}
	return a
}

// begin starts what a Run needs in any case.
func (s *session) begin(ctx context.Context) *Ahead {
	a := &Ahead{session: s, memory: s.openMemory(ctx)}
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
	// What is on its way there already need not be sent twice.
	a.pushed.Wait()
	return a.registry, a.problem
}

// Close waits until nothing is asked of the engine any more, and gives the registry back.
func (a *Ahead) Close(ctx context.Context) {
	a.pushed.Wait()
	if a.registry != nil {
		a.registry.close(ctx)
	}
	a.browser.Wait()
	a.memory.close()
}

// packagesTag is what the layers are pushed under that do not depend on the model.
const packagesTag = "packages"

// pushPackages sends the layers ahead that do not depend on the model: a registry that has
// them is not sent them again.
func (b builder) pushPackages(ctx context.Context, a *Ahead) {
	f, problem := b.foundation(ctx)
	if problem != nil {
		return
	}
	// Most likely with the same model too: then nothing is pushed at all.
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
	// The push of the image sends what is missing then, and reports why if it cannot.
	_, _ = image.Publish(ctx, repo.String()+":"+packagesTag, dagger.ContainerPublishOpts{RegistryService: a.registry.service})
}
