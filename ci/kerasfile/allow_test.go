package kerasfile_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
)

// names is the generated list, read as the program reads it.
func names(t *testing.T) (list struct {
	Wheels    []string
	Refused   map[string]string
	Functions []string
	Kinds     map[string][]string
}) {
	t.Helper()
	content, err := os.ReadFile("names.json")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(content, &list))
	return list
}

func TestTheListIsOfThePinnedVersions(t *testing.T) {
	list := names(t)
	for _, wheel := range []string{"keras-3.10.0", "keras-3.11.3", "keras-3.12.4", "keras-3.13.2", "keras-3.14.1", "keras-3.15.1", "tf_keras-2.21.0"} {
		assert.Contains(t, list.Wheels, wheel)
	}
	for kind, classes := range list.Kinds {
		for class := range list.Refused {
			assert.NotContains(t, classes, class, kind)
		}
		assert.True(t, slices.IsSorted(classes), kind)
	}
}

// with is a model with an object somewhere in its configuration.
func with(o object) object {
	first := lstm()
	first["config"].(object)["extra"] = o
	return functional(first, dense())
}

// Each public class is taken where Keras says that it is, and from nowhere else.
func TestEveryPublicClassIsTaken(t *testing.T) {
	modules := map[string]string{"layer": "keras.layers", "operation": "keras.src.ops.numpy", "initializer": "keras.initializers", "regularizer": "keras.regularizers",
		"constraint": "keras.constraints", "quantizer": "keras.quantizers", "loss": "keras.losses", "metric": "keras.metrics", "optimizer": "keras.optimizers",
		"dtype policy": "keras.dtype_policies", "random": "keras.random"}
	never := []string{"Lambda", "TFSMLayer", "TorchModuleWrapper", "FlaxLayer", "JaxLayer"}
	for kind, classes := range names(t).Kinds {
		require.Contains(t, modules, kind)
		for _, class := range classes {
			require.NotContains(t, never, class)
			report := inspect(t, pack(t, good(text(t, with(keras(modules[kind], class, object{}))))...), kerasfile.Options{})
			assert.Empty(t, report.Problems, "%s %s", kind, class)
			report = inspect(t, pack(t, good(text(t, with(keras("evil."+modules[kind], class, object{}))))...), kerasfile.Options{})
			assert.NotEmpty(t, report.Problems, "%s %s of another module", kind, class)
		}
	}
}

func TestWhatHoldsCodeIsRefusedWithItsReason(t *testing.T) {
	for class, reason := range names(t).Refused {
		for _, module := range []string{"keras.layers", "keras.src.ops.core"} {
			report := inspect(t, pack(t, good(text(t, with(keras(module, class, object{}))))...), kerasfile.Options{})
			require.NotEmpty(t, report.Problems, class)
			assert.Equal(t, kerasfile.UnsafeLayer.Name, report.Problems[0].Code.Name)
			assert.Regexp(t, "runs code when the model is loaded|"+reason, report.Problems[0].Cause)
		}
	}
}

// What Keras 3.15 and tf_keras write for ordinary models, as users reported it refused.
func TestOrdinaryObjectsOfKerasAreTaken(t *testing.T) {
	for _, o := range []object{
		keras("keras.quantizers", "Int8QuantizationConfig", object{}), keras("keras.dtype_policies", "GPTQDTypePolicy", object{}),
		keras("keras.src.ops.math", "TopK", object{}), keras("keras.src.ops.linalg", "Norm", object{}), keras("keras.src.ops.nn", "Silu", object{}),
		keras("keras.src.ops.core", "StopGradient", object{}), keras("keras.src.ops.numpy", "Abs", object{}), keras("keras.random", "SeedGenerator", object{}),
		keras("keras.layers", "RandomFlip", object{}), keras("tf_keras.src.engine.functional", "Functional", object{}), keras("tf_keras.layers", "Dense", object{}),
		keras("tf_keras.optimizers", "Adam", object{}), {"module": "tf_keras.losses", "class_name": "function", "config": "mse", "registered_name": "mse"},
	} {
		report := inspect(t, pack(t, good(text(t, with(o)))...), kerasfile.Options{})
		assert.Empty(t, report.Problems, "%v", o)
	}
	// The prefix alone makes nothing Keras's.
	for _, module := range []string{"tf_keras_evil.layers", "tf_kerasx.src.engine.functional", "tf_"} {
		assert.NotEmpty(t, inspect(t, pack(t, good(text(t, with(keras(module, "Dense", object{}))))...), kerasfile.Options{}).Problems, module)
	}
}

func TestARegisteredFunctionCanBeAllowedByName(t *testing.T) {
	loss := func(name, registered string) string {
		return text(t, with(object{"module": "builtins", "class_name": "function", "config": name, "registered_name": registered}))
	}
	for _, allow := range []string{"weighted_ce", "svc>weighted_ce", "builtins.weighted_ce"} {
		report := inspect(t, pack(t, good(loss("weighted_ce", "svc>weighted_ce"))...), kerasfile.Options{AllowLayers: []string{allow}})
		assert.Empty(t, report.Problems, allow)
	}
	for _, allow := range []string{"other", "function"} {
		report := inspect(t, pack(t, good(loss("weighted_ce", "function"))...), kerasfile.Options{AllowLayers: []string{allow}})
		assert.NotEmpty(t, report.Problems, allow)
	}
	// Python's own functions are looked up in the same place.
	for _, name := range []string{"eval", "exec", "__import__", "open"} {
		report := inspect(t, pack(t, good(loss(name, name))...), kerasfile.Options{AllowLayers: []string{name, "builtins." + name}})
		assert.NotEmpty(t, report.Problems, name)
	}
}

