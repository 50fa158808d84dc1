package analysis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
)

// MetricData is the part of the CloudWatch client that this package needs.
type MetricData interface {
	GetMetricData(context.Context, *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error)
}

// CloudWatch measures with metrics and metric math.
type CloudWatch struct{ Client MetricData }

// resultID is the ID of the expression's result.
const resultID = "analysis_result"

// Ask implements Source. A window has data only if one of the metrics has a data point in it: FILL() would return a value
// where nothing has been measured.
func (c CloudWatch) Ask(ctx context.Context, m *Metric, of Subject, in Window) (float64, bool, error) {
	query := m.cloudWatchQuery(of, in)
	result := m.Metrics[0].ID
	if m.Query != "" {
		result = resultID
		query.MetricDataQueries = append(query.MetricDataQueries, cloudwatch.MetricDataQuery{Id: aws.String(resultID),
			Expression: aws.String(fill(m.Query, of, m)), Period: aws.Int32(int32(m.Interval.Seconds()))})
	}
	out, err := c.Client.GetMetricData(ctx, query)
	if err != nil {
		return 0, false, fmt.Errorf("get metric data: %w", err)
	}
	value, measured, answered := 0.0, false, false
	for _, r := range out.MetricDataResults {
		point, there := pointAt(r, in.Start)
		if aws.ToString(r.Id) == result {
			value, answered = point, there
		}
		if aws.ToString(r.Id) != resultID {
			measured = measured || there
		}
	}
	return value, measured && answered, nil
}

// Count implements Counter: each metric is the count of a class. A metric without a data point counts 0.
func (c CloudWatch) Count(ctx context.Context, m *Metric, of Subject, in Window) (map[string]float64, error) {
	out, err := c.Client.GetMetricData(ctx, m.cloudWatchQuery(of, in))
	if err != nil {
		return nil, fmt.Errorf("get metric data: %w", err)
	}
	counts := map[string]float64{}
	for _, r := range out.MetricDataResults {
		if value, there := pointAt(r, in.Start); there {
			counts[aws.ToString(r.Id)] = max(0, value)
		}
	}
	return counts, nil
}

// pointAt returns the data point that begins at a time.
func pointAt(r cloudwatch.MetricDataResult, start time.Time) (float64, bool) {
	for i, at := range r.Timestamps {
		if i < len(r.Values) && at.Equal(start) {
			return r.Values[i], true
		}
	}
	return 0, false
}

// cloudWatchQuery queries each metric in a window.
func (m *Metric) cloudWatchQuery(of Subject, in Window) *cloudwatch.GetMetricDataInput {
	period := int32(m.Interval.Seconds())
	query := &cloudwatch.GetMetricDataInput{StartTime: aws.Time(in.Start), EndTime: aws.Time(in.End)}
	for _, metric := range m.Metrics {
		stat := &cloudwatch.MetricStat{Period: aws.Int32(period), Stat: aws.String(metric.Stat),
			Metric: &cloudwatch.Metric{Namespace: aws.String(metric.Namespace), MetricName: aws.String(metric.Name)}}
		for _, name := range slices.Sorted(maps.Keys(metric.Dimensions)) {
			stat.Metric.Dimensions = append(stat.Metric.Dimensions, cloudwatch.Dimension{Name: aws.String(name),
				Value: aws.String(fill(metric.Dimensions[name], of, m))})
		}
		query.MetricDataQueries = append(query.MetricDataQueries, cloudwatch.MetricDataQuery{Id: aws.String(metric.ID), MetricStat: stat})
	}
	return query
}
