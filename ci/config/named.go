package config

import (
	"regexp"
	"slices"
	"strings"
)

// namedAfter are the keys whose default follows the application's name, unless that is the
// document's application: a second project must not publish, push and deploy under the names of
// the first. On ECS the environment is part of the name, because two environments may share an
// account. {{name}} is the name with hyphens, {{snake}} the name with underscores, {{repository}} the name with at least two
// characters, which registries demand.
var namedAfter = []struct {
	key, format string
	field       func(*Config) *string
}{
	{"train.experiment", "{{snake}}_staging", func(c *Config) *string { return &c.Train.Experiment }},
	{"publish.experiment", "{{snake}}_{{environment}}", func(c *Config) *string { return &c.Publish.Experiment }},
	{"publish.model", "model", func(c *Config) *string { return &c.Publish.Model }},
	{"image.repository", "{{repository}}", func(c *Config) *string { return &c.Image.Repository }},
	{"rollout.cluster", "{{name}}-cluster{{suffix}}", func(c *Config) *string { return &c.Rollout.Cluster }},
	{"rollout.service", "{{name}}-service{{suffix}}", func(c *Config) *string { return &c.Rollout.Service }},
	{"rollout.family", "{{name}}-task{{suffix}}", func(c *Config) *string { return &c.Rollout.Family }},
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// NameAfter calls the application, and everything that pipeline.yaml leaves open, after the name
// that the project has elsewhere, such as in pyproject.toml. It does nothing where pipeline.yaml
// names the application, or when nothing is left of the name.
func (c *Config) NameAfter(name string) {
	plain := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(name), "-"), "-")
	if len(plain) > 63 {
		plain = strings.Trim(plain[:63], "-")
	}
	if c.NameSet || plain == "" {
		return
	}
	c.Name = plain
	c.applyName()
}

// applyName fills in the names that are left open.
func (c *Config) applyName() {
	if c.Name == Default().Name {
		return
	}
	plain := strings.Trim(notInNames.ReplaceAllString(c.Name, "-"), "-")
	suffix := ""
	if c.Environment != Production {
		suffix = "-" + c.Environment
	}
	repository := plain
	if len(plain) < 2 {
		repository += "-app"
	}
	fill := strings.NewReplacer("{{repository}}", repository, "{{name}}", plain,
		"{{snake}}", strings.ReplaceAll(plain, "-", "_"), "{{suffix}}", suffix)
	for _, one := range namedAfter {
		if !slices.Contains(c.set, one.key) {
			*one.field(c) = fill.Replace(one.format)
		}
	}
}
