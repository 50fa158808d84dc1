package rollout

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/openstack-rca/openstack-rca/ci/partition"
	"github.com/openstack-rca/openstack-rca/ci/rollout/spec"
)

// checkVolumes validates the volumes of the image and of the rollout: each path, and that no
// two have the same name.
func (c *checker) checkVolumes() {
	seen := map[string]string{}
	check := func(key, path string) {
		if !volumeForm.MatchString(path) || strings.Contains(path, "..") {
			c.bad(PlanInvalid, "%s: %q is not an absolute path", key, path)
			return
		}
		if other, twice := seen[volumeName(path)]; twice {
			c.bad(PlanInvalid, "%s: %q has the same volume name as %q", key, path, other)
		}
		seen[volumeName(path)] = path
	}
	for i, path := range c.App.Volumes {
		if !slices.ContainsFunc(c.Volumes, func(v spec.Volume) bool { return v.Path == path }) {
			check(fmt.Sprintf("image.volumes[%d]", i), path)
		}
	}
	for i, volume := range c.Volumes {
		key := fmt.Sprintf("rollout.volumes[%d].path", i)
		check(key, volume.Path)
		if slices.Contains([]string{"/", "/app", "/app/" + strings.Trim(c.App.ModelDir, "/")}, strings.TrimSuffix(volume.Path, "/")) {
			c.bad(PlanInvalid, "%s: %q would hide what the image brings", key, volume.Path)
		}
	}
}

// checkKeys refuses keys for which no right to decrypt would be granted.
func (c *checker) checkKeys() {
	for i, key := range c.KMSKeys {
		at := fmt.Sprintf("rollout.kms_keys[%d]", i)
		a, err := arn.Parse(key)
		if err != nil || a.Service != "kms" || !strings.HasPrefix(a.Resource, "key/") {
			c.bad(PlanInvalid, "%s: %q is not the ARN of a key", at, key)
			continue
		}
		// The key may be another account's, which then has to allow it too.
		if want := partition.ID(c.Region); a.Partition != want || a.Region != c.Region {
			c.bad(AccountMismatch, "%s: the key is of region %q in partition %s, rollout.region is %s in %s", at, a.Region, a.Partition,
				c.Region, want)
		}
	}
	switch {
	case len(c.KMSKeys) == 0:
	case !c.roleMade:
		c.bad(RoleInvalid,
			"rollout.kms_keys: rollout.execution_role is given and stays as it is; give it kms:Decrypt on these keys, and leave the key out")
	case len(c.Secrets) == 0 && c.environment != Sandbox:
		c.bad(PlanInvalid, "rollout.kms_keys: rollout.secrets is empty, so there is nothing to decrypt")
	}
}

// storage describes the volumes that outlive a task and those that do not.
func (s *settings) storage() (kept, lost string) {
	var names []string
	for _, volume := range s.Volumes {
		names = append(names, volume.Path+" on "+volume.FileSystem)
	}
	return strings.Join(names, ", "), strings.Join(s.unkept(), ", ")
}

// volumesOf are the volumes that the service gives each task (configuredAtLaunch), for a task of its own: ECS refuses one
// without them. It deletes them with the task, unless it is told otherwise.
func volumesOf(service *types.Service) []types.TaskVolumeConfiguration {
	var all []types.TaskVolumeConfiguration
	for _, d := range service.Deployments {
		if aws.ToString(d.Status) != "PRIMARY" {
			continue
		}
		for _, v := range d.VolumeConfigurations {
			own := types.TaskVolumeConfiguration{Name: v.Name}
			if ebs := v.ManagedEBSVolume; ebs != nil {
				own.ManagedEBSVolume = &types.TaskManagedEBSVolumeConfiguration{
					RoleArn: ebs.RoleArn, Encrypted: ebs.Encrypted, FilesystemType: ebs.FilesystemType, Iops: ebs.Iops, KmsKeyId: ebs.KmsKeyId,
					SizeInGiB: ebs.SizeInGiB, SnapshotId: ebs.SnapshotId, TagSpecifications: slices.Clone(ebs.TagSpecifications),
					Throughput: ebs.Throughput, VolumeInitializationRate: ebs.VolumeInitializationRate, VolumeType: ebs.VolumeType,
				}
				for n := range own.ManagedEBSVolume.TagSpecifications { // there is no service whose tags could be taken
					if tags := &own.ManagedEBSVolume.TagSpecifications[n]; tags.PropagateTags == types.PropagateTagsService {
						tags.PropagateTags = ""
					}
				}
			}
			all = append(all, own)
		}
	}
	return all
}
