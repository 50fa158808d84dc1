// Package wire converts between the types of the AWS SDK and the plain data that is sent, so that the
// same data is sent, shown, hashed and compared.
package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/aws/smithy-go/document"
	smithytime "github.com/aws/smithy-go/time"
)

// JSON renders an SDK input as the JSON that the AWS CLI takes with --cli-input-json: unset
// members are left out, keys are sorted, and the indent is two spaces. Members of ECS and
// CloudWatch Logs start in lower case, those of other services do not.
func JSON(input any) []byte { return Indent(Encode(input)) }

// Indent writes plain data as indented JSON without HTML escapes.
func Indent(value any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	// Strings, numbers, booleans, lists and maps of such can always be encoded.
	if err := encoder.Encode(value); err != nil {
		panic(fmt.Sprintf("encode %T: %v", value, err))
	}
	return b.Bytes()
}

// Encode turns an input into maps, lists and plain values, without unset members. It panics
// on a kind that no input of the SDK has, which is a programming error.
func Encode(input any) any {
	value, _ := plain(reflect.ValueOf(input), memberNames(reflect.TypeOf(input)))
	return value
}

// plain returns a value as plain data, and whether it is set.
func plain(v reflect.Value, naming func(string) string) (any, bool) {
	switch v.Kind() {
	case reflect.Invalid:
		return nil, false
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil, false
		}
		if free, is := v.Interface().(document.Marshaler); is {
			return documented(free), true
		}
		if value, _ := plain(v.Elem(), naming); value != nil {
			return value, true
		}
		return map[string]any{}, true
	case reflect.Struct:
		if at, is := v.Interface().(time.Time); is {
			return smithytime.FormatEpochSeconds(at), true
		}
		return structure(v, naming), true
	case reflect.Slice:
		if v.IsNil() {
			return nil, false
		}
		all := make([]any, 0, v.Len())
		for i := range v.Len() {
			value, _ := plain(v.Index(i), naming)
			all = append(all, value)
		}
		return all, true
	case reflect.Map:
		all := map[string]any{}
		for _, key := range v.MapKeys() {
			// Keys of a map are data, and keep their case.
			all[key.String()], _ = plain(v.MapIndex(key), naming)
		}
		return all, len(all) > 0
	case reflect.String:
		return v.String(), v.Len() > 0
	case reflect.Bool:
		return v.Bool(), v.Bool()
	case reflect.Int, reflect.Int32, reflect.Int64:
		return v.Int(), v.Int() != 0
	case reflect.Float64, reflect.Float32:
		return v.Float(), v.Float() != 0
	default:
		panic(fmt.Sprintf("no member of an input is a %s", v.Kind()))
	}
}

// documented is the plain data of a member without a fixed shape, such as the details of a deployment's hook.
func documented(d document.Marshaler) (value any) {
	content, err := d.MarshalSmithyDocument()
	if err == nil {
		err = json.Unmarshal(content, &value)
	}
	if err != nil {
		panic(fmt.Sprintf("encode %T: %v", d, err))
	}
	return value
}

// required are the members that are sent although they have no pointer and are false.
var required = map[string]bool{
	"DeploymentAlarms.Enable": true, "DeploymentAlarms.Rollback": true,
	"DeploymentCircuitBreaker.Enable": true, "DeploymentCircuitBreaker.Rollback": true,
	"DeploymentEarlySuccessCriteria.Enable": true,
}

func structure(v reflect.Value, naming func(string) string) map[string]any {
	all := map[string]any{}
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() || field.Anonymous {
			continue
		}
		value, set := plain(v.Field(i), naming)
		if !set && !required[v.Type().Name()+"."+field.Name] {
			continue
		}
		key := naming(field.Name)
		all[key] = value
	}
	return all
}

// lowerCase reports whether a service's members start in lower case. A service's types are in
// a package below its own.
func lowerCase(path string) bool {
	path = strings.TrimSuffix(path, "/types")
	return strings.HasSuffix(path, "/ecs") || strings.HasSuffix(path, "/awscall/logs")
}

// memberNames converts Go field names to a service's member names.
func memberNames(t reflect.Type) func(string) string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	if lowerCase(t.PkgPath()) {
		return func(name string) string { return strings.ToLower(name[:1]) + name[1:] }
	}
	return func(name string) string { return name }
}
