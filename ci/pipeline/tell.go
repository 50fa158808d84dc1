package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/metrics"
	"github.com/openstack-rca/openstack-rca/ci/notify"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// tellTimeout limits all notifications after a run together, so that a hanging server does not delay the verdict.
const tellTimeout = 5 * time.Second

// tell notifies the configured channels of the result of the run, unless they know it from the run before. Failures are
// warnings.
func (s *observer) tell(ctx context.Context, now runledger.Record) {
	if len(s.cfg.Notify.Channels) == 0 {
		return
	}
	permit, refused := s.gate.Ask(policy.Action{Stage: verdict.Publish, Reads: true}, nil)
	if !permit.AllowsReading(verdict.Publish) {
		s.run.Warn(notify.CodeUnconfigured, "nobody was told: %s", refused.Cause)
		return
	}
	secrets, err := s.notifySecrets(ctx)
	if err != nil {
		s.run.Warn(notify.CodeUnconfigured, "--notify-secrets: %s", s.hide(err))
		return
	}
	before, main := s.earlier(now)
	happened, news := notify.Events(now, before, s.cfg.Observe.CoverageDrop), notify.News(now, before, s.cfg.Observe.CoverageDrop)
	if s.cfg.Notify.Repeat == config.RepeatAlways {
		news = happened
	}
	ctx, cancel := context.WithTimeout(ctx, tellTimeout)
	defer cancel()
	via := s.via(secrets)
	channels := s.cfg.Notify.Channels
	errs := make([]error, len(channels))
	var group sync.WaitGroup
	for i, c := range channels {
		events, wanted := s.wants(c, now, happened, news)
		if !wanted {
			continue
		}
		message := notify.Compose(now, events, s.run.Failures()[:min(len(s.run.Failures()), 50)], main)
		if now.Verdict == verdict.Pass {
			message = notify.Compose(now, events, nil, main)
		}
		message.Pull, message.Notes, message.Plots = notify.PullOf(s.opts.Ref), notify.NotesOf(s.run), notify.PlotsOf(s.run)
		group.Go(func() { errs[i] = notify.Send(ctx, c, via, message) })
	}
	group.Wait()
	for i, err := range errs {
		s.warnUntold(channels[i].Name, err)
	}
}

// wants returns the event to send to a channel, and false if there is none. A code host shows the state of every branch and
// pull request, so it always gets one; other channels only hear of release branches.
func (s *observer) wants(c config.Channel, now runledger.Record, happened, news []string) ([]string, bool) {
	switch {
	case len(c.Environments) == 0 && s.opts.sandbox():
		return nil, false
	case len(c.Environments) > 0 && !slices.Contains(c.Environments, now.Environment):
		return nil, false
	case c.Type == config.ChannelGitHub || c.Type == config.ChannelGitLab:
		return happened, true
	case s.groupOf(now).Ref == metrics.OtherRef:
		return nil, false
	}
	if len(c.Events) > 0 {
		news = slices.DeleteFunc(slices.Clone(news), func(event string) bool { return !slices.Contains(c.Events, event) })
	}
	return news, len(news) > 0
}

// earlier returns the last run of the same call and ref, or nil, and the last complete runs of main, newest last.
func (s *observer) earlier(now runledger.Record) (before *runledger.Record, main []runledger.Record) {
	for i := range s.before {
		r := &s.before[i]
		if r.Call == now.Call && r.Ref == now.Ref {
			before = r
		}
		if r.Call == "run" && r.Ref == policy.ReleaseBranch && r.Ref != now.Ref && len(r.Measures) > 0 {
			main = append(main, *r)
		}
	}
	return before, main[max(0, len(main)-trendRuns):]
}

// warnUntold warns that a channel could not be notified; it does nothing for nil.
func (s *observer) warnUntold(channel string, err error) {
	var missing *notify.Unconfigured
	switch {
	case errors.As(err, &missing):
		s.run.Warn(notify.CodeUnconfigured, "channel %s: %s", channel, s.hide(err))
	case err != nil:
		s.run.Warn(notify.CodeFailed, "channel %s: %s", channel, s.hide(err))
	}
}

// notifySecrets returns the secrets of the channels, or an empty string.
func (s *call) notifySecrets(ctx context.Context) (notify.Secrets, error) {
	secret := s.opts.Observe.NotifySecrets
	if secret == nil {
		return nil, nil
	}
	text, err := secret.Plaintext(ctx)
	if err != nil {
		return nil, fmt.Errorf("read secret %s: %w", secret.Name(), err)
	}
	return notify.ParseSecrets(text)
}

// via returns the transport for messages.
func (s *call) via(secrets notify.Secrets) notify.Via {
	via := notify.Via{Secrets: secrets, Local: s.opts.sandbox(), Endpoint: s.opts.Rollout.Endpoint}
	if !s.opts.sandbox() && s.opts.credentials() {
		permit := s.awsPermit()
		via.Credentials = func(ctx context.Context, region string) (aws.Credentials, error) {
			return s.credentials(ctx, permit, region)
		}
	}
	return via
}

// Notify sends a test message to the named channel, or to all channels if the name is empty.
func Notify(ctx context.Context, backend Backend, opts Options, channel string) Observed {
	s := prepare(ctx, backend, opts)
	if p := s.run.Preflight; p != nil {
		return Observed{Failure: p.Failure()}
	}
	permit, refused := s.gate.Ask(policy.Action{Stage: verdict.Publish, Reads: true}, nil)
	if !permit.AllowsReading(verdict.Publish) {
		return unknown(verdict.Problemf(policy.CodeBlocked.In(verdict.Publish), "%s", refused.Cause))
	}
	secrets, err := s.notifySecrets(ctx)
	if err != nil {
		return unknown(verdict.Problemf(CodeBadArgument, "--notify-secrets: %s", s.hide(err)))
	}
	message := notify.Message{Test: true,
		Title: fmt.Sprintf("%s: a test of the notifications of %s", s.cfg.Name, s.opts.Environment),
		Lines: []string{"Nothing happened: somebody tried this channel."},
		Run: runledger.Record{ID: "test", Call: "notify", Application: s.cfg.Name, Environment: s.opts.Environment, Ref: s.opts.Ref,
			Started: time.Now(),
			Verdict: verdict.Pass},
	}
	var told []string
	var problems []error
	for _, c := range s.cfg.Notify.Channels {
		if channel != "" && c.Name != channel {
			continue
		}
		if err := notify.Send(ctx, c, s.via(secrets), message); err != nil {
			problems = append(problems, fmt.Errorf("channel %s: %s", c.Name, s.hide(err)))
			continue
		}
		told = append(told, c.Name)
	}
	switch {
	case len(problems) > 0:
		code := notify.CodeFailed
		code.Outcome = verdict.CouldNotRun
		problem := verdict.Problemf(code, "%s", strings.ReplaceAll(errors.Join(problems...).Error(), "\n", "; "))
		problem.Published = told
		return unknown(problem)
	case len(s.cfg.Notify.Channels) == 0:
		return unknown(verdict.Problemf(CodeBadArgument, "pipeline.yaml has no notify.channels"))
	case len(told) == 0:
		return unknown(verdict.Problemf(CodeBadArgument, "pipeline.yaml has no channel %q under notify.channels", channel))
	}
	return Observed{Summary: "told: " + strings.Join(told, ", ") + "\n"}
}
