package rollout

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
)

func (s *settings) cluster() *ecs.CreateClusterInput {
	return &ecs.CreateClusterInput{
		ClusterName: aws.String(s.names.cluster),
		// The alarm on missing tasks reads the metrics of Container Insights.
		Settings: []types.ClusterSetting{{Name: types.ClusterSettingNameContainerInsights, Value: aws.String("enabled")}},
		Tags:     ecsTags(s.ownership()),
	}
}

// services renders the service.
type services struct{ *settings }

func (s services) create() *ecs.CreateServiceInput {
	address := types.AssignPublicIpDisabled
	if s.AssignPublicIP {
		address = types.AssignPublicIpEnabled
	}
	return &ecs.CreateServiceInput{
		Cluster:     aws.String(s.names.cluster),
		ServiceName: aws.String(s.names.service),
		// The token depends on the service only, so that a repeated call is idempotent.
		ClientToken:        aws.String(clientToken(s.Account, s.Region, s.names.cluster, s.names.service)),
		TaskDefinition:     aws.String(ARN("task-definition", s.names.family)),
		DesiredCount:       aws.Int32(int32(s.Desired)),
		LaunchType:         types.LaunchTypeFargate,
		PlatformVersion:    aws.String("LATEST"),
		SchedulingStrategy: types.SchedulingStrategyReplica,
		// ECS's own controller supports all four strategies; CodeDeploy is not needed.
		DeploymentController:    &types.DeploymentController{Type: types.DeploymentControllerTypeEcs},
		DeploymentConfiguration: s.deployment(),
		NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
			Subnets: s.Subnets, SecurityGroups: s.SecurityGroups, AssignPublicIp: address,
		}},
		LoadBalancers:                 s.attachments(),
		HealthCheckGracePeriodSeconds: s.grace(),
		AvailabilityZoneRebalancing:   s.rebalancing(),
		EnableECSManagedTags:          true,
		PropagateTags:                 types.PropagateTagsTaskDefinition,
		Tags:                          ecsTags(s.ownership()),
	}
}

// rebalancing needs room for a task above the desired count: ECS refuses it otherwise.
func (s services) rebalancing() types.AvailabilityZoneRebalancing {
	if s.tuning.MaximumPercent > 100 {
		return types.AvailabilityZoneRebalancingEnabled
	}
	return types.AvailabilityZoneRebalancingDisabled
}

// clientToken is 32 characters; ECS takes up to 36.
func clientToken(parts ...string) string {
	hash := sha256.New()
	for _, part := range parts {
		hash.Write([]byte(part + "\x00"))
	}
	return hex.EncodeToString(hash.Sum(nil)[:16])
}

// grace is how long ECS ignores the load balancer's health checks of a starting task; nil without one,
// where ECS refuses it.
func (s services) grace() *int32 {
	if s.NoPort {
		return nil
	}
	return aws.Int32(int32(s.patience().Seconds()))
}

// attachments connect the service with the load balancer; a service that listens nowhere has none.
func (s services) attachments() []types.LoadBalancer {
	if s.NoPort {
		return nil
	}
	attachment := types.LoadBalancer{
		TargetGroupArn: aws.String(ARN("target-group", s.names.blue)),
		ContainerName:  aws.String(ContainerName), ContainerPort: aws.Int32(int32(s.App.Port)),
	}
	if s.strategy.shiftsTraffic() {
		attachment.AdvancedConfiguration = &types.AdvancedConfiguration{
			AlternateTargetGroupArn: aws.String(ARN("target-group", s.names.green)),
			ProductionListenerRule:  aws.String(ARN("listener-rule", s.names.loadBalancer)),
			RoleArn:                 aws.String(s.InfrastructureRole),
		}
	}
	return []types.LoadBalancer{attachment}
}

func (s services) deployment() *types.DeploymentConfiguration {
	t := s.tuning
	d := &types.DeploymentConfiguration{
		MinimumHealthyPercent: aws.Int32(int32(t.MinimumHealthyPercent)),
		MaximumPercent:        aws.Int32(int32(t.MaximumPercent)),
		Alarms:                &types.DeploymentAlarms{AlarmNames: s.rollbackAlarms(), Enable: !s.NoPort, Rollback: !s.NoPort},
		// UpdateService keeps what is not sent, so having no pause is sent as an empty list.
		LifecycleHooks: []types.DeploymentLifecycleHook{},
	}
	if stages := s.pauseStages(); len(stages) > 0 {
		hook := types.DeploymentLifecycleHook{
			TargetType: types.DeploymentLifecycleHookTargetTypePause,
			TimeoutConfiguration: &types.DeploymentLifecycleHookTimeoutConfiguration{
				Action: types.DeploymentLifecycleHookActionRollback, TimeoutInMinutes: aws.Int32(int32(s.PauseTimeout.Minutes())),
			},
		}
		hook.LifecycleStages = stages
		d.LifecycleHooks = []types.DeploymentLifecycleHook{hook}
	}
	if s.strategy.shiftsTraffic() {
		d.BakeTimeInMinutes = aws.Int32(int32(s.BakeMinutes))
	}
	switch s.strategy {
	case rolling:
		d.Strategy = types.DeploymentStrategyRolling
		// The breaker is a feature of rolling deployments in the API reference.
		d.DeploymentCircuitBreaker = &types.DeploymentCircuitBreaker{
			Enable: true, Rollback: true,
			// Outside production a healthy task does not reset the count: a false alarm harms nobody.
			ResetOnHealthyTask:     aws.Bool(s.environment == Production),
			ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: int32(t.BreakerFailures)},
		}
	case blueGreen:
		d.Strategy = types.DeploymentStrategyBlueGreen
	case canary:
		d.Strategy = types.DeploymentStrategyCanary
		d.CanaryConfiguration = &types.CanaryConfiguration{
			CanaryPercent: aws.Float64(s.CanaryPercent), CanaryBakeTimeInMinutes: aws.Int32(int32(s.CanaryBakeMinutes)),
		}
	case linear:
		d.Strategy = types.DeploymentStrategyLinear
		d.LinearConfiguration = &types.LinearConfiguration{
			StepPercent: aws.Float64(s.LinearStepPercent), StepBakeTimeInMinutes: aws.Int32(int32(s.LinearStepMinutes)),
		}
	}
	return d
}

// hookStage is a stage of the configuration as ECS names it.
func hookStage(stage string) types.DeploymentLifecycleHookStage {
	return types.DeploymentLifecycleHookStage(strings.ToUpper(stage))
}
