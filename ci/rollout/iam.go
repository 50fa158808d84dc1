package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
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

// Policies are the least rights needed to carry out the plan and to run its tasks, each
// limited to the plan's own names as far as IAM allows for the action. The journal is
// s3://bucket/prefix. A document that would allow nothing is left out: IAM refuses one without
// statements.
func (p *Plan) Policies(journal string) []Policy {
	made := policies{p}
	if p.Adopts() {
		return made.adoptPolicies(journal)
	}
	read, write := made.readStatements(journal), made.writeStatements(journal)
	all := []Policy{
		{"reader.json", "Attach it to a role that only looks: plan and status.", read},
		{"deployer.json", "Attach it, beside reader.json, to the role that the pipeline assumes to roll out: " +
			"deploy, rollback, approve, reject, wait.", write},
		{"cleaner.json", "Attach it, beside both, where prune and destroy are called. Deploying does not need it.", made.cleanStatements()},
		{"role-maker.json", "Attach it beside the others where rollout.execution_role is empty: that role is then made, kept and deleted.",
			made.roleStatements()},
		{"publisher.json", "Attach it to the role that publishes models to S3, with mlflow_artifact_root as the bucket and prefix.",
			publishStatements(partition.ID(p.Region), journal)},
		{"observer.json", "Attach it to the role of a run where observe.cloudwatch is set or a channel of notify is a topic.",
			made.observeStatements()},
		{"image-push.json", "Attach it to the role whose token logs in to ECR to push the image.", made.pushStatements()},
		{"execution-role.json", "Attach it to rollout.execution_role, where you make that: " +
			"ECS pulls the image, reads the secrets and writes the logs with it.", made.executionStatements()},
		{"execution-role-trust.json", "The trust policy of rollout.execution_role.", made.trust("ecs-tasks.amazonaws.com")},
		{"task-role.json", "Attach it to rollout.task_role where a volume under rollout.volumes has iam: true.", made.mountStatements()},
		{"task-role-trust.json", "The trust policy of rollout.task_role. " +
			"The application needs no rights in AWS to serve; give the role what yours calls.", made.trust("ecs-tasks.amazonaws.com")},
		{"infrastructure-role-trust.json",
			"The trust policy of rollout.infrastructure_role, to which AWS's policy AmazonECSInfrastructureRolePolicyForLoadBalancers is attached.",
			made.trust("ecs.amazonaws.com")},
	}
	if !p.Balanced() {
		for n := range all {
			all[n].Statements = slices.DeleteFunc(all[n].Statements, func(s Statement) bool { return strings.HasSuffix(s.Sid, "TheLoadBalancer") })
		}
	}
	return slices.DeleteFunc(all, func(policy Policy) bool { return len(policy.Statements) == 0 })
}

// policies writes the IAM statements of a plan.
type policies struct{ *Plan }

func (p policies) resource(service, path string) string {
	return "arn:" + partition.ID(p.Region) + ":" + service + ":" + p.Region + ":" + p.Account + ":" + path
}

func allow(sid string, actions, resources []string) Statement {
	return Statement{Sid: sid, Effect: "Allow", Action: actions, Resource: resources}
}

// at holds the ARNs of a plan's resources, by kind.
type at struct {
	cluster, balancing, groups, rules, logs, alarms, dashboard, scaling, service []string
	definitions, tasks                                                           []string
}

func (p policies) at() at {
	n := p.settings.names
	of := n.cluster + "/" + n.service
	elb := func(kinds ...string) []string {
		var all []string
		for _, kind := range kinds {
			all = append(all, p.resource("elasticloadbalancing", kind))
		}
		return all
	}
	return at{
		cluster: []string{p.resource("ecs", "cluster/"+n.cluster)},
		service: []string{p.resource("ecs", "service/"+of), p.resource("ecs", "service-deployment/"+of+"/*"),
			p.resource("ecs", "service-revision/"+of+"/*")},
		tasks:     []string{p.resource("ecs", "task/"+n.cluster+"/*")},
		balancing: elb("loadbalancer/app/" + n.loadBalancer + "/*"),
		groups:    elb("targetgroup/"+n.blue+"/*", "targetgroup/"+n.green+"/*"),
		rules:     elb("listener/app/"+n.loadBalancer+"/*", "listener-rule/app/"+n.loadBalancer+"/*"),
		logs:      []string{p.resource("logs", "log-group:"+n.logGroup), p.resource("logs", "log-group:"+n.logGroup+":*")},
		alarms:    []string{p.resource("cloudwatch", "alarm:"+n.scope+"-*")},
		dashboard: []string{"arn:" + partition.ID(p.Region) + ":cloudwatch::" + p.Account + ":dashboard/" + n.scope},
		scaling:   []string{p.resource("application-autoscaling", "scalable-target/*")},
		// The resource of a registration is the family, with any revision.
		definitions: []string{p.resource("ecs", "task-definition/"+n.family+":*")},
	}
}

