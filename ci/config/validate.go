package config

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Platforms are those that an image can be for.
var Platforms = []string{"linux/amd64", "linux/arm64"}

var (
	// plainName is what may become a part of an S3 key, an image name or an AWS name.
	plainName       = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	environmentName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	variableName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	pythonVersion   = regexp.MustCompile(`^3\.(10|11|12|13|14)$`)
	placeholder     = regexp.MustCompile(`\{\{[^{}]*\}\}`)
	// className is a Keras layer's class, with its module or without.
	className = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.>]*$`)
	urlPath   = regexp.MustCompile(`^/[A-Za-z0-9._~!$&'()*+,;=:@%/?-]*$`)
	// experimentName keeps to what may also be a part of a registered model's name,
	// which MLflow forbids to hold '/' and ':'.
	experimentName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,199}$`)
	// imageName is [registry[:port]/]path without tag and digest, as the OCI
	// distribution specification has it.
	imageName = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	// imageReference is imageName with a tag, a digest or both.
	imageTail = regexp.MustCompile(`^(.*?)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)
	// moduleName is the dotted name of a Python module, stageName a stage of a Dockerfile.
	moduleName = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)
	stageName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	// s3Root is s3://bucket[/prefix], the bucket by the rules of S3.
	s3Root = regexp.MustCompile(`^s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()=-]+)*)/?$`)
	// secretName is a variable that by its name holds a secret; liveSecret is what such
	// a value looks like.
	secretName = regexp.MustCompile(`(?i)(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY(_ID)?|PRIVATE_KEY|CREDENTIALS?)(_|$)`)
	liveSecret = regexp.MustCompile(`\b(AKIA|ASIA)[A-Z0-9]{16}\b|\bsk-ant-[A-Za-z0-9_-]{8}|\bgh[pousr]_[A-Za-z0-9]{20}|-----BEGIN [A-Z ]*PRIVATE KEY-----|://[^/\s:@]+:[^/\s@]+@`)
)

// fractionMetrics are between 0 and 1 by their definition.
var fractionMetrics = regexp.MustCompile(`(^|_)(accuracy|acc|precision|recall|f1|auc)(_|$)`)

// validator collects what is impossible in a configuration.
type validator struct {
	places   map[string]place
	problems []Problem
}

// validate returns what no run could use. The places say where the keys stand; a key that
// is in no file has its default.
func validate(c Config, places map[string]place) []Problem {
	v := &validator{places: places}
	v.name("name", c.Name)
	if !pythonVersion.MatchString(c.Python) {
		hint := ""
		if c.Python == "3.1" {
			hint = "; \"3.1\" in quotes is not 3.10"
		}
		v.bad("python", "%q is not one of 3.10, 3.11, 3.12, 3.13, 3.14%s", c.Python, hint)
	}
	v.globs("exclude", c.Exclude)
	v.test(c.Test)
	v.train(c.Train)
	v.publish(c.Publish)
	v.image(c.Image)
	v.rollout(c.Rollout)
	v.policy(c.Policy)
	return v.problems
}

// bad records a problem at the key, or at the nearest of its parents that is in the file.
func (v *validator) bad(key, format string, args ...any) {
	p := Problem{File: FileName, Key: key, Message: fmt.Sprintf(format, args...)}
	for at := key; at != ""; at = parent(at) {
		if where, known := v.places[at]; known {
			p.Line, p.Column = where.line, where.column
			p.Key = strings.TrimSuffix(where.key, at) + key
			break
		}
	}
	v.problems = append(v.problems, p)
}

func parent(key string) string { return key[:max(0, strings.LastIndexAny(key, ".["))] }

// nearest is the first of the keys that is in the file: of two that do not fit together
// it is the one to talk about.
func (v *validator) nearest(keys ...string) string {
	for _, key := range keys {
		if _, known := v.places[key]; known {
			return key
		}
	}
	return keys[0]
}

