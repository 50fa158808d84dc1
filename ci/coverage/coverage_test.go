package coverage

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

func sample(t *testing.T) *Report {
	t.Helper()
	content, err := os.ReadFile("testdata/coverage.xml")
	require.NoError(t, err)
	return parse(t, string(content))
}

func parse(t *testing.T, document string) *Report {
	t.Helper()
	r, err := Parse(strings.NewReader(document), xmlscan.Limits{})
	require.NoError(t, err)
	return r
}

// document makes a report; each file is "path:hits hits ..." with one line a number.
func document(files ...string) string {
	var b strings.Builder
	b.WriteString(`<coverage><packages><package><classes>`)
	for _, f := range files {
		name, hits, _ := strings.Cut(f, ":")
		fmt.Fprintf(&b, `<class filename="%s"><methods/><lines>`, name)
		for i, h := range strings.Fields(hits) {
			fmt.Fprintf(&b, `<line number="%d" hits="%s"/>`, i+1, h)
		}
		b.WriteString(`</lines></class>`)
	}
	b.WriteString(`</classes></package></packages></coverage>`)
	return b.String()
}

func TestParseCountsAsCoveragePyDoes(t *testing.T) {
	// coverage.py's own table for this run: 30 statements, 1 missed, 22 branches;
	// pkg/m.py 4 statements, 1 missed.
	r := sample(t)
	assert.Equal(t, Totals{Files: 3, Lines: 30, Covered: 29, Branches: 22, Taken: 19}, r.Totals())
	assert.Equal(t, "96.66%", r.Totals().LineRate().String())
	assert.Equal(t, "86.36%", r.Totals().BranchRate().String())
	assert.Equal(t, time.UnixMilli(1795390574247).UTC(), r.Timestamp)
	require.Len(t, r.Files, 3)
	assert.Equal(t, "pkg/m.py", r.Files[1].Path)
	assert.Equal(t, "4", r.Files[1].Missing())

	own, tests := r.Split(func(path string) bool { return glob.MatchAny([]string{"tests/**"}, path) })
	assert.Equal(t, len(r.Files), len(own.Files)+len(tests.Files))
	assert.Equal(t, Totals{Files: 2, Lines: 4, Covered: 3, Branches: 2, Taken: 1}, own.Totals())
	assert.Len(t, r.Files, 3, "the original is left alone")
	packages := r.Packages()
	require.Len(t, packages, 2)
	assert.Equal(t, Package{"pkg", own.Totals()}, packages[0])
}

func TestParseRefuses(t *testing.T) {
	line := func(attrs string) string {
		return `<coverage><class filename="a.py"><lines><line ` + attrs + `/></lines></class></coverage>`
	}
	for name, c := range map[string]struct {
		in   string
		want error
	}{
		"nothing":                       {"", xmlscan.ErrEmpty},
		"a truncated report":            {`<coverage><packages>`, xmlscan.ErrTruncated},
		"a JUnit report":                {`<testsuites/>`, xmlscan.ErrRoot},
		"an entity bomb":                {`<!DOCTYPE c [<!ENTITY a "b">]><coverage/>`, xmlscan.ErrEntity},
		"binary":                        {"\x00\x01\x02", nil},
		"a line rate that is NaN":       {`<coverage line-rate="NaN"/>`, ErrInvalid},
		"a line rate above one":         {`<coverage line-rate="1.5"/>`, ErrInvalid},
		"a line rate below zero":        {`<coverage line-rate="-0.1"/>`, ErrInvalid},
		"a line rate with a comma":      {`<coverage line-rate="0,8"/>`, ErrInvalid},
		"a class rate that is infinite": {`<coverage><class filename="a" line-rate="Inf"/></coverage>`, ErrInvalid},
		"a package rate of no number":   {`<coverage><package branch-rate="x"/></coverage>`, ErrInvalid},
		"hits below zero":               {line(`number="1" hits="-1"`), ErrInvalid},
		"hits that are a fraction":      {line(`number="1" hits="0.5"`), ErrInvalid},
		"hits that are NaN":             {line(`number="1" hits="NaN"`), ErrInvalid},
		"a line without hits":           {line(`number="1"`), ErrInvalid},
		"a line without a number":       {line(`hits="1"`), ErrInvalid},
		"an absurd line number":         {line(`number="99999999999" hits="1"`), ErrInvalid},
		"conditions of no known form":   {line(`number="1" hits="1" branch="true" condition-coverage="half"`), ErrInvalid},
		"more conditions met than are":  {line(`number="1" hits="1" branch="true" condition-coverage="150% (3/2)"`), ErrInvalid},
		"a line outside of any class":   {`<coverage><line number="1" hits="1"/></coverage>`, ErrInvalid},
		"a class without a file":        {`<coverage><class/></coverage>`, ErrInvalid},
		"a class in a class":            {`<coverage><class filename="a"><class filename="b"/></class></coverage>`, ErrInvalid},
		"a total of no number":          {`<coverage lines-valid="ten"/>`, ErrInvalid},
		"a timestamp of no number":      {`<coverage timestamp="now"/>`, ErrInvalid},
		"a total above its lines":       {`<coverage lines-valid="3"/>`, ErrDisagrees},
		"covered lines without hits":    {`<coverage lines-covered="3"/>`, ErrDisagrees},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := Parse(strings.NewReader(c.in), xmlscan.Limits{})
			require.Error(t, err)
			assert.Nil(t, r)
			if c.want != nil {
				assert.ErrorIs(t, err, c.want)
			}
		})
	}
}

