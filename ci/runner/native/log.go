package native

import (
	"bytes"
	"io"
	"sync"
)

// lineLog is a writer that several commands share: whole lines only, each with the
// name of its command in front.
type lineLog struct {
	mu sync.Mutex
	w  io.Writer
}

// named returns the writer of one stream of a command. Flush it at the end.
func (l *lineLog) named(name string) *lineWriter { return &lineWriter{log: l, prefix: name + " | "} }

// lineWriter collects lines. It never fails: nobody looking is no reason to end a command.
type lineWriter struct {
	log    *lineLog
	prefix string
	rest   []byte
}

// Write implements io.Writer.
func (l *lineWriter) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		end := bytes.IndexByte(l.rest, '\n')
		if end < 0 {
			return len(p), nil
		}
		l.line(l.rest[:end])
		l.rest = l.rest[end+1:]
	}
}

func (l *lineWriter) flush() {
	if len(l.rest) > 0 {
		l.line(l.rest)
		l.rest = nil
	}
}

func (l *lineWriter) line(text []byte) {
	if l.log.w == nil {
		return
	}
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	// A broken log must not break the run; the result holds the output as well.
	_, _ = l.log.w.Write([]byte(l.prefix + string(text) + "\n"))
}

// tail is a writer that keeps the last bytes only.
type tail struct {
	mu    sync.Mutex
	limit int
	data  []byte
}

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	if extra := len(t.data) - t.limit; extra > 0 {
		t.data = append(t.data[:0], t.data[extra:]...)
	}
	return len(p), nil
}

// String returns what is kept, as valid UTF-8.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.ToValidUTF8(t.data, []byte("\uFFFD")))
}
