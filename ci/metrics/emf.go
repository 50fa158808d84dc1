package metrics

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// EMF renders families in the embedded metric format of CloudWatch: a line for each set of labels. Whatever
// writes them to a log group of CloudWatch Logs, such as its agent, makes metrics of them.
func EMF(families []Family, now time.Time) (string, error) {
	type line struct {
		labels []Label
		names  []map[string]string
		values map[string]any
	}
	byLabels := map[string]*line{}
	var order []*line
	for _, f := range ForCloudWatch(families) {
		for _, s := range f.Samples {
			k := key(s.Labels)
			l := byLabels[k]
			if l == nil {
				l = &line{labels: s.Labels, values: map[string]any{}}
				byLabels[k] = l
				order = append(order, l)
			}
			if _, twice := l.values[f.Name]; twice {
				continue
			}
			l.values[f.Name] = s.Value
			l.names = append(l.names, map[string]string{"Name": f.Name, "Unit": unitOf(f.Metric)})
		}
	}
	var b strings.Builder
	for _, l := range order {
		var dimensions []string
		for _, label := range l.labels {
			dimensions = append(dimensions, label.Name)
			l.values[label.Name] = label.Value
		}
		l.values["_aws"] = map[string]any{"Timestamp": now.UnixMilli(), "CloudWatchMetrics": []map[string]any{
			{"Namespace": Namespace, "Dimensions": [][]string{dimensions}, "Metrics": l.names},
		}}
		content, err := json.Marshal(l.values)
		if err != nil {
			return "", fmt.Errorf("render metrics: %w", err)
		}
		b.Write(append(content, '\n'))
	}
	return b.String(), nil
}

// unitOf is a unit of CloudWatch.
func unitOf(m Metric) string {
	switch {
	case m.Unit == "seconds" && !strings.HasSuffix(m.Name, "_timestamp_seconds"):
		return "Seconds"
	case m.Unit == "bytes":
		return "Bytes"
	}
	return "None"
}
