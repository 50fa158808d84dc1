package oci

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
)

// world is a registry with an image, and a proxy in front of it that can fail.
type world struct {
	reference string
	asked     atomic.Int64
	// failAt is the number of the request that fails; 0 for none.
	failAt  atomic.Int64
	signer  attest.Signer
	handler http.Handler
}

func newWorld(t *testing.T, referrers bool) *world {
	t.Helper()
	options := []registry.Option{registry.Logger(log.New(io.Discard, "", 0))}
	options = append(options, registry.WithReferrersSupport(referrers))
	w := &world{handler: registry.New(options...)}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if n := w.asked.Add(1); n == w.failAt.Load() {
			// The connection breaks, as it does when a process is killed.
			panic(http.ErrAbortHandler)
		}
		w.handler.ServeHTTP(rw, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	image, err := random.Image(100, 1)
	require.NoError(t, err)
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/app:v1")
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	w.reference = tag.Context().Digest(digest.String()).String()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	w.signer, err = attest.PrivateKey(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	require.NoError(t, err)
	w.asked.Store(0)
	return w
}

func (w *world) open(t *testing.T) Image {
	t.Helper()
	image, err := At(t.Context(), w.reference, Login{Username: "u", Password: "p"}, http.DefaultTransport)
	require.NoError(t, err)
	image.opts = append(image.opts, remote.WithRetryBackoff(remote.Backoff{Steps: 1}))
	return image
}

func (w *world) bundles(t *testing.T) [][]byte {
	t.Helper()
	_, digest, _ := strings.Cut(w.reference, "@")
	facts := attest.Facts{Repository: "app", Digest: digest, Verdict: "pass", Ended: time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)}
	statements, err := facts.Statements()
	require.NoError(t, err)
	var all [][]byte
	for _, s := range statements {
		b, err := attest.Sign(t.Context(), s, w.signer)
		require.NoError(t, err)
		all = append(all, b)
	}
	return all
}

func TestAttach(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		t.Run(fmt.Sprintf("referrers API %t", referrers), func(t *testing.T) {
			w := newWorld(t, referrers)
			image := w.open(t)
			none, err := image.Bundles()
			require.NoError(t, err)
			assert.Empty(t, none)
			all := w.bundles(t)
			for _, b := range all {
				added, err := image.Attach(b)
				require.NoError(t, err)
				assert.True(t, added)
				added, err = image.Attach(b)
				require.NoError(t, err)
				assert.False(t, added, "again adds nothing")
			}
			found, err := image.Bundles()
			require.NoError(t, err)
			assert.ElementsMatch(t, all, found)
		})
	}
}

// TestAttachWhatWasInterrupted breaks each request in turn, and runs again.
func TestAttachWhatWasInterrupted(t *testing.T) {
	for _, referrers := range []bool{true, false} {
		w := newWorld(t, referrers)
		b := w.bundles(t)[0]
		before := w.asked.Load()
		_, err := w.open(t).Attach(b)
		require.NoError(t, err)
		requests := w.asked.Load() - before
		require.Greater(t, requests, int64(7))
		for n := int64(1); n <= requests; n++ {
			w := newWorld(t, referrers)
			b := w.bundles(t)[0]
			w.failAt.Store(n)
			_, err := w.open(t).Attach(b)
			w.failAt.Store(0)
			if err != nil {
				_, err = w.open(t).Attach(b)
				require.NoError(t, err, "again after request %d broke", n)
			}
			found, err := w.open(t).Bundles()
			require.NoError(t, err)
			assert.Len(t, found, 1, "after request %d of %d broke", n, requests)
		}
	}
}

func TestARegistryThatCannotBeRead(t *testing.T) {
	w := newWorld(t, true)
	_, err := w.open(t).Attach([]byte("no bundle"))
	require.ErrorContains(t, err, "read bundle")
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusServiceUnavailable) })
	_, err = w.open(t).Bundles()
	require.ErrorContains(t, err, "list referrers")
	_, err = At(t.Context(), "app:latest", Login{}, nil)
	require.ErrorContains(t, err, "open app:latest")
}

// TestARegistryThatForgets takes a manifest and lists nothing.
func TestARegistryThatForgets(t *testing.T) {
	w := newWorld(t, true)
	inner := w.handler
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/referrers/") {
			rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
			_, _ = rw.Write([]byte(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}`))
			return
		}
		inner.ServeHTTP(rw, r)
	})
	_, err := w.open(t).Attach(w.bundles(t)[0])
	require.ErrorContains(t, err, "does not list it")
}

// TestAListThatGoesOn is one of a registry that gives referrers in pages.
func TestAListThatGoesOn(t *testing.T) {
	w := newWorld(t, true)
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		rw.Header().Set("Link", "<"+r.URL.Path+`?page=2>; rel="next"`)
		_, _ = rw.Write([]byte(`{"schemaVersion":2,"manifests":[]}`))
	})
	_, err := w.open(t).Bundles()
	require.ErrorContains(t, err, "more than the registry lists")
}

func TestTooManyReferrers(t *testing.T) {
	w := newWorld(t, true)
	one := `{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:` + strings.Repeat("a", 64) + `","size":1}`
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
		rw.Header().Set("Content-Type", "application/vnd.oci.image.index.v1+json")
		_, err := fmt.Fprintf(rw, `{"schemaVersion":2,"manifests":[%s]}`, strings.Repeat(one+",", MaxReferrers)+one)
		assert.NoError(t, errors.Join(err))
	})
	_, err := w.open(t).Bundles()
	require.ErrorContains(t, err, "more than 200")
}

// TestAListForSeveralPlatforms names the images that can be looked at.
func TestAListForSeveralPlatforms(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	image, err := random.Image(64, 2)
	require.NoError(t, err)
	list := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/app:v1")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(tag, list))
	digest, err := list.Digest()
	require.NoError(t, err)
	at, err := At(t.Context(), tag.Context().Digest(digest.String()).String(), Login{}, nil)
	require.NoError(t, err)
	one, err := image.Digest()
	require.NoError(t, err)
	require.ErrorContains(t, at.Export(t.TempDir()), "linux/arm64 is "+one.String())
	at, err = At(t.Context(), tag.Context().Digest(one.String()).String(), Login{}, nil)
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, at.Export(dir))
	require.NoError(t, Unpack(dir))
	for _, file := range []string{"layout/index.json", "layers/00.tar", "layers/01.tar"} {
		assert.FileExists(t, filepath.Join(dir, file))
	}
}

func TestOnlyALayoutOfOneImageIsUnpacked(t *testing.T) {
	dir := t.TempDir()
	require.ErrorContains(t, Unpack(dir), "read layout")
	for n := range 2 {
		image, err := random.Image(64, 1)
		require.NoError(t, err)
		if n == 0 {
			require.NoError(t, Write(image, dir))
			continue
		}
		path, err := layout.FromPath(filepath.Join(dir, "layout"))
		require.NoError(t, err)
		require.NoError(t, path.AppendImage(image))
	}
	require.ErrorContains(t, Unpack(dir), "it has 2 images")
}
