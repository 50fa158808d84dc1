// Package junit reads, sums up, merges and writes JUnit XML as pytest writes it.
//
// The report is evidence from code that is not trusted and may be large, so it is read
// as a stream: what is kept are counts per file, the failures and the slowest tests.
package junit

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"sort"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// Outcome is how one test ended.
type Outcome string

// The outcomes. XFailed is a failure that the test expects; pytest writes it as a
// skip of type pytest.xfail.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Errored Outcome = "errored"
	Skipped Outcome = "skipped"
	XFailed Outcome = "xfailed"
	// Flaky is a test that failed and then passed when it was run again. Surefire's
	// elements flakyFailure and flakyError say so.
	Flaky Outcome = "flaky"
)

// Case is one test.
type Case struct {
	// ClassName is the dotted module and class, Name the function with its parameters.
	ClassName, Name string
	// File is the test's file, slash-separated, where the report names it (junit_family=xunit1).
	File string
	// Seconds is how long set-up, test and tear-down took.
	Seconds float64
	Outcome Outcome
	// Message is the assertion or the reason of the skip, Tail the last lines of the text.
	Message string
	Tail    []string
	// Output are the last lines of what the test printed and logged, where the report
	// has them (junit_logging).
	Output []string
	// Collection means that this is no test but a file that could not be loaded.
	Collection bool
}

// Short is the name of a test as this package keeps it. A long one, such as of a parameter of ten million characters, is cut, and
// ends with a digest: it still differs from others.
func Short(name string) string {
	if len(name) <= maxName {
		return name
	}
	return fmt.Sprintf("%s%x", xmlscan.Clip(name, maxName), sha256.Sum256([]byte(name)))
}

// ShortID is an id of pytest, with the name of the test as Short keeps it.
func ShortID(id string) string {
	address, _, _ := strings.Cut(id, "[") // a parameter may hold "::"
	at := strings.LastIndex(address, "::") + len("::")
	if at < len("::") {
		return Short(id)
	}
	return id[:at] + Short(id[at:])
}

// ID names the test the way pytest does, as far as the report allows:
// tests/test_a.py::TestB::test_c[1].
func (c Case) ID() string {
	if c.Collection && c.File != "" {
		return c.File
	}
	if c.File == "" {
		if c.ClassName == "" {
			return c.Name
		}
		return c.ClassName + "::" + c.Name
	}
	module := strings.ReplaceAll(strings.TrimSuffix(c.File, ".py"), "/", ".")
	classes := strings.TrimPrefix(strings.TrimPrefix(c.ClassName, module), ".")
	if classes == "" || classes == c.ClassName {
		return c.File + "::" + c.Name
	}
	return c.File + "::" + strings.ReplaceAll(classes, ".", "::") + "::" + c.Name
}

// Counts are numbers of tests by outcome.
type Counts struct {
	Passed, Failed, Errored, Skipped, XFailed, Flaky int
}

// Total is the number of tests.
func (c Counts) Total() int { return c.Executed() + c.Skipped + c.XFailed }

// Executed is the number of tests that ran and could have failed the run: neither
// skipped nor expected to fail.
func (c Counts) Executed() int { return c.Passed + c.Failed + c.Errored + c.Flaky }

// Bad is the number of tests that failed or errored.
func (c Counts) Bad() int { return c.Failed + c.Errored }

// String reads like pytest's last line: "5 passed, 1 failed".
func (c Counts) String() string {
	parts := []string{strconv.Itoa(c.Passed) + " passed"}
	for _, p := range []struct {
		n    int
		name string
	}{{c.Flaky, "flaky"}, {c.Failed, "failed"}, {c.Errored, "errored"}, {c.Skipped, "skipped"}, {c.XFailed, "xfailed"}} {
		if p.n > 0 {
			parts = append(parts, strconv.Itoa(p.n)+" "+p.name)
		}
	}
	return strings.Join(parts, ", ")
}

func (c *Counts) count(outcome Outcome) {
	switch outcome {
	case Failed:
		c.Failed++
	case Errored:
		c.Errored++
	case Skipped:
		c.Skipped++
	case XFailed:
		c.XFailed++
	case Flaky:
		c.Flaky++
	default:
		c.Passed++
	}
}

// FileCounts are the tests of one file.
type FileCounts struct {
	Counts
	Seconds float64
}

// Add counts a test.
func (c *FileCounts) Add(test Case) {
	c.count(test.Outcome)
	c.Seconds += test.Seconds
}

