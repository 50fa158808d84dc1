package imagestage_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/runner/engine"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// An engine that can do it builds, starts and proves an image of another platform; one that
// cannot says so by a code of its own, and nothing gets a digest. The first takes a base image
// that exists for linux/arm64 (OPENSTACK_RCA_ARM64_BASE, or the usual one) and emulation on the
// engine's machine: qemu-user-static with the F flag.
func TestAnImageForAnotherPlatform(t *testing.T) {
	client := connect(t)
	in := input(t, client)
	in.Config.Image.Platform, in.Config.Image.Page = "linux/arm64", ""
	in.Config.Image.StartBudget = config.Duration(3 * time.Minute)
	if base := os.Getenv("OPENSTACK_RCA_ARM64_BASE"); base != "" {
		runner := engine.New(client, engine.Options{Tunnel: true, Image: func(string) string { return base }})
		t.Cleanup(func() {
			if err := runner.Close(context.Background()); err != nil {
				t.Log("an emulated container takes its time to end: ", err)
			}
		})
		in.Engine = runner
	}
	started := time.Now()
	result := image.Run(t.Context(), client, in)
	t.Logf("%s\n%s\n%v", time.Since(started).Round(time.Second), evidence(result.Stage), result.Stage.Problems)
	switch result.Stage.Code {
	case image.CodePlatform.Name, image.CodeWrongPlatform.Name:
		assert.Contains(t, result.Stage.Cause, "linux/arm64")
		assert.Empty(t, result.Reference.Written())
		assert.Empty(t, result.Stage.Published)
		t.Skip("this engine has no such base image or no emulation, and says so: " + result.Stage.Failure())
	}
	require.Equal(t, verdict.Pass, result.Stage.Verdict, result.Stage.Failure())
	assert.Contains(t, evidence(result.Stage), "platform: linux/arm64\n")
	machine, err := result.Container.WithExec([]string{"python", "-c", "import platform; print(platform.machine())"}).Stdout(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "aarch64\n", machine)
}
