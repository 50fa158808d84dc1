//go:build unix

package runner_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/conformance"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	"github.com/openstack-rca/openstack-rca/tests/reachable"
)

// indexReachable asks pip, with the user's own settings, whether it can get a package.
func indexReachable(t *testing.T) bool {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "python3", "-m", "pip", "download", "--quiet", "--no-deps", "--dest", t.TempDir(), "six==1.17.0").CombinedOutput()
	if err != nil {
		t.Logf("no package index is in reach: %v: %s", err, out)
	}
	return err == nil
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