// anyResource are the actions for which the Service Authorization Reference lists no resource
// type, so they can only be allowed for all resources. All but ecs:DeregisterTaskDefinition
// are read-only.
var anyResource = []string{
	"application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
	"application-autoscaling:DescribeScheduledActions",
	"ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition", "ecs:ListTaskDefinitions",
	"elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeLoadBalancerAttributes",
	"elasticloadbalancing:DescribeLoadBalancers",
	"elasticloadbalancing:DescribeRules", "elasticloadbalancing:DescribeTags", "elasticloadbalancing:DescribeTargetGroupAttributes",
	"elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth",
}

func (p policies) readStatements(journal string) []Statement {
	at := p.at()
	// ListTasks has no resource of its own for a service of Fargate; the cluster is a condition.
	tasks := allow("FindStoppedTasks", []string{"ecs:ListTasks"}, []string{"*"})
	tasks.Condition = map[string]map[string][]string{"ArnEquals": {"ecs:cluster": at.cluster}}
	return append([]Statement{
		allow("LookAround", slices.DeleteFunc(slices.Clone(anyResource),
			func(action string) bool { return action == "ecs:DeregisterTaskDefinition" }), []string{"*"}),
		allow("SeeTheCluster", []string{"ecs:DescribeClusters"}, at.cluster),
		allow("SeeTheService", []string{"ecs:DescribeServiceDeployments", "ecs:DescribeServiceRevisions", "ecs:DescribeServices",
			"ecs:ListServiceDeployments"}, at.service),
		tasks,
		allow("ReadStoppedTasks", []string{"ecs:DescribeTasks"}, at.tasks),
		allow("SeeTheScaling", []string{"application-autoscaling:ListTagsForResource"}, at.scaling),
		// Log groups are listed by prefix, which needs the right for all.
		allow("FindTheLogs", []string{"logs:DescribeLogGroups"}, []string{p.resource("logs", "log-group:*")}),
		allow("ReadTheLogs", []string{"logs:GetLogEvents", "logs:ListTagsForResource"}, at.logs),
		allow("SeeTheAlarms", []string{"cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource"}, at.alarms),
		allow("SeeTheDashboard", []string{"cloudwatch:GetDashboard"}, at.dashboard),
	}, append(p.measureStatements(), p.readJournal(journal)...)...)
}

// measureStatements are the rights of an analysis with metrics of CloudWatch, which are not limited to
// a resource.
func (p policies) measureStatements() []Statement {
	if !slices.ContainsFunc(p.settings.Analysis, func(a spec.Analysis) bool { return len(a.Metrics) > 0 }) {
		return nil
	}
	return []Statement{allow("ReadMetrics", []string{"cloudwatch:GetMetricData"}, []string{"*"})}
}

