package mlflow_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/mlflow"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

func TestAModelIsRenderedAsMLflowReadsIt(t *testing.T) {
	versions := map[string]string{"keras": "3.15.1", "tensorflow": "2.21.0"}
	description := mlflow.ModelDir{ArtifactPath: "model", RunID: "r1", UUID: "u1", Created: time.UnixMilli(1500),
		Flavor: kerasfile.Format.Flavor("data/model.keras", modelfile.Saved{Versions: versions}), Python: "3.11", Requirements: []string{"keras==3.15.1", "tensorflow"}, Bytes: 10}
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

// Nothing of the model's own data becomes a second line of the environment.
func TestAModelRefusesWhatIsNoVersion(t *testing.T) {
	good := mlflow.ModelDir{Versions: map[string]string{"keras": "3.15.1"}, Python: "3.11", Requirements: []string{"keras==3.15.1", "tensorflow", "numpy==2.1.0+x"}}
	_, err := good.Files()
	require.NoError(t, err)
	for name, change := range map[string]func(*mlflow.ModelDir){
		"keras":       func(m *mlflow.ModelDir) { m.Versions = map[string]string{"keras": "3.13.2\r-rhttp://127.0.0.1/r"} },
		"python":      func(m *mlflow.ModelDir) { m.Python = "3.11\n- evil" },
		"requirement": func(m *mlflow.ModelDir) { m.Requirements = []string{"tensorflow==2.16\revil-package==1.0"} },
		"an option":   func(m *mlflow.ModelDir) { m.Requirements = []string{"--index-url=http://127.0.0.1"} },
		"an address":  func(m *mlflow.ModelDir) { m.Requirements = []string{"keras @ http://127.0.0.1/k.whl"} },
	} {
		m := good
		change(&m)
		_, err := m.Files()
		require.ErrorContains(t, err, "describe the model's environment", name)
	}
}
