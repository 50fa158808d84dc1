package observe

import (
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/observability"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	region  = "ap-south-1"
	account = "123456789012" // that of every caller of moto
)

// emulator is moto, an implementation of AWS's interfaces, with one queue that is subscribed to one topic.
type emulator struct {
	t          *testing.T
	url, topic string
	queue      string
}

func startEmulator(t *testing.T) *emulator {
	t.Helper()
	uv := tool(t, "uv")
	lock, err := filepath.Abs(filepath.Join("..", "rolloutstage", "testdata", "moto.lock"))
	require.NoError(t, err)
	address := port(t)
	host, number, _ := strings.Cut(address, ":")
	serve(t, "http://"+address+"/moto-api/", uv, "run", "--quiet", "--no-project", "--python", "3.11", "--with-requirements", lock,
		"moto_server", "--host", host, "--port", number)
	// Not before: an empty name of a profile is one to the server.
	for name, value := range map[string]string{"AWS_PROFILE": "", "AWS_ENDPOINT_URL": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none")} {
		t.Setenv(name, value)
	}
	e := &emulator{t: t, url: "http://" + address}
	e.topic = e.ask("sns", "TopicArn", "Action", "CreateTopic", "Name", "runs", "Version", "2010-03-31")
	e.queue = e.ask("sqs", "QueueUrl", "Action", "CreateQueue", "QueueName", "runs", "Version", "2012-11-05")
	e.ask("sns", "SubscriptionArn", "Action", "Subscribe", "TopicArn", e.topic, "Protocol", "sqs", "Version", "2010-03-31",
		"Endpoint", "arn:aws:sqs:"+region+":"+account+":runs")
	return e
}

// ask calls an interface of moto, which checks no signature, and returns an element of the answer.
func (e *emulator) ask(service, element string, pairs ...string) string {
	e.t.Helper()
	fields := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		fields.Set(pairs[i], pairs[i+1])
	}
	request, err := http.NewRequestWithContext(e.t.Context(), http.MethodPost, e.url, strings.NewReader(fields.Encode()))
	require.NoError(e.t, err)
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=key-0/20260101/"+region+"/"+service+
		"/aws4_request, SignedHeaders=host, Signature=none")
	answer, err := http.DefaultClient.Do(request)
	require.NoError(e.t, err)
	defer func() { _ = answer.Body.Close() }()
	content, err := io.ReadAll(answer.Body)
	require.NoError(e.t, err)
	require.Equal(e.t, http.StatusOK, answer.StatusCode, string(content))
	if element == "" {
		return string(content)
	}
	_, rest, found := strings.Cut(string(content), "<"+element+">")
	require.True(e.t, found, string(content))
	value, _, _ := strings.Cut(rest, "<")
	var plain string
	require.NoError(e.t, xml.Unmarshal([]byte("<a>"+value+"</a>"), &plain))
	return plain
}

// received is a message of the queue: what SNS delivered.
type received struct {
	Subject, Message  string
	MessageAttributes map[string]struct{ Type, Value string }
}

func (e *emulator) receive() received {
	e.t.Helper()
	var r received
	body := e.ask("sqs", "Body", "Action", "ReceiveMessage", "QueueUrl", e.queue, "Version", "2012-11-05")
	require.NoError(e.t, json.Unmarshal([]byte(body), &r), body)
	return r
}

