package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
)

// makeSchema makes the schema from the Go types and keys.
func makeSchema() []byte {
	docs := map[string]leaf{}
	for _, l := range leaves() {
		docs[l.path] = l
	}
	root := schemaOf("", reflect.TypeFor[Config](), docs)
	overlay := schemaOf("", reflect.TypeFor[Config](), docs)
	root.properties().set("environments", newObject().
		set("type", "object").
		set("description", "Overlays by environment: the same keys, merged over the rest of the file. "+
			"sandbox, staging and production need not be declared.").
		set("propertyNames", newObject().set("pattern", environmentName.String())).
		set("additionalProperties", newObject().set("$ref", "#/$defs/overlay")))
	schema := newObject().
		set("$schema", "http://json-schema.org/draft-07/schema#").
		set("title", "pipeline.yaml")
	for _, key := range root.keys {
		schema.set(key, root.values[key])
	}
	schema.set("$defs", newObject().set("overlay", overlay.withoutDefaults()))
	content, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		panic(fmt.Sprintf("make schema: %v", err))
	}
	return append(content, '\n')
}

func schemaOf(path string, t reflect.Type, docs map[string]leaf) *object {
	o := newObject()
	l, isLeaf := docs[path]
	if isLeaf && l.meaning != "" {
		o.set("description", l.description())
	}
	// The limits are written in this package; a mistake in them shows in every test.
	limits := map[string]json.RawMessage{}
	if err := json.Unmarshal([]byte("{"+l.limit.schema+"}"), &limits); err != nil {
		panic(fmt.Sprintf("limits of %s: %v", path, err))
	}
	apply := func(to *object) *object {
		for _, key := range []string{"enum", "pattern", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"} {
			if limit, ok := limits[key]; ok {
				to.set(key, limit)
			}
		}
		return to
	}
	scalar := []string{"string", "number"} // numbers are read as they are written
	switch {
	case t.Kind() == reflect.Struct:
		properties := newObject()
		for i := range t.NumField() {
			if name := keyOf(t.Field(i)); name != "" {
				properties.set(name, schemaOf(join(path, name), t.Field(i).Type, docs))
			}
		}
		return o.set("type", "object").set("additionalProperties", false).set("properties", properties)
	case t == reflect.TypeFor[Duration]():
		o.set("type", "string").set("pattern", `^([0-9]+(\.[0-9]+)?(h|m|s|ms))+$|^0$`)
	case t.Kind() == reflect.Pointer:
		return schemaOf(path, t.Elem(), docs).set("type", []string{"number", "null"})
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		o.set("type", "array").set("items", schemaOf(path+"[]", t.Elem(), docs))
	case t.Kind() == reflect.Slice:
		o.set("type", "array").set("items", apply(newObject().set("type", scalar)))
	case t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Slice:
		items := apply(newObject().set("type", "string"))
		o.set("type", "object").set("additionalProperties", newObject().set("type", "array").set("items", items))
	case t.Kind() == reflect.Map:
		o.set("type", "object").set("additionalProperties", apply(newObject().set("type", []string{"string", "number", "boolean"})))
	case t.Kind() == reflect.Int:
		apply(o.set("type", "integer"))
	case t.Kind() == reflect.Float64:
		apply(o.set("type", "number"))
	case t.Kind() == reflect.Bool:
		o.set("type", "boolean")
	default:
		apply(o.set("type", scalar))
	}
	if isLeaf && l.value != nil && !empty(l.value) {
		o.set("default", json.RawMessage(encode(l.value)))
	}
	return o
}

func empty(value any) bool {
	v := reflect.ValueOf(value)
	switch v.Kind() {
	case reflect.String, reflect.Slice, reflect.Map:
		return v.Len() == 0
	}
	return false
}

// object is a JSON object that keeps its order.
type object struct {
	keys   []string
	values map[string]any
}

func newObject() *object { return &object{values: map[string]any{}} }

func (o *object) set(key string, value any) *object {
	if _, known := o.values[key]; !known {
		o.keys = append(o.keys, key)
	}
	o.values[key] = value
	return o
}

func (o *object) properties() *object { return o.values["properties"].(*object) }

// withoutDefaults drops the defaults, which an overlay does not have.
func (o *object) withoutDefaults() *object {
	out := newObject()
	for _, key := range o.keys {
		if key == "default" {
			if _, isValue := o.values[key].(json.RawMessage); isValue {
				continue
			}
		}
		value := o.values[key]
		if child, ok := value.(*object); ok {
			value = child.withoutDefaults()
		}
		out.set(key, value)
	}
	return out
}

// MarshalJSON renders the keys in their order.
func (o *object) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, key := range o.keys {
		if i > 0 {
			b.WriteByte(',')
		}
		value, err := json.Marshal(o.values[key])
		if err != nil {
			return nil, fmt.Errorf("marshal %s: %w", key, err)
		}
		b.Write(encode(key))
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}
