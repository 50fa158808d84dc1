//go:build unix

package trainstage_test

import (
	"archive/zip"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

//go:embed testdata/build_keras.py
var buildKeras []byte

// keras is a package whose public API is built, and what it is installed with.
type keras struct {
	name, version, backend string
	with                   []string
}

// written is what build_keras.py says of one public name: what Keras writes for it, or why
// it could not be made.
type written struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Objects []any  `json:"objects"`
	Error   string `json:"error"`
}

// notMade are public names that no configuration can hold, or that cannot be made here.
var notMade = []struct{ names, why string }{
	{"arange bartlett blackman convert_to_numpy dtype empty eye full hamming hanning identity is_tensor kaiser ones shape tri zeros",
		"it makes a value, which is no part of a model"},
	{"custom_gradient vectorize", "it makes a function"},
	{"cond fori_loop while_loop vectorized_map GPTQConfig", "what it takes cannot be written"},
	{"unravel_index", "what Keras 3.10 makes of it cannot be written"},
	{"Regularizer LearningRateSchedule Quantizer Metric Reduction", "it is a base class or a list of constants"},
	{"DenseFeatures FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper", "it needs a model of another framework, and is refused by name"},
	{"HashedCrossing Hashing IntegerLookup StringLookup TextVectorization", needsTensorFlow},
	{"Adagrad Adam Ftrl Optimizer RMSprop SGD", "it is a name in keras.optimizers.legacy, under which Keras 3 only warns"},
	{"Abs Arange Conj Empty Eye Full Function Kaiser Operation SegmentReduction Tri UnravelIndex", "no public operation writes it"},
	{"Cond ForiLoop VectorizedMap WhileLoop", "no public operation writes it"},
	{"quantized to int4", "Keras 3.10 does not know it"},
}

const needsTensorFlow = "it needs TensorFlow"

// whyNotMade is empty for a name that should have been made.
func whyNotMade(k keras, name string) string {
	for _, entry := range notMade {
		if entry.names == name || slices.Contains(strings.Fields(entry.names), name) {
			if entry.why != needsTensorFlow || k.backend != "tensorflow" {
				return entry.why
			}
		}
	}
	return ""
}

// Every public class, function and operation of the pinned versions is built; what Keras
// writes for it is taken, or refused for the reason that names.json gives.
func TestWhatKerasWritesIsTaken(t *testing.T) {
	reachable.Python(t)
	if testing.Short() {
		t.Skip("installing Keras takes a minute; run without -short")
	}
	every := os.Getenv("OPENSTACK_RCA_KERAS") == "all"
	refused := refusals(t)
	jax := []string{"jax==0.10.2", "numpy==2.4.6", "scipy==1.17.1"}
	tensorflow := []string{"tensorflow-cpu==2.21.0", "scipy==1.17.1"}
	for _, k := range []keras{
		{"keras", "3.10.0", "jax", jax}, {"keras", "3.11.3", "jax", jax}, {"keras", "3.12.4", "jax", jax},
		{"keras", "3.13.2", "jax", jax}, {"keras", "3.14.1", "jax", jax}, {"keras", "3.15.1", "jax", jax},
		{"keras", "3.15.1", "tensorflow", tensorflow}, {"tf_keras", "2.21.0", "tensorflow", tensorflow},
	} {
		t.Run(k.name+" "+k.version+" on "+k.backend, func(t *testing.T) {
			if !every && (k.backend != "jax" || k.version != "3.10.0" && k.version != "3.15.1") {
				t.Skip("OPENSTACK_RCA_KERAS=all builds every version, which takes minutes; give go test a -timeout of an hour")
			}
			content := build(t, k)
			var all struct {
				Keras      string    `json:"keras"`
				Operations []string  `json:"operations"`
				Objects    []written `json:"objects"`
			}
			require.NoError(t, json.Unmarshal(content, &all))
			assert.Equal(t, k.version, all.Keras)
			seen, made := map[string]bool{}, 0
			for _, w := range all.Objects {
				if w.Error != "" {
					assert.NotEmpty(t, whyNotMade(k, w.Name), "%s %s was not made: %s", w.Kind, w.Name, w.Error)
					continue
				}
				made++
				held := map[string]bool{}
				classesIn(w.Objects, held)
				for class := range held {
					seen[class] = true
				}
				judge(t, all.Keras, w, held, refused)
			}
			for _, class := range all.Operations {
				if !seen[class] {
					assert.NotEmpty(t, whyNotMade(k, class), "no operation of %s was made", class)
				}
			}
			t.Logf("%d of %d public names were built", made, len(all.Objects))
			assert.Greater(t, made, 300)
		})
	}
}

