package xgboost

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

const (
	// maxDepth is how deep values nest, maxText the longest text: the library nests seven deep, and
	// the longest texts are attributes of the application.
	maxDepth, maxText, maxNumber = 32, 1 << 20, 64
)

// sink takes what a file holds, in order. Its errors end the reading.
type sink interface {
	open(list bool) error
	close() error
	key(name string) error
	number(value float64) error
	text(value string) error
}

// text reads JSON as it comes, so that memory does not depend on the file.
type text struct {
	r     *bufio.Reader
	to    sink
	depth int
}

func (t *text) document() error {
	first, err := t.next()
	if err != nil {
		return err
	}
	if first != '{' {
		return wrong("it does not begin with {")
	}
	if err := t.value(first); err != nil {
		return err
	}
	if _, err := t.next(); err != io.EOF { //nolint:errorlint // bufio gives it bare
		return wrong("something follows the document")
	}
	return nil
}

// next is the next byte that is no blank.
func (t *text) next() (byte, error) {
	for {
		b, err := t.r.ReadByte()
		if err != nil || b != ' ' && b != '\n' && b != '\r' && b != '\t' {
			return b, err
		}
	}
}

func (t *text) value(first byte) error {
	switch first {
	case '{', '[':
		return t.group(first == '[')
	case '"':
		s, err := t.quoted()
		if err != nil {
			return err
		}
		return t.to.text(s)
	}
	word := []byte{first}
	for {
		b, err := t.r.ReadByte()
		if err != nil {
			return err
		}
		if b == ',' || b == ']' || b == '}' || b == ' ' || b == '\n' || b == '\r' || b == '\t' {
			if err := t.r.UnreadByte(); err != nil {
				return err
			}
			break
		}
		if word = append(word, b); len(word) > maxNumber {
			return wrong("a number has more than %d characters", maxNumber)
		}
	}
	switch s := string(word); s {
	case "true":
		return t.to.number(1)
	case "false":
		return t.to.number(0)
	case "null":
		return t.to.text("")
	default:
		v, err := strconv.ParseFloat(s, 64)
		if err != nil && !math.IsInf(v, 0) { // weights may be infinite, as the library writes them
			return wrong("%q is no number", s)
		}
		return t.to.number(v)
	}
}

func (t *text) group(list bool) error {
	if t.depth++; t.depth > maxDepth {
		return wrong("values nest deeper than %d", maxDepth)
	}
	if err := t.to.open(list); err != nil {
		return err
	}
	end := byte('}')
	if list {
		end = ']'
	}
	for n := 0; ; n++ {
		b, err := t.next()
		if err != nil {
			return err
		}
		if b == end && n == 0 {
			break
		}
		if !list {
			if b != '"' {
				return wrong("a key begins with %q", b)
			}
			name, err := t.quoted()
			if err != nil {
				return err
			}
			if err := t.to.key(name); err != nil {
				return err
			}
			colon, err := t.next()
			if err != nil {
				return err
			}
			if colon != ':' {
				return wrong("%q follows a key", colon)
			}
			if b, err = t.next(); err != nil {
				return err
			}
		}
		if err := t.value(b); err != nil {
			return err
		}
		if b, err = t.next(); err != nil {
			return err
		}
		if b == end {
			break
		}
		if b != ',' {
			return wrong("%q follows a value", b)
		}
	}
	t.depth--
	return t.to.close()
}

// quoted reads a text to its closing quotation mark.
func (t *text) quoted() (string, error) {
	raw := []byte{'"'}
	for escaped := false; ; {
		b, err := t.r.ReadByte()
		if err != nil {
			return "", err
		}
		if raw = append(raw, b); len(raw) > maxText {
			return "", wrong("a text has more than %d bytes", maxText)
		}
		if b == '"' && !escaped {
			break
		}
		escaped = b == '\\' && !escaped
	}
	return unquoted(raw)
}

// ubjson reads Universal Binary JSON, as XGBoost writes it.
type ubjson struct {
	r     *bufio.Reader
	to    sink
	left  int64
	depth int
}

func (u *ubjson) document() error {
	mark, err := u.byte()
	if err != nil {
		return err
	}
	if mark != '{' {
		return wrong("it does not begin with {")
	}
	if err := u.value(mark); err != nil {
		return err
	}
	if u.left != 0 {
		return wrong("%d bytes follow the document", u.left)
	}
	return nil
}

func (u *ubjson) byte() (byte, error) {
	u.left--
	return u.r.ReadByte()
}

// bytes are the next n bytes, at most maxText.
func (u *ubjson) bytes(n int64) ([]byte, error) {
	if n < 0 || n > maxText || n > u.left {
		return nil, wrong("a text of %d bytes is longer than the rest, or than %d", n, maxText)
	}
	b := make([]byte, n)
	u.left -= n
	_, err := io.ReadFull(u.r, b)
	return b, err
}

