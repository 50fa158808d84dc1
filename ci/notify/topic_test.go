package notify

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// published is the answer of SNS to a message that it took.
func published(*http.Request) string {
	return `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>
		<MessageId>94f20ce6</MessageId></PublishResult></PublishResponse>`
}

func TestATopicIsPublishedToWithASignature(t *testing.T) {
	rec := record(t)
	rec.reply = published
	c := config.Channel{Name: "topic", Type: config.ChannelSNS, Topic: "arn:aws:sns:ap-south-1:111122223333:runs"}
	via := Via{Endpoint: rec.URL, Credentials: func(_ context.Context, region string) (aws.Credentials, error) {
		assert.Equal(t, "ap-south-1", region)
		return aws.Credentials{AccessKeyID: "key-0", SecretAccessKey: "none", SessionToken: "session"}, nil
	}}
	m := message(t)
	m.Title, m.Events = "ends é\nhere"+strings.Repeat("x", 200), []string{"failed"}
	require.NoError(t, Send(t.Context(), c, via, m))
	fields, err := url.ParseQuery(rec.bodies[0])
	require.NoError(t, err)
	assert.Equal(t, c.Topic, fields.Get("TopicArn"))
	assert.Equal(t, "FAIL: ends ? here"+strings.Repeat("x", 99-17), fields.Get("Subject"))
	headers := rec.requests[0].Header
	assert.Contains(t, headers.Get("Authorization"), "AWS4-HMAC-SHA256 Credential=key-0/")
	assert.Contains(t, headers.Get("Authorization"), "/ap-south-1/sns/aws4_request, SignedHeaders=")
	assert.Equal(t, "session", headers.Get("X-Amz-Security-Token"))
	assert.NotContains(t, rec.bodies[0], "none")

	rec = record(t, http.StatusForbidden)
	rec.reply = func(*http.Request) string {
		return "<ErrorResponse><Error><Code>AuthorizationError</Code><Message>no</Message></Error></ErrorResponse>"
	}
	via.Endpoint = rec.URL
	assert.EqualError(t, Send(t.Context(), c, via, m), "HTTP 403: AuthorizationError")
	via.Endpoint = "https://169.254.169.254"
	assert.ErrorContains(t, Send(t.Context(), c, via, m), "metadata")
	via.Credentials = func(context.Context, string) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("expired")
	}
	assert.EqualError(t, Send(t.Context(), c, via, m), "expired")
	var missing *Unconfigured
	require.ErrorAs(t, Send(t.Context(), c, Via{}, m), &missing)
}

// The machine's clock is that of a virtual machine which slept: SNS refuses its time, and says its own.
func TestAMessageIsSignedWithTheTimeOfAWS(t *testing.T) {
	aheadBy := 40 * time.Minute
	var refused, taken int
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(aheadBy).UTC()
		w.Header().Set("Date", now.Format(http.TimeFormat))
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		assert.NoError(t, err)
		if now.Sub(at).Abs() > 15*time.Minute {
			refused++
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, "<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code>"+
				"<Message>Signature expired</Message></Error></ErrorResponse>")
			return
		}
		taken++
		_, _ = io.WriteString(w, published(r))
	}))
	defer server.Close()
	c := config.Channel{Name: "topic", Type: config.ChannelSNS, Topic: "arn:aws:sns:ap-south-1:111122223333:runs"}
	via := Via{Endpoint: server.URL, Credentials: func(context.Context, string) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "key-0", SecretAccessKey: "none"}, nil
	}}
	require.NoError(t, Send(t.Context(), c, via, message(t)))
	assert.Equal(t, []int{1, 1}, []int{refused, taken})
}

func TestALoginPageIsNoAnswerOfAChannel(t *testing.T) {
	for kind, c := range map[string]config.Channel{
		"a topic": {Type: config.ChannelSNS, Topic: "arn:aws:sns:ap-south-1:111122223333:runs"}, "Slack": {Type: config.ChannelSlack},
		"Teams": {Type: config.ChannelTeams}, "a webhook": {Type: config.ChannelWebhook},
		"GitHub": {Type: config.ChannelGitHub, Repository: "team/service"},
	} {
		rec := record(t)
		rec.reply = func(*http.Request) string { return "\n<!DOCTYPE html><html><body>Sign in</body></html>" }
		c.Name, c.API = "ops", rec.URL
		via := Via{Secrets: Secrets{"ops": rec.URL, "ops.key": "signs"}, Local: true, Endpoint: rec.URL,
			Credentials: func(context.Context, string) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "key-0", SecretAccessKey: "none"}, nil
			}}
		m := message(t)
		m.Pull = "" // the check alone, whose answer nobody reads
		require.Error(t, Send(t.Context(), c, via, m), kind)
		assert.Len(t, rec.requests, 1, kind)
	}
}

// A code host that fails while it answers may have written the comment.
func TestACommentIsLookedForBeforeItIsWrittenAgain(t *testing.T) {
	for name, kept := range map[string]bool{"written": true, "not written": false} {
		var comments, posts, updates int
		rec := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.Method == http.MethodGet && comments > 0:
				_, _ = io.WriteString(w, `[{"id":5,"body":"<!-- openstack-rca shop production -->"}]`)
			case r.Method == http.MethodGet:
				_, _ = io.WriteString(w, "[]")
			case r.Method == http.MethodPost:
				if posts++; posts > 1 || kept {
					comments++
				}
				if posts == 1 {
					w.WriteHeader(http.StatusBadGateway)
				}
			default:
				updates++
			}
		}))
		c := config.Channel{Name: "mr", Type: config.ChannelGitLab, Repository: "team/service", API: rec.URL}
		require.NoError(t, Send(t.Context(), c, Via{Secrets: Secrets{"mr": "token"}, Local: true}, message(t)), name)
		rec.Close()
		assert.Equal(t, 1, comments, name)
		assert.Equal(t, map[bool][]int{true: {1, 1}, false: {2, 0}}[kept], []int{posts, updates}, name)
	}
}
