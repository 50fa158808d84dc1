package coverage

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// Bounds on single values. A file of a hundred million lines is no source file.
const (
	maxLineNumber = 100_000_000
	maxHits       = 1 << 53
	maxPath       = 4096
)

var (
	// ErrInvalid means that a value is not what its place in the report demands.
	ErrInvalid = errors.New("invalid value")
	// ErrDisagrees means that the report's totals are not the sums of its lines. It happens
	// when two files are reported under one name.
	ErrDisagrees = errors.New("the totals are not the sums of the lines")
)

// Parse reads one Cobertura document. It returns an error, with the byte it stopped at,
// for what is no complete and well-formed document within the limits, for values
// that cannot be (NaN, negative, a comma as decimal point), and for totals that its own lines deny.
func Parse(r io.Reader, limits xmlscan.Limits) (*Report, error) {
	p := &parser{scan: xmlscan.New(r, limits, "coverage"), report: &Report{}, files: map[string]*File{}, valid: -1, covered: -1}
	for {
		token, err := p.scan.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read coverage report: %w", err)
		}
		if err := p.token(token); err != nil {
			return nil, fmt.Errorf("read coverage report: %w", p.scan.Fail(err))
		}
	}
	p.closeAll()
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("read coverage report: %w", err)
	}
	return p.report, nil
}

type parser struct {
	scan   *xmlscan.Scanner
	report *Report
	files  map[string]*File
	// file is that of the open class.
	file *File
	// methods counts open <methods>: their lines repeat those of the class.
	methods int
	// valid and covered are the root's totals, or -1.
	valid, covered int
}

func (p *parser) token(token xml.Token) error {
	switch t := token.(type) {
	case xml.StartElement:
		return p.start(t)
	case xml.EndElement:
		switch t.Name.Local {
		case "class":
			p.file = nil
		case "methods":
			p.methods--
		}
	}
	return nil
}

func (p *parser) start(element xml.StartElement) error {
	switch element.Name.Local {
	case "coverage":
		return p.root(element)
	case "package":
		return rates(element)
	case "class":
		return p.class(element)
	case "methods":
		p.methods++
	case "line":
		if p.methods > 0 {
			return nil
		}
		if p.file == nil {
			return fmt.Errorf("%w: a line is outside of any class", ErrInvalid)
		}
		return p.line(element)
	}
	return nil
}

func (p *parser) root(element xml.StartElement) error {
	if p.scan.Depth() != 1 {
		return nil
	}
	for _, a := range element.Attr {
		var err error
		switch a.Name.Local {
		case "lines-valid":
			p.valid, err = count(a.Name.Local, a.Value, math.MaxInt32)
		case "lines-covered":
			p.covered, err = count(a.Name.Local, a.Value, math.MaxInt32)
		case "branches-valid", "branches-covered":
			_, err = count(a.Name.Local, a.Value, math.MaxInt32)
		case "timestamp":
			var n int
			if n, err = count(a.Name.Local, a.Value, maxHits); err == nil {
				p.report.Timestamp = timestamp(int64(n))
			}
		}
		if err != nil {
			return err
		}
	}
	return rates(element)
}

// timestamp reads what coverage.py writes in milliseconds and others in seconds.
func timestamp(n int64) time.Time {
	if n > 1e11 {
		return time.UnixMilli(n).UTC()
	}
	return time.Unix(n, 0).UTC()
}

// rates checks the shares that an element declares; the counts are what is used.
func rates(element xml.StartElement) error {
	for _, a := range element.Attr {
		if a.Name.Local != "line-rate" && a.Name.Local != "branch-rate" {
			continue
		}
		v, err := strconv.ParseFloat(a.Value, 64)
		if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
			return fmt.Errorf("%w: %s=%.40q, want 0..1", ErrInvalid, a.Name.Local, a.Value)
		}
	}
	return nil
}

func count(name, text string, limit int64) (int, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > limit {
		return 0, fmt.Errorf("%w: %s=%.40q, want a whole number from 0 to %d", ErrInvalid, name, text, limit)
	}
	return int(n), nil
}

