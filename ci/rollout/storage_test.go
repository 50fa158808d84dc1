package rollout

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestAFileSystemKeepsWhatTheApplicationWrites(t *testing.T) {
	in := input("staging")
	in.Spec.Volumes = []spec.Volume{
		{Path: "/app/data", FileSystem: "fs-0123456789abcdef0", AccessPoint: "fsap-0123456789abcdef0", IAM: true},
		{Path: "/srv/shared", FileSystem: "fs-0123456789abcdef1"},
	}
	plan := mustPlan(t, in)
	assert.JSONEq(t, `[
		{"name": "logs"}, {"name": "tmp"},
		{"name": "data", "efsVolumeConfiguration": {"fileSystemId": "fs-0123456789abcdef0", "transitEncryption": "ENABLED",
			"authorizationConfig": {"accessPointId": "fsap-0123456789abcdef0", "iam": "ENABLED"}}},
		{"name": "srv-shared", "efsVolumeConfiguration": {"fileSystemId": "fs-0123456789abcdef1", "transitEncryption": "ENABLED"}}
	]`, string(wire.Indent(wire.Encode(plan.TaskDefinition.Volumes))))
	prepare, app := plan.TaskDefinition.ContainerDefinitions[0], plan.TaskDefinition.ContainerDefinitions[1]
	assert.Equal(t, []string{"1777", "/app/logs", "/tmp"}, prepare.Command, "the modes of a file system are nobody's to change")
	require.Len(t, prepare.MountPoints, 2)
	var mounted []string
	for _, m := range app.MountPoints {
		mounted = append(mounted, *m.SourceVolume+" "+*m.ContainerPath)
	}
	assert.Equal(t, []string{"logs /app/logs", "tmp /tmp", "data /app/data", "srv-shared /srv/shared"}, mounted)
}

func TestPlanAndReportSayWhatBecomesOfWhatIsWritten(t *testing.T) {
	in := input("staging")
	in.Spec.Volumes = []spec.Volume{{Path: "/app/data", FileSystem: "fs-0123456789abcdef0"}}
	plan := mustPlan(t, in)
	assert.Contains(t, plan.Markdown(), "Volumes that are kept: /app/data on fs-0123456789abcdef0.")
	assert.Contains(t, plan.Markdown(), "Scratch volumes, fresh for each task and gone with it: /app/logs.")
	stage := verdict.Stage{}
	plan.Storage(&stage)
	assert.Equal(t, []string{"kept volumes", "scratch volumes"}, []string{stage.Evidence[0].Name, stage.Evidence[1].Name})

	in.Spec.App.Volumes, in.Spec.Volumes = nil, nil
	plan, stage = mustPlan(t, in), verdict.Stage{}
	plan.Storage(&stage)
	assert.Empty(t, stage.Evidence)
	assert.False(t, strings.Contains(plan.Markdown(), "olumes that") || strings.Contains(plan.Markdown(), "Scratch volumes"))
}

func TestATaskWithoutScratchNeedsNothingPrepared(t *testing.T) {
	in := input("staging")
	in.Spec.App.Volumes, in.Spec.WritableRoot = []string{"/app/data"}, true
	in.Spec.Volumes = []spec.Volume{{Path: "/app/data", FileSystem: "fs-0123456789abcdef0"}}
	task := mustPlan(t, in).TaskDefinition
	require.Len(t, task.ContainerDefinitions, 1)
	assert.Empty(t, task.ContainerDefinitions[0].DependsOn)
}
