package pipeline

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// documentCommands are the commands of the document's sections Common Issues and Debug Commands, as
// far as they tell them apart.
var documentCommands = []string{
	"your-repo/actions", "pytest tests/test_inference.py -v", "mlflow.get_tracking_uri()", "aws s3 ls s3://your-bucket/group6-capstone/",
	"load_model_with_versioning('lstm_model', 'latest')", "docker info", "python utils/docker_build_deploy.py --verbose",
	"docker build -t test-image .", "docker run --rm test-image", `env \| grep -E "(MLFLOW\|AWS\|DOCKER)"`,
	"import tensorflow, mlflow, streamlit", "mlflow.set_tracking_uri('your-mlflow-uri')",
}

func TestEveryCommandOfTheDocumentHasItsCheck(t *testing.T) {
	content, err := os.ReadFile(filepath.Join("..", "..", "docs", "troubleshooting.md"))
	require.NoError(t, err)
	page := string(content)
	_, rows, _ := strings.Cut(page, "## Instead of a command")
	rows, further, _ := strings.Cut(rows, "## Further checks")
	for _, command := range documentCommands {
		found := false
		for _, row := range strings.Split(rows, "\n") {
			cells := regexp.MustCompile(`\s*[^\\]\|\s*`).Split(row, -1)
			if len(cells) > 2 && strings.Contains(cells[0], command) {
				found = true
				assert.Regexp(t, "`[a-z]+`", cells[1], command)
			}
		}
		assert.True(t, found, "no row for %s", command)
	}
	for name := range about {
		assert.Contains(t, rows+further, "`"+name+"`", "the page has every check")
	}
	codes, err := os.ReadFile(filepath.Join("..", "..", "docs", "codes.md"))
	require.NoError(t, err)
	for name, known := range about {
		if known.prevents != "" {
			assert.Contains(t, string(codes), "`"+known.prevents+"`", name)
		}
	}
}

func checkup(t *testing.T, b Backend, opts Options) map[string]Finding {
	t.Helper()
	found := Doctor(t.Context(), b, opts)
	var all struct{ Checks []Finding }
	require.NoError(t, json.Unmarshal(found.JSON, &all), string(found.JSON))
	byName := map[string]Finding{}
	for _, f := range all.Checks {
		byName[f.Check] = f
		assert.Contains(t, about, f.Check, "the table knows every check")
		assert.Equal(t, f.Result != healthy, f.Remedy != "", "%v", f)
	}
	return byName
}

func TestDoctorLooksAtWhatIsNamedOnly(t *testing.T) {
	b, _ := backend(t, source(nil))
	assert.Len(t, checkup(t, b, Options{Ref: "main", Checks: []string{"disk", "variables"}}), 2)
	found := Doctor(t.Context(), b, Options{Ref: "main", Checks: []string{"disk", "weather"}})
	assert.Contains(t, found.Failure, `there is no check "weather" here; there are source, pipeline.yaml`)
	// A configuration that cannot be read is told in any case.
	broken, _ := backend(t, source(map[string]string{"pipeline.yaml": "x: 1\n"}))
	assert.Equal(t, faulty, checkup(t, broken, Options{Ref: "main", Checks: []string{"disk"}})["pipeline.yaml"].Result)
}

func TestDoctorShowsNoValue(t *testing.T) {
	canary := strings.Join([]string{"canary", "of", "the", "doctor"}, "-")
	b, _ := backend(t, source(nil))
	opts := Options{Environment: "staging", Ref: "main", Event: "push", Checks: []string{"variables", "notify"}, Target: publish.Target{
		TrackingURI: "ftp://" + canary, ArtifactRoot: canary, S3Endpoint: "https://user:" + canary + "@host",
		AccessKey:   fake.Secret("AWS_ACCESS_KEY_ID", canary+" x"),
		MLflowToken: fake.Secret("MLFLOW_TRACKING_TOKEN", canary+"\nx")}}
	found := Doctor(t.Context(), b, opts)
	assert.NotContains(t, found.Text+string(found.JSON), canary)
	for _, name := range []string{"MLFLOW_TRACKING_URI", "MLFLOW_ARTIFACT_ROOT", "MLFLOW_S3_ENDPOINT_URL", "AWS_ACCESS_KEY_ID",
		"MLFLOW_TRACKING_TOKEN", "only one is set"} {
		assert.Contains(t, found.Text, name)
	}
	good := opts
	good.Target = publish.Target{TrackingURI: "https://mlflow.example.org", ArtifactRoot: "s3://bucket/x", AccessKey: fake.Secret("A",
		"AKID"), SecretKey: fake.Secret("B", "key")}
	assert.Equal(t, healthy, checkup(t, b, good)["variables"].Result)
}

