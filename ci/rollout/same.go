package rollout

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecs"
	"github.com/openstack-rca/openstack-rca/ci/awscall/wire"
)

// same reports whether two task definitions, without their tags, mean the same to ECS: values
// that it fills in by itself are as good as left out, and variables have no order. A default that
// is not known here makes a difference, and then a new revision; never the other way round.
func same(a, b *ecs.RegisterTaskDefinitionInput) bool {
	return reflect.DeepEqual(normalised(a), normalised(b))
}

// Same reports whether a described and a planned task definition mean the same to ECS.
func Same(a, b *ecs.RegisterTaskDefinitionInput) bool { return same(a, b) }

func normalised(in *ecs.RegisterTaskDefinitionInput) any {
	plain, _ := wire.Encode(in).(map[string]any)
	delete(plain, "tags")
	for key, per := range map[string]float64{"cpu": 1024, "memory": 1024} {
		if text, given := plain[key].(string); given {
			plain[key] = units(text, per)
		}
	}
	return reduce("", plain, fmt.Sprint(plain["networkMode"]) == "awsvpc")
}

// defaults are what ECS fills in, by member (API reference, RegisterTaskDefinition and its types).
var defaults = map[string]any{
	"essential": true, "protocol": "tcp", "interval": int64(30), "timeout": int64(5), "retries": int64(3), "rootDirectory": "/",
	"transitEncryption": "DISABLED", "networkMode": "bridge", "versionConsistency": "enabled",
}

// free are the members whose keys are data, and zeros those for which 0 is not what ECS takes when nothing is given
// (API reference, LinuxParameters and ContainerDefinition).
var (
	free  = []string{"dockerLabels", "labels", "options", "driverOpts"}
	zeros = []string{"maxSwap", "swappiness", "startTimeout", "stopTimeout"}
)

// reduce drops what says nothing: empty values, and defaults.
func reduce(key string, value any, awsvpc bool) any {
	switch v := value.(type) {
	case map[string]any:
		if slices.Contains(free, key) && len(v) > 0 {
			return v
		}
		out := map[string]any{}
		for name, member := range v {
			reduced := reduce(name, member, awsvpc)
			if reduced == nil || reflect.DeepEqual(defaults[name], reduced) {
				continue
			}
			out[name] = reduced
		}
		if key == "portMappings" && awsvpc && reflect.DeepEqual(out["hostPort"], out["containerPort"]) {
			delete(out, "hostPort")
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		all := []any{}
		for _, item := range v {
			if text, is := item.(string); is {
				all = append(all, text) // an argument may be empty
				continue
			}
			if reduced := reduce(key, item, awsvpc); reduced != nil {
				all = append(all, reduced)
			}
		}
		if key == "environment" || key == "secrets" {
			slices.SortFunc(all, func(a, b any) int { return cmp.Compare(nameIn(a), nameIn(b)) })
		}
		if len(all) == 0 {
			return nil
		}
		return all
	case string:
		if v == "" && key != "value" {
			return nil
		}
	case bool:
		if !v {
			// essential is true by default; elsewhere false is.
			if key != "essential" {
				return nil
			}
		}
	case int64:
		if v == 0 && !slices.Contains(zeros, key) {
			return nil
		}
	}
	return value
}

func nameIn(item any) string {
	members, _ := item.(map[string]any)
	name, _ := members["name"].(string)
	return name
}

// units reads a size that may have a unit, such as 1 vCPU or 2GB, as ECS stores it.
func units(text string, per float64) string {
	number := strings.TrimSpace(strings.TrimRight(strings.ToLower(text), "vcpugb "))
	value, err := strconv.ParseFloat(number, 64)
	if err != nil || number == strings.TrimSpace(text) {
		return text
	}
	return strconv.FormatFloat(value*per, 'f', -1, 64)
}
