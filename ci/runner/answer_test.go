package runner_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
)

func TestAnswers(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/moved":
			http.Redirect(w, r, "/broken", http.StatusFound)
		case "/cut":
			w.Header().Set("Content-Length", "10")
		case "/broken":
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	require.NoError(t, runner.Answers(t.Context(), server.URL+"/"))
	require.NoError(t, runner.Answers(t.Context(), server.URL+"/moved"))
	require.ErrorContains(t, runner.Answers(t.Context(), server.URL+"/broken"), "/broken: status 500")
	require.Error(t, runner.Answers(t.Context(), server.URL+"/cut"), "half an answer")
	require.Error(t, runner.Answers(t.Context(), "://"))
	server.Close()
	require.ErrorContains(t, runner.Answers(t.Context(), server.URL+"/"), "connection refused")
}

func TestUVIsPinnedByItsHash(t *testing.T) {
	assert.Regexp(t, `(?m)^uv==\d+\.\d+\.\d+ \\$`, runner.UVLock)
	assert.Contains(t, runner.UVLock, "--hash=sha256:")
}
