package overhttp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	ecsdocument "github.com/aws/aws-sdk-go-v2/service/ecs/document"
	"github.com/aws/smithy-go/document"
)

// Between the SDK's structures and the protocols' bytes stands a tree of plain values:
// map[string]any for structures, entries for maps, []any, string, bool, int64, float64,
// []byte, time.Time. What a service calls a member is derived from the SDK's field: the
// same, or with a small first letter. That this holds for every operation of the pinned
// clients is what the tests of this package show.

// entries are a map whose keys are data; the query protocol writes it differently from
// a structure.
type entries map[string]any

// naming says how a service writes the name of a field.
type naming func(field string) string

func upperCamel(field string) string { return field }

func lowerCamel(field string) string {
	r, size := utf8.DecodeRuneInString(field)
	return string(unicode.ToLower(r)) + field[size:]
}

var (
	timeType     = reflect.TypeFor[time.Time]()
	bytesType    = reflect.TypeFor[[]byte]()
	documentType = reflect.TypeFor[ecsdocument.Interface]()
)

// members are the fields that cross the wire.
func members(t reflect.Type) []reflect.StructField {
	var all []reflect.StructField
	for i := range t.NumField() {
		f := t.Field(i)
		// ResultMetadata is what the client knows about the answer, and no part of it.
		if f.IsExported() && !f.Anonymous && f.Name != "ResultMetadata" {
			all = append(all, f)
		}
	}
	return all
}

// encode makes a tree of a value, and says whether it is set at all.
func encode(v reflect.Value, name naming) (any, bool, error) {
	switch v.Kind() {
	case reflect.Invalid:
		return nil, false, nil
	case reflect.Pointer:
		if v.IsNil() {
			return nil, false, nil
		}
		tree, _, err := encode(v.Elem(), name)
		return tree, true, err
	case reflect.Interface:
		if v.IsNil() {
			return nil, false, nil
		}
		return encodeDocument(v)
	case reflect.Struct:
		if v.Type() == timeType {
			return v.Interface().(time.Time).UTC(), true, nil
		}
		tree := map[string]any{}
		for _, f := range members(v.Type()) {
			member, set, err := encode(v.FieldByIndex(f.Index), name)
			if err != nil {
				return nil, false, fmt.Errorf("%s: %w", f.Name, err)
			}
			if set {
				tree[name(f.Name)] = member
			}
		}
		return tree, true, nil
	case reflect.Slice:
		if v.IsNil() {
			return nil, false, nil
		}
		if v.Type() == bytesType {
			return v.Bytes(), true, nil
		}
		list := make([]any, 0, v.Len())
		for i := range v.Len() {
			item, _, err := encode(v.Index(i), name)
			if err != nil {
				return nil, false, err
			}
			list = append(list, item)
		}
		return list, true, nil
	case reflect.Map:
		if v.IsNil() {
			return nil, false, nil
		}
		all := entries{}
		for _, key := range v.MapKeys() {
			item, _, err := encode(v.MapIndex(key), name)
			if err != nil {
				return nil, false, err
			}
			all[key.String()] = item
		}
		return all, true, nil
	case reflect.String: // an enumeration without a pointer is not set when empty
		return v.String(), v.Len() > 0, nil
	case reflect.Bool:
		return v.Bool(), true, nil
	case reflect.Int32, reflect.Int64, reflect.Int:
		return v.Int(), true, nil
	case reflect.Float32, reflect.Float64:
		return v.Float(), true, nil
	default:
		return nil, false, fmt.Errorf("no protocol here has a %s", v.Type())
	}
}

func encodeDocument(v reflect.Value) (any, bool, error) {
	d, is := v.Interface().(document.Marshaler)
	if !is {
		return nil, false, fmt.Errorf("no protocol here has a %s", v.Type())
	}
	content, err := d.MarshalSmithyDocument()
	if err != nil {
		return nil, false, err
	}
	var tree any
	if err := json.Unmarshal(content, &tree); err != nil {
		return nil, false, err
	}
	return tree, true, nil
}

// decoder makes values of trees.
type decoder struct {
	name naming
	// text is set if numbers, booleans and times are written as strings, as in forms.
	text bool
}

// errShape: a tree does not have the shape of the type.
var errShape = errors.New("unexpected value")

func (d decoder) decode(tree any, into reflect.Value) error {
	if tree == nil {
		return nil
	}
	switch into.Kind() {
	case reflect.Pointer:
		into.Set(reflect.New(into.Type().Elem()))
		return d.decode(tree, into.Elem())
	case reflect.Interface:
		if into.Type() != documentType {
			return fmt.Errorf("%w: no protocol here has a %s", errShape, into.Type())
		}
		into.Set(reflect.ValueOf(ecsdocument.NewLazyDocument(plain(tree))))
		return nil
	case reflect.Struct:
		if into.Type() == timeType {
			return d.decodeTime(tree, into)
		}
		return d.decodeStruct(tree, into)
	case reflect.Slice:
		if into.Type() == bytesType {
			return d.decodeBytes(tree, into)
		}
		return d.decodeList(tree, into)
	case reflect.Map:
		return d.decodeMap(tree, into)
	default:
		return d.decodeScalar(tree, into)
	}
}

