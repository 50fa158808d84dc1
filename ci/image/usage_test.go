package image_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/image"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// usage is what the report of a world's image says of starting it.
func usage(t *testing.T, w *world) (reference, command string, service types.ServiceConfig) {
	t.Helper()
	r := w.run()
	require.Equal(t, verdict.Pass, r.Stage.Verdict, r.Stage.Failure())
	for _, block := range r.Stage.Blocks {
		if block.Title == "Run it" {
			command = block.Log
		}
	}
	for _, file := range r.Stage.Files {
		if file.Path != "image/compose.yaml" {
			continue
		}
		// As `docker compose config` does: against the specification's schema, with variables
		// replaced and short forms read.
		project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
			WorkingDir: t.TempDir(), ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: file.Content}},
		}, func(o *loader.Options) { o.SetProjectName("rca", true) })
		require.NoError(t, err, string(file.Content))
		service, err = project.GetService("rca")
		require.NoError(t, err)
		for _, volume := range service.Volumes {
			assert.Contains(t, project.Volumes, volume.Source, "declared")
		}
	}
	return r.Reference.Written(), command, service
}

func TestTheComposeFileIsOneAndHasTheOptions(t *testing.T) {
	w := newWorld(t)
	w.in.Config.Image.Health, w.in.Config.Image.StartBudget = "/ready?for=$USER&it='s", config.Duration(90*time.Second)
	w.in.Config.Rollout.CPU, w.in.Config.Rollout.Memory = 1024, 4096
	reference, _, service := usage(t, w)
	assert.Equal(t, reference, service.Image)
	require.Len(t, service.Ports, 1)
	assert.Equal(t, "7051", service.Ports[0].Published)
	assert.EqualValues(t, 7051, service.Ports[0].Target)
	assert.Equal(t, types.RestartPolicyUnlessStopped, service.Restart)
	assert.EqualValues(t, 1, service.CPUS)
	assert.EqualValues(t, 4096<<20, service.MemLimit)
	assert.True(t, service.ReadOnly)
	assert.Equal(t, []string{"ALL"}, service.CapDrop)
	assert.Equal(t, types.StringList{"/tmp"}, service.Tmpfs)
	require.Len(t, service.Volumes, 2)
	assert.Equal(t, "app-data", service.Volumes[0].Source)
	assert.Equal(t, "/app/data", service.Volumes[0].Target)
	check := service.HealthCheck
	assert.Equal(t, append([]string{"CMD"}, image.HealthCommand(7051, w.in.Config.Image.Health)...), []string(check.Test))
	assert.Contains(t, check.Test[len(check.Test)-1], "?for=$USER&it=%27s")
	assert.EqualValues(t, 3, *check.Retries)
	assert.Equal(t, "30s 10s 1m30s", check.Interval.String()+" "+check.Timeout.String()+" "+check.StartPeriod.String())
}

// argumentsOf has a shell split a command whose program is docker.
func argumentsOf(t *testing.T, command string) []string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "docker"), []byte("#!/bin/sh\nprintf '%s\\0' \"$@\"\n"), 0o700)) //nolint:gosec // it is run
	shell := exec.CommandContext(t.Context(), "/bin/sh", "-euc", command)
	shell.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"))
	out, err := shell.Output()
	require.NoError(t, err, command)
	return strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
}

func TestTheRunCommandHasTheOptions(t *testing.T) {
	for _, health := range []string{"/_stcore/health", "/it's?a=$HOME", "/`id`", `/"\!`} {
		w := newWorld(t)
		w.in.Config.Image.Health, w.in.Config.Image.StartBudget = health, config.Duration(90*time.Second)
		w.in.Config.Rollout.CPU, w.in.Config.Rollout.Memory = 512, 2048
		reference, command, _ := usage(t, w)
		arguments := argumentsOf(t, command)
		check := arguments[len(arguments)-2]
		assert.Equal(t, []string{
			"run", "-d", "--name", "rca", "--restart", "unless-stopped", "-p", "7051:7051", "--read-only", "--cap-drop", "ALL", "--memory", "2048m", "--cpus", "0.5",
			"-v", "app-data:/app/data", "-v", "app-logs:/app/logs", "--tmpfs", "/tmp",
			"--health-interval", "30s", "--health-timeout", "10s", "--health-retries", "3", "--health-start-period", "1m30s", "--health-cmd", check, reference,
		}, arguments)
		// The check is a shell's command once more.
		program, rest, _ := strings.Cut(check, " ")
		assert.Equal(t, append([]string{program}, argumentsOf(t, "docker "+rest)...), image.HealthCommand(7051, health))
	}
}

func TestAVolumeOfTheScratchDirectoryIsNoTmpfsAsWell(t *testing.T) {
	w := newWorld(t)
	w.in.Config.Image.Volumes = []string{"/tmp", "/data/logs+more"}
	_, command, service := usage(t, w)
	assert.NotContains(t, command, "--tmpfs")
	assert.Contains(t, command, "-v data-logs-more:/data/logs+more")
	assert.Empty(t, service.Tmpfs)
	require.Len(t, service.Volumes, 2)
}
