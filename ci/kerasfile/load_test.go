package kerasfile_test

import (
	"archive/zip"
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

func TestWhatLoadingSaidIsFound(t *testing.T) {
	for output, want := range map[string]string{
		"no tf_keras: x\nnothing here loads it: Keras 2.21.0 saved it\n": "nothing here loads it: Keras 2.21.0 saved it",
		"still loading m.keras after 30 s\nloaded m.keras with keras 3":  "loaded m.keras with keras 3",
		"W0000 warning\nerror: Keras 3.15.1 saved it\n":                  "Keras 3.15.1 saved it",
		"Segmentation fault": "",
		"":                   "",
	} {
		assert.Equal(t, want, modelfile.LoadSaid(output), output)
	}
}

// stub is a package keras (or tf_keras) that loads everything, or raises.
const stub = `
__version__ = "VERSION"
class Model:
    def count_params(self):
        COUNT
class saving:
    @staticmethod
    def load_model(path, compile, safe_mode):
        assert safe_mode and not compile
        LOAD
        return Model()
class backend:
    @staticmethod
    def backend():
        return "numpy"
`

// The script itself, on packages in place of Keras: tests/trainstage has the real ones.
func TestLoadingEndsInOneClearLine(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	saved := func(version, config string) map[string]string {
		return map[string]string{"metadata.json": `{"keras_version": "` + version + `"}`, "config.json": config}
	}
	newest, both := map[string]string{"keras": "3.15.1"}, map[string]string{"keras": "3.15.1", "tf_keras": "2.21.0"}
	v2, v3 := saved("2.21.0", "{}"), saved("3.15.1", "{}")
	const run = "import sys, runpy; sys.path.insert(0, '.'); sys.argv[1:] = ['m.keras']; runpy.run_path('load_model.py', run_name='__main__')"
	for sentence, c := range map[string]struct {
		entries map[string]string // nil for a file that is no archive
		// packages are keras and tf_keras by version; load and count are statements of theirs.
		packages    map[string]string
		load, count string
		code        int
		said        string
	}{
		"Keras 3":               {v3, newest, "pass", "return 7", 0, "with keras 3.15.1: Model with 7 parameters"},
		"a model without shape": {v3, newest, "pass", "raise ValueError('not built')", 0, "weights that are made at the first call"},
		"the legacy package":    {v2, both, "pass", "return 7", 0, "with tf-keras 2.21.0"},
		"Keras 2 itself":        {saved("2.15.0", "{}"), map[string]string{"keras": "2.15.0"}, "pass", "return 7", 0, "with keras 2.15.0"},
		"named by its modules":  {saved("3.0.0", `{"module": "tf_keras.src.engine"}`), both, "pass", "return 7", 0, "with tf-keras"},
		"legacy without it":     {v2, newest, "pass", "return 7", modelfile.ExitNoLibrary, "tf_keras 2.21.0 saved it, which tf_keras or Keras 2 loads (no tf_keras: No module named 'tf_keras'; keras 3.15.1 cannot read it)"},
		"Keras 3 without it":    {v3, map[string]string{"keras": "2.15.0"}, "pass", "return 7", modelfile.ExitNoLibrary, "Keras 3.15.1 saved it"},
		"an older Keras": {v3, map[string]string{"keras": "3.14.1"}, "raise TypeError('config={} Exception encountered: unexpected input_axes')", "", 1,
			"keras 3.14.1 does not load m.keras: Keras 3.15.1 saved it; TypeError: unexpected input_axes"},
		"an unknown class": {v3, newest, "raise TypeError('config={} Could not locate class L')", "", modelfile.ExitUnknownClass,
			"TypeError: Could not locate class L"},
		"a class that is not registered": {v2, both, "raise TypeError('Cannot deserialize object of type `L`. If')", "", modelfile.ExitUnknownClass,
			"tf-keras 2.21.0 does not load m.keras: tf_keras 2.21.0 saved it; TypeError: Cannot deserialize object of type `L`"},
		"advice": {v3, newest, "raise TypeError('Could not locate class L. Make sure')", "", modelfile.ExitUnknownClass, "locate class L"},
		"a class in a script": {v3, newest, "raise TypeError(\"Could not deserialize class 'L' because its parent module net cannot be imported.\")", "",
			modelfile.ExitUnknownClass, "parent module net cannot be imported"},
		"a backend besides TensorFlow": {v3, map[string]string{"keras": "3.15.1", "jax": "0.10.2"},
			"import os; assert os.environ['KERAS_BACKEND'] == 'jax'", "return 7", 0, "with keras 3.15.1"},
		"TensorFlow where it is": {v3, map[string]string{"keras": "3.15.1", "jax": "0.10.2", "tensorflow": "2.21.0"},
			"import os; assert 'KERAS_BACKEND' not in os.environ", "return 7", 0, "with keras 3.15.1"},
		"no archive":       {nil, nil, "", "", 1, "is no zip archive"},
		"no metadata":      {map[string]string{"config.json": "{}"}, nil, "", "", 1, "no item named 'metadata.json'"},
		"broken metadata":  {map[string]string{"metadata.json": "[1"}, nil, "", "", 1, "JSONDecodeError"},
		"metadata of text": {map[string]string{"metadata.json": "[1]", "config.json": "{}"}, nil, "", "", 1, "TypeError"},
	} {
		t.Run(sentence, func(t *testing.T) {
			dir := t.TempDir()
			for name, content := range kerasfile.Format.Programs() {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
			}
			for name, version := range c.packages {
				text := strings.NewReplacer("VERSION", version, "LOAD", c.load, "COUNT", cmp.Or(c.count, "pass")).Replace(stub)
				require.NoError(t, os.WriteFile(filepath.Join(dir, name+".py"), []byte(text), 0o600))
				info := filepath.Join(dir, name+"-"+version+".dist-info")
				require.NoError(t, os.Mkdir(info, 0o700))
				metadata := "Metadata-Version: 2.1\nName: " + strings.ReplaceAll(name, "_", "-") + "\nVersion: " + version + "\n"
				require.NoError(t, os.WriteFile(filepath.Join(info, "METADATA"), []byte(metadata), 0o600))
			}
			file, err := os.Create(filepath.Join(dir, "m.keras"))
			require.NoError(t, err)
			if c.entries == nil {
				_, err = file.WriteString("\x89HDF\r\n\x1a\n")
				require.NoError(t, err)
			} else {
				w := zip.NewWriter(file)
				for name, content := range c.entries {
					entry, err := w.Create(name)
					require.NoError(t, err)
					_, err = entry.Write([]byte(content))
					require.NoError(t, err)
				}
				require.NoError(t, w.Close())
			}
			require.NoError(t, file.Close())
			command := exec.Command(python, "-I", "-S", "-c", run)
			command.Dir, command.Env = dir, []string{}
			out, _ := command.CombinedOutput() // the exit code is looked at below
			assert.Equal(t, c.code, command.ProcessState.ExitCode(), string(out))
			assert.Contains(t, modelfile.LoadSaid(string(out)), c.said, string(out))
			assert.NotContains(t, string(out), "Traceback")
			assert.NotContains(t, modelfile.LoadSaid(string(out)), "Make sure", "what Keras advises is not told")
		})
	}
}
