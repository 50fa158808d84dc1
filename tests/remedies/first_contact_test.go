package remedies

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// threeFiles are a package, its test, and a script that trains a small Keras model: what somebody
// brings who has read nothing.
func threeFiles(t *testing.T) map[string]string {
	t.Helper()
	// The packages of the example's training: the environment is often there already.
	lock, err := os.ReadFile(filepath.Join("..", "..", "examples", "openstack-rca", "requirements", "train.lock"))
	require.NoError(t, err)
	return map[string]string{
		"requirements.txt": string(lock), ".python-version": "3.11\n",
		"sorter/__init__.py":   "def features(text):\n    return [len(text), text.count('error')]\n",
		"tests/test_sorter.py": "from sorter import features\n\ndef test_features():\n    assert features('error') == [5, 1]\n",
		"main.py": `import json
import pathlib

import keras
import numpy as np

from sorter import features

texts = ["an error in the disk"] * 200 + ["a slow page"] * 200
x = np.array([features(text) for text in texts], dtype="float32")
y = np.array([1] * 200 + [0] * 200)
model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1, activation="sigmoid")])
model.compile(optimizer=keras.optimizers.Adam(0.05), loss="binary_crossentropy", metrics=["accuracy"])
fitted = model.fit(x, y, epochs=60, verbose=0)
pathlib.Path("models").mkdir(exist_ok=True)
model.save("models/sorter.keras")
`,
	}
}

// TestAProjectOfThreeFilesIsGreenOnTheSecondTry: the first run says everything that is to be set.
func TestAProjectOfThreeFilesIsGreenOnTheSecondTry(t *testing.T) {
	w := bench(t)
	files := threeFiles(t)
	first := w.run(t, write(t, files), "run", "--ref", "main")
	assert.Equal(t, "fail", first[""].Cause)
	for code, wanted := range map[string]string{
		"COVERAGE_BELOW": `test.coverage.omit: ["tests/**", "**/test_*.py", "**/conftest.py", "setup.py", "docs/**", "main.py"]`,
		"WRONG_ARCH":     "train.recurrent: false",
		"RUN_MISSING":    `as JSON, {"accuracy": 0.9}, and name the file: train.metrics: models/metrics.json`,
		"APP_MISSING":    "policy: {main: [test, train, publish]}",
	} {
		require.Contains(t, first, code)
		require.Contains(t, first[code].Next, wanted)
	}

	second := maps.Clone(files)
	second["main.py"] += `pathlib.Path("models/metrics.json").write_text(json.dumps({"accuracy": fitted.history["accuracy"][-1]}))` + "\n"
	second["pipeline.yaml"] = `test: {coverage: {omit: ["tests/**", "**/test_*.py", "**/conftest.py", "setup.py", "docs/**", "main.py"]}}
train: {recurrent: false, metrics: models/metrics.json}
policy: {main: [test, train, publish]}
`
	found := w.run(t, write(t, second), "run", "--ref", "main")
	assert.Equal(t, "pass", found[""].Cause, found)
}
