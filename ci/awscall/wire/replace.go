package wire

import "reflect"

// Replace copies an input with every string in it replaced; the original is unchanged.
func Replace[T any](input T, with func(string) string) T {
	return replace(reflect.ValueOf(&input).Elem(), with).Interface().(T)
}

func replace(v reflect.Value, with func(string) string) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	switch v.Kind() {
	case reflect.String:
		out.SetString(with(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(replace(v.Elem(), with))
		}
	case reflect.Struct:
		out.Set(v)
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				out.Field(i).Set(replace(v.Field(i), with))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(replace(v.Index(i), with))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for _, key := range v.MapKeys() {
				out.SetMapIndex(key, replace(v.MapIndex(key), with))
			}
		}
	default:
		out.Set(v)
	}
	return out
}
