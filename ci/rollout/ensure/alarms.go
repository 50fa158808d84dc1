package ensure

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// monitors looks at the alarms and the dashboard.
type monitors struct{ *State }

func (s monitors) findAlarms(ctx context.Context) (map[string]cloudwatch.MetricAlarm, error) {
	names := make([]string, 0, len(s.plan.Alarms))
	for _, alarm := range s.plan.Alarms {
		names = append(names, *alarm.AlarmName)
	}
	found, err := describeAlarms(ctx, s.clients.CloudWatch, names, cloudwatch.AlarmTypeMetricAlarm)
	if err != nil {
		return nil, err
	}
	there := map[string]cloudwatch.MetricAlarm{}
	for _, alarm := range found.MetricAlarms {
		there[aws.ToString(alarm.AlarmName)] = alarm
	}
	return there, nil
}

// mostAlarms is how many names one call of DescribeAlarms takes.
const mostAlarms = 100

// describeAlarms describes those of the names that are there, whatever number of calls and pages that takes.
func describeAlarms(
	ctx context.Context, client CloudWatch, names []string, kinds ...cloudwatch.AlarmType,
) (*cloudwatch.DescribeAlarmsOutput, error) {
	all := &cloudwatch.DescribeAlarmsOutput{}
	for chunk := range slices.Chunk(names, mostAlarms) {
		in := &cloudwatch.DescribeAlarmsInput{AlarmNames: chunk, AlarmTypes: kinds}
		for {
			out, err := client.DescribeAlarms(ctx, in)
			if err != nil {
				return nil, fmt.Errorf("describe alarms: %w", err)
			}
			all.MetricAlarms = append(all.MetricAlarms, out.MetricAlarms...)
			all.CompositeAlarms = append(all.CompositeAlarms, out.CompositeAlarms...)
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				break
			}
		}
	}
	return all, nil
}

func (s monitors) alarmTags(ctx context.Context, alarm cloudwatch.MetricAlarm) (map[string]string, error) {
	out, err := s.clients.CloudWatch.ListTagsForResource(ctx, &cloudwatch.ListTagsForResourceInput{ResourceARN: alarm.AlarmArn})
	if err != nil {
		return nil, fmt.Errorf("list tags of alarm %s: %w", aws.ToString(alarm.AlarmName), err)
	}
	tags := map[string]string{}
	for _, t := range out.Tags {
		tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return tags, nil
}

func (s monitors) lookAtAlarms(ctx context.Context) error {
	there, err := s.findAlarms(ctx)
	if err != nil {
		return err
	}
	for _, want := range s.plan.Alarms {
		have, exists := there[*want.AlarmName]
		if exists {
			want = keepActions(have, want)
		}
		i := s.add("alarm", *want.AlarmName)
		i.write = func(ctx context.Context) error {
			// One call replaces the whole alarm.
			_, err := s.clients.CloudWatch.PutMetricAlarm(ctx, resolve(s.State, want))
			return err
		}
		if have.StateValue == cloudwatch.StateValueAlarm && s.guards(*want.AlarmName) {
			s.alarmed = append(s.alarmed, *want.AlarmName)
		}
		if s.blind && reads(want, "ECS/ContainerInsights") {
			// It would take missing data for missing tasks, and stay in ALARM.
			i.Note = "left out: the cluster is somebody else's and has no Container Insights, so there is nothing to watch"
			if exists {
				i.Note = "it can never have data: the cluster is somebody else's and has no Container Insights; delete it, or have them enabled"
			}
			continue
		}
		if !exists {
			i.Action = Create
			continue
		}
		tags, err := s.alarmTags(ctx, have)
		if err != nil {
			return err
		}
		if s.own(i, tags) {
			i.differs(compare(wire.Encode(&have), wire.Encode(resolve(s.State, want))))
		}
	}
	return nil
}

// guards reports whether an alarm rolls a deployment of the service back.
func (s monitors) guards(alarm string) bool {
	c := s.plan.Service.DeploymentConfiguration
	return c != nil && c.Alarms != nil && slices.Contains(c.Alarms.AlarmNames, alarm)
}

// reads reports whether an alarm watches metrics of a namespace.
func reads(alarm *cloudwatch.PutMetricAlarmInput, namespace string) bool {
	return aws.ToString(alarm.Namespace) == namespace || slices.ContainsFunc(alarm.Metrics, func(q cloudwatch.MetricDataQuery) bool {
		return q.MetricStat != nil && q.MetricStat.Metric != nil && aws.ToString(q.MetricStat.Metric.Namespace) == namespace
	})
}

// lookAtDashboard recognises our dashboard by the text that the plan writes into it.
func (s monitors) lookAtDashboard(ctx context.Context) error {
	want := s.plan.Dashboard
	i := s.add("dashboard", *want.DashboardName)
	i.write = func(ctx context.Context) error {
		out, err := s.clients.CloudWatch.PutDashboard(ctx, resolve(s.State, want))
		if err != nil {
			return err
		}
		// With warnings alone "the input was valid enough for the dashboard to be created or
		// modified"; errors come as an error (API reference, PutDashboard).
		for _, m := range out.DashboardValidationMessages {
			s.remarks = append(s.remarks, strings.TrimSpace(fmt.Sprintf("dashboard %s: %s %s", *want.DashboardName, aws.ToString(m.DataPath),
				aws.ToString(m.Message))))
		}
		return nil
	}
	have, err := s.dashboard(ctx)
	switch {
	case err != nil:
		return err
	case have == "":
		i.Action = Create
	case !strings.Contains(have, s.plan.DashboardMark()):
		i.Action = Refuse
		i.foreign = fmt.Sprintf("it exists and does not say %q", s.plan.DashboardMark())
	default:
		var is, should any
		if err := json.Unmarshal([]byte(*resolve(s.State, want).DashboardBody), &should); err != nil {
			return fmt.Errorf("read dashboard of the plan: %w", err)
		}
		if err := json.Unmarshal([]byte(have), &is); err != nil {
			is = nil
		}
		i.differs(compare(is, should))
	}
	return nil
}

// dashboard is the body of the dashboard; empty when it does not exist.
func (s monitors) dashboard(ctx context.Context) (string, error) {
	name := s.plan.Dashboard.DashboardName
	out, err := s.clients.CloudWatch.GetDashboard(ctx, &cloudwatch.GetDashboardInput{DashboardName: name})
	if is(err, "ResourceNotFound", "DashboardNotFoundError", "ResourceNotFoundException") {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("get dashboard %s: %w", *name, err)
	}
	return aws.ToString(out.DashboardBody), nil
}
