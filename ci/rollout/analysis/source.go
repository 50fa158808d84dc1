package analysis

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Subject is the measured version; queries refer to it with placeholders.
type Subject struct {
	// TargetGroup and LoadBalancer are CloudWatch dimensions, such as targetgroup/name/id.
	TargetGroup, LoadBalancer string
	// Revision is the revision number of the task definition, Digest the image's SHA-256 in hex.
	Revision, Digest string
	// Cluster and Service are names.
	Cluster, Service string
}

// Window is the period that a measurement covers.
type Window struct{ Start, End time.Time }

// Source measures a metric in a window. known is false while there is no data for it, which may arrive later; an error means
// that the source could not be asked.
type Source interface {
	Ask(ctx context.Context, m *Metric, of Subject, in Window) (value float64, known bool, err error)
}

// marks are the placeholders that queries, dimensions and commands may contain in double braces.
var marks = []string{"target_group", "load_balancer", "revision", "digest", "cluster", "service", "window"}

var markForm = regexp.MustCompile(`\{\{\s*([A-Za-z_]*)\s*\}\}`)

// fill replaces the placeholders in a text.
func fill(text string, of Subject, m *Metric) string {
	values := map[string]string{"target_group": of.TargetGroup, "load_balancer": of.LoadBalancer, "revision": of.Revision, "digest": of.Digest,
		"cluster": of.Cluster, "service": of.Service, "window": fmt.Sprintf("%ds", int(m.Interval.Seconds()))}
	return markForm.ReplaceAllStringFunc(text, func(mark string) string { return values[markForm.FindStringSubmatch(mark)[1]] })
}

func unknownMark(text string) string {
	for _, found := range markForm.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(marks, found[1]) {
			return found[0]
		}
	}
	return ""
}

var metricID = regexp.MustCompile(`^[a-z][A-Za-z0-9_]{0,254}$`)

// checkSource checks that a metric has one source, and that missing data cannot look like good data.
func (m *Metric) checkSource() error {
	sources := 0
	for _, given := range []bool{m.Prometheus != "", len(m.Metrics) > 0, len(m.Command) > 0} {
		if given {
			sources++
		}
	}
	if sources != 1 {
		return errors.New("it has to have one of prometheus, metrics (of CloudWatch) and command")
	}
	texts := append([]string{m.Query}, m.Command...)
	for _, metric := range m.Metrics {
		for _, value := range metric.Dimensions {
			texts = append(texts, value)
		}
	}
	for _, text := range texts {
		if mark := unknownMark(text); mark != "" {
			return fmt.Errorf("there is no %s; there are {{%s}}", mark, strings.Join(marks, "}}, {{"))
		}
	}
	switch {
	case m.Prometheus != "":
		return m.checkPrometheus()
	case len(m.Metrics) > 0:
		return m.checkCloudWatch()
	case m.NeedsOld():
		return errors.New("a command has no old value to compare with")
	default:
		return nil
	}
}

// vectorCall matches a call of vector(), which PromQL also accepts with a space.
var vectorCall = regexp.MustCompile(`\bvector\s*\(`)

func (m *Metric) checkPrometheus() error {
	switch {
	case !strings.HasPrefix(m.Prometheus, "http://") && !strings.HasPrefix(m.Prometheus, "https://"):
		return fmt.Errorf("prometheus: %q is not an address", m.Prometheus)
	case !strings.Contains(m.Query, "[{{window}}]"):
		return errors.New("query: it has to read [{{window}}]: without a range, Prometheus answers with values from before the window")
	case vectorCall.MatchString(m.Query):
		return errors.New("query: vector() makes a missing metric look like a good one")
	default:
		return nil
	}
}

func (m *Metric) checkCloudWatch() error {
	if m.Interval%time.Minute != 0 {
		return fmt.Errorf("interval: %s is not a whole number of minutes, which CloudWatch's periods are", m.Interval)
	}
	seen := map[string]bool{}
	for _, metric := range m.Metrics {
		switch {
		case !metricID.MatchString(metric.ID) || seen[metric.ID]:
			return fmt.Errorf("metrics: %q is not an id of its own, which begins in lower case", metric.ID)
		case metric.Namespace == "" || metric.Name == "" || metric.Stat == "":
			return fmt.Errorf("metrics: %s has no namespace, name or stat", metric.ID)
		}
		seen[metric.ID] = true
	}
	if m.Query == "" && len(m.Metrics) > 1 && m.Compare == "" {
		return errors.New("query: several metrics need an expression")
	}
	return nil
}
