package config

import (
	"regexp"
	"slices"
)

// Notify configures who is told what came of a run. Addresses that are secrets are an argument of
// the call, never part of this file.
type Notify struct {
	// Channels are the ways to tell.
	Channels []Channel `yaml:"channels" json:"channels"`
	// Repeat is on_change, or always.
	Repeat string `yaml:"repeat" json:"repeat"`
}

// Channel is one way to tell somebody.
type Channel struct {
	// Name identifies it, and its secret.
	Name string `yaml:"name" json:"name"`
	// Type is slack, teams, email, webhook, sns, github or gitlab.
	Type string `yaml:"type" json:"type"`
	// Events are those it is told; all when empty.
	Events []string `yaml:"events" json:"events"`
	// Environments are those it is told of; all when empty.
	Environments []string `yaml:"environments" json:"environments"`
	// To and From are addresses of mail, Host the mail server with its port.
	To   []string `yaml:"to" json:"to"`
	From string   `yaml:"from" json:"from"`
	Host string   `yaml:"host" json:"host"`
	// TLS is starttls, or none for a server of this machine.
	TLS string `yaml:"tls" json:"tls"`
	// Topic is the ARN of a topic of SNS.
	Topic string `yaml:"topic" json:"topic"`
	// Repository is that of a code host, API its interface when it is not the public one.
	Repository string `yaml:"repository" json:"repository"`
	API        string `yaml:"api" json:"api"`
}

// The types of channels.
const (
	ChannelSlack   = "slack"
	ChannelTeams   = "teams"
	ChannelEmail   = "email"
	ChannelWebhook = "webhook"
	ChannelSNS     = "sns"
	ChannelGitHub  = "github"
	ChannelGitLab  = "gitlab"
)

// The events of a run.
const (
	EventFailed           = "failed"
	EventCouldNotRun      = "could_not_run"
	EventRecovered        = "recovered"
	EventOverBudget       = "over_budget"
	EventCoverageDropped  = "coverage_dropped"
	EventModelDegraded    = "model_degraded"
	EventDeployed         = "deployed"
	EventRolledBack       = "rolled_back"
	EventAwaitingApproval = "awaiting_approval"
	EventVulnerable       = "vulnerable"
	EventWaiverEnds       = "waiver_ends"
)

// The values of notify.repeat and of a channel's tls.
const (
	RepeatOnChange = "on_change"
	RepeatAlways   = "always"
	TLSStart       = "starttls"
	TLSNone        = "none"
)

var (
	channelTypes = []string{ChannelSlack, ChannelTeams, ChannelEmail, ChannelWebhook, ChannelSNS, ChannelGitHub, ChannelGitLab}
	events       = []string{EventFailed, EventCouldNotRun, EventRecovered, EventOverBudget, EventCoverageDropped, EventModelDegraded,
		EventDeployed,
		EventRolledBack, EventAwaitingApproval, EventVulnerable, EventWaiverEnds}
	mails       = []string{ChannelEmail}
	topics      = []string{ChannelSNS}
	codeHosts   = []string{ChannelGitHub, ChannelGitLab}
	channelName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,30}$`)
	mailAddress = regexp.MustCompile(`^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})*$`)
	mailServer  = regexp.MustCompile(`^[A-Za-z0-9.-]{1,253}:[0-9]{1,5}$`)
	repository  = regexp.MustCompile(`^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)+$`)
	apiAddress  = regexp.MustCompile(`^https?://[^\s@?#]+$`)
)

// notify checks what several keys of a channel say together.
func (v *validator) notify(n Notify) {
	seen := map[string]bool{}
	for i, c := range n.Channels {
		at := at("notify.channels", i)
		if c.Name == "" {
			v.bad(join(at, "name"), "it has no name")
		}
		if seen[c.Name] {
			v.bad(join(at, "name"), "another channel is called %s", c.Name)
		}
		seen[c.Name] = true
		for _, key := range []struct {
			name  string
			set   bool
			types []string
		}{{"to", len(c.To) > 0, mails}, {"from", c.From != "", mails}, {"host", c.Host != "", mails}, {"tls", c.TLS != "", mails},
			{"topic", c.Topic != "", topics}, {"repository", c.Repository != "", codeHosts}, {"api", c.API != "", codeHosts}} {
			if key.set && slices.Contains(channelTypes, c.Type) && !slices.Contains(key.types, c.Type) {
				v.bad(join(at, key.name), "a channel of type %s has no %s", c.Type, key.name)
			}
		}
		switch c.Type {
		case "":
			v.bad(join(at, "type"), "it has no type")
		case ChannelEmail:
			if len(c.To) == 0 || c.From == "" || c.Host == "" {
				v.bad(at, "a channel of type email needs to, from and host")
			}
		case ChannelSNS:
			if c.Topic == "" {
				v.bad(at, "a channel of type sns needs topic")
			}
		case ChannelGitHub, ChannelGitLab:
			if c.Repository == "" {
				v.bad(at, "a channel of type %s needs repository", c.Type)
			}
		}
	}
}
