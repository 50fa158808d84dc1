package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// lossMetrics are never below 0, or nobody wants them to be high.
var lossMetrics = regexp.MustCompile(`(^|_)(loss|error|err|mse|rmse|mae|mape)(_|$)`)

// goodMetrics are better when they are higher, by their definition.
var goodMetrics = regexp.MustCompile(`(^|_)(accuracy|acc|precision|recall|f1|auc)$`)

// fractionMetrics are between 0 and 1 by their definition.
var fractionMetrics = regexp.MustCompile(`(^|_)(accuracy|acc|precision|recall|f1|auc)(_|$)`)

// arnAccount is the account in the ARN of a resource that belongs to one.
var arnAccount = regexp.MustCompile(`^arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):`)

// validator collects what is impossible in a configuration.
type validator struct {
	places   map[string]place
	problems []Problem
}

// validate returns the values that no run could use. The places tell where the keys stand; a
// key that is in no file has its default.
func validate(c Config, places map[string]place) []Problem {
	v := &validator{places: places}
	v.checkLimits("", "", reflect.ValueOf(c))
	v.test(c.Test)
	v.train(c.Train)
	v.image(c.Image)
	v.rollout(c.Rollout)
	v.notify(c.Notify)
	v.security(c.Security)
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

// nearest is the first of the keys that is in the file: of two that do not fit together,
// the problem is reported at that one.
func (v *validator) nearest(keys ...string) string {
	for _, key := range keys {
		if _, known := v.places[key]; known {
			return key
		}
	}
	return keys[0]
}

func (v *validator) test(t Test) {
	names := map[string]bool{}
	for i, c := range t.Categories {
		at := at("test.categories", i)
		if names[c.Name] {
			v.bad(at+".name", "%q is a category already", c.Name)
		}
		names[c.Name] = true
		if len(c.Paths) == 0 && c.Marker == "" {
			v.bad(at+".paths", "no paths; a category is a list of globs of test files, or a marker")
		}
	}
	if len(t.Coverage.Source) == 0 {
		v.bad("test.coverage.source", "no source; want at least one, such as [.]")
	}
}

func (v *validator) train(t Train) {
	if len(t.DataArgs) > 0 && !strings.Contains(strings.Join(t.DataArgs, " "), "{{data}}") {
		v.bad("train.data_args", "no argument has {{data}}, so the data set would not be used")
	}
	names := map[string]bool{}
	for i, g := range t.Gates {
		v.gate(at("train.gates", i), g, names)
	}
}

func (v *validator) gate(at string, g Gate, names map[string]bool) {
	if names[g.Metric] && g.Metric != "" {
		v.bad(at+".metric", "there is a gate on %s already", g.Metric)
	}
	names[g.Metric] = true
	demands := g.MinAbsoluteChange != nil || g.MinRelativeChange != nil
	tolerates := g.Tolerance != nil || g.RelativeTolerance != nil
	if demands && tolerates {
		v.bad(at, "a gate that demands an improvement cannot tolerate a regression")
	}
	if g.Min == nil && g.Max == nil && g.AlertBelow == nil && !demands && !tolerates && g.Better == "" {
		v.bad(at, "no min, max or alert_below, and nothing to compare: the gate would always pass")
	}
	name := strings.ToLower(g.Metric)
	if g.Better == "lower" && goodMetrics.MatchString(name) || g.Better == "higher" && lossMetrics.MatchString(name) {
		v.bad(at+".better", "%s is not better when it is %s: a worse model would pass for a better one", g.Metric, g.Better)
	}
	if fractionMetrics.MatchString(name) {
		type bound struct {
			key   string
			value *float64
		}
		for _, b := range []bound{{"min", g.Min}, {"max", g.Max}, {"alert_below", g.AlertBelow}} {
			if b.value != nil && (*b.value < 0 || *b.value > 1) {
				v.bad(at+"."+b.key, "%v is not within 0..1; %s is a fraction, not a percentage", *b.value, g.Metric)
			}
		}
		for _, b := range []bound{{"tolerance", g.Tolerance}, {"relative_tolerance", g.RelativeTolerance}} {
			if b.value != nil && *b.value >= 1 {
				v.bad(at+"."+b.key, "%v is not below 1; %s is a fraction, so any model would be as good as the one in production",
					*b.value, g.Metric)
			}
		}
	}
	if g.Min != nil && g.Max != nil && *g.Min > *g.Max {
		v.bad(v.nearest(at+".min", at+".max"), "min %v is above max %v", *g.Min, *g.Max)
	}
}

func (v *validator) image(i Image) {
	if len(i.Platforms) == 1 {
		v.bad("image.platforms", "one platform is not joined with another; want two, or none")
	}
	if i.Dockerfile == "" && (i.Target != "" || len(i.BuildArgs) > 0) {
		v.bad(v.nearest("image.target", "image.build_args"), "only a Dockerfile has stages and arguments, and image.dockerfile is empty")
	}
}

func (v *validator) rollout(r Rollout) {
	v.tasks(r)
	for _, arn := range []struct{ key, value string }{
		{"rollout.execution_role", r.ExecutionRole}, {"rollout.task_role", r.TaskRole}, {"rollout.infrastructure_role", r.InfrastructureRole},
		{"rollout.certificate", r.Certificate}, {"rollout.alarm_topic", r.AlarmTopic},
	} {
		v.sameAccount(arn.key, arn.value, r.Account)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Secrets)) {
		v.sameAccount(join("rollout.secrets", name), r.Secrets[name], r.Account)
		if _, both := r.Vars[name]; both {
			v.bad(join("rollout.secrets", name), "%s is under rollout.vars too", name)
		}
	}
	if len(r.PauseAt) > 0 && r.Strategy == "rolling" {
		v.bad(v.nearest("rollout.pause_at", "rollout.strategy"), "a rolling deployment has no stages to pause at")
	}
	if r.Adopt == "" {
		for _, only := range []struct{ key, value string }{{"rollout.container", r.Container}, {"rollout.task_definition", r.TaskDefinition}} {
			if only.value != "" {
				v.bad(only.key, "only an adopted service has it; rollout.adopt is empty")
			}
		}
	}
	// Elastic Load Balancing takes whole seconds (deregistration_delay.timeout_seconds).
	if time.Duration(r.Drain)%time.Second != 0 {
		v.bad("rollout.drain", "%s is not a whole number of seconds", time.Duration(r.Drain))
	}
	for i, volume := range r.Volumes {
		for _, other := range r.Volumes[:i] {
			if within(volume.Path, other.Path) || within(other.Path, volume.Path) {
				v.bad(at("rollout.volumes", i)+".path", "%s and %s are one inside the other", volume.Path, other.Path)
			}
		}
	}
}

