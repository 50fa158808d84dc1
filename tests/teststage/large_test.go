package teststage

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// document yields a head, n bodies and a foot, without holding them.
type document struct {
	head, foot string
	body       func(i int) string
	n, i       int
	rest       string
}

func (d *document) Read(p []byte) (int, error) {
	for d.rest == "" {
		switch {
		case d.i == 0:
			d.rest = d.head
		case d.i <= d.n:
			d.rest = d.body(d.i - 1)
		case d.i == d.n+1:
			d.rest = d.foot
		default:
			return 0, io.EOF
		}
		d.i++
	}
	n := copy(p, d.rest)
	d.rest = d.rest[n:]
	return n, nil
}

// counter counts bytes.
type counter struct {
	in io.Reader
	n  int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.n += int64(n)
	return n, err
}

// bounded reads a large report within 300 MB.
func bounded(t *testing.T, d *document, read func(io.Reader) error) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: reads 100 MB")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	in := &counter{in: d}
	err := read(in)
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	assert.Greater(t, in.n, int64(100e6))
	// What the process has from the system only grows: it bounds the peak from above.
	assert.Less(t, after.Sys-before.Sys, uint64(300<<20))
}

// timed reads a large report again and again, and holds the time against the bar of 10 seconds.
func timed(b *testing.B, write func() *document, read func(io.Reader) error) {
	b.Helper()
	for b.Loop() {
		in := &counter{in: write()}
		require.NoError(b, read(in))
		b.SetBytes(in.n)
	}
	if took := b.Elapsed() / time.Duration(b.N); took > 10*time.Second {
		b.Errorf("took %s, at most 10 s", took)
	}
}

// largeJUnit is a report of 200,000 tests.
func largeJUnit() *document {
	output := strings.Repeat("o", 360)
	return &document{
		head: `<testsuites><testsuite name="pytest" tests="200000">`, foot: `</testsuite></testsuites>`, n: 200_000,
		body: func(i int) string {
			return fmt.Sprintf(`<testcase classname="tests.unit.test_%d.TestThing" name="test_long_name[%d]" file="tests/unit/test_%d.py" line="10" time="0.01"><system-out>%s</system-out></testcase>`, i%500, i, i%500, output)
		},
	}
}

// largeCoverage is a report of 2,300,000 lines.
func largeCoverage() *document {
	return &document{
		head: `<coverage><class filename="first.py"><lines>`, foot: `</lines></class></coverage>`, n: 2_300_000,
		body: func(i int) string {
			line := fmt.Sprintf("\t\t\t\t\t\t<line number=\"%d\" hits=\"%d\"/>        \n", i%5000+1, i%2)
			if i > 0 && i%5000 == 0 {
				return fmt.Sprintf(`</lines></class><class filename="p/f%d.py"><lines>`, i) + line
			}
			return line
		},
	}
}

func readJUnit(t require.TestingT) func(io.Reader) error {
	return func(in io.Reader) error {
		r, err := junit.Parse(in, junit.Options{})
		if err == nil {
			require.Equal(t, 200_000, r.Passed)
		}
		return err
	}
}

func readCoverage(t require.TestingT) func(io.Reader) error {
	return func(in io.Reader) error {
		r, err := coverage.Parse(in, xmlscan.Limits{})
		if err == nil {
			require.Equal(t, 2_300_000, r.Totals().Lines)
		}
		return err
	}
}

func TestALargeJUnitReportIsReadInBounds(t *testing.T) { bounded(t, largeJUnit(), readJUnit(t)) }

func TestALargeCoverageReportIsReadInBounds(t *testing.T) {
	bounded(t, largeCoverage(), readCoverage(t))
}

func BenchmarkLargeJUnit(b *testing.B) { timed(b, largeJUnit, readJUnit(b)) }

func BenchmarkLargeCoverage(b *testing.B) { timed(b, largeCoverage, readCoverage(b)) }

func TestAnEndlessReportIsRefused(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	blank := strings.Repeat(" ", 1<<20)
	in := &counter{in: &document{head: "<testsuite>", n: 2048, body: func(int) string { return "<a>" + blank + "</a>" }}}
	_, err := junit.Parse(in, junit.Options{Limits: xmlscan.Limits{Bytes: 32 << 20}})
	require.ErrorIs(t, err, xmlscan.ErrTooLarge)
	runtime.ReadMemStats(&after)
	assert.Less(t, in.n, int64(33<<20), "reading stops at the limit")
	assert.Less(t, after.Sys-before.Sys, uint64(100<<20))
}
