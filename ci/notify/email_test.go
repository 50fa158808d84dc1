package notify

import (
	"bufio"
	"context"
	"encoding/base64"
	"net"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// mailServer answers one client; extensions are those it offers, and refuse is what it does not take.
func mailServer(t *testing.T, extensions, refuse string) (address string, said *[]string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it ends with the test
	require.NoError(t, err)
	said = &[]string{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		say := func(line string) { _, _ = conn.Write([]byte(line + "\r\n")) }
		say("220 here")
		data := false
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			line := lines.Text()
			*said = append(*said, line)
			switch word, _, _ := strings.Cut(line, " "); {
			case data:
				if line == "." {
					data = false
					say("250 taken")
				}
			case refuse != "" && strings.HasPrefix(line, refuse):
				say("550 no")
			case word == "EHLO":
				say("250-here" + extensions)
				say("250 OK")
			case word == "DATA":
				data = true
				say("354 go on")
			case word == "QUIT":
				say("221 bye")
				return
			default:
				say("250 OK")
			}
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String(), said
}

func mailChannel(host string) config.Channel {
	return config.Channel{Name: "mail", Type: config.ChannelEmail, To: []string{"a@example.org", "b@example.org"}, From: "ci@example.org",
		Host: host,
		TLS:  config.TLSNone}
}

func TestAMail(t *testing.T) {
	address, said := mailServer(t, "", "")
	m := message(t)
	m.Title = "shöp\r\nBcc: evil@example.org"
	require.NoError(t, Send(t.Context(), mailChannel(address), Via{Secrets: nil, Local: false}, m))
	text := strings.Join(*said, "\r\n")
	assert.Contains(t, text, "MAIL FROM:<ci@example.org>")
	assert.Contains(t, text, "RCPT TO:<b@example.org>")
	_, content, _ := strings.Cut(text, "DATA\r\n")
	parsed, err := mail.ReadMessage(strings.NewReader(content))
	require.NoError(t, err)
	assert.Empty(t, parsed.Header.Get("Bcc"), "a title is no header")
	assert.Equal(t, "a@example.org, b@example.org", parsed.Header.Get("To"))
	body := strings.Split(content, "\r\n\r\n")[1]
	plain, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(strings.Split(body, "\r\n.")[0], "\r\n", ""))
	require.NoError(t, err)
	assert.Contains(t, string(plain), "TESTS_FAILED")
}

// One who has left does not keep the mail from the others, and is told.
func TestAMailGoesToThoseWhoAreTaken(t *testing.T) {
	for refuse, sent := range map[string]bool{"RCPT TO:<a@": true, "RCPT TO:<b@": true, "RCPT": false} {
		address, said := mailServer(t, "", refuse)
		err := Send(t.Context(), mailChannel(address), Via{}, message(t))
		require.ErrorContains(t, err, map[bool]string{true: "1 of 2 were refused: 550", false: "2 of 2 were refused"}[sent])
		assert.Equal(t, sent, strings.Contains(strings.Join(*said, "\n"), "Content-Type: text/plain"), refuse)
	}
}

func TestAMailThatIsNotSent(t *testing.T) {
	withTLS := func(host string) config.Channel {
		c := mailChannel(host)
		c.TLS = ""
		return c
	}
	address, said := mailServer(t, "", "")
	assert.ErrorContains(t, Send(t.Context(), withTLS(address), Via{Secrets: nil, Local: true}, message(t)), "STARTTLS")
	assert.NotContains(t, strings.Join(*said, " "), "MAIL", "nothing goes over an open connection")
	for refuse, want := range map[string]string{"MAIL": "name sender", "RCPT": "name receiver", "DATA": "send message"} {
		address, _ = mailServer(t, "", refuse)
		assert.ErrorContains(t, Send(t.Context(), mailChannel(address), Via{Secrets: nil, Local: false}, message(t)), want)
	}
	address, _ = mailServer(t, "", "")
	assert.ErrorContains(t, Send(t.Context(), withTLS(address), Via{Secrets: nil, Local: false}, message(t)), "this machine")
	address, _ = mailServer(t, "", "")
	var missing *Unconfigured
	assert.ErrorAs(t, Send(t.Context(), mailChannel(address), Via{Secrets: Secrets{"mail": "no-colon"}, Local: false}, message(t)), &missing)
	address, _ = mailServer(t, "\r\n250-AUTH PLAIN", "AUTH")
	err := Send(t.Context(), mailChannel(address), Via{Secrets: Secrets{"mail": "me:canary"}, Local: false}, message(t))
	require.ErrorContains(t, err, "refused the login")
	assert.NotContains(t, err.Error(), "canary")
	assert.ErrorContains(t, Send(t.Context(), mailChannel("127.0.0.1:1"), Via{Secrets: nil, Local: false}, message(t)), "refused")
	assert.ErrorContains(t, Send(t.Context(), mailChannel("nothing"), Via{Secrets: nil, Local: false}, message(t)), "server:port")
}

func TestAMailServerThatHangsIsToldWithoutAddresses(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { assert.NoError(t, listener.Close()) }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	err = Send(ctx, mailChannel(listener.Addr().String()), Via{Secrets: Secrets{}, Local: true}, message(t))
	assert.EqualError(t, err, "greet server: i/o timeout")
}
