package rollout

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	scaling "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
)

// Scaling adjusts the number of tasks between its bounds by their CPU and memory utilisation.
type Scaling struct {
	Target   *scaling.RegisterScalableTargetInput
	Policies []*scaling.PutScalingPolicyInput
}

// In seconds. Scaling out is fast and scaling in slow: a task takes a minute to become useful,
// and returning load should find it running.
const (
	scaleOutCooldown = 60
	scaleInCooldown  = 300
)

func (s *settings) scaling() *Scaling {
	resource := aws.String("service/" + s.names.cluster + "/" + s.names.service)
	all := &Scaling{Target: &scaling.RegisterScalableTargetInput{
		ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
		MinCapacity: aws.Int32(int32(s.Min)), MaxCapacity: aws.Int32(int32(s.Max)), Tags: tagMap(s.ownership()),
	}}
	for _, policy := range []struct {
		name   string
		metric types.MetricType
		target float64
	}{
		{"cpu", types.MetricTypeECSServiceAverageCPUUtilization, s.TargetCPU},
		{"memory", types.MetricTypeECSServiceAverageMemoryUtilization, s.TargetMemory},
	} {
		all.Policies = append(all.Policies, &scaling.PutScalingPolicyInput{
			PolicyName:       aws.String(s.names.service + "-" + policy.name),
			ServiceNamespace: types.ServiceNamespaceEcs, ResourceId: resource, ScalableDimension: types.ScalableDimensionECSServiceDesiredCount,
			PolicyType: types.PolicyTypeTargetTrackingScaling,
			TargetTrackingScalingPolicyConfiguration: &types.TargetTrackingScalingPolicyConfiguration{
				TargetValue:                   aws.Float64(policy.target),
				PredefinedMetricSpecification: &types.PredefinedMetricSpecification{PredefinedMetricType: policy.metric},
				ScaleOutCooldown:              aws.Int32(scaleOutCooldown), ScaleInCooldown: aws.Int32(scaleInCooldown),
			},
		})
	}
	return all
}