// tasks checks the size and the number of tasks.
func (v *validator) tasks(r Rollout) {
	if memory := spec.FargateMemory(r.CPU); memory != nil && !slices.Contains(memory, r.Memory) {
		v.bad(v.nearest("rollout.memory", "rollout.cpu"), "Fargate has no task of %d CPU units with %d MiB; with %d units it has %s",
			r.CPU, r.Memory, r.CPU, numbers(memory))
	}
	switch {
	case r.Min > r.Max:
		v.bad(v.nearest("rollout.min", "rollout.max"), "min %d is above max %d", r.Min, r.Max)
	case r.Desired < r.Min || r.Desired > r.Max:
		v.bad(v.nearest("rollout.desired", "rollout.min", "rollout.max"), "desired %d is not within min %d and max %d", r.Desired, r.Min, r.Max)
	}
}

// sameAccount demands that an ARN is of the environment's account, where both are set.
func (v *validator) sameAccount(key, arn, account string) {
	if m := arnAccount.FindStringSubmatch(arn); m != nil && account != "" && m[1] != account {
		v.bad(key, "the ARN is of account %s, rollout.account is %s", m[1], account)
	}
}

// within reports whether a path is another one or below it.
func within(inner, outer string) bool {
	return strings.HasPrefix(inner+"/", strings.TrimSuffix(outer, "/")+"/")
}

// policies demands known stages, each together with those it needs.
var policies = limit{
	schema: `"enum": ` + string(encode(verdict.Stages())),
	check: func(v *validator, key string, value reflect.Value) {
		all := value.Interface().(map[string][]string)
		for _, pattern := range slices.Sorted(maps.Keys(all)) {
			if pattern == "" || !doublestar.ValidatePattern(pattern) || unprintable(pattern) {
				v.bad(join(key, pattern), "%q is not a pattern for branches", pattern)
			}
			v.policy(join(key, pattern), pattern, all[pattern])
		}
	},
}

func (v *validator) policy(key, pattern string, stages []string) {
	for i, stage := range stages {
		if !slices.Contains(verdict.Stages(), stage) {
			v.bad(at(key, i), "there is no stage %q%s; the stages are %s",
				stage, didYouMean(stage, verdict.Stages()), strings.Join(verdict.Stages(), ", "))
			continue
		}
		if slices.Contains(stages[:i], stage) {
			v.bad(at(key, i), "%s is there already", stage)
		}
		for _, needed := range verdict.Requires(stage) {
			if !slices.Contains(stages, needed) {
				v.bad(at(key, i), "%s without %s; each stage runs only after the one before it passed", stage, needed)
			}
		}
		// The file is read from the branch itself: with such a pattern, everybody who can push a branch could deploy.
		if strings.Trim(pattern, "*/") == "" && verdict.Effectful(stage) {
			v.bad(at(key, i), "%s for every branch; name the branches that may %s", stage, stage)
		}
	}
}
