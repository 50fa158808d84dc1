package safetext

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// RedactXML applies hide, a function of Redact, to an XML document and keeps its markup: a
// password "testcase" must not make a JUnit file unreadable. It masks secrets in text, in the
// values of attributes, comments and CDATA, and in names with a digit, which no report of ours
// has. In a document that is not well formed it masks them everywhere.
func RedactXML(content string, hide func(string) string) string {
	if hidden := hide(content); hidden == content || !wellFormed(content) {
		return hidden
	}
	var b strings.Builder
	b.Grow(len(content))
	for content != "" {
		open := strings.IndexByte(content, '<')
		if open < 0 {
			break
		}
		b.WriteString(hide(content[:open]))
		content = content[open:]
		if rest, ok := redactSection(&b, content, hide); ok {
			content = rest
			continue
		}
		tag := tagEnd(content)
		if tag < 0 {
			break
		}
		redactTag(&b, content[:tag], hide)
		content = content[tag:]
	}
	b.WriteString(hide(content))
	return b.String()
}

func wellFormed(content string) bool {
	decoder := xml.NewDecoder(strings.NewReader(content))
	// Only the structure is of interest, which is the same in every encoding that is valid UTF-8.
	decoder.CharsetReader = func(_ string, input io.Reader) (io.Reader, error) { return input, nil }
	for {
		if _, err := decoder.RawToken(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// sections are the parts of a document that begin like a tag but are not.
var sections = []struct{ open, close string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}}

// redactSection writes a section that content begins with, and returns what follows it.
func redactSection(b *strings.Builder, content string, hide func(string) string) (rest string, ok bool) {
	for _, section := range sections {
		inner, found := strings.CutPrefix(content, section.open)
		if !found {
			continue
		}
		inner, rest, found = strings.Cut(inner, section.close)
		if !found {
			return "", false
		}
		if section.open != "<?" { // a declaration has a version and an encoding
			inner = hide(inner)
		}
		b.WriteString(section.open + inner + section.close)
		return rest, true
	}
	return "", false
}

// tagEnd is the length of the tag at the start of content; -1 without an end.
func tagEnd(content string) int {
	quote := byte(0)
	for i := range len(content) {
		switch c := content[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return -1
}

// redactTag writes a tag with secrets in the values of its attributes masked.
func redactTag(b *strings.Builder, tag string, hide func(string) string) {
	for tag != "" {
		open := strings.IndexAny(tag, `"'`)
		if open < 0 {
			break
		}
		end := strings.IndexByte(tag[open+1:], tag[open])
		if end < 0 {
			break
		}
		end += open + 1
		b.WriteString(names(tag[:open], hide) + tag[open:open+1] + hide(tag[open+1:end]) + tag[end:end+1])
		tag = tag[end+1:]
	}
	b.WriteString(names(tag, hide))
}

// names are the names of a tag: those of JUnit and Cobertura have no digits.
func names(text string, hide func(string) string) string {
	if strings.ContainsAny(text, "0123456789") {
		return hide(text)
	}
	return text
}
