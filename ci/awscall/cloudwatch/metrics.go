package cloudwatch

import (
	"context"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// Dimension is a name and value that is part of a metric's identity.
type Dimension struct{ Name, Value *string }

// Metric is a metric.
type Metric struct {
	Namespace, MetricName *string
	Dimensions            []Dimension
}

// MetricStat is a statistic of a metric over each period, in seconds.
type MetricStat struct {
	Metric *Metric
	Period *int32
	Stat   *string
	Unit   StandardUnit
}

// MetricDataQuery is a metric, or an expression of those that the others with an Id are.
type MetricDataQuery struct {
	AccountId, Id, Expression, Label *string
	MetricStat                       *MetricStat
	Period                           *int32
	ReturnData                       *bool
}

// MetricDataResult are the points of a query. Each time is the beginning of a period.
type MetricDataResult struct {
	Id         *string
	Timestamps []time.Time
	Values     []float64
}

// MetricDatum is a value to record.
type MetricDatum struct {
	MetricName *string
	Dimensions []Dimension
	Timestamp  *time.Time
	Value      *float64
	Unit       StandardUnit
}

// GetMetricDataInput asks for metrics and expressions of them from StartTime until before EndTime.
type GetMetricDataInput struct {
	StartTime, EndTime *time.Time
	MetricDataQueries  []MetricDataQuery
}

// GetMetricDataOutput is the first page of results.
type GetMetricDataOutput struct{ MetricDataResults []MetricDataResult }

// GetMetricData measures.
func (c *Client) GetMetricData(ctx context.Context, in *GetMetricDataInput) (*GetMetricDataOutput, error) {
	return awscall.Do[GetMetricDataOutput](ctx, c.api, "GetMetricData", in)
}

// PutMetricDataInput are values to record, at most 1000 in 1 MB.
type PutMetricDataInput struct {
	Namespace  *string
	MetricData []MetricDatum
}

// PutMetricDataOutput is empty.
type PutMetricDataOutput struct{}

// PutMetricData records values.
func (c *Client) PutMetricData(ctx context.Context, in *PutMetricDataInput) (*PutMetricDataOutput, error) {
	return awscall.Do[PutMetricDataOutput](ctx, c.api, "PutMetricData", in)
}
