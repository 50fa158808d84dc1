package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/notify"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// about has, for each check, the equivalent command of the pipeline document, the source of the checked values, and the code
// that a run would fail with. docs/troubleshooting.md has the same list.
var about = map[string]struct{ command, from, prevents string }{
	"source":        {from: "--source", prevents: "SRC_UNREADABLE"},
	"pipeline.yaml": {from: "the source", prevents: "CONFIG_INVALID"},
	"engine":        {command: "docker info", from: "_EXPERIMENTAL_DAGGER_RUNNER_HOST, else the local Docker", prevents: "NO_ENGINE"},
	"ref":           {from: "--ref", prevents: "REF_MISSING"},
	"python":        {from: "--python, pipeline.yaml, the project's own files", prevents: "PYTHON_MISMATCH"},
	"servers":       {from: "the sandbox"},
	"mlflow": {command: "python -c \"import mlflow; print(mlflow.get_tracking_uri())\"",
		from: "--mlflow-tracking-uri, MLFLOW_TRACKING_URI", prevents: "UNREACHABLE"},
	"s3": {from: "--mlflow-s3-endpoint-url, MLFLOW_S3_ENDPOINT_URL", prevents: "S3_UNREACHABLE"},
	"publishing": {command: "mlflow.set_tracking_uri('your-mlflow-uri')", from: "--mlflow-*, --aws-*, or their variables",
		prevents: "AUTH"},
	"registry":   {from: "--image-address, image.repository, --docker-*", prevents: "PUSH_AUTH"},
	"signing":    {from: "--sign-key, --sign-kms", prevents: "KEY_UNAVAILABLE"},
	"advisories": {from: "--advisories, else the server that the audit asks", prevents: "ADVISORIES_MISSING"},
	"clock":      {from: "the Date of AWS's answer", prevents: "CLOCK_SKEW"},
	"ci":         {command: "https://github.com/your-repo/actions", from: "the ledger of runs"},
	"tests": {command: "python -m pytest tests/test_inference.py -v", from: "test.requirements, test.command",
		prevents: "COLLECTION_ERROR"},
	"imports": {command: "python -c \"import tensorflow, mlflow, streamlit; print('All OK')\"", from: "image.requirements",
		prevents: "IMPORT_FAILED"},
	"variables": {command: "env | grep -E \"(MLFLOW|AWS|DOCKER)\"", from: "the arguments of the call, or their variables",
		prevents: "PUBLISH_INPUT"},
	"artifacts": {command: "aws s3 ls s3://your-bucket/group6-capstone/", from: "--mlflow-artifact-root, publish.artifact_root",
		prevents: "S3_ACCESS_DENIED"},
	"dockerfile": {command: "python utils/docker_build_deploy.py --verbose", from: "image.dockerfile, image.base",
		prevents: "IMAGE_CONFIG_INVALID"},
	"service": {command: "docker run --rm test-image python -c \"print('Image works')\"", from: "rollout.cluster, rollout.service",
		prevents: "NEVER_HEALTHY"},
	"identity": {from: "--aws-*, rollout.account", prevents: "WRONG_ACCOUNT"},
	"rights":   {from: "iam:SimulatePrincipalPolicy on docs/iam", prevents: "AWS_FAILED"},
	"ledger":   {from: "--state, or publish.artifact_root", prevents: "LEDGER_UNWRITTEN"},
	"metrics":  {from: "--pushgateway-url", prevents: "METRICS_UNSENT"},
	"notify":   {from: "notify.channels, --notify-secrets", prevents: "NOTIFY_UNCONFIGURED"},
	"proxy":    {from: "HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE"},
	"disk":     {from: "the directory for temporary files", prevents: "NO_SPACE"},
}

// aboutAsked has the checks that install environments; they only run if they are named.
var aboutAsked = map[string]bool{"tests": true, "imports": true}

// checkSurroundings returns the checks of the pipeline document's troubleshooting section that belong to no stage. They write
// nothing.
func (s doctor) checkSurroundings() []check {
	all := []check{
		{"variables", s.checkVariables, "correct the argument or variable; docs/ci.md lists them"},
		{"dockerfile", s.checkDockerfile, "pin the base by digest, or leave image.dockerfile empty for the pipeline's own build"},
		{"proxy", s.checkProxy, "set NO_PROXY for servers inside, and SSL_CERT_FILE for the proxy's certificate"},
		{"disk", s.checkDisk, "free some space: an environment with TensorFlow needs 3 GB"},
		{"ledger", s.checkLedger, runledger.CodeFailed.Remedy},
		{"ci", s.checkLastRun, "read docs/codes.md on the code, and the report of that run"},
		{"tests", ofEnvironment{s}.checkTests, "correct the file that pytest names"},
		{"imports", ofEnvironment{s}.checkImports, "add what is missing to the serving requirements, image.requirements"},
	}
	all = append(all,
		check{"registry", s.checkRegistry, "check the address and the login: --image-address, --docker-username, --docker-password"},
		check{"signing", s.checkSigning, attest.KeyUnavailable.Remedy},
		check{"advisories", s.checkAdvisories, supply.AdvisoriesMissing.Remedy})
	if s.opts.Observe.PushgatewayURL != "" {
		all = append(all, check{"metrics", s.checkGateway, metrics.CodeUnsent.Remedy})
	}
	all = append(all, check{"notify", s.checkChannels, notify.CodeUnconfigured.Remedy})
	if !s.opts.sandbox() {
		there := ofAccount{s}
		all = append(all,
			check{"artifacts", there.checkArtifacts, "check the root, the region and the credentials; s3:ListBucket and s3:GetObject are needed"},
			check{"identity", there.checkIdentity, account.WrongAccount.Remedy},
			check{"rights", there.checkRights, "attach docs/iam/reader.json and deployer.json, as your plan renders them, to the role"},
			check{"service", there.checkService, "status shows what runs and the last events of ECS; rollback restores the last good release"})
	}
	return all
}

