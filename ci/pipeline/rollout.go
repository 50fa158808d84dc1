package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/imageref"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// RolloutOptions configure how an ECS service is operated outside of the sandbox. Static credentials are in Target.
type RolloutOptions struct {
	// Endpoint is the base address for all AWS services (AWS_ENDPOINT_URL); empty means AWS's own.
	Endpoint string
	// Profile is a profile of this machine's shared AWS configuration.
	Profile string
	// WebIdentity is the token of an OIDC provider, which is exchanged for credentials of WebIdentityRole.
	WebIdentity      runner.Secret
	WebIdentityRole  string
	Role, ExternalID string
	// DefaultCredentials allows the AWS CLI's credential chain if the call has no credentials.
	DefaultCredentials bool
	// Name identifies this run in the lock; it defaults to the host name and revision.
	Name string
	// Arguments of deploy and of the operations on a service.
	Override      string
	InFlight      InFlight
	OnTimeout     OnTimeout
	AwaitApproval bool
	LockWait      string
	Keep          int
	From          ImportSource
	Confirm       string
	WithLogs      bool
	// Progress receives lines about the progress; it may be nil.
	Progress func(string)
	// Connect creates the clients and Clock is their time, for tests; nil means AWS and the system clock.
	Connect func(context.Context, account.Options) (release.Clients, *verdict.Problem)
	Clock   clock.Clock
	// Get replaces HTTP requests of the smoke test in tests.
	Get func(ctx context.Context, address string) error
	// localOnly refuses requests to any other machine; it is set if the ref is assumed.
	localOnly bool
}

// Closed sets; see deployment.InFlights and deployment.Policies.
type (
	// InFlight chooses what happens to another version's deployment in progress.
	InFlight = deployment.InFlight
	// OnTimeout chooses what happens to a deployment that does not finish in time.
	OnTimeout = deployment.Policy
)

// MaxLockWait limits how long a run waits for another run's lock.
const MaxLockWait = 24 * time.Hour

// check validates the arguments.
func (o RolloutOptions) check(bad func(format string, args ...any)) {
	oneOf(bad, "--in-flight", o.InFlight, deployment.InFlights)
	oneOf(bad, "--on-timeout", o.OnTimeout, deployment.Policies)
	if wait, err := time.ParseDuration(cmp.Or(o.LockWait, "0s")); err != nil || wait < 0 || wait > MaxLockWait {
		bad("--lock-wait %q is not a time of 0s to %gh", o.LockWait, MaxLockWait.Hours())
	}
}

// ImportSource names the service that import describes.
type ImportSource = release.Source

// The operations on a service.
const (
	Rollback = "rollback"
	Status   = "status"
	Approve  = "approve"
	Reject   = "reject"
	Wait     = "wait"
	Prune    = "prune"
	Destroy  = "destroy"
	Import   = "import"
)

// operation changes a service, or shows it.
type operation struct {
	name string
	// reads is set if the operation changes nothing.
	reads bool
	run   operate
}

// operate carries the operation out.
type operate func(context.Context, release.Clients, clock.Clock, release.Input, RolloutOptions) verdict.Stage

// operations are all operations. They work on releases that are recorded in the journal.
func operations() []operation {
	plain := func(run func(context.Context, release.Clients, clock.Clock, release.Input) *release.Result) operate {
		return func(ctx context.Context, clients release.Clients, clock clock.Clock, in release.Input, _ RolloutOptions) verdict.Stage {
			return run(ctx, clients, clock, in).Stage
		}
	}
	prune := func(ctx context.Context, clients release.Clients, clock clock.Clock, in release.Input, o RolloutOptions) verdict.Stage {
		return release.Prune(ctx, clients, clock, in, o.Keep).Stage
	}
	destroy := func(ctx context.Context, clients release.Clients, clock clock.Clock, in release.Input, o RolloutOptions) verdict.Stage {
		return release.Destroy(ctx, clients, clock, in, o.Confirm, o.WithLogs).Stage
	}
	imports := func(ctx context.Context, clients release.Clients, clock clock.Clock, in release.Input, o RolloutOptions) verdict.Stage {
		o.From.Region = cmp.Or(o.From.Region, in.Spec.Region)
		return release.Import(ctx, clients, clock, in, o.From).Stage
	}
	return []operation{
		{name: Import, reads: true, run: imports},
		{name: Rollback, run: plain(release.Rollback)},
		{name: Status, reads: true, run: plain(release.Status)},
		{name: Approve, run: plain(release.Approve)},
		{name: Reject, run: plain(release.Reject)},
		{name: Wait, run: plain(release.Wait)},
		{name: Prune, run: prune},
		{name: Destroy, run: destroy},
	}
}

