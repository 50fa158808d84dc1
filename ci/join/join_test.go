package join_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ociregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/join"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/registry"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const commit = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"

// world is a registry, and the images of two platforms in it with the reports of their runs.
type world struct {
	host    string
	handler http.Handler
	// writes counts what changes the registry; failAt is the number of the request whose connection breaks
	// before it is answered, and lateAt the same after it was carried out; 0 for none.
	asked, writes, failAt, lateAt atomic.Int64
	in                            join.Input
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{handler: ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0)))}
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		n := w.asked.Add(1)
		if n == w.failAt.Load() {
			panic(http.ErrAbortHandler)
		}
		if r.Method == http.MethodPut || r.Method == http.MethodPost || r.Method == http.MethodDelete {
			w.writes.Add(1)
		}
		if n == w.lateAt.Load() {
			w.handler.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		w.handler.ServeHTTP(rw, r)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	t.Cleanup(server.Close)
	w.host = strings.TrimPrefix(server.URL, "http://")
	gate := policy.NewGate(config.Default(), policy.Request{Ref: "main", Environment: "staging", Runner: policy.Engine})
	permit, refused := gate.Ask(policy.Action{Stage: verdict.Image, Recorded: true}, nil)
	require.Nil(t, refused)
	w.in = join.Input{
		Platforms: []string{"linux/amd64", "linux/arm64"}, Environment: "staging", Permit: permit,
		Open: func(r imageref.Repository) (registry.Repository, error) {
			return registry.At(context.Background(), "", r)
		},
	}
	for _, platform := range w.in.Platforms {
		w.build(t, "rca/app", platform, nil)
	}
	w.reset()
	return w
}

func (w *world) reset() {
	w.asked.Store(0)
	w.writes.Store(0)
}

// build pushes an image and adds it with a report to the input.
func (w *world) build(t *testing.T, repository, platform string, change func(*v1.ConfigFile)) {
	t.Helper()
	w.add(t, repository, w.push(t, repository, imageOf(t, platform, change)))
}

func imageOf(t *testing.T, platform string, change func(*v1.ConfigFile)) v1.Image {
	t.Helper()
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), static.NewLayer([]byte("for "+platform), types.OCILayer))
	require.NoError(t, err)
	config, err := image.ConfigFile()
	require.NoError(t, err)
	config.OS, config.Architecture, _ = strings.Cut(platform, "/")
	config.Config = v1.Config{
		User: "10001", ExposedPorts: map[string]struct{}{"7051/tcp": {}}, Cmd: []string{"python", "app.py"}, Env: []string{"A=1", "B=2"},
		Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}, Interval: time.Second}, Labels: map[string]string{
			imageref.LabelModelSHA256: strings.Repeat("ab", 32), imageref.LabelRevision: commit, imageref.LabelBase: "sha256:" + platform,
			"org.opencontainers.image.created": "2026-11-22T10:00:00Z",
		},
	}
	if change != nil {
		change(config)
	}
	image, err = mutate.ConfigFile(image, config)
	require.NoError(t, err)
	return image
}

func (w *world) push(t *testing.T, repository string, image v1.Image) string {
	t.Helper()
	digest, err := image.Digest()
	require.NoError(t, err)
	reference := w.host + "/" + repository + "@" + digest.String()
	to, err := name.NewDigest(reference)
	require.NoError(t, err)
	require.NoError(t, remote.Write(to, image))
	return reference
}

func (w *world) add(_ *testing.T, _, reference string) {
	_, digest, _ := strings.Cut(reference, "@")
	w.in.Images = append(w.in.Images, reference)
	w.in.Proofs = append(w.in.Proofs, join.Proof{Name: fmt.Sprintf("run %d", len(w.in.Proofs)+1), Run: &verdict.Run{
		Application: "rca", Environment: "staging", Ref: "main", Commit: commit, Tree: "sha256:tree", ModelSHA256: strings.Repeat("ab", 32),
		Image: reference, ImageDigest: digest, Started: time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC), Runner: "engine",
		Stages: []verdict.Stage{{Name: verdict.Image, Verdict: verdict.Pass}},
	}})
}

// tags are those of the repository.
func (w *world) tags(t *testing.T) map[string]string {
	t.Helper()
	repository, err := name.NewRepository(w.host + "/rca/app")
	require.NoError(t, err)
	names, err := remote.List(repository)
	require.NoError(t, err)
	all := map[string]string{}
	for _, tag := range names {
		found, err := remote.Head(repository.Tag(tag))
		require.NoError(t, err)
		all[tag] = found.Digest.String()
	}
	return all
}

