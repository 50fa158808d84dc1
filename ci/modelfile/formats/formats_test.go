package formats_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/formats"
)

func TestEveryFormatIsWhole(t *testing.T) {
	assert.Equal(t, config.ModelFormats, formats.Names(), "train.format names the formats of the table")
	document, err := os.ReadFile("../../../docs/models.md")
	require.NoError(t, err)
	endings := map[string]string{}
	for _, f := range formats.All {
		assert.NotNil(t, f.Inspect, f.Name)
		assert.NotEmpty(t, f.Packages, f.Name)
		assert.NotEmpty(t, f.Require(nil), f.Name)
		assert.NotEmpty(t, f.Loader, f.Name)
		for _, content := range f.Programs() {
			assert.NotEmpty(t, content, f.Name)
		}
		flavor := f.Flavor(modelfile.Served("m"+slices.Concat(f.Extensions, f.Ambiguous)[0], "m"+slices.Concat(f.Extensions, f.Ambiguous)[0]), modelfile.Saved{Allowed: []string{"net"}})
		assert.NotEmpty(t, flavor.Loader, f.Name)
		assert.Contains(t, string(document), "`"+f.Name+"`", "docs/models.md tells of %s", f.Name)
		for _, ending := range slices.Concat(f.Extensions, f.Ambiguous) {
			assert.Empty(t, endings[ending], "%s is of one format", ending)
			endings[ending] = f.Name
		}
	}
}

func inspect(t *testing.T, name, content string, opts modelfile.Options) *modelfile.Report {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	report, err := formats.Inspect(t.Context(), path, opts)
	require.NoError(t, err)
	return report
}

func TestTheFormatIsThatOfTheContract(t *testing.T) {
	for name, c := range map[string]struct{ file, format, code, cause string }{
		"another format than agreed": {"m.onnx", "keras", "FORMAT_REFUSED", "m.onnx"},
		"another file than agreed":   {"m.bin", "onnx", "FORMAT_REFUSED", "those end in .onnx"},
		"a pickle":                   {"m.pkl", "", "FORMAT_REFUSED", "pickle"},
		"a pickle of the name":       {"m.onnx", "", "ARCHIVE_INVALID", "not an ONNX file"},
		"an unknown file":            {"m.gguf", "", "FORMAT_REFUSED", "GGUF"},
	} {
		report := inspect(t, c.file, "\x80\x04\x95model", modelfile.Options{Format: c.format})
		require.NotEmpty(t, report.Problems, name)
		assert.Equal(t, c.code, report.Problems[0].Code.Name, name)
		assert.Contains(t, report.Problems[0].Cause, c.cause, name)
		assert.Empty(t, report.Format, name)
		assert.Len(t, report.SHA256, 64, name)
	}
	empty := inspect(t, "m.onnx", "", modelfile.Options{})
	assert.Contains(t, empty.Problems[0].Cause, "is empty")
	unseen := inspect(t, "m.pkl", "\x80\x04\x95model", modelfile.Options{AllowFormats: []string{"pickle"}})
	assert.Empty(t, unseen.Problems)
	assert.Equal(t, "pickle", unseen.Unseen)
	assert.Empty(t, unseen.Format, "what nobody looked into has no format")
}

func TestWhatIsNoFileIsNotLookedInto(t *testing.T) {
	dir := t.TempDir()
	report, err := formats.Inspect(t.Context(), dir, modelfile.Options{})
	require.NoError(t, err)
	assert.Contains(t, report.Problems[0].Cause, "is not a regular file")
	_, err = formats.Inspect(t.Context(), filepath.Join(dir, "none.onnx"), modelfile.Options{})
	assert.ErrorIs(t, err, os.ErrNotExist)
}

func TestKindsOfModelsAreKnownByName(t *testing.T) {
	for name, want := range map[string]string{"m.keras": "Keras", "a/M.ONNX": "ONNX", "m.pkl": "a pickle, as scikit-learn is often saved", "notes.txt": ""} {
		kind, ok := formats.LooksLikeModel(name)
		assert.Equal(t, want, kind)
		assert.Equal(t, want != "", ok)
	}
}