func (v *validator) test(t Test) {
	v.paths("test.requirements", t.Requirements)
	if !slices.Contains(BuildModes, t.Build) {
		v.bad("test.build", "%q is not one of %s", t.Build, strings.Join(BuildModes, ", "))
	}
	v.selection("test.inputs", t.Inputs)
	v.command("test.command", t.Command, true)
	v.vars("test.vars", t.Vars, false)
	v.duration("test.timeout", t.Timeout, time.Second, 24*time.Hour)
	if t.MinTests < 0 {
		v.bad("test.min_tests", "%d is below 0, which means no floor", t.MinTests)
	}
	names := map[string]bool{}
	for i, c := range t.Categories {
		at := fmt.Sprintf("test.categories[%d]", i)
		v.text(at+".name", c.Name, 60)
		if names[c.Name] {
			v.bad(at+".name", "%q is a category already", c.Name)
		}
		names[c.Name] = true
		if len(c.Paths) == 0 && c.Marker == "" {
			v.bad(at+".paths", "no paths; a category is a list of globs of test files, or a marker")
		}
		if c.Marker != "" && !variableName.MatchString(c.Marker) {
			v.bad(at+".marker", "%q is not the name of a mark, such as slow", c.Marker)
		}
		v.globs(at+".paths", c.Paths)
	}
	if len(t.Coverage.Source) == 0 {
		v.bad("test.coverage.source", "no source; want at least one, such as [.]")
	}
	for i, source := range t.Coverage.Source {
		if source != "." {
			v.path(fmt.Sprintf("test.coverage.source[%d]", i), source)
		}
	}
	v.globs("test.coverage.omit", t.Coverage.Omit)
	v.percent("test.coverage.total", t.Coverage.Total)
	v.percent("test.coverage.branch", t.Coverage.Branch)
	v.floor("test.coverage.critical", t.Coverage.Critical)
	v.floor("test.coverage.model", t.Coverage.Model)
}

func (v *validator) floor(at string, f Floor) {
	v.globs(at+".paths", f.Paths)
	v.percent(at+".min", f.Min)
}

func (v *validator) train(t Train) {
	v.paths("train.requirements", t.Requirements)
	v.selection("train.inputs", t.Inputs)
	v.command("train.command", t.Command, true)
	v.command("train.data_args", t.DataArgs, false)
	if len(t.DataArgs) > 0 && !strings.Contains(strings.Join(t.DataArgs, " "), "{{data}}") {
		v.bad("train.data_args", "nothing says {{data}}, so the data set would not be used")
	}
	v.vars("train.vars", t.Vars, true)
	v.duration("train.timeout", t.Timeout, time.Second, 24*time.Hour)
	v.experiment("train.experiment", t.Experiment)
	v.glob("train.model", t.Model)
	v.globs("train.artifacts", t.Artifacts)
	for _, f := range []struct{ key, value string }{
		{"train.metrics", t.Metrics}, {"train.predictions", t.Predictions}, {"train.golden", t.Golden},
	} {
		if f.value != "" {
			v.path(f.key, f.value)
		}
	}
	v.command("train.score_command", t.ScoreCommand, false)
	names := map[string]bool{}
	for i, g := range t.Gates {
		v.gate(fmt.Sprintf("train.gates[%d]", i), g, names)
	}
	if t.BaselineMargin < 0 || t.BaselineMargin >= 1 {
		v.bad("train.baseline_margin", "%v is not within 0..1", t.BaselineMargin)
	}
	for _, n := range []struct {
		key          string
		value, limit int
	}{{"train.min_examples", t.MinExamples, 1_000_000}, {"train.top_k", t.TopK, 10_000}} {
		if n.value < 1 || n.value > n.limit {
			v.bad(n.key, "%d is not within 1..%d", n.value, n.limit)
		}
	}
	for i, layer := range t.AllowLayers {
		at := fmt.Sprintf("train.allow_layers[%d]", i)
		switch base := layer[strings.LastIndexAny(layer, ".>")+1:]; {
		case !className.MatchString(layer):
			v.bad(at, "%q is not the name of a layer's class", layer)
		case base == "Lambda" || base == "TFSMLayer":
			v.bad(at, "%s can hold any code and is never allowed", base)
		}
	}
	for i, format := range t.AllowFormats {
		if !slices.Contains(Formats, format) {
			v.bad(fmt.Sprintf("train.allow_formats[%d]", i), "%q is not one of %s", format, strings.Join(Formats, ", "))
		}
	}
}

