package oci

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestReachReadsOnly(t *testing.T) {
	password := strings.Join([]string{"canary", "of", "the", "registry"}, "-")
	referrers, status := http.StatusOK, http.StatusOK
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodGet, r.Method, "it only reads")
		_, got, login := r.BasicAuth()
		switch {
		case !login || got != password:
			w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
			w.WriteHeader(http.StatusUnauthorized)
		case strings.Contains(r.URL.Path, "/referrers/"):
			w.WriteHeader(referrers)
		default:
			w.WriteHeader(status)
		}
	}))
	defer server.Close()
	repository := strings.TrimPrefix(server.URL, "http://") + "/team/rca"
	found, err := Reach(t.Context(), repository, Login{"user", password}, nil)
	require.NoError(t, err)
	assert.True(t, found.Referrers)
	referrers = http.StatusNotFound
	found, err = Reach(t.Context(), repository, Login{"user", password}, nil)
	require.NoError(t, err)
	assert.False(t, found.Referrers)
	for _, code := range []int{http.StatusForbidden, http.StatusInternalServerError} {
		referrers = code
		_, err = Reach(t.Context(), repository, Login{"user", password}, nil)
		require.Error(t, err)
		assert.NotContains(t, err.Error(), password)
	}
	_, err = Reach(t.Context(), repository, Login{"user", password + "x"}, nil)
	require.ErrorContains(t, err, "refuses the login")
	assert.NotContains(t, err.Error(), password)
	_, err = Reach(t.Context(), "127.0.0.1:1/team/x", Login{}, nil)
	require.ErrorContains(t, err, "does not answer")
	_, err = Reach(t.Context(), "Not A Repository", Login{}, nil)
	require.Error(t, err)
}