func TestParseTakesLinesOfMethodsOnce(t *testing.T) {
	r := parse(t, `<coverage><class filename="./a.py"><methods><method><lines><line number="1" hits="1"/></lines></method></methods><lines><line number="1" hits="1"/><line number="2" hits="0"/></lines></class></coverage>`)
	assert.Equal(t, Totals{Files: 1, Lines: 2, Covered: 1}, r.Totals())
	assert.Equal(t, "a.py", r.Files[0].Path)
}

func TestParseUnitesClassesOfOneFile(t *testing.T) {
	r := parse(t, document("a.py:1 0 0", "a.py:0 1 0"))
	assert.Equal(t, Totals{Files: 1, Lines: 3, Covered: 2}, r.Totals())
}

func TestTimestampIsReadInSecondsAndMilliseconds(t *testing.T) {
	assert.Equal(t, timestamp(1795390574), timestamp(1795390574000))
}

func TestAtLeastIsExact(t *testing.T) {
	for _, c := range []struct {
		covered, lines int
		floor          float64
		want           bool
	}{
		{80, 100, 80, true}, {7995, 10000, 80, false}, {7995, 10000, 79.95, true}, {79999999, 100000000, 80, false},
		{2, 3, 66.67, false}, {2, 3, 66.66, true}, {1, 1, 100, true}, {999999, 1000000, 100, false},
		{0, 0, 0, false}, {0, 0, 80, false}, {0, 5, 0, true}, {1, 10, 10.000000000000002, false},
		{5, 10, math.NaN(), false}, {5, 10, math.Inf(1), false},
	} {
		assert.Equal(t, c.want, Rate{c.covered, c.lines}.AtLeast(c.floor), "%+v", c)
	}
}

func TestRateIsNeverRoundedUp(t *testing.T) {
	assert.Equal(t, "79.99%", Rate{79999999, 100000000}.String())
	assert.Equal(t, "99.99%", Rate{math.MaxInt32 - 1, math.MaxInt32}.String())
	assert.Equal(t, "100.00%", Rate{3, 3}.String())
	assert.Equal(t, "0.00%", Rate{0, 3}.String())
	assert.Equal(t, "n/a", Rate{}.String())
	assert.InDelta(t, 50, Rate{1, 2}.Percent(), 0)
	assert.Zero(t, Rate{}.Percent())
}

