package testrun

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

func TestTestsThatCannotFail(t *testing.T) {
	with := func(event string) outputs {
		return green().with("events.jsonl", green()[".report/events.jsonl"]+event+"\n")
	}
	for name, c := range map[string]struct {
		left    outputs
		verdict verdict.Outcome
		cause   string
	}{
		"no assertion":                     {with(`{"event":"optimized","plain":true}`), verdict.Fail, "no assert was executed"},
		"assertions of test modules alone": {with(`{"event":"optimized"}`), verdict.Pass, "only those in test modules"},
		"results": {with(`{"event":"hollow","type":"returned","id":"tests/test_a.py::test_x[1]"}` + "\n" +
			`{"event":"hollow","type":"returned","id":"tests/test_a.py::test_x[2]"}`),
			verdict.Pass, "a test returned its result, which pytest ignores: tests/test_a.py::test_x"},
		"several results": {with(`{"event":"hollow","type":"returned","id":"a.py::x"}` + "\n" + `{"event":"hollow","type":"returned","id":"a.py::y"}`), verdict.Pass,
			"2 tests returned their results"},
		"a thread": {with(`{"event":"hollow","type":"thread","id":"a.py::x"}` + "\n" + `{"event":"hollow","type":"?","id":"a.py::y"}`), verdict.Pass,
			"a thread of a test ended with an exception, which pytest ignores: a.py::x"},
		"a function that nobody called": {with(`{"event":"hollow","type":"uncalled","id":"a.py::x"}`), verdict.Pass,
			"the function of a test was never called: a hook"},
		"no function that anybody called": {with(strings.Repeat(`{"event":"hollow","type":"uncalled","id":"a.py::x"}`+"\n", 9)), verdict.Fail,
			"no function of a test was called"},
	} {
		t.Run(name, func(t *testing.T) {
			r := judge(t, input(t), 0, c.left)
			assert.Equal(t, c.verdict, r.Stage.Verdict)
			if c.verdict == verdict.Fail {
				assert.Equal(t, "TESTS_HOLLOW", r.Stage.Code)
				assert.Contains(t, r.Stage.Cause, c.cause)
				return
			}
			if assert.Equal(t, []string{"TESTS_HOLLOW"}, codes(r.Stage.Warnings)) {
				assert.Contains(t, r.Stage.Warnings[0].Cause, c.cause)
			}
		})
	}
}

func TestMostTestsSkippedIsTold(t *testing.T) {
	suiteOf := func(passed, skipped int) outputs {
		var cases, ids []string
		for n := range passed + skipped {
			name := fmt.Sprint("test_", n)
			ids = append(ids, "tests/test_inference.py::"+name)
			if n < passed {
				cases = append(cases, passing(name))
			} else {
				cases = append(cases, `<testcase classname="tests.test_inference" name="`+name+
					`" file="tests/test_inference.py" time="0"><skipped type="pytest.skip" message="later"/></testcase>`)
			}
		}
		events := eventLines(ids...)
		for _, id := range ids[passed:] {
			events = strings.Replace(events, fmt.Sprintf(`"result","id":%q,"when":"call","outcome":"passed"`, id),
				fmt.Sprintf(`"result","id":%q,"when":"setup","outcome":"skipped"`, id), 1)
		}
		return green().with("junit.xml", suite(cases...)).with("events.jsonl", events)
	}
	in := input(t)
	in.Config.Test.MaxSkipped = -1
	r := judge(t, in, 0, suiteOf(2, 3))
	assert.Equal(t, []string{"TESTS_HOLLOW"}, codes(r.Stage.Warnings))
	assert.Contains(t, r.Stage.Warnings[0].Cause, "3 of 5 tests were skipped")
	assert.Empty(t, judge(t, in, 0, suiteOf(2, 2)).Stage.Warnings)
	in.Config.Test.MaxSkipped = 3
	assert.Empty(t, judge(t, in, 0, suiteOf(2, 3)).Stage.Warnings, "somebody said how many")
}

// A command may run pytest twice; the reports are of the second.
func TestAnEarlierPytestThatFailedIsNotForgotten(t *testing.T) {
	r := judge(t, input(t), 0, green().with("events.jsonl", strings.Replace(green()[".report/events.jsonl"], `"added":[]`, `"added":[],"before":1`, 1)))
	assert.Equal(t, verdict.Fail, r.Stage.Verdict)
	assert.Equal(t, "REPORT_DISAGREES", r.Stage.Code)
	assert.Contains(t, r.Stage.Cause, "an earlier pytest of the same command ended with status 1")
}
