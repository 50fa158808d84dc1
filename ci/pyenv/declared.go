package pyenv

import (
	"cmp"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// declaration is what a tool that runs the tests installs for them.
type declaration struct {
	// label names the place, such as "[testenv] deps of tox.ini".
	label                 string
	lines, extras, groups []string
	// left are entries that only the tool itself can use, so they are not installed.
	left []string
	// tests is set if the place is for running tests, not for development in general.
	tests bool
	// above are the labels of the places that it inherits from.
	above []string
}

func (d declaration) empty() bool { return len(d.lines)+len(d.extras)+len(d.groups) == 0 }

// toolFiles reads what the tools that run tests install for them, for one version of Python.
type toolFiles struct {
	*tree
	python string
}

// testTools returns the declarations of PDM, Hatch and tox, in this order.
func (f toolFiles) testTools() []declaration {
	return slices.Concat(f.pdmGroups(), f.hatchEnvironments(), f.toxEnvironment())
}

// pdmDevelopment is the table of PDM's groups.
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

// hatchNames are the Hatch environments in which tests may run, dedicated ones first.
var hatchNames = []string{"hatch-test", "test", "tests", "testing", "dev", "default"}

// hatchPlace is the table of Hatch's environments.
type hatchPlace struct {
	envs         table
	prefix, file string
}

func hatchPlaces(t *tree) []hatchPlace {
	return []hatchPlace{
		{t.table("hatch.toml").sub("envs"), "envs.", "hatch.toml"}, {t.toml.sub("tool", "hatch", "envs"), "tool.hatch.envs.", "pyproject.toml"},
	}
}

func (p hatchPlace) label(name string) string { return "[" + p.prefix + name + "] of " + p.file }

// hatchEnvironments reads the environment in which Hatch runs tests: hatch-test, or one called test or default.
func (f toolFiles) hatchEnvironments() []declaration {
	for _, place := range hatchPlaces(f.tree) {
		for _, name := range hatchNames {
			if found := hatchEnvironment(place.envs, name, nil); place.envs.sub(name) != nil && !found.empty() {
				for i, template := range found.above {
					found.above[i] = place.label(template)
				}
				found.label, found.tests = place.label(name), strings.Contains(name, "test")
				return []declaration{found}
			}
		}
	}
	return nil
}

// hatchTools are what Hatch installs into hatch-test besides coverage and pytest, without pytest-randomly, which Hatch
// disables by default.
var hatchTools = []string{"pytest-mock", "pytest-rerunfailures", "pytest-xdist[psutil]"}

// hatchEnvironment reads an environment, with what it inherits from its template, by default the environment "default".
// Environments that led here are not followed again.
func hatchEnvironment(envs table, name string, from []string) (found declaration) {
	env := envs.sub(name)
	template := cmp.Or(env.str("template"), "default")
	if name == "hatch-test" && env.str("template") == "" || env["detached"] == true {
		template = name
	}
	if from = append(from, name); !slices.Contains(from, template) {
		found = hatchEnvironment(envs, template, from)
		found.above = append(found.above, template)
	}
	replace := func(into *[]string, key string, otherwise []string) {
		if env.has(key) {
			*into = env.strs(key)
		} else if len(otherwise) > 0 {
			*into = otherwise
		}
	}
	var tools []string
	if name == "hatch-test" {
		tools = hatchTools
	}
	replace(&found.lines, "dependencies", tools)
	found.lines = slices.Concat(found.lines, env.strs("extra-dependencies"))
	for i, line := range found.lines {
		found.lines[i] = strings.NewReplacer("{root:uri}/", "./", "{root}/", "./").Replace(line)
	}
	replace(&found.extras, "features", nil)
	replace(&found.groups, "dependency-groups", nil)
	return found
}

// condaFile is the first environment file of conda.
func condaFile(t *tree, stage string) string {
	stems := []string{"environment", "conda"}
	if stage == verdict.Test {
		stems = append([]string{"environment-test", "environment-dev", "environment_test", "environment_dev", "test-environment",
			"dev-environment"}, stems...)
	}
	var names []string
	for _, stem := range stems {
		names = append(names, stem+".yml", stem+".yaml")
	}
	return t.first(names)
}

var (
	// condaNames maps conda packages to PyPI packages with another name.
	condaNames = map[string]string{
		"pytorch": "torch", "pytorch-cpu": "torch", "pytorch-gpu": "torch", "opencv": "opencv-python", "py-opencv": "opencv-python",
		"msgpack-python": "msgpack", "matplotlib-base": "matplotlib", "python-graphviz": "graphviz", "pytables": "tables",
		"py-xgboost": "xgboost", "dask-core": "dask", "seaborn-base": "seaborn", "ruamel_yaml": "ruamel.yaml",
		"prompt_toolkit": "prompt-toolkit", "tensorflow-gpu": "tensorflow", "tensorflow-base": "tensorflow", "keras-gpu": "keras",
		"typing_extensions": "typing-extensions", "huggingface_hub": "huggingface-hub", "importlib_metadata": "importlib-metadata",
	}
	// condaOnly are conda packages that are not Python packages or are always present.
	condaOnly = regexp.MustCompile(`^(?:python|pip|python_abi|cuda.*|cudnn.*|mkl|mkl-service|blas|openblas|libblas|nomkl|` +
		`nodejs|git|git-lfs|make|cmake|compilers?|gcc.*|gxx.*|clang.*|libgcc.*|libstdcxx.*|openssl|sqlite|zlib|bzip2|xz|` +
		`ca-certificates|ffmpeg|graphviz|openjdk|r-.*|_.*|pandoc|hdf5|libgfortran.*|tk|readline|` +
		`ncurses|libffi|libgomp|llvm-openmp|libpng|libjpeg.*|libtiff|libxml2|libxslt|libpq|libuuid|libcurl|libiconv|freetype|fftw|geos|` +
		`proj|boost.*|eigen|swig|pkg-config|curl|unzip|unixodbc|postgresql|jq|bash|coreutils|yarn|go|perl|patchelf|conda|mamba|conda-.*|` +
		`pytorch-cuda|pytorch-mutex|cpuonly)$`)
	condaSpec = regexp.MustCompile(`^(?:[\w./-]+::)?([A-Za-z0-9._-]+)\s*(.*)$`)
)

// conda installs an environment file's packages from PyPI, where most have the same name. Packages without a counterpart are
// reported.
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
