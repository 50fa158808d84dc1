package oci

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// indexOf pushes an index beside the image of a world and opens it.
func indexOf(t *testing.T, w *world, parts ...mutate.IndexAddendum) Image {
	t.Helper()
	index := mutate.AppendManifests(empty.Index, parts...)
	digest, err := index.Digest()
	require.NoError(t, err)
	of, err := name.NewDigest(strings.Split(w.reference, "@")[0] + "@" + digest.String())
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(of, index))
	opened, err := At(t.Context(), of.String(), Login{}, nil)
	require.NoError(t, err)
	return opened
}

func part(t *testing.T, platform *v1.Platform, notes map[string]string) mutate.IndexAddendum {
	t.Helper()
	image, err := random.Image(10, 1)
	require.NoError(t, err)
	return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform, Annotations: notes}}
}

func TestMembers(t *testing.T) {
	w := newWorld(t, true)
	none, err := w.open(t).Members()
	require.NoError(t, err)
	assert.Nil(t, none, "an image has none")

	note := part(t, &v1.Platform{OS: "unknown", Architecture: "unknown"}, map[string]string{"vnd.docker.reference.type": "attestation-manifest"})
	all, err := indexOf(t, w, part(t, &v1.Platform{OS: "linux", Architecture: "amd64"}, nil),
		part(t, &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}, nil), note).Members()
	require.NoError(t, err)
	require.Len(t, all, 2, "what a builder notes is no image")
	assert.Equal(t, []string{"linux/amd64", "linux/arm64/v8"}, []string{all[0].Platform, all[1].Platform})
	require.NoError(t, all[0].Image.Export(t.TempDir()))

	amd64 := &v1.Platform{OS: "linux", Architecture: "amd64"}
	for cause, parts := range map[string][]mutate.IndexAddendum{
		"does not say what platform": {part(t, nil, nil)},
		"what platform sha256:":      {part(t, &v1.Platform{OS: "unknown", Architecture: "unknown"}, nil)},
		"two images for linux/amd64": {part(t, amd64, nil), part(t, amd64, nil)},
		"is no image":                {{Add: empty.Index, Descriptor: v1.Descriptor{Platform: amd64}}},
		"has no image":               {note},
	} {
		_, err := indexOf(t, w, parts...).Members()
		assert.ErrorContains(t, err, cause)
	}
	var many []mutate.IndexAddendum
	for i := range maxMembers + 1 {
		many = append(many, part(t, &v1.Platform{OS: "linux", Architecture: strings.Repeat("a", i+1)}, nil))
	}
	_, err = indexOf(t, w, many...).Members()
	require.ErrorContains(t, err, "more than 32")
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
	_, err = w.open(t).Members()
	require.ErrorContains(t, err, "403")
}
