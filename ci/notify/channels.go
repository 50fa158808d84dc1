package notify

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// Secrets are the secrets of the channels by name: the address, the login, or the token, and under
// <name>.key the key that signs.
type Secrets map[string]string

// ParseSecrets reads lines of channel=secret; # begins a comment. The error has no secret.
func ParseSecrets(text string) (Secrets, error) {
	secrets := Secrets{}
	for n, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		name, value, found := strings.Cut(line, "=")
		if name = strings.TrimSpace(name); !found || name == "" || strings.TrimSpace(value) == "" {
			return nil, fmt.Errorf("line %d is not channel=secret", n+1)
		}
		secrets[name] = strings.TrimSpace(value)
	}
	return secrets, nil
}

// Values are everything that a report has to mask: the secrets, and of addresses their paths, too.
func (s Secrets) Values() []string {
	var all []string
	for _, value := range s {
		all = append(all, value)
		if _, path, ok := strings.Cut(value, "://"); ok {
			if _, path, ok = strings.Cut(path, "/"); ok && len(path) > 8 {
				all = append(all, path)
			}
		}
	}
	return all
}

// Unconfigured is the error of a channel that lacks its secret.
type Unconfigured struct{ Reason string }

// Error implements error.
func (e *Unconfigured) Error() string { return e.Reason }

// Via is what messages are sent with.
type Via struct {
	Secrets Secrets
	// Local allows servers of this machine.
	Local bool
	// Credentials are those for AWS in a region, which a topic takes instead of a secret; nil for none.
	Credentials func(ctx context.Context, region string) (aws.Credentials, error)
	// Endpoint is the base address of the services of AWS; empty is AWS's own.
	Endpoint string
}

// Needs reports whether a channel cannot be told without a secret of its own.
func Needs(c config.Channel) bool {
	return c.Type != config.ChannelEmail && c.Type != config.ChannelSNS
}

// Send sends a message to a channel. Its errors name neither the channel nor its address.
func Send(ctx context.Context, c config.Channel, via Via, m Message) error {
	secrets, local := via.Secrets, via.Local
	secret := secrets[c.Name]
	if secret == "" && Needs(c) {
		return &Unconfigured{"there is no secret of this name in --notify-secrets"}
	}
	switch c.Type {
	case config.ChannelSlack:
		return post(ctx, secret, local, nil, slack(m))
	case config.ChannelTeams:
		return teams(ctx, secret, local, m)
	case config.ChannelWebhook:
		return webhook(ctx, secret, secrets[c.Name+".key"], local, m)
	case config.ChannelEmail:
		return email(ctx, c, secret, m, local)
	case config.ChannelSNS:
		return publish(ctx, c.Topic, via, m)
	case config.ChannelGitHub:
		return github(ctx, c, secret, m, local)
	case config.ChannelGitLab:
		return gitlab(ctx, c, secret, m, local)
	}
	return fmt.Errorf("there is no type %q", c.Type)
}

// object is a JSON object.
type object map[string]any

func post(ctx context.Context, to string, local bool, headers map[string]string, body any) error {
	a, err := parseAddress(to, local)
	if err != nil {
		return err
	}
	content, err := encode(body)
	if err != nil {
		return err
	}
	all := map[string]string{"Content-Type": "application/json"}
	for name, value := range headers {
		all[name] = value
	}
	_, err = a.call(ctx, http.MethodPost, all, content)
	return err
}

