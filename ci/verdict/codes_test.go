package verdict_test

import (
	"testing"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestCodesAreSortedByStage(t *testing.T) {
	a := verdict.Code{Name: "B", Stage: "train", Outcome: verdict.Fail, Meaning: "m", Remedy: "r"}
	b := verdict.Code{Name: "A", Stage: "train", Meaning: "m", Remedy: "r"}
	c := verdict.Code{Name: "Z", Stage: "test", Outcome: verdict.CouldNotRun, Meaning: "a | b", Remedy: "r"}
	codes, err := verdict.Codes([]verdict.Code{a, b}, []verdict.Code{c}, verdict.OwnCodes())
	require.NoError(t, err)
	assert.Equal(t, verdict.Preflight, codes[0].Stage)
	var order []string
	for _, code := range codes[len(codes)-3:] {
		order = append(order, code.Name)
	}
	assert.Equal(t, []string{"Z", "A", "B"}, order)
}

func TestCodesRefuses(t *testing.T) {
	good := verdict.Code{Name: "GOOD", Stage: "test", Outcome: verdict.Fail, Meaning: "m", Remedy: "r"}
	for name, tc := range map[string]struct {
		change func(*verdict.Code)
		want   string
	}{
		"a name declared twice":   {func(*verdict.Code) {}, "test GOOD: declared twice"},
		"a name in lower case":    {func(c *verdict.Code) { c.Name = "good" }, "upper case"},
		"an empty name":           {func(c *verdict.Code) { c.Name = "" }, "upper case"},
		"a stage there is not":    {func(c *verdict.Code) { c.Stage = "polish" }, `"polish" is not a stage`},
		"a code without meaning":  {func(c *verdict.Code) { c.Name, c.Meaning = "X", " " }, "no meaning"},
		"a code without remedy":   {func(c *verdict.Code) { c.Name, c.Remedy = "X", "" }, "no remedy"},
		"pass as a way to fail":   {func(c *verdict.Code) { c.Name, c.Outcome = "X", verdict.Pass }, "is not that of a failure"},
		"a name that trails off_": {func(c *verdict.Code) { c.Name = "X_" }, "upper case"},
	} {
		t.Run(name, func(t *testing.T) {
			other := good
			tc.change(&other)
			_, err := verdict.Codes([]verdict.Code{good}, []verdict.Code{other})
			assert.ErrorContains(t, err, tc.want)
		})
	}
}
