//go:build unix

package trainstage_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// told is what a call of the CLI printed and its exit status.
type told struct {
	exit        int
	stdout, all string
}

// call calls the module by the CLI and a real engine, with variables besides this process's own.
func call(t *testing.T, env []string, args ...string) told {
	t.Helper()
	command := exec.CommandContext(t.Context(), "dagger", append([]string{"--progress=plain", "call", "--commit", "0123456789abcdef"}, args...)...)
	command.Dir, command.Env = reachable.Root(), append(os.Environ(), env...)
	var stdout, all bytes.Buffer
	command.Stdout, command.Stderr = &stdout, &all
	err := command.Run()
	said := told{stdout: stdout.String(), all: stdout.String() + all.String()}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		said.exit = failed.ExitCode()
	} else {
		require.NoError(t, err, said.all)
	}
	return said
}

// outcome is what these tests read of report.json.
type outcome struct {
	Name, Verdict, Code, Cause string
	Evidence                   []struct{ Name, Value string }
	Warnings                   []struct{ Code, Cause string }
}

func (o outcome) fact(name string) string {
	for _, e := range o.Evidence {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}

// stage is a stage of the JSON that a call printed; the call itself has to succeed.
func (s told) stage(t *testing.T, name string) outcome {
	t.Helper()
	require.Equal(t, 0, s.exit, s.all)
	var run struct{ Stages []outcome }
	require.NoError(t, json.Unmarshal([]byte(s.stdout), &run), s.all)
	for _, stage := range run.Stages {
		if stage.Name == name {
			return stage
		}
	}
	t.Fatalf("no stage %s in %s", name, s.stdout)
	return outcome{}
}

func TestTheChampionUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	r := startRegistry(t)
	env := []string{"CHAMPION_ACCESS=" + sandbox.AccessKey, "CHAMPION_SECRET=" + sandbox.SecretKey}
	_, err := sandbox.Target(t.Context(), r.mlflow, r.s3) // makes the bucket
	require.NoError(t, err)
	for name, where := range map[string][]string{
		"the sandbox's registry": {"--sandbox-mlflow", "tcp://" + r.mlflow.Address, "--sandbox-s3", "tcp://" + r.s3.Address},
		"staging's registry": {"--environment", "staging", "--ref", "main", "--mlflow-tracking-uri", "http://" + reachable.Forward(t, r.mlflow.Address),
			"--mlflow-s3-endpoint-url", "http://" + reachable.Forward(t, r.s3.Address), "--mlflow-artifact-root", sandbox.ArtifactRoot,
			"--aws-access-key-id", "env:CHAMPION_ACCESS", "--aws-secret-access-key", "env:CHAMPION_SECRET", "--aws-default-region", sandbox.Region},
	} {
		t.Run(name, func(t *testing.T) {
			trained := func(source string, args ...string) told {
				return call(t, env, append(append([]string{"--source", source}, where...), args...)...)
			}
			first := trained(tiny(t, 38, ", min_absolute_change: 0.02"), "train", "publish", "json")
			require.Equal(t, "pass", first.stage(t, "train").Verdict, first.all)
			require.Equal(t, "pass", first.stage(t, "publish").Verdict, first.all)
			assert.Equal(t, "none in alias champion of the MLflow registry: this would be the first", first.stage(t, "train").fact("model in production"))

			worse := trained(tiny(t, 36, ""), "train", "json").stage(t, "train")
			assert.Equal(t, train.Regression.Name, worse.Code)
			assert.Contains(t, worse.Cause, "0.9, worse than the 0.95 of version 1")
			refused := trained(tiny(t, 36, ""), "train", "enforce")
			assert.Equal(t, 1, refused.exit)
			assert.Contains(t, refused.all, "FAIL train REGRESSION: accuracy is 0.9")
			assert.False(t, strings.Contains(refused.all, sandbox.SecretKey))

			better := trained(tiny(t, 39, ", min_absolute_change: 0.02"), "train", "json").stage(t, "train")
			assert.Equal(t, "pass", better.Verdict, better.Cause)
			assert.Equal(t, "+0.025 over 0.95 of version 1", better.fact("accuracy against the champion"))
			// Asked at every call: a training from the cache is compared with who is champion now.
			same := trained(tiny(t, 38, ", min_absolute_change: 0.02"), "train", "json").stage(t, "train")
			assert.Equal(t, train.NoImprovement.Name, same.Code)
		})
	}
	t.Run("a champion that is gone", func(t *testing.T) {
		where := []string{"--source", tiny(t, 39, ""), "--sandbox-mlflow", "tcp://" + r.mlflow.Address, "train", "json"}
		require.NoError(t, r.client.DeleteModelVersion(t.Context(), tinyModel, "1"))
		lost := call(t, nil, where...).stage(t, "train")
		assert.Equal(t, "could-not-run", lost.Verdict)
		assert.Equal(t, train.ChampionLost.Name, lost.Code)
	})
	t.Run("a server that is gone", func(t *testing.T) {
		gone := call(t, nil, "--source", tiny(t, 39, ""), "--environment", "staging", "--ref", "main", "--mlflow-tracking-uri", "http://127.0.0.1:9", "train", "json").stage(t, "train")
		assert.Equal(t, "could-not-run", gone.Verdict)
		assert.Equal(t, train.ChampionUnknown.Name, gone.Code)
	})
}

