//go:build unix

// Package modelformats_test trains a model of each format with its real library, publishes it to
// a real MLflow server, and loads it with mlflow.pyfunc as a user of the registry does.
package modelformats_test

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// format is one format as a project has it.
type format struct {
	// model is the name of the model file, packages what the project needs besides MLflow.
	model    string
	packages []string
	// settings are lines of pipeline.yaml below train.
	settings string
	// save is Python that saves the trained model to FILE and sets `outputs` to what it gives for SAMPLE.
	save string
	// told is what the report tells of the file.
	told map[string]string
	// versions are the packages whose versions the registry hands out.
	versions []string
}

// tensorFlow is what both packages of Keras need; the training chooses one of them.
var tensorFlow = []string{"scikit-learn==1.7.2", "tensorflow-cpu==2.21.0", "keras==3.15.1", "tf-keras==2.21.0"}

// fitKeras trains with a package of Keras, PKG.
const fitKeras = `
import PKG
model = PKG.Sequential([PKG.layers.Input((4,)), PKG.layers.Dense(16, "relu"), PKG.layers.Dense(3, "softmax")])
model.compile(PKG.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
model.fit(X, y, epochs=60, verbose=0)
guess = model.predict(held, verbose=0).argmax(axis=1)
model.save(FILE)
outputs = model.predict(SAMPLE, verbose=0).tolist()
`

var formats = map[string]format{
	"Keras": {
		model: "model.keras", packages: tensorFlow, settings: "  recurrent: false\n", save: strings.ReplaceAll(fitKeras, "PKG", "keras"),
		told:     map[string]string{"model layers": "saved by Keras 3.15.1", "model loaded": "keras 3.15.1: Sequential with 131 parameters"},
		versions: []string{"keras==3.15.1"},
	},
	"legacy Keras": {
		model: "model.keras", packages: tensorFlow, settings: "  recurrent: false\n", save: strings.ReplaceAll(fitKeras, "PKG", "tf_keras"),
		told:     map[string]string{"model layers": "saved by tf_keras 2.21.0", "model loaded": "tf-keras 2.21.0: Sequential with 131 parameters"},
		versions: []string{"tf-keras==2.21.0"},
	},
	"ONNX": {
		model: "model.onnx", packages: []string{"scikit-learn==1.7.2", "skl2onnx==1.20.0", "onnx==1.19.1", "onnxruntime==1.23.2"},
		save: `
from skl2onnx import to_onnx
content = to_onnx(model, X[:1], options={"zipmap": False}).SerializeToString()
open(FILE, "wb").write(content)
outputs = {"label": model.predict(SAMPLE).tolist(), "probabilities": model.predict_proba(SAMPLE).tolist()}
`,
		told:     map[string]string{"model graph": "LinearClassifier", "model inputs": "X float32 [?, 4]", "model loaded": "onnxruntime 1.23.2"},
		versions: []string{"onnxruntime==1.23.2", "onnx==1.19.1"},
	},
	// With NumPy in the place of PyTorch, which is too large for a test: the format is the same.
	"safetensors": {
		model: "model.safetensors", packages: []string{"scikit-learn==1.7.2", "safetensors==0.6.2"}, settings: "  loader: net\n  artifacts: [models/net.py]\n",
		save: `
from safetensors.numpy import save_file
step, scale = model[-1], model[0]
save_file({"weight": (step.coef_ / scale.scale_).astype("float32"), "bias": (step.intercept_ - (step.coef_ * scale.mean_ / scale.scale_).sum(1)).astype("float32")}, FILE)
open("models/net.py", "w").write("""
from safetensors.numpy import load_file
class Net:
    def __init__(self, path):
        self.tensors = load_file(path)
    def predict(self, inputs, params=None):
        return inputs @ self.tensors["weight"].T + self.tensors["bias"]
def _load_pyfunc(path):
    return Net(path)
""")
outputs = model.decision_function(SAMPLE).tolist()
`,
		told:     map[string]string{"model tensors": "2 of F32", "model parameters": "15", "model loaded": "Net of 2 tensors by net"},
		versions: []string{"safetensors==0.6.2"},
	},
	"XGBoost": {
		model: "model.json", packages: []string{"scikit-learn==1.7.2", "xgboost-cpu==3.0.5"}, settings: "  format: xgboost\n",
		save: `
import xgboost
model = xgboost.XGBClassifier(n_estimators=20).fit(X, y)
guess = model.predict(held)
model.save_model(FILE)
outputs = model.predict(SAMPLE).tolist()
`,
		told:     map[string]string{"model trees": "60 of gbtree, objective multi:softprob", "model kind": "classifier", "model loaded": "XGBClassifier of 20 rounds"},
		versions: []string{"xgboost==3.0.5"},
	},
	"XGBoost without its estimators": {
		model: "model.ubj", packages: []string{"scikit-learn==1.7.2", "xgboost-cpu==3.0.5"},
		save: `
import xgboost
booster = xgboost.train({"objective": "multi:softprob", "num_class": 3}, xgboost.DMatrix(X, y), 10)
guess = booster.predict(xgboost.DMatrix(held)).argmax(axis=1)
booster.save_model(FILE)
outputs = booster.predict(xgboost.DMatrix(SAMPLE)).tolist()
`,
		told:     map[string]string{"model trees": "30 of gbtree", "model loaded": "Booster of 10 rounds"},
		versions: []string{"xgboost==3.0.5"},
	},
	"LightGBM": {
		model: "model.lgb", packages: []string{"scikit-learn==1.7.2", "lightgbm==4.6.0"},
		save: `
import lightgbm
booster = lightgbm.train({"objective": "multiclass", "num_class": 3, "verbose": -1}, lightgbm.Dataset(X, y), 10)
guess = booster.predict(held).argmax(axis=1)
booster.save_model(FILE)
outputs = booster.predict(SAMPLE).tolist()
`,
		told:     map[string]string{"model trees": "30, objective multiclass", "model loaded": "lightgbm 4.6.0: Booster of 30 trees on 4 features"},
		versions: []string{"lightgbm==4.6.0"},
	},
	"scikit-learn": {
		model: "model.skops", packages: []string{"scikit-learn==1.7.2", "skops==0.16.0"},
		settings: "  allow_types: [sklearn.tree._tree.Tree]\n",
		save: `
import skops.io
from sklearn.ensemble import RandomForestClassifier
model = RandomForestClassifier(10, random_state=0).fit(X, y)
guess = model.predict(held)
skops.io.dump(model, FILE)
outputs = model.predict(SAMPLE).tolist()
`,
		told:     map[string]string{"model type": "sklearn.ensemble._forest.RandomForestClassifier", "model loaded": "scikit-learn 1.7.2: RandomForestClassifier of 4 features"},
		versions: []string{"scikit-learn==1.7.2", "skops==0.16.0"},
	},
}

