package awscall

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLocal(t *testing.T) {
	for address, local := range map[string]bool{
		"http://127.0.0.1:4566": true, "http://localhost:4566": true, "https://[::1]:1": true, "http://127.8.9.1": true,
		"": false, "127.0.0.1:4566": false, "http://10.0.0.1:4566": false, "http://localhost.example.com": false,
		"http://127.0.0.1.example.com": false, "http://[::ffff:10.0.0.1]": false, "http://127.0.0.1@example.com": false, "http://%zz": false,
	} {
		assert.Equal(t, local, Local(address), address)
	}
}

func TestLocalOnlyReachesNoOtherMachine(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer server.Close()
	cfg := aws.Config{Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("key", "secret", ""),
		APIOptions: []func(*middleware.Stack) error{LocalOnly}, RetryMaxAttempts: 1}
	ask := func(address string) error {
		cfg.BaseEndpoint = aws.String(address)
		_, err := Do[struct{}](t.Context(), New(cfg, Service{ID: "ECS", Name: "ecs", Protocol: JSON{Target: "X", Version: "1.1"}, Endpoint: Regional("ecs", false)}),
			"ListClusters", nil)
		return err
	}
	require.NoError(t, ask(server.URL))
	for _, address := range []string{"http://192.0.2.1", "https://ecs.eu-west-1.amazonaws.com"} {
		assert.ErrorContains(t, ask(address), "may only reach AWS on this machine", address)
	}
}
