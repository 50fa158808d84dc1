package testrun

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// The files inside the environment: what adds missing test tools, and the plugin.
var (
	//go:embed python/openstack_rca_tools.py
	toolsScript []byte
	//go:embed python/openstack_rca_pytest.py
	plugin []byte
	//go:embed python/openstack_rca_collect.py
	collectScript []byte
	//go:embed python/openstack_rca_coverage.py
	coverageScript []byte
	//go:embed python/openstack_rca_select.py
	selectScript []byte
	//go:embed python/openstack_rca_merge.py
	mergeScript []byte
)

// reportDir is where the run leaves its reports. The source never has such a folder in
// the step's inputs, so a report in it is of this run.
const reportDir = ".report"

// The files in reportDir.
const (
	junitFile    = "junit.xml"
	coverageFile = "coverage.xml"
	htmlDir      = "htmlcov"
	eventsFile   = "events.jsonl"
	// selectionFile tells what was selected, dataFile is the data behind the coverage
	// report, as a shard leaves it for the union.
	selectionFile = "selection.json"
	dataFile      = "coverage.data"
	// keptOutFile tells what the coverage report does not hold.
	keptOutFile = "coverage-kept-out.json"
)

// ownVars is what the names of the plugin's own variables begin with: no source may set them.
const ownVars = "OPENSTACK_RCA_"

// controlDir holds the plugin's input, beside the source.
const controlDir = ".openstack-rca"

// tools are what a project's environment is completed with where it lacks it.
// All but coverage support Python 3.10 and later; of coverage, 7.16 is the last that does.
func tools(command []string, workers, python string) []string {
	needed := []string{"pytest==9.2.0", "coverage==7.17.3", "pytest-cov==7.1.0"}
	if python == "3.10" {
		needed[1] = "coverage==7.16.2"
	}
	if usesXdist(command) || workers != "" {
		needed = append(needed, "pytest-xdist==3.8.0")
	}
	return needed
}

func usesXdist(command []string) bool {
	return slices.ContainsFunc(command, func(arg string) bool {
		return arg == "-n" || strings.HasPrefix(arg, "-n") && len(arg) > 2 && arg[2] != '-' ||
			strings.HasPrefix(arg, "--numprocesses") || strings.HasPrefix(arg, "--dist")
	})
}

// heavy are folders that no project's description is in.
var heavy = []string{".git", ".venv", "venv", ".tox", ".nox", "**/node_modules", "**/__pycache__"}

// plan is the step and what is known about the project before it runs.
type plan struct {
	in Input
	// source are the names of all files of the source.
	source  []string
	step    runner.Step
	project *pyenv.Project
	// built is what the project's own build adds to the source.
	built *pyenv.Built
	// names are the files that the tests may see.
	names []string
	// sources are what coverage measures.
	sources []string
	// marker and paths select a category; nothing means that no file and no mark could.
	marker  string
	paths   []string
	nothing bool
	// changes are those of in.Changes that the tests can see; nil when nothing selects by them.
	changes *changes
	// controls are the plugin's input; empty when it needs none.
	controls []runner.Mount
}

// newPlan describes the run. Errors are *verdict.Problem where the source is at fault.
func newPlan(ctx context.Context, r runner.Runner, in Input) (*plan, error) {
	described := in.Source.Filter(nil, heavy)
	t := in.Config.Test
	python := in.Python
	if python == "" {
		python = in.Config.Python
	}
	project, err := pyenv.Detect(ctx, described, pyenv.Request{
		Stage: verdict.Test, Requirements: t.Requirements, Python: python, Exclude: in.Config.Exclude,
		System: in.Config.SystemPackages,
	})
	var invalid *pyenv.InvalidError
	if errors.As(err, &invalid) {
		return nil, invalid.Problem(pyenv.RequirementsInvalid)
	}
	if err != nil {
		return nil, err
	}
	inputs := in.Source.Filter(t.Inputs.Include, slices.Concat(in.Config.Exclude, t.Inputs.Exclude, []string{reportDir, controlDir}))
	names, err := inputs.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("list inputs: %w", err)
	}
	p := &plan{in: in, project: project, names: names, sources: t.Coverage.Source}
	if len(p.sources) == 0 || slices.Equal(p.sources, []string{"."}) {
		p.sources = []string{"."}
		if project.SrcLayout {
			p.sources = []string{"src"}
		}
	}
	p.built, err = project.Build(ctx, r, in.Source, pyenv.BuildRequest{Mode: pyenv.BuildMode(t.Build), Exclude: in.Config.Exclude,
		Vars: t.Vars})
	if err != nil {
		return nil, err
	}
	if p.built.Failure != nil {
		return nil, verdict.Problemf(pyenv.BuildFailed, "%v", p.built.Failure)
	}
	p.control(r, in)
	args, addopts := p.command(in)
	p.step = p.built.Use(runner.Step{
		Name:     "pytest",
		Env:      environment(r, described, project, tools(t.Command, in.Workers, python)),
		Inputs:   append([]runner.Mount{{Path: ".", Files: p.built.Over(inputs)}}, p.controls...),
		Args:     args,
		Vars:     p.vars(in, addopts),
		Services: in.Services, Needs: in.Needs,
		Outputs: []string{reportDir}, ListAltered: true,
		Timeout: time.Duration(t.Timeout),
		Fresh:   in.Fresh,
	})
	return p, nil
}

