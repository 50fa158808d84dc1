package fakeaws

import (
	"context"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/awscall/logs"
)

// CloudWatch stores alarms and dashboards. Its methods are those of the client.
type CloudWatch struct {
	cable      *cable
	alarms     map[string]*cloudwatch.PutMetricAlarmInput
	dashboards map[string]string
	// series are the metrics; nil has none.
	series Series
	// Warnings are what is said of every dashboard that is put.
	Warnings []cloudwatch.DashboardValidationMessage
	// rings reports whether an alarm is in ALARM; it may be nil.
	rings func(name string) bool
}

func (c *CloudWatch) clear() {
	c.alarms, c.dashboards = map[string]*cloudwatch.PutMetricAlarmInput{}, map[string]string{}
}

// Alarm returns an alarm as it was put, or nil.
func (c *CloudWatch) Alarm(name string) *cloudwatch.PutMetricAlarmInput { return c.alarms[name] }

const alarmARN = "arn:aws:cloudwatch:ap-south-1:111122223333:alarm:"

// DescribeAlarms describes those of the names that are there, up to 100 names. How many a page has is
// documented nowhere.
func (c *CloudWatch) DescribeAlarms(_ context.Context, in *cloudwatch.DescribeAlarmsInput) (*cloudwatch.DescribeAlarmsOutput, error) {
	return over(c.cable, "cloudwatch:DescribeAlarms", func() (*cloudwatch.DescribeAlarmsOutput, error) {
		if len(in.AlarmNames) > 100 {
			return nil, refuse("ValidationError", "Member must have length less than or equal to 100")
		}
		const page = 50
		from, _ := strconv.Atoi(aws.ToString(in.NextToken))
		out := &cloudwatch.DescribeAlarmsOutput{}
		if from+page < len(in.AlarmNames) {
			out.NextToken = aws.String(strconv.Itoa(from + page))
		}
		for _, name := range in.AlarmNames[from:min(from+page, len(in.AlarmNames))] {
			a := c.alarms[name]
			if a == nil {
				continue
			}
			state := cloudwatch.StateValueInsufficientData
			if c.rings != nil && c.rings(name) {
				state = cloudwatch.StateValueAlarm
			}
			out.MetricAlarms = append(out.MetricAlarms, cloudwatch.MetricAlarm{
				AlarmArn: aws.String(alarmARN + name), AlarmName: a.AlarmName, AlarmDescription: a.AlarmDescription, ActionsEnabled: a.ActionsEnabled, AlarmActions: a.AlarmActions,
				OKActions: a.OKActions, InsufficientDataActions: a.InsufficientDataActions,
				Namespace: a.Namespace, MetricName: a.MetricName, Dimensions: a.Dimensions, Statistic: a.Statistic, ExtendedStatistic: a.ExtendedStatistic, Period: a.Period,
				Metrics: a.Metrics, EvaluationPeriods: a.EvaluationPeriods, DatapointsToAlarm: a.DatapointsToAlarm, Threshold: a.Threshold,
				ComparisonOperator: a.ComparisonOperator, TreatMissingData: a.TreatMissingData, StateValue: state,
			})
		}
		return out, nil
	})
}

// ListTagsForResource lists an alarm's tags.
func (c *CloudWatch) ListTagsForResource(_ context.Context, in *cloudwatch.ListTagsForResourceInput) (*cloudwatch.ListTagsForResourceOutput, error) {
	return over(c.cable, "cloudwatch:ListTagsForResource", func() (*cloudwatch.ListTagsForResourceOutput, error) {
		a := c.alarms[strings.TrimPrefix(*in.ResourceARN, alarmARN)]
		if a == nil {
			return nil, refuse("ResourceNotFoundException", "not found")
		}
		return &cloudwatch.ListTagsForResourceOutput{Tags: a.Tags}, nil
	})
}

// PutMetricAlarm replaces the alarm, and leaves the tags of one that is there.
func (c *CloudWatch) PutMetricAlarm(_ context.Context, in *cloudwatch.PutMetricAlarmInput) (*cloudwatch.PutMetricAlarmOutput, error) {
	return over(c.cable, "cloudwatch:PutMetricAlarm", func() (*cloudwatch.PutMetricAlarmOutput, error) {
		alarm := *in
		if old := c.alarms[*in.AlarmName]; old != nil {
			alarm.Tags = old.Tags
		}
		c.alarms[*in.AlarmName] = &alarm
		return &cloudwatch.PutMetricAlarmOutput{}, nil
	})
}

// DeleteAlarms deletes those that are there.
func (c *CloudWatch) DeleteAlarms(_ context.Context, in *cloudwatch.DeleteAlarmsInput) (*cloudwatch.DeleteAlarmsOutput, error) {
	return over(c.cable, "cloudwatch:DeleteAlarms", func() (*cloudwatch.DeleteAlarmsOutput, error) {
		for _, name := range in.AlarmNames {
			delete(c.alarms, name)
		}
		return &cloudwatch.DeleteAlarmsOutput{}, nil
	})
}

// GetDashboard returns the body as it was put.
func (c *CloudWatch) GetDashboard(_ context.Context, in *cloudwatch.GetDashboardInput) (*cloudwatch.GetDashboardOutput, error) {
	return over(c.cable, "cloudwatch:GetDashboard", func() (*cloudwatch.GetDashboardOutput, error) {
		body, there := c.dashboards[*in.DashboardName]
		if !there {
			return nil, refuse("ResourceNotFound", "Dashboard %s does not exist", *in.DashboardName)
		}
		return &cloudwatch.GetDashboardOutput{DashboardName: in.DashboardName, DashboardBody: aws.String(body)}, nil
	})
}

