package junit

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// MarkFlaky copies a document and turns the failures of some tests, told by Case.ID, into
// flakyFailure and flakyError, and takes them out of the suites' totals. Everything else
// stays as it is. The document is read twice, as a stream.
func MarkFlaky(w io.Writer, r io.ReadSeeker, limits xmlscan.Limits, flaky func(id string) bool) error {
	m := &marker{flaky: flaky}
	if err := m.each(xmlscan.New(r, limits, "testsuites", "testsuite"), func(xml.Token) error { return nil }); err != nil {
		return fmt.Errorf("mark flaky tests: %w", err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("mark flaky tests: %w", err)
	}
	e := xml.NewEncoder(w)
	m = &marker{flaky: flaky, fewer: m.fewer}
	err := e.EncodeToken(xml.ProcInst{Target: "xml", Inst: []byte(`version="1.0" encoding="utf-8"`)})
	if err == nil {
		err = m.each(xmlscan.New(r, limits, "testsuites", "testsuite"), e.EncodeToken)
	}
	if err = errors.Join(err, e.Flush()); err != nil {
		return fmt.Errorf("mark flaky tests: %w", err)
	}
	return nil
}

// marker goes through a document.
type marker struct {
	flaky func(id string) bool
	// fewer are the failures and errors that each element which can declare totals has
	// too many, in the order of the document; empty in the first pass, which counts them.
	fewer [][2]int
	// seen are the open ones of those elements, next is how many there were.
	seen []int
	next int
	// in means that the open test is flaky, at depth.
	in    bool
	depth int
}

func (m *marker) each(s *xmlscan.Scanner, write func(xml.Token) error) error {
	counting := m.fewer == nil
	for {
		token, err := s.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch t := token.(type) {
		case xml.StartElement:
			token = m.start(t, s.Depth(), counting)
		case xml.EndElement:
			token = m.end(t, s.Depth())
		}
		if err := write(token); err != nil {
			return err
		}
	}
}

func (m *marker) start(t xml.StartElement, depth int, counting bool) xml.Token {
	switch name := t.Name.Local; {
	case name == "testsuite" || name == "testsuites":
		if counting {
			m.fewer = append(m.fewer, [2]int{})
		} else {
			t.Attr = reduced(t.Attr, m.fewer[m.next])
		}
		m.seen = append(m.seen, m.next)
		m.next++
	case name == "testcase":
		c := Case{}
		c.ClassName, _ = xmlscan.Attr(t, "classname")
		c.Name, _ = xmlscan.Attr(t, "name")
		c.File, _ = xmlscan.Attr(t, "file")
		m.in, m.depth = m.flaky(c.ID()), depth
	case m.in && depth == m.depth+1 && (name == "failure" || name == "error"):
		kind := map[string]int{"failure": 0, "error": 1}[name]
		if counting {
			for _, at := range m.seen {
				m.fewer[at][kind]++
			}
		}
		t.Name.Local = flakyName[name]
	}
	return t
}

var flakyName = map[string]string{"failure": "flakyFailure", "error": "flakyError"}

func (m *marker) end(t xml.EndElement, depth int) xml.Token {
	switch name := t.Name.Local; {
	case name == "testsuite" || name == "testsuites":
		m.seen = m.seen[:len(m.seen)-1]
	case name == "testcase":
		m.in = false
	case m.in && depth == m.depth && flakyName[name] != "":
		t.Name.Local = flakyName[name]
	}
	return t
}

// reduced are attributes with smaller totals.
func reduced(attrs []xml.Attr, fewer [2]int) []xml.Attr {
	for i := range attrs {
		for kind, name := range []string{"failures", "errors"} {
			if n, err := strconv.Atoi(attrs[i].Value); err == nil && attrs[i].Name.Local == name {
				attrs[i].Value = strconv.Itoa(max(0, n-fewer[kind]))
			}
		}
	}
	return attrs
}
