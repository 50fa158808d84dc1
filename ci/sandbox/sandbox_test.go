package sandbox

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestServicesAreInstalledFromLocksWithHashes(t *testing.T) {
	r := fake.New()
	for name, service := range map[string]runner.Service{MLflowName: MLflow(r), S3Name: S3(r)} {
		assert.Equal(t, name, service.Name)
		assert.Equal(t, []string{"uv", "pip", "install", "--quiet", "--require-hashes", "-r", name + ".lock"}, service.Env.Install[0])
		lock, err := service.Env.Files.Read(t.Context(), name+".lock", 1<<20)
		require.NoError(t, err)
		assert.Contains(t, string(lock), "--hash=sha256:")
		assert.NotContains(t, string(lock), "://", "no index or host in a lock")
		assert.Contains(t, strings.Join(service.Args, " "), "{{port}}")
		assert.Contains(t, strings.Join(service.Args, " "), "{{bind}}")
		assert.NotEmpty(t, service.Ready)
		assert.Positive(t, service.Port)
		// The command's script is among the files it sees.
		files, err := service.Inputs[0].Files.List(t.Context())
		require.NoError(t, err)
		require.Len(t, files, 1)
		assert.Contains(t, strings.Join(service.Args, " "), strings.TrimSuffix(files[0], ".py"))
	}
}

func TestVarsNameBothServers(t *testing.T) {
	vars := Vars()
	assert.Equal(t, "http://{{mlflow}}", vars["MLFLOW_TRACKING_URI"])
	for _, name := range []string{"AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"} {
		assert.Equal(t, "http://{{s3}}", vars[name])
	}
	assert.NotContains(t, vars["AWS_ACCESS_KEY_ID"], "AKIA", "nothing that looks like a live key")
}

func TestTargetMakesTheBucket(t *testing.T) {
	store := ledgertest.Start(t, Bucket)
	mlflow := &runner.Running{Address: "127.0.0.1:5000"}
	target, err := Target(t.Context(), mlflow, &runner.Running{Address: strings.TrimPrefix(store.URL, "http://")})
	require.NoError(t, err)
	assert.Equal(t, "http://127.0.0.1:5000", target.TrackingURI)
	assert.Equal(t, store.URL, target.S3Endpoint)
	assert.Equal(t, ArtifactRoot, target.ArtifactRoot)
	key, err := target.SecretKey.Plaintext(t.Context())
	require.NoError(t, err)
	assert.Equal(t, SecretKey, key)
	assert.Equal(t, "AWS_SECRET_ACCESS_KEY", target.SecretKey.Name())
	assert.Contains(t, store.Requests(), "PUT ")
}

func TestTargetOfAServerThatIsGone(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := Target(t.Context(), &runner.Running{}, &runner.Running{Address: strings.TrimPrefix(server.URL, "http://")})
	assert.ErrorContains(t, err, "create bucket "+Bucket)
}

func TestCodes(t *testing.T) {
	require.Len(t, Codes(), 1)
	assert.Equal(t, verdict.CouldNotRun, Codes()[0].Outcome)
	assert.NotEmpty(t, Codes()[0].Remedy)
}
