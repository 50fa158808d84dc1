package probe

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"time"
)

// speaks is what the application's port speaks in place of plain HTTP/1.1; empty where that is not known.
func (p *prober) speaks(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	address := strings.TrimPrefix(p.target.Address, "http://")
	// Whose the certificate is does not matter: nothing is sent.
	config := &tls.Config{InsecureSkipVerify: true} //nolint:gosec // see above
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: 2 * time.Second}, Config: config}
	if connection, err := dialer.DialContext(ctx, "tcp", address); err == nil {
		_ = connection.Close()
		return "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.target.Address+p.target.Paths[0], nil)
	if err != nil {
		return ""
	}
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	answer, err := (&http.Transport{Protocols: protocols, DisableKeepAlives: true}).RoundTrip(request)
	if err != nil {
		return ""
	}
	_ = answer.Body.Close()
	return "HTTP/2 alone"
}
