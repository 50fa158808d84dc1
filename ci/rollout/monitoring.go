package rollout

// The clients of CloudWatch and CloudWatch Logs are not part of this module, so their
// inputs are declared here, with the fields this package uses under the API's names.

// LogGroup is the input of CreateLogGroup, with the days of PutRetentionPolicy.
type LogGroup struct {
	LogGroupName    string
	Tags            map[string]string
	RetentionInDays int
}

// Alarm is the input of PutMetricAlarm.
type Alarm struct {
	AlarmName          string
	AlarmDescription   string
	ActionsEnabled     bool
	AlarmActions       []string
	Namespace          string
	MetricName         string
	Dimensions         []Dimension
	Statistic          string
	ExtendedStatistic  string
	Period             int
	Metrics            []MetricQuery
	EvaluationPeriods  int
	DatapointsToAlarm  int
	Threshold          float64
	ComparisonOperator string
	TreatMissingData   string
	Tags               []AlarmTag
}

// Dimension is one of a metric's dimensions.
type Dimension struct{ Name, Value string }

// AlarmTag is a tag of an alarm.
type AlarmTag struct{ Key, Value string }

// MetricQuery is a metric, or an expression over others, of an alarm.
type MetricQuery struct {
	ID         string `json:"Id"`
	Expression string
	Label      string
	MetricStat *MetricStat
	ReturnData bool
}

// MetricStat is a statistic of a metric.
type MetricStat struct {
	Metric Metric
	Period int
	Stat   string
}

// Metric names a metric.
type Metric struct {
	Namespace, MetricName string
	Dimensions            []Dimension
}

const (
	minute     = 60
	elbName5xx = "HTTPCode_Target_5XX_Count"
)

func (s *settings) logGroup() LogGroup {
	return LogGroup{LogGroupName: s.names.logGroup, Tags: tagMap(s.ownership()), RetentionInDays: s.LogDays}
}

// rollbackAlarms undo a deployment while it bakes. Missing tasks do not: there are
// always some while tasks are being replaced.
func (s *settings) rollbackAlarms() []string {
	return []string{s.names.alarm5xx, s.names.alarmLatency, s.names.alarmUnhealthy}
}

// alarms are made before the service that refers to them. During a deployment both
// target groups serve, so each alarm sees the load balancer as a whole or both groups.
func (s *settings) alarms() []Alarm {
	balancer := []Dimension{{"LoadBalancer", dimensionOf("load-balancer", s.names.loadBalancer)}}
	errors := s.alarm(s.names.alarm5xx, "The application answers with errors.")
	errors.Namespace, errors.MetricName, errors.Dimensions = "AWS/ApplicationELB", elbName5xx, balancer
	errors.Statistic, errors.Period, errors.Threshold = "Sum", minute, s.tuning.Errors5xx
	errors.EvaluationPeriods, errors.DatapointsToAlarm = 3, 2

	latency := s.alarm(s.names.alarmLatency, "The application answers slowly: 95th percentile in seconds.")
	latency.Namespace, latency.MetricName, latency.Dimensions = "AWS/ApplicationELB", "TargetResponseTime", balancer
	latency.ExtendedStatistic, latency.Period, latency.Threshold = "p95", minute, s.tuning.LatencySeconds
	latency.EvaluationPeriods, latency.DatapointsToAlarm = 5, 3

	unhealthy := s.alarm(s.names.alarmUnhealthy, "Tasks fail the load balancer's health check.")
	unhealthy.Threshold, unhealthy.EvaluationPeriods, unhealthy.DatapointsToAlarm = 1, 3, 3
	unhealthy.Metrics = []MetricQuery{
		{ID: "unhealthy", Expression: "FILL(blue, 0) + FILL(green, 0)", Label: "unhealthy targets", ReturnData: true},
		s.unhealthyIn("blue", s.names.blue, balancer), s.unhealthyIn("green", s.names.green, balancer),
	}

	missing := s.alarm(s.names.alarmRunning, "Fewer tasks run than the service should have.")
	missing.Threshold, missing.EvaluationPeriods, missing.DatapointsToAlarm = 1, 5, 5
	missing.Metrics = []MetricQuery{
		{ID: "missing", Expression: "desired - running", Label: "missing tasks", ReturnData: true},
		s.insights("desired", "DesiredTaskCount"), s.insights("running", "RunningTaskCount"),
	}
	// No metric at all means that nothing runs.
	missing.TreatMissingData = "breaching"
	return []Alarm{errors, latency, unhealthy, missing}
}

func (s *settings) alarm(name, description string) Alarm {
	alarm := Alarm{
		AlarmName: name, AlarmDescription: description, ActionsEnabled: true,
		ComparisonOperator: "GreaterThanOrEqualToThreshold",
		// No request in a minute is no data, and no error.
		TreatMissingData: "notBreaching",
	}
	if s.tuning.AlarmTopic != "" {
		alarm.AlarmActions = []string{s.tuning.AlarmTopic}
	}
	for _, t := range s.ownership() {
		alarm.Tags = append(alarm.Tags, AlarmTag{t.key, t.value})
	}
	return alarm
}

func (s *settings) unhealthyIn(id, group string, balancer []Dimension) MetricQuery {
	return MetricQuery{ID: id, MetricStat: &MetricStat{
		Metric: Metric{"AWS/ApplicationELB", "UnHealthyHostCount", append([]Dimension{{"TargetGroup", dimensionOf("target-group", group)}}, balancer...)},
		Period: minute, Stat: "Maximum",
	}}
}

func (s *settings) insights(id, metric string) MetricQuery {
	return MetricQuery{ID: id, MetricStat: &MetricStat{
		Metric: Metric{"ECS/ContainerInsights", metric, []Dimension{{"ClusterName", s.names.cluster}, {"ServiceName", s.names.service}}},
		Period: minute, Stat: "Average",
	}}
}
