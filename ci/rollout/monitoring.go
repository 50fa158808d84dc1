package rollout

import (
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
)

// LogGroup is where the tasks write their logs.
type LogGroup struct {
	Group *logs.CreateLogGroupInput
	// Retention is for how many days they are kept.
	Retention *logs.PutRetentionPolicyInput
}

const (
	minute         = 60
	balancerSpace  = "AWS/ApplicationELB"
	containerSpace = "ECS/ContainerInsights"
	elbName5xx     = "HTTPCode_Target_5XX_Count"
	latencyMetric  = "TargetResponseTime"
)

// monitors renders the log group, the alarms and the dashboard.
type monitors struct{ *settings }

func (s monitors) logGroup() LogGroup {
	return LogGroup{
		Group:     &logs.CreateLogGroupInput{LogGroupName: aws.String(s.names.logGroup), Tags: tagMap(s.ownership())},
		Retention: &logs.PutRetentionPolicyInput{LogGroupName: aws.String(s.names.logGroup), RetentionInDays: aws.Int32(int32(s.LogDays))},
	}
}

// rollbackAlarms roll a deployment back while it bakes. The alarm on missing tasks is not one
// of them: some are always missing while tasks are replaced.
func (s *settings) rollbackAlarms() []string {
	if s.NoPort {
		return []string{} // they are about requests
	}
	return []string{s.names.alarm5xx, s.names.alarmLatency, s.names.alarmUnhealthy}
}

// alarms are created before the service that refers to them. During a deployment both
// target groups serve, so each alarm sees the load balancer as a whole or both groups.
//
// Metrics arrive a minute or two late, and not together. A sum takes a missing value for 0, so
// that its newest points may be wrong: an alarm on one demands fewer points than it looks at.
// With FILL and as many points as periods it can stay in OK whatever happens ("Using metric
// math", CloudWatch user guide).
func (s monitors) alarms() []*cloudwatch.PutMetricAlarmInput {
	balancer := []cloudwatch.Dimension{dimension("LoadBalancer", Dimension("load-balancer", s.names.loadBalancer))}
	errors := s.alarm(s.names.alarm5xx, "The application answers with errors.", s.tuning.Errors5xx, 3, 2)
	errors.Namespace, errors.MetricName, errors.Dimensions = aws.String(balancerSpace), aws.String(elbName5xx), balancer
	errors.Statistic, errors.Period = cloudwatch.StatisticSum, aws.Int32(minute)

	latency := s.alarm(s.names.alarmLatency, "The application answers slowly: 95th percentile in seconds.", s.tuning.LatencySeconds, 5, 3)
	latency.Namespace, latency.MetricName, latency.Dimensions = aws.String(balancerSpace), aws.String(latencyMetric), balancer
	latency.ExtendedStatistic, latency.Period = aws.String("p95"), aws.Int32(minute)

	unhealthy := s.alarm(s.names.alarmUnhealthy, "Tasks fail the load balancer's health check.", 1, 5, 3)
	unhealthy.Metrics = []cloudwatch.MetricDataQuery{
		expression("unhealthy", "blue + green", "unhealthy targets"),
		s.unhealthyIn("blue", s.names.blue, balancer), s.unhealthyIn("green", s.names.green, balancer),
	}

	missing := s.alarm(s.names.alarmRunning, "Fewer tasks run than the service should have.", 1, 7, 5)
	missing.Metrics = []cloudwatch.MetricDataQuery{
		expression("missing", "desired - running", "missing tasks"),
		s.insights("desired", "DesiredTaskCount"), s.insights("running", "RunningTaskCount"),
	}
	// No metric at all means that nothing runs.
	missing.TreatMissingData = aws.String("breaching")
	if s.NoPort {
		return []*cloudwatch.PutMetricAlarmInput{missing}
	}
	return []*cloudwatch.PutMetricAlarmInput{errors, latency, unhealthy, missing}
}

// alarm is raised when points of the last periods are at or above the threshold.
func (s monitors) alarm(name, description string, threshold float64, periods, points int32) *cloudwatch.PutMetricAlarmInput {
	alarm := &cloudwatch.PutMetricAlarmInput{
		AlarmName: aws.String(name), AlarmDescription: aws.String(description), ActionsEnabled: aws.Bool(true),
		Threshold: aws.Float64(threshold), EvaluationPeriods: aws.Int32(periods), DatapointsToAlarm: aws.Int32(points),
		ComparisonOperator: cloudwatch.ComparisonOperatorGreaterThanOrEqualToThreshold,
		// No request in a minute is no data, and no error.
		TreatMissingData: aws.String("notBreaching"),
	}
	if s.AlarmTopic != "" {
		alarm.AlarmActions = []string{s.AlarmTopic}
	}
	for _, t := range s.ownership() {
		alarm.Tags = append(alarm.Tags, cloudwatch.Tag{Key: aws.String(t.key), Value: aws.String(t.value)})
	}
	return alarm
}

func dimension(name, value string) cloudwatch.Dimension {
	return cloudwatch.Dimension{Name: aws.String(name), Value: aws.String(value)}
}

func expression(id, of, label string) cloudwatch.MetricDataQuery {
	return cloudwatch.MetricDataQuery{Id: aws.String(id), Expression: aws.String(of), Label: aws.String(label), ReturnData: aws.Bool(true)}
}

func (s monitors) unhealthyIn(id, group string, balancer []cloudwatch.Dimension) cloudwatch.MetricDataQuery {
	return metric(id, balancerSpace, "UnHealthyHostCount", "Maximum",
		append([]cloudwatch.Dimension{dimension("TargetGroup", Dimension("target-group", group))}, balancer...))
}

func (s monitors) insights(id, name string) cloudwatch.MetricDataQuery {
	return metric(id, containerSpace, name, "Average",
		[]cloudwatch.Dimension{dimension("ClusterName", s.names.cluster), dimension("ServiceName", s.names.service)})
}

func metric(id, namespace, name, statistic string, dimensions []cloudwatch.Dimension) cloudwatch.MetricDataQuery {
	return cloudwatch.MetricDataQuery{Id: aws.String(id), ReturnData: aws.Bool(false), MetricStat: &cloudwatch.MetricStat{
		Metric: &cloudwatch.Metric{Namespace: aws.String(namespace), MetricName: aws.String(name), Dimensions: dimensions},
		Period: aws.Int32(minute), Stat: aws.String(statistic),
	}}
}