// Operate runs an operation on the service of an environment. An operation that changes the service is refused if the ref may
// not deploy. It always returns a run with a verdict.
func Operate(ctx context.Context, backend Backend, opts Options, name string) *verdict.Run {
	all := operations()
	i := slices.IndexFunc(all, func(o operation) bool { return o.name == name })
	if i < 0 {
		opts.Refused = append(slices.Clone(opts.Refused), verdict.Problemf(CodeBadArgument, "there is no operation %q", name))
		i = 0
	}
	opts.sourceless, opts.Stages = all[i].name == Import, nil
	s := prepare(ctx, backend, opts)
	run := s.operate(policy.Action{Stage: verdict.Deploy, Reads: all[i].reads, Recorded: true}, func(permit policy.Permit) verdict.Stage {
		clients, clock, in, problems := s.deployer().connect(ctx, permit)
		if len(problems) > 0 {
			return failed(verdict.Deploy, problems...)
		}
		return all[i].run(ctx, clients, clock, in, s.opts.Rollout)
	})
	if slices.Contains([]string{Rollback, Approve, Reject, Wait}, all[i].name) {
		(&observer{call: s.call}).observe(ctx, all[i].name)
	}
	return run
}

// Imported returns the pipeline.yaml of a run of Import, or an empty string. Secrets are masked.
func Imported(run *verdict.Run) string {
	for _, stage := range run.Stages {
		for _, file := range stage.Files {
			if file.Path == release.ImportFile {
				return string(file.Content)
			}
		}
	}
	return ""
}

// connect opens the environment's account as far as the permit allows, and returns the input of package release. In the
// sandbox it has no clients.
func (s deployer) connect(ctx context.Context, permit policy.Permit) (release.Clients, clock.Clock, release.Input, []*verdict.Problem) {
	o, r, cfg := s.opts, s.opts.Rollout, s.cfg
	task, unread := s.taskFile(ctx)
	if unread != nil {
		return release.Clients{}, nil, release.Input{}, []*verdict.Problem{unread}
	}
	in := release.Input{
		Input:   rollout.Input{Spec: cfg.RolloutSpec(), Environment: o.Environment, Image: s.image, Commit: o.Commit, TaskFile: task},
		Journal: cmp.Or(cfg.Rollout.Journal, o.Target.ArtifactRoot), Name: cmp.Or(r.Name, o.name()), Override: r.Override,
		InFlight: r.InFlight, OnTimeout: r.OnTimeout,
		AwaitApproval: r.AwaitApproval, Progress: r.Progress, Get: r.Get,
		Index: release.Index{
			Expected: len(cfg.Image.Platforms) > 0 || o.Verify.trusts(),
			Members: func(ctx context.Context, image imageref.Reference) (map[string]string, error) {
				return s.platforms(ctx, permit, image)
			},
		},
	}
	now := r.Clock
	if now == nil {
		now = clock.System{}
	}
	if in.LockWait, _ = time.ParseDuration(r.LockWait); r.LockWait != "" && in.LockWait == 0 { // checked before
		in.LockWait = -1
	}
	if o.sandbox() {
		return release.Clients{}, now, in, nil
	}
	options, problem := o.account(ctx, cfg, permit)
	if problem != nil {
		return release.Clients{}, now, in, []*verdict.Problem{problem}
	}
	connect := r.Connect
	if connect == nil {
		connect = func(ctx context.Context, options account.Options) (release.Clients, *verdict.Problem) {
			clients, problem := account.Open(ctx, options)
			if problem != nil {
				return release.Clients{}, problem
			}
			return release.Of(clients), nil
		}
	}
	clients, problem := connect(ctx, options)
	if problem != nil {
		return clients, now, in, []*verdict.Problem{problem}
	}
	return clients, now, in, nil
}

