// Package strictjson reads JSON that comes from outside: each key once, finite numbers
// only, valid UTF-8, one document, bounded depth and size. encoding/json alone lets the
// last of two equal keys win, so that two readers of one file may see different values.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Limits bound what is read. A zero field means its default.
type Limits struct {
	// Depth is how deep arrays and objects may nest; 100 by default.
	Depth int
	// Values is how many values the document may hold; 5,000,000 by default.
	Values int
}

// Error is what is wrong and where.
type Error struct {
	// Path leads to the value: "history[3].loss"; empty for the document.
	Path string
	// Line counts from 1.
	Line int
	// NotFinite is set for NaN and infinity, which Python writes by default and JSON does not
	// have.
	NotFinite bool
	// Message is the cause.
	Message string
}

// Error implements error.
func (e *Error) Error() string {
	where := fmt.Sprintf("line %d", e.Line)
	if e.Path != "" {
		where += ", " + e.Path
	}
	return where + ": " + e.Message
}

// Parse reads one document into map[string]any, []any, string, float64, bool and nil.
// The error is an *Error.
func Parse(content []byte, limits Limits) (any, error) {
	if limits.Depth == 0 {
		limits.Depth = 100
	}
	if limits.Values == 0 {
		limits.Values = 5_000_000
	}
	p := &parser{content: content, limits: limits, decoder: json.NewDecoder(bytes.NewReader(content))}
	p.decoder.UseNumber()
	switch {
	case len(bytes.TrimSpace(content)) == 0:
		return nil, p.fail("", "the document is empty")
	case !utf8.Valid(content):
		return nil, p.fail("", "not valid UTF-8")
	}
	value, err := p.value("", 0)
	if err != nil {
		return nil, err
	}
	if _, err := p.decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, p.fail("", "more than one document")
	}
	return value, nil
}

type parser struct {
	content []byte
	limits  Limits
	decoder *json.Decoder
	values  int
}

func (p *parser) fail(path, format string, args ...any) *Error {
	offset := min(int(p.decoder.InputOffset()), len(p.content))
	return &Error{Path: path, Line: 1 + bytes.Count(p.content[:offset], []byte("\n")), Message: fmt.Sprintf(format, args...)}
}

// token reads the next token, and recognises Python's NaN and Infinity.
func (p *parser) token(path string) (json.Token, *Error) {
	before := min(int(p.decoder.InputOffset()), len(p.content))
	token, err := p.decoder.Token()
	if err == nil {
		return token, nil
	}
	rest := strings.TrimLeft(string(p.content[before:min(before+200, len(p.content))]), " \t\r\n,:")
	for _, literal := range []string{"NaN", "Infinity", "-Infinity", "nan", "inf", "-inf"} {
		if strings.HasPrefix(rest, literal) {
			e := p.fail(path, "%s is not a finite number", literal)
			e.NotFinite = true
			return nil, e
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, p.fail(path, "the document ends too early")
	}
	return nil, p.fail(path, "%v", err)
}

func (p *parser) value(path string, depth int) (any, error) {
	if p.values++; p.values > p.limits.Values {
		return nil, p.fail(path, "more than %d values", p.limits.Values)
	}
	token, fault := p.token(path)
	if fault != nil {
		return nil, fault
	}
	switch t := token.(type) {
	case json.Delim:
		if depth >= p.limits.Depth {
			return nil, p.fail(path, "nested deeper than %d", p.limits.Depth)
		}
		if t == '[' {
			return p.array(path, depth+1)
		}
		return p.object(path, depth+1)
	case json.Number:
		number, err := strconv.ParseFloat(t.String(), 64)
		if err != nil || math.IsInf(number, 0) {
			e := p.fail(path, "%s is too large for a number", t)
			e.NotFinite = true
			return nil, e
		}
		return number, nil
	default:
		return t, nil
	}
}

func (p *parser) array(path string, depth int) (any, error) {
	values := []any{}
	for p.decoder.More() {
		value, err := p.value(fmt.Sprintf("%s[%d]", path, len(values)), depth)
		if err != nil {
			return nil, err
		}
		values = append(values, value)
	}
	if _, fault := p.token(path); fault != nil {
		return nil, fault
	}
	return values, nil
}

func (p *parser) object(path string, depth int) (any, error) {
	values := map[string]any{}
	for p.decoder.More() {
		token, fault := p.token(path)
		if fault != nil {
			return nil, fault
		}
		key, ok := token.(string)
		if !ok {
			return nil, p.fail(path, "a key is not a string")
		}
		below := key
		if path != "" {
			below = path + "." + key
		}
		if _, twice := values[key]; twice {
			return nil, p.fail(below, "the key is there twice")
		}
		value, err := p.value(below, depth)
		if err != nil {
			return nil, err
		}
		values[key] = value
	}
	if _, fault := p.token(path); fault != nil {
		return nil, fault
	}
	return values, nil
}
