package kerasfile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

// A model that is none of Keras's ends in one sentence that says what it is and what helps.
func TestOtherModelsAreToldAsWhatTheyAre(t *testing.T) {
	for name, c := range map[string]struct{ content, cause, next string }{
		"model.pkl":          {"\x80\x04\x95", "model.pkl is a Python pickle (a pickle, as scikit-learn is often saved), not a .keras archive", "train.allow_formats: [pickle] and train.recurrent: false"},
		"model.joblib":       {"\x78\x9c", "model.joblib is a Python pickle by joblib (scikit-learn by joblib)", "train.allow_formats: [pickle]"},
		"model.pt":           {"PK\x03\x04", "model.pt is PyTorch, not", "publishes Keras models alone, and takes no other framework's files"},
		"model.onnx":         {"\x08\x07", "model.onnx is ONNX", "Keras models alone"},
		"model.tflite":       {"\x20\x00\x00\x00TFL3", "TensorFlow Lite", "Keras models alone"},
		"model.cbm":          {"CBM1", "a CatBoost model (CatBoost)", "Keras models alone"},
		"m.weights.h5":       {hdf5, "m.weights.h5 is the weights of a Keras model without the model", "Save the model in the Keras v3 format"},
		"model.h5":           {hdf5, "model.h5 is an HDF5 file", "train.allow_formats: [h5]"},
		"model.bin":          {"xyz", `model.bin is a file with the extension ".bin"`, "Keras models alone"},
		"lstm_model.keras":   {"\x80\x04\x95", "lstm_model.keras is a Python pickle, not", "Save the model in the Keras v3 format"},
		"lstm_model_2.keras": {hdf5, "is an HDF5 file", "Save the model in the Keras v3 format"},
	} {
		report, err := kerasfile.InspectReader(t.Context(), strings.NewReader(c.content), int64(len(c.content)), name, kerasfile.Options{Recurrent: true})
		require.NoError(t, err)
		require.Len(t, report.Problems, 1, name)
		assert.Equal(t, modelfile.FormatRefused.Name, report.Problems[0].Code.Name)
		assert.Contains(t, report.Problems[0].Cause, c.cause, name)
		assert.Contains(t, report.Problems[0].Next, c.next, name)
	}
}

// A remedy names what pipeline.yaml knows.
func TestTheFormatsOfRemediesAreThoseOfTheConfiguration(t *testing.T) {
	assert.Equal(t, []string{"h5", "pickle"}, config.Formats)
}

func TestWhatLooksLikeAModel(t *testing.T) {
	for name, want := range map[string]string{"m.keras": "Keras", "a/M.PT": "PyTorch", "m.joblib": "scikit-learn by joblib", "m.json": "", "m": "", "notes.txt": ""} {
		kind, ok := kerasfile.LooksLikeModel(name)
		assert.Equal(t, want, kind, name)
		assert.Equal(t, want != "", ok, name)
	}
}
