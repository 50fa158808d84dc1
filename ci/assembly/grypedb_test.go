package assembly

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheDatabaseOfGrypeIsDownloadedOnceADay(t *testing.T) {
	var asked atomic.Int64
	archive, sum := atomic.Pointer[string]{}, atomic.Pointer[string]{}
	serve := func(content, checksum string) {
		if checksum == "" {
			hash := sha256.Sum256([]byte(content))
			checksum = "sha256:" + hex.EncodeToString(hash[:])
		}
		archive.Store(&content)
		sum.Store(&checksum)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch {
		case *archive.Load() == "":
			w.WriteHeader(http.StatusBadGateway)
		case r.URL.Path == "/v6/latest.json":
			_, _ = fmt.Fprintf(w, `{"status":"active","path":"db_%d.tar.zst","checksum":%q}`, len(*archive.Load()), *sum.Load())
		case r.URL.Path == fmt.Sprintf("/v6/db_%d.tar.zst", len(*archive.Load())):
			_, _ = w.Write([]byte(*archive.Load()))
		default:
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(server.Close)
	dir := filepath.Join(t.TempDir(), "advisories")
	get := dailyGrype(server.URL+"/v6/latest.json", dir)
	content := func(file string) string {
		text, err := os.ReadFile(file) //nolint:gosec // of the test
		require.NoError(t, err)
		return string(text)
	}
	serve("first", "")
	for range 2 {
		file, err := get(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "db_5.tar.zst", filepath.Base(file))
		assert.Equal(t, "first", content(file))
	}
	assert.Equal(t, int64(2), asked.Load(), "once the list, once the archive")

	age := func() {
		old := time.Now().Add(-25 * time.Hour)
		require.NoError(t, os.Chtimes(filepath.Join(dir, "grype-latest.json"), old, old))
	}
	age()
	serve("the second", "sha256:"+hex.EncodeToString(make([]byte, 32)))
	file, err := get(t.Context())
	require.NoError(t, err, "the old one is there, and its age is judged later")
	assert.Equal(t, "first", content(file))
	serve("the second", "")
	file, err = get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "the second", content(file))
	assert.NoFileExists(t, filepath.Join(dir, "db_5.tar.zst"))

	require.NoError(t, os.WriteFile(file, []byte("changed on the disk"), 0o600))
	file, err = get(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "the second", content(file))
	serve("", "x")
	_, err = dailyGrype(server.URL+"/v6/latest.json", t.TempDir())(t.Context())
	require.ErrorContains(t, err, "502")
	serve("first", "sha256:"+hex.EncodeToString(make([]byte, 32)))
	_, err = dailyGrype(server.URL+"/v6/latest.json", t.TempDir())(t.Context())
	require.ErrorContains(t, err, "should have")
	for _, answer := range []string{"<html>", "{}", `{"path":"../../x.tar","checksum":"sha256:1"}`, `{"path":"x.tar","checksum":"md5:1"}`} {
		_, err := readLatest([]byte(answer))
		require.ErrorContains(t, err, "download advisories", answer)
	}
}
