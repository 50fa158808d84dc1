package junit

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("testdata/" + name)
	require.NoError(t, err)
	return string(content)
}

func TestParseCountsAsPytestDoes(t *testing.T) {
	// pytest's own last line for this run: 3 failed, 4 passed, 1 skipped, 1 xfailed,
	// 1 xpassed, 3 errors; 11 tests were collected. One of the failed tests errored in
	// its tear-down too, one of the passed did.
	var ids []string
	r, err := Parse(strings.NewReader(read(t, "outcomes.xml")), Options{Each: func(c Case) { ids = append(ids, c.ID()) }})
	require.NoError(t, err)
	assert.Equal(t, Counts{Passed: 4, Failed: 3, Errored: 2, Skipped: 1, XFailed: 1}, r.Counts)
	assert.Equal(t, 11, r.Total())
	assert.Equal(t, 9, r.Executed())
	assert.Equal(t, 5, r.Bad())
	assert.Equal(t, "4 passed, 3 failed, 2 errored, 1 skipped, 1 xfailed", r.String())
	assert.Empty(t, r.Disagreements)
	assert.Len(t, ids, 11)
	assert.Equal(t, "tests/test_x.py::TestC::test_m[x y]", ids[10])
	require.Len(t, r.Failures, 5)
	assert.Equal(t, "tests/test_x.py::test_bad", r.Failures[0].ID())
	assert.Equal(t, "assert 1 == 2\n +  where 1 = f(1)", r.Failures[0].Message)
	assert.Equal(t, "tests/test_x.py:6: AssertionError", r.Failures[0].Tail[len(r.Failures[0].Tail)-1])
	assert.Equal(t, map[string]int{"no": 1}, r.SkipReasons)
	assert.Equal(t, r.Counts, r.Files["tests/test_x.py"].Counts)
	assert.Len(t, r.Timestamps, 1)
}

func TestParseTellsACollectionErrorFromATest(t *testing.T) {
	r, err := Parse(strings.NewReader(read(t, "collection.xml")), Options{})
	require.NoError(t, err)
	assert.Zero(t, r.Total())
	require.Len(t, r.CollectionErrors, 1)
	assert.Equal(t, "tests/test_y.py", r.CollectionErrors[0].ID())
	assert.Contains(t, strings.Join(r.CollectionErrors[0].Tail, "\n"), "No module named 'nope'")
}

func TestParseRefuses(t *testing.T) {
	suite := func(body string) string { return "<testsuites><testsuite>" + body + "</testsuite></testsuites>" }
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"nothing":                       {"", xmlscan.ErrEmpty},
		"a truncated report":            {`<testsuites><testsuite tests="2"><testcase name="a"/>`, xmlscan.ErrTruncated},
		"a coverage report":             {`<coverage/>`, xmlscan.ErrRoot},
		"a page of HTML":                {`<html><body></body></html>`, xmlscan.ErrRoot},
		"an entity bomb":                {`<!DOCTYPE x [<!ENTITY a "b">]><testsuites/>`, xmlscan.ErrEntity},
		"binary":                        {"\x7fELF\x02\x01", nil},
		"a test outside of any suite":   {`<testsuites><testcase name="a"/></testsuites>`, nil},
		"a duration that is NaN":        {suite(`<testcase name="a" time="NaN"/>`), ErrDuration},
		"a duration below zero":         {suite(`<testcase name="a" time="-1"/>`), ErrDuration},
		"a duration with a comma":       {suite(`<testcase name="a" time="1,5"/>`), ErrDuration},
		"a declared total of no number": {`<testsuite tests="many"></testsuite>`, nil},
		"a declared total below zero":   {`<testsuite errors="-1"></testsuite>`, nil},
		"more files than allowed":       {suite(`<testcase name="a" file="a"/><testcase name="a" file="b"/><testcase name="a" file="c"/>`), ErrTooManyFiles},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Parse(strings.NewReader(c.in), Options{Files: 2})
			require.Error(t, err)
			assert.Nil(t, r)
			if c.want != nil {
				assert.ErrorIs(t, err, c.want)
			}
		})
	}
}