// Patterns that the values of variables must match. Values are never shown.
var (
	accessKeyForm = regexp.MustCompile(`^[A-Za-z0-9_-]{4,128}$`)
	rootForm      = regexp.MustCompile(`^s3://[a-z0-9][a-z0-9.-]+(/.*)?$`)
	regionForm    = regexp.MustCompile(`^[a-z0-9-]+$`)
)

// checkVariables reports which arguments are set and whether they are well-formed. It never shows a value.
func (s doctor) checkVariables(ctx context.Context) (string, error) {
	t := s.opts.Target
	var set, unset []string
	var wrong []error
	look := func(name, value string, ok func(string) bool, form string) {
		switch {
		case value == "":
			unset = append(unset, name)
		case !ok(value):
			wrong = append(wrong, fmt.Errorf("%s is not %s", name, form))
		default:
			set = append(set, name)
		}
	}
	address := func(v string) bool {
		u, err := url.Parse(v)
		return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.User == nil
	}
	look("MLFLOW_TRACKING_URI", t.TrackingURI, address, "an http or https address without a login")
	look("MLFLOW_ARTIFACT_ROOT", t.ArtifactRoot, rootForm.MatchString, "of the form s3://bucket/prefix")
	look("MLFLOW_S3_ENDPOINT_URL", t.S3Endpoint, address, "an http or https address without a login")
	look("AWS_DEFAULT_REGION", t.Region, regionForm.MatchString, "the name of a region")
	secret := func(name string, from runner.Secret, ok func(string) bool, form string) {
		value := ""
		if from != nil {
			var err error
			if value, err = from.Plaintext(ctx); err != nil {
				wrong = append(wrong, fmt.Errorf("%s cannot be read", name))
				return
			}
		}
		look(name, strings.TrimRight(value, "\r\n"), ok, form)
	}
	oneLine := func(v string) bool { return !strings.ContainsAny(v, "\r\n") }
	secret("AWS_ACCESS_KEY_ID", t.AccessKey, accessKeyForm.MatchString, "an access key's id")
	secret("AWS_SECRET_ACCESS_KEY", t.SecretKey, oneLine, "one line")
	secret("AWS_SESSION_TOKEN", t.SessionToken, oneLine, "one line")
	secret("MLFLOW_TRACKING_TOKEN", t.MLflowToken, oneLine, "one line")
	secret("MLFLOW_TRACKING_PASSWORD", t.MLflowPassword, oneLine, "one line")
	if (t.AccessKey == nil) != (t.SecretKey == nil) {
		wrong = append(wrong, errors.New("of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set"))
	}
	if len(wrong) > 0 {
		return "", errors.Join(wrong...)
	}
	return "set: " + orNone(set) + "; not set: " + orNone(unset), nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// from matches the base image of a Dockerfile stage.
var from = regexp.MustCompile(`(?im)^\s*FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?`)

func (s doctor) checkDockerfile(ctx context.Context) (string, error) {
	c := s.cfg.Image
	if c.Dockerfile == "" {
		if c.Base == "" {
			return "the pipeline's own build on python:" + s.cfg.Python + "-slim, by its digest", nil
		}
		return "the pipeline's own build on " + c.Base, nil
	}
	content, err := s.backend.Source.Read(ctx, c.Dockerfile, maxConfig)
	if err != nil {
		return "", errors.New(unread(c.Dockerfile, err))
	}
	stages := map[string]bool{"scratch": true}
	var bases, loose []string
	for _, found := range from.FindAllStringSubmatch(string(content), -1) {
		if base := found[1]; !stages[strings.ToLower(base)] {
			bases = append(bases, base)
			if !strings.Contains(base, "@sha256:") {
				loose = append(loose, base)
			}
		}
		stages[strings.ToLower(found[2])] = true
	}
	switch {
	case len(bases) == 0:
		return "", fmt.Errorf("%s has no FROM with an image", c.Dockerfile)
	case len(loose) > 0:
		return "", &doubtful{fmt.Sprintf("%s: not pinned by digest: %s", c.Dockerfile, strings.Join(loose, ", "))}
	}
	return c.Dockerfile + ", on " + strings.Join(bases, ", "), nil
}

// checkProxy shows the hosts of the configured proxies, without credentials.
func (s doctor) checkProxy(context.Context) (string, error) {
	var found []string
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY"} {
		value := os.Getenv(name)
		if value == "" {
			value = os.Getenv(strings.ToLower(name))
		}
		if value == "" {
			continue
		}
		u, err := url.Parse(value)
		if err != nil || u.Host == "" {
			return "", fmt.Errorf("%s is no address of a proxy", name)
		}
		found = append(found, name+"="+u.Host)
	}
	if len(found) == 0 {
		return "none", nil
	}
	if file := os.Getenv("SSL_CERT_FILE"); file != "" {
		if _, err := os.Stat(file); err != nil {
			return "", errors.New("the file of SSL_CERT_FILE is not there")
		}
	}
	return strings.Join(found, ", "), nil
}

