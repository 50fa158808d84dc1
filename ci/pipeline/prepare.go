package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// maxConfig limits the size of pipeline.yaml before it is parsed.
const maxConfig = 1 << 20

// prepare fills in the environment's defaults, checks the arguments, the configuration and the source, and decides which
// stages run. If anything is wrong, the returned run is already refused.
func prepare(ctx context.Context, backend Backend, opts Options) *state {
	assumed := opts.Ref == "" && opts.AssumesRef()
	opts = opts.withDefaults()
	s := &state{call: &call{backend: backend, opts: opts}, started: time.Now(), progress: progress{tell: opts.Progress}}
	s.outcome.Image = opts.Image
	redact, unmasked := opts.redactor(ctx)
	s.run = &verdict.Run{
		Environment: opts.Environment, Ref: opts.Ref, Commit: opts.Commit, Module: opts.Module,
		Runner: backend.Runner.Name(), Started: s.started.UTC(), Redact: redact,
	}
	if live, ok := backend.Runner.(runner.Talkative); ok {
		live.Redact(redact)
	}
	if len(unmasked) > 0 {
		s.run.Warn(CodeNotMasked, "%s: shorter than %d bytes", strings.Join(unmasked, ", "), verdict.ShortestMasked)
	}
	if assumed {
		s.run.Remark(CodeRefAssumed, "the call names no branch, tag or pull request; %s, %s is assumed", opts.alone(), opts.Ref)
	}
	if n := len(opts.Uncommitted); n > 0 {
		s.run.Warn(CodeSourceModified, "%s not as in the commit, which is therefore not named: %s", safetext.Count(n, "file is", "files are"),
			strings.Join(opts.Uncommitted[:min(n, 5)], ", "))
	}
	if policy.ParseRef("x", opts.Event).Kind == policy.Unknown {
		s.run.Warn(CodeEventUnknown, "--event %s", opts.Event)
	}
	var problems, more []*verdict.Problem
	s.args, problems = parseArguments(opts)
	problems = append(problems, opts.Refused...)
	s.cfg, more = configure(ctx, backend, opts.Environment)
	if len(more) == 0 && !opts.sourceless {
		more = partOnly(ctx, backend)
	}
	if len(more) == 0 && !opts.sourceless {
		s.files, more = checkSource(ctx, backend, s.cfg, opts.Test.Paths)
	}
	if problems = append(problems, more...); len(problems) > 0 {
		s.run.Refuse(problems...)
		return s
	}
	if err := choosePython(ctx, backend.Source, &s.cfg, opts.Python); err != nil {
		s.run.Refuse(verdict.Problemf(CodeSourceUnreadable, "%v", err))
		return s
	}
	if second := secondConfig(s.files); second != "" {
		s.run.Warn(CodeConfigMisnamed, "%s is not read; only %s beside it is", second, config.FileName)
		s.run.Warnings[len(s.run.Warnings)-1].Next = fmt.Sprintf("move the settings of %s into %s and delete it, unless it belongs to "+
			"another tool", second, config.FileName)
	}
	if opts.Platform != "" {
		s.cfg.Image.Platform = opts.Platform
	}
	if coverage := &s.cfg.Test.Coverage; opts.measures {
		coverage.Total, coverage.Branch, coverage.Critical, coverage.Model = 0, 0, config.Floor{}, config.Floor{}
	}
	s.run.Application = s.cfg.Name
	tree, err := backend.Source.Filter(nil, s.cfg.Exclude).Digest(ctx)
	if err != nil {
		s.run.Refuse(verdict.Problemf(CodeSourceUnreadable, "digest source: %v", err))
		return s
	}
	s.run.Tree = tree
	s.gate = policy.NewGate(s.cfg, opts.request(backend))
	return s
}

func (o Options) withDefaults() Options {
	if o.Environment == "" {
		o.Environment = rollout.Sandbox
	}
	if o.Ref == "" && o.AssumesRef() {
		o.Ref, o.Rollout.localOnly = policy.ReleaseBranch, !o.sandbox()
	}
	if o.Module == "" {
		o.Module = Version
	}
	return o
}