// judge holds what the inspection says of an object against what is to be expected of it.
func judge(t *testing.T, version string, w written, held map[string]bool, refused map[string]string) {
	t.Helper()
	file := archive(t, version, w.Objects)
	report, err := kerasfile.InspectReader(t.Context(), file, file.Size(), "m.keras", kerasfile.Options{})
	require.NoError(t, err)
	var causes []string
	for _, problem := range report.Problems {
		causes = append(causes, problem.Cause)
	}
	said := strings.Join(causes, "; ")
	for class := range held {
		if reason := refused[class]; reason != "" {
			assert.Regexp(t, regexp.QuoteMeta(reason)+"|runs code when the model is loaded", said, "%s %s", w.Kind, w.Name)
			return
		}
	}
	assert.Empty(t, said, "%s %s", w.Kind, w.Name)
}

// build installs the package and returns what build_keras.py writes. The models that it saves
// must be taken, and load with the package that saved them.
func build(t *testing.T, k keras) []byte {
	t.Helper()
	r, err := native.New(native.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.Background())) })
	models := []string{"model.keras", "unbuilt.keras"}
	step := runner.Step{
		Name: "build " + k.name + " " + k.version,
		Env: runner.Environment{Python: "3.11", Files: r.NewFiles(nil),
			Install: [][]string{append([]string{"uv", "pip", "install", "--quiet", k.name + "==" + k.version}, k.with...)}},
		Inputs: []runner.Mount{{Path: ".", Files: r.NewFiles(map[string][]byte{"build_keras.py": buildKeras})}},
		Args:   []string{"python", "build_keras.py", k.name, "all.json"}, Vars: map[string]string{"KERAS_BACKEND": k.backend},
		Outputs: append(models, "all.json"), Timeout: 20 * time.Minute,
	}
	result, err := r.Run(t.Context(), step)
	require.NoError(t, err)
	require.Zero(t, result.ExitCode, result.Stderr)
	dir := t.TempDir()
	require.NoError(t, result.Outputs.Export(t.Context(), dir))
	for _, file := range models {
		report, err := kerasfile.Inspect(t.Context(), filepath.Join(dir, file), kerasfile.Options{Recurrent: true})
		require.NoError(t, err)
		assert.Empty(t, report.Problems, file)
		step.Inputs = []runner.Mount{{Path: ".", Files: result.Outputs},
			{Path: ".", Files: r.NewFiles(kerasfile.Format.Programs())}}
		step.Name, step.Outputs, step.Args = "load "+file, nil, []string{"python", "load_model.py", file}
		loaded, err := r.Run(t.Context(), step)
		require.NoError(t, err)
		assert.Contains(t, modelfile.LoadSaid(loaded.Stdout), "with "+strings.ReplaceAll(k.name, "_", "-")+" "+k.version, loaded.Stderr)
	}
	content, err := result.Outputs.Read(t.Context(), "all.json", 64<<20)
	require.NoError(t, err)
	return content
}

// refusals are the classes that names.json refuses, with their reasons.
func refusals(t *testing.T) map[string]string {
	t.Helper()
	content, err := fs.ReadFile(os.DirFS(filepath.Join(reachable.Root(), "ci", "kerasfile")), "names.json")
	require.NoError(t, err)
	var names struct {
		Refused map[string]string `json:"refused"`
	}
	require.NoError(t, json.Unmarshal(content, &names))
	require.NotEmpty(t, names.Refused)
	return names.Refused
}

// classesIn collects the classes that serialised objects name.
func classesIn(value any, into map[string]bool) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			classesIn(element, into)
		}
	case map[string]any:
		if class, ok := v["class_name"].(string); ok {
			into[class] = true
		}
		for _, element := range v {
			classesIn(element, into)
		}
	}
}

// archive is a .keras file of a model with a layer that holds the objects.
func archive(t *testing.T, version string, objects []any) *bytes.Reader {
	t.Helper()
	config, err := json.Marshal(map[string]any{"module": "keras", "class_name": "Sequential", "registered_name": nil,
		"config": map[string]any{"name": "all", "layers": []any{map[string]any{"module": "keras.layers", "class_name": "Dense",
			"registered_name": nil, "config": map[string]any{"name": "d", "units": 1, "made": objects}}}}})
	require.NoError(t, err)
	var file bytes.Buffer
	w := zip.NewWriter(&file)
	for name, content := range map[string]string{
		"config.json": string(config), "metadata.json": fmt.Sprintf(`{"keras_version": %q, "date_saved": ""}`, version),
		"model.weights.h5": "\x89HDF\r\n\x1a\nnone",
	} {
		entry, err := w.Create(name)
		require.NoError(t, err)
		_, err = entry.Write([]byte(content))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	return bytes.NewReader(file.Bytes())
}
