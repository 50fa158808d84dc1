package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	sdk "dagger.io/dagger"

	"github.com/openstack-rca/openstack-rca/ci/assembly"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/train"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/internal/dagger"
)

// call is one call of a public function: its arguments, and what must be closed afterwards.
type call struct {
	ctx    context.Context
	module *OpenstackRca

	data       *dagger.Directory
	params     []string
	python     string
	git        *dagger.Directory
	files      []localFile
	threads    int
	champion   *dagger.File
	twice      bool
	test       pipeline.TestOptions
	deployed   string
	advisories *dagger.File
	// signKey or signToken sign, of is the report that is attested.
	signKey, signToken *dagger.Secret
	of                 *dagger.Directory
	// joined are the reports of the images that become an index.
	joined  *dagger.Directory
	rollout pipeline.RolloutOptions

	client *sdk.Client
	engine *assembly.Engine
	work   string
	opts   pipeline.Options
	// secrets are those of the call's arguments; reports mask them.
	secrets pipeline.Secrets
}

func (m *OpenstackRca) call(ctx context.Context) *call {
	return &call{ctx: ctx, module: m}
}

// results are those of a run, with the objects that its stages produced.
type results struct {
	report, state *dagger.Directory
	summary, json string
	failure       string
	model         *dagger.Directory
	trained       *dagger.Directory
	modelFile     string
	image         *dagger.Container
}

func (r *results) run() *Run {
	return &Run{Report: r.report, State: r.state, Summary: r.summary, Json: r.json, Failure: r.failure, Trained: r.model, Built: r.image}
}

// run runs the named stages and converts what they produced.
func (c *call) run(stages ...string) (*results, error) {
	backend, err := c.backend()
	if err != nil {
		return nil, err
	}
	defer c.close()
	opts := c.options()
	opts.Stages = stages
	outcome := pipeline.Run(c.ctx, backend, opts)

	result, err := c.report(outcome.Run)
	if err != nil {
		return nil, err
	}
	if outcome.Model != nil {
		files, err := c.engine.Runner.Directory(outcome.Model.Files)
		if err != nil {
			return nil, err
		}
		if result.model, err = fromSDKDirectory(c.ctx, files); err != nil {
			return nil, err
		}
		result.modelFile = outcome.Model.File
	}
	if outcome.Trained != nil {
		files, err := c.engine.Runner.Directory(outcome.Trained)
		if err != nil {
			return nil, err
		}
		if result.trained, err = fromSDKDirectory(c.ctx, files); err != nil {
			return nil, err
		}
	}
	if c.engine.Image != nil {
		if result.image, err = fromSDKContainer(c.ctx, c.engine.Image); err != nil {
			return nil, err
		}
	}
	return result, nil
}

// report writes the report of a run and converts it.
func (c *call) report(run *verdict.Run) (*results, error) {
	out := filepath.Join(c.work, "report")
	if err := verdict.WriteReport(out, run); err != nil {
		return nil, fmt.Errorf("write report: %w", err)
	}
	markdown, err := os.ReadFile(filepath.Join(out, "report.md"))
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	data, err := os.ReadFile(filepath.Join(out, "report.json"))
	if err != nil {
		return nil, fmt.Errorf("read report: %w", err)
	}
	// Evaluated now: the files are removed when this call ends.
	dir, err := dag.CurrentModule().Workdir(out).Sync(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("keep report: %w", err)
	}
	state, err := c.kept()
	if err != nil {
		return nil, err
	}
	result := &results{report: dir, state: state, summary: string(markdown), json: string(data)}
	if err := run.Enforce(); err != nil {
		result.failure = err.Error()
	}
	return result, nil
}

