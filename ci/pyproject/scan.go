package pyproject

import (
	"regexp"
	"strings"
)

// toml are the keys of a TOML document by table, each with its value as written. It
// is no TOML parser: it knows tables, keys, strings and brackets well enough to
// tell which tables and keys exist, which is all that is asked here. Whoever
// installs from the file (uv) parses it in full.
type toml = map[string]map[string]string

var (
	header = regexp.MustCompile(`^\[\[?\s*([^\[\]]+?)\s*\]?\]\s*(#.*)?$`)
	assign = regexp.MustCompile(`^((?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[A-Za-z0-9_-]+))*)\s*=\s*(.*)$`)
)

func scanTOML(text string) toml {
	tables := toml{}
	table := ""
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimSpace(lines[i])
		if m := header.FindStringSubmatch(line); m != nil {
			table = dotted(m[1])
			if tables[table] == nil {
				tables[table] = map[string]string{}
			}
			continue
		}
		m := assign.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		value := &valueScanner{}
		value.line(m[2])
		for value.open() && i+1 < len(lines) {
			i++
			value.line(lines[i])
		}
		parts := strings.Split(dotted(m[1]), ".")
		in := strings.Trim(table+"."+strings.Join(parts[:len(parts)-1], "."), ".")
		if tables[in] == nil {
			tables[in] = map[string]string{}
		}
		tables[in][parts[len(parts)-1]] = strings.TrimSpace(value.text.String())
	}
	return tables
}

// dotted takes quotes and blanks out of a dotted key. A dot within quotes would be
// taken for a separator; none of the keys asked for has one.
func dotted(key string) string {
	parts := strings.Split(key, ".")
	for i := range parts {
		parts[i] = strings.Trim(strings.TrimSpace(parts[i]), `"'`)
	}
	return strings.Join(parts, ".")
}

// valueScanner follows a value over lines until its brackets and strings are closed.
type valueScanner struct {
	text  strings.Builder
	depth int
	quote string
}

func (v *valueScanner) open() bool { return v.depth > 0 || len(v.quote) == 3 }

func (v *valueScanner) line(line string) {
	if v.text.Len() > 0 {
		v.text.WriteByte('\n')
	}
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch {
		case v.quote != "":
			switch {
			case strings.HasPrefix(rest, v.quote):
				v.text.WriteString(v.quote)
				i += len(v.quote) - 1
				v.quote = ""
				continue
			case v.quote[0] == '"' && rest[0] == '\\' && len(rest) > 1:
				v.text.WriteByte(rest[0])
				i++
			}
		case rest[0] == '#':
			return
		case strings.HasPrefix(rest, `"""`), strings.HasPrefix(rest, "'''"):
			v.quote = rest[:3]
			v.text.WriteString(v.quote)
			i += 2
			continue
		case rest[0] == '"' || rest[0] == '\'':
			v.quote = rest[:1]
		case rest[0] == '[' || rest[0] == '{':
			v.depth++
		case rest[0] == ']' || rest[0] == '}':
			v.depth--
		}
		v.text.WriteByte(line[i])
	}
	if len(v.quote) == 1 { // a plain string ends with its line
		v.quote = ""
	}
}

// unquote takes the quotes off a string value.
func unquote(value string) string {
	value = strings.TrimSpace(value)
	for _, q := range []string{`"`, `'`} {
		if len(value) >= 2 && strings.HasPrefix(value, q) && strings.HasSuffix(value, q) {
			return value[1 : len(value)-1]
		}
	}
	return value
}

// scanINI are the keys of an INI file by section.
func scanINI(text string) map[string]map[string]string {
	sections := map[string]map[string]string{}
	section := ""
	for _, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[' && strings.Contains(trimmed, "]"):
			section = trimmed[1:strings.Index(trimmed, "]")]
			if sections[section] == nil {
				sections[section] = map[string]string{}
			}
		case line[0] != ' ' && line[0] != '\t':
			key, value, ok := strings.Cut(trimmed, "=")
			if !ok {
				key, value, ok = strings.Cut(trimmed, ":")
			}
			if ok && sections[section] != nil {
				sections[section][strings.TrimSpace(key)] = strings.TrimSpace(value)
			}
		}
	}
	return sections
}