func TestDoctorOnTheSurroundings(t *testing.T) {
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, http.MethodGet, r.Method, "it only reads")
		if r.URL.Path != "/-/ready" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(gateway.Close)
	b, _ := backend(t, source(map[string]string{
		"Dockerfile":    "FROM python:3.10 AS build\nFROM build\n",
		"pipeline.yaml": "image:\n  dockerfile: Dockerfile\n" + channels}))
	opts := Options{Ref: "main", Observe: Observe{State: t.TempDir(), PushgatewayURL: gateway.URL}}
	got := checkup(t, b, opts)
	assert.Equal(t, unsure, got["dockerfile"].Result)
	assert.Contains(t, got["dockerfile"].Found[0], "python:3.10")
	assert.Equal(t, healthy, got["metrics"].Result)
	assert.Contains(t, got["notify"].Found[0], "without a secret: ops, deploys")
	assert.Contains(t, got["ci"].Found[0], "no run of main")
	assert.Contains(t, got["ledger"].Found[0], "0 of the last runs")
	Run(t.Context(), b, Options{Ref: "main", Observe: Observe{State: opts.Observe.State}})
	assert.Contains(t, checkup(t, b, opts)["ci"].Found[0], "the last run of main")
	opts.Observe.PushgatewayURL = gateway.URL + "/x"
	assert.Contains(t, checkup(t, b, opts)["metrics"].Found[0], "HTTP 404")

	t.Setenv("HTTPS_PROXY", "http://user:secret-of-the-proxy@proxy.example.org:3128")
	t.Setenv("SSL_CERT_FILE", "/nowhere.pem")
	opts.Checks = []string{"proxy"}
	assert.Contains(t, checkup(t, b, opts)["proxy"].Found[0], "SSL_CERT_FILE")
	t.Setenv("SSL_CERT_FILE", "")
	assert.Equal(t, []string{"HTTPS_PROXY=proxy.example.org:3128"}, checkup(t, b, opts)["proxy"].Found)

	// The slow ones run when they are named.
	b, _ = backend(t, source(nil))
	b.Runner = fake.New().OnRun(func(runner.Step) (*runner.Result, error) {
		return &runner.Result{ExitCode: 2, Stdout: "ERROR tests/test_a.py - ModuleNotFoundError: No module named 'x'\n1 error"}, nil
	})
	opts = Options{Ref: "main", Checks: []string{"tests", "imports"}}
	got = checkup(t, b, opts)
	assert.Equal(t, []string{"ERROR tests/test_a.py - ModuleNotFoundError: No module named 'x'"}, got["tests"].Found)
	assert.Equal(t, "COLLECTION_ERROR", got["tests"].Prevents)
	assert.Equal(t, faulty, got["imports"].Result)
}

// TestDoctorChangesNothing looks at an account, a store and an MLflow server that record every request.
func TestDoctorChangesNothing(t *testing.T) {
	o := newOutside(t)
	o.opts.Image = "" // doctor has none
	o.opts.Checks = []string{"artifacts", "identity", "rights", "service", "ledger", "ci"}
	got := checkup(t, o.backend, o.opts)
	assert.Zero(t, o.written())
	assert.NotZero(t, o.reached())
	assert.Equal(t, healthy, got["identity"].Result, got["identity"])
	for name, f := range got {
		assert.NotEqual(t, unsure, f.Result, "%s: %v", name, f.Found)
	}
	o.opts.Checks, o.opts.Attest.Key = nil, fake.Secret("ATTEST_KEY", "no key")
	everything := checkup(t, o.backend, o.opts)
	assert.Contains(t, everything, "registry")
	assert.Contains(t, everything, "publishing")
	assert.Zero(t, o.written(), "all checks together")
	for _, request := range o.store.Requests() {
		assert.NotRegexp(t, "^(PUT|POST|DELETE)", request, "not even a record")
	}
	o.opts.Checks = []string{"artifacts", "identity", "rights", "service", "ledger", "ci"}
	o.opts.Ref, o.opts.Event = "refs/pull/7/merge", "pull_request"
	reached := o.reached()
	for name, f := range checkup(t, o.backend, o.opts) {
		assert.Contains(t, f.Found[0], "not checked", name)
		assert.Equal(t, unsure, f.Result, name)
	}
	assert.Equal(t, reached, o.reached(), "a pull request gets no credentials")
}

