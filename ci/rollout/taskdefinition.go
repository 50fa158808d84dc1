package rollout

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// ContainerName is the name of the application's container.
const ContainerName = "app"

// prepareName is the name of the container that makes the volumes writable and exits.
const prepareName = "prepare-volumes"

// The container's own health check. ECS ignores the HEALTHCHECK of an image, so it is
// in the task definition. ECS gives up on a task StartPeriod + checkInterval * checkRetries
// seconds after its start; during the start period failures do not count.
const (
	checkInterval = 15
	checkTimeout  = 5
	checkRetries  = 4
)

// patience is how long a task may take to become healthy before ECS replaces it.
func (s *settings) patience() time.Duration {
	return s.StartPeriod + checkInterval*checkRetries*time.Second
}

// tasks renders the task definition.
type tasks struct{ *settings }

func (s tasks) taskDefinition() *ecs.RegisterTaskDefinitionInput {
	task := &ecs.RegisterTaskDefinitionInput{
		Family:                  aws.String(s.names.family),
		RequiresCompatibilities: []types.Compatibility{types.CompatibilityFargate},
		NetworkMode:             types.NetworkModeAwsvpc,
		Cpu:                     aws.String(strconv.Itoa(s.CPU)),
		Memory:                  aws.String(strconv.Itoa(s.Memory)),
		ExecutionRoleArn:        aws.String(s.ExecutionRole),
		TaskRoleArn:             aws.String(s.TaskRole),
		RuntimePlatform: &types.RuntimePlatform{
			CpuArchitecture: types.CPUArchitecture(s.tuning.Architecture), OperatingSystemFamily: types.OSFamilyLinux,
		},
	}
	if s.EphemeralStorage > fargateStorage {
		task.EphemeralStorage = &types.EphemeralStorage{SizeInGiB: int32(s.EphemeralStorage)}
	}
	app := s.appContainer()
	scratch := s.scratchPaths()
	for _, path := range scratch {
		// No host and no file system: fresh scratch storage for each task.
		task.Volumes = append(task.Volumes, types.Volume{Name: aws.String(volumeName(path))})
		app.MountPoints = append(app.MountPoints, mountPoint(path))
	}
	if len(scratch) > 0 {
		app.DependsOn = []types.ContainerDependency{{ContainerName: aws.String(prepareName), Condition: types.ContainerConditionSuccess}}
		task.ContainerDefinitions = append(task.ContainerDefinitions, s.prepareContainer(app.MountPoints, scratch))
	}
	for _, volume := range s.Volumes {
		task.Volumes = append(task.Volumes, fileSystem(volume))
		app.MountPoints = append(app.MountPoints, mountPoint(volume.Path))
	}
	task.ContainerDefinitions = append(task.ContainerDefinitions, app)
	return task
}

func (s tasks) appContainer() types.ContainerDefinition {
	app := types.ContainerDefinition{
		Name:      aws.String(ContainerName),
		Image:     aws.String(s.image.Written()),
		Essential: aws.Bool(true),
		User:      aws.String(strconv.Itoa(s.App.User)),
		// In awsvpc mode the host port is the container's; sent anyway, so that the registered
		// and the described definition are equal.
		PortMappings: []types.PortMapping{{
			ContainerPort: aws.Int32(int32(s.App.Port)), HostPort: aws.Int32(int32(s.App.Port)), Protocol: types.TransportProtocolTcp,
			Name: aws.String("http"),
		}},
		ReadonlyRootFilesystem: aws.Bool(!s.WritableRoot),
		LinuxParameters: &types.LinuxParameters{
			Capabilities: &types.KernelCapabilities{Drop: []string{"ALL"}},
			// Reaps children and forwards SIGTERM, which a shell as first process would not.
			InitProcessEnabled: aws.Bool(true),
		},
		Environment: s.environmentVariables(),
		Secrets:     s.secretReferences(),
		HealthCheck: &types.HealthCheck{
			Command: s.healthCommand(), Interval: aws.Int32(checkInterval), Timeout: aws.Int32(checkTimeout),
			Retries: aws.Int32(checkRetries), StartPeriod: aws.Int32(int32(s.StartPeriod.Seconds())),
		},
		StopTimeout:        aws.Int32(int32(s.tuning.StopSeconds)),
		Ulimits:            []types.Ulimit{{Name: types.UlimitNameNofile, SoftLimit: 65536, HardLimit: 65536}},
		LogConfiguration:   s.logging(ContainerName),
		VersionConsistency: types.VersionConsistencyEnabled,
	}
	if s.NoPort {
		app.PortMappings, app.HealthCheck = nil, nil
	}
	if len(s.Command) > 0 {
		app.Command = s.Command
	}
	return app
}

