package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Image trains the model (from the cache when nothing changed), builds the image with the
// model inside, starts it, and waits until it answers. It pushes nothing; publish does.
//
// +cache="session"
func (m *OpenstackRca) Image(
	ctx context.Context,

	// Python version; pipeline.yaml's when empty.
	//
	// +optional
	python string,
) (*Image, error) {
	call := m.call(ctx)
	call.python = python
	result, err := call.run(verdict.Train, verdict.Image)
	if err != nil {
		return nil, err
	}
	return &Image{
		Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure, Built: result.image, Pipeline: m, Python: python,
	}, nil
}

// Image is the serving image with its verdict.
type Image struct {
	// The image's measurements and the verdict.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// +private
	Failure string
	// +private
	Built *dagger.Container
	// +private
	Pipeline *OpenstackRca
	// +private
	Python string
}

// Container is the image itself. It fails when the image did not pass.
func (i *Image) Container() (*dagger.Container, error) {
	if err := enforce(i.Failure); err != nil {
		return nil, err
	}
	return i.Built, nil
}

// Enforce fails unless the image was built, started and answered.
func (i *Image) Enforce() error { return enforce(i.Failure) }

// Publish publishes the model and pushes the image that contains this version, once, by
// digest, when the tests and the model's gates have passed. It pushes to --image-address; in
// the sandbox to a registry that this call starts.
//
// +cache="session"
func (i *Image) Publish(ctx context.Context) (*Run, error) {
	call := i.Pipeline.call(ctx)
	call.python = i.Python
	result, err := call.run(verdict.Test, verdict.Train, verdict.Audit, verdict.Publish, verdict.Image)
	if err != nil {
		return nil, err
	}
	return result.run(), nil
}

// Join puts the images that runs on several platforms built, proved and pushed into one index, in their
// repository, under the tags that never move. image.platforms of pipeline.yaml names the platforms. Images of
// another model, commit or configuration are refused. Repeating pushes nothing.
//
//	dagger call --environment staging ... join --from reports enforce
//
// +cache="session"
func (m *OpenstackRca) Join(
	ctx context.Context,

	// Reports of the runs that built the images, each in a directory of its own.
	from *dagger.Directory,

	// Images, by digest: repository@sha256:...; those of the reports when not given.
	//
	// +optional
	image []string,

	// Public keys that are trusted, in PEM. With them, only images that one of them attested are joined.
	//
	// +optional
	verifyKey *dagger.File,
) (*Index, error) {
	call := m.call(ctx)
	call.joined, call.opts.Join.Images = from, image
	call.demand(verifyKey, nil, nil, pipeline.VerifyOptions{})
	backend, err := call.backend()
	if err != nil {
		return nil, err
	}
	defer call.close()
	run := pipeline.Join(ctx, backend, call.options())
	result, err := call.report(run)
	if err != nil {
		return nil, err
	}
	return &Index{Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure, Reference: run.Image}, nil
}

// Index is an index of the images of several platforms, with its verdict.
type Index struct {
	// The verdict, with the reports of the runs that built the images; attest takes it as --from.
	Report *dagger.Directory
	// The verdict in Markdown, short enough for a CI job's summary.
	Summary string
	// The verdict for machines; docs/report.md has its schema.
	Json string
	// The index by digest, repository@sha256:...; empty when it did not pass. Scan, attest, verify and deploy take it as --image.
	Reference string
	// +private
	Failure string
}

// Enforce fails unless the index is in the registry with all its tags.
func (i *Index) Enforce() error { return enforce(i.Failure) }
