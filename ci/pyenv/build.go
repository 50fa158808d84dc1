package pyenv

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

//go:embed python/openstack_rca_build.py
var buildScript []byte

// BuildMode says whether a project is built by its own backend.
type BuildMode string

// Values of test.build in pipeline.yaml.
const (
	// BuildAuto builds a project that is a package. If the build fails, it uses the plain source, with a warning.
	BuildAuto BuildMode = "auto"
	// BuildAlways makes a failed build a problem.
	BuildAlways BuildMode = "always"
	// BuildNever uses the plain source.
	BuildNever BuildMode = "never"
)

const (
	// hooksVersion is the version of the library that calls build backends, tomliVersion that of the TOML parser for Python
	// 3.10.
	hooksVersion, tomliVersion = "1.2.0", "2.2.1"
	// projectDir is where the results of builds are, in the working directory.
	projectDir = ".openstack-rca/project"
	buildFile  = "openstack_rca_build.py"
	buildLimit = 20 * time.Minute
	// maxBuildSaid limits how much of a build's output a warning repeats, in bytes from the end.
	maxBuildSaid = 400
	maxDescribe  = 1 << 20
)

// BuildRequest configures how the project is built.
type BuildRequest struct {
	// Mode defaults to BuildAuto.
	Mode BuildMode
	// Exclude are globs of files that are hidden from all stages.
	Exclude []string
	// Vars are additional environment variables of the build; they override those set here.
	Vars map[string]string
}

// Built is what a stage needs to import the source's packages.
type Built struct {
	// Mounts are mounted into the working directory, over the source.
	Mounts []runner.Mount
	// PythonPath and Path are directories of the working directory to add to these variables, in order.
	PythonPath, Path []string
	// Packages are the topmost source directories with modules of the built packages.
	Packages []string
	// Generated are the files that the build adds to the source, such as version files.
	Generated []string
	// Findings are warnings; Failure is set if a build failed that BuildAlways requires.
	Findings []Finding
	Failure  error
	// Summary describes in one line what was built, or is empty.
	Summary string
}

// Over returns a source tree with the files that the build added.
func (b *Built) Over(source runner.Files) runner.Files {
	for _, mount := range b.Mounts {
		source = source.With(mount.Path, mount.Files)
	}
	return source
}

// Use lets a step whose working directory has the tree from Over import the packages.
func (b *Built) Use(step runner.Step) runner.Step {
	step.Path, step.PythonPath = b.Path, b.PythonPath
	return step
}

// Build builds the source's packages with their own backends, in an environment of their own and as one step of the runner.
// What a build adds to the source (version files, compiled modules, metadata, commands) is returned in Mounts. The modules
// stay in the source, so that coverage counts its files. A failed build is a finding; the error is for a step that could not
// run.
func (p *Project) Build(ctx context.Context, r runner.Runner, source runner.Files, request BuildRequest) (*Built, error) {
	plain := &Built{PythonPath: p.PythonPath()}
	if len(p.locals) == 0 {
		return plain, nil
	}
	if request.Mode == BuildNever {
		return p.unbuilt(r, plain), nil
	}
	step := p.buildStep(r, source, request)
	result, err := r.Run(ctx, step)
	var environment *runner.EnvironmentError
	switch {
	case errors.As(err, &environment) && ctx.Err() == nil:
		return p.failed(r, plain, request, ".", environment.Error(), environment.Output), nil
	case err != nil:
		return nil, fmt.Errorf("build the project: %w", err)
	case result.ExitCode != 0 || result.TimedOut:
		cause := fmt.Sprintf("the build ended with exit code %d", result.ExitCode)
		if result.TimedOut {
			cause = fmt.Sprintf("the build did not end within %s", buildLimit)
		}
		return p.failed(r, plain, request, ".", cause, result.Stderr), nil
	}
	return p.collect(ctx, r, result.Outputs, request)
}

// compiled are files and requirements that need a compiler.
var (
	compiledFiles    = regexp.MustCompile(`\.(?:c|cc|cpp|cxx|pyx|f90|rs)$|(?:^|/)(?:meson\.build|CMakeLists\.txt)$`)
	compiledRequires = regexp.MustCompile(`(?i)^(?:cython|meson-python|scikit-build|scikit-build-core|pybind11|cffi|nanobind|` +
		`maturin|setuptools-rust)\b`)
)

