package oci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// maxLayer limits the size of an unpacked layer.
const maxLayer = 32 << 30

// Export writes the image; see Write. It must be an image for a single platform.
func (i Image) Export(dir string) error {
	found, err := remote.Get(i.digest, i.opts...)
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	if found.MediaType.IsIndex() {
		return fmt.Errorf("read image: %s is a list of images for several platforms; name one of them: %s", i.digest.DigestStr(),
			platforms(found))
	}
	image, err := found.Image()
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	return Write(image, dir)
}

// platforms returns the images of an index with their platforms.
func platforms(list *remote.Descriptor) string {
	index, err := list.ImageIndex()
	if err != nil {
		return err.Error()
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, m := range manifest.Manifests {
		if m.Platform != nil && m.Platform.OS != "unknown" { // the platform of builders' attestations
			all = append(all, m.Platform.String()+" is "+m.Digest.String())
		}
	}
	return strings.Join(all, ", ")
}

// Write writes an image as an OCI layout into dir/layout, and verifies all digests.
func Write(image v1.Image, dir string) error {
	path, err := layout.Write(filepath.Join(dir, "layout"), empty.Index)
	if err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	if err := path.AppendImage(image); err != nil {
		return fmt.Errorf("write layout: %w", err)
	}
	return nil
}

// Unpack unpacks each layer of the image in dir/layout into dir/layers/NN.tar, the lowest first.
func Unpack(dir string) error {
	local, err := only(filepath.Join(dir, "layout"))
	if err != nil {
		return fmt.Errorf("read layout: %w", err)
	}
	layers, err := local.Layers()
	if err != nil {
		return fmt.Errorf("read layers: %w", err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "layers"), 0o755); err != nil { //nolint:gosec // the image is not secret
		return fmt.Errorf("write layers: %w", err)
	}
	var group sync.WaitGroup
	errs := make([]error, len(layers))
	slots := make(chan struct{}, 2) // each layer is unpacked by one thread
	for n, layer := range layers {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			if err := unpack(layer, filepath.Join(dir, "layers", fmt.Sprintf("%02d.tar", n))); err != nil {
				errs[n] = fmt.Errorf("write layer %d: %w", n, err)
			}
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// only returns the image of a layout that has exactly one.
func only(dir string) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, err
	}
	if len(manifest.Manifests) != 1 {
		return nil, fmt.Errorf("it has %d images", len(manifest.Manifests))
	}
	return index.Image(manifest.Manifests[0].Digest)
}

func unpack(layer v1.Layer, file string) (err error) {
	stream, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stream.Close()) }()
	f, err := os.Create(file) //nolint:gosec // below a directory of this process
	if err != nil {
		return err
	}
	n, err := io.Copy(f, io.LimitReader(stream, maxLayer+1))
	if err == nil && n > maxLayer {
		err = fmt.Errorf("more than %d bytes", int64(maxLayer))
	}
	return errors.Join(err, f.Close())
}
