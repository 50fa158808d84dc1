#!/usr/bin/env bash
# go.opentelemetry.io/otel/exporters/prometheus v0.69.0 beside opentelemetry-exporter-prometheus 0.66b2 for Python.
#
# Both exporters make names for Prometheus from the instrument's name and unit, and give rca.read in bytes the name rca_read_bytes_total.
# A gauge of a share, unit "1", is rca_confidence_ratio from Go, as OpenTelemetry's page on Prometheus says, and rca_confidence from Python.
# An attribute of 1.0 is n="1" from Go and n="1.0" from Python. And of two attributes that become one label, model.name and model_name,
# Go joins the values, Python keeps the last. So a rule that was tested with the one service selects nothing of the other, and an alert over
# nothing is silent. Names of ratios that end in .ratio are the same in both.
set -euo pipefail
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-exporter-prometheus==0.66b2 opentelemetry-sdk==1.45.2 \
	prometheus-client==0.26.0
cd "$tmp"
cat >program.py <<'PY'
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import generate_latest

meter = MeterProvider([PrometheusMetricReader()]).get_meter("example")
meter.create_gauge("rca.confidence", unit="1").set(0.5)
meter.create_gauge("rca.load.ratio", unit="1").set(0.5)
meter.create_counter("rca.read", unit="By").add(1, {"n": 1.0})
meter.create_counter("rca.used", unit="").add(1, {"model.name": "a", "model_name": "b"})
print(generate_latest().decode())
PY
cat >main.go <<'GO'
package main

import (
	"context"
	"net/http/httptest"
	"os"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/attribute"
	exporter "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/metric"
	sdk "go.opentelemetry.io/otel/sdk/metric"
)

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func main() {
	registry := prometheus.NewRegistry()
	reader := must(exporter.New(exporter.WithRegisterer(registry)))
	meter := sdk.NewMeterProvider(sdk.WithReader(reader)).Meter("example")
	ctx := context.Background()
	must(meter.Float64Gauge("rca.confidence", metric.WithUnit("1"))).Record(ctx, 0.5)
	must(meter.Float64Gauge("rca.load.ratio", metric.WithUnit("1"))).Record(ctx, 0.5)
	must(meter.Float64Counter("rca.read", metric.WithUnit("By"))).Add(ctx, 1, metric.WithAttributes(attribute.Float64("n", 1)))
	names := metric.WithAttributes(attribute.String("model.name", "a"), attribute.String("model_name", "b"))
	must(meter.Float64Counter("rca.used")).Add(ctx, 1, names)
	answer := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	_, _ = os.Stdout.Write(answer.Body.Bytes())
}
GO
cat >go.mod <<'MOD'
module example.org/program

go 1.26

require (
	github.com/prometheus/client_golang v1.25.0
	go.opentelemetry.io/otel v1.47.0
	go.opentelemetry.io/otel/exporters/prometheus v0.69.0
	go.opentelemetry.io/otel/metric v1.47.0
	go.opentelemetry.io/otel/sdk/metric v1.47.0
)
MOD
go mod tidy 2>tidy || { cat tidy; exit 1; }
# The series without their labels of the scope and without values.
series() {
	grep '^rca_' | grep -v _created | sed 's/,\{0,1\}otel_scope_[a-z_]*="[^"]*"//g; s/{,/{/; s/{}//; s/ [^ ]*$//' | sort | paste -sd ' '
}
found="Go:     $(go run . | series)
Python: $(venv/bin/python program.py | series)"
echo "$found"
[ "$found" = 'Go:     rca_confidence_ratio rca_load_ratio rca_read_bytes_total{n="1"} rca_used_total{model_name="a;b"}
Python: rca_confidence rca_load_ratio rca_read_bytes_total{n="1.0"} rca_used_total{model_name="b"}' ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
