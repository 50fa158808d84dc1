// Package xmlscan reads XML that a test run wrote: data of unknown size from code that is
// not trusted. It bounds bytes, depth, elements and the length of a single token before
// anything is kept, resolves no entity but the five of XML itself, and says at which
// byte a document went wrong. Its memory does not grow with the document.
package xmlscan

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
)

// Limits bound a document. A zero field means the default.
type Limits struct {
	// Bytes is the size of the whole document: 512 MiB.
	Bytes int64
	// Token is the size of one tag or of one stretch of text: 16 MiB.
	Token int64
	// Depth is how deep elements nest: 64.
	Depth int
	// Elements is how many elements there may be: 20 million.
	Elements int
}

// Default are the limits used for zero fields.
func Default() Limits {
	return Limits{Bytes: 512 << 20, Token: 16 << 20, Depth: 64, Elements: 20_000_000}
}

func (l Limits) orDefault() Limits {
	d := Default()
	if l.Bytes <= 0 {
		l.Bytes = d.Bytes
	}
	if l.Token <= 0 {
		l.Token = d.Token
	}
	if l.Depth <= 0 {
		l.Depth = d.Depth
	}
	if l.Elements <= 0 {
		l.Elements = d.Elements
	}
	return l
}

// The reasons for which a document is refused, besides broken syntax.
var (
	ErrEmpty     = errors.New("the document is empty")
	ErrTruncated = errors.New("the document ends before its root element does")
	ErrTooLarge  = errors.New("the document is larger than allowed")
	ErrTooLong   = errors.New("a tag or text is longer than allowed")
	ErrTooDeep   = errors.New("elements nest deeper than allowed")
	ErrTooMany   = errors.New("there are more elements than allowed")
	ErrEntity    = errors.New("the document declares entities")
	ErrRoot      = errors.New("unexpected root element")
	ErrOutside   = errors.New("there is content outside of the root element")
)

// Error says where a document went wrong.
type Error struct {
	// Offset is the byte, from 0, at which the reader stopped.
	Offset int64
	// Err is the reason.
	Err error
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("byte %d: %v", e.Offset, e.Err) }

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Scanner yields the tokens of one document.
type Scanner struct {
	decoder  *xml.Decoder
	guard    *guard
	limits   Limits
	open     []string
	elements int
	closed   bool
	roots    []string
}

// New reads a document from r whose root element has one of the names given.
func New(r io.Reader, limits Limits, roots ...string) *Scanner {
	limits = limits.orDefault()
	g := newGuard(r, limits)
	return &Scanner{decoder: xml.NewDecoder(g), guard: g, limits: limits, roots: roots}
}

// Depth is the number of elements open after the last token.
func (s *Scanner) Depth() int { return len(s.open) }

// Path returns the names of the open elements, the root first. It is valid until the
// next call of Next.
func (s *Scanner) Path() []string { return s.open }

// Fail makes an Error of err at the place the scanner is at.
func (s *Scanner) Fail(err error) error {
	return &Error{Offset: s.decoder.InputOffset(), Err: err}
}

// Next returns the next start element, end element or text, and io.EOF after a
// complete document. Text is valid until the next call. Other errors are *Error.
func (s *Scanner) Next() (xml.Token, error) {
	for {
		s.guard.begin()
		token, err := s.decoder.RawToken()
		if err != nil {
			return nil, s.failed(err)
		}
		switch t := token.(type) {
		case xml.StartElement:
			return t, s.start(t.Name.Local)
		case xml.EndElement:
			return t, s.end(t.Name.Local)
		case xml.CharData:
			if len(s.open) > 0 {
				return t, nil
			}
			if len(bytes.TrimSpace(t)) > 0 {
				return nil, s.Fail(ErrOutside)
			}
		case xml.Directive:
			// A DOCTYPE that only names a DTD is harmless: nothing fetches it. One with
			// an internal subset can define entities that expand without bound.
			if bytes.ContainsRune(t, '[') || bytes.Contains(bytes.ToUpper(t), []byte("ENTITY")) {
				return nil, s.Fail(ErrEntity)
			}
		}
	}
}