func codes(stage verdict.Stage) []string {
	var all []string
	for _, p := range stage.Problems {
		if !slices.Contains(all, p.Code) {
			all = append(all, p.Code)
		}
	}
	slices.Sort(all)
	return all
}

func TestJoin(t *testing.T) {
	w := newWorld(t)
	result := join.Run(w.in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Equal(t, w.host+"/rca/app@"+result.Reference.Digest, result.Reference.Written())
	tags := w.tags(t)
	assert.Equal(t, map[string]string{"sha-" + commit: result.Reference.Digest, "20261122-100000-0f1e2d3": result.Reference.Digest}, tags, "never latest")
	assert.Len(t, result.Stage.Published, 3)
	assert.Equal(t, result.Reference.Written(), result.Stage.Published[0])

	pinned, err := name.NewDigest(result.Reference.Written())
	require.NoError(t, err)
	index, err := remote.Index(pinned)
	require.NoError(t, err)
	for i, platform := range w.in.Platforms {
		manifest, err := index.IndexManifest()
		require.NoError(t, err)
		assert.Equal(t, platform, manifest.Manifests[i].Platform.String())
		assert.True(t, strings.HasSuffix(w.in.Images[i], manifest.Manifests[i].Digest.String()))
		assert.Equal(t, commit, manifest.Annotations[imageref.LabelRevision])
	}

	w.reset()
	slices.Reverse(w.in.Images)
	slices.Reverse(w.in.Proofs)
	again := join.Run(w.in)
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
	assert.Equal(t, result.Reference.Digest, again.Reference.Digest, "in any order the same bytes")
	assert.Zero(t, w.writes.Load(), "nothing is pushed again")
	assert.Empty(t, again.Stage.Published)

	w.in.Images = nil
	assert.Equal(t, result.Reference.Digest, join.Run(w.in).Reference.Digest, "the reports name the images")
}

// TestDigestStays pins the bytes: another digest for the same images would be refused by the immutable tag.
func TestDigestStays(t *testing.T) {
	assert.Equal(t, "sha256:6d48", join.Run(newWorld(t).in).Reference.Digest[:11])
}

func TestRefusals(t *testing.T) {
	label := func(name, value string) func(*v1.ConfigFile) {
		return func(c *v1.ConfigFile) { c.Config.Labels[name] = value }
	}
	second := func(t *testing.T, w *world, change func(*v1.ConfigFile)) {
		w.in.Images, w.in.Proofs = w.in.Images[:1], w.in.Proofs[:1]
		w.build(t, "rca/app", "linux/arm64", change)
	}
	for sentence, tc := range map[string]struct {
		change func(t *testing.T, w *world)
		want   []string
		cause  string
	}{
		"by a tag": {func(_ *testing.T, w *world) { w.in.Images[1] = w.host + "/rca/app:latest" },
			[]string{"JOIN_NOT_BY_DIGEST"}, "a tag can be moved"},
		"another repository": {func(t *testing.T, w *world) {
			w.in.Images, w.in.Proofs = w.in.Images[:1], w.in.Proofs[:1]
			w.build(t, "rca/other", "linux/arm64", nil)
		}, []string{"JOIN_OTHER_REPOSITORY"}, "is not in"},
		"one image": {func(_ *testing.T, w *world) { w.in.Images = w.in.Images[:1] },
			[]string{"JOIN_WRONG_PLATFORMS"}, "images given: 1; image.platforms has linux/amd64, linux/arm64"},
		"nothing": {func(_ *testing.T, w *world) { w.in.Images, w.in.Proofs = nil, nil },
			[]string{"JOIN_WRONG_PLATFORMS"}, "images given: 0"},
		"no platforms": {func(_ *testing.T, w *world) { w.in.Platforms = nil },
			[]string{"JOIN_WRONG_PLATFORMS"}, "image.platforms in pipeline.yaml is empty"},
		"the same image twice": {func(_ *testing.T, w *world) { w.in.Images[1] = w.in.Images[0] },
			[]string{"JOIN_PLATFORM_TWICE", "JOIN_WRONG_PLATFORMS"}, "both of linux/amd64"},
		"a platform that is not wanted": {func(t *testing.T, w *world) { w.build(t, "rca/app", "linux/s390x", nil) },
			[]string{"JOIN_WRONG_PLATFORMS"}, `is of "linux/s390x"`},
		"an index": {func(t *testing.T, w *world) { w.in.Images[1] = join.Run(newWorldAt(t, w)).Reference.Written() },
			[]string{"JOIN_OF_INDEX"}, "is an index"},
		"no report": {func(_ *testing.T, w *world) { w.in.Proofs = w.in.Proofs[:1] },
			[]string{"JOIN_UNPROVEN"}, "none of 1 reports"},
		"a stage that failed": {func(_ *testing.T, w *world) { w.in.Proofs[1].Run.Stages[0].Verdict = verdict.Fail },
			[]string{"JOIN_UNPROVEN"}, "its image stage did not pass"},
		"a run without an image stage": {func(_ *testing.T, w *world) { w.in.Proofs[1].Run.Stages = nil },
			[]string{"JOIN_UNPROVEN"}, "its image stage did not pass"},
		"a run that was refused": {func(_ *testing.T, w *world) { w.in.Proofs[1].Refused = "test did not pass" },
			[]string{"JOIN_UNPROVEN"}, "run 2: test did not pass"},
		"another environment": {func(_ *testing.T, w *world) { w.in.Proofs[1].Run.Environment = "sandbox" },
			[]string{"JOIN_UNPROVEN"}, "proven for sandbox, and is joined for staging"},
		"a report of another model": {func(_ *testing.T, w *world) { w.in.Proofs[1].Run.ModelSHA256 = "cd" },
			[]string{"JOIN_UNPROVEN"}, "another model or commit than the image"},
		"another model": {func(t *testing.T, w *world) {
			second(t, w, label(imageref.LabelModelSHA256, "cd"))
			w.in.Proofs[1].Run.ModelSHA256 = "cd"
		}, []string{"JOIN_OTHER_MODEL"}, "and cd of linux/arm64"},
		"no model": {func(t *testing.T, w *world) {
			second(t, w, label(imageref.LabelModelSHA256, ""))
			w.in.Proofs[1].Run.ModelSHA256 = ""
		}, []string{"JOIN_OTHER_MODEL"}, "names no model"},
		"another commit": {func(t *testing.T, w *world) {
			second(t, w, label(imageref.LabelRevision, "abcdef0"))
			w.in.Proofs[1].Run.Commit = "abcdef0"
		}, []string{"JOIN_OTHER_COMMIT"}, "abcdef0 of linux/arm64"},
		"no commit": {func(t *testing.T, w *world) {
			w.in.Images, w.in.Proofs = nil, nil
			for _, platform := range w.in.Platforms {
				w.build(t, "rca/app", platform, label(imageref.LabelRevision, ""))
				w.in.Proofs[len(w.in.Proofs)-1].Run.Commit = ""
			}
		}, []string{"JOIN_OTHER_COMMIT"}, "names no commit"},
		"another port": {func(t *testing.T, w *world) {
			second(t, w, func(c *v1.ConfigFile) { c.Config.ExposedPorts = map[string]struct{}{"8080/tcp": {}} })
		}, []string{"JOIN_OTHER_CONFIGURATION"}, "differ in ExposedPorts"},
		"another user, command and label": {func(t *testing.T, w *world) {
			second(t, w, func(c *v1.ConfigFile) {
				c.Config.User, c.Config.Cmd, c.Config.Labels["org.opencontainers.image.title"] = "0", nil, "x"
			})
		}, []string{"JOIN_OTHER_CONFIGURATION"}, "differ in Cmd, User, label org.opencontainers.image.title"},
		"another source": {func(_ *testing.T, w *world) { w.in.Proofs[1].Run.Tree = "sha256:other" },
			[]string{"JOIN_OTHER_CONFIGURATION"}, "from different sources"},
		"an image that is not there": {func(_ *testing.T, w *world) {
			w.in.Images[1] = w.host + "/rca/app@sha256:" + strings.Repeat("0", 64)
		}, []string{"JOIN_UNREADABLE"}, "MANIFEST_UNKNOWN"},
		"a registry that refuses": {func(_ *testing.T, w *world) {
			w.handler = http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(http.StatusForbidden) })
		}, []string{"JOIN_UNREADABLE"}, "403"},
		"a registry that cannot be opened": {func(_ *testing.T, w *world) {
			w.in.Open = func(imageref.Repository) (registry.Repository, error) {
				return registry.Repository{}, fmt.Errorf("no login")
			}
		}, []string{"JOIN_UNREADABLE"}, "no login"},
		"no permit": {func(_ *testing.T, w *world) { w.in.Permit = policy.Permit{} }, []string{"BLOCKED"}, "no permit"},
		"a tag that another index has": {func(t *testing.T, w *world) {
			tag, err := name.NewTag(w.host + "/rca/app:20261122-100000-0f1e2d3")
			require.NoError(t, err)
			require.NoError(t, remote.Write(tag, imageOf(t, "linux/amd64", nil)))
		}, []string{"TAG_TAKEN"}, "tag 20261122-100000-0f1e2d3 names"},
		"all at once": {func(t *testing.T, w *world) {
			w.in.Images, w.in.Proofs = nil, nil
			w.build(t, "rca/app", "linux/amd64", nil)
			w.build(t, "rca/app", "linux/amd64", label(imageref.LabelRevision, "abcdef0"))
			w.build(t, "rca/other", "linux/arm64", nil)
			w.in.Images = append(w.in.Images, "rca:1")
			w.in.Proofs = w.in.Proofs[:1]
		}, []string{"JOIN_NOT_BY_DIGEST", "JOIN_OTHER_COMMIT", "JOIN_OTHER_REPOSITORY", "JOIN_PLATFORM_TWICE", "JOIN_UNPROVEN"}, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			w := newWorld(t)
			tc.change(t, w)
			before := map[string]string{}
			if w.handler != nil && !slices.Contains(tc.want, "JOIN_UNREADABLE") {
				before = w.tags(t)
			}
			w.reset()
			result := join.Run(w.in)
			assert.Equal(t, tc.want, codes(result.Stage), result.Stage.Failure())
			var causes []string
			for _, p := range result.Stage.Problems {
				causes = append(causes, p.Cause)
				assert.NotEmpty(t, p.Next)
			}
			assert.Contains(t, strings.Join(causes, "\n"), tc.cause)
			assert.NotEqual(t, verdict.Pass, result.Stage.Verdict)
			assert.Empty(t, result.Reference.Written()+result.Reference.Digest)
			assert.Zero(t, w.writes.Load(), "nothing is pushed")
			if len(before) > 0 {
				assert.Equal(t, before, w.tags(t))
			}
		})
	}
}

