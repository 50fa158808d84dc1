package junit

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// Parse reads one JUnit document: a <testsuites> with suites, or one <testsuite>.
// It returns an error, with the byte it stopped at, for what is no complete and
// well-formed document within the limits; a part of a report is never returned as one.
//
// A test that failed and whose tear-down then errored is written twice by pytest; it is
// one test here, failed.
func Parse(r io.Reader, o Options) (*Report, error) {
	o = o.orDefault()
	p := &parser{scan: xmlscan.New(r, o.Limits, "testsuites", "testsuite"), report: newReport(o)}
	for {
		token, err := p.scan.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read JUnit report: %w", err)
		}
		if err := p.token(token); err != nil {
			return nil, fmt.Errorf("read JUnit report: %w", p.scan.Fail(err))
		}
	}
	if err := p.flush(); err != nil {
		return nil, fmt.Errorf("read JUnit report: %w", p.scan.Fail(err))
	}
	if err := p.flushAttempts(); err != nil {
		return nil, fmt.Errorf("read JUnit report: %w", p.scan.Fail(err))
	}
	return p.report, nil
}

// parser holds the state between tokens.
type parser struct {
	scan   *xmlscan.Scanner
	report *Report
	// suites are the open suites.
	suites []suite
	// current is the open test, depth the depth of its element; result is its child
	// whose text is being read.
	current *Case
	depth   int
	result  *strings.Builder
	// output means that the text is what the test printed.
	output bool
	// previous waits for a second element of the same test.
	previous *Case
	// attempts are the tests that were run more than once, by id and in order; they are
	// taken into the report at its end.
	attempts map[string]*Case
	order    []*Case
	// loaded is the module whose loading the document told of last.
	loaded *Case
}

// suite is what a suite declares and what was counted in it, both in elements.
type suite struct {
	name                                     string
	tests, failures, errors, skipped         int
	sawTests, sawFailure, sawError, sawSkips int
	// loads are the results of loading modules, twice those that came to an element that had one: with
	// --doctest-modules pytest loads a test module twice, counts both, and writes one element.
	loads, twice int
}

func (p *parser) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		return p.end(t)
	case xml.CharData:
		if p.result != nil {
			keepTail(p.result, t)
		}
	}
	return nil
}

func (p *parser) start(element xml.StartElement) error {
	switch name := element.Name.Local; {
	case p.current != nil:
		p.child(element)
		return nil
	case name == "testsuite":
		s, err := p.declared(element)
		p.suites = append(p.suites, s)
		return err
	case name == "testcase":
		return p.open(element)
	}
	return nil
}

// declared reads a suite's totals. They are optional, but what is there must be a number.
func (p *parser) declared(element xml.StartElement) (suite, error) {
	s := suite{name: "testsuite", tests: -1, failures: -1, errors: -1, skipped: -1}
	for _, a := range element.Attr {
		var into *int
		switch a.Name.Local {
		case "name":
			s.name = xmlscan.Clip(a.Value, maxName)
		case "timestamp":
			if len(p.report.Timestamps) < 1000 {
				p.report.Timestamps = append(p.report.Timestamps, xmlscan.Clip(a.Value, 64))
			}
		case "tests":
			into = &s.tests
		case "failures":
			into = &s.failures
		case "errors":
			into = &s.errors
		case "skipped":
			into = &s.skipped
		}
		if into == nil {
			continue
		}
		n, err := strconv.Atoi(a.Value)
		if err != nil || n < 0 {
			return s, fmt.Errorf("%s=%.40q is no count", a.Name.Local, a.Value)
		}
		*into = n
	}
	return s, nil
}

