package release

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
)

func TestAnAddressIsAskedOverHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
		case "/within":
			http.Redirect(w, r, "/good", http.StatusFound)
		case "/away":
			http.Redirect(w, r, "http://elsewhere.example/", http.StatusFound)
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	}))
	defer server.Close()
	ctx := context.Background()
	require.NoError(t, Get(ctx, server.URL+"/good"))
	require.NoError(t, Get(ctx, server.URL+"/within"))
	require.ErrorContains(t, Get(ctx, server.URL+"/away"), "redirects elsewhere")
	require.ErrorContains(t, Get(ctx, server.URL+"/bad"), "502")
	require.Error(t, Get(ctx, "http://127.0.0.1:1/"))
	require.Error(t, Get(ctx, "://"))
}

func TestTheAddressIsTheLoadBalancersUnlessItIsSaid(t *testing.T) {
	w := newWorld(t, "rolling")
	w.in.Spec.Smoke = "https://rca.example.com/"
	w.deployed("a")
	assert.Equal(t, "https://rca.example.com/", w.gets[0])
	w.in.Smoke = "https://other.example.com/"
	w.gets = nil
	w.deployed("b")
	assert.Equal(t, "https://other.example.com/", w.gets[0])
}

func TestTheClientsOfAnAccountAreAllThere(t *testing.T) {
	clients, problem := account.Open(context.Background(), account.Options{Region: "ap-south-1", AccessKey: "a", SecretKey: "b",
		S3Endpoint: "http://127.0.0.1:1", S3Region: "eu-west-1"})
	require.Nil(t, problem)
	all := Of(clients)
	for _, client := range []any{all.ECS, all.Balancing, all.Scaling, all.CloudWatch, all.Logs, all.Identity, all.Objects} {
		assert.NotNil(t, client)
	}
}