// PutDashboard replaces the body.
func (c *CloudWatch) PutDashboard(_ context.Context, in *cloudwatch.PutDashboardInput) (*cloudwatch.PutDashboardOutput, error) {
	return over(c.cable, "cloudwatch:PutDashboard", func() (*cloudwatch.PutDashboardOutput, error) {
		c.dashboards[*in.DashboardName] = *in.DashboardBody
		return &cloudwatch.PutDashboardOutput{DashboardValidationMessages: c.Warnings}, nil
	})
}

// DeleteDashboards deletes them; what is not there fails.
func (c *CloudWatch) DeleteDashboards(_ context.Context, in *cloudwatch.DeleteDashboardsInput) (*cloudwatch.DeleteDashboardsOutput, error) {
	return over(c.cable, "cloudwatch:DeleteDashboards", func() (*cloudwatch.DeleteDashboardsOutput, error) {
		for _, name := range in.DashboardNames {
			if _, there := c.dashboards[name]; !there {
				return nil, refuse("ResourceNotFound", "Dashboard %s does not exist", name)
			}
			delete(c.dashboards, name)
		}
		return &cloudwatch.DeleteDashboardsOutput{}, nil
	})
}

// Logs stores log groups. Its methods are those of the client.
type Logs struct {
	cable  *cable
	lines  func(task string) []string
	groups map[string]*logs.LogGroup
	// AccountPolicy is the name of the account's retention policy, AccountDays for how long it
	// keeps logs; empty means no setting. It overrides a group's own, which PutRetentionPolicy saves all
	// the same (API reference).
	AccountPolicy string
	AccountDays   int32
	tags          map[string]map[string]string
}

func (l *Logs) clear() {
	l.groups, l.tags = map[string]*logs.LogGroup{}, map[string]map[string]string{}
}

const logARN = "arn:aws:logs:ap-south-1:111122223333:log-group:"

// DescribeLogGroups describes one group a page, by prefix.
func (l *Logs) DescribeLogGroups(_ context.Context, in *logs.DescribeLogGroupsInput) (*logs.DescribeLogGroupsOutput, error) {
	return over(l.cable, "logs:DescribeLogGroups", func() (*logs.DescribeLogGroupsOutput, error) {
		out := &logs.DescribeLogGroupsOutput{}
		for _, g := range values(l.groups) {
			if !strings.HasPrefix(*g.LogGroupName, *in.LogGroupNamePrefix) || *g.LogGroupName <= aws.ToString(in.NextToken) {
				continue
			}
			if len(out.LogGroups) == 1 {
				out.NextToken = out.LogGroups[0].LogGroupName
				break
			}
			shown := *g
			if l.AccountPolicy != "" {
				shown.RetentionPolicyName, shown.RetentionInDays = aws.String(l.AccountPolicy), nil
				if l.AccountDays > 0 {
					shown.RetentionInDays = aws.Int32(l.AccountDays)
				}
			}
			out.LogGroups = append(out.LogGroups, shown)
		}
		return out, nil
	})
}

// ListTagsForResource lists a group's tags.
func (l *Logs) ListTagsForResource(_ context.Context, in *logs.ListTagsForResourceInput) (*logs.ListTagsForResourceOutput, error) {
	return over(l.cable, "logs:ListTagsForResource", func() (*logs.ListTagsForResourceOutput, error) {
		return &logs.ListTagsForResourceOutput{Tags: l.tags[strings.TrimPrefix(*in.ResourceArn, logARN)]}, nil
	})
}

// CreateLogGroup makes one whose name is free.
func (l *Logs) CreateLogGroup(_ context.Context, in *logs.CreateLogGroupInput) (*logs.CreateLogGroupOutput,
	error) {
	return over(l.cable, "logs:CreateLogGroup", func() (*logs.CreateLogGroupOutput, error) {
		name := *in.LogGroupName
		if l.groups[name] != nil {
			return nil, refuse("ResourceAlreadyExistsException", "The specified log group already exists")
		}
		l.groups[name] = &logs.LogGroup{LogGroupName: in.LogGroupName, LogGroupArn: aws.String(logARN + name),
			Arn: aws.String(logARN + name + ":*")}
		l.tags[name] = in.Tags
		return &logs.CreateLogGroupOutput{}, nil
	})
}

// PutRetentionPolicy sets the days.
func (l *Logs) PutRetentionPolicy(_ context.Context, in *logs.PutRetentionPolicyInput) (*logs.PutRetentionPolicyOutput, error) {
	return over(l.cable, "logs:PutRetentionPolicy", func() (*logs.PutRetentionPolicyOutput, error) {
		g := l.groups[*in.LogGroupName]
		if g == nil {
			return nil, refuse("ResourceNotFoundException", "The specified log group does not exist.")
		}
		g.RetentionInDays = in.RetentionInDays
		return &logs.PutRetentionPolicyOutput{}, nil
	})
}

// Protect makes a group one that cannot be deleted.
func (l *Logs) Protect(group string) { l.groups[group].DeletionProtectionEnabled = aws.Bool(true) }

// DeleteLogGroup deletes a group and its logs, unless it is protected; what is not there fails.
func (l *Logs) DeleteLogGroup(_ context.Context, in *logs.DeleteLogGroupInput) (*logs.DeleteLogGroupOutput,
	error) {
	return over(l.cable, "logs:DeleteLogGroup", func() (*logs.DeleteLogGroupOutput, error) {
		switch g := l.groups[*in.LogGroupName]; {
		case g == nil:
			return nil, refuse("ResourceNotFoundException", "The specified log group does not exist.")
		case aws.ToBool(g.DeletionProtectionEnabled):
			return nil, refuse("ValidationException", "Deletion protection is enabled for the log group")
		}
		delete(l.groups, *in.LogGroupName)
		return &logs.DeleteLogGroupOutput{}, nil
	})
}
