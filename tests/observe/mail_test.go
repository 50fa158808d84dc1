package observe

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// certificate writes a certificate for localhost that signs itself, and its key.
func certificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	for name, block := range map[string]*pem.Block{"cert.pem": {Type: "CERTIFICATE", Bytes: der}, "key.pem": {Type: "PRIVATE KEY",
		Bytes: private}} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), pem.EncodeToMemory(block), 0o600))
	}
}

// TestARealMailServerTakesTheMessage sends by STARTTLS to aiosmtpd, with the command that a user calls.
func TestARealMailServerTakesTheMessage(t *testing.T) {
	uv := tool(t, "uv")
	dir := t.TempDir()
	certificate(t, dir)
	program := filepath.Join(dir, "openstack-rca")
	says(t, filepath.Join("..", ".."), "", "go", "build", "-o", program, "./ci/cmd/openstack-rca")
	address := strings.Replace(port(t), "127.0.0.1", "localhost", 1)
	source := filepath.Join(dir, "source")
	require.NoError(t, os.Mkdir(source, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(source, "main.py"), []byte("print()\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(source, "pipeline.yaml"), []byte(`notify:
  channels:
    - {name: mail, type: email, to: [ops@example.org], from: ci@example.org, host: "`+address+`", environments: [sandbox]}
`), 0o600))

	said := start(t, uv, "run", "--quiet", "--no-project", "--with", "aiosmtpd==1.4.6", "python", "-u", "-m", "aiosmtpd", "-n",
		"-l", address, "--tlscert", filepath.Join(dir, "cert.pem"), "--tlskey", filepath.Join(dir, "key.pem"),
		"-c", "aiosmtpd.handlers.Debugging", "stdout")
	until(t, 2*time.Minute, func() bool {
		conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(t.Context(), "tcp", address)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	}, said)

	call := func(environ ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), program, "notify", "--source", source, "--ref", "main")
		cmd.Env = append(os.Environ(), environ...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	out, err := call("SSL_CERT_FILE="+filepath.Join(dir, "cert.pem"), "SSL_CERT_DIR="+dir)
	require.NoError(t, err, out)
	until(t, 10*time.Second, func() bool { return strings.Contains(said(), "END MESSAGE") }, said)
	assert.Contains(t, said(), "To: ops@example.org")
	assert.Contains(t, said(), "Subject: NOTE: openstack-rca-system: a test of the notifications of sandbox")

	out, err = call()
	require.Error(t, err, "nobody vouches for this certificate")
	assert.Contains(t, out, "NOTIFY_FAILED")
	assert.Contains(t, out, "start TLS")
}
