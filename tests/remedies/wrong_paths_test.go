package remedies

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// trains is a project whose training needs no library, and writes elsewhere than pipeline.yaml says.
func trains(pipeline string) map[string]string {
	files := app(map[string]string{"requirements.txt": "pytest\niniconfig\n", "fit.py": `import json
import pathlib
for name, content in (("artifacts/scores.json", json.dumps({"accuracy": 0.9})), ("out/best.keras", "no archive")):
    pathlib.Path(name).parent.mkdir(exist_ok=True)
    pathlib.Path(name).write_text(content)
`})
	if pipeline != "" {
		files["pipeline.yaml"] = pipeline
	}
	return files
}

// TestAWrongPathIsCorrectedByTheRemedy: what the training wrote is named with the key that takes it.
func TestAWrongPathIsCorrectedByTheRemedy(t *testing.T) {
	w := bench(t)
	const pipeline = "train:\n  command: [python, fit.py]\n  metrics: models/metrics.json\n"
	source := write(t, trains(pipeline))
	before := w.run(t, source, "train")
	metrics := regexp.MustCompile(`train\.metrics: (\S+) in`).FindStringSubmatch(before["METRICS_MISSING"].Next)
	require.NotNil(t, metrics, "%v", before)
	model := regexp.MustCompile(`\((\S+)\)`).FindStringSubmatch(before["NO_MODEL"].Next)
	require.NotNil(t, model, "%v", before)
	corrected := strings.Replace(pipeline, "models/metrics.json", metrics[1], 1) + "  model: " + model[1] + "\n"
	require.NoError(t, os.WriteFile(filepath.Join(source, "pipeline.yaml"), []byte(corrected), 0o644))
	after := w.run(t, source, "train")
	assert.NotContains(t, after, "METRICS_MISSING")
	assert.NotContains(t, after, "NO_MODEL")
	assert.Contains(t, after, "ARCHIVE_INVALID", "it was taken for the model")
}

// TestWithoutPipelineYAMLTheRemedyWritesIt with the training that the source has.
func TestWithoutPipelineYAMLTheRemedyWritesIt(t *testing.T) {
	w := bench(t)
	files := trains("")
	files["train.py"] = files["fit.py"]
	source := write(t, files)
	before, ok := w.run(t, source, "train")["TRAIN_CONFIG_INVALID"]
	require.True(t, ok)
	command := regexp.MustCompile(`openstack-rca init.*`).FindString(before.Next)
	out, err := w.typeIn(t, t.TempDir(), command)
	require.NoError(t, err, "%s\n%s", before.Next, out)
	assert.NotContains(t, w.run(t, source, "train"), "TRAIN_CONFIG_INVALID", out)
}

// TestFromAFolderOfAProjectTheRemedyLeadsToItsRoot.
func TestFromAFolderOfAProjectTheRemedyLeadsToItsRoot(t *testing.T) {
	w := bench(t)
	files := app(map[string]string{"requirements.txt": "pytest\niniconfig\n", "pipeline.yaml": "name: app\n"})
	source := write(t, files)
	below := filepath.Join(source, "tests")
	before, ok := w.run(t, below, "test")["CONFIG_ABOVE"]
	require.True(t, ok)
	above := regexp.MustCompile(`--source (\S+),`).FindStringSubmatch(before.Next)
	require.NotNil(t, above, before.Next)
	assert.Equal(t, "pass", w.run(t, above[1], "test")[""].Cause)
}
