// Package image is the image stage. It builds the serving image with the gated model inside,
// runs it to prove that it starts and answers, and pushes it once. From then on the image is
// identified by its digest only.
package image

import (
	"context"
	"time"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
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
	// Environment, Ref and Commit become tags and labels.
	Environment, Ref, Commit string
	// CommitTime becomes the image's creation time; the zero time leaves it out.
	CommitTime time.Time
	// Push says where the image goes; it stays in the sandbox when it is zero.
	Push Push
	// Engine starts services and makes Python environments. Nil makes a runner for use inside
	// of a module function.
	Engine *engine.Runner
	// Fresh, when not empty, makes every step of the build run again for each different value
	// instead of coming from the cache. It does not change the digest.
	Fresh string
	// Ahead is the work that Begin started, or nil.
	Ahead *Ahead
	// Redact hides secrets in logs; nil hides nothing.
	Redact func(string) string
	// Tell gets a line about a start that takes long; nil tells nobody.
	Tell func(line string)
}

// Push says where an image is pushed.
type Push struct {
	// Address is registry/repository without tag; the configuration's image.repository when empty.
	Address string
	// Username and Password log in to the registry; both empty for one that asks for none.
	Username string
	Password *dagger.Secret
	// AWS logs in to a registry of ECR when no Password is given.
	AWS AWS
	// Sandbox keeps the image in the sandbox's registry.
	Sandbox bool
}

// real reports whether the image is pushed to a registry outside of the sandbox.
func (p Push) real() bool { return !p.Sandbox && (p.Address != "" || p.Password != nil) }

// Result is the verdict on an image.
type Result struct {
	Stage verdict.Stage
	// Container is the image; nil when it could not be built.
	Container *dagger.Container
	// Reference is repository@sha256:..., by the digest of the manifest; the zero value unless the stage passed.
	Reference imageref.Reference
	// Export writes this image into a local directory, as oci.Write does, while Input.Ahead is open; nil
	// without one.
	Export func(ctx context.Context, dir string) error
}

// Names inside of the image.
const (
	// AppDir is where the application is, and its working directory.
	AppDir = "/app"
	// VenvDir is the virtual environment.
	VenvDir = "/venv"
	// ManifestFile describes the application and the model in the image.
	ManifestFile = "/etc/openstack-rca/image.json"
	// labels of this project's own.
	LabelModelSHA256  = imageref.LabelModelSHA256
	LabelModelVersion = imageref.LabelModelVersion
	LabelVolumes      = imageref.LabelVolumes
)

// epoch is the time of every file that the build makes, so that the same content always has
// the same digest. It is 1980-01-01, the earliest time in a zip file.
const epoch = 315532800