// platforms returns the digests of an index's images by platform, or nil for a single image.
func (s deployer) platforms(ctx context.Context, permit policy.Permit, image imageref.Reference) (map[string]string, error) {
	opened, err := s.registry(ctx, permit, image)
	if err != nil {
		return nil, err
	}
	members, err := opened.Members()
	if err != nil || members == nil {
		return nil, err
	}
	all := map[string]string{}
	for _, m := range members {
		all[m.Platform] = m.Digest
	}
	return all, nil
}

// maxTaskDefinition limits the task definition file; ECS accepts up to 64 KiB.
const maxTaskDefinition = 1 << 20

// taskFile returns the task definition file of an adopted service, or nil if it has none.
func (s deployer) taskFile(ctx context.Context) ([]byte, *verdict.Problem) {
	name := s.cfg.Rollout.TaskDefinition
	if name == "" {
		return nil, nil
	}
	content, err := s.backend.Source.Read(ctx, name, maxTaskDefinition)
	if err != nil {
		return nil, verdict.Problemf(rollout.TaskFileInvalid, "%s", unread(name, err))
	}
	return content, nil
}

// unread explains why a source file could not be read. Some errors name the file already.
func unread(name string, err error) string {
	says := "read " + name + ": "
	return says + strings.TrimPrefix(err.Error(), says)
}

// account returns the options for opening the environment's account, with credentials if the permit allows them.
func (o Options) account(ctx context.Context, cfg config.Config, permit policy.Permit) (account.Options, *verdict.Problem) {
	if !permit.AllowsReading(verdict.Deploy) {
		return account.Options{}, verdict.Problemf(policy.CodeBlocked.In(verdict.Deploy), "the gate gave no permit")
	}
	r := o.Rollout
	options := account.Options{
		Region: cmp.Or(r.From.Region, cfg.Rollout.Region), Endpoint: r.Endpoint,
		S3Endpoint: o.Target.S3Endpoint, S3Region: cmp.Or(o.Target.Region, cfg.Publish.Region),
		Profile: r.Profile, WebIdentityRole: r.WebIdentityRole, Role: r.Role, ExternalID: r.ExternalID, SessionName: o.name(),
		LocalOnly: r.localOnly,
	}
	for _, secret := range []struct {
		from runner.Secret
		to   *string
	}{{o.Target.AccessKey, &options.AccessKey}, {o.Target.SecretKey, &options.SecretKey}, {o.Target.SessionToken, &options.SessionToken}} {
		if secret.from == nil {
			continue
		}
		value, err := secret.from.Plaintext(ctx)
		if err != nil {
			return options, verdict.Problemf(account.CredentialsInvalid, "read secret %s: %v", secret.from.Name(), err)
		}
		*secret.to = strings.TrimRight(value, "\r\n")
	}
	if r.WebIdentity != nil {
		options.WebIdentity = func() ([]byte, error) {
			token, err := r.WebIdentity.Plaintext(context.WithoutCancel(ctx))
			return []byte(token), err
		}
	}
	if options.AccessKey == "" && options.Profile == "" && options.WebIdentity == nil && !r.DefaultCredentials && r.Connect == nil {
		return options, verdict.Problemf(account.CredentialsInvalid,
			"the call has no AWS credentials: an access key, a profile, or a web identity token with its role")
	}
	return options, nil
}

// name identifies this run.
func (o Options) name() string {
	host, err := os.Hostname()
	if err != nil {
		host = "somewhere"
	}
	revision := o.Commit
	if revision == "" {
		revision = o.Ref
	}
	return fmt.Sprintf("openstack-rca@%s:%s", host, revision[:min(len(revision), 40)])
}
