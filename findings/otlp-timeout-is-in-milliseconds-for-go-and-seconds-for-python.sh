#!/usr/bin/env bash
# go.opentelemetry.io/otel exporters v1.46.0 and opentelemetry-exporter-otlp-proto-http 1.45.2 (Python), with OTLP over HTTP.
#
# The OTEL_ variables are meant to configure the exporters of every language. Go reads OTEL_EXPORTER_OTLP_TIMEOUT as milliseconds, as the
# specification says; Python reads it as seconds. With 10, and a collector that needs 0.3 s to answer, Python delivers and Go gives up.
# With 10000, Go waits up to 10 s, and Python up to 2 h 46 min.
#
# Set the timeout in each program, not in an environment that they share.
set -euo pipefail
tmp=$(mktemp -d)
collector=
trap 'kill $collector 2>/dev/null || true; rm -rf "$tmp"' EXIT
python3 -m venv "$tmp/venv"
"$tmp/venv/bin/pip" install --quiet --disable-pip-version-check opentelemetry-exporter-otlp-proto-http==1.45.2 opentelemetry-sdk==1.45.2
cd "$tmp"
cat >collector.py <<'PY'
import http.server
import pathlib
import time


class Slow(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(0.3)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
pathlib.Path("port").write_text(str(server.server_port))
server.serve_forever()
PY
cat >program.py <<'PY'
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult

exporter = OTLPSpanExporter()


class Shown(SimpleSpanProcessor):
    def on_end(self, span):
        print("delivered" if exporter.export([span]) is SpanExportResult.SUCCESS else "lost")


provider = TracerProvider()
provider.add_span_processor(Shown(exporter))
provider.get_tracer("a").start_span("s").end()
PY
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

type shown struct{ sdk.SpanExporter }

func (s shown) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	if s.SpanExporter.ExportSpans(ctx, spans) != nil {
		fmt.Println("lost")
		return nil
	}
	fmt.Println("delivered")
	return nil
}

func main() {
	off := otlptracehttp.WithRetry(otlptracehttp.RetryConfig{})
	exporter, err := otlptracehttp.New(context.Background(), off)
	if err != nil {
		panic(err)
	}
	_, span := sdk.NewTracerProvider(sdk.WithSyncer(shown{exporter})).Tracer("a").Start(context.Background(), "s")
	span.End()
}
GO
cat >go.mod <<'MOD'
module example.org/program

go 1.26

require (
	go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp v1.46.0
	go.opentelemetry.io/otel/sdk v1.46.0
)
MOD
go mod tidy 2>tidy || { cat tidy; exit 1; }
go build -o program .
venv/bin/python collector.py &
collector=$!
until [ -s port ]; do sleep 0.1; done
export OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:$(cat port) NO_PROXY=127.0.0.1
try() { # TIMEOUT
	export OTEL_EXPORTER_OTLP_TIMEOUT=$1
	echo "OTEL_EXPORTER_OTLP_TIMEOUT=$1: Go $(./program), Python $(venv/bin/python program.py)"
}
seen=$(
	try 10
	try 10000
)
echo "$seen"
[ "$seen" = "OTEL_EXPORTER_OTLP_TIMEOUT=10: Go lost, Python delivered
OTEL_EXPORTER_OTLP_TIMEOUT=10000: Go delivered, Python delivered" ] || {
	echo "CHANGED: see above"
	exit 1
}
echo "as described"
