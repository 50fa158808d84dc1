// Package model holds what the stages pass on about a trained model: its files and measurements
// (Artifact), and its published version (Version).
package model

import "github.com/openstack-rca/openstack-rca/ci/runner"

// Artifact is a trained model that passed the train stage's gates.
type Artifact struct {
	// Files holds exactly the model's files, flat, under their base names.
	Files runner.Files
	// Dir is the same tree exported into this process's file system.
	Dir string
	// File is the base name of the model file itself, such as lstm_model.keras or model.onnx.
	File string
	// Paths are where each file, by its base name, was in the training's working directory.
	Paths map[string]string
	// SHA256 is the hash of that file in lower-case hex, Bytes its size.
	SHA256 string
	Bytes  int64
	// Format is the model's format, as train.format names it; empty where Unseen is not.
	Format string
	// Versions are those of the Python packages that the model was made or loaded with, by name,
	// as far as known; Facts is what else its file tells, by name.
	Versions, Facts map[string]string
	// Beyond are the names that the contract allows the file to hold although they are not known
	// to be harmless.
	Beyond []string
	// Unseen is the format of a model that could not be inspected, allowed by the configuration;
	// empty for one that was inspected. Such a model is never published.
	Unseen string
	// Ungated is set if no gate could have failed it: any measurement would have passed.
	Ungated bool
	// Metrics are the final values by name; History has every logged point.
	Metrics map[string]float64
	History map[string][]Point
	// Params and Tags are those the training logged.
	Params, Tags map[string]string
	// Data is the fingerprint of the training data, when the training logged one.
	Data string
	// Golden is the base name of the golden sample, or empty.
	Golden string
}

// Point is one logged value of a metric.
type Point struct {
	// Step is the epoch or batch.
	Step int64 `json:"step"`
	// Timestamp is in milliseconds since 1970, UTC, as MLflow keeps it.
	Timestamp int64   `json:"timestamp"`
	Value     float64 `json:"value"`
}

// Version is a committed, read-back version of a model.
type Version struct {
	// Number is N in lstm_model_v<N>.keras and NNNN in the folder's name.
	Number int `json:"number"`
	// URI is s3://bucket/key of the model file.
	URI string `json:"uri"`
	// SHA256 of the model file, as read back.
	SHA256 string `json:"sha256"`
	// Registered is the registered model's name, RegistryVersion its version there.
	Registered      string `json:"registered_model"`
	RegistryVersion string `json:"registry_version"`
	// Aliases point at this version.
	Aliases []string `json:"aliases"`
	// RunID is the MLflow run.
	RunID string `json:"run_id"`
	// Already is set if this content was published before: nothing was written.
	Already bool `json:"already_published"`
}
