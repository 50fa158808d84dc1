package fakeaws

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/cloudwatch"
)

// Series is a metric as applications publish it: the value of the period that begins at a time, and
// whether there is one by now.
type Series func(metric cloudwatch.MetricStat, period time.Time) (float64, bool)

// Publish makes metrics answer as a series says.
func (c *CloudWatch) Publish(s Series) {
	c.cable.mu.Lock()
	defer c.cable.mu.Unlock()
	c.series = s
}

// GetMetricData answers metrics, and expressions of them with + - * / and FILL(). A metric that is
// missing at a time is 0 in an expression in which another one is there ("Missing values in a time
// series are treated as 0 for +", metric math): here an expression has a point wherever one of its
// metrics has, or where FILL gives one.
func (c *CloudWatch) GetMetricData(_ context.Context, in *cloudwatch.GetMetricDataInput) (*cloudwatch.GetMetricDataOutput, error) {
	return over(c.cable, "cloudwatch:GetMetricData", func() (*cloudwatch.GetMetricDataOutput, error) {
		metrics := map[string]cloudwatch.MetricStat{}
		for _, q := range in.MetricDataQueries {
			if q.MetricStat != nil {
				metrics[*q.Id] = *q.MetricStat
			}
		}
		out := &cloudwatch.GetMetricDataOutput{}
		for _, q := range in.MetricDataQueries {
			result := cloudwatch.MetricDataResult{Id: q.Id}
			period := time.Duration(aws.ToInt32(q.Period)) * time.Second
			if q.MetricStat != nil {
				period = time.Duration(aws.ToInt32(q.MetricStat.Period)) * time.Second
			}
			if period < time.Second {
				return nil, refuse("ValidationError", "the period is missing")
			}
			for at := *in.StartTime; at.Before(*in.EndTime); at = at.Add(period) {
				value, there := 0.0, false
				if q.MetricStat != nil {
					value, there = c.point(*q.MetricStat, at)
				} else {
					expr, err := parser.ParseExpr(aws.ToString(q.Expression))
					if err != nil {
						return nil, refuse("ValidationError", "Error in expression '%s'", *q.Id)
					}
					value, there = c.math(expr, metrics, at)
				}
				if there {
					result.Timestamps, result.Values = append(result.Timestamps, at), append(result.Values, value)
				}
			}
			out.MetricDataResults = append(out.MetricDataResults, result)
		}
		return out, nil
	})
}

func (c *CloudWatch) point(metric cloudwatch.MetricStat, at time.Time) (float64, bool) {
	if c.series == nil {
		return 0, false
	}
	return c.series(metric, at)
}

func (c *CloudWatch) math(expr ast.Expr, metrics map[string]cloudwatch.MetricStat, at time.Time) (float64, bool) {
	switch e := expr.(type) {
	case *ast.ParenExpr:
		return c.math(e.X, metrics, at)
	case *ast.BasicLit:
		value, err := strconv.ParseFloat(e.Value, 64)
		return value, err == nil
	case *ast.Ident:
		metric, known := metrics[e.Name]
		if !known {
			return 0, false
		}
		return c.point(metric, at)
	case *ast.CallExpr:
		if value, there := c.math(e.Args[0], metrics, at); there {
			return value, true
		}
		return c.math(e.Args[1], metrics, at)
	case *ast.BinaryExpr:
		x, xThere := c.math(e.X, metrics, at)
		y, yThere := c.math(e.Y, metrics, at)
		switch e.Op {
		case token.ADD:
			return x + y, xThere || yThere
		case token.SUB:
			return x - y, xThere || yThere
		case token.MUL:
			return x * y, xThere && yThere
		case token.QUO:
			return x / y, xThere && yThere && y != 0
		}
	}
	return 0, false
}

// In is the task definition of the newest task that is a target of a group, by the group's ARN or
// CloudWatch's name of it; empty without one.
func (e *ECS) In(group string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	newest, at := "", time.Time{}
	for _, s := range e.services {
		for _, t := range s.tasks {
			if strings.HasSuffix(t.revision.group, group) && t.stopped.IsZero() && !t.launched.Before(at) {
				newest, at = t.revision.taskDefinition, t.launched
			}
		}
	}
	return newest
}
