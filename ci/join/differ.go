package join

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/openstack-rca/openstack-rca/ci/imageref"
)

// differences names what containers of two images are started with differently, as the configuration of an
// image calls it. Variables are left out: a base image has some of its platform's own.
func differences(a, b v1.Config) []string {
	one, other := parts(a), parts(b)
	both := maps.Clone(one)
	maps.Copy(both, other)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(both)), func(name string) bool {
		return reflect.DeepEqual(one[name], other[name])
	})
}

// parts are the fields of a configuration that are set, each label as a field, without what is compared by
// itself, and without the base image's digest.
func parts(c v1.Config) map[string]any {
	labels := c.Labels
	c.Labels, c.Env = nil, nil
	all := map[string]any{}
	content, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(content, &all)
	}
	if err != nil { // it was read from JSON
		all["configuration"] = err.Error()
	}
	for name, value := range labels {
		if !slices.Contains([]string{imageref.LabelBase, imageref.LabelModelSHA256, imageref.LabelRevision}, name) {
			all["label "+name] = value
		}
	}
	return all
}

// variables names those that are set differently.
func variables(a, b v1.Config) []string {
	one, other := slices.Sorted(slices.Values(a.Env)), slices.Sorted(slices.Values(b.Env))
	var names []string
	for _, pair := range [][2][]string{{one, other}, {other, one}} {
		for _, entry := range pair[0] {
			name, _, _ := strings.Cut(entry, "=")
			if !slices.Contains(pair[1], entry) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
