package teststage

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/test/xmlscan"
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

// bounded reads a large report within 10 seconds and 300 MB.
func bounded(t *testing.T, d *document, read func(io.Reader) error) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: reads 100 MB")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start, used := time.Now(), processorTime(t)
	in := &counter{in: d}
	err := read(in)
	took := time.Since(start)
	used = processorTime(t) - used
	runtime.ReadMemStats(&after)
	require.NoError(t, err)
	t.Logf("%d MB in %s (%s of processor time), %d MB of memory", in.n/1e6, took, used, (after.Sys-before.Sys)>>20)
	assert.Greater(t, in.n, int64(100e6))
	// Processor time, since other work on the machine makes wall time say nothing.
	assert.Less(t, used, 10*time.Second)
	// What the process has from the system only grows: it bounds the peak from above.
	assert.Less(t, after.Sys-before.Sys, uint64(300<<20))
}

// processorTime is what this process has used so far.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func TestALargeJUnitReportIsReadInBounds(t *testing.T) {
	output := strings.Repeat("o", 360)
	bounded(t, &document{
		head: `<testsuites><testsuite name="pytest" tests="200000">`, foot: `</testsuite></testsuites>`, n: 200_000,
		body: func(i int) string {
			return fmt.Sprintf(`<testcase classname="tests.unit.test_%d.TestThing" name="test_long_name[%d]" file="tests/unit/test_%d.py" line="10" time="0.01"><system-out>%s</system-out></testcase>`, i%500, i, i%500, output)
		},
	}, func(in io.Reader) error {
		r, err := junit.Parse(in, junit.Options{})
		if err == nil {
			assert.Equal(t, 200_000, r.Passed)
		}
		return err
	})
}

func TestALargeCoverageReportIsReadInBounds(t *testing.T) {
	bounded(t, &document{
		head: `<coverage><class filename="first.py"><lines>`, foot: `</lines></class></coverage>`, n: 2_300_000,
		body: func(i int) string {
			line := fmt.Sprintf("\t\t\t\t\t\t<line number=\"%d\" hits=\"%d\"/>        \n", i%5000+1, i%2)
			if i > 0 && i%5000 == 0 {
				return fmt.Sprintf(`</lines></class><class filename="p/f%d.py"><lines>`, i) + line
			}
			return line
		},
	}, func(in io.Reader) error {
		r, err := coverage.Parse(in, xmlscan.Limits{})
		if err == nil {
			assert.Equal(t, 2_300_000, r.Totals().Lines)
		}
		return err
	})
}

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