// request is the policy's input.
func (o Options) request(backend Backend) policy.Request {
	return policy.Request{
		Ref: o.Ref, Environment: o.Environment, Runner: backend.Runner.Name(), Event: o.Event,
		ReleaseBranches: o.ReleaseBranches, Image: o.Image != "",
		Part:   !o.wants(verdict.Deploy),
		Attest: o.Attest.signs(),
		Scan:   len(o.Stages) == 1 && o.Stages[0] == verdict.Scan,
		Audit:  len(o.Stages) == 1 && o.Stages[0] == verdict.Audit,
	}
}

// configure reads pipeline.yaml for an environment and returns all problems at once, as problems of the preflight.
func configure(ctx context.Context, backend Backend, environment string) (config.Config, []*verdict.Problem) {
	one := func(code verdict.Code, format string, args ...any) (config.Config, []*verdict.Problem) {
		return config.Config{}, []*verdict.Problem{verdict.Problemf(code, format, args...)}
	}
	// The list is needed later anyway, and saves a request for a missing file.
	files, err := backend.Source.List(ctx)
	var content []byte
	if err == nil {
		var names []string
		if names, err = rootEntries(ctx, backend, files); err == nil {
			if misnamed := misnamedConfig(names); misnamed != "" {
				return one(CodeConfigMisnamed, "%s", misnamed)
			}
			content, err = backend.Source.Read(ctx, config.FileName, maxConfig)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		content = nil
	case errors.Is(err, runner.ErrTooLarge):
		return one(config.CodeInvalid, "%s is larger than %d bytes", config.FileName, maxConfig)
	case err != nil:
		problem := unreadableSource(err)
		problem.Cause = unread(config.FileName, err)
		return config.Config{}, []*verdict.Problem{problem}
	}
	cfg, err := config.Load(content, environment)
	if err == nil {
		leaveOut(&cfg, files)
		if !cfg.NameSet {
			cfg.NameAfter(pyenv.ProjectName(ctx, backend.Source))
		}
		return cfg, nil
	}
	var all *config.Errors
	if !errors.As(err, &all) {
		return one(config.CodeInvalid, "%v", err)
	}
	var problems []*verdict.Problem
	for _, found := range all.Problems {
		problems = append(problems, verdict.Problemf(config.CodeInvalid, "%s", found))
	}
	return config.Config{}, problems
}

// partOnly reports a source that is a subdirectory of a project: without the project's pipeline.yaml the defaults would be
// used.
func partOnly(ctx context.Context, backend Backend) []*verdict.Problem {
	if backend.Above == nil {
		return nil
	}
	if _, err := backend.Source.Read(ctx, config.FileName, 0); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	above := backend.Above()
	if above == "" {
		return nil
	}
	problem := verdict.Problemf(CodeConfigAbove, "pipeline.yaml is in %s, and the source is a folder of that project", above)
	problem.Next = fmt.Sprintf("Give --source %s, or change to that folder. A folder that is a project of its own takes a pipeline.yaml, "+
		"which may be empty", runner.Typed(above))
	return []*verdict.Problem{problem}
}

// rootEntries lists the root directory of the source, as far as the backend supports that.
func rootEntries(ctx context.Context, backend Backend, files []string) ([]string, error) {
	if backend.Root != nil {
		return backend.Root(ctx)
	}
	var names []string
	for _, name := range files {
		if before, _, below := strings.Cut(name, "/"); below {
			name = before + "/"
		}
		names = append(names, name)
	}
	return names, nil
}

// misnamedConfig returns a file of the root that was probably meant to be pipeline.yaml. Its settings may be stricter than
// the defaults, so they must not be ignored silently.
func misnamedConfig(names []string) string {
	if slices.Contains(names, config.FileName) {
		return ""
	}
	for _, name := range names {
		plain := strings.TrimSuffix(name, "/")
		switch {
		case plain == config.FileName:
			return name + " is a directory, where a file is read"
		case plain == name && isConfigName(name):
			return name + " is not read; only " + config.FileName + " is"
		}
	}
	return ""
}

// secondConfig returns a file beside pipeline.yaml that was possibly meant instead.
func secondConfig(names []string) string {
	for _, name := range names {
		if name != config.FileName && isConfigName(name) && slices.Contains(names, config.FileName) {
			return name
		}
	}
	return ""
}

// isConfigName reports whether a name looks like pipeline.yaml with a usual mistake, such as .pipeline.yaml or
// pipeline.yaml.txt.
func isConfigName(name string) bool {
	lower := strings.TrimSuffix(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(name)), "."), ".txt")
	return lower == config.FileName || lower == "pipeline.yml"
}