// prepareContainer makes the task's volumes writable for the application's user: Fargate
// mounts them with owner root and mode 0755 ("Use bind mounts with Amazon ECS"), unless
// the image declares each of them as VOLUME, which not every builder can. It runs the
// image's own chmod, as root without capabilities, on a read-only root file system, and
// exits before the application starts.
func (s tasks) prepareContainer(mounts []types.MountPoint, paths []string) types.ContainerDefinition {
	return types.ContainerDefinition{
		Name:                   aws.String(prepareName),
		Image:                  aws.String(s.image.Written()),
		Essential:              aws.Bool(false),
		User:                   aws.String("0"),
		EntryPoint:             []string{"/bin/chmod"},
		Command:                append([]string{"1777"}, paths...),
		MountPoints:            slices.Clone(mounts),
		ReadonlyRootFilesystem: aws.Bool(true),
		LinuxParameters:        &types.LinuxParameters{Capabilities: &types.KernelCapabilities{Drop: []string{"ALL"}}},
		LogConfiguration:       s.logging(prepareName),
		VersionConsistency:     types.VersionConsistencyEnabled,
	}
}

// fargateStorage is the default scratch storage of a task, in GiB.
const fargateStorage = 20

func mountPoint(path string) types.MountPoint {
	return types.MountPoint{SourceVolume: aws.String(volumeName(path)), ContainerPath: aws.String(path), ReadOnly: aws.Bool(false)}
}

// fileSystem is a volume that outlives the task. It is not prepared: its modes come from the
// access point or from the directory itself.
func fileSystem(volume spec.Volume) types.Volume {
	efs := &types.EFSVolumeConfiguration{FileSystemId: aws.String(volume.FileSystem), TransitEncryption: types.EFSTransitEncryptionEnabled}
	if volume.AccessPoint != "" || volume.IAM {
		efs.AuthorizationConfig = &types.EFSAuthorizationConfig{}
	}
	if volume.AccessPoint != "" {
		efs.AuthorizationConfig.AccessPointId = aws.String(volume.AccessPoint)
	}
	if volume.IAM {
		efs.AuthorizationConfig.Iam = types.EFSAuthorizationConfigIAMEnabled
	}
	return types.Volume{Name: aws.String(volumeName(volume.Path)), EfsVolumeConfiguration: efs}
}

// unkept are the declared volumes without a file system: their content is lost with the task.
func (s *settings) unkept() []string {
	return slices.DeleteFunc(slices.Clone(s.App.Volumes), func(path string) bool {
		return slices.ContainsFunc(s.Volumes, func(v spec.Volume) bool { return v.Path == path })
	})
}

// scratchPaths are the volumes of unkept and, with a read-only root, /tmp.
func (s tasks) scratchPaths() []string {
	paths := s.unkept()
	if !s.WritableRoot && !slices.Contains(paths, "/tmp") && !slices.ContainsFunc(s.Volumes,
		func(v spec.Volume) bool { return v.Path == "/tmp" }) {
		paths = append(paths, "/tmp")
	}
	return paths
}

// volumeName is a path as the name of a volume: letters, digits, hyphens, underscores.
func volumeName(path string) string {
	return strings.Trim(regexpNotName.ReplaceAllString(strings.TrimPrefix(path, "/app/"), "-"), "-")
}

// healthCommand probes the application from inside its container. Python is the only program
// that every image of this pipeline has. Proxies of the environment are bypassed. No answer
// and an answer other than success both exit with code 1.
func (s tasks) healthCommand() []string {
	script := fmt.Sprintf("import urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:%d%s', timeout=%d).read()",
		s.App.Port, s.App.Health, checkTimeout-1)
	return []string{"CMD", "python", "-c", script}
}

func (s tasks) environmentVariables() []types.KeyValuePair {
	vars := maps.Clone(s.Vars)
	if vars == nil {
		vars = map[string]string{}
	}
	if _, set := vars["HOME"]; !set && !s.WritableRoot {
		if _, set := s.App.Vars["HOME"]; !set {
			vars["HOME"] = "/tmp" // libraries write caches there, and nothing else is writable
		}
	}
	var all []types.KeyValuePair
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		all = append(all, types.KeyValuePair{Name: aws.String(name), Value: aws.String(vars[name])})
	}
	return all
}

func (s tasks) secretReferences() []types.Secret {
	var all []types.Secret
	for _, name := range slices.Sorted(maps.Keys(s.Secrets)) {
		all = append(all, types.Secret{Name: aws.String(name), ValueFrom: aws.String(s.Secrets[name])})
	}
	return all
}

// logging does not let ECS create the log group: that needs a right that the execution role
// should not have, and creates a group without retention.
func (s tasks) logging(prefix string) *types.LogConfiguration {
	return &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
		"awslogs-group":         s.names.logGroup,
		"awslogs-region":        s.Region,
		"awslogs-stream-prefix": prefix,
		// A blocked log call would block the application with it.
		"mode":            "non-blocking",
		"max-buffer-size": "25m",
	}}
}