// backend connects the code under ci/ to this function's session.
func (c *call) backend() (pipeline.Backend, error) {
	client, err := connect(c.ctx)
	if err != nil {
		return pipeline.Backend{}, err
	}
	c.client = client
	source, err := toSDKDirectory(c.ctx, client, c.module.Source)
	if err != nil {
		return pipeline.Backend{}, err
	}
	// Below the module's working directory, from where the engine can take the report.
	if c.work, err = os.MkdirTemp(".", "run-"); err != nil {
		return pipeline.Backend{}, fmt.Errorf("make work directory: %w", err)
	}
	to := c.module.Target
	destination := assembly.Push{Address: to.ImageAddress}
	if destination.Username, err = c.sdkUsername(to.DockerUsername); err != nil {
		return pipeline.Backend{}, err
	}
	var index *sdk.Secret
	for _, login := range []struct {
		name string
		from *dagger.Secret
		to   **sdk.Secret
	}{
		{"DOCKER_PASSWORD", to.DockerPassword, &destination.Password}, {"index-url", c.module.IndexURL, &index},
		{"AWS_ACCESS_KEY_ID", to.AwsAccessKeyID, &destination.AWS.AccessKey},
		{"AWS_SECRET_ACCESS_KEY", to.AwsSecretAccessKey, &destination.AWS.SecretKey},
		{"AWS_SESSION_TOKEN", to.AwsSessionToken, &destination.AWS.SessionToken},
	} {
		if *login.to, err = c.sdkSecret(login.name, login.from); err != nil {
			return pipeline.Backend{}, err
		}
	}
	var history *sdk.Directory
	if c.git != nil {
		if history, err = toSDKDirectory(c.ctx, client, c.git); err != nil {
			return pipeline.Backend{}, err
		}
	}
	if err := c.advisoryFile(); err != nil {
		return pipeline.Backend{}, err
	}
	if state := c.module.State; state != nil {
		if _, err := state.Export(c.ctx, filepath.Join(c.work, stateDir)); err != nil {
			return pipeline.Backend{}, fmt.Errorf("read --state: %w", err)
		}
	}
	if err := c.givenReports(); err != nil {
		return pipeline.Backend{}, err
	}
	if err := c.localFiles(); err != nil {
		return pipeline.Backend{}, err
	}
	c.engine = assembly.OnEngine(client, source, c.work, destination, index, history)
	for _, server := range []struct {
		name string
		from *dagger.Service
		to   **runner.Running
	}{
		{"mlflow", c.module.SandboxMlflow, &c.opts.Servers.MLflow},
		{"s3", c.module.SandboxS3, &c.opts.Servers.S3},
	} {
		if server.from == nil {
			continue
		}
		service, err := toSDKService(c.ctx, client, server.from)
		if err != nil {
			return pipeline.Backend{}, err
		}
		if *server.to, err = c.engine.Runner.Adopt(c.ctx, server.name, service); err != nil {
			return pipeline.Backend{}, err
		}
	}
	for _, given := range []struct {
		from *dagger.Directory
		to   *runner.Files
	}{{c.data, &c.opts.Data}, {c.module.Trained, &c.opts.Trained}} {
		if given.from == nil {
			continue
		}
		files, err := toSDKDirectory(c.ctx, client, given.from)
		if err != nil {
			return pipeline.Backend{}, err
		}
		*given.to = c.engine.Runner.Source(files)
	}
	if c.champion != nil {
		if c.opts.Train.Champion, err = c.championFile(); err != nil {
			return pipeline.Backend{}, err
		}
	}
	return c.engine.Backend, nil
}

// localFile is a file argument that a stage reads as a local file: it may be too large for memory.
type localFile struct {
	file *dagger.File
	name string
	to   *string
}

func (c *call) localFiles() error {
	for _, f := range c.files {
		if f.file == nil {
			continue
		}
		*f.to = filepath.Join(c.work, f.name)
		if _, err := f.file.Export(c.ctx, *f.to); err != nil {
			return fmt.Errorf("read %s: %w", f.name, err)
		}
	}
	return nil
}

// demand demands statements by who is trusted, and judges by the rules.
func (c *call) demand(keys, rules, root *dagger.File, o pipeline.VerifyOptions) {
	c.opts.Verify = o
	c.files = append(c.files, localFile{keys, "verify.pem", &c.opts.Verify.Keys}, localFile{rules, "verify-rules.yaml", &c.opts.Verify.Rules},
		localFile{root, "verify-root.json", &c.opts.Verify.Root})
}