// checkSource finds files that no stage could use within seconds, before environments are installed.
func checkSource(ctx context.Context, backend Backend, cfg config.Config, paths []string) ([]string, []*verdict.Problem) {
	names, problem := listSource(ctx, backend, cfg)
	if problem != nil {
		return nil, []*verdict.Problem{problem}
	}
	if len(names) == 0 {
		return nil, []*verdict.Problem{verdict.Problemf(CodeSourceEmpty, "it has no file besides what pipeline.yaml excludes")}
	}
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, ".py") }) {
		return nil, []*verdict.Problem{verdict.Problemf(CodeSourceNotPython, "none of its %d files ends in .py", len(names))}
	}
	return names, checkPaths(names, paths)
}

// listSource lists the files that stages may see, or reports those that no stage could use.
func listSource(ctx context.Context, backend Backend, cfg config.Config) ([]string, *verdict.Problem) {
	var unusable error
	if backend.Unusable != nil {
		unusable = backend.Unusable(ctx, cfg.Exclude)
	}
	names, err := backend.Source.Filter(nil, cfg.Exclude).List(ctx)
	if err = errors.Join(unusable, err); err == nil {
		return names, nil
	}
	return nil, unreadableSource(err)
}

// unreadableSource reports a source that cannot be read. Its remedy names the file at fault.
func unreadableSource(err error) *verdict.Problem {
	problem := verdict.Problemf(CodeSourceUnreadable, "%v", err)
	var entry *runner.FileError
	switch {
	case !errors.As(err, &entry):
	case entry.Path == config.FileName:
		problem.Next = "make " + config.FileName + " a file of the source"
	default:
		problem.Next = fmt.Sprintf("make %s a file or directory of the source, or leave it out: exclude: [%q] in %s (a list there replaces "+
			"the default one)", entry.Path, glob.Escape(entry.Path), config.FileName)
	}
	return problem
}

// leaveOut excludes what belongs to one machine: virtual environments, whose links lead out of the source, and reports of
// earlier runs, which would make every run see a different source.
func leaveOut(cfg *config.Config, files []string) {
	cfg.Exclude = append(cfg.Exclude, glob.EscapeAll(slices.Concat(pyenv.Virtual(files), verdict.ReportDirs(files)))...)
}

// checkPaths reports test paths that do not exist in the source. It ignores what follows "::", which pytest resolves.
func checkPaths(names, paths []string) []*verdict.Problem {
	var problems []*verdict.Problem
	for _, given := range paths {
		file, _, _ := strings.Cut(given, "::")
		wanted := path.Clean(file)
		if wanted == "." || slices.ContainsFunc(names, func(name string) bool { return name == wanted || strings.HasPrefix(name, wanted+"/") }) {
			continue
		}
		meant := ""
		if i := slices.IndexFunc(names, func(name string) bool { return path.Base(name) == path.Base(wanted) }); i >= 0 {
			meant = "; there is " + names[i]
		} else if path.IsAbs(file) {
			meant = "; it is given relative to the root of the source"
		}
		problems = append(problems, verdict.Problemf(CodeBadArgument, "--path %s: the source has no such file or directory%s", given, meant))
	}
	return problems
}
