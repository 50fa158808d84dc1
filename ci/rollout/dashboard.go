package rollout

import (
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// dashboard shows the metrics of the alarms and their context. Its body is JSON in a string ("Dashboard Body Structure and Syntax").
func (s monitors) dashboard() *cloudwatch.PutDashboardInput {
	balancer := Dimension("load-balancer", s.names.loadBalancer)
	of := func(metric string) []any { return []any{balancerSpace, metric, "LoadBalancer", balancer} }
	inService := func(metric string) []any {
		return []any{containerSpace, metric, "ClusterName", s.names.cluster, "ServiceName", s.names.service}
	}
	use := func(metric string) []any {
		return []any{"AWS/ECS", metric, "ClusterName", s.names.cluster, "ServiceName", s.names.service}
	}
	healthy := func(metric, group string) []any {
		return []any{balancerSpace, metric, "TargetGroup", Dimension("target-group", group), "LoadBalancer", balancer}
	}
	widgets := []any{map[string]any{
		"type": "text", "x": 0, "y": 0, "width": 24, "height": 2,
		"properties": map[string]any{"markdown": s.dashboardMark() + ". What is changed here by hand is written over by the next rollout."},
	}}
	type widget struct {
		title, statistic string
		metrics          []any
	}
	all := []widget{
		{"Requests", "Sum", []any{of("RequestCount")}},
		{"Errors", "Sum", []any{of(elbName5xx), of("HTTPCode_ELB_5XX_Count"), of("HTTPCode_Target_4XX_Count")}},
		{"Response time (s)", "p95", []any{of(latencyMetric)}},
		{"Targets", "Maximum", []any{
			healthy("HealthyHostCount", s.names.blue), healthy("HealthyHostCount", s.names.green),
			healthy("UnHealthyHostCount", s.names.blue), healthy("UnHealthyHostCount", s.names.green),
		}},
		{"Tasks", "Average", []any{inService("DesiredTaskCount"), inService("RunningTaskCount"), inService("PendingTaskCount")}},
		{"Use (%)", "Average", []any{use("CPUUtilization"), use("MemoryUtilization")}},
	}
	if s.NoPort {
		all = all[4:] // it has no requests and no targets
	}
	for i, one := range all {
		widgets = append(widgets, map[string]any{
			"type": "metric", "x": i % 3 * 8, "y": 2 + i/3*6, "width": 8, "height": 6,
			"properties": map[string]any{
				"title": one.title, "region": s.Region, "stat": one.statistic, "period": minute, "view": "timeSeries", "metrics": one.metrics,
			},
		})
	}
	return &cloudwatch.PutDashboardInput{
		DashboardName: aws.String(s.names.scope),
		DashboardBody: aws.String(string(wire.Indent(map[string]any{"widgets": widgets}))),
	}
}

// DashboardMark is the text in the dashboard that marks it as this service's: a dashboard's
// content is the only part that every version of the API returns.
func (p *Plan) DashboardMark() string { return p.settings.dashboardMark() }

func (s *settings) dashboardMark() string {
	return fmt.Sprintf("Kept by openstack-rca: %s, %s, service %s", s.Application, s.environment, s.names.service)
}
