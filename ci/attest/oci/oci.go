// Package oci stores bundles beside an image in its registry: as referrers or, if the registry lacks that API, behind the
// fallback tag sha256-<hex> (OCI distribution specification 1.1).
package oci

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/openstack-rca/openstack-rca/ci/attest"
)

// MaxReferrers limits how many bundles are read. If there are more, none is read, because the right one might be among the
// others.
const MaxReferrers = 200

const (
	emptyType     = "application/vnd.oci.empty.v1+json"
	predicateNote = "dev.sigstore.bundle.predicateType"
	contentNote   = "dev.sigstore.bundle.content"
)

// Image is an image in a registry, by digest.
type Image struct {
	digest name.Digest
	opts   []remote.Option
}

// At returns the image of a reference repository@sha256:.... Plain HTTP is only used for this machine and private addresses,
// as go-containerregistry decides. A transport other than nil replaces HTTP.
func At(ctx context.Context, reference string, login Login, transport http.RoundTripper) (Image, error) {
	digest, err := name.NewDigest(reference)
	if err != nil {
		return Image{}, fmt.Errorf("open %s: %w", reference, err)
	}
	opts := []remote.Option{remote.WithContext(ctx), remote.WithUserAgent("openstack-rca"), remote.WithJobs(1)}
	if transport == nil {
		transport = remote.DefaultTransport
	}
	opts = append(opts, remote.WithTransport(whole{transport}))
	if login != (Login{}) {
		opts = append(opts, remote.WithAuth(&authn.Basic{Username: login.Username, Password: login.Password}))
	}
	return Image{digest: digest, opts: opts}, nil
}

// whole refuses a paginated list of referrers: only its first page would be read, and the newest statement may be on another
// page.
type whole struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (w whole) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := w.RoundTripper.RoundTrip(r)
	if err == nil && strings.Contains(r.URL.Path, "/referrers/") && answer.Header.Get("Link") != "" {
		return nil, errors.Join(errors.New("there are more than the registry lists at once"), answer.Body.Close())
	}
	return answer, err
}

// Bundles reads all bundles beside the image.
func (i Image) Bundles() ([][]byte, error) {
	index, err := remote.Referrers(i.digest, i.opts...)
	if err != nil {
		return nil, fmt.Errorf("list referrers: %w", err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("list referrers: %w", err)
	}
	if n := len(manifest.Manifests); n > MaxReferrers {
		return nil, fmt.Errorf("list referrers: there are %d, more than %d", n, MaxReferrers)
	}
	var bundles [][]byte
	for _, descriptor := range manifest.Manifests {
		// The list may contain the type of the configuration, or none; the manifest is authoritative.
		content, is, err := i.bundle(descriptor)
		if err != nil {
			return nil, fmt.Errorf("read referrer %s: %w", descriptor.Digest, err)
		}
		if is {
			bundles = append(bundles, content)
		}
	}
	return bundles, nil
}

// bundle reads a referrer if it is a bundle about this image.
func (i Image) bundle(descriptor v1.Descriptor) (content []byte, is bool, err error) {
	if descriptor.MediaType != types.OCIManifestSchema1 {
		return nil, false, nil
	}
	found, err := remote.Get(i.digest.Context().Digest(descriptor.Digest.String()), i.opts...)
	if err != nil {
		return nil, false, err
	}
	manifest, err := v1.ParseManifest(bytes.NewReader(found.Manifest))
	if err != nil {
		return nil, false, err
	}
	ours := manifest.Subject != nil && manifest.Subject.Digest.String() == i.digest.DigestStr()
	if !ours || len(manifest.Layers) != 1 || manifest.Layers[0].MediaType != attest.BundleType {
		return nil, false, nil
	}
	if size := manifest.Layers[0].Size; size > attest.MaxBundle {
		return nil, false, fmt.Errorf("a bundle of %d bytes", size)
	}
	layer, err := remote.Layer(i.digest.Context().Digest(manifest.Layers[0].Digest.String()), i.opts...)
	if err != nil {
		return nil, false, err
	}
	// The digest is verified on the way.
	stream, err := layer.Compressed()
	if err != nil {
		return nil, false, err
	}
	content, err = io.ReadAll(io.LimitReader(stream, attest.MaxBundle+1))
	return content, true, errors.Join(err, stream.Close())
}

// Attach adds a bundle unless one with the same payload and key exists, and reports whether it did. It is idempotent and can
// be resumed, because the same bundle gives the same manifest. It reads the list back.
func (i Image) Attach(bundle []byte) (added bool, err error) {
	wanted, err := attest.Open(bundle)
	if err != nil {
		return false, err
	}
	has, err := i.has(wanted)
	if err != nil || has {
		return false, err
	}
	// GET rather than HEAD, because some registries return no length for HEAD.
	subject, err := remote.Get(i.digest, i.opts...)
	if err != nil {
		return false, fmt.Errorf("read image: %w", err)
	}
	manifest, err := i.manifest(subject.Descriptor, bundle, wanted.Statement.PredicateType)
	if err != nil {
		return false, err
	}
	for _, blob := range []struct {
		content []byte
		kind    types.MediaType
	}{{[]byte("{}"), emptyType}, {bundle, attest.BundleType}} {
		if err := remote.WriteLayer(i.digest.Context(), static.NewLayer(blob.content, blob.kind), i.opts...); err != nil {
			return false, fmt.Errorf("write blob: %w", err)
		}
	}
	// Another run may have written the fallback tag concurrently and so removed this bundle.
	for range 3 {
		if err := remote.Put(i.digest.Context().Digest(manifest.digest()), manifest, i.opts...); err != nil {
			return false, fmt.Errorf("write manifest: %w", err)
		}
		if has, err = i.has(wanted); err != nil || has {
			return has, err
		}
	}
	return false, errors.New("the registry took the manifest and does not list it")
}

// has reports whether a bundle with the same payload and key exists.
func (i Image) has(wanted attest.Opened) (bool, error) {
	bundles, err := i.Bundles()
	if err != nil {
		return false, err
	}
	for _, content := range bundles {
		if other, err := attest.Open(content); err == nil && other.Hint == wanted.Hint && bytes.Equal(other.Payload, wanted.Payload) {
			return true, nil
		}
	}
	return false, nil
}

// raw is an encoded manifest.
type raw []byte

// RawManifest implements remote.Taggable.
func (r raw) RawManifest() ([]byte, error) { return r, nil }

// MediaType says what the manifest is.
func (r raw) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (r raw) digest() string {
	sum := sha256.Sum256(r)
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (i Image) manifest(subject v1.Descriptor, bundle []byte, predicate string) (raw, error) {
	describe := func(kind string, content []byte) map[string]any {
		return map[string]any{"mediaType": kind, "digest": raw(content).digest(), "size": len(content)}
	}
	content, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "artifactType": attest.BundleType,
		"config": describe(emptyType, []byte("{}")), "layers": []any{describe(attest.BundleType, bundle)},
		"subject":     map[string]any{"mediaType": subject.MediaType, "digest": subject.Digest.String(), "size": subject.Size},
		"annotations": map[string]string{contentNote: "dsse-envelope", predicateNote: predicate},
	})
	if err != nil {
		return nil, fmt.Errorf("write manifest: %w", err)
	}
	return content, nil
}