func (p *Project) buildStep(r runner.Runner, source runner.Files, request BuildRequest) runner.Step {
	script := r.NewFiles(map[string][]byte{buildFile: buildScript})
	var globs []string
	for _, dir := range p.locals {
		for _, pattern := range buildFiles {
			globs = append(globs, in(glob.Escape(dir), pattern))
		}
	}
	// A build needs the readme and the licence, which are hidden from the stages.
	described := source.Filter(globs, heavy)
	version := p.versionFor(request.Vars)
	if infos := p.infos(version); len(infos) > 0 {
		described = described.With(".", r.NewFiles(infos))
	}
	seen := source.Filter(nil, slices.Concat(heavy, request.Exclude, []string{path.Dir(projectDir)})).With(".", described)
	install := append([]string{"uv", "pip", "install", "--quiet", "pyproject-hooks==" + hooksVersion}, p.requires...)
	if p.Python == "3.10" {
		install = append(install, "tomli=="+tomliVersion)
	}
	vars := map[string]string{}
	if len(p.scm) > 0 {
		for _, pair := range versions(version) {
			name, value, _ := strings.Cut(pair, "=")
			vars[name] = value
		}
	}
	maps.Copy(vars, request.Vars)
	requires := append([]string{"python", buildFile, "requires"}, p.locals...)
	if len(p.scm) > 0 {
		requires = append(append([]string{"env"}, versions(version)...), requires...)
	}
	return runner.Step{
		Name: "build",
		Env: runner.Environment{
			Python: p.Python, System: p.System, Compiler: p.compiled || slices.ContainsFunc(p.requires, compiledRequires.MatchString),
			Files: described.With(".", script), Install: [][]string{install, requires},
		},
		Inputs:  []runner.Mount{{Path: ".", Files: seen}, {Path: path.Dir(projectDir), Files: script}},
		Args:    append([]string{"python", path.Join(path.Dir(projectDir), buildFile), "build"}, p.locals...),
		Vars:    vars,
		Outputs: []string{projectDir},
		Timeout: buildLimit,
	}
}

// failed returns what is available of a project whose build failed.
func (p *Project) failed(r runner.Runner, plain *Built, request BuildRequest, dir, cause, output string) *Built {
	if said := buildSaid(output); said != "" {
		cause += ": " + said
	}
	b := p.unbuilt(r, plain)
	b.notBuilt(p, request, dir, cause)
	return b
}

// frame matches the lines of a traceback that show locations.
var frame = regexp.MustCompile(`^\s*(?:File "[^"]*", line \d+|Traceback \(most recent|[\^~ ]+$)`)

// says matches the first line of an error of setuptools or of an exception.
var says = regexp.MustCompile(`^\s*(?:error|[\w.]+(?:Error|Exception)): \S`)

// lastIndex returns the index of the last matching line, or -1.
func lastIndex(lines []string, pattern *regexp.Regexp) int {
	for i, line := range slices.Backward(lines) {
		if pattern.MatchString(line) {
			return i
		}
	}
	return -1
}

// buildSaid returns the last lines of a build that explain its failure, without the frames of a traceback.
func buildSaid(output string) string {
	var said []string
	lines := safetext.LastLines(output, 15)
	skip := len(lines) == 15 && strings.HasPrefix(lines[0], "    ") && slices.ContainsFunc(lines, frame.MatchString)
	for _, line := range lines {
		switch at := frame.MatchString(line); {
		case at:
			skip = strings.Contains(line, "File ")
		case skip:
			skip = false // the source line of the frame
		default:
			said = append(said, line)
		}
	}
	if at := lastIndex(said, says); at >= 0 { // the lines after an error explain it, so their start matters
		for said = said[at:]; len(said) > 1 && len(strings.Join(said, " | ")) > maxBuildSaid; {
			said = said[:len(said)-1]
		}
		return strings.Join(said, " | ")
	}
	for length := len(strings.Join(said, " | ")); len(said) > 1 && length > maxBuildSaid; said = said[1:] {
		length -= len(said[0]) + len(" | ")
	}
	return strings.Join(said, " | ")
}

func (b *Built) notBuilt(p *Project, request BuildRequest, dir, cause string) {
	name := "the source"
	if dir != "." {
		name = dir
	}
	if request.Mode == BuildAlways {
		b.Failure = fmt.Errorf("%s was not built: %s", name, cause)
		return
	}
	b.Findings = append(b.Findings, Finding{Code: For(p.Stage, ProjectNotBuilt), Cause: fmt.Sprintf("%s was not built: %s", name, cause)})
}

// moved warns about modules that the package has under other names than the source, because a copy of them runs.
func (b *Built) moved(stage string, project described) {
	if len(project.Elsewhere) == 0 {
		return
	}
	cause := fmt.Sprintf("the build of %s puts %s where the source has no such file", project.Name, some(project.Elsewhere, 5))
	b.Findings = append(b.Findings, Finding{Code: For(stage, ModulesMoved), Cause: cause})
}