func (d decoder) decodeStruct(tree any, into reflect.Value) error {
	given, is := tree.(map[string]any)
	if !is {
		return fmt.Errorf("%w: %T for %s", errShape, tree, into.Type())
	}
	known, other := map[string]reflect.Value{}, map[string]reflect.Value{}
	for _, f := range members(into.Type()) {
		known[d.name(f.Name)] = into.FieldByIndex(f.Index)
		// A few members are written in the other way than the rest of their service.
		other[strings.ToLower(f.Name)] = into.FieldByIndex(f.Index)
	}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		field, is := known[key]
		if !is {
			field, is = other[strings.ToLower(key)]
		}
		if !is {
			// AWS ignores what it does not know; here it is most likely a mistake of this package.
			return fmt.Errorf("%w: %s has no member %s", errShape, into.Type(), key)
		}
		if err := d.decode(given[key], field); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}

func (d decoder) decodeList(tree any, into reflect.Value) error {
	list, is := tree.([]any)
	if fields, form := tree.(map[string]any); form && d.text {
		list, is = numbered(fields)
	} else if d.text && tree == "" {
		list, is = []any{}, true // an empty list is an empty value
	}
	if !is {
		return fmt.Errorf("%w: %T for %s", errShape, tree, into.Type())
	}
	into.Set(reflect.MakeSlice(into.Type(), len(list), len(list)))
	for i, item := range list {
		if err := d.decode(item, into.Index(i)); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

// numbered are the members of a list in a form: member.1, member.2, or 1, 2 when flat.
func numbered(fields map[string]any) ([]any, bool) {
	if inner, is := fields["member"].(map[string]any); is && len(fields) == 1 {
		fields = inner
	}
	list := make([]any, len(fields))
	for key, item := range fields {
		n, err := strconv.Atoi(key)
		if err != nil || n < 1 || n > len(list) {
			return nil, false
		}
		list[n-1] = item
	}
	return list, true
}

func (d decoder) decodeMap(tree any, into reflect.Value) error {
	given, is := tree.(map[string]any)
	if d.text && is {
		inner, _ := given["entry"].(map[string]any)
		list, numeric := numbered(inner)
		given, is = map[string]any{}, numeric
		for _, item := range list {
			pair, _ := item.(map[string]any)
			given[fmt.Sprint(pair["key"])] = pair["value"]
		}
	}
	if !is {
		return fmt.Errorf("%w: %T for %s", errShape, tree, into.Type())
	}
	into.Set(reflect.MakeMap(into.Type()))
	for key, item := range given {
		value := reflect.New(into.Type().Elem()).Elem()
		if err := d.decode(item, value); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		into.SetMapIndex(reflect.ValueOf(key).Convert(into.Type().Key()), value)
	}
	return nil
}

func (d decoder) decodeBytes(tree any, into reflect.Value) error {
	switch content := tree.(type) {
	case []byte:
		into.SetBytes(content)
		return nil
	case string:
		b, err := base64.StdEncoding.DecodeString(content)
		into.SetBytes(b)
		return err
	default:
		return fmt.Errorf("%w: %T for bytes", errShape, tree)
	}
}

func (d decoder) decodeTime(tree any, into reflect.Value) error {
	switch at := tree.(type) {
	case time.Time:
		into.Set(reflect.ValueOf(at.UTC()))
		return nil
	case json.Number:
		seconds, err := at.Float64()
		into.Set(reflect.ValueOf(fromEpoch(seconds)))
		return err
	case string:
		parsed, err := time.Parse(time.RFC3339Nano, at)
		into.Set(reflect.ValueOf(parsed))
		return err
	default:
		return fmt.Errorf("%w: %T for a time", errShape, tree)
	}
}

// Times cross the wire in seconds with a fraction, of which milliseconds are kept.
func fromEpoch(seconds float64) time.Time {
	return time.UnixMilli(int64(seconds*1000 + 0.5)).UTC()
}

func toEpoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

func (d decoder) decodeScalar(tree any, into reflect.Value) error {
	if n, is := tree.(json.Number); is && into.Kind() != reflect.String {
		return setNumber(n.String(), into)
	}
	switch value := tree.(type) {
	case string:
		if into.Kind() == reflect.String {
			into.SetString(value)
			return nil
		}
		if d.text && into.Kind() == reflect.Bool {
			b, err := strconv.ParseBool(value)
			into.SetBool(b)
			return err
		}
		if d.text {
			return setNumber(value, into)
		}
	case bool:
		if into.Kind() == reflect.Bool {
			into.SetBool(value)
			return nil
		}
	case int64:
		if into.CanInt() && !into.OverflowInt(value) {
			into.SetInt(value)
			return nil
		}
		if into.CanFloat() {
			into.SetFloat(float64(value))
			return nil
		}
	case float64:
		if into.CanFloat() {
			into.SetFloat(value)
			return nil
		}
	}
	return fmt.Errorf("%w: %T for %s", errShape, tree, into.Type())
}

func setNumber(text string, into reflect.Value) error {
	if into.CanInt() {
		n, err := strconv.ParseInt(text, 10, into.Type().Bits())
		into.SetInt(n)
		return err
	}
	if into.CanFloat() {
		n, err := strconv.ParseFloat(text, into.Type().Bits())
		into.SetFloat(n)
		return err
	}
	return fmt.Errorf("%w: a number for %s", errShape, into.Type())
}

// plain turns JSON's exact numbers into ordinary ones, for a document that goes on.
func plain(tree any) any {
	switch value := tree.(type) {
	case json.Number:
		if n, err := value.Int64(); err == nil && !strings.ContainsAny(value.String(), ".eE") {
			return n
		}
		n, _ := value.Float64()
		return n
	case map[string]any:
		all := map[string]any{}
		for key, item := range value {
			all[key] = plain(item)
		}
		return all
	case []any:
		all := make([]any, 0, len(value))
		for _, item := range value {
			all = append(all, plain(item))
		}
		return all
	default:
		return tree
	}
}