// encode is JSON that is as short as it can be: "<" is one byte and not six.
func encode(body any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(body)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

// cut shortens a text to at most n bytes, at a whole character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// slackEscapes are what Slack gives a meaning: links, mentions and commands begin with "<".
var slackEscapes = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;")

// slack is a message of Block Kit for an incoming webhook.
func slack(m Message) object {
	plain := func(s string) string { return slackEscapes.Replace(s) }
	blocks := []object{{"type": "header", "text": object{"type": "plain_text", "text": cut(m.sign()+m.Title, 140)}}}
	section := func(text string) {
		blocks = append(blocks, object{"type": "section", "text": object{"type": "mrkdwn", "text": text}})
	}
	if len(m.Lines) > 0 {
		section("```" + cut(plain(strings.ReplaceAll(strings.Join(m.Lines, "\n"), "```", "'''")), 2800) + "```")
	}
	for start := 0; start < len(m.Facts); start += 10 { // as many as a block may have
		var fields []object
		for _, fact := range m.Facts[start:min(len(m.Facts), start+10)] {
			fields = append(fields, object{"type": "mrkdwn", "text": cut("*"+plain(fact[0])+"*\n"+plain(fact[1]), 1900)})
		}
		blocks = append(blocks, object{"type": "section", "fields": fields})
	}
	if len(m.Commands) > 0 {
		section("```" + plain(strings.Join(m.Commands, "\n")) + "```")
	}
	return object{"text": plain(m.Title), "blocks": blocks, "unfurl_links": false}
}

// sign is a word in front of a title that shows how to take it without any colour.
func (m Message) sign() string {
	switch {
	case m.Good:
		return "OK: "
	case m.Bad:
		return "FAIL: "
	case len(m.Commands) > 0:
		return "WAITS: "
	}
	return "NOTE: "
}

// retired are the hosts of Office 365 connectors, which Microsoft ended on 2026-03-31.
var retired = []string{"webhook.office.com", "outlook.office.com", "outlook.office365.com"}

func teams(ctx context.Context, to string, local bool, m Message) error {
	a, err := parseAddress(to, local)
	if err != nil {
		return err
	}
	for _, host := range retired {
		if name := a.Hostname(); name == host || strings.HasSuffix(name, "."+host) {
			return errors.New("its address is of an Office 365 connector; Microsoft ended these on 2026-03-31. " +
				"Make a workflow in Teams that posts when a webhook request is received, and give its address")
		}
	}
	// Teams takes no card that is too large, so what is long is shortened until it fits.
	width := 1500
	for ; width > 50; width /= 2 {
		if content, err := encode(adaptiveCard(m, width)); err != nil || len(content) <= maxBody {
			break
		}
	}
	return post(ctx, to, local, nil, adaptiveCard(m, width))
}

// adaptiveCard is a message for a workflow of Teams. width bounds each line in bytes, and so the facts.
func adaptiveCard(m Message, width int) object {
	colour := "Warning"
	switch {
	case m.Good:
		colour = "Good"
	case m.Bad:
		colour = "Attention"
	}
	// A RichTextBlock shows text as it is: no Markdown, so no link and no mention.
	text := func(s string, mono bool) object {
		run := object{"type": "TextRun", "text": s}
		if mono {
			run["fontType"] = "Monospace"
		}
		return object{"type": "RichTextBlock", "inlines": []object{run}}
	}
	body := []object{{"type": "RichTextBlock", "inlines": []object{{"type": "TextRun", "text": cut(m.Title, 300), "weight": "Bolder",
		"size":  "Medium",
		"color": colour}}}}
	for _, line := range m.Lines {
		body = append(body, text(cut(line, width), true))
	}
	var facts []object
	for _, fact := range m.Facts[:min(len(m.Facts), width/15)] {
		facts = append(facts, object{"title": cut(fact[0], 100), "value": cut(fact[1], 300)})
	}
	if len(facts) > 0 {
		body = append(body, object{"type": "FactSet", "facts": facts})
	}
	for _, command := range m.Commands {
		body = append(body, text(cut(command, width), true))
	}
	return object{"type": "message", "attachments": []object{{
		"contentType": "application/vnd.microsoft.card.adaptive",
		"content": object{"type": "AdaptiveCard", "$schema": "http://adaptivecards.io/schemas/adaptive-card.json", "version": "1.4",
			"body": body},
	}}}
}

// webhook sends the run's record as a CloudEvent, signed with the key.
func webhook(ctx context.Context, to, key string, local bool, m Message) error {
	if key == "" {
		return &Unconfigured{"it is signed, and --notify-secrets has no key for it: a line <name>.key=..."}
	}
	a, err := parseAddress(to, local)
	if err != nil {
		return err
	}
	content, err := encode(object{
		"specversion": "1.0", "id": m.Run.ID, "source": "openstack-rca/" + m.Run.Application + "/" + m.Run.Environment,
		"type": "openstack-rca.run." + string(m.Run.Verdict), "time": m.Run.Ended().UTC().Format(time.RFC3339), "subject": m.Run.Ref,
		"datacontenttype": "application/json",
		"data":            object{"title": m.Title, "events": m.Events, "lines": m.Lines, "commands": m.Commands, "run": m.Run},
	})
	if err != nil {
		return err
	}
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write(content)
	_, err = a.call(ctx, http.MethodPost, map[string]string{
		"Content-Type": "application/cloudevents+json", "X-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)),
	}, content)
	return err
}
