package rollout

import (
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/rollout/wire"
)

// Policy is an IAM policy document, as docs/iam holds them.
type Policy struct {
	// File is the document's file name, Purpose what it is for, in one sentence.
	File, Purpose string
	Statements    []Statement
}

// Statement is one statement of a policy that allows something.
type Statement struct {
	Sid       string                         `json:"Sid"`
	Effect    string                         `json:"Effect"`
	Principal map[string]string              `json:"Principal,omitempty"`
	Action    []string                       `json:"Action"`
	Resource  []string                       `json:"Resource,omitempty"`
	Condition map[string]map[string][]string `json:"Condition,omitempty"`
}

// document is a policy as IAM takes it.
type document struct {
	Version   string      `json:"Version"`
	Statement []Statement `json:"Statement"`
}

// JSON renders the document as IAM takes it.
func (p Policy) JSON() []byte { return wire.Indent(document{"2012-10-17", p.Statements}) }

// Policies are the least rights with which a plan can be carried out and its tasks can
// run, each limited to the plan's own names as far as IAM allows for the action.
func (p *Plan) Policies() []Policy {
	return []Policy{
		{"deployer.json", "Attach it to the role that the pipeline assumes to roll out.", p.deployerStatements()},
		{"execution-role.json", "Attach it to rollout.execution_role: ECS pulls the image, reads the secrets and writes the logs with it.", p.executionStatements()},
		{"execution-role-trust.json", "The trust policy of rollout.execution_role.", p.trust("ecs-tasks.amazonaws.com")},
		{"task-role-trust.json", "The trust policy of rollout.task_role. The application needs no rights in AWS to serve; give the role what yours calls.", p.trust("ecs-tasks.amazonaws.com")},
		{"infrastructure-role-trust.json", "The trust policy of rollout.infrastructure_role, to which AWS's policy AmazonECSInfrastructureRolePolicyForLoadBalancers is attached.", p.trust("ecs.amazonaws.com")},
	}
}

func (p *Plan) resource(service, path string) string {
	return "arn:" + partition(p.Region) + ":" + service + ":" + p.Region + ":" + p.Account + ":" + path
}

func allow(sid string, actions, resources []string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources}
}

