package testrun

import (
	"context"
	"io"
	"strings"
	"time"

	telemetry "github.com/dagger/otel-go"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// Names of OpenTelemetry's semantic conventions for tests, which Dagger's view of tests uses.
const (
	attrCase   = attribute.Key("test.case.name")
	attrSuite  = attribute.Key("test.suite.name")
	attrStatus = attribute.Key("test.suite.run.status")
)

// maxSpans limits the number of spans. Beyond it only tests that did not pass are sent.
const maxSpans = 2000

// spans sends each test as a child span of its file, even if the result came from the cache. A report has no times of day, so
// the tests of a file follow one another and end now.
type spans struct {
	order []string
	files map[string][]junit.Case
	sent  int
}

func (s *spans) add(c junit.Case) {
	if s.sent++; s.sent > maxSpans && c.Outcome == junit.Passed {
		return
	}
	name := c.File
	if name == "" {
		name = c.ClassName
	}
	if s.files == nil {
		s.files = map[string][]junit.Case{}
	}
	if s.files[name] == nil {
		s.order = append(s.order, name)
	}
	c.Tail, c.Output = append([]string{}, c.Tail...), append([]string{}, c.Output...)
	s.files[name] = append(s.files[name], c)
}

// status returns the conventions' name for an outcome.
func status(o junit.Outcome) string {
	switch o {
	case junit.Failed, junit.Errored:
		return "failure"
	case junit.Skipped, junit.XFailed:
		return "skipped"
	}
	return "success"
}

// emit sends the spans. It does nothing without a receiver.
func (s *spans) emit(ctx context.Context, e *events) {
	tracer := otel.Tracer("openstack-rca/test")
	for _, name := range s.order {
		cases := s.files[name]
		var total time.Duration
		for _, c := range cases {
			total += length(c)
		}
		at := time.Now().Add(-total)
		suite, span := tracer.Start(ctx, name, trace.WithTimestamp(at), trace.WithAttributes(attrSuite.String(name)))
		result := "success"
		for _, c := range cases {
			if status(c.Outcome) == "failure" {
				result = "failure"
			}
			at = show(suite, tracer, name, c, at, e)
		}
		span.SetAttributes(attrStatus.String(result))
		if result == "failure" {
			span.SetStatus(otelcodes.Error, "tests of this file failed")
		}
		span.End(trace.WithTimestamp(at))
	}
}

// length returns a test's duration. A span without a duration would not be shown.
func length(c junit.Case) time.Duration {
	return max(time.Duration(c.Seconds*float64(time.Second)), time.Microsecond)
}

// show sends one test; for a failure also the assertion and the last lines of its output.
func show(ctx context.Context, tracer trace.Tracer, suite string, c junit.Case, at time.Time, e *events) time.Time {
	id := c.ID()
	ctx, span := tracer.Start(ctx, strings.TrimPrefix(id, suite+"::"), trace.WithTimestamp(at),
		trace.WithAttributes(attrCase.String(id), attrSuite.String(suite), attrStatus.String(status(c.Outcome))))
	at = at.Add(length(c))
	if status(c.Outcome) == "failure" {
		one := []junit.Case{c}
		e.complete(one)
		out := telemetry.SpanStdio(ctx, "openstack-rca/test")
		// The report has it too, so an error here loses nothing.
		_, _ = io.WriteString(out.Stderr, strings.Join(e.details(one), "\n")+"\n")
		_ = out.Close()
		span.SetStatus(otelcodes.Error, firstLine(c.Message))
	}
	if c.Outcome == junit.Flaky {
		span.SetAttributes(attribute.Bool("test.flaky", true))
	}
	span.End(trace.WithTimestamp(at))
	return at
}
