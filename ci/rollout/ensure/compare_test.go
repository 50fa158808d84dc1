package ensure

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWhatIsCompared(t *testing.T) {
	pair := func(name, value string) any { return map[string]any{"name": name, "value": value} }
	for name, c := range map[string]struct {
		have, want any
		differ     []Difference
	}{
		"equal":                    {map[string]any{"a": "1"}, map[string]any{"a": "1"}, nil},
		"what AWS filled in":       {map[string]any{"a": "1", "b": "2"}, map[string]any{"a": "1"}, nil},
		"tags":                     {map[string]any{}, map[string]any{"Tags": "x", "tags": "y"}, nil},
		"nothing there":            {nil, map[string]any{"a": "1"}, []Difference{{"a", nil, "1"}}},
		"subnets in another order": {map[string]any{"subnets": []any{"b", "a"}}, map[string]any{"subnets": []any{"a", "b"}}, nil},
		"a command in another order": {map[string]any{"command": []any{"b", "a"}}, map[string]any{"command": []any{"a", "b"}},
			[]Difference{{"command[0]", "b", "a"}, {"command[1]", "a", "b"}}},
		"fewer": {map[string]any{"subnets": []any{"a"}}, map[string]any{"subnets": []any{"a", "b"}},
			[]Difference{{"subnets", []any{"a"}, []any{"a", "b"}}}},
		"variables in another order": {map[string]any{"environment": []any{pair("B", "2"), pair("A", "1")}},
			map[string]any{"environment": []any{pair("A", "1"), pair("B", "2")}}, nil},
		"a variable that should not be": {map[string]any{"environment": []any{pair("B", "2"), pair("A", "1")}},
			map[string]any{"environment": []any{pair("A", "1")}}, []Difference{{"environment.B", "2", nil}}},
		"a secret as a literal is hidden": {map[string]any{"environment": []any{pair("DB_PASSWORD", "hunter2")}},
			map[string]any{"environment": []any{pair("A", "1")}}, []Difference{{"environment.A", nil, "1"},
				{"environment.DB_PASSWORD", Redacted, nil}}},
		"a secret by its looks is hidden": {map[string]any{"environment": []any{pair("URL", "https://me:hunter2@host")}},
			map[string]any{"environment": []any{pair("URL", "https://host")}}, []Difference{{"environment.URL", Redacted, "https://host"}}},
		"a whole list that hides a secret": {map[string]any{"x": []any{map[string]any{"TOKEN": "hunter2", "b": "c", "d": "e"}}},
			map[string]any{"x": []any{"a", "b"}}, []Difference{{"x", []any{map[string]any{"TOKEN": Redacted, "b": "c", "d": "e"}},
				[]any{"a", "b"}}}},
		"the ARN of a secret is shown": {map[string]any{"secrets": []any{map[string]any{"name": "API_KEY", "valueFrom": "arn:a"}}},
			map[string]any{"secrets": []any{map[string]any{"name": "API_KEY", "valueFrom": "arn:b"}}},
			[]Difference{{"secrets.API_KEY", "arn:a", "arn:b"}}},
	} {
		assert.Equal(t, c.differ, compare(c.have, c.want), name)
	}
}
