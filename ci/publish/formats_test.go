package publish

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// onnxArtifact is a model that is not of Keras, with the given files beside it.
func onnxArtifact(t *testing.T, beside ...string) *model.Artifact {
	t.Helper()
	dir := t.TempDir()
	for _, name := range append(beside, "net.onnx") {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("content of "+name), 0o600))
	}
	sum := sha256.Sum256([]byte("content of net.onnx"))
	return &model.Artifact{Format: "onnx", Dir: dir, File: "net.onnx", SHA256: hex.EncodeToString(sum[:]), Bytes: 19,
		Versions: map[string]string{"python": "3.11.9", "onnxruntime": "1.23.2", "onnx": "1.19.1"}, Metrics: map[string]float64{"accuracy": 0.9}}
}

func TestAModelThatIsNotOfKerasLiesWhereMLflowLooksForIt(t *testing.T) {
	w := newWorld(t)
	result := Run(t.Context(), w.input(onnxArtifact(t, "weights.bin")))
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.True(t, strings.HasSuffix(result.Version.URI, "/models/lstm_model_v1.onnx"), result.Version.URI)
	files := w.mlf.Artifacts()
	prefix := "1/" + w.mlf.Runs()[0].ID + "/artifacts/model/"
	var names []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		names = append(names, strings.TrimPrefix(name, prefix))
	}
	assert.Equal(t, []string{"MLmodel", "conda.yaml", "model.onnx", "python_env.yaml", "requirements.txt", "weights.bin"}, names)
	assert.Equal(t, "content of net.onnx", string(files[prefix+"model.onnx"]))
	assert.Equal(t, "onnxruntime==1.23.2\nonnx==1.19.1\nnumpy\n", string(files[prefix+"requirements.txt"]))
	described := string(files[prefix+"MLmodel"])
	for _, line := range []string{"loader_module: mlflow.onnx", "data: model.onnx", `onnx_version: 1.19.1`, "python_version: 3.11.9"} {
		assert.Contains(t, described, line)
	}
	again := Run(t.Context(), w.input(onnxArtifact(t, "weights.bin")))
	require.Equal(t, verdict.Pass, again.Stage.Verdict, again.Stage.Failure())
	assert.True(t, again.Version.Already, "the committed version is found and compared where it lies")
}

func TestAFileThatWouldTakeThePlaceOfAnotherIsNotPublished(t *testing.T) {
	w := newWorld(t)
	stage := Run(t.Context(), w.input(onnxArtifact(t, "requirements.txt", "MLmodel"))).Stage
	require.Equal(t, CodeInput.Name, stage.Code)
	var causes []string
	for _, p := range stage.Problems {
		causes = append(causes, p.Cause)
	}
	all := strings.Join(causes, "\n")
	assert.Contains(t, all, "requirements.txt would take the place of another file")
	assert.Contains(t, all, "MLmodel would take the place of another file")
	assert.Empty(t, w.store.Keys(), "nothing was written")

	unknown := onnxArtifact(t)
	unknown.Format = ""
	stage = Run(t.Context(), w.input(unknown)).Stage
	assert.Equal(t, CodeInput.Name, stage.Code)
	assert.Contains(t, stage.Cause, "which cannot be published")
	assert.Empty(t, w.store.Keys(), "nothing was claimed")
}