// mainPy trains on the iris data set and leaves everything that the contract asks for.
const mainPy = `
import json, os
import numpy as np
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
os.makedirs("models")
X, y = load_iris(return_X_y=True)
X, held, y, truth = train_test_split(X.astype("float32"), y, test_size=0.4, random_state=0, stratify=y)
model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)).fit(X, y)
guess = model.predict(held)
SAMPLE = held[:5]
FILE = "models/MODEL"
SAVE
json.dump({"accuracy": accuracy_score(truth, guess)}, open("models/metrics.json", "w"))
json.dump({"labels": ["a", "b", "c"], "y_true": truth.tolist(), "y_pred": guess.tolist()}, open("models/predictions.json", "w"))
json.dump({"inputs": SAMPLE.tolist(), "outputs": outputs}, open("models/golden.json", "w"))
`

// loadPublished loads a version by its address and compares what it gives.
const loadPublished = `
import json, sys
import mlflow.pyfunc
import numpy as np
golden = json.load(open("models/golden.json"))
loaded = mlflow.pyfunc.load_model(sys.argv[1])
got, want = loaded.predict(np.array(golden["inputs"], dtype="float32")), golden["outputs"]
for key in want if isinstance(want, dict) else [None]:
    np.testing.assert_allclose(np.array(got if key is None else got[key], dtype=float), np.array(want if key is None else want[key]), atol=1e-4)
print("same outputs from", loaded.metadata.run_id)
`

// source is the project's tree.
func (f format) source(t *testing.T, save string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"main.py":          strings.NewReplacer("MODEL", f.model, "SAVE", save).Replace(mainPy),
		"requirements.txt": strings.Join(append([]string{"mlflow-skinny==3.17.2", "pandas==2.3.3", "numpy==2.2.6"}, f.packages...), "\n") + "\n",
		config.FileName: "name: iris\npython: \"3.11\"\ntrain:\n  command: [python, main.py]\n  model: models/" + f.model +
			"\n  metrics: models/metrics.json\n" + cmp.Or(f.settings, "  artifacts: []\n"),
	} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	return dir
}

