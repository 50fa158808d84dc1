package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// elbNameLimit is the longest name of a load balancer or target group.
const elbNameLimit = 32

var notELBName = regexp.MustCompile(`[^A-Za-z0-9-]+`)

// names are the names of all resources of one environment.
type names struct {
	cluster, service, family string
	// scope is the service's name with the environment in it: the base of all other names.
	scope          string
	loadBalancer   string
	blue, green    string
	logGroup       string
	alarm5xx       string
	alarmLatency   string
	alarmUnhealthy string
	alarmRunning   string
	executionRole  string
}

func namesOf(sp spec.Spec, environment string) names {
	n := names{
		cluster: inEnvironment(sp.Cluster, spec.DefaultCluster, environment),
		service: inEnvironment(sp.Service, spec.DefaultService, environment),
		family:  inEnvironment(sp.Family, spec.DefaultFamily, environment),
	}
	n.scope = n.service
	if !hasWord(n.scope, environment) {
		n.scope += "-" + environment
	}
	n.loadBalancer = elbName(n.scope, "")
	n.blue, n.green = elbName(n.scope, "-blue"), elbName(n.scope, "-green")
	n.logGroup = "/ecs/" + n.scope
	n.alarm5xx, n.alarmLatency = n.scope+"-5xx", n.scope+"-latency"
	// The names of roles are shared by all regions.
	n.executionRole = executionRoleName(n.scope + "-" + sp.Region)
	n.alarmUnhealthy, n.alarmRunning = n.scope+"-unhealthy-targets", n.scope+"-tasks-missing"
	return n
}

// derived lists the names derived from the service's, each with the maximum length that AWS
// accepts for its kind (the services' API references).
func (s *settings) derived() []struct {
	kind, name string
	limit      int
} {
	type one = struct {
		kind, name string
		limit      int
	}
	all := []one{
		{"dashboard", s.names.scope, 255}, {"log group", s.names.logGroup, 512},
		{"load balancer", s.names.loadBalancer, elbNameLimit}, {"target group", s.names.blue, elbNameLimit},
		{"target group", s.names.green, elbNameLimit},
		{"role", s.names.executionRole, roleNameLimit},
	}
	for _, name := range []string{s.names.alarm5xx, s.names.alarmLatency, s.names.alarmUnhealthy, s.names.alarmRunning} {
		all = append(all, one{"alarm", name, 255})
	}
	for _, policy := range s.scaling().Policies {
		all = append(all, one{"scaling policy", *policy.PolicyName, 256})
	}
	return all
}

// inEnvironment is a configured name for an environment. The default names contain no
// environment, and two environments of one account would overwrite each other's service, so
// outside production the environment is appended. A name that differs from the default is
// used unchanged.
func inEnvironment(name, standard, environment string) string {
	if name == standard && environment != Production {
		return name + "-" + environment
	}
	return name
}

func hasWord(name, word string) bool {
	for _, part := range strings.FieldsFunc(name, func(r rune) bool { return r == '-' || r == '_' }) {
		if part == word {
			return true
		}
	}
	return strings.HasSuffix(name, "-"+word)
}

// elbName is base+suffix as a name that Elastic Load Balancing accepts. A shortened name
// contains a hash of the whole, so that two long names do not collide.
func elbName(base, suffix string) string {
	clean := strings.Trim(notELBName.ReplaceAllString(base, "-"), "-")
	if len(clean)+len(suffix) <= elbNameLimit && clean == base && !strings.HasPrefix(clean, "internal-") {
		return clean + suffix
	}
	tail := "-" + shortHash(base) + suffix
	clean = strings.TrimPrefix(clean, "internal-")
	return strings.Trim(clean[:min(len(clean), elbNameLimit-len(tail))]+tail, "-")
}

func shortHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:3])
}

// A reference is a placeholder for a value from an earlier call's response, such as an ARN
// that does not exist yet. No API accepts its characters, so an unresolved one is never used.
func reference(kind, name string) string { return "{{" + kind + "/" + name + "}}" }

// ARN refers to the ARN of a resource of a plan by its kind, such as target-group, and its name.
func ARN(kind, name string) string { return reference("arn:"+kind, name) }

// Dimension refers to the part of an ARN that CloudWatch uses for load balancers and target
// groups.
func Dimension(kind, name string) string { return reference("dimension:"+kind, name) }

// References lists the references in a text, in order; without any it can be sent.
func References(text string) []string { return referenceForm.FindAllString(text, -1) }

var referenceForm = regexp.MustCompile(`\{\{(arn|dimension):[^{}]+\}\}`)