// widths are the bytes of a number by its mark.
var widths = map[byte]int64{'i': 1, 'U': 1, 'I': 2, 'l': 4, 'L': 8, 'd': 4, 'D': 8, 'T': 0, 'F': 0, 'Z': 0}

// scalar reads a number by its mark.
func (u *ubjson) scalar(mark byte) (float64, error) {
	b, err := u.bytes(widths[mark])
	if err != nil {
		return 0, err
	}
	switch mark {
	case 'i':
		return float64(int8(b[0])), nil //nolint:gosec // the bits as they are
	case 'U':
		return float64(b[0]), nil
	case 'I':
		return float64(int16(binary.BigEndian.Uint16(b))), nil //nolint:gosec // the bits as they are
	case 'l':
		return float64(int32(binary.BigEndian.Uint32(b))), nil //nolint:gosec // the bits as they are
	case 'L':
		return float64(int64(binary.BigEndian.Uint64(b))), nil //nolint:gosec // the bits as they are
	case 'd':
		return float64(math.Float32frombits(binary.BigEndian.Uint32(b))), nil
	case 'D':
		return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
	case 'T':
		return 1, nil
	}
	return 0, nil
}

// count reads a length: a whole number with its mark.
func (u *ubjson) count() (int64, error) {
	mark, err := u.byte()
	if err != nil {
		return 0, err
	}
	if mark != 'i' && mark != 'U' && mark != 'I' && mark != 'l' && mark != 'L' {
		return 0, wrong("a length has the type %q", mark)
	}
	n, err := u.scalar(mark)
	if err == nil && (n < 0 || n > float64(u.left)) {
		err = wrong("a length is %.0f, and %d bytes are left", n, u.left)
	}
	return int64(n), err
}

func (u *ubjson) string() (string, error) {
	n, err := u.count()
	if err != nil {
		return "", err
	}
	b, err := u.bytes(n)
	if err == nil && !utf8.Valid(b) {
		err = wrong("a text is not UTF-8")
	}
	return string(b), err
}

func (u *ubjson) value(mark byte) error {
	switch mark {
	case '{', '[':
		return u.group(mark == '[')
	case 'S':
		s, err := u.string()
		if err != nil {
			return err
		}
		return u.to.text(s)
	}
	if _, ok := widths[mark]; !ok {
		return wrong("a value has the type %q", mark)
	}
	v, err := u.scalar(mark)
	if err != nil {
		return err
	}
	return u.to.number(v)
}

// group reads a list or object: up to its end, or of a given length, and then maybe of one type.
func (u *ubjson) group(list bool) error {
	if u.depth++; u.depth > maxDepth {
		return wrong("values nest deeper than %d", maxDepth)
	}
	if err := u.to.open(list); err != nil {
		return err
	}
	of, length := byte(0), int64(-1)
	mark, err := u.byte()
	if err == nil && mark == '$' {
		if of, err = u.byte(); err == nil {
			mark, err = u.byte()
		}
		if err == nil && (mark != '#' || widths[of] == 0) {
			err = wrong("a list of the type %q has no length, or is not of numbers", of)
		}
	}
	if err == nil && mark == '#' {
		if length, err = u.count(); err == nil && of != 0 && length > u.left/widths[of] {
			err = wrong("a list of %d numbers is longer than the rest", length)
		}
	}
	if err != nil {
		return err
	}
	end := byte('}')
	if list {
		end = ']'
	}
	for n := int64(0); n != length; n++ {
		if length >= 0 && (of == 0 || !list) {
			if mark, err = u.byte(); err != nil {
				return err
			}
		}
		if length < 0 && mark == end {
			break
		}
		if !list {
			if mark, err = u.named(mark, of); err != nil {
				return err
			}
		} else if of != 0 {
			mark = of
		}
		if err := u.value(mark); err != nil {
			return err
		}
		if length < 0 {
			if mark, err = u.byte(); err != nil {
				return err
			}
		}
	}
	u.depth--
	return u.to.close()
}

// named reads a key, whose length begins with a mark, and returns the mark of the value.
func (u *ubjson) named(mark, of byte) (byte, error) {
	if mark != 'i' && mark != 'U' && mark != 'I' && mark != 'l' && mark != 'L' {
		return 0, wrong("a key has a length of the type %q", mark)
	}
	n, err := u.scalar(mark)
	if err != nil {
		return 0, err
	}
	b, err := u.bytes(int64(min(max(n, -1), 1<<40)))
	if err != nil {
		return 0, err
	}
	if err := u.to.key(string(b)); err != nil {
		return 0, err
	}
	if of != 0 {
		return of, nil
	}
	return u.byte()
}
