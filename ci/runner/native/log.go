package native

import (
	"bytes"
	"io"
	"strings"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const (
	// longestLine limits how many bytes of a line the live log shows. The rest is dropped, so that a program that never ends
	// a line cannot fill the memory.
	longestLine = 8 << 10
	// margin is read beyond longestLine but never shown. A secret that would be cut at the limit is complete within the
	// margin, so it is recognised and masked.
	margin = 4 << 10
)

// lineLog is shared by several commands. It writes whole lines only, each with the name of its command, made safe for a
// terminal and for CI logs.
type lineLog struct {
	mu sync.Mutex
	w  io.Writer
	// redact hides the secrets of the run.
	redact func(string) string
}

// named returns the writer for one stream of a command. Flush it at the end.
func (l *lineLog) named(name string) *lineWriter { return &lineWriter{log: l, prefix: name + " | "} }

// say writes a line of the runner itself.
func (l *lineLog) say(name, text string) {
	// Like every lineWriter it does not fail.
	_, _ = io.WriteString(l.named(name), text+"\n")
}

// lineWriter collects lines. It never fails, because a broken log must not end a command.
type lineWriter struct {
	log    *lineLog
	prefix string
	line   []byte
	// returned reports whether a carriage return ended the last line; a newline may follow.
	returned bool
}

// Write implements io.Writer. A line ends with a newline or, as progress bars have it, with
// a carriage return.
func (l *lineWriter) Write(p []byte) (int, error) {
	if l.log.w == nil {
		return len(p), nil
	}
	for rest := p; len(rest) > 0; {
		end := bytes.IndexAny(rest, "\r\n")
		if end < 0 {
			l.keep(rest)
			break
		}
		l.keep(rest[:end])
		if rest[end] == '\r' || !l.returned || len(l.line) > 0 {
			l.show(rest[end] == '\n')
		}
		l.returned = rest[end] == '\r'
		rest = rest[end+1:]
	}
	return len(p), nil
}

func (l *lineWriter) keep(part []byte) {
	l.line = append(l.line, part[:min(len(part), longestLine+margin-len(l.line))]...)
	l.returned = l.returned && len(part) == 0
}

func (l *lineWriter) flush() { l.show(false) }

// show writes the collected line; an empty one only if requested.
func (l *lineWriter) show(empty bool) {
	if len(l.line) == 0 && !empty {
		return
	}
	full := len(l.line) == longestLine+margin
	l.log.mu.Lock()
	defer l.log.mu.Unlock()
	text := string(l.line)
	l.line = l.line[:0]
	if l.log.redact != nil {
		text = l.log.redact(text)
	}
	if full {
		text = text[:max(0, len(text)-margin)] + "…"
	}
	// Some line separators are neither of those above.
	text = strings.ReplaceAll(verdict.Text(text, longestLine), "\n", "\n"+l.prefix)
	_, _ = io.WriteString(l.log.w, verdict.Text(l.prefix, 0)+text+"\n")
}

// tail is a writer that keeps only the last bytes.
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
