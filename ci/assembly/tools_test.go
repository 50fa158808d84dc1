package assembly

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
)

func TestAdvisoriesAreDownloadedOnceADay(t *testing.T) {
	var asked atomic.Int64
	var archive bytes.Buffer
	require.NoError(t, zip.NewWriter(&archive).Close())
	answer := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive.Bytes()) })
	handler := atomic.Pointer[http.HandlerFunc]{}
	handler.Store(&answer)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		(*handler.Load())(w, r)
	}))
	t.Cleanup(server.Close)
	dir := filepath.Join(t.TempDir(), "advisories")
	get := dailyAdvisories(server.URL+"/all.zip", dir)
	for range 2 {
		file, err := get(t.Context())
		require.NoError(t, err)
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		assert.Equal(t, archive.Bytes(), content)
	}
	assert.Equal(t, int64(1), asked.Load())

	old := time.Now().Add(-25 * time.Hour)
	require.NoError(t, os.Chtimes(filepath.Join(dir, "pypi.zip"), old, old))
	gone := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) })
	handler.Store(&gone)
	file, err := get(t.Context())
	require.NoError(t, err, "the old one is there, and its age is judged later")
	assert.FileExists(t, file)
	assert.Equal(t, int64(2), asked.Load())

	_, err = dailyAdvisories(server.URL+"/all.zip", t.TempDir())(t.Context())
	require.ErrorContains(t, err, "404")
	cut := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = w.Write([]byte("short"))
	})
	handler.Store(&cut)
	empty := t.TempDir()
	_, err = dailyAdvisories(server.URL+"/all.zip", empty)(t.Context())
	require.ErrorContains(t, err, "download advisories")
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>log in</html>")) })
	handler.Store(&page)
	_, err = dailyAdvisories(server.URL+"/all.zip", empty)(t.Context())
	require.ErrorContains(t, err, "not a valid zip")
	left, err := os.ReadDir(empty)
	require.NoError(t, err)
	assert.Empty(t, left, "half a file is not kept")
}

func TestTheImageOfGo(t *testing.T) {
	for _, name := range tools.Names() {
		tool, err := tools.Find(name)
		require.NoError(t, err)
		assert.Regexp(t, `^golang:1\.\d+-bookworm$`, goImage(tool))
	}
}

func TestATool(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("PATH", dir+":/bin:/usr/bin")
	_, err := hostTool(t.Context(), "unknown")
	require.Error(t, err)
	_, err = hostTool(t.Context(), tools.Grype)
	require.ErrorContains(t, err, "not on PATH")
	wanted, err := tools.Find(tools.Grype)
	require.NoError(t, err)
	program := func(says string) {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "grype"), []byte("#!/bin/sh\necho "+says+"\n"), 0o755)) //nolint:gosec // a program
	}
	program("Version: 0.1.0")
	_, err = hostTool(t.Context(), tools.Grype)
	require.ErrorContains(t, err, "another version")
	program("Version: " + wanted.Version)
	files, err := hostTool(t.Context(), tools.Grype)
	require.NoError(t, err)
	names, err := files.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"grype"}, names)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "grype"), []byte("#!/bin/sh\nexit 3\n"), 0o755)) //nolint:gosec // a program
	_, err = hostTool(t.Context(), tools.Grype)
	require.ErrorContains(t, err, "for its version")
}

func TestAProgramIsFoundOnce(t *testing.T) {
	var asked atomic.Int64
	find := once(func(_ context.Context, name string) (runner.Files, error) {
		if asked.Add(1) == 1 {
			return nil, errors.New("not yet")
		}
		return fake.Files(map[string]string{name: ""}), nil
	})
	_, err := find(t.Context(), "a")
	require.Error(t, err)
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			files, err := find(t.Context(), "a")
			assert.NoError(t, err)
			names, err := files.List(t.Context())
			assert.NoError(t, err)
			assert.Equal(t, []string{"a"}, names)
		})
	}
	wait.Wait()
	assert.Equal(t, int64(2), asked.Load(), "a failure is asked for again, a program found is kept")
	_, err = find(t.Context(), "b")
	require.NoError(t, err)
	assert.Equal(t, int64(3), asked.Load())
}
