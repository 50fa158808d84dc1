package modelfile_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

// stub is a format whose models add one to their inputs.
const stub = `
PACKAGES = ["pip", "not-installed-anywhere"]
class UnknownClassError(Exception):
    pass
def load(path, allowed):
    if path == "nothing":
        raise ImportError("No module named 'library'")
    if path == "unknown":
        raise UnknownClassError("what is a Foo?")
    if path == "broken":
        raise ValueError("bad\nmagic")
    def predict(inputs, method):
        if method == "fail":
            raise KeyError("fail")
        if method == "label":
            return ["a" for _ in inputs]
        return {k: [v + 1] for k, v in inputs.items()} if isinstance(inputs, dict) else [[x + 1 for x in row] for row in inputs]
    return "adds one, allowed " + ",".join(allowed), predict
`

func TestTheProgramLoadsAndScores(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not on the PATH")
	}
	dir := t.TempDir()
	format := modelfile.Format{Loader: []byte(stub)}
	for name, content := range format.Programs() {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	for name, c := range map[string]struct {
		file, golden string
		exit         int
		said         string
	}{
		"it loads":               {"m", "", 0, "loaded m with "},
		"no library":             {"nothing", "", modelfile.ExitNoLibrary, "nothing here loads it: No module named 'library'"},
		"a class of others":      {"unknown", "", modelfile.ExitUnknownClass, "what is a Foo?"},
		"it does not load":       {"broken", "", 1, "does not load broken: ValueError: bad magic"},
		"equal":                  {"m", `{"inputs": [[1, 2]], "outputs": [[2, 3.00005]]}`, 0, `"result": "equal", "samples": 1`},
		"equal by name":          {"m", `{"inputs": {"x": 1}, "outputs": {"x": [2]}}`, 0, `"result": "equal"`},
		"equal texts":            {"m", `{"inputs": [1, 2], "outputs": ["a", "a"], "method": "label"}`, 0, `"samples": 2`},
		"other texts":            {"m", `{"inputs": [1, 2], "outputs": ["a", "b"], "method": "label"}`, modelfile.ExitDiffers, "outputs[1] should be b and is a"},
		"different":              {"m", `{"inputs": [[1, 2]], "outputs": [[2, 4]]}`, modelfile.ExitDiffers, "differ from golden.json by more than 0.0001"},
		"a wide tolerance":       {"m", `{"inputs": [[1, 2]], "outputs": [[2, 4]], "tolerance": 1}`, 0, `"max_abs_difference": 1.0`},
		"NaN is never equal":     {"m", `{"inputs": [[1, NaN]], "outputs": [[2, NaN]]}`, modelfile.ExitDiffers, "should be nan and is nan"},
		"another shape":          {"m", `{"inputs": [[1, 2]], "outputs": [[2]]}`, modelfile.ExitDiffers, "outputs[0] should be [2]"},
		"an output that is none": {"m", `{"inputs": {"x": 1}, "outputs": {"y": [2]}}`, modelfile.ExitDiffers, "should be"},
		"it cannot be scored":    {"m", `{"inputs": [1], "outputs": [1], "method": "fail"}`, modelfile.ExitNoGolden, "KeyError"},
		"a method of the inside": {"m", `{"inputs": [1], "outputs": [1], "method": "__class__"}`, modelfile.ExitNoGolden, "which is no name"},
		"a tolerance of everything": {"m", `{"inputs": [[1, 2]], "outputs": {"a": [-2, 0.5]}, "tolerance": 2}`, modelfile.ExitNoGolden,
			"with its tolerance of 2, a model that answers 0 to everything would pass"},
		"a tolerance of nothing": {"m", `{"inputs": [1], "outputs": [1], "tolerance": "x"}`, modelfile.ExitNoGolden, "tolerance is 'x'"},
		"another golden sample":  {"m", `{"samples": []}`, modelfile.ExitNoGolden, `it holds no "inputs"`},
		"no JSON":                {"m", `{`, modelfile.ExitNoGolden, "JSONDecodeError"},
	} {
		t.Run(name, func(t *testing.T) {
			golden := ""
			if c.golden != "" {
				golden = "golden.json"
				require.NoError(t, os.WriteFile(filepath.Join(dir, golden), []byte(c.golden), 0o600))
			}
			args := format.Load(".", c.file, golden, []string{"a.B"})
			command := exec.CommandContext(t.Context(), python, args[1:]...)
			command.Dir = dir
			out, err := command.CombinedOutput()
			var exit *exec.ExitError
			if c.exit == 0 {
				require.NoError(t, err, string(out))
			} else {
				require.True(t, errors.As(err, &exit), string(out))
				require.Equal(t, c.exit, exit.ExitCode(), string(out))
			}
			assert.Contains(t, string(out), c.said)
			if c.file == "m" {
				assert.NotEmpty(t, modelfile.LoadedWith(string(out))["python"])
			}
			assert.NotEmpty(t, modelfile.LoadSaid(string(out)))
		})
	}
}

func TestVersionsThatAreNoneAreLeftOut(t *testing.T) {
	said := "versions {\"a\": \"1.2\", \"b\": \"1.0\\n--index-url=x\"}\nversions nonsense\nversions {\"c\": 1}\n"
	assert.Equal(t, map[string]string{"a": "1.2"}, modelfile.LoadedWith(said))
	assert.Empty(t, modelfile.LoadedWith("nothing"))
}

func TestWhereAModelLiesInMLflow(t *testing.T) {
	assert.Equal(t, "data/model.keras", modelfile.Served("lstm.keras", "lstm.keras"))
	assert.Equal(t, "data/labels.json", modelfile.Served("labels.json", "lstm.keras"))
	assert.Equal(t, "model.onnx", modelfile.Served("Net.ONNX", "Net.ONNX"), "mlflow.onnx looks for MLmodel beside it")
	assert.Equal(t, "weights.bin", modelfile.Served("weights.bin", "net.onnx"), "the model names it so")
	assert.Empty(t, modelfile.Extension("a.b/model"))
	f := modelfile.Format{Extensions: []string{".ubj"}, Ambiguous: []string{".json"}}
	assert.True(t, f.Has("m.UBJ", false))
	assert.False(t, f.Has("m.json", false))
	assert.True(t, f.Has("m.json", true))
}

func TestAReportStaysReadable(t *testing.T) {
	r := &modelfile.Report{}
	for range 100 {
		r.Invalid("x")
	}
	assert.Len(t, r.Problems, 20)
	r = &modelfile.Report{}
	r.Knows("a", "")
	r.Knows("b", "1.0 # x")
	require.Len(t, r.Problems, 1)
	assert.Empty(t, r.Versions)
	assert.Equal(t, "a, b and 1 more", modelfile.List([]string{"a", "b", "c"}, 2))
	assert.Len(t, modelfile.Clip("äääääääääää", 8), 7)
}
