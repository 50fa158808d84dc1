package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// authority makes certificates for one test.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pool        *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{pool: x509.NewCertPool()}
	own := a.make(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign})
	a.key = own.PrivateKey.(*ecdsa.PrivateKey)
	var err error
	a.certificate, err = x509.ParseCertificate(own.Certificate[0])
	require.NoError(t, err)
	a.pool.AddCert(a.certificate)
	return a
}

// make signs a certificate by the authority, or by itself for the authority's own.
func (a *authority) make(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template.SerialNumber, template.Subject = big.NewInt(time.Now().UnixNano()), pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := template, key
	if a.certificate != nil {
		parent, signer = a.certificate, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// forward accepts connections and passes each on to what dial opens.
func forward(t *testing.T, listener net.Listener, dial func() (net.Conn, error)) {
	t.Helper()
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			from, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer from.Close()
				to, err := dial()
				if err != nil {
					return
				}
				defer to.Close()
				go func() { _, _ = io.Copy(to, from); _ = to.Close() }()
				_, _ = io.Copy(from, to)
			}()
		}
	}()
}

// TestAnEngineBehindTLS reaches an engine as docs/engines.md says of one far away: the CLI speaks to the local end of a
// tunnel, and the other end lets in who has a certificate.
func TestAnEngineBehindTLS(t *testing.T) {
	reachable.Engine(t)
	socket, ok := strings.CutPrefix(os.Getenv("_EXPERIMENTAL_DAGGER_RUNNER_HOST"), "unix://")
	if !ok {
		t.Skip("the engine is not reached by a socket of this machine (_EXPERIMENTAL_DAGGER_RUNNER_HOST)")
	}
	a := newAuthority(t)
	usage := func(u x509.ExtKeyUsage) *x509.Certificate {
		return &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{u}}
	}
	var served atomic.Int64
	far, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{a.make(t, usage(x509.ExtKeyUsageServerAuth))},
		ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: a.pool,
	})
	require.NoError(t, err)
	forward(t, &handshaking{far}, func() (net.Conn, error) {
		served.Add(1)
		return net.Dial("unix", socket)
	})
	near := func(certificates ...tls.Certificate) string {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		config := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: a.pool, Certificates: certificates, ServerName: "127.0.0.1"}
		forward(t, listener, func() (net.Conn, error) { return tls.Dial("tcp", far.Addr().String(), config) })
		return "tcp://" + listener.Addr().String()
	}
	call := func(address string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "timeout", append([]string{"600", "dagger", "--progress=plain"}, args...)...)
		cmd.Env = append(os.Environ(), "NO_COLOR=1", "_EXPERIMENTAL_DAGGER_RUNNER_HOST="+address)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}

	out, err := call(near(a.make(t, usage(x509.ExtKeyUsageClientAuth))), "-m", reachable.Root(), "call", "--source", tiny(), "test", "summary")
	require.NoError(t, err, out)
	assert.Contains(t, out, "| test | ✅ pass")
	assert.Positive(t, served.Load())

	before := served.Load()
	cmd := exec.CommandContext(t.Context(), "timeout", "20", "dagger", "--progress=plain", "core", "version")
	cmd.Env = append(os.Environ(), "NO_COLOR=1", "_EXPERIMENTAL_DAGGER_RUNNER_HOST="+near())
	refused, err := cmd.CombinedOutput()
	require.Error(t, err, string(refused))
	assert.Equal(t, before, served.Load(), "who has no certificate does not reach the engine")
}

// handshaking accepts only connections whose handshake succeeded: the certificate is looked at before anything is
// passed on.
type handshaking struct{ net.Listener }

// Accept implements net.Listener.
func (h *handshaking) Accept() (net.Conn, error) {
	for {
		connection, err := h.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if secured, is := connection.(*tls.Conn); is && secured.Handshake() == nil {
			return connection, nil
		}
		_ = connection.Close()
	}
}
