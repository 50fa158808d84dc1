package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout"
	"github.com/openstack-rca/openstack-rca/ci/rollout/account"
	"github.com/openstack-rca/openstack-rca/ci/rollout/release"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// ofAccount returns the checks of the AWS account: the artifact store, the caller's permissions and the service.
type ofAccount struct{ doctor }

// checkArtifacts lists the store, and reads the record of the newest model.
func (s ofAccount) checkArtifacts(ctx context.Context) (string, error) {
	permit, refused := s.readPermit()
	if refused != nil {
		return "", refusal(refused)
	}
	target, problem := s.outside(permit)
	if problem != nil {
		return "", problem
	}
	registry := publish.List(ctx, publish.Input{Config: s.cfg, Environment: s.opts.Environment, Target: target, WorkDir: os.TempDir()}, 1)
	if registry.Stage.Verdict != verdict.Pass {
		return "", problemOf(registry.Stage)
	}
	if len(registry.Versions) == 0 {
		return "the store can be listed, and has no version of " + filepath.Base(s.cfg.Name), nil
	}
	return fmt.Sprintf("the store can be listed; the newest version is %d, %s", registry.Versions[0].Number, registry.Versions[0].State), nil
}

// noAccount is the result of a check that was skipped because it needs the environment's account.
var noAccount = &unchecked{"rollout.account is empty", "set rollout.account in the environment's overlay, if it deploys"}

// cloud opens the account read-only.
func (s ofAccount) cloud(ctx context.Context) (clients release.Clients, clock clock.Clock, in release.Input, err error) {
	permit, refused := policy.NewGate(s.cfg, s.opts.request(s.backend)).Ask(policy.Action{Stage: verdict.Deploy, Reads: true}, nil)
	switch {
	case refused != nil:
		return clients, nil, in, refusal(refused)
	case s.cfg.Rollout.Account == "":
		return clients, nil, in, noAccount
	case !s.opts.credentials():
		return clients, nil, in, &unchecked{"the call has no credentials for AWS", "give --aws-access-key-id and --aws-secret-access-key, " +
			"--aws-role or --aws-web-identity-token, or their variables"}
	}
	clients, clock, in, problems := deployer{call: s.call, image: s.opts.Image}.connect(ctx, permit)
	if len(problems) > 0 {
		return clients, clock, in, problems[0]
	}
	return clients, clock, in, nil
}

// problemOf returns the problem that kept a stage from passing, with that problem's own remedy.
func problemOf(stage verdict.Stage) error {
	return &verdict.Problem{Code: verdict.Code{Name: stage.Code}, Cause: stage.Cause, Next: stage.Next}
}

func (s ofAccount) checkIdentity(ctx context.Context) (string, error) {
	clients, _, _, err := s.cloud(ctx)
	if err != nil {
		return "", err
	}
	who, problem := account.Guard(ctx, clients.Identity, s.cfg.Rollout.Account)
	if problem != nil {
		return "", problem
	}
	return who, nil
}

// checkRights asks IAM whether the caller has the permissions of docs/iam, before a deployment needs them.
func (s ofAccount) checkRights(ctx context.Context) (string, error) {
	clients, _, in, err := s.cloud(ctx)
	if err != nil {
		return "", err
	}
	simulator, ok := clients.Roles.(account.Simulator)
	if !ok {
		return "", &unchecked{"this backend cannot ask IAM", "call the command or the module"}
	}
	who, problem := account.Guard(ctx, clients.Identity, s.cfg.Rollout.Account)
	if problem != nil {
		return "", problem
	}
	rights := observing(s.cfg)
	actions := len(rights)
	var documents []rollout.Policy
	for n, one := range in.Spec.Each() {
		input := release.NamesOnly(in.Input)
		if input.Spec = one; n > 0 {
			input.TaskFile = nil
		}
		plan, problems := rollout.NewPlan(input)
		if len(problems) > 0 {
			return "", problems[0]
		}
		documents = append(documents, plan.Policies(in.Journal)...)
	}
	for _, document := range documents {
		if !slices.Contains([]string{"reader.json", "deployer.json", "adopter.json"}, document.File) {
			continue
		}
		for _, statement := range document.Statements {
			right := account.Right{Actions: statement.Action, Resources: statement.Resource, Context: map[string][]string{}}
			for _, keys := range statement.Condition { // a call that satisfies every condition of the policy
				maps.Copy(right.Context, keys)
			}
			rights = append(rights, right)
			actions += len(statement.Action)
		}
	}
	missing, err := account.Missing(ctx, simulator, who, rights)
	switch {
	case err != nil:
		return "", &doubtful{"could not be found out: " + err.Error()}
	case len(missing) > 0:
		return "", fmt.Errorf("%s lacks %s", account.Principal(who), strings.Join(missing, ", "))
	}
	return fmt.Sprintf("%s has all %d", account.Principal(who), actions), nil
}

// observing returns the permissions of docs/iam/observer.json that the configuration needs.
func observing(cfg config.Config) []account.Right {
	var rights []account.Right
	if cfg.Observe.CloudWatch {
		rights = append(rights, account.Right{Actions: []string{"cloudwatch:PutMetricData"}, Resources: []string{"*"},
			Context: map[string][]string{"cloudwatch:namespace": {metrics.Namespace}}})
	}
	for _, c := range cfg.Notify.Channels {
		if c.Type == config.ChannelSNS {
			rights = append(rights, account.Right{Actions: []string{"sns:Publish"}, Resources: []string{c.Topic}})
		}
	}
	return rights
}

// checkService looks at what is deployed, as status does.
func (s ofAccount) checkService(ctx context.Context) (string, error) {
	clients, clock, in, err := s.cloud(ctx)
	if err != nil {
		return "", err
	}
	result := release.Status(ctx, clients, clock, in)
	if result.Stage.Verdict != verdict.Pass {
		return "", problemOf(result.Stage)
	}
	return running(result.Stage.Evidence)
}

// running describes each service and its tasks, as status does. A deviation may be a deployment in progress, so it is a
// warning and not a failure.
func running(shown []verdict.Evidence) (string, error) {
	var found []string
	doubt := false
	for _, e := range shown {
		_, what, several := strings.Cut(e.Name, ": ")
		if !several {
			what = e.Name
		}
		switch {
		case what == "service":
			found = append(found, e.Value)
		case what == "running tasks":
			var run, want int
			_, err := fmt.Sscanf(e.Value, "%d of %d", &run, &want)
			doubt = doubt || err != nil || run < want || want == 0
			found = append(found, "running tasks: "+e.Value)
		case strings.HasPrefix(what, "target") && !strings.HasPrefix(e.Value, "healthy") && !strings.HasPrefix(e.Value, "draining"):
			doubt = true
			found = append(found, what+" is "+e.Value)
		}
	}
	text := strings.Join(found, "; ")
	if doubt || text == "" {
		return "", &doubtful{cmp.Or(text, "status shows nothing of the service")}
	}
	return text, nil
}
