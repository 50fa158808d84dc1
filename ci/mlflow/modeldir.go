package mlflow

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

// ModelDir describes a model for the directory that mlflow.pyfunc.load_model and the loader of
// its flavour read.
type ModelDir struct {
	// ArtifactPath is the directory's path in the run's artifacts.
	ArtifactPath string
	RunID        string
	// UUID identifies the model: 32 hex digits.
	UUID    string
	Created time.Time
	// Flavor is how MLflow loads the model, Versions are those of packages that it names.
	Flavor   modelfile.Flavor
	Versions map[string]string
	// Python is the version to load it with, Requirements the packages, as pip writes them.
	Python       string
	Requirements []string
	// Bytes is the size of the model's files.
	Bytes int64
}

// requirement is a package, with its version or without; it cannot hold a second line.
var requirement = regexp.MustCompile(`^([A-Za-z0-9][A-Za-z0-9._-]*)(==(.+))?$`)

// check refuses what would be read as something else in the files of the environment.
func (m ModelDir) check() error {
	versions := map[string]string{"Python": m.Python}
	maps.Copy(versions, m.Versions)
	for what, version := range versions {
		if version != "" && !modelfile.ValidVersion(version) {
			return fmt.Errorf("describe the model's environment: the %s version %q is no version", what, version)
		}
	}
	for _, line := range m.Requirements {
		parts := requirement.FindStringSubmatch(line)
		if parts == nil || parts[2] != "" && !modelfile.ValidVersion(parts[3]) {
			return fmt.Errorf("describe the model's environment: %q is no requirement of the form name==version", line)
		}
	}
	return nil
}

// Files renders all of the directory but the model's own files: the same description gives the
// same bytes. A version or requirement that is more than one is an error.
func (m ModelDir) Files() (map[string][]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	pyfunc := map[string]any{
		"env":           map[string]string{"conda": "conda.yaml", "virtualenv": "python_env.yaml"},
		"loader_module": m.Flavor.Loader, "python_version": m.Python,
	}
	maps.Copy(pyfunc, m.Flavor.Pyfunc)
	mlmodel := struct {
		ArtifactPath string         `yaml:"artifact_path"`
		Flavors      map[string]any `yaml:"flavors"`
		Bytes        int64          `yaml:"model_size_bytes"`
		UUID         string         `yaml:"model_uuid"`
		RunID        string         `yaml:"run_id"`
		Created      string         `yaml:"utc_time_created"`
	}{
		ArtifactPath: m.ArtifactPath, Flavors: map[string]any{m.Flavor.Name: m.Flavor.Values, "python_function": pyfunc},
		Bytes: m.Bytes, UUID: m.UUID, RunID: m.RunID,
		Created: m.Created.UTC().Format("2006-01-02 15:04:05.000000"),
	}
	if m.Flavor.Name == "" || m.Flavor.Name == "python_function" {
		mlmodel.Flavors = map[string]any{"python_function": pyfunc}
	}
	conda := map[string]any{
		"channels": []string{"conda-forge"},
		"dependencies": []any{"python=" + m.Python, "pip",
			map[string]any{"pip": m.Requirements}},
		"name": "mlflow-env",
	}
	python := map[string]any{"python": m.Python, "build_dependencies": []string{"pip", "setuptools", "wheel"},
		"dependencies": []string{"-r requirements.txt"}}
	files := map[string][]byte{"requirements.txt": []byte(strings.Join(m.Requirements, "\n") + "\n")}
	maps.Copy(files, m.Flavor.Files)
	for name, content := range map[string]any{"MLmodel": mlmodel, "conda.yaml": conda, "python_env.yaml": python} {
		b, err := yaml.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("render %s: %w", name, err)
		}
		files[name] = b
	}
	return files, nil
}
