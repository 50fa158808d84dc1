package mlflow

import (
	"archive/zip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
)

// The paths of a Keras model in MLflow's model format (mlflow/keras/save.py).
const (
	// KerasModelPath is where mlflow.keras.load_model looks for the model.
	KerasModelPath = "data/model.keras"
	// KerasDataDir holds it; other files in there are left alone by MLflow.
	KerasDataDir = "data"
)

// KerasModel describes a Keras model file for the directory that mlflow.keras.load_model
// and mlflow.pyfunc.load_model read.
type KerasModel struct {
	// ArtifactPath is the directory's path in the run's artifacts.
	ArtifactPath string
	RunID        string
	// UUID identifies the model: 32 hex digits.
	UUID    string
	Created time.Time
	// KerasVersion is the version that saved the file, Backend what it computed with.
	KerasVersion, Backend string
	// Python is the version to load it with, Requirements the packages, as pip writes them.
	Python       string
	Requirements []string
	// Bytes is the size of the model's files.
	Bytes int64
}

// requirement is a package, with its version or without; it cannot hold a second line.
var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)(==(.+))?$`)

// check refuses what would be read as something else in the files of the environment.
func (m KerasModel) check() error {
	for what, version := range map[string]string{"Python": m.Python, "Keras": m.KerasVersion} {
		if version != "" && !kerasfile.ValidVersion(version) {
			return fmt.Errorf("describe the model's environment: the %s version %q is no version", what, version)
		}
	}
	for _, line := range m.Requirements {
		parts := requirement.FindStringSubmatch(line)
		if parts == nil || parts[2] != "" && !kerasfile.ValidVersion(parts[3]) {
			return fmt.Errorf("describe the model's environment: %q is no requirement of the form name==version", line)
		}
	}
	return nil
}

// Files renders all of the directory but KerasModelPath itself: the same description
// gives the same bytes. A version or requirement that is more than one is an error.
func (m KerasModel) Files() (map[string][]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	type environment struct {
		Conda      string `yaml:"conda"`
		Virtualenv string `yaml:"virtualenv"`
	}
	type keras struct {
		Data     string `yaml:"data"`
		Backend  string `yaml:"keras_backend"`
		Version  string `yaml:"keras_version"`
		Exported bool   `yaml:"save_exported_model"`
	}
	type pyfunc struct {
		Env    environment `yaml:"env"`
		Loader string      `yaml:"loader_module"`
		Python string      `yaml:"python_version"`
	}
	type flavors struct {
		Keras  keras  `yaml:"keras"`
		Pyfunc pyfunc `yaml:"python_function"`
	}
	mlmodel := struct {
		ArtifactPath string  `yaml:"artifact_path"`
		Flavors      flavors `yaml:"flavors"`
		Bytes        int64   `yaml:"model_size_bytes"`
		UUID         string  `yaml:"model_uuid"`
		RunID        string  `yaml:"run_id"`
		Created      string  `yaml:"utc_time_created"`
	}{
		ArtifactPath: m.ArtifactPath,
		Flavors: flavors{
			Keras:  keras{Data: KerasDataDir, Backend: m.Backend, Version: m.KerasVersion},
			Pyfunc: pyfunc{Env: environment{"conda.yaml", "python_env.yaml"}, Loader: "mlflow.keras", Python: m.Python},
		},
		Bytes: m.Bytes, UUID: m.UUID, RunID: m.RunID,
		Created: m.Created.UTC().Format("2006-01-02 15:04:05.000000"),
	}
	conda := map[string]any{
		"channels": []string{"conda-forge"},
		"dependencies": []any{"python=" + m.Python, "pip",
			map[string]any{"pip": m.Requirements}},
		"name": "mlflow-env",
	}
	python := map[string]any{"python": m.Python, "build_dependencies": []string{"pip", "setuptools", "wheel"},
		"dependencies": []string{"-r requirements.txt"}}
	files := map[string][]byte{
		"requirements.txt":                 []byte(strings.Join(m.Requirements, "\n") + "\n"),
		KerasDataDir + "/keras_module.txt": []byte("keras"),
	}
	for name, content := range map[string]any{"MLmodel": mlmodel, "conda.yaml": conda, "python_env.yaml": python} {
		b, err := yaml.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", name, err)
		}
		files[name] = b
	}
	return files, nil
}

// KerasVersion reads the version that saved a .keras archive out of its metadata.json.
func KerasVersion(path string) (string, error) {
	archive, err := zip.OpenReader(path)
	if err != nil {
		return "", fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = archive.Close() }()
	f, err := archive.Open("metadata.json")
	if err != nil {
		return "", fmt.Errorf("open metadata.json of %s: %w", path, err)
	}
	defer func() { _ = f.Close() }()
	var meta struct {
		Version string `json:"keras_version"`
	}
	if err := json.NewDecoder(io.LimitReader(f, 1<<20)).Decode(&meta); err != nil {
		return "", fmt.Errorf("read metadata.json of %s: %w", path, err)
	}
	if !kerasfile.ValidVersion(meta.Version) {
		return "", errors.New("read metadata.json: it names no Keras version")
	}
	return meta.Version, nil
}
