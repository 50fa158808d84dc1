package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Checks are the parts of the audit that security.audit can name.
var Checks = []string{"advisories", "pinning", "secrets", "licenses"}

// Severities are those of advisories, the worst first.
var Severities = []string{"critical", "high", "medium", "low", "negligible", "unknown"}

// Actions are what a finding can lead to.
var Actions = []string{"fail", "warn", "note"}

// Places are where security.allow can allow an advisory.
var Places = []string{"locks", "image"}

// Security configures what is looked for in the source and in the image, and what of it fails.
// Nothing is looked for in the source unless Audit names it.
type Security struct {
	// Audit lists the checks of the source; see Checks. Empty means that the stage does not run.
	Audit []string `yaml:"audit" json:"audit"`
	// Scan reports whether a run scans the image that it built.
	Scan bool `yaml:"scan" json:"scan"`
	// RegistryScan reports whether a scan asks Amazon ECR for its own findings too.
	RegistryScan bool `yaml:"registry_scan" json:"registry_scan"`
	// Severity maps each severity to an action; a severity that is not named fails.
	Severity map[string]string `yaml:"severity" json:"severity"`
	// Unfixed is the action, at most, for an advisory that no version fixes.
	Unfixed string `yaml:"unfixed" json:"unfixed"`
	// Grace is how long after its publication an advisory is only a warning.
	Grace Grace `yaml:"grace" json:"grace"`
	// MaxBuildAge and MaxDataAge bound the age of the advisory database: since it was built,
	// and since its data were collected.
	MaxBuildAge Duration `yaml:"max_build_age" json:"max_build_age"`
	MaxDataAge  Duration `yaml:"max_data_age" json:"max_data_age"`
	// MinPackages is how many packages must have been looked at.
	MinPackages int `yaml:"min_packages" json:"min_packages"`
	// Allow are advisories that do not fail, each with a reason and an end.
	Allow []AllowedAdvisory `yaml:"allow" json:"allow"`
	// VEX are globs of documents in OpenVEX, which state exceptions too.
	VEX []string `yaml:"vex" json:"vex"`
	// AllowSecrets are findings of the search for secrets that are none.
	AllowSecrets []AllowedSecret `yaml:"allow_secrets" json:"allow_secrets"`
	// Licenses are the licences that packages may have.
	Licenses Licenses `yaml:"licenses" json:"licenses"`
}

// Grace are times after the publication of an advisory.
type Grace struct {
	Critical Duration `yaml:"critical" json:"critical"`
	High     Duration `yaml:"high" json:"high"`
	Medium   Duration `yaml:"medium" json:"medium"`
}

// AllowedAdvisory allows one advisory in one package.
type AllowedAdvisory struct {
	// ID is any of the advisory's names.
	ID      string `yaml:"id" json:"id"`
	Package string `yaml:"package" json:"package"`
	// In is one of Places.
	In     string `yaml:"in" json:"in"`
	Reason string `yaml:"reason" json:"reason"`
	// Until is the last day, 2026-12-31.
	Until string `yaml:"until" json:"until"`
	// Version binds it to one version of the package, if it is stated in a VEX document; then Stated is set.
	Version string `yaml:"-" json:"-"`
	Stated  bool   `yaml:"-" json:"-"`
}

// AllowedSecret allows what one rule finds in some files.
type AllowedSecret struct {
	// Rule is the rule's name, Path a glob of files.
	Rule   string `yaml:"rule" json:"rule"`
	Path   string `yaml:"path" json:"path"`
	Reason string `yaml:"reason" json:"reason"`
	Until  string `yaml:"until" json:"until"`
}

// Licenses are the licences that packages may have, as SPDX identifiers. With Allow, all others
// are refused.
type Licenses struct {
	Allow []string `yaml:"allow" json:"allow"`
	Deny  []string `yaml:"deny" json:"deny"`
	// Unknown is the action for a package that states no licence.
	Unknown string `yaml:"unknown" json:"unknown"`
	// Except are packages whose licence is accepted.
	Except []ExceptedLicense `yaml:"except" json:"except"`
}

