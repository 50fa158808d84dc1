package kerasfile

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Format is the Keras v3 format, and what is refused or let through unseen in its place.
var Format = modelfile.Format{
	Name: "keras", Library: "Keras", Extensions: []string{".keras"}, Inspect: look, Loader: loader,
	Packages: []string{"keras", tfKeras, "tensorflow", "torch", "jax", "numpy"}, Flavor: flavor, Requirements: requirements,
}

// Old is a file whose Keras has known faults in its loading.
var Old = verdict.Code{Name: "KERAS_OLD", Stage: verdict.Train,
	Meaning: "The model was saved by a Keras with known ways around safe_mode.",
	Remedy:  "Train with Keras 3.13.2 or newer"}

// look is Inspect as a format has it.
func look(ctx context.Context, in *modelfile.Input, out *modelfile.Report) error {
	report, err := InspectReader(ctx, in.File, in.Size, in.Name, Options{
		AllowLayers: in.AllowLayers, AllowFormats: in.AllowFormats, Recurrent: in.Recurrent, Content: in.Content,
	})
	if err != nil {
		return err
	}
	out.SHA256, out.Bytes, out.Unseen, out.Content, out.Problems = report.SHA256, report.Bytes, report.Unseen, report.Content, report.Problems
	if report.Unseen != "" || !report.OK() {
		out.Version = report.KerasVersion
		return nil
	}
	out.Library, out.Version = "Keras", report.KerasVersion
	out.Knows(packageOf(report.KerasVersion), report.KerasVersion)
	recurrent := strings.Join(report.Recurrent, ", ")
	if recurrent == "" {
		recurrent = "none"
	}
	out.Fact("model layers", "%d, all allowed; recurrent: %s; saved by %s", len(report.Layers), recurrent, savedBy(report.KerasVersion))
	for _, l := range report.Layers {
		size := ""
		if l.Units > 0 {
			size = strconv.Itoa(l.Units)
		}
		out.Layers = append(out.Layers, modelfile.Layer{Name: l.Name, Class: l.Class, Size: size, Depth: l.Depth})
	}
	if report.OldKeras {
		next := ""
		if in.Python == "3.10" {
			// That Keras needs a newer Python, which the default of the pipeline is not.
			next = "Train with Keras " + SafeVersion + " or newer, which needs python: \"3.11\" in pipeline.yaml"
		}
		out.Warnings = append(out.Warnings, modelfile.Warning{Code: Old, Next: next,
			Cause: fmt.Sprintf("the model was saved by %s; Keras %s closes the known ways around safe_mode", savedBy(report.KerasVersion),
				SafeVersion)})
	}
	return nil
}

// flavor is the model as mlflow.keras loads it (mlflow/keras/save.py), or mlflow.tensorflow one of
// Keras 2, whose package and way of saving are in files beside it (mlflow/tensorflow/__init__.py).
func flavor(_ string, saved modelfile.Saved) modelfile.Flavor {
	const dir = modelfile.KerasDir
	version := saved.Versions["keras"]
	module, old := "keras", saved.Versions[tfKeras]
	if old != "" {
		module = "tf_keras"
	} else if legacy(version) {
		old = version
	}
	if old != "" {
		return modelfile.Flavor{
			Name: "tensorflow", Loader: "mlflow.tensorflow", Pyfunc: map[string]any{"data": dir},
			Values: map[string]any{"data": dir, "keras_module": module, "keras_version": old, "model_type": "keras", "save_format": "keras"},
			Files:  map[string][]byte{dir + "/keras_module.txt": []byte(module), dir + "/save_format.txt": []byte("keras")},
		}
	}
	return modelfile.Flavor{
		Name: "keras", Loader: "mlflow.keras",
		Values: map[string]any{"data": dir, "keras_backend": backend(saved.Versions), "keras_version": version, "save_exported_model": false},
		Files:  map[string][]byte{dir + "/keras_module.txt": []byte(module)},
	}
}

// tfKeras is the package that goes on with Keras 2 where keras is Keras 3.
const tfKeras = "tf-keras"

// legacy reports whether a version is of Keras 2, which Keras 3 cannot load.
func legacy(version string) bool { return strings.HasPrefix(version, "2.") }

// packageOf is the package by whose version a file was saved: the last of Keras 2 itself is 2.15.
func packageOf(version string) string {
	if numbers, ok := modelfile.ParseVersion(version); ok && legacy(version) && numbers[1] > 15 {
		return tfKeras
	}
	return "keras"
}

// savedBy names what saved a file.
func savedBy(version string) string {
	if packageOf(version) == tfKeras {
		return "tf_keras " + version
	}
	return "Keras " + version
}

// backend is the Keras backend that the model was made with: TensorFlow, unless the
// application recorded another one.
func backend(versions map[string]string) string {
	for _, name := range []string{"tensorflow", "torch", "jax"} {
		if versions[name] != "" {
			return name
		}
	}
	return "tensorflow"
}

// requirements is what loads the model, pinned as far as known.
func requirements(versions map[string]string) []string {
	var lines []string
	if v := versions[tfKeras]; v != "" {
		lines = append(lines, tfKeras+"=="+v)
	} else if v := versions["keras"]; v != "" {
		lines = append(lines, "keras=="+v)
	}
	if name := backend(versions); versions[name] != "" {
		lines = append(lines, name+"=="+versions[name])
	} else {
		lines = append(lines, name)
	}
	if v := versions["numpy"]; v != "" {
		lines = append(lines, "numpy=="+v)
	}
	return lines
}
