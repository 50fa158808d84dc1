//go:build unix

package runner_test

import (
	"context"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/conformance"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// indexReachable says whether packages can be installed here. It asks nothing of the
// index but a connection, unless another one is set up for pip.
func indexReachable(t *testing.T) bool {
	t.Helper()
	if os.Getenv("PIP_INDEX_URL") != "" || os.Getenv("UV_DEFAULT_INDEX") != "" || os.Getenv("HTTPS_PROXY") != "" || os.Getenv("https_proxy") != "" {
		return true
	}
	connection, err := net.DialTimeout("tcp", "pypi.org:443", 5*time.Second)
	if err != nil {
		t.Logf("no package index is in reach: %v", err)
		return false
	}
	require.NoError(t, connection.Close())
	return true
}

// newRunner returns a runner whose end the test checks.
func newRunner(t *testing.T, opts native.Options) *native.Runner {
	t.Helper()
	r, err := native.New(opts)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, r.Close(context.WithoutCancel(t.Context()))) })
	return r
}

func alive(pid int) bool { return syscall.Kill(pid, 0) == nil }

// TestNativeConforms runs the suite on Python 3.11, or on the version in
// OPENSTACK_RCA_TEST_PYTHON.
func TestNativeConforms(t *testing.T) {
	reachable.Python(t)
	cache := t.TempDir()
	conformance.Suite(t, func(t *testing.T) runner.Runner {
		return newRunner(t, native.Options{CacheDir: cache, Log: t.Output()})
	}, conformance.Options{
		Python:   os.Getenv("OPENSTACK_RCA_TEST_PYTHON"),
		Packages: indexReachable(t),
		Cache:    cache,
		Alive:    alive,
		Source:   func(_ *testing.T, dir string) runner.Files { return native.Source(dir) },
	})
}
