package imageref_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
)

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

func TestRepositoriesAreNormalised(t *testing.T) {
	for text, want := range map[string]string{
		"openstack-rca-system":          "docker.io/library/openstack-rca-system",
		"acme/rca":                      "docker.io/acme/rca",
		"docker.io/acme/rca":            "docker.io/acme/rca",
		"index.docker.io/acme/rca":      "docker.io/acme/rca",
		"registry-1.docker.io/acme/rca": "docker.io/acme/rca",
		"docker.io/rca":                 "docker.io/library/rca",
		"ghcr.io/acme/team/rca":         "ghcr.io/acme/team/rca",
		"localhost:5000/rca":            "localhost:5000/rca",
		"123456789012.dkr.ecr.ap-south-1.amazonaws.com/rca": "123456789012.dkr.ecr.ap-south-1.amazonaws.com/rca",
	} {
		repo, err := imageref.ParseRepository(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, repo.String(), text)
		again, err := imageref.ParseRepository(repo.String())
		require.NoError(t, err)
		assert.Equal(t, repo, again, "normalising twice changes nothing")
	}
	hub, err := imageref.ParseRepository("acme/rca")
	require.NoError(t, err)
	assert.Equal(t, "index.docker.io", hub.Registry())
}

func TestRepositoriesThatAreNoneAreRefused(t *testing.T) {
	for why, text := range map[string]string{
		"it is empty":      "",
		"without a scheme": "https://ghcr.io/acme/rca",
		"without a digest": "acme/rca@" + digest,
		"without a tag":    "localhost:5000/rca:1",
		"lower case":       "acme/RCA",
		"can only contain": "acme/rca system",
	} {
		_, err := imageref.ParseRepository(text)
		assert.ErrorContains(t, err, why, text)
	}
}

func TestReferences(t *testing.T) {
	for text, want := range map[string]imageref.Reference{
		"python:3.12-slim":               {Tag: "3.12-slim"},
		"python:3.12-slim@" + digest:     {Tag: "3.12-slim", Digest: digest},
		"localhost:5000/rca":             {},
		"localhost:5000/rca@" + digest:   {Digest: digest},
		"localhost:5000/rca:1@" + digest: {Tag: "1", Digest: digest},
	} {
		ref, err := imageref.Parse(text)
		require.NoError(t, err, text)
		assert.Equal(t, want.Tag, ref.Tag, text)
		assert.Equal(t, want.Digest, ref.Digest, text)
		again, err := imageref.Parse(ref.String())
		require.NoError(t, err)
		assert.Equal(t, parts(ref), parts(again))
	}
	for _, text := range []string{"", "rca:", "rca@sha256:12", "rca@", "rca:a b", "rca@" + strings.ToUpper(digest), ":1"} {
		_, err := imageref.Parse(text)
		assert.Error(t, err, text)
	}
}

func TestOnlyADigestPins(t *testing.T) {
	ref, err := imageref.ParsePinned("acme/rca@" + digest)
	require.NoError(t, err)
	assert.Equal(t, "docker.io/acme/rca@"+digest, ref.String())
	_, err = imageref.ParsePinned("acme/rca:v1")
	require.ErrorContains(t, err, "a tag can be moved")
	_, err = imageref.ParsePinned("acme/rca@x")
	require.Error(t, err)

	pinned, err := ref.Repository.Pinned(digest)
	require.NoError(t, err)
	assert.Equal(t, ref.String(), pinned.String())
	_, err = ref.Repository.Pinned("latest")
	require.Error(t, err)
}

func TestTags(t *testing.T) {
	const commit = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"
	at := time.Date(2026, 11, 22, 15, 4, 5, 0, time.FixedZone("", 3600))
	for sentence, c := range map[string]struct {
		facts imageref.Facts
		want  []imageref.Tag
	}{
		"main in production gets every tag": {
			imageref.Facts{Ref: "main", Commit: commit, CommitTime: at, ModelVersion: 7, Environment: "production"},
			[]imageref.Tag{{Name: "sha-" + commit, Immutable: true}, {Name: "20261122-140405-0f1e2d3", Immutable: true}, {Name: "model-v7", First: true}, {Name: "production"}, {Name: "latest"}},
		},
		"the sandbox has no latest": {
			imageref.Facts{Ref: "main", Commit: commit, Environment: "sandbox"},
			[]imageref.Tag{{Name: "sha-" + commit, Immutable: true}, {Name: "sandbox"}},
		},
		"another branch has no latest": {
			imageref.Facts{Ref: "refs/heads/develop", Commit: commit, Environment: "staging"},
			[]imageref.Tag{{Name: "sha-" + commit, Immutable: true}, {Name: "staging"}},
		},
		"a version tag is the version": {
			imageref.Facts{Ref: "refs/tags/1.2.3-rc.1", CommitTime: at, Commit: commit},
			[]imageref.Tag{{Name: "sha-" + commit, Immutable: true}, {Name: "v1.2.3-rc.1", Immutable: true}},
		},
		"one of several platforms has what never moves": {
			imageref.Facts{Ref: "main", Commit: commit, CommitTime: at, ModelVersion: 7, Environment: "production", Platform: "linux/arm64"},
			[]imageref.Tag{{Name: "sha-" + commit + "-arm64", Immutable: true}, {Name: "20261122-140405-0f1e2d3-arm64", Immutable: true}},
		},
		"one of several platforms without a commit": {
			imageref.Facts{Environment: "staging", Platform: "linux/amd64"}, []imageref.Tag{{Name: "staging-amd64"}},
		},
		"nothing known": {imageref.Facts{}, []imageref.Tag{{Name: "unversioned"}}},
	} {
		tags, err := imageref.Tags(c.facts)
		require.NoError(t, err, sentence)
		assert.Equal(t, c.want, tags, sentence)
	}
	_, err := imageref.Tags(imageref.Facts{Commit: "HEAD", ModelVersion: -1, Environment: "pro duction"})
	require.Error(t, err)
	for _, part := range []string{"HEAD", "negative", "pro duction"} {
		assert.ErrorContains(t, err, part)
	}
}

// parts are those of a reference without the text that it was parsed from.
func parts(r imageref.Reference) imageref.Reference {
	return imageref.Reference{Repository: r.Repository, Tag: r.Tag, Digest: r.Digest}
}

func TestAReferenceKeepsTheNameThatWasWritten(t *testing.T) {
	ref, err := imageref.Parse("app:v1@" + digest)
	require.NoError(t, err)
	assert.Equal(t, "app:v1@"+digest, ref.Written())
	assert.Equal(t, "docker.io/library/app@"+digest, imageref.Reference{Repository: ref.Repository, Digest: digest}.Written())
	assert.Empty(t, imageref.Reference{}.Written())
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"a", "a:b", "a@" + digest, "localhost:5000/x", ":", "@", "//", "docker.io"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ref, err := imageref.Parse(text)
		if err != nil {
			return
		}
		again, err := imageref.Parse(ref.String())
		require.NoError(t, err, ref.String())
		require.Equal(t, parts(ref), parts(again))
	})
}
