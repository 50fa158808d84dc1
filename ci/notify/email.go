package notify

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/netip"
	"net/smtp"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// mailTimeout bounds a whole delivery to a mail server.
const mailTimeout = 20 * time.Second

// email sends a message by SMTP. STARTTLS is required; without it only to this machine, when the channel
// says so. The secret is name:password, or empty.
func email(ctx context.Context, c config.Channel, login string, m Message, local bool) error {
	host, port, err := net.SplitHostPort(c.Host)
	if err != nil {
		return errors.New("host is not of the form server:port")
	}
	ctx, cancel := context.WithTimeout(ctx, mailTimeout)
	defer cancel()
	conn, err := (&net.Dialer{Timeout: callTimeout}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return hidden(err)
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	plain := false
	if at, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		plain = c.TLS == config.TLSNone && at.Addr().Unmap().IsLoopback()
		if err := (address{local: local || plain}).refuse(at.Addr()); err != nil {
			return errors.Join(err, conn.Close())
		}
	}
	client, err := smtp.NewClient(conn, host)
	if err != nil {
		_ = conn.Close() // it may be closed already
		return fmt.Errorf("greet server: %w", hidden(err))
	}
	defer func() { _ = client.Close() }() // Quit reports what matters
	if !plain {
		if ok, _ := client.Extension("STARTTLS"); !ok {
			return errors.New("the mail server offers no STARTTLS; tls: none is for a server of this machine only")
		}
		if err := client.StartTLS(&tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}); err != nil {
			return fmt.Errorf("start TLS: %w", hidden(err))
		}
	}
	if login != "" {
		name, password, ok := strings.Cut(login, ":")
		if !ok {
			return &Unconfigured{"its secret is not of the form name:password"}
		}
		if err := client.Auth(smtp.PlainAuth("", name, password, host)); err != nil {
			return errors.New("the mail server refused the login")
		}
	}
	if err := client.Mail(c.From); err != nil {
		return fmt.Errorf("name sender: %w", hidden(err))
	}
	// A receiver who has left does not keep the mail from the others.
	var refused []error
	for _, to := range c.To {
		if err := client.Rcpt(to); err != nil {
			refused = append(refused, hidden(err))
		}
	}
	var some error
	if len(refused) > 0 {
		some = fmt.Errorf("name receivers: %d of %d were refused: %w", len(refused), len(c.To), refused[0])
	}
	if len(refused) == len(c.To) {
		return some
	}
	w, err := client.Data()
	if err != nil {
		return fmt.Errorf("send message: %w", hidden(err))
	}
	if _, err = w.Write(letter(c, m)); err == nil {
		err = w.Close()
	}
	if err != nil {
		return fmt.Errorf("send message: %w", hidden(err))
	}
	return errors.Join(some, client.Quit())
}

// letter is the message with its headers. The text is in base64, so no line of it is a header or an end.
func letter(c config.Channel, m Message) []byte {
	id := make([]byte, 12)
	_, _ = rand.Read(id) // never fails
	_, domain, _ := strings.Cut(c.From, "@")
	var b strings.Builder
	for _, header := range [][2]string{
		{"From", c.From}, {"To", strings.Join(c.To, ", ")}, {"Subject", mime.QEncoding.Encode("utf-8", oneLine(m.sign()+m.Title))},
		{"Date", time.Now().UTC().Format(time.RFC1123Z)}, {"Message-ID", "<" + hex.EncodeToString(id) + "@" + domain + ">"},
		{"MIME-Version", "1.0"}, {"Content-Type", "text/plain; charset=utf-8"}, {"Content-Transfer-Encoding", "base64"},
		{"Auto-Submitted", "auto-generated"},
	} {
		b.WriteString(header[0] + ": " + header[1] + "\r\n")
	}
	b.WriteString("\r\n")
	text := base64.StdEncoding.EncodeToString([]byte(m.plain()))
	for len(text) > 76 {
		b.WriteString(text[:76] + "\r\n")
		text = text[76:]
	}
	b.WriteString(text + "\r\n")
	return []byte(b.String())
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// plain is the message as text.
func (m Message) plain() string {
	var b strings.Builder
	b.WriteString(m.Title + "\n")
	for _, line := range m.Lines {
		b.WriteString("\n" + line + "\n")
	}
	b.WriteString("\n")
	for _, fact := range m.Facts {
		b.WriteString(fact[0] + ": " + fact[1] + "\n")
	}
	if len(m.Commands) > 0 {
		b.WriteString("\n" + strings.Join(m.Commands, "\n") + "\n")
	}
	return b.String()
}
