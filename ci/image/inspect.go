package image

import (
	"context"
	_ "embed"
	"encoding/json"
	"strconv"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed scripts/inspect.py
var inspectScript string

// findings are what scripts/inspect.py prints.
type findings struct {
	Python    string   `json:"python"`
	Setuid    []string `json:"setuid"`
	Writable  []string `json:"writable"`
	Secrets   []string `json:"secrets"`
	Leftovers []string `json:"leftovers"`
	Tools     []string `json:"tools"`
	Modules   []string `json:"modules"`
	Error     string   `json:"error"`
}

// inspect looks through the files of the finished image. It runs inside of it, as root,
// because only there every file is seen as it will be.
func (s *session) inspect(ctx context.Context, image *dagger.Container, b *built) []*verdict.Problem {
	out, err := s.python(image.WithUser("0"), "inspect.py", inspectScript, AppDir, strconv.Itoa(s.in.Config.Image.User)).Stdout(ctx)
	if err != nil {
		return []*verdict.Problem{s.engineProblem(ctx, CodeBaseUnfit, "look through the image", err)}
	}
	var f findings
	if err := json.Unmarshal([]byte(out), &f); err != nil {
		return []*verdict.Problem{verdict.Problemf(CodeEngineFailed, "read what was found in the image: %v", err)}
	}
	return s.judgeFiles(f, b)
}

func (s *session) judgeFiles(f findings, b *built) []*verdict.Problem {
	var problems []*verdict.Problem
	find := func(code verdict.Code, what string, names []string) {
		s.stage.Gate(what, strconv.Itoa(len(names)), "0", len(names) == 0)
		if len(names) > 0 {
			problem := verdict.Problemf(code, "%s: %s", what, some(names, 5))
			problem.Details = names[:min(len(names), 200)]
			problems = append(problems, problem)
		}
	}
	find(CodeSetuid, "setuid or setgid files", f.Setuid)
	find(CodeWorldWritable, "world-writable files", f.Writable)
	find(CodeBuildTool, "installers and compilers", append(append([]string{}, f.Tools...), f.Modules...))
	find(CodeSecret, "files that look like secrets", append(append([]string{}, f.Secrets...), f.Leftovers...))
	if want := s.in.Config.Python; want != "" && f.Python != want {
		problems = append(problems, verdict.Problemf(CodeBaseUnfit, "%s has Python %s, the application is for %s", b.base, f.Python, want))
	}
	if f.Error != "" {
		problem := verdict.Problemf(CodeBaseUnfit, "python does not start in the image: %s", clip(oneLine(f.Error), 300))
		problems = append(problems, problem)
	}
	return problems
}

// score lets the model in the image score the golden sample, with the image's packages.
func (s *session) score(ctx context.Context, image *dagger.Container) []*verdict.Problem {
	command := s.in.Config.Train.ScoreCommand
	if len(command) == 0 || s.in.Model.Golden == "" {
		s.stage.Warn(WarnNotScored, "there is no golden sample or no command to score it")
		return nil
	}
	image = image.WithExec(command, dagger.ContainerWithExecOpts{Expect: dagger.ReturnTypeAny})
	code, err := image.ExitCode(ctx)
	if err != nil {
		return []*verdict.Problem{s.engineProblem(ctx, CodeGolden, "score the golden sample", err)}
	}
	s.stage.Gate("golden sample in the image", outcome(code), "equal", code == 0)
	if code == 0 {
		return nil
	}
	problem := verdict.Problemf(CodeGolden, "%s ended with exit code %d", strings.Join(command, " "), code)
	out, err := image.CombinedOutput(ctx)
	if err != nil {
		return []*verdict.Problem{problem, s.engineProblem(ctx, CodeEngineFailed, "read what scoring printed", err)}
	}
	problem.Details = lastLines(s.redact(out), logLines)
	return []*verdict.Problem{problem}
}

func outcome(code int) string {
	if code == 0 {
		return "equal"
	}
	return "exit code " + strconv.Itoa(code)
}

func some(names []string, n int) string {
	if len(names) <= n {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:n], ", ") + " and " + strconv.Itoa(len(names)-n) + " more"
}
