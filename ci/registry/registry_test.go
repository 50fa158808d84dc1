package registry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/registry"
)

// open is a repository of a registry that answers as the handler does.
func open(t *testing.T, handler http.Handler) registry.Repository {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	repository, err := imageref.ParseRepository(strings.TrimPrefix(server.URL, "http://") + "/rca/app")
	require.NoError(t, err)
	opened, err := registry.At(context.Background(), "", repository)
	require.NoError(t, err)
	return opened
}

func TestRepository(t *testing.T) {
	r := open(t, ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))))
	image, err := random.Image(100, 1)
	require.NoError(t, err)
	digest, err := image.Digest()
	require.NoError(t, err)
	got, err := r.DigestOf("v1")
	require.NoError(t, err)
	assert.Empty(t, got)
	require.NoError(t, r.Write("v1", image))
	require.NoError(t, r.Tag("v2", digest.String()))
	found, err := r.Read(digest.String())
	require.NoError(t, err)
	require.NoError(t, r.Put("v3", found))
	for _, tag := range []string{"v1", "v2", "v3"} {
		got, err := r.DigestOf(tag)
		require.NoError(t, err)
		assert.Equal(t, digest.String(), got, tag)
	}
	_, err = r.Image(digest.String())
	require.NoError(t, err)
	assert.True(t, strings.HasSuffix(r.Tagged("v1"), "/rca/app:v1"))
	require.Error(t, r.Tag("v4", "sha256:"+strings.Repeat("0", 64)))
}

func TestRefused(t *testing.T) {
	for status, want := range map[int]string{401: "PUSH_AUTH", 403: "PUSH_AUTH", 429: "PUSH_THROTTLED", 503: "PUSH_UNAVAILABLE"} {
		r := open(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		image, err := random.Image(100, 1)
		require.NoError(t, err)
		digest, err := image.Digest()
		require.NoError(t, err)
		_, headErr := r.DigestOf("v1")
		_, readErr := r.Read(digest.String())
		_, imageErr := r.Image(digest.String())
		for _, err := range []error{headErr, readErr, imageErr, r.Write("v1", image), r.Tag("v1", digest.String())} {
			require.Error(t, err)
			assert.Equal(t, want, registry.CodeOf(err).Name, "%d: %v", status, err)
		}
	}
	assert.Equal(t, "DIGEST_MISMATCH", registry.CodeOf(&registry.Mismatch{What: "tag v1", Want: "sha256:1"}).Name)
	refused := errors.New("no")
	moved := &registry.Immovable{Tag: "v1", Has: "sha256:1", Err: refused}
	require.ErrorIs(t, moved, refused)
	assert.Contains(t, moved.Error(), "v1, which names sha256:1")
}

// Registries refuse to move an immutable tag with several statuses.
func TestATagThatDoesNotMoveIsKnown(t *testing.T) {
	for answer, immovable := range map[string]bool{
		"400 TAG_INVALID": true, "412 PRECONDITION": true, "409 TAG_IMMUTABLE": true, "403 DENIED: the tag is immutable": true,
		"403 DENIED: requested access to the resource is denied": false, "404 NAME_UNKNOWN": false,
	} {
		inner := ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))
		var refuse bool
		r := open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refuse && r.Method == http.MethodPut {
				status, text, _ := strings.Cut(answer, " ")
				code, err := strconv.Atoi(status)
				assert.NoError(t, err)
				w.WriteHeader(code)
				name, message, _ := strings.Cut(text, ": ")
				_, _ = fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, name, message)
				return
			}
			inner.ServeHTTP(w, r)
		}))
		first, err := random.Image(100, 1)
		require.NoError(t, err)
		second, err := random.Image(100, 1)
		require.NoError(t, err)
		require.NoError(t, r.Write("v1", first))
		require.NoError(t, r.Write("v2", second))
		digest, err := second.Digest()
		require.NoError(t, err)
		refuse = true
		var moved *registry.Immovable
		assert.Equal(t, immovable, errors.As(r.Tag("v1", digest.String()), &moved), answer)
	}
}
