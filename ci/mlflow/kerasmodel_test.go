package mlflow_test

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/mlflow"
)

func TestKerasModelIsRenderedAsMLflowReadsIt(t *testing.T) {
	description := mlflow.KerasModel{ArtifactPath: "model", RunID: "r1", UUID: "u1", Created: time.UnixMilli(1500), KerasVersion: "3.15.1",
		Backend: "tensorflow", Python: "3.11", Requirements: []string{"keras==3.15.1", "tensorflow"}, Bytes: 10}
	files, err := description.Files()
	require.NoError(t, err)
	assert.Equal(t, `artifact_path: model
flavors:
    keras:
        data: data
        keras_backend: tensorflow
        keras_version: 3.15.1
        save_exported_model: false
    python_function:
        env:
            conda: conda.yaml
            virtualenv: python_env.yaml
        loader_module: mlflow.keras
        python_version: "3.11"
model_size_bytes: 10
model_uuid: u1
run_id: r1
utc_time_created: "1970-01-01 00:00:01.500000"
`, string(files["MLmodel"]))
	assert.Equal(t, "keras==3.15.1\ntensorflow\n", string(files["requirements.txt"]))
	assert.Equal(t, "keras", string(files["data/keras_module.txt"]))
	assert.Contains(t, string(files["python_env.yaml"]), `python: "3.11"`)
	assert.Contains(t, string(files["conda.yaml"]), "python=3.11")
	again, err := description.Files()
	require.NoError(t, err)
	assert.Equal(t, files, again)
}

func TestKerasVersionOfAnArchive(t *testing.T) {
	write := func(name, content string) string {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		f, err := z.Create(name)
		require.NoError(t, err)
		_, err = f.Write([]byte(content))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		path := filepath.Join(t.TempDir(), "m.keras")
		require.NoError(t, os.WriteFile(path, b.Bytes(), 0o600))
		return path
	}
	version, err := mlflow.KerasVersion(write("metadata.json", `{"keras_version":"3.13.2"}`))
	require.NoError(t, err)
	assert.Equal(t, "3.13.2", version)
	for name, path := range map[string]string{
		"no metadata": write("other.json", "{}"), "not JSON": write("metadata.json", "x"), "no version": write("metadata.json", "{}"),
		"a version that would be another requirement": write("metadata.json", `{"keras_version":"3.0; evil"}`), "no file": "nothing.keras",
	} {
		_, err := mlflow.KerasVersion(path)
		assert.Error(t, err, name)
	}
}

// Nothing of the model's own data becomes a second line of the environment.
func TestKerasModelRefusesWhatIsNoVersion(t *testing.T) {
	good := mlflow.KerasModel{KerasVersion: "3.15.1", Python: "3.11", Requirements: []string{"keras==3.15.1", "tensorflow", "numpy==2.1.0+x"}}
	_, err := good.Files()
	require.NoError(t, err)
	for name, change := range map[string]func(*mlflow.KerasModel){
		"keras":       func(m *mlflow.KerasModel) { m.KerasVersion = "3.13.2\r-rhttp://127.0.0.1/r" },
		"python":      func(m *mlflow.KerasModel) { m.Python = "3.11\n- evil" },
		"requirement": func(m *mlflow.KerasModel) { m.Requirements = []string{"tensorflow==2.16\revil-package==1.0"} },
		"an option":   func(m *mlflow.KerasModel) { m.Requirements = []string{"--index-url=http://127.0.0.1"} },
		"an address":  func(m *mlflow.KerasModel) { m.Requirements = []string{"keras @ http://127.0.0.1/k.whl"} },
	} {
		m := good
		change(&m)
		_, err := m.Files()
		require.ErrorContains(t, err, "describe the model's environment", name)
	}
}
