package pipeline

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

var (
	paramName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,62}$`)
	// refName accepts the names of branches and tags that git allows, without characters that have a special meaning elsewhere.
	refName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/#+-]{0,254}$`)
	eventName  = regexp.MustCompile(`^[A-Za-z0-9_.-]{0,64}$`)
	commitName = regexp.MustCompile(`^[0-9a-f]{7,64}$`)
)

// arguments are the parsed arguments of a run.
type arguments struct {
	params     map[string]string
	commitTime time.Time
}

// parseArguments checks every text argument of a call and returns all problems at once.
func parseArguments(opts Options) (arguments, []*verdict.Problem) {
	parsed := arguments{params: map[string]string{}, commitTime: time.Unix(0, 0).UTC()}
	var problems []*verdict.Problem
	bad := func(format string, args ...any) {
		problems = append(problems, verdict.Problemf(CodeBadArgument, format, args...))
	}
	switch {
	case opts.Ref == "":
		problems = append(problems, verdict.Problemf(CodeRefMissing, "--environment %s needs --ref", opts.Environment))
	case !refName.MatchString(opts.Ref) || strings.Contains(opts.Ref, ".."):
		bad("--ref %q is not the name of a branch, tag or pull request", opts.Ref)
	}
	for _, branch := range opts.ReleaseBranches {
		if err := policy.CheckReleaseBranch(branch); err != nil {
			bad("--release-branch %v", err)
		}
	}
	if !eventName.MatchString(strings.TrimSpace(opts.Event)) {
		bad("--event %q is not the name of an event, such as push or pull_request", opts.Event)
	}
	if opts.Commit != "" && !commitName.MatchString(opts.Commit) {
		bad("--commit %q is not a revision in hexadecimal", opts.Commit)
	}
	if opts.CommitTime != "" {
		at, err := time.Parse(time.RFC3339, opts.CommitTime)
		if err != nil {
			bad("--commit-time %q is not a time in RFC 3339, such as 2026-01-31T12:00:00Z", opts.CommitTime)
		}
		parsed.commitTime = at.UTC()
	}
	oneOf(bad, "--python", opts.Python, config.Pythons)
	oneOf(bad, "--platform", opts.Platform, config.Platforms)
	for _, param := range opts.Train.Params {
		name, value, found := strings.Cut(param, "=")
		switch _, twice := parsed.params[name]; {
		case !found || !paramName.MatchString(name):
			bad("--param %q is not of the form key=value", param)
		case twice:
			bad("--param %s is given twice", name)
		default:
			parsed.params[name] = value
		}
	}
	opts.Test.check(bad)
	opts.Rollout.check(bad)
	if opts.Train.Threads < 0 {
		bad("--cpu-threads %d is negative", opts.Train.Threads)
	}
	if opts.Trained != nil && (opts.Data != nil || len(opts.Train.Params) > 0 || opts.Train.Twice) {
		bad("with --trained nothing is trained: --data, --param and --twice cannot change it")
	}
	return parsed, problems
}

// oneOf rejects a value outside a closed set. An empty value selects the default.
func oneOf[T ~string](bad func(format string, args ...any), flag string, value T, all []T) {
	if value == "" || slices.Contains(all, value) {
		return
	}
	names := make([]string, len(all))
	for i, one := range all {
		names[i] = string(one)
	}
	bad("%s %q is not one of %s", flag, value, strings.Join(names, ", "))
}
