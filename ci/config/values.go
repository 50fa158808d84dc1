package config

import (
	"io/fs"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/bmatcuk/doublestar/v4"

	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// Platforms are those that an image can be for, Pythons the versions of Python that the tools support.
var (
	Platforms = []string{"linux/amd64", "linux/arm64"}
	Pythons   = []string{"3.10", "3.11", "3.12", "3.13", "3.14"}
)

// The forms of names and ids.
var (
	environmentName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)
	debianPackage   = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,99}(=[A-Za-z0-9.+~:-]{1,99})?$`)
	variableName    = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	placeholder     = regexp.MustCompile(`\{\{[^{}]*\}\}`)
	// className is a Keras layer's class, with its module or without.
	className = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.>]*$`)
	// moduleForm is a module that lies beside a model.
	moduleForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)
	// typeForm is a Python type with its module.
	typeForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$`)
	// domainName is a domain of ONNX operators.
	domainName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}$`)
	// moduleName is the dotted name of a Python module, stageName a stage of a Dockerfile.
	moduleName = regexp.MustCompile(`^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$`)
	stageName  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]*$`)
	// experimentName excludes '/' and ':', which MLflow refuses in the name of a registered model.
	experimentName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9 ._-]{0,199}$`)
	// workspaceName is MLflow's rule (WorkspaceNameValidator).
	workspaceName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// imageName is [registry[:port]/]path without tag and digest, by the OCI distribution specification.
	imageName = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?/)?` +
		`[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	// imageTail splits an image reference into name, tag and digest.
	imageTail = regexp.MustCompile(`^(.*?)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)
	// s3Root is s3://bucket[/prefix], the bucket by the rules of S3.
	s3Root = regexp.MustCompile(`^s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])((?:/[A-Za-z0-9!_.*'()=-]+)*)/?$`)
	// storeRegion is the region of a bucket, which may belong to another store than AWS's.
	storeRegion = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	// secretName is a variable whose name indicates a secret.
	secretName = regexp.MustCompile(
		`(?i)(^|_)(PASSWORD|PASSWD|SECRET|TOKEN|API_?KEY|ACCESS_KEY(_ID)?|PRIVATE_KEY|CREDENTIALS?)(_|$)`)
	// drive is the start of an absolute path of Windows.
	drive = regexp.MustCompile(`^[A-Za-z]:`)
)

// The forms of AWS.
var (
	accountID      = regexp.MustCompile(`^[0-9]{12}$`)
	ecsName        = regexp.MustCompile(`^[A-Za-z0-9_-]{1,255}$`)
	vpcID          = regexp.MustCompile(`^vpc-[0-9a-f]{8,17}$`)
	subnetID       = regexp.MustCompile(`^subnet-[0-9a-f]{8,17}$`)
	groupID        = regexp.MustCompile(`^sg-[0-9a-f]{8,17}$`)
	fileSystemID   = regexp.MustCompile(`^fs-[0-9a-f]{8,40}$`)
	accessPointID  = regexp.MustCompile(`^fsap-[0-9a-f]{8,40}$`)
	roleARN        = regexp.MustCompile(`^arn:aws[a-z-]*:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]{1,512}$`)
	certificateARN = regexp.MustCompile(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:[0-9]{12}:certificate/[A-Za-z0-9-]+$`)
	topicARN       = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
	// keyARN excludes aliases: in an IAM policy they allow nothing.
	keyARN    = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	secretARN = regexp.MustCompile(`^arn:aws[a-z-]*:(?:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:|` +
		`ssm:[a-z0-9-]+:[0-9]{12}:parameter/)[A-Za-z0-9/_+=.@:!-]+$`)
)

// The limits that several keys share, or that need more than a form.
var (
	globs = text((*validator).glob).withPattern(`^[^/\\]`)
	paths = text((*validator).path).withPattern(`^[^/\\]`)
	// plainNames may become a part of an S3 key, an image name or an AWS name.
	plainNames = text(func(v *validator, key, value string) {
		if !plainName.MatchString(value) || strings.Contains(value, "..") {
			v.bad(key, "%q is not a name: lower-case letters, digits, '.', '_' and '-', at most 63, the first a letter or digit", value)
		}
	}).withPattern(plainName.String())
	plainName = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)
	// pythonVersions: YAML reads an unquoted 3.10 as the number 3.1, hence the bounds of the schema.
	pythonVersions = limit{
		schema: `"pattern": "^3\\.1[0-4]$", "minimum": 3.1, "maximum": 3.14`, text: "3.10 to 3.14.",
		check: text((*validator).python).check,
	}
	measured = text(func(v *validator, key, value string) {
		if value != "." {
			v.path(key, value)
		}
	}).withPattern(`^[^/\\]`)
	experiments = text((*validator).experiment)
	layers      = text(func(v *validator, key, value string) {
		switch base := value[strings.LastIndexAny(value, ".>")+1:]; {
		case !className.MatchString(value):
			v.bad(key, "%q is not the name of a layer's class", value)
		case base == "Lambda" || base == "TFSMLayer":
			v.bad(key, "%s can hold any code and is never allowed", base)
		}
	})
	types   = like(typeForm, "the name of a type with its module")
	domains = like(domainName, "the name of a domain of operators")
	s3Roots = text(func(v *validator, key, value string) {
		m := s3Root.FindStringSubmatch(value)
		climbs := func(part string) bool { return part == "." || part == ".." }
		if m == nil || strings.Contains(m[1], "..") || slices.ContainsFunc(strings.Split(m[2], "/"), climbs) {
			v.bad(key, "%q is not s3://bucket or s3://bucket/prefix", value)
		}
	}).withPattern("^s3://")
	regions      = text((*validator).region)
	storeRegions = text(func(v *validator, key, value string) {
		if !storeRegion.MatchString(value) {
			v.region(key, value)
		}
	})
	repositories = text((*validator).repository)
	baseImages   = text(func(v *validator, key, value string) {
		if m := imageTail.FindStringSubmatch(value); m == nil || !imageName.MatchString(m[1]) {
			v.bad(key, "%q is not an image reference", value)
		}
	})
	addresses = text(func(v *validator, key, value string) {
		if u, err := url.Parse(value); err != nil || u.Scheme == "" || u.Host == "" || u.User != nil {
			v.bad(key, "%q is not an address without user, such as https://github.com/acme/rca", value)
		}
	})
	urlPaths = like(regexp.MustCompile(`^/([A-Za-z0-9._~!$&'()*+,;=:@%?-][A-Za-z0-9._~!$&'()*+,;=:@%/?-]*)?$`),
		"a path of a URL, such as /_stcore/health")
	users = limit{
		schema: between(1, 1<<31-2).schema,
		check: number(func(v *validator, key string, value float64) {
			if value == 0 {
				v.bad(key, "0 is root; the application runs as another user")
			} else if value < 1 || value > 1<<31-2 {
				v.bad(key, "%s is not within 1..%d", decimal(value), 1<<31-2)
			}
		}),
	}
	containerPaths = text(func(v *validator, key, value string) {
		if !path.IsAbs(value) || path.Clean(value) != value || value == "/" || unprintable(value) {
			v.bad(key, "%q is not an absolute path in the container below /, without \".\", \"..\" or a slash at its end", value)
		}
	}).withPattern("^/.")
	ecsNames       = like(ecsName, "a name that Amazon ECS accepts: letters, digits, '_' and '-', at most 255")
	roles          = like(roleARN, "the ARN of a role: arn:aws:iam::123456789012:role/name").optional()
	subnets        = like(subnetID, "a subnet, such as subnet-0123456789abcdef0").distinct()
	securityGroups = like(groupID, "a security group, such as sg-0123456789abcdef0").distinct()
	smokeAddresses = text(func(v *validator, key, value string) {
		if !smokeAddress.MatchString(value) {
			// The value is not repeated: it can hold a password.
			v.bad(key, "it is not none, and not an http or https address without user name")
		}
	}).withPattern(smokeAddress.String())
	smokeAddress = regexp.MustCompile(`^(none|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[^\s@]*)?)$`)
	secretARNs   = entries(func(v *validator, key, name, value string) {
		v.variable(key, name)
		if !secretARN.MatchString(value) {
			// The value is not repeated: a secret entered here by mistake must not get into a log.
			v.bad(key, "the value is not the ARN of a Secrets Manager secret or an SSM parameter")
		}
	}).withPattern("^arn:")
)

// lineOfText demands one line that is not empty.
func lineOfText(most int) limit {
	return text(func(v *validator, key, value string) {
		switch {
		case strings.TrimSpace(value) == "":
			v.bad(key, "empty")
		case len(value) > most:
			v.bad(key, "%d characters are more than %d", len(value), most)
		case unprintable(value):
			v.bad(key, "%q has characters that cannot be printed", value)
		}
	})
}

// commandLine is a command, or arguments for one. A command may be required.
func commandLine(required bool) limit {
	return limit{check: func(v *validator, key string, value reflect.Value) {
		args := value.Interface().([]string)
		if required && len(args) == 0 {
			v.bad(key, "an empty command")
		}
		for i, arg := range args {
			if i == 0 && strings.TrimSpace(arg) == "" {
				v.bad(at(key, i), "an empty command")
			}
			v.plainValue(at(key, i), arg)
		}
	}}
}

// variables are environment variables. Tests may have dummy keys; strict refuses secrets by
// their names, too.
func variables(strict bool) limit {
	return entries(func(v *validator, key, name, value string) {
		v.variable(key, name)
		if v.plainValue(key, value) && strict && value != "" && secretName.MatchString(name) {
			v.bad(key, "by its name a secret; secrets are arguments of the call, or ARNs under rollout.secrets")
		}
	})
}

func (v *validator) variable(key, name string) {
	if !variableName.MatchString(name) {
		v.bad(key, "%q is not a name for a variable: letters, digits and '_', the first no digit", name)
	}
}

// plainValue reports whether a value holds no secret, and adds the problem if it does.
func (v *validator) plainValue(key, value string) bool {
	if strings.ContainsRune(value, 0) {
		v.bad(key, "a NUL character")
	}
	if safetext.IsCredential(value) {
		v.bad(key, "this looks like a secret; secrets are arguments of the call, never part of this file")
		return false
	}
	return true
}

func (v *validator) python(key, value string) {
	hint := ""
	if value == "3.1" {
		hint = "; \"3.1\" in quotes is not 3.10"
	}
	if !slices.Contains(Pythons, value) {
		v.bad(key, "%q is not one of %s%s", value, strings.Join(Pythons, ", "), hint)
	}
}

// region demands a region of AWS.
func (v *validator) region(key, value string) {
	if _, known := partition.Of(value); !known {
		v.bad(key, "%q is not a region, such as ap-south-1", value)
	}
}

func (v *validator) experiment(key, value string) {
	plain := strings.ReplaceAll(value, "{{environment}}", "environment")
	if unknown := placeholder.FindString(plain); unknown != "" {
		v.bad(key, "%s is not defined here; only {{environment}} is", unknown)
		return
	}
	if !experimentName.MatchString(plain) {
		v.bad(key, "%q is not a name for an experiment: letters, digits, space, '.', '_' and '-', at most 200", value)
	}
}

func (v *validator) repository(key, value string) {
	hint := ""
	if imageName.MatchString(value) && len(value) <= 255 {
		path := value
		if host, rest, more := strings.Cut(value, "/"); more && (strings.ContainsAny(host, ".:") || host == "localhost") {
			path = rest
		}
		if len(path) > 1 {
			return
		}
		hint = " of at least two characters, without the registry"
	}
	if m := imageTail.FindStringSubmatch(value); m != nil && (m[2] != "" || m[3] != "") && imageName.MatchString(m[1]) {
		hint = "; without tag and digest, which the pipeline sets"
	}
	v.bad(key, "%q is not [registry/]name in lower case%s", value, hint)
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

// outside explains why a path or glob is not below the source; empty when it is.
func outside(p string) string {
	switch {
	case path.IsAbs(p) || drive.MatchString(p):
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

func unprintable(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}
