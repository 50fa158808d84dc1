package train

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// usual are the places where projects keep the requirements of their training, the
// most exact first. They are looked for when train.requirements names none.
var usual = []string{
	"requirements/train.lock", "requirements/train.txt", "requirements-train.lock", "requirements-train.txt",
	"requirements.lock", "requirements.txt",
}

// maxRequirements is far above a lock file with hashes of a large environment (TensorFlow: 0.5 MB).
const maxRequirements = 16 << 20

var (
	included = regexp.MustCompile(`(?m)^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)`)
	// required is a line that names a package; a file without any has nothing to hash.
	required = regexp.MustCompile(`(?m)^\s*[A-Za-z0-9]`)
	hashed   = regexp.MustCompile(`--hash[=\s]`)
)

// environment describes the locked environment of the training, with all the files
// that the requirement files include. locked says whether all packages have hashes.
func environment(ctx context.Context, source runner.Files, python string, requirements []string) (env runner.Environment, locked bool, problem *verdict.Problem) {
	listed, err := source.List(ctx)
	if err != nil {
		return env, false, stepProblem(ctx, "list the source", err)
	}
	if len(requirements) == 0 {
		for _, name := range usual {
			if slices.Contains(listed, name) {
				requirements = []string{name}
				break
			}
		}
	}
	if len(requirements) == 0 {
		return env, false, verdict.Problemf(EnvMissing, "none of %s is in the source", strings.Join(usual, ", "))
	}
	files, locked := []string{}, true
	queue := slices.Clone(requirements)
	install := []string{"uv", "pip", "install"}
	for i := 0; i < len(queue); i++ {
		name := path.Clean(queue[i])
		if slices.Contains(files, name) {
			continue
		}
		content, err := source.Read(ctx, name, maxRequirements)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return env, false, verdict.Problemf(EnvMissing, "%s is not in the source", name)
		case err != nil:
			return env, false, stepProblem(ctx, "read "+name, err)
		}
		files = append(files, name)
		if required.Match(content) && !hashed.Match(content) {
			locked = false
		}
		for _, match := range included.FindAllStringSubmatch(string(content), -1) {
			if !strings.Contains(match[1], "://") {
				queue = append(queue, path.Join(path.Dir(name), match[1]))
			}
		}
	}
	if locked {
		install = append(install, "--require-hashes")
	}
	for _, name := range requirements {
		install = append(install, "-r", path.Clean(name))
	}
	return runner.Environment{Python: python, Files: source.Filter(escaped(files), nil), Install: [][]string{install}}, locked, nil
}

var special = regexp.MustCompile(`[*?\[\]{}\\!]`)

// escaped turns names into globs that match these names only.
func escaped(names []string) []string {
	globs := make([]string, len(names))
	for i, name := range names {
		globs[i] = special.ReplaceAllStringFunc(name, func(c string) string { return `\` + c })
	}
	return globs
}

// stepProblem explains why a step could not be run at all.
func stepProblem(ctx context.Context, what string, err error) *verdict.Problem {
	var environment *runner.EnvironmentError
	switch {
	case ctx.Err() != nil:
		return verdict.Problemf(Cancelled, "%s was cancelled: %v", what, context.Cause(ctx))
	case runner.Problem(err) != nil:
		return runner.Problem(err)
	case errors.As(err, &environment):
		problem := verdict.Problemf(EnvFailed, "%v", environment)
		problem.Details = lastLines(environment.Output, 20)
		return problem
	}
	return verdict.Problemf(RunnerFailed, "%s: %v", what, err)
}

// ended explains how a command that did not end well did end.
func ended(result *runner.Result, limit fmt.Stringer) string {
	switch {
	case result.TimedOut:
		return fmt.Sprintf("was ended after its time limit of %s", limit)
	case result.ExitCode == 137:
		return "was killed by signal 9, most often for want of memory"
	case result.ExitCode > 128 && result.ExitCode < 160:
		return fmt.Sprintf("was ended by signal %d", result.ExitCode-128)
	}
	return fmt.Sprintf("ended with exit code %d", result.ExitCode)
}

// lastLines are the last n lines of text that are not blank.
func lastLines(text string, n int) []string {
	lines := slices.DeleteFunc(strings.Split(text, "\n"), func(line string) bool { return strings.TrimSpace(line) == "" })
	for i, line := range lines {
		lines[i] = clip(strings.TrimRight(line, "\r "), 500)
	}
	return lines[max(0, len(lines)-n):]
}

// said is the end of what a command printed, its errors last.
func said(result *runner.Result) []string {
	if errs := lastLines(result.Stderr, 15); len(errs) > 0 {
		return append(lastLines(result.Stdout, 10), errs...)
	}
	return lastLines(result.Stdout, 20)
}

// reason is the one line of a command's output that most likely says what went wrong.
func reason(result *runner.Result) string {
	lines := append(lastLines(result.Stdout, 100), lastLines(result.Stderr, 100)...)
	for i := len(lines) - 1; i >= 0; i-- {
		line := strings.TrimSpace(lines[i])
		if lower := strings.ToLower(line); strings.HasPrefix(lower, "error:") || strings.Contains(lower, "error: ") || strings.Contains(lower, "exception") {
			return clip(line, 300)
		}
	}
	if len(lines) == 0 {
		return "it printed nothing"
	}
	return clip(strings.TrimSpace(lines[len(lines)-1]), 300)
}

// clip shortens text to at most n bytes, at a rune's border.
func clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "..."
}
