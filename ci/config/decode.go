package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"
	"go.yaml.in/yaml/v3"
)

// place is the position of a key's value.
type place struct {
	line, column int
	// key is the path as the file has it, with the overlay's prefix.
	key string
}

// document decodes YAML nodes into Go values strictly, and remembers the place of each key.
type document struct {
	problems []Problem
	places   map[string]place
	prefix   string
}

func structValue(c *Config) reflect.Value { return reflect.ValueOf(c).Elem() }

func (d *document) fail(n *yaml.Node, key, format string, args ...any) {
	message := fmt.Sprintf(format, args...)
	d.problems = append(d.problems, Problem{File: FileName, Line: n.Line, Column: n.Column, Key: d.prefix + key, Message: message})
}

// readBase decodes everything but the overlays, and returns their nodes by environment.
func (d *document) readBase(root *yaml.Node, c *Config) map[string]*yaml.Node {
	overlays := map[string]*yaml.Node{}
	if root == nil || isNull(root) {
		return overlays
	}
	if root.Kind != yaml.MappingNode {
		d.fail(root, "", "the file holds %s; want keys with values, such as \"name: my-app\"", describe(root))
		return overlays
	}
	base := *root
	base.Content = nil
	seen := false
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if key.Value != "environments" || key.Kind != yaml.ScalarNode {
			base.Content = append(base.Content, key, value)
			continue
		}
		if seen {
			d.fail(key, "environments", "the key is here a second time")
			continue
		}
		seen = true
		for _, entry := range d.entries(value, "environments", 1) {
			if !environmentName.MatchString(entry.name) {
				d.fail(entry.key, join("environments", entry.name),
					"%q is not a name for an environment: lower-case letters, digits and '-', at most 32", entry.name)
				continue
			}
			if isNull(entry.value) {
				overlays[entry.name] = &yaml.Node{Kind: yaml.MappingNode, Line: entry.value.Line, Column: entry.value.Column}
				continue
			}
			overlays[entry.name] = entry.value
		}
	}
	d.decode(&base, structValue(c), "", 0)
	return overlays
}

type entry struct {
	name       string
	key, value *yaml.Node
}

// entries returns the keys of a mapping, each once.
func (d *document) entries(n *yaml.Node, path string, depth int) []entry {
	if !d.plain(n, path, depth) || isNull(n) {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		d.fail(n, path, "%s; want keys with values", describe(n))
		return nil
	}
	var all []entry
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if !d.plain(key, path, depth) {
			continue
		}
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!merge" || key.ShortTag() == "!!null" {
			d.fail(key, path, "%s as a key; want a name", describe(key))
			continue
		}
		if line, seen := first[key.Value]; seen {
			d.fail(key, join(path, key.Value), "the key is here a second time; the first is in line %d", line)
			continue
		}
		first[key.Value] = key.Line
		all = append(all, entry{name: key.Value, key: key, value: value})
	}
	return all
}

// plain refuses what hides the meaning of a file: aliases (which can also expand a small file
// to a huge one), tags, and endless nesting.
func (d *document) plain(n *yaml.Node, path string, depth int) bool {
	switch {
	case n.Kind == yaml.AliasNode:
		d.fail(n, path, "an alias (*%s); write the value out, aliases are not supported", cutText(n.Value))
	case n.Anchor != "":
		d.fail(n, path, "an anchor (&%s); anchors and aliases are not supported", cutText(n.Anchor))
	case n.Style&yaml.TaggedStyle != 0:
		d.fail(n, path, "a tag (%s); tags are not supported", cutText(n.Tag))
	case depth > maxDepth:
		d.fail(n, path, "nested more than %d deep", maxDepth)
	default:
		return true
	}
	return false
}

// decode sets v to the node's value. Structs and maps are merged, everything else is replaced.
func (d *document) decode(n *yaml.Node, v reflect.Value, path string, depth int) {
	if !d.plain(n, path, depth) {
		return
	}
	if path != "" {
		d.places[path] = place{n.Line, n.Column, d.prefix + path}
	}
	switch v.Kind() {
	case reflect.Struct:
		d.decodeStruct(n, v, path, depth)
	case reflect.Map:
		d.decodeMap(n, v, path, depth)
	case reflect.Slice:
		d.decodeList(n, v, path, depth)
	case reflect.Pointer:
		if isNull(n) {
			v.SetZero()
			return
		}
		value := reflect.New(v.Type().Elem())
		d.decode(n, value.Elem(), path, depth)
		v.Set(value)
	default:
		d.decodeScalar(n, v, path)
	}
}