// TestDoctorKnowsTheRights asks IAM about a role with exactly the policies of the plan, and about one without
// one action of them. No image is needed for that.
func TestDoctorKnowsTheRights(t *testing.T) {
	o := newOutside(t)
	o.opts.Checks, o.opts.Image = []string{"rights"}, ""
	assert.Equal(t, healthy, checkup(t, o.backend, o.opts)["rights"].Result)

	cfg, err := config.Load([]byte(stagingConfig), "staging")
	require.NoError(t, err)
	plan, problems := rollout.NewPlan(release.NamesOnly(rollout.Input{Spec: cfg.RolloutSpec(), Environment: "staging"}))
	require.Empty(t, problems)
	var documents [][]byte
	for _, policy := range plan.Policies(cfg.Rollout.Journal) {
		documents = append(documents, policy.JSON())
	}
	policies, err := overhttp.NewPolicies(documents...)
	require.NoError(t, err)
	o.aws.Roles.Allows = policies.Permits
	got := checkup(t, o.backend, o.opts)["rights"]
	assert.Equal(t, healthy, got.Result, got.Found)
	for _, action := range []string{"ecs:RunTask", "ecs:ListTasks", "iam:PassRole", "application-autoscaling:DescribeScheduledActions"} {
		o.aws.Roles.Allows = func(asked, resource string, context map[string]string) bool {
			return asked != action && policies.Permits(asked, resource, context)
		}
		got = checkup(t, o.backend, o.opts)["rights"]
		assert.Equal(t, faulty, got.Result)
		assert.Equal(t, "arn:aws:iam::111122223333:role/deployer lacks "+action, got.Found[0])
	}
	o.aws.Fail("iam:SimulatePrincipalPolicy", fakeaws.Denied("SimulatePrincipalPolicy"))
	assert.Equal(t, unsure, checkup(t, o.backend, o.opts)["rights"].Result)
}

func TestDoctorSaysWhatRuns(t *testing.T) {
	shown := func(pairs ...string) (all []verdict.Evidence) {
		for n := 0; n < len(pairs); n += 2 {
			all = append(all, verdict.Evidence{Name: pairs[n], Value: pairs[n+1]})
		}
		return all
	}
	found, err := running(shown("service", "web is ACTIVE", "running tasks", "2 of 2, 0 pending", "image", "x", "target 10.0.0.1:80", "healthy",
		"target 10.0.0.2:80", "draining Target.DeregistrationInProgress"))
	require.NoError(t, err)
	assert.Equal(t, "web is ACTIVE; running tasks: 2 of 2, 0 pending", found)
	found, err = running(shown("web: service", "web is ACTIVE", "web: running tasks", "3 of 2, 0 pending", "job: service", "job is ACTIVE",
		"job: running tasks", "1 of 1, 0 pending"))
	require.NoError(t, err)
	assert.Contains(t, found, "job is ACTIVE; running tasks: 1 of 1")
	for name, evidence := range map[string][]verdict.Evidence{
		"1 of 2":        shown("service", "web is ACTIVE", "running tasks", "1 of 2, 1 pending"),
		"0 of 0":        shown("service", "web is ACTIVE", "running tasks", "0 of 0, 0 pending"),
		"1 of 3":        shown("web: running tasks", "2 of 2, 0 pending", "job: running tasks", "1 of 3, 0 pending"),
		"unhealthy":     shown("running tasks", "2 of 2, 0 pending", "target 10.0.0.1:80", "unhealthy Target.Timeout"),
		"unknown":       shown("running tasks", "2 of 2, 0 pending", "targets", "unknown: access denied"),
		"shows nothing": nil,
	} {
		_, err := running(evidence)
		require.ErrorAs(t, err, new(*doubtful), name)
		assert.ErrorContains(t, err, name)
	}
}

