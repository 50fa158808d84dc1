package overhttp

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
)

// Policies decide as IAM does for documents that only allow: a request is allowed when,
// for each of its actions and resources, a statement allows it. Which resources an
// operation has, and which other actions it needs (tags, handing on a role), is from the
// Service Authorization Reference of each service. Of conditions, those that the
// project's policies use are known; another is an error.
type Policies struct {
	statements []statement
	mu         sync.Mutex
	// used are the statements' actions that allowed something, as sid/action.
	used map[string]bool
}

type statement struct {
	Sid       string
	Action    []string
	Resource  []string
	Condition map[string]map[string][]string
}

// NewPolicies reads policy documents.
func NewPolicies(documents ...[]byte) (*Policies, error) {
	p := &Policies{used: map[string]bool{}}
	for _, document := range documents {
		var parsed struct{ Statement []statement }
		if err := json.Unmarshal(document, &parsed); err != nil {
			return nil, fmt.Errorf("read policy: %w", err)
		}
		p.statements = append(p.statements, parsed.Statement...)
	}
	return p, nil
}

// Unused are the actions of statements that allowed nothing so far, as sid/action.
func (p *Policies) Unused() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []string
	for _, s := range p.statements {
		for _, action := range s.Action {
			if !p.used[s.Sid+"/"+action] {
				all = append(all, s.Sid+"/"+action)
			}
		}
	}
	return all
}

// Used are those that did.
func (p *Policies) Used() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Sorted(maps.Keys(p.used))
}

// Allow is a Server's Allow.
func (p *Policies) Allow(r Request) error { return Together(r, p) }

// Together asks several policies that are attached to one role.
func Together(r Request, policies ...*Policies) error {
	for _, need := range needs(r) {
		allowed := false
		for _, p := range policies {
			// All are asked, so that each knows what it is used for.
			allowed = p.allowed(need) || allowed
		}
		if !allowed {
			return fmt.Errorf("User is not authorized to perform: %s on resource: %s", need.action, need.resource)
		}
	}
	return nil
}

// Without asks as allow does, and refuses what needs one action besides.
func Without(action string, r Request, allow func(Request) error) error {
	for _, need := range needs(r) {
		if need.action == action {
			return fmt.Errorf("User is not authorized to perform: %s on resource: %s", need.action, need.resource)
		}
	}
	return allow(r)
}

// Permits reports whether a statement allows an action on a resource, as a simulation of IAM asks.
func (p *Policies) Permits(action, resource string, context map[string]string) bool {
	return p.allowed(need{action, resource, context})
}

// need is one action on one resource, with what conditions ask for.
type need struct {
	action, resource string
	context          map[string]string
}

func (p *Policies) allowed(n need) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	found := false
	for _, s := range p.statements {
		if !slices.Contains(s.Action, n.action) || !s.holds(n.context) ||
			!slices.ContainsFunc(s.Resource, func(pattern string) bool { return like(pattern, n.resource) }) {
			continue
		}
		// All that allow it are in use: reader and deployer may both name a thing.
		p.used[s.Sid+"/"+n.action], found = true, true
	}
	return found
}

