package metrics

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Namespace is that of the metrics in CloudWatch.
const Namespace = "openstack-rca"

// CloudWatch is the part of its client that PutMetrics needs.
type CloudWatch interface {
	PutMetricData(context.Context, *cloudwatch.PutMetricDataInput) (*cloudwatch.PutMetricDataOutput, error)
}

// maxData is how many values are sent in one request: CloudWatch takes 1000, and 1 MB, which so many
// with all their dimensions stay below.
const maxData = 200

// PutMetrics sends the families of a run to CloudWatch, as of a time.
func PutMetrics(ctx context.Context, client CloudWatch, target Group, families []Family, at time.Time) error {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	var data []cloudwatch.MetricDatum
	for _, f := range ForCloudWatch(With(families, target)) {
		for _, s := range f.Samples {
			datum := cloudwatch.MetricDatum{MetricName: aws.String(f.Name), Value: aws.Float64(s.Value), Timestamp: aws.Time(at),
				Unit: cloudwatch.StandardUnit(unitOf(f.Metric))}
			for _, l := range s.Labels {
				datum.Dimensions = append(datum.Dimensions, cloudwatch.Dimension{Name: aws.String(l.Name), Value: aws.String(ascii(l.Value))})
			}
			data = append(data, datum)
		}
	}
	for chunk := range slices.Chunk(data, maxData) {
		in := &cloudwatch.PutMetricDataInput{Namespace: aws.String(Namespace), MetricData: chunk}
		if _, err := client.PutMetricData(ctx, in); err != nil {
			return fmt.Errorf("send metrics to CloudWatch: %w", err)
		}
	}
	return nil
}

// ascii is a text as a dimension of CloudWatch may have it.
func ascii(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}

// ForCloudWatch makes the families such that an alarm, which watches one series, can tell by its last
// value what is: a verdict and a deployment's outcome are 0 in the series of all others, and neither the
// code nor the service is a dimension. Info, which is only labels, is left out.
func ForCloudWatch(families []Family) []Family {
	var all []Family
	for _, f := range families {
		var label string
		var values []string
		switch f.Name {
		case Info.Name:
			continue
		case RunVerdict.Name:
			label = "verdict"
			for _, v := range []verdict.Outcome{verdict.Pass, verdict.Fail, verdict.CouldNotRun} {
				values = append(values, string(v))
			}
		case DeploymentOutcome.Name:
			label = "outcome"
			values = []string{verdict.DeploymentSucceeded, verdict.DeploymentRolledBack, verdict.DeploymentFailed}
		}
		samples := make([]Sample, 0, len(f.Samples))
		for _, s := range f.Samples {
			s.Labels = slices.DeleteFunc(slices.Clone(s.Labels), func(l Label) bool {
				return l.Value == "" || slices.Contains(notDimensions, l.Name)
			})
			samples = append(samples, s)
			for _, other := range values {
				labels := slices.Clone(s.Labels)
				i := slices.IndexFunc(labels, func(l Label) bool { return l.Name == label })
				if i >= 0 && labels[i].Value != other {
					labels[i].Value = other
					samples = append(samples, Sample{Labels: labels, Time: s.Time})
				}
			}
		}
		f.Samples = samples
		all = append(all, f)
	}
	return all
}

// notDimensions are the labels that CloudWatch does not get: an alarm would have to know their value.
var notDimensions = []string{"code", "service"}
