package account

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/smithy-go/middleware"
)

// errSilent is not an API error: the SDK retries it, and callers do not mistake it for "not found".
var errSilent = errors.New("the answer has neither what was asked for nor a reason why not, so it is not of AWS")

// perName are the operations of Elastic Load Balancing that describe each resource that a call names, or refuse the call (API
// reference, such as TargetGroupNotFound). A call without names asks for all resources, and may find none.
var perName = []string{"DescribeLoadBalancers", "DescribeTargetGroups", "DescribeTags"}

// requireAnswers is an option for the clients of ECS and Elastic Load Balancing. For each named resource, ECS returns either
// a description or a failure, such as MISSING (API reference, Failure). A response with neither, as a gateway may send, is an
// error.
func requireAnswers(stack *middleware.Stack) error {
	var input any // each call has its own stack
	if err := stack.Initialize.Add(middleware.InitializeMiddlewareFunc("keep input", func(ctx context.Context,
		in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
		input = in.Parameters
		return next.HandleInitialize(ctx, in)
	}), middleware.Before); err != nil {
		return err
	}
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("refuse silence", func(ctx context.Context,
		in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if err == nil && strings.HasPrefix(stack.ID(), "Describe") {
			answer := reflect.Indirect(reflect.ValueOf(out.Result))
			can := answer.Kind() == reflect.Struct && answer.FieldByName("Failures").IsValid()
			if (can || slices.Contains(perName, stack.ID()) && lists(input)) && !lists(out.Result) {
				err = errSilent
			}
		}
		return out, metadata, err
	}), middleware.Before)
}

// lists reports whether a field of an input or output is a non-empty list.
func lists(message any) bool {
	v := reflect.Indirect(reflect.ValueOf(message))
	if v.Kind() != reflect.Struct {
		return false
	}
	for i := range v.NumField() {
		if field := v.Field(i); field.Kind() == reflect.Slice && field.Len() > 0 {
			return true
		}
	}
	return false
}
