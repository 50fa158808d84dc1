package ensure

import (
	"context"
	"errors"
	"slices"

	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/elb"
	"github.com/openstack-rca/openstack-rca/ci/awscall/iam"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
	"github.com/openstack-rca/openstack-rca/ci/rollout/trial"
)

// Clients are the clients of one account and region.
type Clients struct {
	ECS        ECS
	Balancing  Balancing
	Scaling    Scaling
	CloudWatch CloudWatch
	Logs       Logs
	Roles      Roles
}

// ECS is what this package uses of the client of Amazon ECS. It never updates a service:
// that is the deployment's one call.
type ECS interface {
	trial.Tasks
	DescribeClusters(context.Context, *ecs.DescribeClustersInput, ...func(*ecs.Options)) (*ecs.DescribeClustersOutput, error)
	CreateCluster(context.Context, *ecs.CreateClusterInput, ...func(*ecs.Options)) (*ecs.CreateClusterOutput, error)
	UpdateClusterSettings(context.Context, *ecs.UpdateClusterSettingsInput, ...func(*ecs.Options)) (*ecs.UpdateClusterSettingsOutput, error)
	DeleteCluster(context.Context, *ecs.DeleteClusterInput, ...func(*ecs.Options)) (*ecs.DeleteClusterOutput, error)
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
	DeleteService(context.Context, *ecs.DeleteServiceInput, ...func(*ecs.Options)) (*ecs.DeleteServiceOutput, error)
	DescribeTaskDefinition(context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.DescribeTaskDefinitionOutput, error)
	RegisterTaskDefinition(context.Context, *ecs.RegisterTaskDefinitionInput, ...func(*ecs.Options)) (*ecs.RegisterTaskDefinitionOutput, error)
	ListTaskDefinitions(context.Context, *ecs.ListTaskDefinitionsInput, ...func(*ecs.Options)) (*ecs.ListTaskDefinitionsOutput, error)
	DeregisterTaskDefinition(context.Context, *ecs.DeregisterTaskDefinitionInput,
		...func(*ecs.Options)) (*ecs.DeregisterTaskDefinitionOutput, error)
	ListServiceDeployments(context.Context, *ecs.ListServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.ListServiceDeploymentsOutput, error)
	DescribeServiceRevisions(context.Context, *ecs.DescribeServiceRevisionsInput,
		...func(*ecs.Options)) (*ecs.DescribeServiceRevisionsOutput, error)
}

// Balancing is what this package uses of the client of Elastic Load Balancing.
type Balancing interface {
	DescribeLoadBalancers(context.Context, *elb.DescribeLoadBalancersInput) (*elb.DescribeLoadBalancersOutput, error)
	DescribeLoadBalancerAttributes(context.Context,
		*elb.DescribeLoadBalancerAttributesInput) (*elb.DescribeLoadBalancerAttributesOutput, error)
	DescribeTargetGroups(context.Context, *elb.DescribeTargetGroupsInput) (*elb.DescribeTargetGroupsOutput, error)
	DescribeTargetGroupAttributes(context.Context, *elb.DescribeTargetGroupAttributesInput) (*elb.DescribeTargetGroupAttributesOutput, error)
	DescribeListeners(context.Context, *elb.DescribeListenersInput) (*elb.DescribeListenersOutput, error)
	DescribeRules(context.Context, *elb.DescribeRulesInput) (*elb.DescribeRulesOutput, error)
	DescribeTags(context.Context, *elb.DescribeTagsInput) (*elb.DescribeTagsOutput, error)
	CreateLoadBalancer(context.Context, *elb.CreateLoadBalancerInput) (*elb.CreateLoadBalancerOutput, error)
	CreateTargetGroup(context.Context, *elb.CreateTargetGroupInput) (*elb.CreateTargetGroupOutput, error)
	CreateListener(context.Context, *elb.CreateListenerInput) (*elb.CreateListenerOutput, error)
	CreateRule(context.Context, *elb.CreateRuleInput) (*elb.CreateRuleOutput, error)
	ModifyLoadBalancerAttributes(context.Context, *elb.ModifyLoadBalancerAttributesInput) (*elb.ModifyLoadBalancerAttributesOutput, error)
	ModifyTargetGroup(context.Context, *elb.ModifyTargetGroupInput) (*elb.ModifyTargetGroupOutput, error)
	ModifyTargetGroupAttributes(context.Context, *elb.ModifyTargetGroupAttributesInput) (*elb.ModifyTargetGroupAttributesOutput, error)
	ModifyListener(context.Context, *elb.ModifyListenerInput) (*elb.ModifyListenerOutput, error)
	ModifyRule(context.Context, *elb.ModifyRuleInput) (*elb.ModifyRuleOutput, error)
	SetSubnets(context.Context, *elb.SetSubnetsInput) (*elb.SetSubnetsOutput, error)
	SetSecurityGroups(context.Context, *elb.SetSecurityGroupsInput) (*elb.SetSecurityGroupsOutput, error)
	DeleteRule(context.Context, *elb.DeleteRuleInput) (*elb.DeleteRuleOutput, error)
	DeleteListener(context.Context, *elb.DeleteListenerInput) (*elb.DeleteListenerOutput, error)
	DeleteLoadBalancer(context.Context, *elb.DeleteLoadBalancerInput) (*elb.DeleteLoadBalancerOutput, error)
	DeleteTargetGroup(context.Context, *elb.DeleteTargetGroupInput) (*elb.DeleteTargetGroupOutput, error)
}

