package rollout

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

// leftAlone lists what an adopted service uses and keeps, each once, in a fixed order.
func leftAlone(service *types.Service, task *ecs.RegisterTaskDefinitionInput) []Left {
	var l lefts
	l.add("ecs cluster", lastPart(aws.ToString(service.ClusterArn)))
	for _, lb := range service.LoadBalancers {
		l.add("target group", groupName(aws.ToString(lb.TargetGroupArn)))
		l.add("load balancer", aws.ToString(lb.LoadBalancerName))
		if a := lb.AdvancedConfiguration; a != nil {
			l.add("target group", groupName(aws.ToString(a.AlternateTargetGroupArn)))
			l.add("listener rule", ruleName(aws.ToString(a.ProductionListenerRule)))
			l.add("listener rule", ruleName(aws.ToString(a.TestListenerRule)))
			l.add("iam role", roleName(aws.ToString(a.RoleArn)))
		}
	}
	for _, c := range service.CapacityProviderStrategy {
		l.add("capacity provider", aws.ToString(c.CapacityProvider))
	}
	for _, r := range service.ServiceRegistries {
		l.add("service registry", lastPart(aws.ToString(r.RegistryArn)))
	}
	for _, d := range service.Deployments {
		if c := d.ServiceConnectConfiguration; c != nil && c.Enabled {
			l.add("service connect namespace", lastPart(aws.ToString(c.Namespace)))
		}
		for _, v := range d.VpcLatticeConfigurations {
			l.add("target group", groupName(aws.ToString(v.TargetGroupArn)))
		}
	}
	if c := service.DeploymentConfiguration; c != nil {
		if c.Alarms != nil {
			for _, name := range c.Alarms.AlarmNames {
				l.add("alarm", name)
			}
		}
		for _, h := range c.LifecycleHooks {
			if h.HookTargetArn != nil {
				l.add("lifecycle hook", lastPart(strings.ReplaceAll(*h.HookTargetArn, ":", "/")))
			}
		}
	}
	if n := service.NetworkConfiguration; n != nil && n.AwsvpcConfiguration != nil {
		for _, id := range n.AwsvpcConfiguration.Subnets {
			l.add("subnet", id)
		}
		for _, id := range n.AwsvpcConfiguration.SecurityGroups {
			l.add("security group", id)
		}
	}
	l.task(task)
	return l
}

// lefts collects resources, each once.
type lefts []Left

func (l *lefts) add(kind, name string) {
	if one := (Left{kind, name}); name != "" && !slices.Contains(*l, one) {
		*l = append(*l, one)
	}
}

// task adds what the task definition refers to.
func (l *lefts) task(task *ecs.RegisterTaskDefinitionInput) {
	l.add("iam role", roleName(aws.ToString(task.ExecutionRoleArn)))
	l.add("iam role", roleName(aws.ToString(task.TaskRoleArn)))
	for _, c := range task.ContainerDefinitions {
		if c.LogConfiguration != nil {
			l.add("log group", c.LogConfiguration.Options["awslogs-group"])
		}
		for _, s := range c.Secrets {
			l.add("secret", secretResource(aws.ToString(s.ValueFrom)))
		}
		for _, f := range c.EnvironmentFiles {
			l.add("environment file", lastPart(aws.ToString(f.Value)))
		}
	}
	for _, v := range task.Volumes {
		if v.EfsVolumeConfiguration != nil {
			l.add("file system", aws.ToString(v.EfsVolumeConfiguration.FileSystemId))
		}
	}
}

func lastPart(arn string) string { return arn[strings.LastIndexByte(arn, '/')+1:] }

// groupName is the name in the ARN of a target group: targetgroup/name/id.
func groupName(arn string) string {
	if parts := strings.Split(arn, "/"); len(parts) > 2 {
		return parts[1]
	}
	return lastPart(arn)
}

// ruleName is what the ARN of a rule or listener ends in, from the load balancer's name on.
func ruleName(arn string) string {
	if parts := strings.SplitN(arn, "/", 3); len(parts) == 3 {
		return parts[2]
	}
	return arn
}

func roleName(arn string) string {
	_, name, found := strings.Cut(arn, ":role/")
	if !found {
		return arn
	}
	return name
}

// secretResource is the name in the ARN of a secret or parameter, or the name itself.
func secretResource(from string) string {
	for _, before := range []string{":secret:", ":parameter/"} {
		if _, name, found := strings.Cut(from, before); found {
			name, _, _ = strings.Cut(name, ":")
			return name
		}
	}
	return from
}