func TestParseNotesTotalsThatTheTestsDeny(t *testing.T) {
	r, err := Parse(strings.NewReader(`<testsuite name="s" tests="3" failures="0" errors="0" skipped="0"><testcase name="a"><failure message="m"/></testcase></testsuite>`), Options{})
	require.NoError(t, err)
	assert.Equal(t, []string{`suite "s" declares 3 tests and holds 1`, `suite "s" declares 0 failures and holds 1`}, r.Disagreements)
}

func TestParseCountsNestedSuitesOnce(t *testing.T) {
	r, err := Parse(strings.NewReader(`<testsuite tests="2"><testsuite tests="1"><testcase classname="a.B" name="a"/></testsuite><testcase name="b"/></testsuite>`), Options{})
	require.NoError(t, err)
	assert.Equal(t, 2, r.Total())
	assert.Empty(t, r.Disagreements)
}

func TestParseTakesTheGravestResult(t *testing.T) {
	r, err := Parse(strings.NewReader(`<testsuite><testcase name="a"><skipped message="s"/><failure message="f"><deep/></failure><error message="e"/><system-out>x</system-out></testcase></testsuite>`), Options{})
	require.NoError(t, err)
	assert.Equal(t, Counts{Failed: 1}, r.Counts)
	assert.Equal(t, "f", r.Failures[0].Message)
}

func TestParseKeepsTheEndOfWhatATestPrinted(t *testing.T) {
	r, err := Parse(strings.NewReader(`<testsuite><testcase name="a"><failure message="f">text</failure><system-out>---- Captured Log ----

---- Captured Out ----
one
two

</system-out><system-err>three</system-err></testcase><testcase name="b"><error/></testcase></testsuite>`), Options{})
	require.NoError(t, err)
	require.Len(t, r.Failures, 2)
	assert.Equal(t, []string{"text"}, r.Failures[0].Tail)
	assert.Equal(t, []string{"one", "two", "three"}, r.Failures[0].Output)
	assert.Empty(t, r.Failures[1].Output)
}

func TestParseKeepsLittle(t *testing.T) {
	var b strings.Builder
	b.WriteString("<testsuite>")
	for i := range 100 {
		fmt.Fprintf(&b, `<testcase name="t%d" time="%d.5"><failure message="%s">%s</failure></testcase>`, i, i%25, strings.Repeat("m", 9000), strings.Repeat("line\n", 2000))
	}
	b.WriteString("</testsuite>")
	r, err := Parse(strings.NewReader(b.String()), Options{Failures: 20, Slowest: 3})
	require.NoError(t, err)
	assert.Equal(t, 100, r.Failed)
	require.Len(t, r.Failures, 20)
	assert.LessOrEqual(t, len(r.Failures[0].Message), maxMessage+3)
	assert.Len(t, r.Failures[0].Tail, tailLines)
	require.Len(t, r.Slowest, 3)
	assert.InDelta(t, 24.5, r.Slowest[0].Seconds, 1e-9)
	assert.InDelta(t, 24.5, r.Slowest[2].Seconds, 1e-9)
}

func TestID(t *testing.T) {
	for want, c := range map[string]Case{
		"n":                    {Name: "n"},
		"a.b::n":               {ClassName: "a.b", Name: "n"},
		"a/b.py::n":            {File: "a/b.py", ClassName: "a.b", Name: "n"},
		"a/b.py::C::D::n":      {File: "a/b.py", ClassName: "a.b.C.D", Name: "n"},
		"a/b.py::m":            {File: "a/b.py", ClassName: "elsewhere.K", Name: "m"},
		"tests/test_broken.py": {File: "tests/test_broken.py", Name: "tests.test_broken", Collection: true},
	} {
		assert.Equal(t, want, c.ID())
	}
}

func TestMergeKeepsEveryTest(t *testing.T) {
	one, two := read(t, "outcomes.xml"), `<testsuite name="two" tests="1"><testcase name="z" time="9"/></testsuite>`
	var merged strings.Builder
	require.NoError(t, Merge(&merged, xmlscan.Limits{}, strings.NewReader(one), strings.NewReader(two)))
	r, err := Parse(strings.NewReader(merged.String()), Options{})
	require.NoError(t, err)
	assert.Equal(t, 12, r.Total())
	assert.Empty(t, r.Disagreements)
	assert.Equal(t, "z", r.Slowest[0].Name)
}