func (s *Scanner) start(name string) error {
	s.elements++
	switch {
	case s.closed:
		return s.Fail(ErrOutside)
	case s.elements > s.limits.Elements:
		return s.Fail(fmt.Errorf("%w: %d", ErrTooMany, s.limits.Elements))
	case len(s.open) >= s.limits.Depth:
		return s.Fail(fmt.Errorf("%w: %d", ErrTooDeep, s.limits.Depth))
	case len(s.open) == 0 && !s.isRoot(name):
		return s.Fail(fmt.Errorf("%w: %.60q, want one of %q", ErrRoot, name, s.roots))
	}
	s.open = append(s.open, name)
	return nil
}

func (s *Scanner) end(name string) error {
	last := len(s.open) - 1
	if last < 0 || s.open[last] != name {
		return s.Fail(fmt.Errorf("element %.60q is closed but not open", name))
	}
	s.open = s.open[:last]
	s.closed = last == 0
	return nil
}

func (s *Scanner) isRoot(name string) bool {
	for _, root := range s.roots {
		if root == name {
			return true
		}
	}
	return len(s.roots) == 0
}

func (s *Scanner) failed(err error) error {
	if s.guard.err != nil {
		return s.Fail(s.guard.err)
	}
	atEnd := errors.Is(err, io.EOF) || s.guard.ended && s.guard.next == s.guard.filled
	switch {
	case atEnd && s.closed && errors.Is(err, io.EOF):
		return io.EOF
	case atEnd && s.elements == 0 && errors.Is(err, io.EOF):
		return s.Fail(ErrEmpty)
	case atEnd && !s.closed:
		return s.Fail(ErrTruncated)
	}
	return s.Fail(err)
}

// guard hands bytes to the decoder and refuses to hand out too many. The decoder reads
// bytes one at a time from an io.ByteReader, so a count since the last token is exact.
type guard struct {
	in     io.Reader
	limits Limits
	// buffer[next:end] may be handed out without further checks; buffer[end:filled] is
	// beyond what the current token may have.
	buffer            []byte
	next, end, filled int
	// handed is how many bytes were handed out before buffer, tokenStart where the
	// current token begins, both from the start of the document.
	handed, tokenStart int64
	ended              bool
	err                error
}

func newGuard(in io.Reader, limits Limits) *guard {
	return &guard{in: in, limits: limits, buffer: make([]byte, 64<<10)}
}

// begin starts a token at the next byte.
func (g *guard) begin() {
	g.tokenStart = g.handed + int64(g.next)
	g.bound()
}

// bound sets end to what the limits allow.
func (g *guard) bound() {
	allowed := min(g.tokenStart+g.limits.Token, g.limits.Bytes) - g.handed
	g.end = int(min(int64(g.filled), max(allowed, int64(g.next))))
}

// ReadByte implements io.ByteReader.
func (g *guard) ReadByte() (byte, error) {
	if g.next < g.end {
		b := g.buffer[g.next]
		g.next++
		return b, nil
	}
	if err := g.fill(); err != nil {
		return 0, err
	}
	b := g.buffer[g.next]
	g.next++
	return b, nil
}

// fill makes at least one more byte available, or says why there is none.
func (g *guard) fill() error {
	if g.err != nil {
		return g.err
	}
	for empty := 0; g.next == g.filled; empty++ {
		if g.ended {
			return io.EOF
		}
		g.handed += int64(g.filled)
		g.next, g.filled = 0, 0
		n, err := g.in.Read(g.buffer)
		g.filled = n
		switch {
		case errors.Is(err, io.EOF):
			g.ended = true
		case err != nil && n == 0:
			g.err = fmt.Errorf("read: %w", err)
			return g.err
		case n == 0 && empty > 100:
			g.err = fmt.Errorf("read: %w", io.ErrNoProgress)
			return g.err
		}
	}
	g.bound()
	if g.next < g.end {
		return nil
	}
	if g.handed+int64(g.next) >= g.limits.Bytes {
		g.err = fmt.Errorf("%w: %d bytes", ErrTooLarge, g.limits.Bytes)
	} else {
		g.err = fmt.Errorf("%w: %d bytes", ErrTooLong, g.limits.Token)
	}
	return g.err
}

// Read implements io.Reader; the decoder uses ReadByte.
func (g *guard) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := g.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

// Attr returns the value of an attribute and whether it is there.
func Attr(element xml.StartElement, name string) (string, bool) {
	for i := range element.Attr {
		if element.Attr[i].Name.Local == name {
			return element.Attr[i].Value, true
		}
	}
	return "", false
}

// Clip shortens text to at most n bytes without cutting a character, and marks the cut.
func Clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	cut := n
	for cut > 0 && cut > n-4 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "…"
}
