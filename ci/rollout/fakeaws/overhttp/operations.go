package overhttp

import (
	"context"
	"reflect"
)

// operation is one operation of a service: what it takes, and what carries it out.
type operation struct {
	name  string
	input reflect.Type
	call  func(ctx context.Context, input reflect.Value) (any, error)
}

// operationsOf are the methods of a value that look like those of the SDK's clients:
// Name(context, *NameInput, ...options) (*NameOutput, error); those of package awscall have no options.
func operationsOf(backend any) map[string]operation {
	all := map[string]operation{}
	value := reflect.ValueOf(backend)
	for i := range value.NumMethod() {
		method, name := value.Method(i), value.Type().Method(i).Name
		if input, is := operationInput(method.Type(), name); is {
			all[name] = operation{name: name, input: input, call: func(ctx context.Context, in reflect.Value) (any, error) {
				out := method.Call([]reflect.Value{reflect.ValueOf(ctx), in})
				err, _ := out[1].Interface().(error)
				return out[0].Interface(), err
			}}
		}
	}
	return all
}

// operationInput is the type that an operation's method takes by pointer.
func operationInput(method reflect.Type, name string) (reflect.Type, bool) {
	if method.NumIn() < 2 || method.NumIn() > 3 || method.NumOut() != 2 || method.In(1).Kind() != reflect.Pointer {
		return nil, false
	}
	input := method.In(1).Elem()
	return input, input.Name() == name+"Input"
}
