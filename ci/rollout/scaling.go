package rollout

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/scaling"
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
		ServiceNamespace: scaling.NamespaceECS, ResourceId: resource, ScalableDimension: scaling.DimensionECSDesiredCount,
		MinCapacity: aws.Int32(int32(s.Min)), MaxCapacity: aws.Int32(int32(s.Max)), Tags: tagMap(s.ownership()),
	}}
	for _, policy := range []struct {
		name   string
		metric string
		target float64
	}{
		{"cpu", scaling.MetricECSCPUUtilization, s.TargetCPU},
		{"memory", scaling.MetricECSMemoryUtilization, s.TargetMemory},
	} {
		all.Policies = append(all.Policies, &scaling.PutScalingPolicyInput{
			PolicyName:       aws.String(s.names.service + "-" + policy.name),
			ServiceNamespace: scaling.NamespaceECS, ResourceId: resource, ScalableDimension: scaling.DimensionECSDesiredCount,
			PolicyType: scaling.PolicyTypeTargetTracking,
			TargetTrackingScalingPolicyConfiguration: &scaling.TargetTracking{
				TargetValue:                   aws.Float64(policy.target),
				PredefinedMetricSpecification: &scaling.PredefinedMetric{PredefinedMetricType: policy.metric},
				ScaleOutCooldown:              aws.Int32(scaleOutCooldown), ScaleInCooldown: aws.Int32(scaleInCooldown),
			},
		})
	}
	return all
}