// givenReports makes the reports that are attested or joined a local directory.
func (c *call) givenReports() error {
	for _, given := range []struct {
		from *dagger.Directory
		to   *string
	}{{c.of, &c.opts.Attest.From}, {c.joined, &c.opts.Join.From}} {
		if given.from == nil {
			continue
		}
		*given.to = filepath.Join(c.work, "given")
		if _, err := given.from.Export(c.ctx, *given.to); err != nil {
			return fmt.Errorf("read --from: %w", err)
		}
	}
	return nil
}

// advisoryFile makes the database of advisories a local file. Its name tells what it is.
func (c *call) advisoryFile() error {
	if c.advisories == nil {
		return nil
	}
	name, err := c.advisories.Name(c.ctx)
	if err != nil {
		return fmt.Errorf("read --advisories: %w", err)
	}
	c.files = append(c.files, localFile{c.advisories, filepath.Join("advisories", filepath.Base(name)), &c.opts.Advisories})
	return nil
}

// championFile reads the file of the champion's metrics.
func (c *call) championFile() (*pipeline.ChampionFile, error) {
	size, err := c.champion.Size(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("read --champion: %w", err)
	}
	if size > train.MaxChampion {
		return nil, fmt.Errorf("read --champion: %d bytes, more than the limit of %d", size, train.MaxChampion)
	}
	name, err := c.champion.Name(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("read --champion: %w", err)
	}
	content, err := c.champion.Contents(c.ctx)
	if err != nil {
		return nil, fmt.Errorf("read --champion: %w", err)
	}
	return &pipeline.ChampionFile{Name: name, Content: []byte(content)}, nil
}

// options translates the arguments; faults in them are problems of the run, reported with
// all others.
func (c *call) options() pipeline.Options {
	opts := c.opts
	opts.Environment, opts.Ref, opts.Commit = c.module.Environment, c.module.Ref, c.module.Commit
	opts.ReleaseBranches, opts.Secrets = c.module.ReleaseBranches, &c.secrets
	opts.CommitTime, opts.Event = c.module.CommitTime, c.module.Event
	opts.Python, opts.Platform, opts.Test = c.python, c.module.Platform, c.test
	opts.Train.Params, opts.Train.Threads, opts.Train.Twice = c.params, c.threads, c.twice
	opts.Image, opts.Rollout = c.deployed, c.rolloutOptions()
	opts.Progress, opts.Observe = opts.Rollout.Progress, c.observe()
	to := c.module.Target
	opts.Attest.Key, opts.Attest.Token = c.secret("ATTEST_KEY", c.signKey), c.secret("SIGSTORE_ID_TOKEN", c.signToken)
	opts.Registry = pipeline.RegistryOptions{
		Address:  to.ImageAddress,
		Username: username("DOCKER_USERNAME", to.DockerUsername), Password: c.secret("DOCKER_PASSWORD", to.DockerPassword),
	}
	opts.Target = publish.Target{
		TrackingURI: to.MlflowTrackingURI, ArtifactRoot: to.MlflowArtifactRoot, S3Endpoint: to.MlflowS3EndpointURL, Region: to.AwsDefaultRegion,
		MLflowToken:    c.secret("MLFLOW_TRACKING_TOKEN", to.MlflowToken),
		MLflowUsername: username("MLFLOW_TRACKING_USERNAME", to.MlflowTrackingUsername),
		MLflowPassword: c.secret("MLFLOW_TRACKING_PASSWORD", to.MlflowTrackingPassword),
		AccessKey:      c.secret("AWS_ACCESS_KEY_ID", to.AwsAccessKeyID),
		SecretKey:      c.secret("AWS_SECRET_ACCESS_KEY", to.AwsSecretAccessKey), SessionToken: c.secret("AWS_SESSION_TOKEN",
			to.AwsSessionToken),
	}
	return opts
}

// close stops what the call started. What it misses, the engine stops with the session.
func (c *call) close() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.ctx), 30*time.Second)
	defer cancel()
	if err := c.engine.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "warning: "+strings.TrimSpace(err.Error()))
	}
}
