package modelfile

import (
	"context"
	"errors"
	"fmt"
	"io"

	"google.golang.org/protobuf/encoding/protowire"
)

// Message is a protocol buffer's message within a file: the bytes from Start to End. Nothing of
// it is held in memory; a window over the file moves along.
type Message struct {
	// Start and End are offsets in the file.
	Start, End int64
	file       *protoFile
}

// Field is a field of a message.
type Field struct {
	Number int
	// Type tells whether Value or Message is the content.
	Type protowire.Type
	// Value is a number, or the bits of a fixed-size one.
	Value uint64
	// Message is where the content of a text, bytes, a message or a packed list is.
	Message Message
}

// protoFile reads a file through a window.
type protoFile struct {
	context context.Context //nolint:containedctx // it lasts as long as the look into one file
	r       io.ReaderAt
	window  []byte
	at      int64
	fields  int
}

const (
	windowBytes = 64 << 10
	// maxFields bounds the fields of a file: each takes two bytes at least.
	maxFields = 50_000_000
	// maxField is the largest number of bytes that a field's key and length can take.
	maxField = 20
)

// NewMessage is a file as a message.
func NewMessage(ctx context.Context, r io.ReaderAt, size int64) Message {
	return Message{End: size, file: &protoFile{context: ctx, r: r}}
}

// ErrProto means that the bytes are no message.
var ErrProto = errors.New("the bytes are no protocol buffer")

// bytes are at most n bytes at an offset before end.
func (f *protoFile) bytes(offset, end int64, n int) ([]byte, error) {
	n = int(min(int64(n), end-offset))
	if offset < f.at || offset+int64(n) > f.at+int64(len(f.window)) {
		if err := f.context.Err(); err != nil {
			return nil, err
		}
		if cap(f.window) == 0 {
			f.window = make([]byte, windowBytes)
		}
		read, err := f.r.ReadAt(f.window[:windowBytes], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("read at %d: %w", offset, err)
		}
		f.window, f.at = f.window[:read], offset
	}
	from := int(offset - f.at)
	return f.window[from:min(from+n, len(f.window))], nil
}

// Len is the length in bytes.
func (m Message) Len() int64 { return m.End - m.Start }

// Fields calls each for every field in order, and ends with its first error.
func (m Message) Fields(each func(Field) error) error {
	for at := m.Start; at < m.End; {
		if m.file.fields++; m.file.fields > maxFields {
			return fmt.Errorf("%w: it has more than %d fields", ErrProto, maxFields)
		}
		head, err := m.file.bytes(at, m.End, maxField)
		if err != nil {
			return err
		}
		number, kind, n := protowire.ConsumeTag(head)
		if n < 0 {
			return fmt.Errorf("%w at byte %d: %w", ErrProto, at, protowire.ParseError(n))
		}
		field := Field{Number: int(number), Type: kind}
		size := 0
		switch rest := head[n:]; kind {
		case protowire.VarintType:
			field.Value, size = protowire.ConsumeVarint(rest)
		case protowire.Fixed32Type:
			var v uint32
			v, size = protowire.ConsumeFixed32(rest)
			field.Value = uint64(v)
		case protowire.Fixed64Type:
			field.Value, size = protowire.ConsumeFixed64(rest)
		case protowire.BytesType:
			var length uint64
			if length, size = protowire.ConsumeVarint(rest); size >= 0 {
				start := at + int64(n+size)
				if length > uint64(m.End-start) { //nolint:gosec // start is within the message
					return fmt.Errorf("%w: field %d at byte %d is %d bytes long, and the message ends before", ErrProto, number, at, length)
				}
				field.Message = Message{Start: start, End: start + int64(length), file: m.file} //nolint:gosec // within the file
			}
		default:
			return fmt.Errorf("%w: field %d at byte %d has the type %d", ErrProto, number, at, kind)
		}
		if size < 0 {
			return fmt.Errorf("%w at byte %d: %w", ErrProto, at, protowire.ParseError(size))
		}
		if err := each(field); err != nil {
			return err
		}
		at += int64(n+size) + field.Message.Len()
	}
	return nil
}

// Text is the content as text, of at most limit bytes.
func (m Message) Text(limit int) (string, error) {
	if m.Len() > int64(limit) {
		return "", fmt.Errorf("%w: a text at byte %d is %d bytes long, more than the limit of %d", ErrProto, m.Start, m.Len(), limit)
	}
	b := make([]byte, m.Len())
	for at := m.Start; at < m.End; {
		part, err := m.file.bytes(at, m.End, windowBytes)
		if err != nil {
			return "", err
		}
		if len(part) == 0 {
			return "", fmt.Errorf("%w: it ends at byte %d", ErrProto, at)
		}
		copy(b[at-m.Start:], part)
		at += int64(len(part))
	}
	return string(b), nil
}

// Varints calls each for the numbers of a packed list.
func (m Message) Varints(each func(uint64) error) error {
	for at := m.Start; at < m.End; {
		head, err := m.file.bytes(at, m.End, maxField)
		if err != nil {
			return err
		}
		v, n := protowire.ConsumeVarint(head)
		if n < 0 {
			return fmt.Errorf("%w at byte %d: %w", ErrProto, at, protowire.ParseError(n))
		}
		if err := each(v); err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}
