package image

import (
	"context"
	_ "embed"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed scripts/inspect.py
var inspectScript string

// findings are what scripts/inspect.py prints.
type findings struct {
	Python   string   `json:"python"`
	Platform string   `json:"platform"`
	Setuid   []string `json:"setuid"`
	// Packaged are those of Setuid that a package of the distribution brought, unchanged.
	Packaged  []string `json:"packaged"`
	Writable  []string `json:"writable"`
	Secrets   []string `json:"secrets"`
	Leftovers []string `json:"leftovers"`
	Tools     []string `json:"tools"`
	Modules   []string `json:"modules"`
	Caches    []string `json:"caches"`
	// HiddenCode and HiddenFiles are below a volume, which hides them in a running container.
	HiddenCode  []string `json:"hidden_code"`
	HiddenFiles []string `json:"hidden_files"`
	// Imports are the modules that were to import: "ok", "absent", or the error.
	Imports map[string]string `json:"imports"`
	Error   string            `json:"error"`
}

// inspector judges a finished image by its files and its configuration, without starting it
// as a service.
type inspector struct{ *session }

// inspect examines the files of the finished image. It runs in the image, as root, to see every
// file as it will be.
func (i inspector) inspect(ctx context.Context, image *dagger.Container, b *built) []*verdict.Problem {
	out, err := i.python(image.WithUser("0"), "inspect.py", inspectScript,
		slices.Concat([]string{i.appDir, strconv.Itoa(i.in.Config.Image.User)}, i.volumes(), []string{"--"}, i.imports())...).Stdout(ctx)
	if err != nil {
		return []*verdict.Problem{i.engineProblem(ctx, CodeBaseUnfit, "look through the image", err)}
	}
	var f findings
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		return []*verdict.Problem{verdict.Problemf(CodeEngineFailed, "read what was found in the image: %v", err)}
	}
	return i.judgeFiles(f, b)
}

// volumes are the mount points of the running image, here or on ECS.
func (i inspector) volumes() []string {
	all := slices.Clone(i.in.Config.Image.Volumes)
	for _, volume := range i.in.Config.Rollout.Volumes {
		if !slices.Contains(all, volume.Path) {
			all = append(all, volume.Path)
		}
	}
	return all
}

func (i inspector) judgeFiles(f findings, b *built) []*verdict.Problem {
	var problems []*verdict.Problem
	find := func(code verdict.Code, what string, names []string) {
		i.stage.Gate(what, strconv.Itoa(len(names)), "0", len(names) == 0)
		if len(names) > 0 {
			problem := verdict.Problemf(code, "%s: %s", what, some(names, 5))
			problem.Details = names[:min(len(names), 200)]
			problems = append(problems, problem)
		}
	}
	if i.in.Config.Image.Dockerfile != "" && len(f.Packaged) > 0 {
		// Each image that is made from a distribution's has them: su, mount and the like.
		i.stage.Warn(WarnSetuid, "%s", some(f.Packaged, 5))
		f.Setuid = slices.DeleteFunc(f.Setuid, func(name string) bool { return slices.Contains(f.Packaged, name) })
	}
	find(CodeSetuid, "setuid or setgid files", f.Setuid)
	find(CodeWorldWritable, "world-writable files", f.Writable)
	find(CodeHidden, "code that a volume hides", f.HiddenCode)
	if len(f.HiddenFiles) > 0 {
		i.stage.Warn(WarnHidden, "%s", some(f.HiddenFiles, 5))
	}
	tools := slices.Concat(f.Tools, f.Modules, f.Caches)
	if i.in.Config.Image.Dockerfile == "" {
		find(CodeBuildTool, "installers, compilers and caches", tools)
	} else if len(tools) > 0 {
		i.stage.Warn(WarnTools, "%s", some(tools, 10))
	}
	find(CodeSecret, "files that look like secrets", append(append([]string{}, f.Secrets...), f.Leftovers...))
	if want := i.in.Config.Python; want != "" && f.Python != want {
		problems = append(problems, verdict.Problemf(CodeBaseUnfit, "%s has Python %s, the application is for %s", b.base, f.Python, want))
	}
	if problem := i.judgePlatform("the image's python", f.Platform); problem != nil {
		problems = append(problems, problem)
	}
	problems = append(problems, i.judgeImports(f.Imports)...)
	if f.Error != "" {
		problem := verdict.Problemf(CodeBaseUnfit, "python does not start in the image: %s", clip(oneLine(f.Error), 300))
		problems = append(problems, problem)
	}
	return problems
}

// production is the default platform of images and tasks.
const production = "linux/amd64"

// judgePlatform compares the platform of an image, or of its programs, with the configured one.
// They differ if the base image has no index, because the engine then uses it for any platform,
// and if none is configured and the engine's own is not production's.
func (s *session) judgePlatform(what, got string) *verdict.Problem {
	want := s.in.Config.Image.Platform
	if want == "" && !s.in.Push.real() {
		return nil
	}
	if want == "" {
		want = production
	}
	if got == want {
		return nil
	}
	return verdict.Problemf(CodeWrongPlatform, "%s is for %s, wanted is %s", what, got, want)
}

// debugImports are those of the document's debug command:
// python -c "import tensorflow, mlflow, streamlit".
var debugImports = []string{"tensorflow", "mlflow", "streamlit"}

func (i inspector) imports() []string {
	if named := i.in.Config.Image.Imports; len(named) > 0 {
		return named
	}
	return debugImports
}

// judgeImports judges the imports: modules that pipeline.yaml names must import; those of
// debugImports only if they are installed, because serving may need fewer than training.
func (i inspector) judgeImports(found map[string]string) []*verdict.Problem {
	named := len(i.in.Config.Image.Imports) > 0
	var good, absent []string
	var problems []*verdict.Problem
	for _, module := range i.imports() {
		switch result := found[module]; {
		case result == "ok":
			good = append(good, module)
		case result == "absent" && !named:
			absent = append(absent, module)
		default:
			if result == "absent" || result == "" {
				result = "it is not installed"
			}
			problems = append(problems, verdict.Problemf(CodeImport, "import %s: %s", module, i.redact(clip(oneLine(result), 300))))
		}
	}
	value := strings.Join(good, ", ")
	if len(absent) > 0 {
		value += " (not installed: " + strings.Join(absent, ", ") + ")"
	}
	i.stage.Gate("imports in the image", strings.TrimSpace(value), "no error", len(problems) == 0)
	return problems
}

func some(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:n], ", ") + " and " + strconv.Itoa(len(names)-n) + " more"
}
