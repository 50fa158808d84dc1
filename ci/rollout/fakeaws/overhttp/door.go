package overhttp

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"
)

// OpenDoors gives each load balancer that is made from now on a port on this host as its DNS
// name, which answers as the service behind it would, by HTTP and HTTPS, until the context
// ends. So an address that the product shows can be opened.
func (s *Server) OpenDoors(ctx context.Context, host string) error {
	certificate, err := selfSigned()
	if err != nil {
		return fmt.Errorf("make a certificate: %w", err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	s.balancing.Host = func(balancer string) string {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			return balancer + ".invalid" // the product reports that it cannot reach it
		}
		server := &http.Server{Handler: s.door(balancer), ReadHeaderTimeout: 10 * time.Second, ConnContext: func(ctx context.Context,
			conn net.Conn) context.Context {
			return context.WithValue(ctx, connection{}, conn)
		}}
		go func() {
			<-ctx.Done()
			_ = server.Close()
		}()
		go func() { _ = server.Serve(&bilingual{listener, config}) }()
		return listener.Addr().String()
	}
	return nil
}

// door answers users of a load balancer.
func (s *Server) door(balancer string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		if s.Time != nil {
			s.Time()
		}
		status, scheme := s.balancing.Answer(balancer, encrypted(r))
		s.mu.Unlock()
		if scheme != "" {
			http.Redirect(w, r, scheme+"://"+r.Host+r.URL.RequestURI(), status)
			return
		}
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "%s: %d %s\n", balancer, status, http.StatusText(status))
	})
}

// connection is the key of a request's connection.
type connection struct{}

func encrypted(r *http.Request) bool {
	conn, is := r.Context().Value(connection{}).(*spoken)
	if !is {
		return false
	}
	_, encrypted := conn.through.(*tls.Conn)
	return encrypted
}

// selfSigned makes a certificate that nobody trusts. The product does not look at that of a
// load balancer, which is for another name.
func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

// bilingual accepts HTTP and HTTPS at one port.
type bilingual struct {
	net.Listener
	config *tls.Config
}

// Accept does not wait for what the client says first: the connection does, when it is read.
func (l *bilingual) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &spoken{Conn: conn, config: l.config}, nil
}

// spoken is a connection that is encrypted if its first byte says so.
type spoken struct {
	net.Conn
	config  *tls.Config
	once    sync.Once
	through net.Conn
	err     error
}

// handshake is the first byte of a connection by TLS.
const handshake = 0x16

func (e *spoken) listen() {
	first := make([]byte, 1)
	if _, e.err = io.ReadFull(e.Conn, first); e.err != nil {
		return
	}
	e.through = &readAhead{Conn: e.Conn, first: bytes.NewReader(first)}
	if first[0] == handshake {
		e.through = tls.Server(e.through, e.config)
	}
}

func (e *spoken) Read(p []byte) (int, error) {
	if e.once.Do(e.listen); e.err != nil {
		return 0, e.err
	}
	return e.through.Read(p)
}

func (e *spoken) Write(p []byte) (int, error) {
	if e.once.Do(e.listen); e.err != nil {
		return 0, e.err
	}
	return e.through.Write(p)
}

// readAhead gives back what was read ahead.
type readAhead struct {
	net.Conn
	first *bytes.Reader
}

func (p *readAhead) Read(b []byte) (int, error) {
	if p.first.Len() > 0 {
		return p.first.Read(b)
	}
	return p.Conn.Read(b)
}