// Scaling is what this package uses of the client of Application Auto Scaling.
type Scaling interface {
	DescribeScalableTargets(context.Context, *scaling.DescribeScalableTargetsInput) (*scaling.DescribeScalableTargetsOutput, error)
	DescribeScalingPolicies(context.Context, *scaling.DescribeScalingPoliciesInput) (*scaling.DescribeScalingPoliciesOutput, error)
	DescribeScheduledActions(context.Context, *scaling.DescribeScheduledActionsInput) (*scaling.DescribeScheduledActionsOutput, error)
	ListTagsForResource(context.Context, *scaling.ListTagsForResourceInput) (*scaling.ListTagsForResourceOutput, error)
	RegisterScalableTarget(context.Context, *scaling.RegisterScalableTargetInput) (*scaling.RegisterScalableTargetOutput, error)
	PutScalingPolicy(context.Context, *scaling.PutScalingPolicyInput) (*scaling.PutScalingPolicyOutput, error)
	DeregisterScalableTarget(context.Context, *scaling.DeregisterScalableTargetInput) (*scaling.DeregisterScalableTargetOutput, error)
}

// CloudWatch is what this package uses of the client of Amazon CloudWatch.
type CloudWatch interface {
	DescribeAlarms(context.Context, *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error)
	ListTagsForResource(context.Context, *cloudwatch.ListTagsForResourceInput) (*cloudwatch.ListTagsForResourceOutput, error)
	GetDashboard(context.Context, *cloudwatch.GetDashboardInput) (*cloudwatch.GetDashboardOutput, error)
	PutMetricAlarm(context.Context, *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error)
	PutDashboard(context.Context, *cloudwatch.PutDashboardInput) (*cloudwatch.PutDashboardOutput, error)
	DeleteAlarms(context.Context, *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error)
	DeleteDashboards(context.Context, *cloudwatch.DeleteDashboardsInput) (*cloudwatch.DeleteDashboardsOutput, error)
}

// Logs is what this package uses of the client of CloudWatch Logs.
type Logs interface {
	DescribeLogGroups(context.Context, *logs.DescribeLogGroupsInput) (*logs.DescribeLogGroupsOutput, error)
	ListTagsForResource(context.Context, *logs.ListTagsForResourceInput) (*logs.ListTagsForResourceOutput, error)
	CreateLogGroup(context.Context, *logs.CreateLogGroupInput) (*logs.CreateLogGroupOutput, error)
	PutRetentionPolicy(context.Context, *logs.PutRetentionPolicyInput) (*logs.PutRetentionPolicyOutput, error)
	DeleteLogGroup(context.Context, *logs.DeleteLogGroupInput) (*logs.DeleteLogGroupOutput, error)
}

// Roles is what this package uses of the client of IAM, where the execution role is ours.
type Roles interface {
	GetRole(context.Context, *iam.GetRoleInput) (*iam.GetRoleOutput, error)
	GetRolePolicy(context.Context, *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error)
	CreateRole(context.Context, *iam.CreateRoleInput) (*iam.CreateRoleOutput, error)
	UpdateAssumeRolePolicy(context.Context, *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error)
	PutRolePolicy(context.Context, *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error)
	DeleteRolePolicy(context.Context, *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error)
	DeleteRole(context.Context, *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error)
}

// is reports whether an error of AWS has one of the codes.
func is(err error, codes ...string) bool {
	var known smithy.APIError
	return errors.As(err, &known) && slices.Contains(codes, known.ErrorCode())
}
