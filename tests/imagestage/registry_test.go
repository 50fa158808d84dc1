package imagestage_test

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// front stands before a real registry and fails where it is told to.
type front struct {
	host, behind string

	mu     sync.Mutex
	refuse func(*http.Request) int
	// change alters an answer on its way.
	change func(*http.Response)
	// uploads counts the blobs that arrive.
	uploads int
}

// newFront starts Debian's docker-registry with a proxy before it.
func newFront(t *testing.T) *front {
	t.Helper()
	program, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("no docker-registry on this machine")
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &front{behind: listener.Addr().String()}
	require.NoError(t, listener.Close())
	dir := t.TempDir()
	file := filepath.Join(dir, "config.yml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\nstorage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %q}\n", dir, f.behind), 0o600))
	server := exec.Command(program, "serve", file)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	require.Eventually(t, func() bool {
		response, err := http.Get("http://" + f.behind + "/v2/")
		if err != nil {
			return false
		}
		return response.Body.Close() == nil && response.StatusCode == 200
	}, 10*time.Second, 50*time.Millisecond)

	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: f.behind})
	proxy.ModifyResponse = func(r *http.Response) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.change != nil {
			f.change(r)
		}
		return nil
	}
	outer := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		status := 0
		if f.refuse != nil {
			status = f.refuse(r)
		}
		if r.Method == http.MethodPatch {
			f.uploads++
		}
		f.mu.Unlock()
		if status != 0 {
			rw.WriteHeader(status)
			return
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(outer.Close)
	f.host = strings.TrimPrefix(outer.URL, "http://")
	return f
}

func (f *front) set(refuse func(*http.Request) int, change func(*http.Response)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse, f.change, f.uploads = refuse, change, 0
}

// tags are what is really there, past the front.
func (f *front) tags(t *testing.T) map[string]string {
	t.Helper()
	repo, err := name.NewRepository(f.behind + "/acme/rca")
	require.NoError(t, err)
	names, err := remote.List(repo)
	if err != nil {
		return map[string]string{}
	}
	tags := map[string]string{}
	for _, tag := range names {
		descriptor, err := remote.Head(repo.Tag(tag))
		require.NoError(t, err)
		tags[tag] = descriptor.Digest.String()
	}
	return tags
}

// Rows 50 and 51 of the fault matrix, with a real image and a real registry.
func TestARegistryThatFails(t *testing.T) {
	client := connect(t)
	f := newFront(t)
	run := func() *image.Result {
		in := input(t, client)
		in.Environment, in.Push = "production", image.Push{Address: f.host + "/acme/rca"}
		in.Config.Image.Page = "" // seen elsewhere
		return image.Run(t.Context(), client, in)
	}
	blob := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/blobs/uploads/") }
	putTag := func(r *http.Request, tag string) bool {
		return r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/manifests/"+tag)
	}
	for _, c := range []struct {
		sentence string
		refuse   func(*http.Request) int
		change   func(*http.Response)
		code     verdict.Code
	}{
		{"401", func(*http.Request) int { return 401 }, nil, image.CodePushAuth},
		{"403 on a blob", func(r *http.Request) int { return map[bool]int{true: 403}[blob(r)] }, nil, image.CodePushAuth},
		{"429", func(*http.Request) int { return 429 }, nil, image.CodePushThrottled},
		{"500 on a blob", func(r *http.Request) int { return map[bool]int{true: 500}[blob(r)] }, nil, image.CodePushUnavailable},
		{"another digest than was pushed", nil, func(r *http.Response) {
			if r.Request.Method == http.MethodHead && strings.Contains(r.Request.URL.Path, "/manifests/sha-") && r.StatusCode == 200 {
				r.Header.Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
			}
		}, image.CodeDigestMismatch},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			f.set(c.refuse, c.change)
			result := run()
			t.Logf("%s", result.Stage.Failure())
			assert.Equal(t, c.code.Name, result.Stage.Code)
			assert.Equal(t, c.code.Outcome, result.Stage.Verdict)
			assert.Empty(t, result.Reference.Written())
			tags := f.tags(t)
			for _, tag := range []string{"latest", "production", "model-v7", "20261122-100000-0f1e2d3"} {
				assert.NotContains(t, tags, tag, "no tag is set for what did not arrive")
			}
		})
	}
	t.Run("the second tag", func(t *testing.T) {
		f.set(func(r *http.Request) int { return map[bool]int{true: 500}[putTag(r, "20261122-100000-0f1e2d3")] }, nil)
		result := run()
		assert.Equal(t, image.CodeTagFailed.Name, result.Stage.Code, result.Stage.Failure())
		tags := f.tags(t)
		pushed := tags["sha-"+commit]
		require.NotEmpty(t, pushed, "the digest is there")
		assert.NotContains(t, tags, "latest")
		assert.NotContains(t, tags, "20261122-100000-0f1e2d3")
		assert.Contains(t, result.Stage.Failure(), "Published: "+f.host+"/acme/rca@"+pushed)

		f.set(nil, nil)
		again := run()
		require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
		assert.Zero(t, f.uploads, "the next run only tags")
		assert.Equal(t, pushed, again.Reference.Digest)
		for _, tag := range []string{"latest", "production", "model-v7", "20261122-100000-0f1e2d3", "sha-" + commit} {
			assert.Equal(t, pushed, f.tags(t)[tag], tag)
		}
	})
}