func (v *validator) gate(at string, g Gate, names map[string]bool) {
	v.text(at+".metric", g.Metric, 250)
	if names[g.Metric] && g.Metric != "" {
		v.bad(at+".metric", "there is a gate on %s already", g.Metric)
	}
	names[g.Metric] = true
	changes := []struct {
		key   string
		value *float64
	}{
		{"min_absolute_change", g.MinAbsoluteChange}, {"min_relative_change", g.MinRelativeChange},
		{"tolerance", g.Tolerance}, {"relative_tolerance", g.RelativeTolerance},
	}
	compares := g.Better != ""
	for _, change := range changes {
		compares = compares || change.value != nil
		if change.value != nil && *change.value < 0 {
			v.bad(at+"."+change.key, "%v is negative", *change.value)
		}
	}
	if (g.MinAbsoluteChange != nil || g.MinRelativeChange != nil) && (g.Tolerance != nil || g.RelativeTolerance != nil) {
		v.bad(at, "a gate that demands a change for the better cannot tolerate one for the worse")
	}
	if g.Better != "" && g.Better != "higher" && g.Better != "lower" {
		v.bad(at+".better", "%q is neither higher nor lower", g.Better)
	}
	if g.Min == nil && g.Max == nil && g.AlertBelow == nil && !compares {
		v.bad(at, "no min, max or alert_below, and nothing to compare: the gate would hold always")
	}
	if fractionMetrics.MatchString(strings.ToLower(g.Metric)) {
		for _, bound := range []struct {
			key   string
			value *float64
		}{{"min", g.Min}, {"max", g.Max}, {"alert_below", g.AlertBelow}} {
			if bound.value != nil && (*bound.value < 0 || *bound.value > 1) {
				v.bad(at+"."+bound.key, "%v is not within 0..1; %s is a fraction, not a percentage", *bound.value, g.Metric)
			}
		}
	}
	if g.Min != nil && g.Max != nil && *g.Min > *g.Max {
		v.bad(v.nearest(at+".min", at+".max"), "min %v is above max %v", *g.Min, *g.Max)
	}
}

// workspaceName is MLflow's rule (WorkspaceNameValidator).
var workspaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

func (v *validator) publish(p Publish) {
	v.name("publish.model", p.Model)
	v.experiment("publish.experiment", p.Experiment)
	if p.Workspace != "" && !workspaceName.MatchString(p.Workspace) {
		v.bad("publish.workspace", "%q is not the name of a workspace: lower-case letters, digits and hyphens, at most 63", p.Workspace)
	}
	if p.ArtifactRoot != "" {
		m := s3Root.FindStringSubmatch(p.ArtifactRoot)
		if m == nil || strings.Contains(m[1], "..") || slices.ContainsFunc(strings.Split(m[2], "/"), func(s string) bool { return s == "." || s == ".." }) {
			v.bad("publish.artifact_root", "%q is not s3://bucket or s3://bucket/prefix", p.ArtifactRoot)
		}
	}
	v.storeRegion("publish.region", p.Region)
}

func (v *validator) image(i Image) {
	if !imageName.MatchString(i.Repository) || len(i.Repository) > 255 {
		hint := ""
		if m := imageTail.FindStringSubmatch(i.Repository); m != nil && (m[2] != "" || m[3] != "") && imageName.MatchString(m[1]) {
			hint = "; without tag and digest, which the pipeline sets"
		}
		v.bad("image.repository", "%q is not [registry/]name in lower case%s", i.Repository, hint)
	}
	if i.Base != "" {
		if m := imageTail.FindStringSubmatch(i.Base); m == nil || !imageName.MatchString(m[1]) {
			v.bad("image.base", "%q is not an image reference", i.Base)
		}
	}
	if i.Platform != "" && !slices.Contains(Platforms, i.Platform) {
		v.bad("image.platform", "%q is neither linux/amd64 nor linux/arm64", i.Platform)
	}
	v.dockerfile(i)
	v.paths("image.requirements", i.Requirements)
	v.globs("image.prune", i.Prune)
	v.selection("image.inputs", i.Inputs)
	v.command("image.command", i.Command, true)
	v.vars("image.vars", i.Vars, true)
	v.path("image.model_dir", i.ModelDir)
	v.between("image.port", i.Port, 1, 65535)
	v.url("image.health", i.Health)
	if i.ScriptHealth != "" {
		v.url("image.script_health", i.ScriptHealth)
	}
	if i.Page != "" {
		v.url("image.page", i.Page)
	}
	for n, module := range i.Imports {
		if !moduleName.MatchString(module) {
			v.bad(fmt.Sprintf("image.imports[%d]", n), "%q is not the name of a module, such as streamlit or lstm.inference", module)
		}
	}
	v.duration("image.start_budget", i.StartBudget, time.Second, time.Hour)
	v.between("image.successes", i.Successes, 1, 100)
	if i.User == 0 {
		v.bad("image.user", "0 is root; the application runs as another user")
	} else {
		v.between("image.user", i.User, 1, 1<<31-2)
	}
	for n, volume := range i.Volumes {
		if !path.IsAbs(volume) || path.Clean(volume) != volume || volume == "/" || unprintable(volume) {
			v.bad(fmt.Sprintf("image.volumes[%d]", n), "%q is not an absolute path in the container below /", volume)
		}
	}
	v.between("image.max_megabytes", i.MaxMegabytes, 0, 1<<20)
}

