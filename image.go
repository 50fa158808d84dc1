package main

import (
	"context"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// Image trains the model (from the cache when nothing changed), builds the image with the
// model inside, starts it, and waits until it answers. It pushes nothing; publish does.
//
// +cache="session"
func (m *OpenstackRca) Image(ctx context.Context) (*Image, error) {
	result, err := m.call(ctx).run(verdict.Train, verdict.Image)
	if err != nil {
		return nil, err
	}
	return &Image{
		Report: result.report, Summary: result.summary, Json: result.json, Failure: result.failure, Built: result.image, Pipeline: m,
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
	result, err := i.Pipeline.call(ctx).run(verdict.Test, verdict.Train, verdict.Audit, verdict.Publish, verdict.Image)
	if err != nil {
		return nil, err
	}
	return result.run(), nil
}
