package kerasfile

import (
	_ "embed" // names.json
	"encoding/json"
	"strings"
	"sync"
)

// kind is a family of serialised Keras objects: where its classes live and which are allowed.
type kind struct {
	name    string
	modules []string
	// exact kinds have no sub-modules, because their module is a prefix of everything.
	exact   bool
	classes map[string]bool
}

func set(names string) map[string]bool { return setOf(strings.Fields(names)) }

func setOf(names []string) map[string]bool {
	s := map[string]bool{}
	for _, name := range names {
		s[name] = true
	}
	return s
}

//go:embed names.json
var namesJSON []byte

// public is names.json: the public API of the pinned versions of Keras, by kind, as
// scripts/keras-names reads it out of their wheels.
type public struct {
	// Wheels are the versions.
	Wheels []string `json:"wheels"`
	// Refused are public classes that are in no list, with the reason.
	Refused map[string]string `json:"refused"`
	// Functions are activations, losses and metrics that a file may name.
	Functions []string `json:"functions"`
	// Kinds are the classes.
	Kinds map[string][]string `json:"kinds"`
}

var keras = sync.OnceValue(func() *public {
	p := &public{}
	if err := json.Unmarshal(namesJSON, p); err != nil {
		panic("names.json is part of this program: " + err.Error())
	}
	return p
})

// kinds is the allow-list.
var kinds = sync.OnceValue(func() []kind {
	all := []kind{
		{name: "layer", modules: []string{"keras.layers", "keras.src.layers"}},
		{name: "operation", modules: []string{"keras.src.ops", "keras.ops"}},
		{name: "initializer", modules: []string{"keras.initializers", "keras.src.initializers"}},
		{name: "regularizer", modules: []string{"keras.regularizers", "keras.src.regularizers"}},
		{name: "constraint", modules: []string{"keras.constraints", "keras.src.constraints"}},
		{name: "quantizer", modules: []string{"keras.quantizers", "keras.src.quantizers"}},
		{name: "loss", modules: []string{"keras.losses", "keras.src.losses"}},
		{name: "metric", modules: []string{"keras.metrics", "keras.src.metrics"}},
		{name: "optimizer", modules: []string{"keras.optimizers", "keras.src.optimizers", "keras.mixed_precision",
			"keras.src.mixed_precision"}},
		{name: "dtype policy", modules: []string{"keras", "keras.dtype_policies", "keras.src.dtype_policies.dtype_policy",
			"keras.mixed_precision"}, exact: true},
		{name: "random", modules: []string{"keras.random", "keras.src.random.seed_generator"}},
	}
	for i := range all {
		all[i].classes = setOf(keras().Kinds[all[i].name])
	}
	return append(all, kind{name: "model", modules: []string{"keras", "keras.models", "keras.src.models.functional",
		"keras.src.models.sequential",
		"keras.src.models.model", "keras.src.engine.functional", "keras.src.engine.sequential", "keras.src.engine.training",
		"keras.engine.functional"},
		exact: true, classes: set(`Functional Sequential Model`)})
})

// plain are the names Keras gives to values that are data, not objects
// (keras/src/saving/serialization_lib.py). __lambda__ and __typespec__ are not among them.
var plain = set(`__keras_tensor__ __tensor__ __numpy__ __bytes__ __ellipsis__ __slice__ __tuple__ TensorShape`)

// never are the classes that no setting allows: their configuration is code, or the
// path of code, and every way around safe_mode known so far went through one of them.
var never = set(`Lambda TFSMLayer TorchModuleWrapper FlaxLayer JaxLayer __lambda__ __typespec__`)

// recurrent are the layers that keep state along a sequence.
var recurrent = set(`LSTM GRU SimpleRNN RNN ConvLSTM1D ConvLSTM2D ConvLSTM3D`)

// functions are the built-in functions that a file may name: activations, losses and metrics.
var functions = sync.OnceValue(func() map[string]bool { return names(strings.Join(keras().Functions, " ")) })

// dangerous are Python's own functions: a name that is looked up among built-ins must not
// reach them, not even when a setting allows it.
var dangerous = set(`__import__ breakpoint compile delattr eval exec exit getattr globals input locals memoryview open print quit setattr
	vars`)

// names is a set in which "GlorotUniform" and "glorot_uniform" are the same.
func names(list string) map[string]bool {
	s := map[string]bool{}
	for _, name := range strings.Fields(list) {
		s[fold(name)] = true
	}
	return s
}

func fold(name string) string { return strings.ToLower(strings.ReplaceAll(name, "_", "")) }

// kindOf finds the kind that a module and class belong to. An empty module, as the
// formats before Keras 3 leave it, is looked up among all kinds, as Keras does.
//
// tf_keras is Keras 2 under another name: its modules are looked up as Keras's.
func kindOf(module, class string) (kind, bool) {
	module = ofKeras(module)
	for _, k := range kinds() {
		if !k.classes[class] {
			continue
		}
		if module == "" {
			return k, true
		}
		for _, m := range k.modules {
			if module == m || !k.exact && strings.HasPrefix(module, m+".") {
				return k, true
			}
		}
	}
	return kind{}, false
}

func ofKeras(module string) string {
	if strings.HasPrefix(module, "tf_keras.") {
		return strings.TrimPrefix(module, "tf_")
	}
	return module
}

// namesKind reports whether a bare string names a built-in of the kind.
func namesKind(kindName, value string) bool {
	for _, k := range kinds() {
		if k.name == kindName {
			for class := range k.classes {
				if fold(class) == fold(value) {
					return true
				}
			}
		}
	}
	return false
}
