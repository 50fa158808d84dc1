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

// Files in the environment: the script that adds missing test tools, and the plugin.
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

// reportDir is where the run writes its reports. The step's inputs never contain such a directory, so a report in it is from
// this run.
const reportDir = ".report"

// Files in reportDir.
const (
	junitFile    = "junit.xml"
	coverageFile = "coverage.xml"
	htmlDir      = "htmlcov"
	eventsFile   = "events.jsonl"
	// selectionFile describes the selection; dataFile has the data of the coverage report of a shard, for merging.
	selectionFile = "selection.json"
	dataFile      = "coverage.data"
	// keptOutFile describes what the coverage report leaves out.
	keptOutFile = "coverage-kept-out.json"
)

// ownVars is the prefix of the plugin's own variables, which a source must not set.
const ownVars = "OPENSTACK_RCA_"

// controlDir has the plugin's input, outside of the source.
const controlDir = ".openstack-rca"

// tools are installed into the project's environment if they are missing. All but coverage support Python 3.10 and later;
// 7.16 is the last version of coverage that supports 3.10.
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

// heavy are directories that contain no metadata of the project.
var heavy = []string{".git", ".venv", "venv", ".tox", ".nox", "**/node_modules", "**/__pycache__"}

// plan is the step, with what is known about the project before it runs.
type plan struct {
	in Input
	// source has the names of all files of the source.
	source  []string
	step    runner.Step
	project *pyenv.Project
	// built are the files that the project's own build adds.
	built *pyenv.Built
	// names are the files that are visible to the tests.
	names []string
	// sources are what coverage measures.
	sources []string
	// marker and paths select a category. If both are empty, nothing can match.
	marker  string
	paths   []string
	nothing bool
	// changes are the changed files that are visible to the tests; nil if changes do not select tests.
	changes *changes
	// controls is the plugin's input, if it needs any.
	controls []runner.Mount
}

// newPlan prepares the run. An error is a *verdict.Problem if the source is at fault.
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

// environment returns the project's environment with the test tools and the plugin.
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

// command returns the test command with options for the reports. If the command is not pytest but a program that runs it, the
// options are in the variable PYTEST_ADDOPTS.
func (p *plan) command(in Input) (args []string, addopts string) {
	options := []string{
		"-p", "openstack_rca_pytest",
		"--junitxml=" + path.Join(reportDir, junitFile),
		// The xunit1 family names each test's file; xunit2 does not.
		"-o", "junit_family=xunit1",
		// The output of a failed test belongs to its failure.
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
		// Paths replace those of the command. The default command's tests/ is dropped if the project has no such directory or
		// sets testpaths, so that pytest searches by its own rules.
		if !strings.HasPrefix(arg, "-") && (named && len(in.Paths) > 0 || isDefault && (!named || p.ownPaths())) {
			continue
		}
		args = append(args, arg)
	}
	return slices.Concat(args, options, in.Paths), ""
}

// ownPaths reports whether pytest's settings name existing test paths other than tests/.
func (p *plan) ownPaths() bool {
	return slices.ContainsFunc(p.project.Stated.Paths, func(name string) bool {
		return path.Clean(name) != "tests" && (strings.ContainsAny(name, "*?[") || p.exists(name))
	})
}

// measure returns the options for coverage. A shard only writes its data; the reports are made from the data of all shards.
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
		// The plugin writes the XML itself, with file names that do not depend on the sources.
		options = append(options, "--cov-report=html:"+path.Join(reportDir, htmlDir), "--cov-report=term")
	}
	// The floors are enforced here, on exact numbers.
	return append(options, "--cov-fail-under=0")
}

// both returns a marker expression that requires two others.
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

// exists reports whether an argument names a file, a directory or a test of the inputs.
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

// vars returns the environment variables of the tests. Addresses of services override the configuration, so that the tests
// never reach a real server that it names.
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