func TestDropped(t *testing.T) {
	points, beyond := Rate{79, 100}.Dropped(Rate{80, 100}, 0.5)
	assert.Equal(t, "1.00", points)
	assert.True(t, beyond)
	_, beyond = Rate{79, 100}.Dropped(Rate{80, 100}, 1)
	assert.False(t, beyond, "a drop by the tolerance itself is within it")
	_, beyond = Rate{90, 100}.Dropped(Rate{80, 100}, 0)
	assert.False(t, beyond)
	_, beyond = Rate{}.Dropped(Rate{80, 100}, 0)
	assert.False(t, beyond, "nothing cannot be compared")
}

func TestGroup(t *testing.T) {
	r := parse(t, document("lstm/model.py:1 1 0", "lstm/__init__.py:", "main.py:1"))
	g, err := r.Group([]string{"lstm", "lstm/model.py"})
	require.NoError(t, err)
	assert.Equal(t, Totals{Files: 2, Lines: 3, Covered: 2}, g.Totals())

	_, err = r.Group([]string{"lstm/*.py", "gone/**", "away.py"})
	require.ErrorIs(t, err, ErrEmptySet)
	assert.ErrorContains(t, err, "gone/**")
	assert.ErrorContains(t, err, "away.py")
	assert.NotContains(t, err.Error(), "lstm")

	_, err = r.Group([]string{"**/__init__.py"})
	assert.ErrorIs(t, err, ErrEmptySet, "files without a line prove nothing")
	_, err = r.Group(nil)
	assert.ErrorIs(t, err, ErrEmptySet)
}

func TestMissingShowsRanges(t *testing.T) {
	assert.Equal(t, "1-2, 4", parse(t, document("a:0 0 1 0 1")).Files[0].Missing())
	assert.Empty(t, parse(t, document("a:1")).Files[0].Missing())
}

// large yields a report of n lines in files of 5000 lines, without holding it.
type large struct {
	n, i  int
	buf   string
	ended bool
}

func (l *large) Read(p []byte) (int, error) {
	for l.buf == "" {
		switch {
		case l.i == 0:
			l.buf = `<?xml version="1.0"?><coverage><packages><package name="p"><classes><class filename="p/f0.py"><lines>`
		case l.i <= l.n && l.i%5000 == 0:
			l.buf = fmt.Sprintf(`</lines></class><class filename="p/f%d.py"><lines>`, l.i)
			fallthrough
		case l.i <= l.n:
			l.buf += fmt.Sprintf("\t\t\t\t\t\t<line number=\"%d\" hits=\"%d\"/>\n", l.i%5000+1, l.i%2)
		case !l.ended:
			l.buf, l.ended = "</lines></class></classes></package></packages></coverage>", true
		default:
			return 0, io.EOF
		}
		l.i++
	}
	n := copy(p, l.buf)
	l.buf = l.buf[n:]
	return n, nil
}

// The full size, 100 MB, is that of BenchmarkParse and of tests/teststage: it takes too
// long under the race detector.
func TestParseReadsAStream(t *testing.T) {
	r, err := Parse(&large{n: 20_000}, xmlscan.Limits{})
	require.NoError(t, err)
	assert.Equal(t, 20_000, r.Totals().Lines)
	assert.Len(t, r.Files, 5)
}

func BenchmarkParse(b *testing.B) {
	b.SetBytes(2_600_000 * 38)
	b.ReportAllocs()
	for range b.N {
		r, err := Parse(&large{n: 2_600_000}, xmlscan.Limits{})
		require.NoError(b, err)
		require.Equal(b, 2_600_000, r.Totals().Lines)
	}
}

func FuzzParse(f *testing.F) {
	content, err := os.ReadFile("testdata/coverage.xml")
	require.NoError(f, err)
	f.Add(content)
	f.Add([]byte(document("a.py:1 0 1", "a.py:0 1")))
	f.Fuzz(func(t *testing.T, content []byte) {
		r, err := Parse(strings.NewReader(string(content)), xmlscan.Limits{Bytes: 1 << 20, Depth: 20, Elements: 1000})
		if err != nil {
			assert.Nil(t, r)
			return
		}
		totals := r.Totals()
		assert.LessOrEqual(t, totals.Covered, totals.Lines)
		assert.LessOrEqual(t, totals.Taken, totals.Branches)
	})
}