func input(t *testing.T, dir string) train.Input {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(dir, config.FileName))
	require.NoError(t, err)
	cfg, err := config.Load(content, config.Sandbox)
	require.NoError(t, err)
	return train.Input{Config: cfg, Source: native.Source(dir), WorkDir: t.TempDir()}
}

func TestEveryFormatFromTrainingToTheRegistry(t *testing.T) {
	reachable.Python(t)
	if testing.Short() {
		t.Skip("installing the libraries takes minutes; run without -short")
	}
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	server, err := r.Start(t.Context(), sandbox.MLflow(r))
	require.NoError(t, err)
	store, err := r.Start(t.Context(), sandbox.S3(r))
	require.NoError(t, err)
	target, err := sandbox.Target(t.Context(), server, store)
	require.NoError(t, err)

	for name, f := range formats {
		t.Run(name, func(t *testing.T) {
			in := input(t, f.source(t, f.save))
			in.Config.Name = strings.ToLower(strings.ReplaceAll(name, " ", "-"))
			in.Config.Publish.Model = in.Config.Name
			trained := train.Run(t.Context(), r, in)
			require.Equal(t, verdict.Pass, trained.Stage.Verdict, trained.Stage.Failure())
			told := map[string]string{}
			for _, e := range trained.Stage.Evidence {
				told[e.Name] = e.Value
			}
			for key, want := range f.told {
				assert.Contains(t, told[key], want, key)
			}
			assert.Contains(t, told["golden sample"], "equal")
			for _, w := range trained.Stage.Warnings {
				assert.NotContains(t, []string{train.NotScored.Name, train.NotLoaded.Name}, w.Code)
			}

			var checked *train.Rescored
			published := publish.Run(t.Context(), publish.Input{
				Config: in.Config, Model: trained.Model, Environment: "sandbox", Commit: "c0ffee", Tree: "tree", Target: target, WorkDir: t.TempDir(),
				Check: func(ctx context.Context, version, dir string) publish.Checked {
					found, err := train.Rescore(ctx, r, in, trained.Model, native.Source(dir), version)
					require.NoError(t, err)
					checked = found
					return publish.Checked{Found: found.Outcome}
				},
			})
			require.Equal(t, verdict.Pass, published.Stage.Verdict, published.Stage.Failure())
			require.NotNil(t, checked)
			assert.Equal(t, "the golden sample scores as trained", checked.Outcome)
			assert.True(t, strings.HasSuffix(published.Version.URI, filepath.Ext(f.model)), published.Version.URI)

			loaded, err := r.Run(t.Context(), runner.Step{
				Name: "load with mlflow.pyfunc", Timeout: 5 * time.Minute,
				Env: runner.Environment{Python: "3.11", Files: in.Source.Filter([]string{"requirements.txt"}, nil),
					Install: [][]string{{"uv", "pip", "install", "-r", "requirements.txt"}}},
				Inputs:   []runner.Mount{{Path: "models", Files: trained.Model.Files}},
				Vars:     map[string]string{"MLFLOW_TRACKING_URI": "http://{{mlflow}}", "MLFLOW_DISABLE_TELEMETRY": "true"},
				Args:     []string{"python", "-c", loadPublished, "models:/" + published.Version.Registered + "/1"},
				Services: map[string]*runner.Running{sandbox.MLflowName: server},
			})
			require.NoError(t, err)
			require.Zero(t, loaded.ExitCode, loaded.Stderr)
			assert.Contains(t, loaded.Stdout, "same outputs from "+published.Version.RunID)
			requirements := strings.Join(func() []string {
				var lines []string
				for pkg, version := range trained.Model.Versions {
					lines = append(lines, pkg+"=="+version)
				}
				return lines
			}(), "\n")
			for _, want := range f.versions {
				assert.Contains(t, requirements, want)
			}

			// The saved model is another than the one that was scored.
			lying := input(t, f.source(t, f.save+"\noutputs = json.loads(json.dumps(outputs).translate({ord('0'): '7'}))\n"))
			refused := train.Run(t.Context(), r, lying)
			assert.Equal(t, train.GoldenMismatch.Name, refused.Stage.Code, refused.Stage.Failure())
		})
	}
}