func (p policies) writeStatements(journal string) []Statement {
	s, at := p.settings, p.at()
	ofECS := map[string]map[string][]string{"StringEquals": {"application-autoscaling:service-namespace": {"ecs"}}}
	scale := allow("ScaleTheService", []string{"application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget"},
		at.scaling)
	scale.Condition = ofECS
	pass := allow("HandTheTasksTheirRoles", []string{"iam:PassRole"}, []string{s.ExecutionRole, s.TaskRole})
	pass.Condition = map[string]map[string][]string{"StringEquals": {"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}}
	try := allow("TryATask", []string{"ecs:RunTask"}, at.definitions)
	try.Condition = map[string]map[string][]string{"ArnEquals": {"ecs:cluster": at.cluster}}
	tag := allow("TagTheTrial", []string{"ecs:TagResource"}, at.tasks)
	tag.Condition = map[string]map[string][]string{"StringEquals": {"ecs:CreateAction": {"RunTask"}}}
	all := []Statement{
		allow("MakeTheCluster", []string{"ecs:CreateCluster", "ecs:TagResource", "ecs:UpdateClusterSettings"}, at.cluster),
		allow("RegisterTaskDefinitions", []string{"ecs:RegisterTaskDefinition", "ecs:TagResource"}, at.definitions),
		// A first deployment that fails cannot be rolled back: its service is deleted.
		allow("DeployTheService", []string{
			"ecs:ContinueServiceDeployment", "ecs:CreateService", "ecs:DeleteService", "ecs:StopServiceDeployment", "ecs:TagResource",
			"ecs:UpdateService",
		}, at.service),
		try,
		tag,
		p.stopTrial(),
		allow("MakeTheLoadBalancer", []string{
			"elasticloadbalancing:AddTags", "elasticloadbalancing:CreateListener", "elasticloadbalancing:CreateLoadBalancer",
			"elasticloadbalancing:CreateRule",
			"elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:ModifyListener", "elasticloadbalancing:ModifyLoadBalancerAttributes",
			"elasticloadbalancing:ModifyRule", "elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:ModifyTargetGroupAttributes",
			"elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets",
		}, slices.Concat(at.balancing, at.rules, at.groups)),
		scale,
		allow("TagTheScaling", []string{"application-autoscaling:TagResource"}, at.scaling),
		allow("KeepTheLogs", []string{"logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource"}, at.logs),
		allow("SetAlarms", []string{"cloudwatch:PutMetricAlarm", "cloudwatch:TagResource"}, at.alarms),
		allow("DrawTheDashboard", []string{"cloudwatch:PutDashboard"}, at.dashboard),
		pass,
	}
	if s.strategy.shiftsTraffic() {
		infrastructure := allow("HandECSTheRoleThatShiftsTraffic", []string{"iam:PassRole"}, []string{s.InfrastructureRole})
		infrastructure.Condition = map[string]map[string][]string{"StringEquals": {"iam:PassedToService": {"ecs.amazonaws.com"}}}
		all = append(all, infrastructure)
	}
	_, records := p.journal(journal)
	return append(all, allow("WriteTheJournal", []string{"s3:PutObject"}, records))
}

// observeStatements are for what a run tells once it has its verdict.
func (p policies) observeStatements() []Statement {
	put := allow("SendTheMetrics", []string{"cloudwatch:PutMetricData"}, []string{"*"})
	put.Condition = map[string]map[string][]string{"StringEquals": {"cloudwatch:namespace": {"openstack-rca"}}}
	return []Statement{put, allow("TellTheTopic", []string{"sns:Publish"}, []string{p.resource("sns", "openstack-rca-runs")})}
}

// stopTrial allows stopping tasks with this service's tags: other services may share its cluster.
func (p policies) stopTrial() Statement {
	stop := allow("StopTheTrial", []string{"ecs:StopTask"}, p.at().tasks)
	tags := map[string][]string{}
	for _, t := range p.settings.ownership() {
		tags["aws:ResourceTag/"+t.key] = []string{t.value}
	}
	stop.Condition = map[string]map[string][]string{"StringEquals": tags}
	return stop
}

func (p policies) cleanStatements() []Statement {
	at := p.at()
	scale := allow("StopScaling", []string{"application-autoscaling:DeregisterScalableTarget"}, at.scaling)
	scale.Condition = map[string]map[string][]string{"StringEquals": {"application-autoscaling:service-namespace": {"ecs"}}}
	return []Statement{
		allow("DeregisterTaskDefinitions", []string{"ecs:DeregisterTaskDefinition"}, []string{"*"}),
		allow("DeleteTheCluster", []string{"ecs:DeleteCluster"}, at.cluster),
		allow("DeleteTheService", []string{"ecs:DeleteService"}, at.service),
		p.stopTrial(),
		allow("DeleteTheLoadBalancer", []string{"elasticloadbalancing:DeleteListener", "elasticloadbalancing:DeleteLoadBalancer",
			"elasticloadbalancing:DeleteRule", "elasticloadbalancing:DeleteTargetGroup"},
			slices.Concat(at.balancing, at.rules, at.groups)),
		scale,
		allow("DeleteTheLogs", []string{"logs:DeleteLogGroup"}, at.logs),
		allow("DeleteAlarms", []string{"cloudwatch:DeleteAlarms"}, at.alarms),
		allow("DeleteTheDashboard", []string{"cloudwatch:DeleteDashboards"}, at.dashboard),
	}
}

// object splits s3://bucket/prefix; the prefix ends with a slash unless it is empty.
func object(address string) (bucket, prefix string) {
	bucket, prefix, _ = strings.Cut(strings.TrimPrefix(address, "s3://"), "/")
	if prefix = strings.Trim(prefix, "/"); prefix != "" {
		prefix += "/"
	}
	return bucket, prefix
}

// journal is where the rollouts and runs of this application, in all environments, keep their
// records: production reads what staging has run.
func (p policies) journal(address string) (bucket string, records []string) {
	name, prefix := object(address)
	bucket = "arn:" + partition.ID(p.Region) + ":s3:::" + name
	for _, folder := range []string{".rollouts/", ".runs/"} {
		records = append(records, bucket+"/"+prefix+p.settings.Application+folder+"*")
	}
	return bucket, records
}

// readJournal allows reading and listing: without the right to list, S3 answers "access
// denied" for a missing object (GetObject in its API reference).
func (p policies) readJournal(journal string) []Statement {
	bucket, records := p.journal(journal)
	return []Statement{allow("TellMissingFromForbidden", []string{"s3:ListBucket"}, []string{bucket}),
		allow("ReadTheJournal", []string{"s3:GetObject"}, records)}
}

// publishStatements are for the ledger of models: objects are written whole or in parts and
// read back, and a lock is deleted.
func publishStatements(within, root string) []Statement {
	bucket, prefix := object(root)
	return []Statement{
		allow("FindModelsAndUploads", []string{"s3:ListBucket", "s3:ListBucketMultipartUploads"}, []string{"arn:" + within + ":s3:::" +
			bucket}),
		allow("PublishModels", []string{"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"},
			[]string{"arn:" + within + ":s3:::" + bucket + "/" + prefix + "*"}),
	}
}

// pushStatements are those of "IAM permissions for pushing an image" in the user guide of
// Amazon ECR; the image is read back after the push.
func (p policies) pushStatements() []Statement {
	return []Statement{
		allow("LogInToECR", []string{"ecr:GetAuthorizationToken"}, []string{"*"}),
		allow("PushTheImage", []string{
			"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:CompleteLayerUpload", "ecr:GetDownloadUrlForLayer",
			"ecr:InitiateLayerUpload", "ecr:PutImage", "ecr:UploadLayerPart",
		}, []string{p.resource("ecr", "repository/"+p.repositoryName())}),
	}
}

func (p policies) executionStatements() []Statement {
	all := []Statement{
		// The login token is for the whole registry; IAM has no narrower resource.
		allow("LogInToECR", []string{"ecr:GetAuthorizationToken"}, []string{"*"}),
		allow("PullTheImage", []string{"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"},
			[]string{p.resource("ecr", "repository/"+p.repositoryName())}),
		allow("WriteTheLogs", []string{"logs:CreateLogStream", "logs:PutLogEvents"},
			[]string{p.resource("logs", "log-group:"+p.settings.names.logGroup+":*")}),
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
	if keys := p.settings.KMSKeys; len(keys) > 0 {
		all = append(all, allow("DecryptTheSecrets", []string{"kms:Decrypt"}, slices.Sorted(slices.Values(keys))))
	}
	return all
}

// mountStatements let the application's role mount the file systems, through their access
// points where they have one (Amazon EFS: "Using IAM to control access to file systems").
func (p policies) mountStatements() []Statement {
	all := []Statement{}
	for _, volume := range p.settings.Volumes {
		if !volume.IAM {
			continue
		}
		mount := allow(fmt.Sprintf("MountVolume%d", len(all)+1),
			[]string{"elasticfilesystem:ClientMount", "elasticfilesystem:ClientWrite"},
			[]string{p.resource("elasticfilesystem", "file-system/"+volume.FileSystem)})
		if volume.AccessPoint != "" {
			point := p.resource("elasticfilesystem", "access-point/"+volume.AccessPoint)
			mount.Condition = map[string]map[string][]string{"StringEquals": {"elasticfilesystem:AccessPointArn": {point}}}
		}
		all = append(all, mount)
	}
	return all
}

// repositoryName is the path of the image's repository in its registry.
func (p policies) repositoryName() string {
	path := p.Image.Repository.Path()
	if !strings.Contains(p.Image.Written(), "/") {
		return strings.TrimPrefix(path, "library/") // added by the parser
	}
	return path
}

// trust lets an AWS service assume a role, for this account's resources only: without the
// condition another account could make the service act for it (the confused deputy problem).
func (p policies) trust(service string) []Statement {
	return []Statement{{
		Sid: "LetTheServiceTakeTheRole", Effect: "Allow", Principal: map[string]string{"Service": service}, Action: []string{"sts:AssumeRole"},
		Condition: map[string]map[string][]string{"StringEquals": {"aws:SourceAccount": {p.Account}}},
	}}
}