// Report is what one or more JUnit documents say.
type Report struct {
	Counts
	// Seconds is the sum of the tests' times: work, not wall time.
	Seconds float64
	// Files are the counts by test file, or by class name where no file is named.
	Files map[string]FileCounts
	// Failures are the first Options.Failures failed or errored tests, in the order of
	// the document; CollectionErrors those files that could not be loaded, not part of Counts.
	Failures, CollectionErrors []Case
	// Slowest are the Options.Slowest slowest tests, the slowest first.
	Slowest []Case
	// SkipReasons counts skipped tests by reason, up to 100 reasons.
	SkipReasons map[string]int
	// Disagreements are totals that the document declares and that its own tests deny.
	Disagreements []string
	// Timestamps are those of the suites, as written.
	Timestamps []string

	options Options
}

// Options adjust Parse.
type Options struct {
	// Limits bound the document.
	Limits xmlscan.Limits
	// Failures and Slowest are how many of each are kept: 200 and 10 when 0.
	Failures, Slowest int
	// Files is how many different test files there may be: 100,000 when 0.
	Files int
	// Each, when set, is called for every test, in order.
	Each func(Case)
	// Declared is a number of tests that suites may declare besides the one that they hold,
	// where the caller knows it: pytest counts the parts of a test too (subtests, a failing
	// tear-down) and writes one element.
	Declared int
	// Again, when set, says of a test, by Case.ID, that a plugin of the project's ran it
	// more than once. Every attempt may have an element, which looks passed; they are one test
	// here, with the gravest outcome, and flaky when it passed in the end.
	Again func(id string) bool
	// Told, when set, is how a test itself ended by another record of the run, or empty. A part of it
	// that was skipped does not make a test skipped that is told to have passed; nor does an earlier
	// attempt of one that Again names make it failed.
	Told func(id string) Outcome
}

func (o Options) orDefault() Options {
	if o.Failures <= 0 {
		o.Failures = 200
	}
	if o.Slowest <= 0 {
		o.Slowest = 10
	}
	if o.Files <= 0 {
		o.Files = 100_000
	}
	return o
}

// The sizes to which kept texts are cut, in bytes.
const (
	maxName    = 1000
	maxMessage = 2000
	maxLine    = 400
	tailLines  = 12
	maxReasons = 100
)

// ErrTooManyFiles means that a report names more test files than allowed.
var ErrTooManyFiles = errors.New("the report names more test files than allowed")

// ErrDuration means that a duration is no number of seconds.
var ErrDuration = errors.New("a duration is no number of seconds")

func newReport(o Options) *Report {
	return &Report{Files: map[string]FileCounts{}, SkipReasons: map[string]int{}, options: o}
}

// add takes one test into the report.
func (r *Report) add(c Case) error {
	if c.Collection {
		if len(r.CollectionErrors) < r.options.Failures {
			r.CollectionErrors = append(r.CollectionErrors, c)
		}
		return nil
	}
	r.count(c.Outcome)
	r.Seconds += c.Seconds
	key := c.File
	if key == "" {
		key = c.ClassName
	}
	file, known := r.Files[key]
	if !known && len(r.Files) >= r.options.Files {
		return fmt.Errorf("%w: %d", ErrTooManyFiles, r.options.Files)
	}
	file.count(c.Outcome)
	file.Seconds += c.Seconds
	r.Files[key] = file
	switch c.Outcome {
	case Failed, Errored:
		if len(r.Failures) < r.options.Failures {
			r.Failures = append(r.Failures, c)
		}
	case Skipped:
		if _, ok := r.SkipReasons[c.Message]; ok || len(r.SkipReasons) < maxReasons {
			r.SkipReasons[c.Message]++
		}
	}
	r.slow(c)
	return nil
}

// slow keeps the slowest tests, sorted.
func (r *Report) slow(c Case) {
	n := len(r.Slowest)
	if n == r.options.Slowest && r.Slowest[n-1].Seconds >= c.Seconds {
		return
	}
	at := sort.Search(n, func(i int) bool { return r.Slowest[i].Seconds < c.Seconds })
	c.Message, c.Tail, c.Output = "", nil, nil
	r.Slowest = append(r.Slowest, Case{})
	copy(r.Slowest[at+1:], r.Slowest[at:])
	r.Slowest[at] = c
	if len(r.Slowest) > r.options.Slowest {
		r.Slowest = r.Slowest[:r.options.Slowest]
	}
}

// seconds reads a duration. An absent one is 0.
func seconds(text string) (float64, error) {
	if text == "" {
		return 0, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0, fmt.Errorf("%w: %.40q", ErrDuration, text)
	}
	return v, nil
}
