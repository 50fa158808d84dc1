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

// Prometheus measures with instant queries at the end of the window, with ranges of the window's length.
type Prometheus struct {
	// Client makes the requests; nil means a client with a timeout of 10 seconds.
	Client *http.Client
}

// maxAnswer limits the size of a response, which should be one number.
const maxAnswer = 1 << 20

// Ask implements Source. No series means no data yet; several series are an error, because there is only one value.
func (p Prometheus) Ask(ctx context.Context, m *Metric, of Subject, in Window) (float64, bool, error) {
	status, body, err := p.query(ctx, m, of, in)
	if err != nil {
		return 0, false, err
	}
	return readVector(status, body)
}

// Count implements Counter: one series per class, named by its only label. Series with the label le are the buckets of a
// histogram.
func (p Prometheus) Count(ctx context.Context, m *Metric, of Subject, in Window) (map[string]float64, error) {
	status, body, err := p.query(ctx, m, of, in)
	if err != nil {
		return nil, err
	}
	return readCounts(status, body)
}

// query returns the status and body of a response.
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

// counted is a series in a response.
type counted struct {
	Metric map[string]string `json:"metric"`
	Value  []any             `json:"value"`
}

// readCounts reads the classes of a response.
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

// readVector reads the value of a response's only series.
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
	// 0/0 without requests means no data.
	return value, !math.IsNaN(value) && !math.IsInf(value, 0), nil
}