func (p *Plan) deployerStatements() []Statement {
	n, s := p.settings.names, p.settings
	at := n.cluster + "/" + n.service
	elb := func(kinds ...string) []string {
		var all []string
		for _, kind := range kinds {
			all = append(all, p.resource("elasticloadbalancing", kind))
		}
		return all
	}
	tasks := allow("ReadStoppedTasks", []string{"ecs:DescribeTasks", "ecs:ListTasks"}, []string{"*"})
	// ListTasks has no resource of its own for a service of Fargate; the cluster is a condition.
	tasks.Condition = map[string]map[string][]string{"ArnEquals": {"ecs:cluster": {p.resource("ecs", "cluster/"+n.cluster)}}}
	scale := allow("ScaleTheService", []string{
		"application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget", "application-autoscaling:TagResource",
	}, []string{p.resource("application-autoscaling", "scalable-target/*")})
	scale.Condition = map[string]map[string][]string{"StringEquals": {"application-autoscaling:service-namespace": {"ecs"}}}
	pass := allow("HandTheTasksTheirRoles", []string{"iam:PassRole"}, []string{s.ExecutionRole, s.TaskRole})
	pass.Condition = map[string]map[string][]string{"StringEquals": {"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}}
	all := []Statement{
		allow("MakeTheCluster", []string{"ecs:CreateCluster", "ecs:TagResource"}, []string{p.resource("ecs", "cluster/"+n.cluster)}),
		// The resource of a registration is the family, with any revision.
		allow("RegisterTaskDefinitions", []string{"ecs:RegisterTaskDefinition", "ecs:TagResource"}, []string{p.resource("ecs", "task-definition/"+n.family+":*")}),
		allow("DeployTheService", []string{
			"ecs:ContinueServiceDeployment", "ecs:CreateService", "ecs:DeleteService", "ecs:DescribeServiceDeployments", "ecs:DescribeServiceRevisions", "ecs:DescribeServices",
			"ecs:ListServiceDeployments", "ecs:StopServiceDeployment", "ecs:TagResource", "ecs:UpdateService",
		}, []string{p.resource("ecs", "service/"+at), p.resource("ecs", "service-deployment/"+at+"/*"), p.resource("ecs", "service-revision/"+at+"/*")}),
		tasks,
		allow("MakeTheLoadBalancer", []string{
			"elasticloadbalancing:AddTags", "elasticloadbalancing:CreateListener", "elasticloadbalancing:CreateLoadBalancer",
			"elasticloadbalancing:CreateRule", "elasticloadbalancing:CreateTargetGroup",
			"elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:ModifyTargetGroupAttributes",
		}, elb("loadbalancer/app/"+n.loadBalancer+"/*", "listener/app/"+n.loadBalancer+"/*", "listener-rule/app/"+n.loadBalancer+"/*",
			"targetgroup/"+n.blue+"/*", "targetgroup/"+n.green+"/*")),
		scale,
		allow("KeepTheLogs", []string{"logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource"},
			[]string{p.resource("logs", "log-group:"+n.logGroup), p.resource("logs", "log-group:"+n.logGroup+":*")}),
		allow("SetAlarms", []string{"cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"}, []string{p.resource("cloudwatch", "alarm:"+n.scope+"-*")}),
		allow("DrawTheDashboard", []string{"cloudwatch:PutDashboard"}, []string{"arn:" + partition(p.Region) + ":cloudwatch::" + p.Account + ":dashboard/" + n.scope}),
		pass,
	}
	if s.strategy.shiftsTraffic() {
		infrastructure := allow("HandECSTheRoleThatShiftsTraffic", []string{"iam:PassRole"}, []string{s.InfrastructureRole})
		infrastructure.Condition = map[string]map[string][]string{"StringEquals": {"iam:PassedToService": {"ecs.amazonaws.com"}}}
		all = append(all, infrastructure)
	}
	return all
}

func (p *Plan) executionStatements() []Statement {
	all := []Statement{
		// The login token is for the whole registry; IAM knows no smaller resource.
		allow("LogInToECR", []string{"ecr:GetAuthorizationToken"}, []string{"*"}),
		allow("PullTheImage", []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
			[]string{p.resource("ecr", "repository/"+repositoryName(p.Image))}),
		allow("WriteTheLogs", []string{"logs:CreateLogStream", "logs:PutLogEvents"}, []string{p.resource("logs", "log-group:"+p.settings.names.logGroup+":*")}),
	}
	secrets, parameters := []string{}, []string{}
	for _, name := range slices.Sorted(maps.Keys(p.settings.Secrets)) {
		reference := p.settings.Secrets[name]
		if strings.Contains(reference, ":ssm:") {
			parameters = append(parameters, reference)
			continue
		}
		// Behind the name may stand a JSON key, a stage and a version: no part of the ARN.
		secrets = append(secrets, strings.Join(strings.Split(reference, ":")[:7], ":"))
	}
	if len(secrets) > 0 {
		all = append(all, allow("ReadTheSecrets", []string{"secretsmanager:GetSecretValue"}, slices.Compact(secrets)))
	}
	if len(parameters) > 0 {
		all = append(all, allow("ReadTheParameters", []string{"ssm:GetParameters"}, parameters))
	}
	return all
}

// repositoryName is the path of an image's repository in its registry.
func repositoryName(image string) string {
	repository, _, _ := strings.Cut(image, "@")
	if host, path, found := strings.Cut(repository, "/"); found && strings.ContainsAny(host, ".:") {
		repository = path
	}
	repository, _, _ = strings.Cut(repository, ":")
	return repository
}

// trust lets a service of AWS take a role, for this account's resources only: without the
// condition another account could make the service act for it (the confused deputy).
func (p *Plan) trust(service string) []Statement {
	return []Statement{{
		Sid: "LetTheServiceTakeTheRole", Effect: "Allow", Principal: map[string]string{"Service": service}, Action: []string{"sts:AssumeRole"},
		Condition: map[string]map[string][]string{"StringEquals": {"aws:SourceAccount": {p.Account}}},
	}}
}
