package ensure

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/openstack-rca/openstack-rca/ci/rollout/wire"
)

func (s *State) findAlarms(ctx context.Context) (map[string]types.MetricAlarm, error) {
	names := make([]string, 0, len(s.plan.Alarms))
	for _, alarm := range s.plan.Alarms {
		names = append(names, *alarm.AlarmName)
	}
	out, err := s.clients.CloudWatch.DescribeAlarms(ctx, &cloudwatch.DescribeAlarmsInput{AlarmNames: names, AlarmTypes: []types.AlarmType{types.AlarmTypeMetricAlarm}})
	if err != nil {
		return nil, fmt.Errorf("describe alarms: %w", err)
	}
	there := map[string]types.MetricAlarm{}
	for _, alarm := range out.MetricAlarms {
		there[aws.ToString(alarm.AlarmName)] = alarm
	}
	return there, nil
}

func (s *State) alarmTags(ctx context.Context, alarm types.MetricAlarm) (map[string]string, error) {
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

func (s *State) lookAtAlarms(ctx context.Context) error {
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
			_, err := s.clients.CloudWatch.PutMetricAlarm(ctx, resolve(s, want))
			return err
		}
		if have.StateValue == types.StateValueAlarm {
			s.alarmed = append(s.alarmed, *want.AlarmName)
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
			i.differs(compare(wire.Encode(&have), wire.Encode(resolve(s, want))))
		}
	}
	return nil
}

// lookAtDashboard knows by the text that the plan writes into it whose it is.
func (s *State) lookAtDashboard(ctx context.Context) error {
	want := s.plan.Dashboard
	i := s.add("dashboard", *want.DashboardName)
	i.write = func(ctx context.Context) error {
		out, err := s.clients.CloudWatch.PutDashboard(ctx, resolve(s, want))
		if err == nil && len(out.DashboardValidationMessages) > 0 {
			err = fmt.Errorf("CloudWatch finds fault with it: %s", aws.ToString(out.DashboardValidationMessages[0].Message))
		}
		return err
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
		if err := json.Unmarshal([]byte(*resolve(s, want).DashboardBody), &should); err != nil {
			return fmt.Errorf("read dashboard of the plan: %w", err)
		}
		if err := json.Unmarshal([]byte(have), &is); err != nil {
			is = nil
		}
		i.differs(compare(is, should))
	}
	return nil
}

// dashboard is the body of the dashboard; empty when there is none.
func (s *State) dashboard(ctx context.Context) (string, error) {
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
