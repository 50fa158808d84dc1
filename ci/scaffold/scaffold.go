// Package scaffold proposes the first pipeline.yaml of a repository. It reads a project's files, runs nothing, and proposes
// only settings that differ from the defaults, each with its reason. What it cannot find out it lists, with what to write. It
// also has the files that run the pipeline in CI systems.
package scaffold

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Request configures a proposal.
type Request struct {
	// Source is the repository.
	Source runner.Files
	// Folder is the name of the repository's directory, for a project without a name. It may be empty.
	Folder string
	// CI is one of Systems, or empty.
	CI string
	// Version is the module version for the CI file, such as v1.2.0; empty means main.
	Version string
}

// Setting is a key of pipeline.yaml with a value that differs from the default.
type Setting struct {
	// Key is dotted: test.coverage.source. What follows policy. is a branch name, which may contain dots.
	Key string
	// Value is a string, list, number or boolean, written as YAML.
	Value any
	// Why is the reason: what in the repository requires it.
	Why string
	// unless is an existing setting that makes this one unnecessary, or empty.
	unless string
}

// path returns the keys that lead to the setting, from the root of pipeline.yaml.
func (s Setting) path() []string {
	if branch, is := strings.CutPrefix(s.Key, "policy."); is {
		return []string{"policy", branch}
	}
	return strings.Split(s.Key, ".")
}

// Unknown is something that the files do not reveal.
type Unknown struct {
	// What says what is missing and what to do about it.
	What, Next string
	// keys are settings, each of which answers it.
	keys []string
}

// Proposal is the result for a repository.
type Proposal struct {
	// Settings are in the order of the documentation of pipeline.yaml.
	Settings []Setting
	// Found are facts that need no setting.
	Found []string
	// Unknown is what could not be found out.
	Unknown []Unknown
	// Branch is the release branch.
	Branch string
	// CIPath and CIFile are the file for the requested CI system.
	CIPath, CIFile string
}

// Propose reads a repository. It returns an error if it cannot be read or the CI system is unknown.
func Propose(ctx context.Context, request Request) (*Proposal, error) {
	if request.CI != "" && !slices.Contains(Systems(), request.CI) {
		return nil, fmt.Errorf("--ci %s: want one of %s", request.CI, strings.Join(Systems(), ", "))
	}
	t, err := readTree(ctx, request.Source)
	if err != nil {
		return nil, err
	}
	s := &survey{ctx: ctx, tree: t, request: request, p: &Proposal{}}
	if err := errors.Join(s.run(), t.err); err != nil {
		return nil, err
	}
	s.leaveOutRefused()
	s.p.CIPath, s.p.CIFile = systemFile(request.CI, s.p.Branch, request.Version)
	return s.p, nil
}

// usualPython is for a project that names no Python: the newest releases of the frameworks need 3.11.
const usualPython = "3.11"

// survey is the state of one Propose.
type survey struct {
	ctx     context.Context //nolint:containedctx // that of the call
	tree    *tree
	request Request
	project *pyenv.Project
	python  string
	p       *Proposal
	// trains and serves are set if a training and an application were found.
	trains, serves bool
	// model is the model file, and trainFile the script that trains it; empty if unknown.
	model     literal
	trainFile string
}

func (s *survey) set(key string, value any, format string, args ...any) {
	s.p.Settings = append(s.p.Settings, Setting{Key: key, Value: value, Why: fmt.Sprintf(format, args...)})
}

func (s *survey) found(format string, args ...any) {
	s.p.Found = append(s.p.Found, fmt.Sprintf(format, args...))
}

// unknown adds an open question; keys are the settings that answer it, separated by spaces.
func (s *survey) unknown(keys, next, format string, args ...any) {
	s.p.Unknown = append(s.p.Unknown, Unknown{What: fmt.Sprintf(format, args...), Next: next, keys: strings.Fields(keys)})
}

func (s *survey) run() error {
	s.branch()
	if err := s.identity(); err != nil {
		return err
	}
	s.systemPackages()
	if err := s.tests(); err != nil {
		return err
	}
	learning{s}.training()
	serving{s}.find()
	s.policy()
	s.service()
	return nil
}