// TestATopicAndCloudWatchHearOfARun runs in an environment of AWS, and reads back what came to a queue
// that is subscribed to the topic, and what CloudWatch has.
func TestATopicAndCloudWatchHearOfARun(t *testing.T) {
	aws := startEmulator(t)
	canary := strings.Join([]string{"canary", "of", "the", "secret", "key"}, "-")
	backend := failing(t)
	backend.Runner = fake.New().As("engine")
	backend.Source = fake.Files(map[string]string{"main.py": "print()", "pipeline.yaml": `
test: {requirements: [missing.lock]}
observe: {cloudwatch: true}
rollout: {account: "` + account + `", region: ` + region + `}
notify: {channels: [{name: topic, type: sns, topic: "` + aws.topic + `"}]}
`})
	opts := pipeline.Options{Environment: "staging", Ref: "main", Event: "push", Secrets: &pipeline.Secrets{}}
	opts.Target.AccessKey, opts.Target.SecretKey = fake.Secret("AWS_ACCESS_KEY_ID", "key-0"), fake.Secret("AWS_SECRET_ACCESS_KEY", canary)
	opts.Rollout.Endpoint = aws.url
	began := time.Now()
	run := pipeline.Run(t.Context(), backend, opts).Run
	require.Equal(t, verdict.Fail, run.Verdict, run.Failures())
	for _, w := range run.Warnings {
		assert.NotContains(t, []string{"NOTIFY_FAILED", "NOTIFY_UNCONFIGURED", "METRICS_UNSENT"}, w.Code, w.Cause)
	}
	t.Logf("the run with both took %s", time.Since(began).Round(time.Millisecond))

	m := aws.receive()
	assert.Equal(t, "FAIL: openstack-rca-system: run of main in staging failed", m.Subject)
	assert.Contains(t, m.Message, "FAIL test "+run.Code)
	for name, want := range map[string]string{"verdict": "fail", "code": run.Code, "environment": "staging",
		"application": "openstack-rca-system", "events": `["failed"]`} {
		assert.Equal(t, want, m.MessageAttributes[name].Value, name)
	}
	assert.Equal(t, "String.Array", m.MessageAttributes["events"].Type)
	assert.NotContains(t, m.Message+m.Subject, canary)

	stored := aws.ask("monitoring", "", "Action", "ListMetrics", "Namespace", metrics.Namespace, "Version", "2010-08-01")
	assert.Contains(t, stored, "<MetricName>openstack_rca_run_verdict</MetricName>")
	assert.Contains(t, stored, "<Value>could-not-run</Value>", "0, so that an alarm ends")
	assert.NotContains(t, stored, run.Code, "a code would be a series of its own")

	// An account that is not the environment's gets nothing.
	backend.Source = fake.Files(map[string]string{"main.py": "print()", "pipeline.yaml": `
test: {requirements: [missing.lock]}
observe: {cloudwatch: true}
rollout: {account: "999999999999", region: ` + region + `}
`})
	run = pipeline.Run(t.Context(), backend, opts).Run
	content, err := run.JSON()
	require.NoError(t, err)
	assert.Contains(t, string(content), "METRICS_UNSENT")
	assert.Contains(t, string(content), "999999999999")
	assert.NotContains(t, string(content), canary)
}

// TestCloudFormationTakesTheAlarms holds the generated template against AWS's own schemas, which cfn-lint has.
func TestCloudFormationTakesTheAlarms(t *testing.T) {
	uv := tool(t, "uv")
	lock, err := filepath.Abs(filepath.Join("..", "rolloutstage", "testdata", "cfn.lock"))
	require.NoError(t, err)
	lint := func(dir string) []string {
		return []string{uv, "run", "--quiet", "--no-project", "--python", "3.11", "--with-requirements", lock, "cfn-lint", "--template",
			filepath.Join(dir, observability.AlarmsFile)}
	}
	for name, cfg := range configurations() {
		dir := written(t, cfg, observability.Options{})
		says(t, dir, "", lint(dir)...)
		content, err := os.ReadFile(filepath.Join(dir, observability.AlarmsFile))
		require.NoError(t, err)
		var template struct {
			Resources map[string]struct{ Properties map[string]any }
		}
		require.NoError(t, json.Unmarshal(content, &template))
		several := []string{"CoverageDropped", "DeploymentSuccessLow", "MetricsAbsent", "PushFailing", "Vulnerable",
			"AdvisoriesStaleBuilt", "AdvisoriesStaleData"}
		for _, r := range observability.Rules(cfg) {
			assert.Equal(t, !slices.Contains(several, r.Alert), template.Resources[r.Alert].Properties != nil, "%s: %s", name, r.Alert)
		}
		if name == "other" {
			assert.InDelta(t, 0.855, template.Resources["CoverageBelowTotal"].Properties["Threshold"], 0)
			broken := strings.Replace(string(content), "LessThanThreshold", "LessThan", 1)
			require.NoError(t, os.WriteFile(filepath.Join(dir, observability.AlarmsFile), []byte(broken), 0o600))
			assert.Error(t, fails(t, dir, lint(dir)...))
		}
	}
}
