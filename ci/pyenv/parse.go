package pyenv

import (
	"errors"
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// table is a TOML table. Its methods return the zero value for a key that is missing or has another type, which the tool that
// owns the file reports.
type table map[string]any

func parseTOML(text string) (parsed table, err error) {
	defer func() {
		// Committed input must not stop the pipeline without a message.
		if r := recover(); r != nil {
			parsed, err = nil, fmt.Errorf("not valid TOML: %v", r)
		}
	}()
	if err := toml.Unmarshal([]byte(text), &parsed); err != nil {
		var position *toml.DecodeError
		if errors.As(err, &position) {
			line, _ := position.Position()
			return nil, fmt.Errorf("line %d: %s", line, strings.TrimPrefix(position.Error(), "toml: "))
		}
		return nil, err
	}
	return parsed, nil
}

// sub returns a subtable.
func (t table) sub(path ...string) table {
	for _, key := range path {
		switch inner := t[key].(type) {
		case map[string]any:
			t = inner
		case table:
			t = inner
		default:
			return nil
		}
	}
	return t
}

func (t table) str(key string) string {
	text, _ := t[key].(string)
	return text
}

func (t table) has(key string) bool {
	_, found := t[key]
	return found
}

// isFalse reports whether a key is set to false.
func (t table) isFalse(key string) bool {
	value, is := t[key].(bool)
	return is && !value
}

// strs returns the strings of a list and ignores other elements.
func (t table) strs(key string) []string {
	list, _ := t[key].([]any)
	var out []string
	for _, element := range list {
		if text, ok := element.(string); ok {
			out = append(out, text)
		}
	}
	return out
}

// list returns the tables of a list.
func (t table) list(key string) []table {
	elements, _ := t[key].([]any)
	var out []table
	for _, element := range elements {
		if inner, ok := element.(map[string]any); ok {
			out = append(out, inner)
		}
	}
	return out
}

// ini returns the values of an INI file by section and key. Continuation lines are joined with line breaks.
type ini = map[string]map[string]string

func parseINI(text string) ini {
	sections := ini{}
	section, last := "", ""
	for _, line := range strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "":
		case trimmed[0] == '#' || trimmed[0] == ';':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				sections[section][last] = strings.TrimPrefix(sections[section][last]+"\n"+trimmed, "\n")
			}
		case trimmed[0] == '[' && strings.Contains(trimmed, "]"):
			section, last = trimmed[1:strings.Index(trimmed, "]")], ""
			if sections[section] == nil {
				sections[section] = map[string]string{}
			}
		default:
			at := strings.IndexAny(trimmed, "=:")
			if last = ""; at > 0 && sections[section] != nil {
				last = strings.TrimSpace(trimmed[:at])
				sections[section][last] = strings.TrimSpace(trimmed[at+1:])
			}
		}
	}
	return sections
}
