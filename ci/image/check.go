package image

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// checkConfig returns every problem in the configuration of the image.
func checkConfig(c config.Image) []*verdict.Problem {
	var problems []*verdict.Problem
	invalid := func(format string, args ...any) {
		problems = append(problems, verdict.Problemf(CodeConfigInvalid, format, args...))
	}
	if c.User <= 0 {
		problems = append(problems, verdict.Problemf(CodeRoot, "image.user is %d", c.User))
	}
	if c.Port < 1 || c.Port > 65535 {
		invalid("image.port is %d, not within 1..65535", c.Port)
	}
	if len(c.Command) == 0 && c.Dockerfile == "" {
		invalid("image.command is empty")
	}
	for key, value := range map[string]string{"health": c.Health, "script_health": c.ScriptHealth} {
		if (key == "health" || value != "") && !strings.HasPrefix(value, "/") {
			invalid("image.%s is %q, not a path that starts with /", key, value)
		}
	}
	if c.Successes < 1 {
		invalid("image.successes is %d, at least 1", c.Successes)
	}
	if c.StartBudget <= 0 {
		invalid("image.start_budget is not above 0")
	}
	if dir := path.Clean(c.ModelDir); c.ModelDir == "" || dir == "." || path.IsAbs(dir) || strings.HasPrefix(dir, "..") {
		invalid("image.model_dir is %q, not a directory below the application", c.ModelDir)
	}
	for _, volume := range c.Volumes {
		switch clean := path.Clean(volume); {
		case !path.IsAbs(volume) || clean == "/" || clean == AppDir:
			invalid("image.volumes has %q, not an absolute path below a directory", volume)
		case strings.ContainsAny(volume, ":, \t\r\n"):
			invalid("image.volumes has %q, with a character that no option for a volume can hold", volume)
		case clean == path.Join(AppDir, c.ModelDir) || strings.HasPrefix(path.Join(AppDir, c.ModelDir)+"/", clean+"/"):
			invalid("image.volumes has %q, which would hide the model", volume)
		}
	}
	if c.Base != "" {
		if _, err := imageref.Parse(c.Base); err != nil {
			invalid("image.base: %v", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.BuildArgs)) {
		if why := looksSecret(name, c.BuildArgs[name]); why != "" {
			problems = append(problems, verdict.Problemf(CodeSecret, "image.build_args.%s %s", name, why))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Vars)) {
		if why := looksSecret(name, c.Vars[name]); why != "" {
			problems = append(problems, verdict.Problemf(CodeSecret, "image.vars.%s %s", name, why))
		}
	}
	return problems
}

var secretName = regexp.MustCompile(`(?i)(passw(or)?d|passphrase|secret|token|api_?key|access_?key|private_?key|credential)`)

// harmless are values that are no secret, whatever the variable's name: nothing, a switch, or
// the path or name of a secret.
var harmless = regexp.MustCompile(`(?i)^(|true|false|yes|no|on|off|[0-9]{1,4}|none|/[\w./-]+|[a-z]+)$`)

// looksSecret returns why a variable seems to hold a secret, without its value; "" if it does not.
func looksSecret(name, value string) string {
	if safetext.IsCredential(value) {
		return "has a value in the form of a credential"
	}
	if secretName.MatchString(name) && !harmless.MatchString(value) {
		return "has the name of a secret and a value"
	}
	return ""
}

// repository is where the image is pushed.
func repository(in Input) (imageref.Repository, error) {
	address := in.Config.Image.Repository
	if in.Push.Address != "" {
		address = in.Push.Address
	}
	repo, err := imageref.ParseRepository(address)
	if err != nil {
		return repo, fmt.Errorf("image.repository: %w", err)
	}
	return repo, nil
}

// facts are what the image's tags are made from.
func facts(in Input) imageref.Facts {
	f := imageref.Facts{Ref: in.Ref, Commit: in.Commit, CommitTime: in.CommitTime, Environment: in.Environment}
	if image := in.Config.Image; len(image.Platforms) > 0 {
		f.Platform = image.Platform
		if f.Platform == "" && in.Push.real() {
			f.Platform = production
		}
	}
	if in.Version != nil {
		f.ModelVersion = in.Version.Number
	}
	return f
}