func TestMergeRefusesATruncatedShard(t *testing.T) {
	err := Merge(io.Discard, xmlscan.Limits{}, strings.NewReader("<testsuites/>"), strings.NewReader("<testsuite>"))
	require.ErrorIs(t, err, xmlscan.ErrTruncated)
	assert.ErrorContains(t, err, "2 of 2")
	assert.Error(t, Merge(broken{}, xmlscan.Limits{}, strings.NewReader("<testsuites/>")))
}

func TestWriteIsReadBack(t *testing.T) {
	cases := []Case{
		{ClassName: "a.b", Name: "x<&>\"", File: "a/b.py", Seconds: 1.25, Outcome: Passed},
		{Name: "f", Outcome: Failed, Message: "assert 1", Tail: []string{"one", "two"}, Output: []string{"printed"}},
		{Name: "e", Outcome: Errored}, {Name: "s", Outcome: Skipped, Message: "why"}, {Name: "x", Outcome: XFailed},
	}
	var b strings.Builder
	require.NoError(t, Write(&b, "partial", cases))
	var got []Case
	r, err := Parse(strings.NewReader(b.String()), Options{Each: func(c Case) { got = append(got, c) }})
	require.NoError(t, err)
	assert.Equal(t, cases, got)
	assert.Empty(t, r.Disagreements)
	assert.Error(t, Write(broken{}, "x", cases))
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("disk full") }

// large yields a report of n tests with the given output each, without holding it.
type large struct {
	n, i   int
	output string
	buf    string
	ended  bool
}

func (l *large) Read(p []byte) (int, error) {
	for l.buf == "" {
		switch {
		case l.i == 0:
			l.buf = fmt.Sprintf(`<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="%d">`, l.n)
		case l.i <= l.n:
			l.buf = fmt.Sprintf(`<testcase classname="tests.unit.test_%d.TestThing" name="test_something_long[%d]" file="tests/unit/test_%d.py" line="10" time="0.0%d"><system-out>%s</system-out></testcase>`,
				l.i%500, l.i, l.i%500, l.i%100, l.output)
		case !l.ended:
			l.buf, l.ended = "</testsuite></testsuites>", true
		default:
			return 0, io.EOF
		}
		l.i++
	}
	n := copy(p, l.buf)
	l.buf = l.buf[n:]
	return n, nil
}

// The full size, 200,000 tests in 100 MB, is that of BenchmarkParse and of
// tests/teststage: it takes too long under the race detector.
func TestParseReadsAStream(t *testing.T) {
	r, err := Parse(&large{n: 2000, output: strings.Repeat("o", 330)}, Options{})
	require.NoError(t, err)
	assert.Equal(t, 2000, r.Passed)
	assert.Len(t, r.Files, 500)
	assert.Len(t, r.Slowest, 10)
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(200_000 * 500)
	b.ReportAllocs()
	for range b.N {
		r, err := Parse(&large{n: 200_000, output: strings.Repeat("o", 330)}, Options{})
		require.NoError(b, err)
		require.Equal(b, 200_000, r.Total())
	}
}

func TestAttemptsAtOneTestAreOneTest(t *testing.T) {
	document := `<testsuites><testsuite name="s" tests="4">` +
		`<testcase classname="a" name="x" time="1"/><testcase classname="a" name="y"/><testcase classname="a" name="x" time="2"/><testcase classname="a" name="x" time="3"/>` +
		`<testcase classname="a" name="z"/><testcase classname="a" name="z"><failure message="m"/></testcase><testcase classname="a" name="z"><error message="n"/></testcase></testsuite></testsuites>`
	var seen []string
	r, err := Parse(strings.NewReader(document), Options{
		Again:    func(id string) bool { return id != "a::y" },
		Declared: 4,
		Each:     func(c Case) { seen = append(seen, c.ID()) },
	})
	require.NoError(t, err)
	assert.Equal(t, Counts{Passed: 1, Flaky: 1, Failed: 1}, r.Counts)
	assert.Equal(t, []string{"a::y", "a::x", "a::z"}, seen)
	assert.Equal(t, "m", r.Failures[0].Message)
	assert.InDelta(t, 6, r.Seconds, 1e-9)
	assert.Empty(t, r.Disagreements, "as many as the caller knows of")

	r, err = Parse(strings.NewReader(document), Options{})
	require.NoError(t, err)
	assert.Equal(t, 6, r.Total(), "nobody says that any was run again")
	assert.Equal(t, []string{`suite "s" declares 4 tests and holds 7`}, r.Disagreements)
}

