package analysis

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Prometheus measures with instant queries at the end of the window, whose ranges are the window.
type Prometheus struct {
	// Client makes the requests; nil is one that gives up after 10 seconds.
	Client *http.Client
}

// maxAnswer bounds what is read of an answer: it should be one number.
const maxAnswer = 1 << 20

// Ask implements Source. No series is no data yet; several are an error, as there is one value.
func (p Prometheus) Ask(ctx context.Context, m *Metric, of Subject, in Window) (float64, bool, error) {
	status, body, err := p.query(ctx, m, of, in)
	if err != nil {
		return 0, false, err
	}
	return readVector(status, body)
}

// Count implements Counter: one series for each class, by its only label. With the label le they are
// the buckets of a histogram.
func (p Prometheus) Count(ctx context.Context, m *Metric, of Subject, in Window) (map[string]float64, error) {
	status, body, err := p.query(ctx, m, of, in)
	if err != nil {
		return nil, err
	}
	return readCounts(status, body)
}

// query returns the status and the body of an answer.
func (p Prometheus) query(ctx context.Context, m *Metric, of Subject, in Window) (string, []byte, error) {
	form := url.Values{"query": {fill(m.Query, of, m)}, "time": {strconv.FormatFloat(float64(in.End.UnixMilli())/1000, 'f', 3, 64)}}
	address := strings.TrimRight(m.Prometheus, "/") + "/api/v1/query"
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return "", nil, fmt.Errorf("make request: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := p.Client
	if client == nil {
		client = &http.Client{Timeout: 10 * time.Second}
	}
	answer, err := client.Do(request)
	if err != nil {
		return "", nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return "", nil, fmt.Errorf("read answer: %w", err)
	}
	return answer.Status, body, nil
}

// counted is a series in an answer.
type counted struct {
	Metric map[string]string `json:"metric"`
	Value  []any             `json:"value"`
}

// readCounts reads the classes of an answer.
func readCounts(status string, body []byte) (map[string]float64, error) {
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Type   string    `json:"resultType"`
			Result []counted `json:"result"`
		} `json:"data"`
	}
	switch err := json.Unmarshal(body, &answer); {
	case err != nil && answer.Status == "":
		return nil, fmt.Errorf("%s, and the answer is not Prometheus's: %w", status, err)
	case answer.Status != "success":
		return nil, fmt.Errorf("%s: %s", status, answer.Error)
	case err != nil || answer.Data.Type != "vector":
		return nil, fmt.Errorf("the query gives a %s, not a series for each class", answer.Data.Type)
	}
	counts, label := map[string]float64{}, ""
	for _, series := range answer.Data.Result {
		delete(series.Metric, "__name__")
		if len(series.Metric) != 1 {
			return nil, fmt.Errorf("the series %v has %d labels; it has to have one, the class", series.Metric, len(series.Metric))
		}
		for name, class := range series.Metric {
			if label != "" && label != name {
				return nil, fmt.Errorf("the series have the labels %s and %s; they have to have the same", label, name)
			}
			text, _ := append(series.Value, "", "")[1].(string)
			count, err := strconv.ParseFloat(text, 64)
			if err != nil || math.IsNaN(count) || math.IsInf(count, 0) || count < 0 {
				return nil, fmt.Errorf("%s=%q has the value %q, which is no count", name, class, text)
			}
			counts[class], label = count, name
		}
	}
	if label == "le" {
		return buckets(counts)
	}
	return counts, nil
}

// readVector reads the value of the one series in an answer.
func readVector(status string, body []byte) (float64, bool, error) {
	var answer struct {
		Status string `json:"status"`
		Error  string `json:"error"`
		Data   struct {
			Type   string          `json:"resultType"`
			Result json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return 0, false, fmt.Errorf("%s, and the answer is not Prometheus's: %w", status, err)
	}
	if answer.Status != "success" {
		return 0, false, fmt.Errorf("%s: %s", status, answer.Error)
	}
	var pair []any
	switch answer.Data.Type {
	case "scalar":
		if err := json.Unmarshal(answer.Data.Result, &pair); err != nil {
			return 0, false, fmt.Errorf("read scalar: %w", err)
		}
	case "vector":
		var series []struct {
			Value []any `json:"value"`
		}
		if err := json.Unmarshal(answer.Data.Result, &series); err != nil {
			return 0, false, fmt.Errorf("read vector: %w", err)
		}
		if len(series) == 0 {
			return 0, false, nil
		}
		if len(series) > 1 {
			return 0, false, fmt.Errorf("the query gives %d series; it has to give one value", len(series))
		}
		pair = series[0].Value
	default:
		return 0, false, fmt.Errorf("the query gives a %s, not a value", answer.Data.Type)
	}
	if len(pair) != 2 {
		return 0, false, fmt.Errorf("the value has %d parts", len(pair))
	}
	text, _ := pair[1].(string)
	value, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, false, fmt.Errorf("read value: %w", err)
	}
	// 0/0 without any request is no data.
	return value, !math.IsNaN(value) && !math.IsInf(value, 0), nil
}