func (p *parser) class(element xml.StartElement) error {
	if p.file != nil {
		return fmt.Errorf("%w: a class is inside of a class", ErrInvalid)
	}
	name, _ := xmlscan.Attr(element, "filename")
	if name == "" || len(name) > maxPath {
		return fmt.Errorf("%w: filename=%.60q", ErrInvalid, name)
	}
	name = path.Clean(strings.ReplaceAll(name, `\`, "/"))
	p.file = p.files[name]
	if p.file == nil {
		p.file = &File{Path: name}
		p.files[name] = p.file
	}
	return rates(element)
}

func (p *parser) line(element xml.StartElement) error {
	var l Line
	var branch, sawNumber, sawHits bool
	var condition string
	for i := range element.Attr {
		a := &element.Attr[i]
		switch a.Name.Local {
		case "number":
			n, err := count("number", a.Value, maxLineNumber)
			if err != nil {
				return err
			}
			l.Number, sawNumber = int32(n), true
		case "hits":
			n, err := count("hits", a.Value, maxHits)
			if err != nil {
				return err
			}
			l.Hit, sawHits = n > 0, true
		case "branch":
			branch = strings.EqualFold(a.Value, "true")
		case "condition-coverage":
			condition = a.Value
		}
	}
	if !sawNumber || !sawHits {
		return fmt.Errorf("%w: a line of %.60q lacks its number or its hits", ErrInvalid, p.file.Path)
	}
	if branch && condition != "" {
		var err error
		if l.Taken, l.Branches, err = conditions(condition); err != nil {
			return err
		}
	}
	p.file.Lines = append(p.file.Lines, l)
	return nil
}

// conditions reads "50% (1/2)".
func conditions(text string) (taken, all uint16, err error) {
	open, slash, end := strings.IndexByte(text, '('), strings.LastIndexByte(text, '/'), strings.LastIndexByte(text, ')')
	bad := fmt.Errorf("%w: condition-coverage=%.40q, want a form like %q", ErrInvalid, text, "50% (1/2)")
	if open < 0 || slash < open || end < slash {
		return 0, 0, bad
	}
	t, errTaken := strconv.ParseUint(text[open+1:slash], 10, 16)
	a, errAll := strconv.ParseUint(text[slash+1:end], 10, 16)
	if errTaken != nil || errAll != nil || t > a {
		return 0, 0, bad
	}
	return uint16(t), uint16(a), nil
}

// closeAll sorts the files and, where several classes shared one, unites their lines.
func (p *parser) closeAll() {
	for _, f := range p.files {
		f.normalise()
		p.report.Files = append(p.report.Files, f)
	}
	sort.Slice(p.report.Files, func(i, j int) bool { return p.report.Files[i].Path < p.report.Files[j].Path })
}

// normalise sorts the lines and unites those with the same number.
func (f *File) normalise() {
	ascending := true
	for i := 1; i < len(f.Lines); i++ {
		if f.Lines[i].Number <= f.Lines[i-1].Number {
			ascending = false
			break
		}
	}
	if ascending {
		return
	}
	sort.SliceStable(f.Lines, func(i, j int) bool { return f.Lines[i].Number < f.Lines[j].Number })
	united := f.Lines[:0]
	for _, l := range f.Lines {
		if n := len(united); n > 0 && united[n-1].Number == l.Number {
			united[n-1] = either(united[n-1], l)
			continue
		}
		united = append(united, l)
	}
	f.Lines = united
}

// either is a line that was executed if one of the two was.
func either(a, b Line) Line {
	a.Hit = a.Hit || b.Hit
	a.Branches, a.Taken = max(a.Branches, b.Branches), max(a.Taken, b.Taken)
	return a
}

func (p *parser) check() error {
	t := p.report.Totals()
	if p.valid >= 0 && p.valid != t.Lines {
		return fmt.Errorf("%w: lines-valid says %d, the files hold %d lines", ErrDisagrees, p.valid, t.Lines)
	}
	if p.covered >= 0 && p.covered != t.Covered {
		return fmt.Errorf("%w: lines-covered says %d, %d lines have hits", ErrDisagrees, p.covered, t.Covered)
	}
	return nil
}
