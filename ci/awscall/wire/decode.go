package wire

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/document"
	smithytime "github.com/aws/smithy-go/time"
)

// Decode sets a pointer to a struct to the JSON of an answer of ECS. Members that the struct does not have are left out,
// as the SDK's clients do; null is a member that is not set. It returns an error for JSON of another shape.
func Decode(answer []byte, into any) error {
	if len(bytes.TrimSpace(answer)) == 0 {
		return nil
	}
	var tree any
	decoder := json.NewDecoder(bytes.NewReader(answer))
	decoder.UseNumber()
	if err := decoder.Decode(&tree); err != nil {
		return err
	}
	return set(reflect.ValueOf(into).Elem(), tree, "answer")
}

// set sets a value to plain data, whose place in the answer is at.
func set(v reflect.Value, tree any, at string) error {
	if tree == nil {
		return nil
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return set(v.Elem(), tree, at)
	case reflect.Interface:
		var value any // without json.Number, which a document takes for a string
		content, err := json.Marshal(tree)
		if err == nil {
			err = json.Unmarshal(content, &value)
		}
		v.Set(reflect.ValueOf(document.NewLazyDocument(value)))
		return err
	case reflect.Slice:
		if list, is := tree.([]any); is {
			v.Set(reflect.MakeSlice(v.Type(), len(list), len(list)))
			for i, item := range list {
				if err := set(v.Index(i), item, fmt.Sprintf("%s[%d]", at, i)); err != nil {
					return err
				}
			}
			return nil
		}
	case reflect.Map:
		if members, is := tree.(map[string]any); is {
			v.Set(reflect.MakeMap(v.Type()))
			for key, item := range members {
				value := reflect.New(v.Type().Elem()).Elem()
				if err := set(value, item, at+"."+key); err != nil {
					return err
				}
				v.SetMapIndex(reflect.ValueOf(key), value)
			}
			return nil
		}
	case reflect.Struct:
		if number, is := tree.(json.Number); is && v.Type() == reflect.TypeFor[time.Time]() {
			seconds, err := number.Float64()
			v.Set(reflect.ValueOf(smithytime.ParseEpochSeconds(seconds)))
			return err
		}
		if members, is := tree.(map[string]any); is && v.Type() != reflect.TypeFor[time.Time]() {
			for key, item := range members {
				member := v.FieldByName(strings.ToUpper(key[:min(1, len(key))]) + key[min(1, len(key)):])
				if member.CanSet() && key != "resultMetadata" {
					if err := set(member, item, at+"."+key); err != nil {
						return err
					}
				}
			}
			return nil
		}
	default:
		return scalar(v, tree, at)
	}
	return fmt.Errorf("%s is a %T, not a %s", at, tree, v.Type())
}

func scalar(v reflect.Value, tree any, at string) error {
	switch value := tree.(type) {
	case string:
		if v.Kind() == reflect.String {
			v.SetString(value)
			return nil
		}
	case bool:
		if v.Kind() == reflect.Bool {
			v.SetBool(value)
			return nil
		}
	case json.Number:
		whole, err := value.Int64()
		if v.CanInt() && err == nil && !v.OverflowInt(whole) {
			v.SetInt(whole)
			return nil
		}
		number, err := value.Float64()
		if v.CanFloat() && err == nil {
			v.SetFloat(number)
			return nil
		}
	}
	return fmt.Errorf("%s is %v, not a %s", at, tree, v.Type())
}