// write makes a source of files by path.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
		require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	}
	return dir
}

func TestTheTrainingRunsWithThePythonAndTheThreadsOfTheCall(t *testing.T) {
	reachable.Engine(t)
	source := tiny(t, 38, "")
	name := filepath.Join(source, "main.py")
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	// Measured by the training itself; what was asked for is in the report in any case.
	changed := strings.Replace(string(content), `{"accuracy": accuracy, "loss": 0.1}`,
		`{"accuracy": accuracy, "loss": 0.1, "minor": __import__("sys").version_info[1], "given": {"threads": 0}, "params": {k: v for k, v in __import__("os").environ.items() if "THREADS" in k}}`, 1)
	require.NotEqual(t, string(content), changed)
	require.NoError(t, os.WriteFile(name, []byte(changed), 0o600))
	for _, python := range []string{"3.12", "3.10"} {
		said := call(t, nil, "--source", source, "train", "--python", python, "--cpu-threads", "3", "metrics", "contents")
		require.Equal(t, 0, said.exit, said.all)
		var logged struct {
			Metrics map[string]float64
			Params  map[string]string
		}
		require.NoError(t, json.Unmarshal([]byte(said.stdout), &logged), said.stdout)
		assert.Equal(t, map[string]float64{"3.12": 12, "3.10": 10}[python], logged.Metrics["minor"])
		for _, variable := range []string{"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"} {
			assert.Equal(t, "3", logged.Params[variable], variable)
		}
	}
	summary := call(t, nil, "--source", source, "train", "--python", "3.12", "--cpu-threads", "3", "report", "file", "--path", "train/model-card.md", "contents")
	require.Equal(t, 0, summary.exit, summary.all)
	assert.Regexp(t, `Python\W+3\.12`, summary.stdout)
	assert.Regexp(t, `CPU threads\W+3`, summary.stdout)
}

func TestWhatATrainingLeavesIsMeasuredUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	for name, c := range map[string]struct{ leaves, code, cause string }{
		"a file of 1.2 GB":           {`open(MODELS / "data.json", "wb").truncate(1200 << 20)`, train.ArtifactTooLarge.Name, "models/data.json is 1258291200 bytes long"},
		"a link to a file outside":   {`(MODELS / "lstm_model.keras").unlink(); (MODELS / "lstm_model.keras").symlink_to("/etc/passwd")`, "ARCHIVE_INVALID", "is a link to no file"},
		"a folder instead of a file": {`(MODELS / "lstm_model.keras").unlink(); (MODELS / "lstm_model.keras").mkdir()`, train.NoModel.Name, "left no file"},
	} {
		t.Run(name, func(t *testing.T) {
			source := tiny(t, 38, "")
			name := filepath.Join(source, "main.py")
			content, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(name, []byte(strings.Replace(string(content), `    print(f"epoch`, "    "+c.leaves+"\n"+`    print(f"epoch`, 1)), 0o600))
			stage := call(t, nil, "--source", source, "train", "json").stage(t, "train")
			t.Log(stage.Verdict, stage.Code, stage.Cause)
			assert.NotEqual(t, "pass", stage.Verdict)
			assert.Contains(t, stage.Cause, c.cause)
			if c.code != "" {
				assert.Equal(t, c.code, stage.Code)
			}
		})
	}
}