// some lists the first n names and the number of the others.
func some(all []string, n int) string {
	text := strings.Join(all[:min(n, len(all))], ", ")
	if more := len(all) - n; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// unbuilt uses the plain source, with the metadata that is known without a build.
func (p *Project) unbuilt(r runner.Runner, b *Built) *Built {
	for _, dir := range p.locals {
		if dir != "." {
			b.PythonPath = append(b.PythonPath, p.rootOf(dir))
		}
	}
	files := p.describe()
	if len(files) == 0 {
		return b
	}
	b.Mounts = append(b.Mounts, runner.Mount{Path: path.Join(projectDir, "site"), Files: r.NewFiles(files)})
	b.PythonPath = append(b.PythonPath, path.Join(projectDir, "site"))
	return b
}

// rootOf returns the directory that probably contains a package directory's modules.
func (p *Project) rootOf(dir string) string {
	if slices.Contains(p.srcs, dir) {
		return in(dir, "src")
	}
	return dir
}

// describe returns the project's metadata as far as its files state it.
func (p *Project) describe() map[string][]byte {
	if !p.Package || p.Name == "" {
		return nil
	}
	version := p.Version
	if version == "" {
		version = "0.0.0"
	}
	info := strings.ReplaceAll(p.Name, "-", "_") + "-" + version + ".dist-info/"
	var points strings.Builder
	for _, group := range slices.Sorted(maps.Keys(p.EntryPoints)) {
		fmt.Fprintf(&points, "[%s]\n", group)
		for _, name := range slices.Sorted(maps.Keys(p.EntryPoints[group])) {
			fmt.Fprintf(&points, "%s = %s\n", name, p.EntryPoints[group][name])
		}
	}
	return map[string][]byte{
		info + "METADATA":         fmt.Appendf(nil, "Metadata-Version: 2.1\nName: %s\nVersion: %s\n", p.Name, version),
		info + "INSTALLER":        []byte("openstack-rca\n"),
		info + "entry_points.txt": []byte(points.String()),
	}
}

// described is what a build recorded about one package.
type described struct {
	Dir, Name, Version         string
	Roots, Packages, Elsewhere []string
	Error                      string
}

// collect reads what the build recorded.
func (p *Project) collect(ctx context.Context, r runner.Runner, left runner.Files, request BuildRequest) (*Built, error) {
	out := left.Sub(projectDir)
	content, err := out.Read(ctx, "project.json", maxDescribe)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read what the build left: %w", err)
	}
	var all struct{ Projects []described }
	if err == nil {
		err = json.Unmarshal(content, &all)
	}
	if err != nil {
		return p.failed(r, &Built{PythonPath: p.PythonPath()}, request, ".", "the build left no readable description", err.Error()), nil
	}
	names, err := out.List(ctx)
	if err != nil {
		return nil, fmt.Errorf("read what the build left: %w", err)
	}
	holds := func(dir string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, dir+"/") })
	}
	b := &Built{Mounts: []runner.Mount{{Path: projectDir, Files: out.Filter([]string{"site", "bin"}, nil)}}}
	if holds("source") {
		b.Mounts = append(b.Mounts, runner.Mount{Path: ".", Files: out.Sub("source")})
		for _, name := range names {
			if generated, is := strings.CutPrefix(name, "source/"); is {
				b.Generated = append(b.Generated, generated)
			}
		}
	}
	if holds("bin") {
		b.Path = []string{path.Join(projectDir, "bin")}
	}
	var built []string
	for _, project := range all.Projects {
		roots := project.Roots
		if project.Error != "" {
			b.notBuilt(p, request, project.Dir, buildSaid(project.Error))
			if roots = p.PythonPath(); project.Dir != "." {
				roots = []string{p.rootOf(project.Dir)}
			} else if files := p.describe(); len(files) > 0 {
				b.Mounts = append(b.Mounts, runner.Mount{Path: path.Join(projectDir, "site"), Files: r.NewFiles(files)})
			}
		} else {
			built = append(built, project.Name+" "+project.Version)
			b.moved(p.Stage, project)
		}
		b.judgeVersion(p, project, request.Vars)
		for _, dir := range project.Packages {
			if fs.ValidPath(dir) {
				b.Packages = append(b.Packages, dir)
			}
		}
		for _, root := range roots {
			if fs.ValidPath(root) && !slices.Contains(b.PythonPath, root) {
				b.PythonPath = append(b.PythonPath, root)
			}
		}
	}
	b.PythonPath = append(b.PythonPath, path.Join(projectDir, "site"))
	b.Summary = strings.Join(built, ", ")
	return b, nil
}
