package pyenv

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// declaration is what a tool that runs the tests installs for them.
type declaration struct {
	// label names the place, as in "[testenv] deps of tox.ini".
	label                 string
	lines, extras, groups []string
	// left are entries that are not carried over, because they depend on the tool.
	left []string
	// tests reports whether the place is for running tests, and not for development as a whole.
	tests bool
}

func (d declaration) empty() bool { return len(d.lines)+len(d.extras)+len(d.groups) == 0 }

// toolFiles reads what the tools that run tests install for them, with one version of Python.
type toolFiles struct {
	*tree
	python string
}

// testTools are the declarations of PDM, Hatch and tox, in this order.
func (f toolFiles) testTools() []declaration {
	return slices.Concat(f.pdmGroups(), f.hatchEnvironments(), f.toxEnvironment())
}

// pdmDevelopment is the place of PDM's groups.
const pdmDevelopment = "[tool.pdm.dev-dependencies] of pyproject.toml"

func (f toolFiles) pdmGroups() []declaration {
	groups := f.toml.sub("tool", "pdm", "dev-dependencies")
	var found declaration
	for _, name := range keys(groups) {
		found.lines = append(found.lines, groups.strs(name)...)
	}
	if len(found.lines) > 0 {
		found.label = pdmDevelopment
		return []declaration{found}
	}
	for _, tool := range []string{"uv", "rye"} {
		if lines := f.toml.sub("tool", tool).strs("dev-dependencies"); len(lines) > 0 {
			return []declaration{{label: "[tool." + tool + "] dev-dependencies of pyproject.toml", lines: lines}}
		}
	}
	return nil
}

// hatchNames are the environments of Hatch in which tests may run, those for nothing else first.
var hatchNames = []string{"hatch-test", "test", "tests", "testing", "dev", "default"}

// hatchEnvironments reads the environment in which Hatch runs tests: hatch-test, or else
// one that the project calls test or leaves at default.
func (f toolFiles) hatchEnvironments() []declaration {
	for _, place := range []struct {
		envs        table
		table, file string
	}{
		{f.table("hatch.toml").sub("envs"), "envs.", "hatch.toml"},
		{f.toml.sub("tool", "hatch", "envs"), "tool.hatch.envs.", "pyproject.toml"},
	} {
		for _, name := range hatchNames {
			env := place.envs.sub(name)
			found := declaration{
				label:  "[" + place.table + name + "] of " + place.file,
				lines:  append(env.strs("dependencies"), env.strs("extra-dependencies")...),
				extras: env.strs("features"), groups: env.strs("dependency-groups"), tests: strings.Contains(name, "test"),
			}
			if !found.empty() {
				return []declaration{found}
			}
		}
	}
	return nil
}

// condaFile is the first environment file of conda.
func condaFile(t *tree, stage string) string {
	names := []string{"environment.yml", "environment.yaml", "conda.yml", "conda.yaml"}
	if stage == verdict.Test {
		names = append([]string{"environment-test.yml", "environment-dev.yml", "environment_test.yml", "environment_dev.yml"}, names...)
	}
	return t.first(names)
}

var (
	// condaNames are the packages that have another name on PyPI.
	condaNames = map[string]string{
		"pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch", "opencv": "opencv-python", "py-opencv": "opencv-python",
		"msgpack-python": "msgpack", "matplotlib-base": "matplotlib", "python-graphviz": "graphviz", "pytables": "tables",
		"py-xgboost": "xgboost", "dask-core": "dask", "seaborn-base": "seaborn", "ruamel_yaml": "ruamel.yaml",
		"prompt_toolkit": "prompt-toolkit", "tensorflow-gpu": "tensorflow", "tensorflow-base": "tensorflow", "keras-gpu": "keras",
		"typing_extensions": "typing-extensions", "huggingface_hub": "huggingface-hub", "importlib_metadata": "importlib-metadata",
	}
	// condaOnly are packages that are not of Python, or that the environment has anyway.
	condaOnly = regexp.MustCompile(`^(?:python|pip|python_abi|cuda.*|cudnn.*|mkl|mkl-service|blas|openblas|libblas|nomkl|` +
		`nodejs|git|git-lfs|make|cmake|compilers?|gcc.*|gxx.*|clang.*|libgcc.*|libstdcxx.*|openssl|sqlite|zlib|bzip2|xz|` +
		`ca-certificates|ffmpeg|graphviz|openjdk|r-.*|_.*|pandoc|hdf5|libgfortran.*|tk|readline|` +
		`ncurses|libffi|pytorch-cuda|pytorch-mutex|cpuonly)$`)
	condaSpec = regexp.MustCompile(`^(?:[\w./-]+::)?([A-Za-z0-9._-]+)\s*(.*)$`)
)

// conda installs the packages of an environment file from PyPI, where most of them have
// the same name. What has no counterpart there is named.
func (d *draft) conda(file string) {
	d.project.Kind, d.project.From = Conda, []string{file}
	d.used[file] = true
	var content struct {
		Dependencies []yaml.Node `yaml:"dependencies"`
	}
	if err := yaml.Unmarshal([]byte(d.text(file)), &content); err != nil {
		d.fault("%s cannot be read: %v", file, err)
		return
	}
	var out []string
	for _, entry := range content.Dependencies {
		if entry.Kind == yaml.MappingNode {
			var pip struct {
				Pip []string `yaml:"pip"`
			}
			if err := entry.Decode(&pip); err != nil {
				d.fault("%s cannot be read: %v", file, err)
			}
			out = append(out, pip.Pip...)
			continue
		}
		line, ok := condaRequirement(entry.Value)
		if ok {
			out = append(out, line)
		} else if !strings.HasPrefix(entry.Value, "python") && !strings.HasPrefix(entry.Value, "pip") {
			d.project.Unread = append(d.project.Unread, entry.Value+" of "+file)
		}
	}
	d.pipInstall(d.generated(out, file))
}

// condaRequirement turns conda's "numpy=1.26" into pip's "numpy==1.26.*".
func condaRequirement(spec string) (string, bool) {
	m := condaSpec.FindStringSubmatch(strings.TrimSpace(spec))
	if m == nil || condaOnly.MatchString(m[1]) || strings.ContainsAny(m[2], "[|") {
		return "", false
	}
	name, version := m[1], strings.ReplaceAll(m[2], " ", "")
	if pip, ok := condaNames[name]; ok {
		name = pip
	}
	exact := strings.HasPrefix(version, "==")
	bare := strings.TrimLeft(version, "=")
	switch {
	case version == "" || bare == "*":
		return name, true
	case strings.ContainsAny(version[:1], "<>!~"):
		return name + version, true
	}
	number, _, hasBuild := strings.Cut(bare, "=")
	if exact || hasBuild || strings.HasSuffix(number, "*") {
		return name + "==" + number, true
	}
	return name + "==" + number + ".*", true
}
