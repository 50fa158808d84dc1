package observability

import (
	"encoding/json"
	"fmt"

	"github.com/openstack-rca/openstack-rca/ci/metrics"
)

// AlarmsFile is the file with the alarms of CloudWatch.
const AlarmsFile = "cloudwatch-alarms.json"

// alarm is a rule on one series as CloudWatch has it: it looks at the last value.
type alarm struct {
	metric metrics.Metric
	// beyond is set for one that rings above its limit, else it rings below.
	beyond bool
	limit  float64
	// dimensions are those besides the target's.
	dimensions [][2]string
}

// resource is an alarm of CloudFormation.
type resource struct {
	Type       string `json:"Type"`
	Properties object `json:"Properties"`
}

// longestSilence is how many days an alarm of CloudWatch can look back.
const longestSilence = 7

// alarms are the rules as a template of CloudFormation, as far as CloudWatch can tell them from one series.
// Environment, Ref and Call choose the series, Topic is told.
func (g *generator) alarms() ([]byte, error) {
	parameter := func(value, text string) object {
		return object{"Type": "String", "Default": value, "Description": text}
	}
	resources := map[string]resource{}
	add := func(name, text string, properties object) {
		for key, value := range (object{
			"AlarmName":        object{"Fn::Sub": "openstack-rca-" + g.cfg.Name + "-${Environment}-${Ref}-${Call}-" + name},
			"AlarmDescription": text, "Namespace": metrics.Namespace,
			"AlarmActions": told(), "OKActions": told(),
		}) {
			properties[key] = value
		}
		resources[name] = resource{"AWS::CloudWatch::Alarm", properties}
	}
	for _, r := range g.rules {
		if r.alarm == nil {
			continue
		}
		operator, statistic := "LessThanThreshold", "Minimum"
		if r.alarm.beyond {
			operator, statistic = "GreaterThanThreshold", "Maximum"
		}
		add(r.Alert, r.text(g.cfg.Name), object{
			"MetricName": r.alarm.metric.Name, "Dimensions": g.dimensions(r.alarm.dimensions), "Statistic": statistic,
			"ComparisonOperator": operator, "Threshold": r.alarm.limit, "Period": 60, "EvaluationPeriods": 1,
			// Between two runs there is no value: what was rung stays so until a run is better.
			"TreatMissingData": "ignore",
		})
	}
	if days := g.cfg.Observe.SilentDays; days <= longestSilence {
		add("PipelineSilent", fmt.Sprintf("%s: no run in %d days", g.cfg.Name, days), object{
			"MetricName": metrics.RunDuration.Name, "Dimensions": g.dimensions(nil), "Statistic": "SampleCount",
			"ComparisonOperator": "LessThanThreshold", "Threshold": 1, "Period": 86400, "EvaluationPeriods": days,
			"TreatMissingData": "breaching",
		})
	}
	content, err := json.MarshalIndent(object{
		"AWSTemplateFormatVersion": "2010-09-09",
		"Description":              "Alarms of the delivery pipeline of " + g.cfg.Name + ", generated from pipeline.yaml",
		"Parameters": object{
			"Environment": parameter("production", "Environment of the runs"), "Ref": parameter("main", "Branch of the runs"),
			"Call":  parameter("run", "What is called: run, or deploy"),
			"Topic": parameter("", "ARN of the topic of SNS that is told; nobody is when empty"),
		},
		"Conditions": object{"Told": object{"Fn::Not": []object{{"Fn::Equals": []any{object{"Ref": "Topic"}, ""}}}}},
		"Resources":  resources,
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("render %s: %w", AlarmsFile, err)
	}
	return append(content, '\n'), nil
}

// told are the actions of an alarm.
func told() object {
	return object{"Fn::If": []any{"Told", []object{{"Ref": "Topic"}}, object{"Ref": "AWS::NoValue"}}}
}

// dimensions are all those that a series in CloudWatch has.
func (g *generator) dimensions(own [][2]string) []object {
	all := []object{
		{"Name": "pipeline", "Value": g.cfg.Name}, {"Name": "environment", "Value": object{"Ref": "Environment"}},
		{"Name": "ref", "Value": object{"Ref": "Ref"}}, {"Name": "call", "Value": object{"Ref": "Call"}},
	}
	for _, d := range own {
		all = append(all, object{"Name": d[0], "Value": d[1]})
	}
	return all
}