// environment is the project's own, completed with the test tools and the plugin.
func environment(r runner.Runner, source runner.Files, project *pyenv.Project, tools []string) runner.Environment {
	env := project.Environment(r, source)
	env.Last = r.NewFiles(map[string][]byte{
		"openstack_rca_tools.py": toolsScript, "openstack_rca_pytest.py": plugin, "openstack_rca_select.py": selectScript,
		"openstack_rca_merge.py":   mergeScript,
		"openstack_rca_collect.py": collectScript, "openstack_rca_coverage.py": coverageScript,
	})
	env.Install = append(env.Install, append([]string{"python", "openstack_rca_tools.py"}, tools...))
	return env
}

// command is the test command with the reports asked for. A command that is not
// pytest itself but runs it gets them by the environment variable PYTEST_ADDOPTS.
func (p *plan) command(in Input) (args []string, addopts string) {
	options := []string{
		"-p", "openstack_rca_pytest",
		"--junitxml=" + path.Join(reportDir, junitFile),
		// The older family names each test's file; the newer one leaves it to guessing.
		"-o", "junit_family=xunit1",
		// What a failed test printed belongs to its failure.
		"-o", "junit_logging=all", "-o", "junit_log_passing_tests=false",
	}
	options = append(options, p.measure(in)...)
	if in.Workers != "" {
		options = append(options, "-n", in.Workers)
	}
	if in.Keyword != "" {
		options = append(options, "-k", in.Keyword)
	}
	if marker := both(in.Marker, p.marker); marker != "" {
		options = append(options, "-m", marker)
	}
	in.Paths = slices.Concat(in.Paths, p.paths)
	command := in.Config.Test.Command
	at := slices.IndexFunc(command, isPytest)
	if at < 0 {
		return slices.Clone(command), runner.Quote(append(options, in.Paths...)...)
	}
	isDefault := reflect.DeepEqual(command, config.Default().Test.Command)
	args = slices.Clone(command[:at+1])
	for _, arg := range command[at+1:] {
		named := p.exists(arg)
		// Paths replace those of the command. The default command's tests/ gives way
		// to pytest's own search in a project that has no such folder, or that names its own by testpaths.
		if !strings.HasPrefix(arg, "-") && (named && len(in.Paths) > 0 || isDefault && (!named || p.ownPaths())) {
			continue
		}
		args = append(args, arg)
	}
	return slices.Concat(args, options, in.Paths), ""
}

// ownPaths reports whether pytest's settings name other places of tests than tests/, and one is there.
func (p *plan) ownPaths() bool {
	return slices.ContainsFunc(p.project.Stated.Paths, func(name string) bool {
		return path.Clean(name) != "tests" && (strings.ContainsAny(name, "*?[") || p.exists(name))
	})
}

// measure are the options of coverage. A shard leaves its data: the reports are made of all.
func (p *plan) measure(in Input) []string {
	if in.rerun {
		return []string{"--no-cov"}
	}
	var options []string
	for _, source := range p.sources {
		options = append(options, "--cov="+source)
	}
	options = append(options, "--cov-branch")
	if in.Shards > 1 {
		options = append(options, "--cov-report=")
	} else {
		// The plugin writes the XML, with names that do not depend on the sources.
		options = append(options, "--cov-report=html:"+path.Join(reportDir, htmlDir), "--cov-report=term")
	}
	// The gates are held here, on exact numbers.
	return append(options, "--cov-fail-under=0")
}

// both is a marker expression that demands two.
func both(a, b string) string {
	if a != "" && b != "" {
		return "(" + a + ") and (" + b + ")"
	}
	return a + b
}

func isPytest(arg string) bool {
	name := path.Base(arg)
	return name == "pytest" || name == "py.test"
}

// exists reports whether an argument names a file or folder of the inputs, or a test in one.
func (p *plan) exists(arg string) bool {
	file, _, _ := strings.Cut(arg, "::")
	file = path.Clean(file)
	at, found := slices.BinarySearch(p.names, file)
	if found || file == "." {
		return true
	}
	_, below := slices.BinarySearchFunc(p.names[at:], file+"/", func(name, prefix string) int {
		if strings.HasPrefix(name, prefix) {
			return 0
		}
		return strings.Compare(name, prefix)
	})
	return below
}

// vars is the environment of the tests. The addresses of services win over the
// configuration: tests must not reach a real server that it names.
func (p *plan) vars(in Input, addopts string) map[string]string {
	vars := map[string]string{}
	maps.Copy(vars, in.Config.Test.Vars)
	maps.Copy(vars, in.ServiceVars)
	for name := range vars {
		if strings.HasPrefix(name, ownVars) {
			delete(vars, name)
		}
	}
	vars["OPENSTACK_RCA_EVENTS"] = path.Join(reportDir, eventsFile)
	if !in.rerun {
		vars["OPENSTACK_RCA_SOURCES"] = strings.Join(slices.Concat(p.sources, p.built.Packages), ":")
	}
	if in.Shards > 1 {
		vars["COVERAGE_FILE"] = path.Join(reportDir, dataFile)
	} else if !in.rerun {
		vars["OPENSTACK_RCA_COVERAGE"] = path.Join(reportDir, coverageFile)
	}
	if len(p.controls) > 0 {
		vars["OPENSTACK_RCA_CONTROL"] = path.Join(controlDir, "control.json")
		vars["OPENSTACK_RCA_SELECTION"] = path.Join(reportDir, selectionFile)
	}
	if addopts != "" {
		vars["PYTEST_ADDOPTS"] = strings.TrimSpace(vars["PYTEST_ADDOPTS"] + " " + addopts)
	}
	return vars
}
