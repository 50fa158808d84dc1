package kerasfile_test

import (
	"archive/zip"
	"bytes"
	"maps"
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
		"model.pkl":          {"\x80\x04\x95", "model.pkl is a Python pickle (a pickle, as scikit-learn is often saved), which cannot be inspected", "train.allow_formats: [pickle] and train.recurrent: false accept this file without a look into it: it is never published, so a run ends after the training"},
		"model.joblib":       {"\x78\x9c", "model.joblib is a Python pickle by joblib (scikit-learn)", "train.allow_formats: [pickle]"},
		"old.pt":             {"\x80\x02", "old.pt is a Python pickle (PyTorch)", "export the model to ONNX (docs/models.md)"},
		"model.bin.gz":       {"\x80\x04\x95", "model.bin.gz is a Python pickle", "named .pkl, it can be let through"},
		"model.pt":           {"PK\x03\x04", "model.pt is a damaged file of PyTorch (PyTorch), which", "safetensors with a module for train.loader"},
		"model.onnx":         {"\x08\x07", "model.onnx is ONNX", "docs/models.md"},
		"model.tflite":       {"\x20\x00\x00\x00TFL3", "TensorFlow Lite", "docs/models.md lists"},
		"model.cbm":          {"CBM1", "a CatBoost model (CatBoost)", "docs/models.md lists"},
		"m.weights.h5":       {hdf5, "m.weights.h5 is the weights of a Keras model without the model", "Save the model in the Keras v3 format"},
		"model.h5":           {hdf5, "model.h5 is an HDF5 file", "train.allow_formats: [h5]"},
		"model.bin":          {"xyz", `model.bin is a file with the extension ".bin"`, "docs/models.md lists"},
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

// What PyTorch saves is a pickle or a program: both are a zip, and only the program can be allowed.
func TestAProgramOfPyTorchIsAllowedByNameAlone(t *testing.T) {
	file := func(names ...string) string {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, name := range names {
			_, err := w.Create(name)
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return b.String()
	}
	script := file("m/data.pkl", "m/code/__torch__.py", "m/constants.pkl")
	look := func(content string, allowed ...string) *kerasfile.Report {
		r, err := kerasfile.InspectReader(t.Context(), strings.NewReader(content), int64(len(content)), "m.pt", kerasfile.Options{AllowFormats: allowed})
		require.NoError(t, err)
		return r
	}
	r := look(script)
	require.Len(t, r.Problems, 1)
	assert.Contains(t, r.Problems[0].Cause, "m.pt is a TorchScript program, which cannot be inspected")
	assert.Contains(t, r.Problems[0].Next, "train.allow_formats: [torchscript]")
	r = look(script, "torchscript")
	assert.Empty(t, r.Problems)
	assert.Equal(t, "torchscript", r.Unseen)
	r = look(file("m/data.pkl", "m/version"), "torchscript", "pickle")
	require.Len(t, r.Problems, 1)
	assert.Contains(t, r.Problems[0].Cause, "m.pt is a pickle by torch.save")
}

// A remedy names what pipeline.yaml knows.
func TestTheFormatsOfRemediesAreThoseOfTheConfiguration(t *testing.T) {
	assert.Equal(t, []string{"h5", "pickle", "torchscript"}, config.Formats)
}

func TestWhatLooksLikeAModel(t *testing.T) {
	for name, want := range map[string]string{"m.keras": "Keras", "a/M.PT": "PyTorch", "m.joblib": "scikit-learn by joblib", "m.json": "", "m": "", "notes.txt": ""} {
		kind, ok := kerasfile.LooksLikeModel(name)
		assert.Equal(t, want, kind, name)
		assert.Equal(t, want != "", ok, name)
	}
}

// MLflow loads a file with the package that saved it: the last of Keras 2 itself is 2.15, and tf_keras goes on with it.
func TestWhatMLflowLoadsAFileWith(t *testing.T) {
	for version, c := range map[string]struct{ loader, module, pinned string }{
		"3.15.1": {"mlflow.keras", "keras", "keras==3.15.1"},
		"2.15.0": {"mlflow.tensorflow", "keras", "keras==2.15.0"},
		"2.16.0": {"mlflow.tensorflow", "tf_keras", "tf-keras==2.16.0"},
		"2.21.0": {"mlflow.tensorflow", "tf_keras", "tf-keras==2.21.0"},
	} {
		entries := good(text(t, functional(lstm(), dense())))
		entries[0].content = `{"keras_version": "` + version + `"}`
		content := pack(t, entries...)
		var report modelfile.Report
		in := &modelfile.Input{File: bytes.NewReader(content), Size: int64(len(content)), Name: "m.keras"}
		require.NoError(t, kerasfile.Format.Inspect(t.Context(), in, &report))
		require.Empty(t, report.Problems, version)
		// What the application says of its environment does not hide it: Keras 3 is there, too.
		versions := map[string]string{"keras": "3.15.1", "tensorflow": "2.21.0"}
		if c.module == "keras" {
			delete(versions, "keras")
		}
		maps.Copy(versions, report.Versions)
		flavor := kerasfile.Format.Flavor("data/model.keras", modelfile.Saved{Versions: versions})
		assert.Equal(t, c.loader, flavor.Loader, version)
		assert.Equal(t, version, flavor.Values["keras_version"])
		assert.Equal(t, c.module, string(flavor.Files["data/keras_module.txt"]), version)
		assert.Equal(t, []string{c.pinned, "tensorflow==2.21.0"}, kerasfile.Format.Require(versions), version)
		if c.loader == "mlflow.tensorflow" {
			// mlflow.tensorflow takes a file without this for HDF5.
			assert.Equal(t, "keras", string(flavor.Files["data/save_format.txt"]))
			assert.Equal(t, "data", flavor.Pyfunc["data"])
		}
	}
}