// leastSpace is the disk space in bytes that an environment with TensorFlow and the files of a run need.
const leastSpace = 3 << 30

func (s doctor) checkDisk(context.Context) (string, error) {
	dir := s.backend.WorkDir
	if dir == "" {
		dir = os.TempDir()
	}
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		return "", fmt.Errorf("look at the disk: %w", err)
	}
	free := disk.Bavail * uint64(disk.Bsize) //nolint:gosec // block sizes are positive
	text := fmt.Sprintf("%.1f GB are free", float64(free)/1e9)
	if free < leastSpace {
		return "", &doubtful{text}
	}
	return text, nil
}

// readPermit is the permit to read with the credentials for publishing.
func (s doctor) readPermit() (policy.Permit, *verdict.Stage) {
	return policy.NewGate(s.cfg, s.opts.request(s.backend)).Ask(policy.Action{Stage: verdict.Publish, Reads: true}, nil)
}

// opened opens the run ledger for reading; it returns nil and a reason if there is none.
func (s doctor) opened(ctx context.Context) (ledger *runledger.Ledger, none string, err error) {
	permit, refused := s.readPermit()
	ledger, err = s.ledger(ctx, permit)
	switch {
	case err != nil || ledger != nil:
		return ledger, "", err
	case refused != nil && !s.opts.sandbox():
		return nil, "", refusal(refused)
	}
	if !s.opts.sandbox() {
		return nil, "no ledger of runs: the call has neither --state nor an artifact root", nil
	}
	return nil, "no ledger of runs: the sandbox keeps one in --state only", nil
}

func (s doctor) checkLedger(ctx context.Context) (string, error) {
	ledger, none, err := s.opened(ctx)
	if ledger == nil {
		return none, err
	}
	h, err := ledger.Last(ctx, trendRead, time.Now())
	if err != nil {
		return "", err
	}
	if n := len(h.Unreadable); n > 0 {
		return "", &doubtful{fmt.Sprintf("%d of the last records cannot be read: %s", n, h.Unreadable[0])}
	}
	return fmt.Sprintf("%d of the last runs read from %s", len(h.Records), ledger.Where()), nil
}

func (s doctor) checkLastRun(ctx context.Context) (string, error) {
	ledger, none, err := s.opened(ctx)
	if ledger == nil {
		return none, err
	}
	h, err := ledger.Last(ctx, trendRead, time.Now())
	if err != nil {
		return "", err
	}
	for _, r := range slices.Backward(h.Records) {
		if r.Ref != s.opts.Ref {
			continue
		}
		text := fmt.Sprintf("the last %s of %s, %s: %s", r.Call, r.Ref, r.Started.UTC().Format(time.RFC3339), r.Verdict)
		if r.Verdict != verdict.Pass {
			return "", &doubtful{text + " " + r.Failed + " " + r.Code}
		}
		return text, nil
	}
	return "no run of " + s.opts.Ref + " is recorded", nil
}

// checkGateway asks a Pushgateway whether it is ready.
func (s doctor) checkGateway(ctx context.Context) (string, error) {
	e := metrics.Endpoint{URL: s.opts.Observe.PushgatewayURL}
	if err := e.Check(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, metrics.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(e.URL, "/")+"/-/ready", nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("%s does not answer", request.URL.Host)
	}
	defer func() { _ = answer.Body.Close() }() // the status is all that matters
	if answer.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s answers HTTP %d", request.URL.Host, answer.StatusCode)
	}
	return request.URL.Host + " is ready", nil
}

// checkChannels compares the channels with the given secrets. It sends nothing.
func (s doctor) checkChannels(ctx context.Context) (string, error) {
	channels := s.cfg.Notify.Channels
	if len(channels) == 0 {
		return "pipeline.yaml has no channels", nil
	}
	secrets, err := s.notifySecrets(ctx)
	if err != nil {
		return "", err
	}
	var ready, missing []string
	for _, c := range channels {
		switch {
		case len(c.Environments) > 0 && !slices.Contains(c.Environments, s.opts.Environment), len(c.Environments) == 0 && s.opts.sandbox():
		case secrets[c.Name] == "" && notify.Needs(c):
			missing = append(missing, c.Name)
		default:
			ready = append(ready, c.Name)
		}
	}
	if len(missing) > 0 {
		return "", &doubtful{"without a secret: " + strings.Join(missing, ", ")}
	}
	return "ready for " + s.opts.Environment + ": " + orNone(ready), nil
}