// A registered name that is allowed lets nothing else through: Keras would take what the file names in the file's module.
func TestARegisteredNameIsThatOfItsOwnClass(t *testing.T) {
	allow := kerasfile.Options{AllowLayers: []string{"svc>Pool", "svc>weighted_ce"}}
	for cause, o := range map[string]object{
		"Other of module":                    {"module": "elsewhere", "class_name": "Other", "registered_name": "svc>Pool", "config": object{}},
		"function other of module":           {"module": "elsewhere", "class_name": "function", "config": "other", "registered_name": "svc>weighted_ce"},
		`is the custom object "other>svc>P"`: {"module": "elsewhere", "class_name": "P", "registered_name": "other>svc>P", "config": object{}},
	} {
		report := inspect(t, pack(t, good(text(t, with(o)))...), allow)
		require.NotEmpty(t, report.Problems, cause)
		assert.Contains(t, report.Problems[0].Cause, cause)
	}
	pool := object{"module": "elsewhere", "class_name": "Pool", "registered_name": "svc>Pool", "config": object{}}
	assert.Empty(t, inspect(t, pack(t, good(text(t, with(pool)))...), allow).Problems)
}

func TestASubclassedModelIsNotToldToGetALayerItHas(t *testing.T) {
	model := object{"module": "app.network", "class_name": "Net", "registered_name": "svc>Net", "config": object{"units": 4}}
	report := inspect(t, pack(t, good(text(t, model))...), kerasfile.Options{AllowLayers: []string{"svc>Net"}, Recurrent: true})
	require.Len(t, report.Problems, 1)
	assert.Equal(t, kerasfile.WrongArch.Name, report.Problems[0].Code.Name)
	assert.Contains(t, report.Problems[0].Cause, "what svc>Net is made of cannot be seen")
	assert.Contains(t, report.Problems[0].Next, "train.recurrent: false")
	assert.Empty(t, inspect(t, pack(t, good(text(t, model))...), kerasfile.Options{AllowLayers: []string{"svc>Net"}}).Problems)
}

// Keras 2 writes x * 2 and tf.concat as layers that call a function of TensorFlow by name.
func TestAFunctionOfTensorFlowIsTakenIfItOnlyComputes(t *testing.T) {
	report := func(class, module string, config object, allow ...string) *kerasfile.Report {
		o := object{"module": module, "class_name": class, "config": config, "registered_name": class}
		return inspect(t, pack(t, good(text(t, functional(lstm(), o)))...), kerasfile.Options{AllowLayers: allow})
	}
	const place = "tf_keras.src.layers.core.tf_op_layer"
	for _, function := range []string{"__operators__.add", "math.multiply", "nn.relu", "concat", "reshape", "image.resize"} {
		r := report("TFOpLambda", place, object{"name": "op", "function": function})
		assert.Empty(t, r.Problems, function)
		assert.Len(t, r.Layers, 2, "it counts as a layer")
	}
	assert.Empty(t, report("SlicingOpLambda", "keras.src.layers.core.tf_op_layer", object{"function": "__operators__.getitem"}).Problems)
	refused := func(r *kerasfile.Report) {
		t.Helper()
		require.Len(t, r.Problems, 1)
		assert.Equal(t, kerasfile.UnsafeLayer.Name, r.Problems[0].Code.Name)
		assert.Contains(t, r.Problems[0].Cause, "not one of those that only compute")
	}
	for _, function := range []any{"io.write_file", "io.read_file", "py_function", "numpy_function", "load_library", "saved_model.load", "raw_ops.WriteFile",
		"math.x.y", "linalg.LinearOperatorFullMatrix", "", nil, 7.0} {
		for _, allow := range [][]string{nil, {"TFOpLambda"}} { // the class is none of its functions
			refused(report("TFOpLambda", place, object{"name": "op", "function": function}, allow...))
		}
	}
	for _, module := range []string{"tf_keras.src.layers.core", "tf_keras.layers", "", "elsewhere"} {
		refused(report("TFOpLambda", module, object{"name": "op", "function": "io.write_file"}, "TFOpLambda"))
	}
	assert.Empty(t, report("TFOpLambda", "tf_keras.src.layers.core", object{"function": "math.add"}, "TFOpLambda").Problems)
	assert.NotEmpty(t, report("TFOpLambda", "tf_keras.src.layers.core", object{"function": "math.add"}).Problems, "without the setting")
	assert.NotEmpty(t, report("TFOpLambda", "evil.layers.core.tf_op", object{"function": "math.add"}).Problems)
	assert.NotEmpty(t, report("ClassMethod", place, object{"function": "math.add"}).Problems)
}
