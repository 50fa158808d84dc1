package metrics

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// SendOTLP sends the run by OTLP over HTTP, in its JSON form, with the names of OpenTelemetry's
// conventions for CI/CD: cicd.pipeline.run.duration and cicd.pipeline.run.errors, and the families
// as gauges of their own names. The address is that of the collector, without /v1/metrics.
func SendOTLP(ctx context.Context, e Endpoint, target Group, run runledger.Record, families []Family) error {
	if err := e.Check(); err != nil {
		return fmt.Errorf("send metrics by OTLP: %w", err)
	}
	body, err := json.Marshal(otlp(target, run, families))
	if err != nil {
		return fmt.Errorf("send metrics by OTLP: %w", err)
	}
	return e.send(ctx, "send metrics by OTLP", http.MethodPost, strings.TrimSuffix(e.URL, "/")+"/v1/metrics", "application/json", body)
}

// object is a message in its JSON form.
type object map[string]any

// otlp is an ExportMetricsServiceRequest. 64-bit integers are strings in the JSON of protobuf.
func otlp(target Group, run runledger.Record, families []Family) object {
	start, end := nano(run.Started.UnixNano()), nano(run.Ended().UnixNano())
	attributes := []object{text("cicd.pipeline.name", target.Pipeline), text("cicd.pipeline.run.state", "executing"),
		text("cicd.pipeline.result", result(run.Verdict))}
	failed := []object{text("cicd.pipeline.name", target.Pipeline), text("error.type", run.Code)}
	if run.Code != "" {
		attributes = append(attributes, text("error.type", run.Code))
	}
	bounds := []float64{10, 30, 60, 120, 300, 600, 900, 1200, 1800, 3600, 7200}
	counts := make([]string, len(bounds)+1)
	for i := range counts {
		counts[i] = "0"
		if (i == 0 || run.Seconds > bounds[i-1]) && (i == len(bounds) || run.Seconds <= bounds[i]) {
			counts[i] = "1"
		}
	}
	all := []object{{
		"name": "cicd.pipeline.run.duration", "unit": "s", "description": "Duration of a pipeline run grouped by pipeline, state and result.",
		"histogram": object{"aggregationTemporality": cumulative, "dataPoints": []object{{
			"attributes": attributes, "startTimeUnixNano": start, "timeUnixNano": end, "count": "1", "sum": run.Seconds,
			"explicitBounds": bounds, "bucketCounts": counts,
		}}},
	}}
	if run.Code != "" {
		all = append(all, object{"name": "cicd.pipeline.run.errors", "unit": "{error}", "description": "Errors of pipeline runs.",
			"sum": object{"aggregationTemporality": cumulative, "isMonotonic": true, "dataPoints": []object{{
				"attributes": failed, "startTimeUnixNano": start, "timeUnixNano": end, "asInt": "1"}}}})
	}
	for _, f := range families {
		var points []object
		for _, s := range f.Samples {
			var own []object
			for _, l := range s.Labels {
				own = append(own, text(l.Name, l.Value))
			}
			points = append(points, object{"attributes": own, "timeUnixNano": end, "asDouble": s.Value})
		}
		all = append(all, object{"name": f.Name, "description": f.Help, "gauge": object{"dataPoints": points}})
	}
	resource := []object{text("service.name", "openstack-rca"), text("service.version", run.Module), text("cicd.pipeline.name",
		target.Pipeline),
		text("cicd.pipeline.run.id", run.ID), text("deployment.environment.name", target.Environment), text("vcs.ref.head.name", run.Ref),
		text("vcs.ref.head.revision", run.Commit)}
	return object{"resourceMetrics": []object{{
		"resource":     object{"attributes": resource},
		"scopeMetrics": []object{{"scope": object{"name": "github.com/openstack-rca/openstack-rca"}, "metrics": all}},
	}}}
}

// cumulative is AGGREGATION_TEMPORALITY_CUMULATIVE.
const cumulative = 2

// result is the value of cicd.pipeline.result.
func result(v verdict.Outcome) string {
	switch v {
	case verdict.Pass:
		return "success"
	case verdict.Fail:
		return "failure"
	}
	return "error"
}

func text(name, value string) object {
	return object{"key": name, "value": object{"stringValue": value}}
}

func nano(at int64) string { return strconv.FormatInt(at, 10) }