// dockerfile checks what is about building from the source's own file.
func (v *validator) dockerfile(i Image) {
	if i.Dockerfile != "" {
		v.path("image.dockerfile", i.Dockerfile)
	}
	if i.Target != "" && !stageName.MatchString(i.Target) {
		v.bad("image.target", "%q is not the name of a stage", i.Target)
	}
	v.vars("image.build_args", i.BuildArgs, true)
	if i.Dockerfile == "" && (i.Target != "" || len(i.BuildArgs) > 0) {
		v.bad(v.nearest("image.target", "image.build_args"), "only a Dockerfile has stages and arguments; image.dockerfile names none")
	}
	if u, err := url.Parse(i.Source); err != nil || i.Source != "" && (u.Scheme == "" || u.Host == "" || u.User != nil) {
		v.bad("image.source", "%q is not an address without user, such as https://github.com/acme/rca", i.Source)
	}
}

// policy checks that stages are known and that each comes after what it needs.
func (v *validator) policy(p map[string][]string) {
	for _, pattern := range slices.Sorted(maps.Keys(p)) {
		at, stages := join("policy", pattern), p[pattern]
		if pattern == "" || !doublestar.ValidatePattern(pattern) || unprintable(pattern) {
			v.bad(at, "%q is not a pattern for branches", pattern)
		}
		seen := map[string]bool{}
		for i, stage := range stages {
			key := fmt.Sprintf("%s[%d]", at, i)
			if !slices.Contains(verdict.Stages(), stage) {
				v.bad(key, "there is no stage %q%s; the stages are %s", stage, didYouMean(stage, verdict.Stages()), strings.Join(verdict.Stages(), ", "))
				continue
			}
			if seen[stage] {
				v.bad(key, "%s is there already", stage)
			}
			seen[stage] = true
			for _, needed := range verdict.Requires(stage) {
				if !slices.Contains(stages, needed) {
					v.bad(key, "%s without %s; each stage runs only after the one before it passed", stage, needed)
				}
			}
			// Whoever can push any branch could otherwise deploy: the file is read from that branch.
			if strings.Trim(pattern, "*/") == "" && verdict.Effectful(stage) {
				v.bad(key, "%s for every branch; name the branches that may %s", stage, stage)
			}
		}
	}
}

func (v *validator) name(key, value string) {
	if !plainName.MatchString(value) || strings.Contains(value, "..") {
		v.bad(key, "%q is not a name: lower-case letters, digits, '.', '_' and '-', at most 63, the first a letter or digit", value)
	}
}

// text demands one line that is not empty.
func (v *validator) text(key, value string, most int) {
	switch {
	case strings.TrimSpace(value) == "":
		v.bad(key, "empty")
	case len(value) > most:
		v.bad(key, "%d characters are more than %d", len(value), most)
	case unprintable(value):
		v.bad(key, "%q has characters that cannot be printed", value)
	}
}

