package config

import (
	"fmt"
	"reflect"
	"strings"
)

// leaf is one key with its type and default.
type leaf struct {
	key
	kind  reflect.Type
	value any
}

// leaves lists the keys in the order of Config.
func leaves() []leaf {
	docs := map[string]key{}
	for _, d := range keys {
		docs[d.path] = d
	}
	var all []leaf
	var walk func(path string, v reflect.Value, inList bool)
	walk = func(path string, v reflect.Value, inList bool) {
		if v.Kind() == reflect.Struct {
			for i := range v.NumField() {
				if name := keyOf(v.Type().Field(i)); name != "" {
					walk(join(path, name), v.Field(i), inList)
				}
			}
			return
		}
		l := leaf{key: docs[path], kind: v.Type(), value: v.Interface()}
		l.path = path
		if inList {
			l.value = nil
		}
		all = append(all, l)
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
			walk(path+"[]", reflect.New(v.Type().Elem()).Elem(), true)
		}
	}
	walk("", reflect.ValueOf(Default()), false)
	return all
}

// typeName is the type as the documentation has it.
func typeName(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "time"
	case t.Kind() == reflect.Pointer:
		return typeName(t.Elem())
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		return "list of keys"
	case t.Kind() == reflect.Slice:
		return "list"
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Slice:
		return "map of lists"
	case t.Kind() == reflect.Map:
		return "map"
	case t.Kind() == reflect.Int:
		return "whole number"
	case t.Kind() == reflect.Float64:
		return "number"
	case t.Kind() == reflect.Bool:
		return "true or false"
	default:
		return "text"
	}
}

// keysMarkdown renders the tables of docs/configuration.md: every key with its type,
// default, meaning and source in the pipeline document.
func keysMarkdown() string {
	var b strings.Builder
	section := ""
	for _, l := range leaves() {
		top, _, nested := strings.Cut(l.path, ".")
		if !nested {
			top = "general"
		}
		if l.path == "policy" {
			top = "policy"
		}
		if top != section {
			section = top
			fmt.Fprintf(&b, "\n### %s\n\n| Key | Type | Default | Meaning | Document |\n| --- | --- | --- | --- | --- |\n", section)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", l.path, typeName(l.kind), l.defaultText(), l.description(), l.source)
	}
	return strings.TrimLeft(b.String(), "\n")
}

// defaultText is the default as one would write it in pipeline.yaml.
func (l leaf) defaultText() string {
	if l.value == nil {
		return ""
	}
	v := reflect.ValueOf(l.value)
	if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Struct {
		return "see below"
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return "none"
		}
	case reflect.String:
		if v.Len() == 0 {
			return "empty"
		}
		return "`" + v.String() + "`"
	}
	// JSON is YAML, and strings, lists and maps of strings can always be encoded.
	return "`" + strings.ReplaceAll(strings.Trim(string(encode(l.value)), `"`), "|", `\|`) + "`"
}
