package rollout

import (
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// adoptPolicies are the least rights to deploy new images into a service of somebody else. The task
// definition's name and roles, the alarms and the log group are those that were found; before anything was
// looked at, the rights that depend on them are for any task definition, or left out.
func (p policies) adoptPolicies(journal string) []Policy {
	n := p.settings.names
	cluster, of := p.resource("ecs", "cluster/"+n.cluster), n.cluster+"/"+n.service
	service := []string{p.resource("ecs", "service/"+of), p.resource("ecs", "service-deployment/"+of+"/*"),
		p.resource("ecs", "service-revision/"+of+"/*")}
	tasks := []string{p.resource("ecs", "task/"+n.cluster+"/*")}
	family := "*"
	if p.Adoption != nil {
		family = aws.ToString(p.TaskDefinition.Family) + ":*"
	}
	definitions := []string{p.resource("ecs", "task-definition/"+family)}
	in := map[string]map[string][]string{"ArnEquals": {"ecs:cluster": {cluster}}}
	find := allow("FindTasks", []string{"ecs:ListTasks"}, []string{"*"})
	find.Condition = in
	try := allow("RunATask", []string{"ecs:RunTask"}, definitions)
	try.Condition = in
	tag := allow("TagTheTask", []string{"ecs:TagResource"}, tasks)
	tag.Condition = map[string]map[string][]string{"StringEquals": {"ecs:CreateAction": {"RunTask"}}}
	stop := p.stopTrial()
	stop.Sid = "StopTheTask"
	bucket, records := p.journal(journal)
	all := []Statement{
		allow("LookAround", []string{"ecs:DescribeTaskDefinition", "elasticloadbalancing:DescribeTargetGroups",
			"elasticloadbalancing:DescribeTargetHealth"}, []string{"*"}),
		allow("SeeTheService", []string{"ecs:DescribeServiceDeployments", "ecs:DescribeServiceRevisions", "ecs:DescribeServices",
			"ecs:ListServiceDeployments"}, service),
		find,
		allow("ReadTasks", []string{"ecs:DescribeTasks"}, tasks),
		allow("RegisterTaskDefinitions", []string{"ecs:RegisterTaskDefinition", "ecs:TagResource"}, definitions),
		allow("DeployTheService", []string{"ecs:ContinueServiceDeployment", "ecs:StopServiceDeployment", "ecs:UpdateService"}, service),
		try, tag, stop,
	}
	all = append(all, p.foundStatements()...)
	all = append(all, p.measureStatements()...)
	all = append(all, allow("TellMissingFromForbidden", []string{"s3:ListBucket"}, []string{bucket}),
		allow("KeepTheJournal", []string{"s3:GetObject", "s3:PutObject"}, records))
	return []Policy{{"adopter.json", "Attach it to the role that deploys into an adopted service: all commands but prune.", all}}
}

// foundStatements are the rights on what the service was found to use.
func (p policies) foundStatements() []Statement {
	if p.Adoption == nil {
		return nil
	}
	var all []Statement
	var roles []string
	for _, role := range []*string{p.TaskDefinition.ExecutionRoleArn, p.TaskDefinition.TaskRoleArn} {
		if role != nil && !slices.Contains(roles, *role) {
			roles = append(roles, *role)
		}
	}
	if len(roles) > 0 {
		pass := allow("HandTheTasksTheirRoles", []string{"iam:PassRole"}, roles)
		pass.Condition = map[string]map[string][]string{"StringEquals": {"iam:PassedToService": {"ecs-tasks.amazonaws.com"}}}
		all = append(all, pass)
	}
	for _, c := range p.TaskDefinition.ContainerDefinitions {
		if l := c.LogConfiguration; aws.ToString(c.Name) == p.Container() && l != nil && l.LogDriver == types.LogDriverAwslogs {
			all = append(all, allow("ReadTheLogs", []string{"logs:GetLogEvents"},
				[]string{p.resource("logs", "log-group:"+l.Options["awslogs-group"]+":*")}))
		}
	}
	var alarms []string
	for _, left := range p.Adoption.Left {
		if left.Kind == "alarm" {
			alarms = append(alarms, p.resource("cloudwatch", "alarm:"+left.Name))
		}
	}
	if len(alarms) > 0 {
		all = append(all, allow("SeeItsAlarms", []string{"cloudwatch:DescribeAlarms"}, alarms))
	}
	return all
}
