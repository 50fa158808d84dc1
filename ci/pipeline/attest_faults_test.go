package pipeline

import (
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// TestAKeyThatDoesNotSign is a key of KMS whose public part may be read, and nothing more.
func TestAKeyThatDoesNotSign(t *testing.T) {
	a := newAttested(t)
	block, _ := pem.Decode([]byte(a.public))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetPublicKey") {
			assert.NoError(t, json.NewEncoder(w).Encode(map[string]any{
				"PublicKey": block.Bytes, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY",
			}))
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"AccessDeniedException","message":"no"}`))
	}))
	t.Cleanup(server.Close)
	opts := a.opts
	opts.Stages, opts.Attest = []string{verdict.Attest}, AttestOptions{KMS: "alias/x", From: a.from}
	opts.Rollout.Endpoint = server.URL
	run := Run(t.Context(), a.backend, opts).Run
	assert.Equal(t, "SIGN_FAILED", run.Code, run.Cause)
	assert.NotContains(t, fmt.Sprint(run), "secret-words")
	image, err := openedImage(t, a)
	require.NoError(t, err)
	bundles, err := image.Bundles()
	require.NoError(t, err)
	assert.Empty(t, bundles, "nothing is attached")
}

// TestDeploySaysWhatTheSourceLetsPass: its rules are no part of the call.
func TestDeploySaysWhatTheSourceLetsPass(t *testing.T) {
	a := newAttested(t)
	file := filepath.Join(a.from, "audit", "findings.json")
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(string(content), `"low"`, `"critical"`, 1)), 0o600))
	require.Equal(t, verdict.Pass, a.attest(t, a.private, a.from).Verdict)
	stage := a.deploy(t)
	assert.Equal(t, verdict.Pass, stage.Verdict, stage.Cause)
	require.NotEmpty(t, stage.Warnings)
	assert.Equal(t, "VULNERABILITIES_LET_PASS", stage.Warnings[0].Code)
	assert.Contains(t, stage.Warnings[0].Cause, "CVE-1 of a (note)")
}
