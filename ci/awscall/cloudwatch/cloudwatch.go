// Package cloudwatch has the operations of Amazon CloudWatch that are used: the alarms and the
// dashboard of a service, measuring its metrics, and recording those of a run. Fields are as in the
// API reference; nil is not sent.
package cloudwatch

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
	"github.com/openstack-rca/openstack-rca/ci/partition"
)

// Client calls CloudWatch. It is safe for concurrent use.
type Client struct{ api *awscall.Client }

// New returns a client of the configuration's account and region. It uses the query protocol, which
// AWS and all its emulators have.
func New(cfg aws.Config) *Client {
	return &Client{awscall.New(cfg, awscall.Service{
		ID: "CloudWatch", Name: "monitoring", Endpoint: endpoint, Protocol: awscall.Query{Version: "2010-08-01"},
	})}
}

// endpoint has no names of its own for validated cryptography in AWS GovCloud, not with IPv6 either.
func endpoint(region string, v awscall.Variant) (awscall.Endpoint, error) {
	v.FIPS = v.FIPS && partition.ID(region) != "aws-us-gov"
	return awscall.Regional("monitoring", false)(region, v)
}

// The closed sets.
type (
	// AlarmType is a kind of alarms.
	AlarmType string
	// StateValue is the state of an alarm.
	StateValue string
	// Statistic is a statistic other than a percentile.
	Statistic string
	// ComparisonOperator compares a statistic with the threshold.
	ComparisonOperator string
	// StandardUnit is the unit of a value.
	StandardUnit string
)

// The values of the closed sets that are used.
const (
	AlarmTypeMetricAlarm                            AlarmType          = "MetricAlarm"
	AlarmTypeCompositeAlarm                         AlarmType          = "CompositeAlarm"
	StateValueAlarm                                 StateValue         = "ALARM"
	StateValueInsufficientData                      StateValue         = "INSUFFICIENT_DATA"
	StatisticSum                                    Statistic          = "Sum"
	ComparisonOperatorGreaterThanOrEqualToThreshold ComparisonOperator = "GreaterThanOrEqualToThreshold"
)

// Tag is a tag of an alarm.
type Tag struct{ Key, Value *string }

// MetricAlarm is an alarm on a metric, or on an expression of several.
type MetricAlarm struct {
	AlarmName, AlarmArn, AlarmDescription            *string
	ActionsEnabled                                   *bool
	AlarmActions, OKActions, InsufficientDataActions []string
	Namespace, MetricName                            *string
	Dimensions                                       []Dimension
	Statistic                                        Statistic
	ExtendedStatistic                                *string
	Period                                           *int32
	Metrics                                          []MetricDataQuery
	EvaluationPeriods, DatapointsToAlarm             *int32
	Threshold                                        *float64
	ComparisonOperator                               ComparisonOperator
	TreatMissingData                                 *string
	StateValue                                       StateValue
}

// CompositeAlarm is an alarm on other alarms.
type CompositeAlarm struct {
	AlarmName  *string
	StateValue StateValue
}

// DashboardValidationMessage is a warning about a place in a dashboard.
type DashboardValidationMessage struct{ DataPath, Message *string }

// DescribeAlarmsInput names alarms, by name or by the beginning of their names.
type DescribeAlarmsInput struct {
	AlarmNamePrefix *string
	AlarmNames      []string
	AlarmTypes      []AlarmType
	NextToken       *string
}

// DescribeAlarmsOutput is a page of alarms.
type DescribeAlarmsOutput struct {
	MetricAlarms    []MetricAlarm
	CompositeAlarms []CompositeAlarm
	NextToken       *string
}

// DescribeAlarms describes alarms.
func (c *Client) DescribeAlarms(ctx context.Context, in *DescribeAlarmsInput) (*DescribeAlarmsOutput, error) {
	return awscall.Do[DescribeAlarmsOutput](ctx, c.api, "DescribeAlarms", in)
}

// PutMetricAlarmInput describes the alarm to create or replace.
type PutMetricAlarmInput struct {
	AlarmName, AlarmDescription                      *string
	ActionsEnabled                                   *bool
	AlarmActions, OKActions, InsufficientDataActions []string
	Namespace, MetricName                            *string
	Dimensions                                       []Dimension
	Statistic                                        Statistic
	ExtendedStatistic                                *string
	Period                                           *int32
	Metrics                                          []MetricDataQuery
	EvaluationPeriods, DatapointsToAlarm             *int32
	Threshold                                        *float64
	ComparisonOperator                               ComparisonOperator
	TreatMissingData                                 *string
	Tags                                             []Tag
}

// PutMetricAlarmOutput is empty.
type PutMetricAlarmOutput struct{}

// PutMetricAlarm creates or replaces an alarm.
func (c *Client) PutMetricAlarm(ctx context.Context, in *PutMetricAlarmInput) (*PutMetricAlarmOutput, error) {
	return awscall.Do[PutMetricAlarmOutput](ctx, c.api, "PutMetricAlarm", in)
}

// DeleteAlarmsInput names alarms.
type DeleteAlarmsInput struct{ AlarmNames []string }

// DeleteAlarmsOutput is empty.
type DeleteAlarmsOutput struct{}

// DeleteAlarms deletes alarms; those that do not exist are no error.
func (c *Client) DeleteAlarms(ctx context.Context, in *DeleteAlarmsInput) (*DeleteAlarmsOutput, error) {
	return awscall.Do[DeleteAlarmsOutput](ctx, c.api, "DeleteAlarms", in)
}

// ListTagsForResourceInput names an alarm by its ARN.
type ListTagsForResourceInput struct{ ResourceARN *string }

// ListTagsForResourceOutput are its tags.
type ListTagsForResourceOutput struct{ Tags []Tag }

// ListTagsForResource lists the tags of an alarm.
func (c *Client) ListTagsForResource(ctx context.Context, in *ListTagsForResourceInput) (*ListTagsForResourceOutput, error) {
	return awscall.Do[ListTagsForResourceOutput](ctx, c.api, "ListTagsForResource", in)
}

// GetDashboardInput names a dashboard.
type GetDashboardInput struct{ DashboardName *string }

// GetDashboardOutput is the dashboard, whose body is JSON.
type GetDashboardOutput struct{ DashboardName, DashboardBody *string }

// GetDashboard returns a dashboard.
func (c *Client) GetDashboard(ctx context.Context, in *GetDashboardInput) (*GetDashboardOutput, error) {
	return awscall.Do[GetDashboardOutput](ctx, c.api, "GetDashboard", in)
}

// PutDashboardInput is the dashboard to create or replace.
type PutDashboardInput struct{ DashboardName, DashboardBody *string }

// PutDashboardOutput are warnings about it.
type PutDashboardOutput struct{ DashboardValidationMessages []DashboardValidationMessage }

// PutDashboard creates or replaces a dashboard.
func (c *Client) PutDashboard(ctx context.Context, in *PutDashboardInput) (*PutDashboardOutput, error) {
	return awscall.Do[PutDashboardOutput](ctx, c.api, "PutDashboard", in)
}

// DeleteDashboardsInput names dashboards.
type DeleteDashboardsInput struct{ DashboardNames []string }

// DeleteDashboardsOutput is empty.
type DeleteDashboardsOutput struct{}

// DeleteDashboards deletes dashboards, or none when one does not exist.
func (c *Client) DeleteDashboards(ctx context.Context, in *DeleteDashboardsInput) (*DeleteDashboardsOutput, error) {
	return awscall.Do[DeleteDashboardsOutput](ctx, c.api, "DeleteDashboards", in)
}