// identity finds the name, the Python version and the packages.
func (s *survey) identity() error {
	name := pyenv.ProjectName(s.ctx, s.request.Source)
	if name == "" {
		if name = slug(s.request.Folder); name != "" {
			s.set("name", name, "the folder's name: neither pyproject.toml nor setup.cfg nor setup.py has one")
		} else {
			s.unknown("name", "write `name: my-project`, or a name in pyproject.toml", "the project's name")
		}
	}
	python, from, err := pyenv.ChoosePython(s.ctx, s.request.Source)
	if err != nil {
		return err
	}
	if python == "" {
		python, from = s.tree.usedPython()
		if python == "" {
			python, from = usualPython, "no file names a version"
		}
		if !slices.Contains(config.Pythons, python) {
			s.unknown("python", "write `python` with one of them, such as "+usualPython+"; pinned packages may need newer versions, too",
				"a Python: it is %s by %s, and the pipeline has %s", python, from, strings.Join(config.Pythons, ", "))
			python, from = config.Default().Python, "the oldest that the pipeline has"
		}
		s.set("python", python, "%s; requires-python in pyproject.toml replaces this line", from)
	} else {
		s.found("Python %s, by %s", python, from)
	}
	s.python = python
	s.project, err = pyenv.Detect(s.ctx, s.request.Source, pyenv.Request{Stage: verdict.Test, Python: python})
	if err != nil {
		// The stage that needs the files reports what is wrong with them, with line numbers.
		s.unknown("", "correct the file, and call init again", "the packages: %v", err)
		s.project = &pyenv.Project{}
		return nil
	}
	if s.project.Kind != pyenv.None {
		s.found("packages from %s", s.project.Summary())
	} else if below := s.tree.projects(); len(below) > 0 {
		s.unknown("test.requirements train.requirements image.requirements",
			"for one of these folders alone, call init and the other commands with --source "+path.Dir(below[0])+
				"; for all, name the files in test.requirements, train.requirements and image.requirements",
			"what to install: packages are listed in %s, and not in the root", strings.Join(below, ", "))
	} else if used := s.tree.imports(); len(used) > 0 {
		s.unknown("test.requirements train.requirements image.requirements",
			"write them into requirements.txt, a line each; `uv pip compile --generate-hashes` makes a lock of it",
			"what to install: no file lists packages, and the code imports %s", strings.Join(used, ", "))
	}
	return nil
}

// policy leaves out stages that have nothing to do.
func (s *survey) policy() {
	stages := []string{verdict.Test, verdict.Audit}
	leaveOut := func(branch string, stages []string, unless, why string) {
		s.p.Settings = append(s.p.Settings, Setting{"policy." + branch, stages, why, unless})
	}
	switch {
	case !s.trains:
		leaveOut(s.p.Branch, stages, "train.command", "no training was found. Remove both lines when train.command has one")
		leaveOut("*", stages, "train.command", "pull requests and other branches, too")
	case !s.serves:
		leaveOut(s.p.Branch, []string{verdict.Test, verdict.Train, verdict.Audit, verdict.Publish}, "image.command",
			"nothing says how an application is started. Remove this line when image.command does")
	}
}

// leaveOutRefused drops proposals that pipeline.yaml would reject, such as a health path with a space, so that a run can read
// the file that init writes.
func (s *survey) leaveOutRefused() {
	var refused *config.Errors
	if _, err := config.Load([]byte(s.p.Config()), config.Sandbox); !errors.As(err, &refused) {
		return
	}
	for _, problem := range refused.Problems {
		s.p.Settings = slices.DeleteFunc(s.p.Settings, func(setting Setting) bool {
			rest, inside := strings.CutPrefix(problem.Key, setting.Key)
			if !inside || rest != "" && rest[0] != '[' && rest[0] != '.' {
				return false
			}
			s.unknown(setting.Key, "write "+setting.Key+" yourself", "a value for %s: %s", setting.Key, problem.Message)
			return true
		})
	}
}

// service points to import for an existing service.
func (s *survey) service() {
	for _, name := range s.tree.names {
		base := strings.ToLower(name[strings.LastIndex(name, "/")+1:])
		if strings.HasPrefix(base, "task") && strings.HasSuffix(base, ".json") && strings.Contains(s.tree.text(name), "containerDefinitions") {
			s.found("%s is a task definition of ECS: `import` writes the rollout section of a service that runs already", name)
			return
		}
	}
}

// slug converts text to a valid name.
func slug(text string) string {
	return strings.Trim(notInName.ReplaceAllString(strings.ToLower(text), "-"), "-.")
}
