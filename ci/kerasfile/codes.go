package kerasfile

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes for Keras files, beside those of package modelfile.
var (
	VersionInvalid = verdict.Code{Name: "KERAS_VERSION_INVALID", Stage: verdict.Train, Outcome: verdict.Fail,
		Meaning: "The model file names a Keras version that is not a version; it would become a line of the requirements that the registry " +
			"hands out.",
		Remedy: "Save the model with model.save and leave metadata.json as Keras wrote it"}
	UnsafeLayer = verdict.Code{Name: "UNSAFE_LAYER", Stage: verdict.Train, Outcome: verdict.Fail,
		Meaning: "The model holds a layer, function or object that could run code when loaded.",
		Remedy:  "Use standard Keras layers, or allow the class by name under train.allow_layers in pipeline.yaml after a review"}
	WrongArch = verdict.Code{Name: "WRONG_ARCH", Stage: verdict.Train, Outcome: verdict.Fail,
		Meaning: "The model holds no recurrent layer although the contract asks for one.",
		Remedy:  "Train a model with an LSTM or GRU layer, or set train.recurrent: false in pipeline.yaml"}
)

// Codes lists every code that the inspection can give.
func Codes() []verdict.Code {
	return []verdict.Code{VersionInvalid, UnsafeLayer, WrongArch, Old}
}
