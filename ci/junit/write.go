package junit

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// Write writes tests as one suite, for a run that left no report of its own.
func Write(w io.Writer, name string, cases []Case) error {
	var counts Counts
	var total float64
	for _, c := range cases {
		counts.count(c.Outcome)
		total += c.Seconds
	}
	e := xml.NewEncoder(w)
	root := element("testsuites")
	attrs := []string{"name", name, "tests", strconv.Itoa(counts.Total()), "failures", strconv.Itoa(counts.Failed),
		"errors", strconv.Itoa(counts.Errored), "skipped", strconv.Itoa(counts.Skipped + counts.XFailed), "time", duration(total)}
	suite := element("testsuite", attrs...)
	tokens := []xml.Token{xml.ProcInst{Target: "xml", Inst: []byte(`version="1.0" encoding="utf-8"`)}, root, suite}
	for _, c := range cases {
		tokens = append(tokens, c.tokens()...)
	}
	tokens = append(tokens, suite.End(), root.End())
	for _, t := range tokens {
		if err := e.EncodeToken(t); err != nil {
			return fmt.Errorf("write JUnit report: %w", err)
		}
	}
	if err := e.Flush(); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}

func (c Case) tokens() []xml.Token {
	attrs := []string{"classname", c.ClassName, "name", c.Name, "time", duration(c.Seconds)}
	if c.File != "" {
		attrs = append(attrs, "file", c.File)
	}
	test := element("testcase", attrs...)
	tokens := []xml.Token{test}
	kind := map[Outcome]string{Failed: "failure", Errored: "error", Skipped: "skipped", XFailed: "skipped"}[c.Outcome]
	if kind != "" {
		attrs := []string{"message", c.Message}
		if c.Outcome == XFailed {
			attrs = append(attrs, "type", "pytest.xfail")
		}
		result := element(kind, attrs...)
		tokens = append(tokens, result, xml.CharData(strings.Join(c.Tail, "\n")), result.End())
	}
	if len(c.Output) > 0 {
		out := element("system-out")
		tokens = append(tokens, out, xml.CharData(strings.Join(c.Output, "\n")), out.End())
	}
	return append(tokens, test.End())
}

func element(name string, attrs ...string) xml.StartElement {
	e := xml.StartElement{Name: xml.Name{Local: name}}
	for i := 0; i+1 < len(attrs); i += 2 {
		e.Attr = append(e.Attr, xml.Attr{Name: xml.Name{Local: attrs[i]}, Value: attrs[i+1]})
	}
	return e
}

func duration(seconds float64) string { return strconv.FormatFloat(seconds, 'f', 3, 64) }

// Merge writes the suites of several documents, unchanged and in order, as one. The
// documents are read as streams; one that is not complete is an error.
func Merge(w io.Writer, limits xmlscan.Limits, documents ...io.Reader) error {
	e := xml.NewEncoder(w)
	root := element("testsuites")
	if err := errors.Join(e.EncodeToken(xml.ProcInst{Target: "xml", Inst: []byte(`version="1.0" encoding="utf-8"`)}),
		e.EncodeToken(root)); err != nil {
		return fmt.Errorf("merge JUnit reports: %w", err)
	}
	for i, document := range documents {
		if err := copySuites(e, xmlscan.New(document, limits, "testsuites", "testsuite")); err != nil {
			return fmt.Errorf("merge JUnit report %d of %d: %w", i+1, len(documents), err)
		}
	}
	if err := errors.Join(e.EncodeToken(root.End()), e.Flush()); err != nil {
		return fmt.Errorf("merge JUnit reports: %w", err)
	}
	return nil
}

func copySuites(e *xml.Encoder, s *xmlscan.Scanner) error {
	for {
		token, err := s.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		outer := false
		switch t := token.(type) {
		case xml.StartElement:
			outer = t.Name.Local == "testsuites"
		case xml.EndElement:
			outer = t.Name.Local == "testsuites"
		}
		if outer {
			continue
		}
		if err := e.EncodeToken(token); err != nil {
			return err
		}
	}
}
