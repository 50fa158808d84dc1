package strictjson_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/strictjson"
)

func TestParseReadsEveryKindOfValue(t *testing.T) {
	value, err := strictjson.Parse([]byte(`{"a":[1,2.5,-3e2],"b":{"c":null,"d":true},"e":"x"} `), strictjson.Limits{})
	require.NoError(t, err)
	assert.Equal(t, map[string]any{
		"a": []any{1.0, 2.5, -300.0},
		"b": map[string]any{"c": nil, "d": true},
		"e": "x",
	}, value)
}

func TestParseRefuses(t *testing.T) {
	cases := map[string]struct {
		content   string
		message   string
		notFinite bool
	}{
		"an empty document":             {"", "document is empty", false},
		"blank space":                   {" \n\t", "document is empty", false},
		"a key that is there twice":     {"{\"a\":1,\n\"a\":2}", "line 2, a: the key is there twice", false},
		"a nested double key":           {`{"a":{"b":1,"b":2}}`, "a.b: the key is there twice", false},
		"NaN as Python writes it":       {`{"accuracy": NaN}`, "accuracy: NaN is not a finite number", true},
		"Infinity":                      {`{"h":[{"loss": Infinity}]}`, "h[0].loss: Infinity is not a finite number", true},
		"minus Infinity":                {`[1, -Infinity]`, "[1]: -Infinity is not a finite number", true},
		"a number beyond float64":       {`{"a":1e999}`, "a: 1e999 is too large", true},
		"two documents":                 {`{} {}`, "more than one document", false},
		"garbage behind the document":   {`{} x`, "more than one document", false},
		"a document that ends early":    {`{"a": [1, 2`, "ends too early", false},
		"a trailing comma":              {`[1,]`, "invalid character", false},
		"a trailing comma in an object": {`{"a":1,}`, "line 1", false},
		"a missing colon":               {`{"a" 1}`, "line 1", false},
		"a key that is a number":        {`{1:2}`, "line 1", false},
		"text that is not UTF-8":        {"{\"a\":\"\xff\"}", "not valid UTF-8", false},
		"a byte order mark":             {"\ufeff{}", "line 1", false},
		"single quotes":                 {`{'a':1}`, "line 1", false},
		"a bracket of the other kind":   {`[1}`, "line 1", false},
		"deep nesting":                  {strings.Repeat("[", 300), "nested deeper than 100", false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			value, err := strictjson.Parse([]byte(c.content), strictjson.Limits{})
			assert.Nil(t, value)
			var fault *strictjson.Error
			require.ErrorAs(t, err, &fault)
			assert.Contains(t, err.Error(), c.message)
			assert.Equal(t, c.notFinite, fault.NotFinite)
		})
	}
}

func TestParseHoldsTheLimitOnValues(t *testing.T) {
	_, err := strictjson.Parse([]byte(`[1,2,3]`), strictjson.Limits{Values: 3})
	assert.ErrorContains(t, err, "more than 3 values")
}

// Whatever Parse accepts, encoding/json accepts too.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{`{"a":1}`, `[1,{"b":null}]`, `{"a":NaN}`, `{"a":1,"a":1}`, "[[[[", `"x"`, `-0`, `[1,]`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		_, err := strictjson.Parse(content, strictjson.Limits{Depth: 20, Values: 1000})
		if err == nil && !json.Valid(content) {
			t.Fatalf("accepted invalid JSON: %q", content)
		}
	})
}