func (v *validator) experiment(key, value string) {
	plain := strings.ReplaceAll(value, "{{environment}}", "environment")
	if unknown := placeholder.FindString(plain); unknown != "" {
		v.bad(key, "%s stands for nothing here; only {{environment}} does", unknown)
		return
	}
	if !experimentName.MatchString(plain) {
		v.bad(key, "%q is not a name for an experiment: letters, digits, space, '.', '_' and '-', at most 200", value)
	}
}

func (v *validator) percent(key string, value float64) {
	if !(value >= 0 && value <= 100) {
		v.bad(key, "%v is not within 0..100", value)
	}
}

func (v *validator) between(key string, value, low, high int) {
	if value < low || value > high {
		v.bad(key, "%d is not within %d..%d", value, low, high)
	}
}

func (v *validator) duration(key string, value Duration, low, high time.Duration) {
	if value.Std() < low || value.Std() > high {
		v.bad(key, "%s is not within %s..%s", value, Duration(low), Duration(high))
	}
}

func (v *validator) command(key string, args []string, needed bool) {
	if needed && len(args) == 0 {
		v.bad(key, "an empty command")
	}
	for i, arg := range args {
		at := fmt.Sprintf("%s[%d]", key, i)
		if i == 0 && strings.TrimSpace(arg) == "" {
			v.bad(at, "an empty command")
		}
		if strings.ContainsRune(arg, 0) {
			v.bad(at, "a NUL character")
		}
		if liveSecret.MatchString(arg) {
			v.bad(at, "this looks like a secret; secrets are arguments of the call, never part of this file")
		}
	}
}

// vars checks environment variables. Tests may have made-up keys; everything else gets
// secrets as secrets.
func (v *validator) vars(key string, vars map[string]string, strict bool) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		at := join(key, name)
		if !variableName.MatchString(name) {
			v.bad(at, "%q is not a name for a variable: letters, digits and '_', the first no digit", name)
		}
		if strings.ContainsRune(vars[name], 0) {
			v.bad(at, "a NUL character")
		}
		switch {
		case liveSecret.MatchString(vars[name]):
			v.bad(at, "this looks like a secret; secrets are arguments of the call, never part of this file")
		case strict && vars[name] != "" && secretName.MatchString(name):
			v.bad(at, "by its name a secret; secrets are arguments of the call, or ARNs under rollout.secrets")
		}
	}
}

func (v *validator) selection(key string, s Selection) {
	v.globs(key+".include", s.Include)
	v.globs(key+".exclude", s.Exclude)
}

func (v *validator) globs(key string, globs []string) {
	for i, g := range globs {
		v.glob(fmt.Sprintf("%s[%d]", key, i), g)
	}
}

func (v *validator) glob(key, glob string) {
	if strings.TrimSpace(glob) == "" {
		v.bad(key, "an empty pattern")
		return
	}
	if message := outside(glob); message != "" {
		v.bad(key, "%q %s", glob, message)
		return
	}
	if !doublestar.ValidatePattern(glob) {
		v.bad(key, "%q is not a valid pattern; see *, **, ?, [a-z], {a,b}", glob)
	}
}

func (v *validator) paths(key string, all []string) {
	for i, p := range all {
		v.path(fmt.Sprintf("%s[%d]", key, i), p)
	}
}

func (v *validator) path(key, p string) {
	if p == "" {
		v.bad(key, "an empty path")
		return
	}
	if message := outside(p); message != "" {
		v.bad(key, "%q %s", p, message)
		return
	}
	if clean := strings.TrimSuffix(p, "/"); !fs.ValidPath(clean) || clean == "." {
		v.bad(key, "%q is not a plain relative path, such as requirements/train.lock", p)
	}
}

// outside says why a path or glob is not one below the source, or nothing.
func outside(p string) string {
	switch {
	case path.IsAbs(p) || regexp.MustCompile(`^[A-Za-z]:`).MatchString(p):
		return "is absolute; paths are relative to the source"
	case slices.Contains(strings.Split(p, "/"), ".."):
		return "leaves the source with .."
	case strings.Contains(p, `\`):
		return `has a backslash; paths have slashes`
	case unprintable(p):
		return "has characters that cannot be printed"
	}
	return ""
}

func (v *validator) url(key, p string) {
	if !urlPath.MatchString(p) || strings.HasPrefix(p, "//") {
		v.bad(key, "%q is not a path of a URL, such as /_stcore/health", p)
	}
}

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
