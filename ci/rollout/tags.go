package rollout

import (
	"regexp"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
)

// TagPrefix is the prefix of every tag's key. Only resources with these tags are changed.
const TagPrefix = "openstack-rca/"

// TagConfigHash holds the hash of a task definition without its tags: an equal hash means
// that the registered revision can be used again.
const TagConfigHash = TagPrefix + "config-hash"

var regexpNotName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

type tag struct{ key, value string }

// ownership are the tags of every resource. They are the same for all releases.
func (s *settings) ownership() []tag {
	return []tag{
		{TagPrefix + "application", s.Application},
		{TagPrefix + "environment", s.environment},
		{TagPrefix + "service", s.names.service},
	}
}

// Ownership are the tags of every resource of the plan: what carries all of them may be
// changed and deleted by it.
func (p *Plan) Ownership() map[string]string { return tagMap(p.settings.ownership()) }

// release are the tags of a task definition: the commit and model of this revision.
func (s *settings) release() []tag {
	all := s.ownership()
	if s.commit != "" {
		all = append(all, tag{TagPrefix + "commit", s.commit})
	}
	if s.model != nil {
		all = append(all, tag{TagPrefix + "model-version", strconv.Itoa(s.model.Number)}, tag{TagPrefix + "model-sha256", s.model.SHA256})
	}
	return all
}

func ecsTags(all []tag) []types.Tag {
	var out []types.Tag
	for _, t := range all {
		out = append(out, types.Tag{Key: aws.String(t.key), Value: aws.String(t.value)})
	}
	return out
}

func elbTags(all []tag) []elbtypes.Tag {
	var out []elbtypes.Tag
	for _, t := range all {
		out = append(out, elbtypes.Tag{Key: aws.String(t.key), Value: aws.String(t.value)})
	}
	return out
}

func tagMap(all []tag) map[string]string {
	out := map[string]string{}
	for _, t := range all {
		out[t.key] = t.value
	}
	return out
}
