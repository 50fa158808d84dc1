package ensure

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/rollout"
)

// Difference is a value that is not as the plan wants it.
type Difference struct {
	// Path is where, such as HealthCheckPath or environment.LOG_LEVEL.
	Path string `json:"path"`
	// Have is what exists, nil when nothing does; Want is what the plan says. Values that
	// could be secrets are replaced by Redacted.
	Have any `json:"have"`
	Want any `json:"want"`
}

// Redacted stands in place of a value that could be a secret.
const Redacted = "(redacted)"

// Lists without order, by the name of their member.
var unordered = []string{"subnets", "securitygroups", "alarmnames", "alarmactions", "values", "drop"}

// Lists of pairs in which nothing may be that the plan does not say.
var complete = []string{"environment", "secrets"}

// compare lists where have is not as want says. What want does not say may be anything,
// as AWS fills in defaults; tags are not compared.
func compare(have, want any) []Difference { return compareAt("", have, want) }

func compareAt(path string, have, want any) []Difference {
	switch w := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		var all []Difference
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if strings.EqualFold(key, "tags") {
				continue
			}
			all = append(all, compareAt(under(path, key), h[key], w[key])...)
		}
		return all
	case []any:
		return compareLists(path, have, w)
	default:
		if reflect.DeepEqual(have, want) {
			return nil
		}
		return []Difference{shown(path, have, want)}
	}
}

func compareLists(path string, have any, want []any) []Difference {
	h, _ := have.([]any)
	if pairs, isPairs := pairsOf(want); isPairs {
		there, _ := pairsOf(h)
		all := compareAt(path, there, pairs)
		if slices.Contains(complete, last(path)) {
			for _, key := range slices.Sorted(maps.Keys(there)) {
				if _, wanted := pairs[key]; !wanted {
					all = append(all, shown(under(path, key), there[key], nil))
				}
			}
		}
		return all
	}
	if slices.Contains(unordered, strings.ToLower(last(path))) {
		h, want = sorted(h), sorted(want)
	}
	if len(h) != len(want) {
		return []Difference{shown(path, nilIfEmpty(h), want)}
	}
	var all []Difference
	for i := range want {
		all = append(all, compareAt(path+"["+strconv.Itoa(i)+"]", h[i], want[i])...)
	}
	return all
}

// shown makes a difference, without what could be a secret.
func shown(path string, have, want any) Difference {
	return Difference{path, redact(last(path), have), redact(last(path), want)}
}

func redact(name string, value any) any {
	switch v := value.(type) {
	case string:
		if rollout.LooksSecret(name, v) && !strings.HasPrefix(v, "arn:") {
			return Redacted
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = redact(name, v[i])
		}
		return out
	case map[string]any:
		if pairs, isPairs := pairsOf([]any{v}); isPairs {
			v = pairs
		}
		out := map[string]any{}
		for key, item := range v {
			out[key] = redact(key, item)
		}
		return out
	}
	return value
}

// pairsOf reads a list of names with values as the map that it means.
func pairsOf(all []any) (map[string]any, bool) {
	pairs := map[string]any{}
	for _, item := range all {
		members, ok := item.(map[string]any)
		if !ok || len(members) > 2 {
			return nil, false
		}
		found := false
		for _, names := range [][2]string{{"key", "value"}, {"Key", "Value"}, {"name", "value"}, {"Name", "Value"}, {"name", "valueFrom"}} {
			key, isText := members[names[0]].(string)
			value, isThere := members[names[1]]
			if isText && (isThere || len(members) == 1) && !found {
				pairs[key], found = value, true
			}
		}
		if !found {
			return nil, false
		}
	}
	return pairs, len(all) > 0
}

func sorted(all []any) []any {
	out := slices.Clone(all)
	slices.SortFunc(out, func(a, b any) int { return strings.Compare(text(a), text(b)) })
	return out
}

func text(value any) string {
	s, _ := value.(string)
	return s
}

func nilIfEmpty(all []any) any {
	if len(all) == 0 {
		return nil
	}
	return all
}

func under(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func last(path string) string { return path[strings.LastIndexByte(path, '.')+1:] }
