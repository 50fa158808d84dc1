package config

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	certificateARN = regexp.MustCompile(`^arn:aws[a-z-]*:acm:[a-z0-9-]+:([0-9]{12}):certificate/[A-Za-z0-9-]+$`)
	topicARN       = regexp.MustCompile(`^arn:aws[a-z-]*:sns:[a-z0-9-]+:([0-9]{12}):[A-Za-z0-9_-]{1,256}$`)
	// Grants name keys: an alias in a policy of IAM allows nothing.
	keyARN        = regexp.MustCompile(`^arn:aws[a-z-]*:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$`)
	fileSystemID  = regexp.MustCompile(`^fs-[0-9a-f]{8,40}$`)
	accessPointID = regexp.MustCompile(`^fsap-[0-9a-f]{8,40}$`)
)

// surroundings checks what stands around the tasks: load balancer, alarms, storage.
func (v *validator) surroundings(r Rollout) {
	v.arn("rollout.certificate", r.Certificate, r.Account, certificateARN,
		"the ARN of a certificate: arn:aws:acm:<region>:<account>:certificate/<id>")
	v.arn("rollout.alarm_topic", r.AlarmTopic, r.Account, topicARN, "the ARN of an SNS topic: arn:aws:sns:<region>:<account>:<name>")
	v.ids("rollout.balancer_subnets", r.BalancerSubnets, subnetID, "subnet", "subnet-0123456789abcdef0")
	v.ids("rollout.balancer_security_groups", r.BalancerSecurityGroups, groupID, "security group", "sg-0123456789abcdef0")
	// Elastic Load Balancing takes 0 to 3600 seconds (deregistration_delay.timeout_seconds).
	v.duration("rollout.drain", r.Drain, 0, time.Hour)
	if time.Duration(r.Drain)%time.Second != 0 {
		v.bad("rollout.drain", "%s is not a whole number of seconds", time.Duration(r.Drain))
	}
	// Fargate gives 20 GiB, and takes 21 to 200 (EphemeralStorage.sizeInGiB).
	v.between("rollout.ephemeral_storage", r.EphemeralStorage, 20, 200)
	for i, key := range r.KMSKeys {
		at := fmt.Sprintf("rollout.kms_keys[%d]", i)
		if !keyARN.MatchString(key) {
			v.bad(at, "%q is not the ARN of a key: arn:aws:kms:<region>:<account>:key/<id>; an alias is none", key)
		}
		if slices.Contains(r.KMSKeys[:i], key) {
			v.bad(at, "%s is there already", key)
		}
	}
	v.volumes(r.Volumes)
}

func (v *validator) arn(key, value, account string, form *regexp.Regexp, what string) {
	m := form.FindStringSubmatch(value)
	switch {
	case value == "":
	case m == nil:
		v.bad(key, "%q is not %s", value, what)
	case account != "" && m[1] != account:
		v.bad(key, "the ARN is of account %s, rollout.account is %s", m[1], account)
	}
}

func (v *validator) volumes(all []Volume) {
	for i, volume := range all {
		at := fmt.Sprintf("rollout.volumes[%d]", i)
		if !path.IsAbs(volume.Path) || path.Clean(volume.Path) != volume.Path || volume.Path == "/" {
			v.bad(at+".path", "%q is not an absolute path without . and .., such as /app/data", volume.Path)
		}
		for _, other := range all[:i] {
			if within(volume.Path, other.Path) || within(other.Path, volume.Path) {
				v.bad(at+".path", "%s and %s are one inside the other", volume.Path, other.Path)
			}
		}
		if !fileSystemID.MatchString(volume.FileSystem) {
			v.bad(at+".file_system", "%q is not a file system of Amazon EFS, such as fs-0123456789abcdef0", volume.FileSystem)
		}
		if volume.AccessPoint != "" && !accessPointID.MatchString(volume.AccessPoint) {
			v.bad(at+".access_point", "%q is not an access point, such as fsap-0123456789abcdef0", volume.AccessPoint)
		}
	}
}

// within says that a path is another or lies below it.
func within(inner, outer string) bool {
	return strings.HasPrefix(inner+"/", strings.TrimSuffix(outer, "/")+"/")
}