func TestDoctorSaysWhatIsMissing(t *testing.T) {
	b, _ := backend(t, source(map[string]string{"pipeline.yaml": "rollout: {account: '111122223333'}\n"}))
	got := checkup(t, b, Options{Environment: "staging", Ref: "main", Checks: []string{"mlflow", "identity", "ledger"}})
	assert.Equal(t, []string{"no address is given"}, got["mlflow"].Found)
	assert.Equal(t, []string{"not checked: the call has no credentials for AWS"}, got["identity"].Found)
	assert.Contains(t, got["identity"].Remedy, "--aws-access-key-id")
	assert.Equal(t, []string{"no ledger of runs: the call has neither --state nor an artifact root"}, got["ledger"].Found)
}

func TestDoctorEndsAlthoughACheckHangs(t *testing.T) {
	b, _ := backend(t, source(nil))
	s := doctor{&call{backend: b, opts: Options{Ref: "main"}.withDefaults(), run: &verdict.Run{
		Redact: func(s string) string { return s },
	}}, &choice{}}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	hang := make(chan struct{})
	defer close(hang)
	for name, run := range map[string]func(context.Context) (string, error){
		"one that heeds nothing": func(context.Context) (string, error) { <-hang; return "late", nil },
		"one that heeds it":      func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() },
	} {
		f := s.look(ctx, check{name: "disk", run: run})
		assert.Equal(t, unsure, f.Result, "%s: never ok, and no reason to fail", name)
		assert.Equal(t, []string{"not checked: it did not end in its time"}, f.Found, name)
		assert.Contains(t, f.Remedy, "--only disk")
	}
	assert.Equal(t, nearTimeout, s.patience())
	s.opts.Environment = "staging"
	assert.Equal(t, farTimeout, s.patience())
	s.opts.Checks = []string{"imports"}
	assert.Equal(t, slowTimeout, s.patience())
}

// TestDoctorReadsWhatTheSupplyChainNeeds asks servers that refuse everything but reading.
func TestDoctorReadsWhatTheSupplyChainNeeds(t *testing.T) {
	modified := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			t.Errorf("doctor called %s %s", r.Method, r.URL.Path)
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
		if modified != "" {
			w.Header().Set("Last-Modified", modified)
		}
	}))
	t.Cleanup(server.Close)
	b, _ := backend(t, source(map[string]string{"pipeline.yaml": "security: {audit: [advisories]}\n"}))
	b.AdvisoriesURL = server.URL + "/all.zip"
	opts := Options{Ref: "main", Checks: []string{"registry", "signing", "advisories"}}
	got := checkup(t, b, opts)
	assert.Equal(t, []string{"the sandbox starts its own"}, got["registry"].Found)
	assert.Equal(t, []string{"no key in the call: images are not attested"}, got["signing"].Found)
	assert.Equal(t, healthy, got["advisories"].Result, got["advisories"])
	opts.Registry.Address = strings.TrimPrefix(server.URL, "http://") + "/team/rca"
	opts.Attest.Key = fake.Secret("ATTEST_KEY", "no key at all")
	modified = time.Now().AddDate(-1, 0, 0).UTC().Format(http.TimeFormat)
	got = checkup(t, b, opts)
	assert.Contains(t, got["registry"].Found[0], "lists referrers")
	assert.Contains(t, got["signing"].Found[0], "KEY_UNAVAILABLE")
	assert.NotContains(t, got["signing"].Found[0], "no key at all")
	assert.Equal(t, faulty, got["advisories"].Result)
	modified = ""
	assert.Equal(t, unsure, checkup(t, b, opts)["advisories"].Result, "an age that is not told is no age that is right")
	b.AdvisoriesURL = ""
	assert.Equal(t, unsure, checkup(t, b, opts)["advisories"].Result)
	opts.Advisories = filepath.Join(t.TempDir(), "none.zip")
	assert.Equal(t, faulty, checkup(t, b, opts)["advisories"].Result)
	opts.Image = opts.Registry.Address + ":v1@sha256:" + strings.Repeat("0", 64)
	assert.Contains(t, checkup(t, b, opts)["registry"].Found[0], "lists referrers", "its repository is asked, not its tag")
	opts.Image, opts.Registry.Address = "", "127.0.0.1:1/team/rca"
	assert.Equal(t, faulty, checkup(t, b, opts)["registry"].Result)
	opts.Registry.Address = "111122223333.dkr.ecr.ap-south-1.amazonaws.com/rca"
	assert.Contains(t, checkup(t, b, opts)["registry"].Found[0], "log in to ECR", "as pushing does")
}
