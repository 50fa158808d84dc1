package rollout

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/arn"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

var (
	variableForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,254}$`)
	secretForm   = regexp.MustCompile(`^[A-Za-z0-9/_+=.@-]{1,512}$`)
	// What an ECS valueFrom may have behind a secret's name: JSON key, version stage, version id.
	secretKeyForm = regexp.MustCompile(`^[A-Za-z0-9_.@/+=-]{0,256}$`)
	secretName    = regexp.MustCompile(`(?i)(^|_)(PASSWORD|PASSWD|PWD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|KEY|APIKEY)$|` +
		`ACCESS_KEY|SECRET_KEY|API_KEY|PRIVATE_KEY`)
	// Names that mention a secret but hold something else.
	notSecretName = regexp.MustCompile(`(?i)_(ARN|FILE|PATH|NAME|URL|URI|TTL|LIMIT|LENGTH|COUNT|PREFIX)$`)
)

// checkVariables never repeats a value: it may be a secret in the wrong place.
func (c *checker) checkVariables() {
	for _, variable := range slices.Sorted(maps.Keys(c.Vars)) {
		switch {
		case !variableForm.MatchString(variable):
			c.bad(PlanInvalid, "rollout.vars: %q is not a name for a variable: letters, digits and underscores", variable)
		case LooksSecret(variable, c.Vars[variable]):
			c.bad(SecretLiteral, "rollout.vars.%s looks like a secret and has its value in the configuration", variable)
		}
	}
	for _, variable := range slices.Sorted(maps.Keys(c.Secrets)) {
		key := "rollout.secrets." + variable
		if !variableForm.MatchString(variable) {
			c.bad(PlanInvalid, "rollout.secrets: %q is not a name for a variable: letters, digits and underscores", variable)
		}
		if _, both := c.Vars[variable]; both {
			c.bad(PlanInvalid, "%s is under rollout.vars too; ECS refuses a variable that is both", key)
		}
		c.secret(key, c.Secrets[variable])
	}
}

// LooksSecret reports whether a variable seems to hold a secret, by its name or its value.
func LooksSecret(variable, value string) bool {
	if value == "" {
		return false
	}
	return safetext.IsCredential(value) || secretName.MatchString(variable) && !notSecretName.MatchString(variable)
}

func (c *checker) secret(key, value string) {
	a, err := arn.Parse(value)
	if err != nil || !validSecret(a) {
		c.bad(SecretInvalid, "%s: the value is not the ARN of a Secrets Manager secret or of an SSM parameter "+
			"(it is not shown, in case it is the secret)", key)
		return
	}
	// ECS reads a parameter of another region too, but the task would depend on both regions.
	c.same(key, a, true)
}

func validSecret(a arn.ARN) bool {
	switch a.Service {
	case "ssm":
		rest, found := strings.CutPrefix(a.Resource, "parameter/")
		return found && secretForm.MatchString(rest)
	case "secretsmanager":
		rest, found := strings.CutPrefix(a.Resource, "secret:")
		parts := strings.Split(rest, ":")
		// secret:name, or secret:name:key:stage:version with any of the last three empty.
		if !found || !secretForm.MatchString(parts[0]) || (len(parts) != 1 && len(parts) != 4) {
			return false
		}
		for _, part := range parts[1:] {
			if !secretKeyForm.MatchString(part) {
				return false
			}
		}
		return true
	}
	return false
}