// hdf5 trains a model with a Lambda in it and saves it as Keras did before version 3. What
// the Lambda does runs in whatever loads the model: it looks for credentials and a network.
const hdf5 = `
import argparse, json, pathlib
import keras, numpy

parser = argparse.ArgumentParser()
parser.add_argument("--mode")
mode = parser.parse_args().mode
models = pathlib.Path("models")
sample = numpy.arange(15).reshape(3, 5) % 9

SPY = """
import glob, json, os, socket
seen = json.dumps(dict(os.environ))
for name in glob.glob('/proc/[0-9]*/environ'):
    try:
        seen += open(name, 'rb').read().decode('utf-8', 'replace')
    except OSError:
        pass
try:
    socket.create_connection(('127.0.0.1', 9), 2)
    seen += 'network'
except ConnectionRefusedError:
    seen += 'network'
except OSError:
    pass
open('spied', 'w').write(seen)
"""
# Keras keeps the byte code of a lambda, and the name of any other function.
spy = eval("lambda x: (exec(%r), x)[1]" % SPY)

if mode == "train":
    keras.utils.set_random_seed(7)
    model = keras.Sequential([keras.Input((5,), dtype="int32"), keras.layers.Embedding(9, 4), keras.layers.LSTM(6), keras.layers.Lambda(spy, output_shape=(6,)), keras.layers.Dense(3, activation="softmax")])
    models.mkdir(exist_ok=True)
    model.save(models / "model.h5")
    (models / "metrics.json").write_text(json.dumps({"accuracy": 0.975}))
    (models / "predictions.json").write_text(json.dumps({"labels": ["a", "b"], "y_true": [0, 1] * 20, "y_pred": [0, 1] * 19 + [0, 0]}))
    (models / "golden.json").write_text(json.dumps(model.predict(sample, verbose=0).tolist()))
else:
    loaded = keras.models.load_model(models / "model.h5", safe_mode=False, compile=False)
    numpy.testing.assert_allclose(loaded.predict(sample, verbose=0), json.loads((models / "golden.json").read_text()), atol=1e-6)
    seen = pathlib.Path("spied").read_text()
    assert "what-the-spy-must-see" in seen, "the Lambda of the file did not run"
    for secret in ("canary", "AWS_SECRET", "AWS_ACCESS", "PASSWORD", "TOKEN"):
        assert secret not in seen, secret
    if seen.endswith("network"):
        raise SystemExit("error: there is a network")
`

func TestAnHDF5ModelUnderTheEngine(t *testing.T) {
	reachable.Engine(t)
	files := func(contract string) map[string]string {
		return map[string]string{
			"main.py":                hdf5,
			"tests/test_main.py":     "from calc import one\n\ndef test_one():\n    assert one() == 1\n",
			"calc.py":                "def one():\n    return 1\n",
			"requirements/test.txt":  "pytest==8.4.2\npytest-cov==7.0.0\n",
			"requirements/train.txt": "keras==3.15.1\nh5py==3.14.0\nnumpy<3\nscipy<2\njax<1\n",
			"pipeline.yaml": `
python: "3.11"
test: {coverage: {total: 1}}
train:
  command: [python, main.py, --mode, train]
  model: models/*.h5
  metrics: models/metrics.json
  score_command: [python, main.py, --mode, score]
  vars: {KERAS_BACKEND: numpy, MARK: what-the-spy-must-see}
` + contract,
		}
	}
	env := []string{"CANARY=canary-" + "77ab1c"}
	trained := func(source string, args ...string) told {
		return call(t, env, append([]string{"--source", source, "--environment", "staging", "--ref", "main", "--aws-access-key-id", "env:CANARY", "--aws-secret-access-key", "env:CANARY",
			"--mlflow-token", "env:CANARY", "train"}, args...)...)
	}
	refused := trained(write(t, files("  recurrent: false\n")), "json").stage(t, "train")
	assert.Equal(t, "fail", refused.Verdict)
	assert.Equal(t, "FORMAT_REFUSED", refused.Code)
	assert.Contains(t, refused.Cause, "HDF5")
	assert.Empty(t, refused.fact("golden sample"), "a model that is refused is not loaded")

	unseen := trained(write(t, files("  allow_formats: [h5]\n")), "json").stage(t, "train")
	assert.Equal(t, "WRONG_ARCH", unseen.Code, "whose layers cannot be seen has no LSTM that counts")

	allowed := write(t, files("  recurrent: false\n  allow_formats: [h5]\n"))
	passed := trained(allowed, "json")
	stage := passed.stage(t, "train")
	require.Equal(t, "pass", stage.Verdict, stage.Cause)
	assert.Equal(t, "equal", strings.SplitN(stage.fact("golden sample"), " ", 2)[0])
	var warned []string
	for _, w := range stage.Warnings {
		warned = append(warned, w.Code)
	}
	assert.Contains(t, warned, train.NotInspected.Name)
	assert.NotContains(t, passed.all, "canary-77ab1c")
	// The sandbox needs no addresses of servers.
	published := call(t, nil, "--source", allowed, "train", "publish", "json").stage(t, "publish")
	assert.Equal(t, "fail", published.Verdict)
	assert.Equal(t, "MODEL_UNSEEN", published.Code)
}