func (p *parser) open(element xml.StartElement) error {
	if len(p.suites) == 0 {
		return errors.New("a testcase is outside of any testsuite")
	}
	c := &Case{Outcome: Passed}
	for _, a := range element.Attr {
		switch a.Name.Local {
		case "classname":
			c.ClassName = xmlscan.Clip(a.Value, maxName)
		case "name":
			c.Name = Short(a.Value)
		case "file":
			c.File = strings.ReplaceAll(xmlscan.Clip(a.Value, maxName), `\`, "/")
		case "time":
			var err error
			if c.Seconds, err = seconds(a.Value); err != nil {
				return err
			}
		}
	}
	if c.Name == "" {
		c.Name = "(unnamed)"
	}
	p.current, p.depth = c, p.scan.Depth()
	return nil
}

// rank orders outcomes by gravity: a test with several results has the gravest.
func rank(o Outcome) int {
	for i, known := range []Outcome{Passed, XFailed, Skipped, Flaky, Errored, Failed} {
		if o == known {
			return i
		}
	}
	return -1
}

func (p *parser) child(element xml.StartElement) {
	if p.scan.Depth() != p.depth+1 {
		return
	}
	message, _ := xmlscan.Attr(element, "message")
	kind, _ := xmlscan.Attr(element, "type")
	var outcome Outcome
	s := &p.suites[len(p.suites)-1]
	if p.current.ClassName == "" && (message == "collection skipped" || message == "collection failure") {
		s.loads++
		if p.loaded == p.current {
			s.twice++
		}
		p.loaded = p.current
	}
	switch element.Name.Local {
	case "failure":
		outcome = Failed
		s.sawFailure++
	case "error":
		outcome = Errored
		s.sawError++
		// pytest's mark of a file that could not be imported.
		p.current.Collection = p.current.ClassName == "" && (message == "collection failure" || kind == "pytest.collection")
	case "flakyFailure", "flakyError":
		outcome = Flaky
	case "skipped":
		outcome = Skipped
		s.sawSkips++
		if kind == "pytest.xfail" {
			outcome = XFailed
		}
	case "system-out", "system-err":
		p.result, p.output = &strings.Builder{}, true
		return
	default:
		return
	}
	if rank(outcome) > rank(p.current.Outcome) {
		p.current.Outcome = outcome
		p.current.Message = xmlscan.Clip(message, maxMessage)
		p.current.Tail = nil
		p.result, p.output = &strings.Builder{}, false
	}
}

func (p *parser) end(element xml.EndElement) error {
	switch {
	case p.current != nil && p.scan.Depth() == p.depth:
		p.keep()
	case p.current != nil && p.scan.Depth() == p.depth-1:
		c := p.current
		p.current = nil
		return p.close(c)
	case p.current == nil && element.Name.Local == "testsuite" && len(p.suites) > 0:
		p.closeSuite()
	}
	return nil
}

// heading is what pytest writes above captured output, also above none.
var heading = regexp.MustCompile(`(?m)^-+ Captured \w+ -+\n*`)

// keep takes the text that was read into the test.
func (p *parser) keep() {
	if p.result == nil {
		return
	}
	text := p.result.String()
	p.result = nil
	if !p.output {
		p.current.Tail = lastLines(text)
		return
	}
	p.current.Output = append(p.current.Output, lastLines(heading.ReplaceAllString(text, ""))...)
	p.current.Output = p.current.Output[max(0, len(p.current.Output)-tailLines):]
}

func (p *parser) close(c *Case) error {
	kept, known := p.again(c)
	if !known {
		p.suites[len(p.suites)-1].sawTests++
	}
	if kept {
		return nil
	}
	if last := p.previous; last != nil && last.Outcome == Failed && c.Outcome == Errored &&
		last.Name == c.Name && last.ClassName == c.ClassName && last.File == c.File {
		last.Seconds += c.Seconds
		last.Tail = append(last.Tail, "", c.Message)
		return p.flush()
	}
	if err := p.flush(); err != nil {
		return err
	}
	p.previous = c
	return nil
}

// again keeps a test that was run more than once, and reports whether this is another
// element of it.
func (p *parser) again(c *Case) (kept, known bool) {
	id := c.ID()
	if p.report.options.Again == nil || c.Collection || !p.report.options.Again(id) {
		return false, false
	}
	first := p.attempts[id]
	if first == nil {
		if p.attempts == nil {
			p.attempts = map[string]*Case{}
		}
		p.attempts[id] = c
		p.order = append(p.order, c)
		return true, false
	}
	taken := first.Seconds + c.Seconds
	if rank(c.Outcome) > rank(first.Outcome) {
		*first = *c
	}
	first.Seconds = taken
	return true, true
}

// flushAttempts takes the tests that were run more than once into the report.
func (p *parser) flushAttempts() error {
	for _, c := range p.order {
		if c.Outcome == Passed || p.told(c) == Passed {
			c.Outcome = Flaky
		}
		p.previous = c
		if err := p.flush(); err != nil {
			return err
		}
	}
	return nil
}

// told is how a test ended by another record; empty without one.
func (p *parser) told(c *Case) Outcome {
	if p.report.options.Told == nil || c.Collection {
		return ""
	}
	return p.report.options.Told(c.ID())
}

// flush takes the waiting test into the report.
func (p *parser) flush() error {
	c := p.previous
	p.previous = nil
	if c == nil {
		return nil
	}
	if (c.Outcome == Skipped || c.Outcome == XFailed) && p.told(c) == Passed {
		// pytest writes the skip of a subtest into the element of the test.
		c.Outcome, c.Message, c.Tail = Passed, "", nil
	}
	if p.report.options.Each != nil {
		p.report.options.Each(*c)
	}
	return p.report.add(*c)
}

func (p *parser) closeSuite() {
	s := p.suites[len(p.suites)-1]
	p.suites = p.suites[:len(p.suites)-1]
	for _, pair := range []struct {
		name          string
		declared, saw int
	}{{"tests", s.tests, s.sawTests}, {"failures", s.failures, s.sawFailure}, {"errors", s.errors, s.sawError},
		{"skipped", s.skipped, s.sawSkips}} {
		told := p.report.options.Declared
		known := pair.name == "tests" && (pair.declared == pair.saw+s.twice ||
			told > 0 && (pair.declared == told || pair.declared == told+s.loads))
		if pair.declared >= 0 && pair.declared != pair.saw && !known && len(p.report.Disagreements) < 100 {
			p.report.Disagreements = append(p.report.Disagreements,
				fmt.Sprintf("suite %q declares %d %s and holds %d", s.name, pair.declared, pair.name, pair.saw))
		}
	}
	if len(p.suites) > 0 { // nested suites: the outer one counts what the inner ones hold
		outer := &p.suites[len(p.suites)-1]
		outer.sawTests += s.sawTests
		outer.sawFailure += s.sawFailure
		outer.sawError += s.sawError
		outer.loads, outer.twice = outer.loads+s.loads, outer.twice+s.twice
		outer.sawSkips += s.sawSkips
	}
}

// keepTail appends text and keeps the end of it.
func keepTail(b *strings.Builder, text []byte) {
	const keep = tailLines * maxLine
	if len(text) > keep {
		text = text[len(text)-keep:]
	}
	b.Write(text)
	if b.Len() > 2*keep {
		end := b.String()[b.Len()-keep:]
		b.Reset()
		b.WriteString(end)
	}
}

// lastLines are the last lines of a text, each cut to a readable length.
func lastLines(text string) []string {
	lines := strings.Split(strings.TrimRight(strings.ToValidUTF8(text, ""), " \t\r\n"), "\n")
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return nil
	}
	for i := range lines {
		lines[i] = xmlscan.Clip(strings.TrimRight(lines[i], "\r"), maxLine)
	}
	return lines
}