func (s statement) holds(context map[string]string) bool {
	for operator, keys := range s.Condition {
		for key, values := range keys {
			switch operator {
			case "StringEquals", "ArnEquals":
				if !slices.Contains(values, context[key]) {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// like matches a pattern with * for anything.
func like(pattern, resource string) bool {
	return regexp.MustCompile("^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$").MatchString(resource)
}

const (
	ecsResource   = "arn:aws:ecs:ap-south-1:111122223333:"
	elbResource   = "arn:aws:elasticloadbalancing:ap-south-1:111122223333:"
	logResource   = "arn:aws:logs:ap-south-1:111122223333:log-group:"
	alarmResource = "arn:aws:cloudwatch:ap-south-1:111122223333:alarm:"
	dashResource  = "arn:aws:cloudwatch::111122223333:dashboard/"
	roleResource  = "arn:aws:iam::111122223333:role/"
	scaleResource = "arn:aws:application-autoscaling:ap-south-1:111122223333:scalable-target/"
)

// needs are the actions and resources of a request.
func needs(r Request) []need {
	service, _, _ := strings.Cut(r.Action, ":")
	resources, context := []string{"*"}, map[string]string{}
	for key, value := range r.Tags {
		context["aws:ResourceTag/"+key] = value
	}
	switch service {
	case "ecs":
		resources = ecsResources(r.Input, context)
	case "elasticloadbalancing":
		resources = balancingResources(r)
	case "application-autoscaling":
		if !strings.Contains(r.Action, ":Describe") {
			resources, context["application-autoscaling:service-namespace"] = []string{scaleResource + "id"}, field(r.Input, "ServiceNamespace")
		}
	case "cloudwatch":
		resources = watchResources(r.Input)
	case "logs":
		resources = logResources(r.Input)
	case "iam":
		resources = []string{roleResource + field(r.Input, "RoleName")}
	case "s3":
		resources = objectResources(r.Input)
	}
	var all []need
	for _, resource := range resources {
		all = append(all, need{r.Action, resource, context})
	}
	if run, is := r.Input.(*ecs.RunTaskInput); is {
		resources = []string{ecsResource + "task/" + lastPart(aws.ToString(run.Cluster)) + "/id"} // which gets the tags
	}
	if tagging := taggingActions[r.Action]; tagging != "" && tagged(r.Input) {
		_, name, _ := strings.Cut(r.Action, ":")
		for _, resource := range resources {
			all = append(all, need{tagging, resource, map[string]string{service + ":CreateAction": name}})
		}
	}
	return append(all, passed(r.Input)...)
}

// taggingActions are what creating something with tags needs besides.
var taggingActions = map[string]string{
	"ecs:CreateCluster": "ecs:TagResource", "ecs:RegisterTaskDefinition": "ecs:TagResource", "ecs:CreateService": "ecs:TagResource", "ecs:RunTask": "ecs:TagResource",
	"elasticloadbalancing:CreateLoadBalancer": "elasticloadbalancing:AddTags", "elasticloadbalancing:CreateTargetGroup": "elasticloadbalancing:AddTags",
	"elasticloadbalancing:CreateListener": "elasticloadbalancing:AddTags", "elasticloadbalancing:CreateRule": "elasticloadbalancing:AddTags",
	"application-autoscaling:RegisterScalableTarget": "application-autoscaling:TagResource", "cloudwatch:PutMetricAlarm": "cloudwatch:TagResource",
	"logs:CreateLogGroup": "logs:TagResource", "iam:CreateRole": "iam:TagRole",
}

func tagged(input any) bool {
	tags := reflect.ValueOf(input).Elem().FieldByName("Tags")
	return tags.IsValid() && tags.Len() > 0
}

// field is a member of an input that is a string of some type, or a pointer to one.
func field(input any, name string) string {
	v := reflect.ValueOf(input).Elem().FieldByName(name)
	if v.IsValid() && v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.IsValid() && v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

func ecsResources(input any, context map[string]string) []string {
	of := func(cluster *string, services ...string) []string {
		var all []string
		for _, name := range services {
			all = append(all, ecsResource+"service/"+lastPart(aws.ToString(cluster))+"/"+lastPart(name))
		}
		return all
	}
	switch in := input.(type) {
	case *ecs.DescribeClustersInput:
		var all []string
		for _, name := range in.Clusters {
			all = append(all, ecsResource+"cluster/"+lastPart(name))
		}
		return all
	case *ecs.CreateClusterInput:
		return []string{ecsResource + "cluster/" + aws.ToString(in.ClusterName)}
	case *ecs.UpdateClusterSettingsInput:
		return []string{ecsResource + "cluster/" + lastPart(aws.ToString(in.Cluster))}
	case *ecs.DeleteClusterInput:
		return []string{ecsResource + "cluster/" + lastPart(aws.ToString(in.Cluster))}
	case *ecs.RegisterTaskDefinitionInput:
		return []string{ecsResource + "task-definition/" + aws.ToString(in.Family) + ":1"}
	case *ecs.CreateServiceInput:
		return of(in.Cluster, aws.ToString(in.ServiceName))
	case *ecs.UpdateServiceInput:
		return of(in.Cluster, aws.ToString(in.Service))
	case *ecs.DeleteServiceInput:
		return of(in.Cluster, aws.ToString(in.Service))
	case *ecs.DescribeServicesInput:
		return of(in.Cluster, in.Services...)
	case *ecs.ListServiceDeploymentsInput:
		return of(in.Cluster, aws.ToString(in.Service))
	case *ecs.DescribeServiceDeploymentsInput:
		return in.ServiceDeploymentArns
	case *ecs.DescribeServiceRevisionsInput:
		return in.ServiceRevisionArns
	case *ecs.StopServiceDeploymentInput:
		return []string{aws.ToString(in.ServiceDeploymentArn)}
	case *ecs.ContinueServiceDeploymentInput:
		return []string{aws.ToString(in.ServiceDeploymentArn)}
	case *ecs.DescribeTasksInput:
		return in.Tasks
	case *ecs.StopTaskInput:
		return []string{aws.ToString(in.Task)}
	case *ecs.RunTaskInput:
		context["ecs:cluster"] = ecsResource + "cluster/" + lastPart(aws.ToString(in.Cluster))
		return []string{aws.ToString(in.TaskDefinition)}
	case *ecs.ListTasksInput:
		context["ecs:cluster"] = ecsResource + "cluster/" + lastPart(aws.ToString(in.Cluster))
	}
	return []string{"*"}
}

func balancingResources(r Request) []string {
	if strings.Contains(r.Action, ":Describe") {
		return []string{"*"}
	}
	switch in := r.Input.(type) {
	case *elb.CreateLoadBalancerInput:
		return []string{elbResource + "loadbalancer/app/" + aws.ToString(in.Name) + "/id"}
	case *elb.CreateTargetGroupInput:
		return []string{elbResource + "targetgroup/" + aws.ToString(in.Name) + "/id"}
	}
	// What is made below something else, and what is changed, names it.
	for _, name := range []string{"RuleArn", "ListenerArn", "LoadBalancerArn", "TargetGroupArn"} {
		if arn := field(r.Input, name); arn != "" {
			return []string{arn}
		}
	}
	return []string{"*"}
}

func watchResources(input any) []string {
	switch in := input.(type) {
	case *cloudwatch.DescribeAlarmsInput:
		return prefixed(alarmResource, in.AlarmNames)
	case *cloudwatch.DeleteAlarmsInput:
		return prefixed(alarmResource, in.AlarmNames)
	case *cloudwatch.PutMetricAlarmInput:
		return []string{alarmResource + aws.ToString(in.AlarmName)}
	case *cloudwatch.ListTagsForResourceInput:
		return []string{aws.ToString(in.ResourceARN)}
	case *cloudwatch.DeleteDashboardsInput:
		return prefixed(dashResource, in.DashboardNames)
	}
	return []string{dashResource + field(input, "DashboardName")}
}

func prefixed(prefix string, names []string) []string {
	var all []string
	for _, name := range names {
		all = append(all, prefix+name)
	}
	return all
}

func logResources(input any) []string {
	switch in := input.(type) {
	case *logs.DescribeLogGroupsInput:
		return []string{logResource + "any"}
	case *logs.ListTagsForResourceInput:
		return []string{aws.ToString(in.ResourceArn)}
	case *logs.GetLogEventsInput:
		return []string{logResource + aws.ToString(in.LogGroupName) + ":log-stream:" + aws.ToString(in.LogStreamName)}
	}
	return []string{logResource + field(input, "LogGroupName")}
}

func objectResources(input any) []string {
	if in, is := input.(*objectInput); is {
		return []string{"arn:aws:s3:::" + in.path}
	}
	return []string{"*"}
}

// passed are the roles that a request hands to a service of AWS: iam:PassRole.
func passed(input any) []need {
	roles := map[string]string{}
	switch in := input.(type) {
	case *ecs.RegisterTaskDefinitionInput:
		roles[aws.ToString(in.ExecutionRoleArn)], roles[aws.ToString(in.TaskRoleArn)] = "ecs-tasks.amazonaws.com", "ecs-tasks.amazonaws.com"
	case *ecs.CreateServiceInput:
		for _, lb := range in.LoadBalancers {
			if lb.AdvancedConfiguration != nil {
				roles[aws.ToString(lb.AdvancedConfiguration.RoleArn)] = "ecs.amazonaws.com"
			}
		}
	case *ecs.UpdateServiceInput:
		for _, lb := range in.LoadBalancers {
			if lb.AdvancedConfiguration != nil {
				roles[aws.ToString(lb.AdvancedConfiguration.RoleArn)] = "ecs.amazonaws.com"
			}
		}
	}
	delete(roles, "")
	var all []need
	for _, role := range slices.Sorted(maps.Keys(roles)) {
		all = append(all, need{"iam:PassRole", role, map[string]string{"iam:PassedToService": roles[role]}})
	}
	return all
}