func (d *document) decodeStruct(n *yaml.Node, v reflect.Value, path string, depth int) {
	fields := map[string]reflect.Value{}
	var names []string
	for i := range v.NumField() {
		if name := keyOf(v.Type().Field(i)); name != "" {
			fields[name] = v.Field(i)
			names = append(names, name)
		}
	}
	for _, e := range d.entries(n, path, depth) {
		field, known := fields[e.name]
		if !known {
			d.fail(e.key, join(path, e.name), "unknown key%s", didYouMean(e.name, names))
			continue
		}
		d.decode(e.value, field, join(path, e.name), depth+1)
	}
}

func (d *document) decodeMap(n *yaml.Node, v reflect.Value, path string, depth int) {
	entries := d.entries(n, path, depth)
	if v.IsNil() {
		v.Set(reflect.MakeMap(v.Type()))
	}
	for _, e := range entries {
		value := reflect.New(v.Type().Elem()).Elem()
		before := len(d.problems)
		d.decode(e.value, value, join(path, e.name), depth+1)
		if len(d.problems) == before {
			v.SetMapIndex(reflect.ValueOf(e.name), value)
		}
	}
}

func (d *document) decodeList(n *yaml.Node, v reflect.Value, path string, depth int) {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			hint = fmt.Sprintf(", such as [%s]", cutText(n.Value))
		}
		d.fail(n, path, "%s; want a list%s", describe(n), hint)
		return
	}
	list := reflect.MakeSlice(v.Type(), 0, len(n.Content))
	for i, item := range n.Content {
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(item, value, fmt.Sprintf("%s[%d]", path, i), depth+1)
		list = reflect.Append(list, value)
	}
	v.Set(list)
}

func (d *document) decodeScalar(n *yaml.Node, v reflect.Value, path string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n, path, "%s; want %s", describe(n), wanted(v.Type()))
		return
	}
	if isNull(n) {
		d.fail(n, path, "no value; want %s, or leave the key out for its default", wanted(v.Type()))
		return
	}
	tag := n.ShortTag()
	if v.Type() == reflect.TypeFor[Duration]() {
		var duration Duration
		if err := duration.parse(n.Value); err != nil {
			d.fail(n, path, "%s; want %s", describe(n), wanted(v.Type()))
			return
		}
		v.SetInt(int64(duration))
		return
	}
	switch v.Kind() {
	case reflect.String:
		// The text as written: python: 3.10 means "3.10", not the number 3.1, and an
		// account number keeps its leading zeros.
		v.SetString(n.Value)
	case reflect.Bool:
		value, err := strconv.ParseBool(n.Value)
		if tag != "!!bool" || err != nil {
			d.fail(n, path, "%s; want true or false", describe(n))
			return
		}
		v.SetBool(value)
	case reflect.Int:
		value, err := strconv.Atoi(n.Value)
		if tag != "!!int" || err != nil {
			d.fail(n, path, "%s; want a whole number", describe(n))
			return
		}
		v.SetInt(int64(value))
	case reflect.Float64:
		value, err := strconv.ParseFloat(n.Value, 64)
		if (tag != "!!int" && tag != "!!float") || err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
			d.fail(n, path, "%s; want a number", describe(n))
			return
		}
		v.SetFloat(value)
	default:
		// Unreachable unless Config gets a new type; the tests decode all of them.
		d.fail(n, path, "values of type %s are not supported", v.Type())
	}
}

// keyOf is the field's key in pipeline.yaml; empty for a field without one.
func keyOf(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
	if name == "-" {
		return ""
	}
	return name
}

func wanted(t reflect.Type) string {
	switch {
	case t == reflect.TypeFor[Duration]():
		return "a time with a unit, such as 90s, 10m or 1h30m"
	case t.Kind() == reflect.Bool:
		return "true or false"
	case t.Kind() == reflect.Int:
		return "a whole number"
	case t.Kind() == reflect.Float64:
		return "a number"
	default:
		return "text"
	}
}

// describe names a node's kind and value, for messages.
func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "keys with values"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.ShortTag() {
	case "!!null":
		return "no value"
	case "!!int", "!!float":
		return "the number " + cutText(n.Value)
	case "!!bool":
		return "the truth value " + cutText(n.Value)
	}
	return fmt.Sprintf("the text %q", cutText(n.Value))
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

func cutText(s string) string {
	if runes := []rune(s); len(runes) > 60 {
		return string(runes[:59]) + "…"
	}
	return s
}

func join(path, key string) string {
	key = cutText(key)
	if path == "" {
		return key
	}
	return path + "." + key
}

// didYouMean suggests the most similar of the known names, if one is similar enough.
func didYouMean(name string, known []string) string {
	best, distance := "", 1+max(1, len(name)/3)
	for _, k := range slices.Sorted(slices.Values(known)) {
		n := levenshtein.ComputeDistance(strings.ToLower(strings.ReplaceAll(cutText(name), "-", "_")), k)
		if n < distance {
			best, distance = k, n
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
