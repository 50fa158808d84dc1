package kerasfile

import "github.com/openstack-rca/openstack-rca/ci/verdict"

// The codes for model files.
var (
	FormatRefused = verdict.Code{Name: "FORMAT_REFUSED", Stage: verdict.Train, Outcome: verdict.Fail,
		Meaning: "The model file is not a .keras archive. Formats that run code when loaded (pickle, HDF5 with Lambda) are never opened, and " +
			"other frameworks' are not known.",
		Remedy: "Save the model in the Keras v3 format: model.save('models/lstm_model.keras'); train.allow_formats lets h5 or pickle pass by " +
			"name, unseen and never published"}
	ArchiveInvalid = verdict.Code{Name: "ARCHIVE_INVALID", Stage: verdict.Train, Outcome: verdict.Fail,
		Meaning: "The model file is damaged or was not written by Keras.",
		Remedy:  "Train again and save with model.save; check the disk and anything that rewrites the file"}
	VersionInvalid = verdict.Code{Name: "KERAS_VERSION_INVALID", Stage: verdict.Train, Outcome: verdict.Fail,
		Meaning: "The model file names a Keras version that is no version; it would become a line of the requirements that the registry hands " +
			"out.",
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
	return []verdict.Code{FormatRefused, ArchiveInvalid, VersionInvalid, UnsafeLayer, WrongArch}
}