// ExceptedLicense accepts one package's licence.
type ExceptedLicense struct {
	Package string `yaml:"package" json:"package"`
	Reason  string `yaml:"reason" json:"reason"`
	Until   string `yaml:"until" json:"until"`
}

func defaultSecurity() Security {
	return Security{
		Severity: map[string]string{
			"critical": "fail", "high": "fail", "medium": "warn", "low": "note", "negligible": "note", "unknown": "warn",
		},
		Unfixed:     "warn",
		MaxBuildAge: Duration(5 * 24 * time.Hour),
		MaxDataAge:  Duration(7 * 24 * time.Hour),
		MinPackages: 1,
		Licenses:    Licenses{Unknown: "warn"},
	}
}

var (
	advisoryID  = regexp.MustCompile(`^[A-Z][A-Za-z0-9]{1,19}-[A-Za-z0-9-]{1,60}$`)
	packageName = regexp.MustCompile(`^[A-Za-z0-9@][A-Za-z0-9._/+@:-]{0,199}$`)
	ruleName    = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,99}$`)
	licenseID   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]{0,99}$`)
)

// days demands a date. Whether it is near enough is judged when the audit runs.
var days = text(func(v *validator, key, value string) {
	if _, err := time.Parse(time.DateOnly, value); err != nil {
		v.bad(key, "%q is not a day, such as 2026-12-31", value)
	}
}).withPattern(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// severityActions demands an action for each severity that is named. Nothing unknown may pass in
// silence.
var severityActions = limit{
	schema: `"enum": ` + string(encode(Actions)),
	text:   "One of `fail`, `warn`, `note` each; `unknown` may not be `note`.",
	check: func(v *validator, key string, value reflect.Value) {
		entries(func(v *validator, key, name, action string) {
			switch {
			case !slices.Contains(Severities, name):
				v.bad(key, "there is no severity %q%s", name, didYouMean(name, Severities))
			case !slices.Contains(Actions, action):
				v.bad(key, "%q is not one of fail, warn, note", action)
			case name == "unknown" && action == "note":
				v.bad(key, "what has no severity may be critical: use warn or fail")
			}
		}).check(v, key, value)
	},
}

// security demands that an exception is complete and stated once.
func (v *validator) security(s Security) {
	seen := map[string]bool{}
	complete := func(key, id string, wanted ...string) {
		for i := 0; i < len(wanted); i += 2 {
			if wanted[i+1] == "" {
				v.bad(key, "an exception needs %s", wanted[i])
			}
		}
		if seen[id] {
			v.bad(key, "the same exception is here twice")
		}
		seen[id] = true
	}
	for i, a := range s.Allow {
		complete(at("security.allow", i), fmt.Sprint("advisory ", a.ID, a.Package, a.In), "id", a.ID, "package", a.Package, "in", a.In,
			"reason", a.Reason, "until", a.Until)
	}
	for i, a := range s.AllowSecrets {
		if a.Path != "" && strings.Trim(a.Path, "*./") == "" {
			v.bad(at("security.allow_secrets", i)+".path", "%q is every file: name those that have it", a.Path)
		}
		complete(at("security.allow_secrets", i), fmt.Sprint("secret ", a.Rule, a.Path), "rule", a.Rule, "path", a.Path,
			"reason", a.Reason, "until", a.Until)
	}
	for i, a := range s.Licenses.Except {
		complete(at("security.licenses.except", i), "license "+a.Package, "package", a.Package, "reason", a.Reason, "until", a.Until)
	}
	if slices.Contains(s.Audit, "licenses") && len(s.Licenses.Allow)+len(s.Licenses.Deny) == 0 {
		v.bad("security.audit", "licenses are compared with security.licenses.allow or deny, and both are empty")
	}
}
