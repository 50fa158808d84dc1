package junit

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

func TestMarkFlaky(t *testing.T) {
	const two = `<testsuites tests="4" failures="2" errors="1"><testsuite name="one" tests="2" failures="1" errors="1"><testcase classname="t.a" name="x" file="t/a.py"><failure message="m">text</failure></testcase><testcase classname="t.a" name="y" file="t/a.py"><error message="e"/></testcase></testsuite><testsuite name="two" tests="2" failures="1"><testcase classname="t.b" name="x" file="t/b.py"><failure message="n"/></testcase><testcase name="z"/></testsuite></testsuites>`
	var b strings.Builder
	require.NoError(t, MarkFlaky(&b, strings.NewReader(two), xmlscan.Limits{}, func(id string) bool { return id == "t/a.py::x" || id == "t/a.py::y" }))
	assert.Contains(t, b.String(), `<testsuites tests="4" failures="1" errors="0"><testsuite name="one" tests="2" failures="0" errors="0">`)
	assert.Contains(t, b.String(), `<testsuite name="two" tests="2" failures="1">`)
	assert.Contains(t, b.String(), `<flakyFailure message="m">text</flakyFailure>`)
	r, err := Parse(strings.NewReader(b.String()), Options{})
	require.NoError(t, err)
	assert.Equal(t, Counts{Passed: 1, Failed: 1, Flaky: 2}, r.Counts)
	assert.Equal(t, "1 passed, 2 flaky, 1 failed", r.String())
	assert.Empty(t, r.Disagreements)
	assert.Equal(t, 4, r.Total())
	assert.Equal(t, 4, r.Executed())

	for _, broken := range []string{"", "<testsuite>", "<coverage/>"} {
		require.Error(t, MarkFlaky(&b, strings.NewReader(broken), xmlscan.Limits{}, func(string) bool { return true }), broken)
	}
}

// pytest writes the skip of a subtest into the element of its test.
func TestATestIsNoMoreSkippedThanItWasTold(t *testing.T) {
	document := `<testsuite name="pytest" tests="4" skipped="3">` +
		`<testcase classname="tests.a" name="part" file="tests/a.py"><skipped message="m"/></testcase>` +
		`<testcase classname="tests.a" name="known" file="tests/a.py"><skipped type="pytest.xfail" message="m"/></testcase>` +
		`<testcase classname="tests.a" name="whole" file="tests/a.py"><skipped message="real"/></testcase>` +
		`<testcase classname="tests.a" name="bad" file="tests/a.py"><failure message="f"/></testcase></testsuite>`
	told := map[string]Outcome{"tests/a.py::part": Passed, "tests/a.py::known": Passed, "tests/a.py::whole": Skipped, "tests/a.py::bad": Passed}
	r, err := Parse(strings.NewReader(document), Options{Told: func(id string) Outcome { return told[id] }})
	require.NoError(t, err)
	assert.Equal(t, Counts{Passed: 2, Skipped: 1, Failed: 1}, r.Counts, "a failure is never taken back")
	assert.Equal(t, map[string]int{"real": 1}, r.SkipReasons)
	assert.Empty(t, r.Disagreements)
}

func TestAnAttemptWhoseSubtestsFailedIsFlaky(t *testing.T) {
	document := `<testsuite name="pytest">` +
		`<testcase classname="tests.a" name="s" file="tests/a.py"><failure message="sub"/></testcase><testcase classname="tests.a" name="s" file="tests/a.py"/></testsuite>`
	for outcome, want := range map[Outcome]Counts{Passed: {Flaky: 1}, Failed: {Failed: 1}, "": {Failed: 1}} {
		r, err := Parse(strings.NewReader(document), Options{Again: func(string) bool { return true }, Told: func(string) Outcome { return outcome }})
		require.NoError(t, err)
		assert.Equal(t, want, r.Counts, outcome)
	}
}
