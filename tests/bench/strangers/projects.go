package main

import (
	_ "embed"
	"os/exec"
	"strings"
)

// sources has the hashes of the source distributions:
//
//	go run ./tests/bench/strangers -list | awk '{print $1 "==" $2}' | uv pip compile --no-deps --generate-hashes --no-header \
//	    --no-annotate --no-emit-index-url --no-binary :all: --python-version 3.11 - -o tests/bench/strangers/sources.lock
//
//go:embed sources.lock
var sources string

// pin is the requirement of the project with its hashes; empty for one that the lock does not have.
func (p project) pin() string {
	begin := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(p.Name)) + "==" + p.Version + " "
	_, rest, found := strings.Cut("\n"+sources, "\n"+begin)
	if !found {
		return ""
	}
	lines := []string{begin}
	for _, line := range strings.Split(rest, "\n") {
		lines = append(lines, line)
		if !strings.HasSuffix(line, "\\") {
			break
		}
	}
	return strings.TrimSuffix(lines[0], " ") + " " + strings.Join(lines[1:], "\n") + "\n"
}

// uvVersion is the uv that the hand uses.
const uvVersion = "0.13.9"

// project is a public project and how its authors test it.
type project struct {
	Name, Version string
	// Backend says which kind of project it is.
	Backend string
	// Python is the version that the stage should choose, and the hand uses.
	Python string
	// Sync are the arguments of uv sync for a project with a uv.lock; Install those of uv pip install for any other.
	Sync, Install []string
	// Before are those of an earlier uv pip install: what its editable build, without isolation, needs at every import.
	Before []string
	// Args are pytest's; what coverage measures is Measured.
	Args     []string
	Measured string
	// Random are files whose executed lines depend on random numbers.
	Random []string
	// Needs are programs that its build calls.
	Needs []string
}

// lacks is a program that the build needs and this machine has not.
func (p project) lacks() string {
	for _, name := range p.Needs {
		if _, err := exec.LookPath(name); err != nil {
			return name
		}
	}
	return ""
}

var projects = []project{
	{
		Name: "attrs", Version: "26.1.0", Backend: "hatchling, hatch-vcs, fancy-pypi-readme, uv.lock", Python: "3.10",
		Sync: []string{"--group", "tests"}, Args: []string{"tests/"}, Measured: "src",
	},
	{
		Name: "structlog", Version: "26.1.0", Backend: "hatchling, hatch-vcs", Python: "3.10",
		Install: []string{"-e", ".", "--group", "tests"}, Args: []string{"tests/"}, Measured: "src",
	},
	{
		Name: "tomlkit", Version: "0.15.2", Backend: "poetry-core", Python: "3.10",
		Install: []string{"-e", ".", "--group", "dev"}, Args: []string{"tests/"}, Measured: ".",
	},
	{
		Name: "python-dateutil", Version: "4.0.0", Backend: "hatchling, requirements-dev.txt", Python: "3.11",
		Install: []string{"-e", ".", "-r", "requirements-dev.txt"}, Args: []string{"tests/"}, Measured: "src",
	},
	{
		Name: "itsdangerous", Version: "2.2.0", Backend: "flit-core", Python: "3.10",
		Install: []string{"-e", ".", "-r", "requirements/tests.txt"}, Args: []string{"tests/"}, Measured: "src",
	},
	{
		Name: "iniconfig", Version: "2.3.1", Backend: "setuptools, setuptools-scm, uv.lock", Python: "3.10",
		Sync: []string{"--group", "dev"}, Measured: "src",
	},
	{
		Name: "pluggy", Version: "1.7.0", Backend: "setuptools-scm, warnings are errors, uv.lock", Python: "3.10",
		Sync: []string{"--group", "testing"}, Measured: "src",
	},
	{
		Name: "markupsafe", Version: "3.0.4", Backend: "setuptools, C extension, uv.lock", Python: "3.10",
		Sync: []string{"--group", "tests"}, Args: []string{"tests/"}, Measured: "src", Needs: []string{"cc"},
	},
	{
		Name: "wrapt", Version: "2.5.2", Backend: "setuptools, C extension, setup.py", Python: "3.10",
		Install: []string{"-e", ".[dev]"}, Args: []string{"tests/"}, Measured: "src", Needs: []string{"cc"},
	},
	{
		Name: "dep_logic", Version: "0.7.2", Backend: "pdm-backend", Python: "3.10",
		Install: []string{"-e", ".", "pytest>=7.4"}, Args: []string{"tests/"}, Measured: "src",
	},
	{
		Name: "cachetools", Version: "8.0.2", Backend: "setuptools, tox.ini", Python: "3.11",
		Install: []string{"-e", ".", "pytest", "pytest-cov"}, Args: []string{"tests/"}, Measured: "src",
	},
	{
		Name: "jaraco.functools", Version: "4.6.0", Backend: "setuptools, namespace package", Python: "3.10",
		Install: []string{"-e", ".[test,check,cover,enabler,type]"}, Measured: ".",
	},
	{
		Name: "beniget", Version: "0.5.0", Backend: "setup.py alone", Python: "3.10",
		Install: []string{"-e", ".", "-r", "requirements.txt", "pytest"}, Args: []string{"tests/"}, Measured: ".",
	},
	{
		Name: "levenshtein", Version: "0.27.5", Backend: "scikit-build-core, Cython", Python: "3.11",
		Install: []string{"-e", ".", "pytest"}, Args: []string{"tests/"}, Measured: "src", Needs: []string{"c++"},
	},
	{
		Name: "rpds-py", Version: "2026.9.1", Backend: "maturin, Rust, uv.lock", Python: "3.11",
		Sync: []string{"--group", "test"}, Args: []string{"tests/"}, Measured: ".", Needs: []string{"cargo"},
	},
	{
		Name: "geoip2", Version: "5.3.0", Backend: "uv-build", Python: "3.10",
		Install: []string{"-e", ".", "--group", "dev"}, Args: []string{"tests/"}, Measured: "src",
	},
	{
		Name: "beancount", Version: "3.2.3", Backend: "meson-python, tests beside the modules", Python: "3.10",
		Before:  []string{"--group", "dev", "flex-bin", "bison-bin", "ninja"},
		Install: []string{"--no-build-isolation", "-e", "."}, Measured: ".", Needs: []string{"cc", "m4"},
		Random: []string{"beancount/scripts/example.py"},
	},
}
