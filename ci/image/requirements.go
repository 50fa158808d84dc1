package image

import (
	"context"
	"path"
	"regexp"
	"slices"
	"strings"

	"dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// usual are the places where projects keep the requirements of serving, the most exact
// first. They are looked for when image.requirements names none.
var usual = []string{
	"requirements/serve.lock", "requirements/serve.txt", "requirements-serve.lock", "requirements-serve.txt",
	"requirements-docker.txt", "requirements.lock", "requirements.txt",
}

var (
	included = regexp.MustCompile(`(?m)^\s*(?:-r|-c|--requirement|--constraint)[\s=]+(\S+)`)
	hashed   = regexp.MustCompile(`--hash[=\s]`)
)

// requirements are the files that serving is installed from.
type requirements struct {
	// names are those that are installed, files these and all that they include.
	names, files []string
	// locked says that every package has a hash.
	locked bool
}

// findRequirements reads the requirement files of the source and what they include.
func findRequirements(ctx context.Context, source *dagger.Directory, named []string) (requirements, *verdict.Problem) {
	var r requirements
	look := func(name string) (bool, *verdict.Problem) {
		there, err := source.Exists(ctx, name)
		if err != nil {
			return false, unreadable(ctx, "look up "+name, err)
		}
		return there, nil
	}
	if r.names = cleaned(named); len(r.names) == 0 {
		for _, name := range usual {
			there, problem := look(name)
			if problem != nil {
				return r, problem
			}
			if there {
				r.names = []string{name}
				break
			}
		}
	}
	if len(r.names) == 0 {
		return r, verdict.Problemf(CodeRequirementsMissing, "none of %s is in the source", strings.Join(usual, ", "))
	}
	r.locked = true
	queue := slices.Clone(r.names)
	for i := 0; i < len(queue); i++ {
		name := queue[i]
		if slices.Contains(r.files, name) {
			continue
		}
		there, problem := look(name)
		if problem != nil {
			return r, problem
		}
		if !there || strings.HasPrefix(name, "..") {
			return r, verdict.Problemf(CodeRequirementsMissing, "%s is not in the source", name)
		}
		content, err := source.File(name).Contents(ctx)
		if err != nil {
			return r, unreadable(ctx, "read "+name, err)
		}
		r.files = append(r.files, name)
		if i < len(r.names) && !hashed.MatchString(content) {
			r.locked = false
		}
		for _, match := range included.FindAllStringSubmatch(content, -1) {
			if !strings.Contains(match[1], "://") {
				queue = append(queue, path.Join(path.Dir(name), match[1]))
			}
		}
	}
	return r, nil
}

// install is the command that installs them, run where files are.
func (r requirements) install() []string {
	command := []string{"uv", "pip", "install"}
	if r.locked {
		command = append(command, "--require-hashes")
	}
	for _, name := range r.names {
		command = append(command, "-r", name)
	}
	return command
}

func cleaned(names []string) []string {
	out := make([]string, len(names))
	for i, name := range names {
		out[i] = path.Clean(name)
	}
	return out
}

func unreadable(ctx context.Context, what string, err error) *verdict.Problem {
	if ctx.Err() != nil {
		return cancelled(ctx, what)
	}
	return verdict.Problemf(CodeSourceUnreadable, "%s: %v", what, err)
}

func cancelled(ctx context.Context, what string) *verdict.Problem {
	return verdict.Problemf(CodeCancelled, "%s was cancelled: %v", what, context.Cause(ctx))
}
