// Package image is the image stage: it builds the serving image with the gated model
// inside, proves by running it that it starts and answers, and pushes it once; from
// then on it is known by its digest alone.
package image

import (
	"context"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Input is what an image is made of.
type Input struct {
	Config config.Config
	// Source is the application's tree.
	Source *dagger.Directory
	// ModelFiles holds the gated model's files, flat.
	ModelFiles *dagger.Directory
	// Model is the gated model; the files are compared with it.
	Model *model.Artifact
	// Version is the published version; nil when the model is not published.
	Version *model.Version
	// Environment, Ref and Commit say what is built and for whom; they become tags and labels.
	Environment, Ref, Commit string
	// CommitTime becomes the image's creation time; the zero time leaves it out.
	CommitTime time.Time
	// Push says where the image goes; nothing is pushed when it is zero.
	Push Push
	// Reach makes a started or unstarted service reachable from this process. Use Direct
	// inside of module functions and Tunnel outside of them; Direct when nil.
	Reach Reach
	// Interpreter prepares a container of a Python version with uv on its path and a
	// virtual environment in VenvDir active; engine.Runner.Base does it.
	Interpreter func(python string) *dagger.Container
	// DownloadCache mounts uv's download cache; none when nil. engine.Runner.WithDownloadCache does it.
	DownloadCache func(ctr *dagger.Container, python string) *dagger.Container
	// Redact hides secrets in logs; nil hides nothing.
	Redact func(string) string
}

// Push says where an image is pushed.
type Push struct {
	// Address is registry/repository without tag; the configuration's image.repository when empty.
	Address string
	// Username and Password log in to the registry.
	Username string
	Password *dagger.Secret
	// Sandbox pushes to a registry started for this run (or to Service) instead.
	Sandbox bool
	// Service is a registry to use in the sandbox; one is started, and stopped
	// afterwards, when nil. Its port 5000 serves plain HTTP.
	Service *dagger.Service
}

// Result is the verdict on an image.
type Result struct {
	Stage verdict.Stage
	// Container is the image; nil when it could not be built.
	Container *dagger.Container
	// Reference is repository@sha256:...; empty unless it was pushed and verified.
	Reference string
	// Digest is sha256:... of the manifest; empty unless it was pushed and verified.
	Digest string
}

// Reach makes a service reachable from this process: it starts it if need be and returns
// host:port for the given port of it, and how to let go of it.
type Reach func(ctx context.Context, svc *dagger.Service, port int) (address string, release func(context.Context) error, err error)