// What pytest writes with --doctest-modules of modules that skip themselves, or fail, as they are loaded.
func TestModulesThatWereLoadedTwiceAreNoContradiction(t *testing.T) {
	suite := func(tests int, kind string) string {
		result := `<` + kind + ` message="collection ` + map[string]string{"skipped": "skipped", "error": "failure"}[kind] + `">x</` + kind + `>`
		return fmt.Sprintf(`<testsuite name="s" tests="%d"><testcase classname="" name="tests.a" file="tests/a.py">%s%s</testcase>`+
			`<testcase classname="" name="tests.b" file="tests/b.py">%s</testcase><testcase classname="c" name="d"/></testsuite>`, tests, result, result, result)
	}
	for _, kind := range []string{"skipped", "error"} {
		for tests, want := range map[int]int{3: 0, 4: 0, 5: 1, 2: 1} {
			r, err := Parse(strings.NewReader(suite(tests, kind)), Options{})
			require.NoError(t, err)
			assert.Len(t, r.Disagreements, want, "%s, %d declared", kind, tests)
		}
	}
	r, err := Parse(strings.NewReader(suite(6, "skipped")), Options{Declared: 3})
	require.NoError(t, err)
	assert.Empty(t, r.Disagreements, "subtests and modules")
}

func TestLongNamesStayDifferent(t *testing.T) {
	long := "test_a[" + strings.Repeat("x", 2000)
	assert.Equal(t, "test_a[1]", Short("test_a[1]"))
	assert.NotEqual(t, Short(long+"1]"), Short(long+"2]"))
	assert.Less(t, len(Short(long)), 1100)
	assert.Equal(t, "tests/test_a.py::TestB::"+Short(long+"::c]"), ShortID("tests/test_a.py::TestB::"+long+"::c]"), "as the report has it")
	assert.Equal(t, Short(long), ShortID(long))
	r, err := Parse(strings.NewReader(`<testsuite tests="2"><testcase classname="t" name="`+long+`1]"/><testcase classname="t" name="`+long+`2]"/></testsuite>`),
		Options{Again: func(string) bool { return true }})
	require.NoError(t, err)
	assert.Equal(t, 2, r.Total(), "two tests, not two attempts at one")
}

func FuzzParse(f *testing.F) {
	for _, name := range []string{"outcomes.xml", "collection.xml"} {
		content, err := os.ReadFile("testdata/" + name)
		require.NoError(f, err)
		f.Add(content)
	}
	f.Add([]byte(`<testsuite tests="1"><testcase name="a" time="1"><skipped type="pytest.xfail"/></testcase></testsuite>`))
	f.Fuzz(func(t *testing.T, content []byte) {
		tests := 0
		r, err := Parse(strings.NewReader(string(content)), Options{
			Limits: xmlscan.Limits{Bytes: 1 << 20, Depth: 20, Elements: 1000},
			Each:   func(Case) { tests++ },
		})
		if err != nil {
			assert.Nil(t, r)
			return
		}
		assert.Equal(t, tests, r.Total()+len(r.CollectionErrors))
		assert.GreaterOrEqual(t, r.Seconds, 0.0)
		again, err := Parse(strings.NewReader(string(content)), Options{
			Limits: xmlscan.Limits{Bytes: 1 << 20, Depth: 20, Elements: 1000}, Again: func(id string) bool { return len(id)%2 == 0 },
		})
		require.NoError(t, err)
		assert.LessOrEqual(t, again.Total(), r.Total(), "attempts are never more tests")
		assert.Equal(t, r.Bad() > 0, again.Bad() > 0, "and hide no failure")
		var merged strings.Builder
		assert.NoError(t, Merge(&merged, xmlscan.Limits{}, strings.NewReader(string(content))))
	})
}