// newWorldAt is the input of an index of the same images in the same registry, in another commit.
func newWorldAt(t *testing.T, w *world) join.Input {
	t.Helper()
	other := &world{host: w.host, in: w.in}
	other.in.Images, other.in.Proofs = nil, nil
	for _, platform := range w.in.Platforms {
		other.build(t, "rca/app", platform, func(c *v1.ConfigFile) { c.Config.Labels[imageref.LabelRevision] = "abcdef0" })
		other.in.Proofs[len(other.in.Proofs)-1].Run.Commit = "abcdef0"
	}
	return other.in
}

// TestVariables: a base image may set some of its platform's own.
func TestVariables(t *testing.T) {
	w := newWorld(t)
	w.in.Images, w.in.Proofs = w.in.Images[:1], w.in.Proofs[:1]
	w.build(t, "rca/app", "linux/arm64", func(c *v1.ConfigFile) { c.Config.Env = []string{"B=2", "A=3", "C=4"} })
	result := join.Run(w.in)
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	require.Len(t, result.Stage.Warnings, 1)
	assert.Equal(t, "linux/amd64 and linux/arm64 differ in A, C", result.Stage.Warnings[0].Cause)
}

// TestKilled breaks the connection at every request, before and after it was carried out: the next run ends
// as if nothing had happened.
func TestKilled(t *testing.T) {
	whole := newWorld(t)
	want := join.Run(whole.in)
	require.Equal(t, verdict.Pass, want.Stage.Verdict)
	requests := whole.asked.Load()
	require.Greater(t, requests, int64(8))
	for _, late := range []bool{false, true} {
		for n := int64(1); n <= requests; n++ {
			w := newWorld(t)
			at := &w.failAt
			if late {
				at = &w.lateAt
			}
			at.Store(n)
			broken := join.Run(w.in)
			at.Store(0)
			for tag, digest := range w.tags(t) {
				assert.Equal(t, want.Reference.Digest, digest, tag)
			}
			if broken.Stage.Verdict != verdict.Pass {
				assert.NotEmpty(t, broken.Stage.Problems[0].Next)
			}
			result := join.Run(w.in)
			require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
			assert.Equal(t, want.Reference.Digest, result.Reference.Digest)
			assert.Equal(t, whole.tags(t), w.tags(t), "request %d, late %v", n, late)
		}
	}
}

// TestRegistryThatLies says yes to a push and keeps nothing.
func TestRegistryThatLies(t *testing.T) {
	w := newWorld(t)
	genuine := w.handler
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			rw.WriteHeader(http.StatusCreated)
			return
		}
		genuine.ServeHTTP(rw, r)
	})
	result := join.Run(w.in)
	assert.Equal(t, []string{"DIGEST_MISMATCH"}, codes(result.Stage), result.Stage.Failure())
	assert.Empty(t, result.Reference.Digest)
}
