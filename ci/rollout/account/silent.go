package account

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"

	"github.com/aws/smithy-go/middleware"
)

// errSilent is no refusal, so it is retried, and nothing is taken for missing because of it.
var errSilent = errors.New("the answer has neither what was asked for nor a reason why not, so it is not of AWS")

// perName are the operations of Elastic Load Balancing that describe each resource that a call names, or refuse the
// call (API reference, such as TargetGroupNotFound). A call that names none asks for all, and there may be none.
var perName = []string{"DescribeLoadBalancers", "DescribeTargetGroups", "DescribeTags"}

// heardOnly is an option of the clients of ECS and of Elastic Load Balancing. For each resource that a call names, ECS
// describes it or lists a failure, such as MISSING (API reference, Failure). An answer without both, as a gateway may
// give, says nothing.
func heardOnly(stack *middleware.Stack) error {
	var input any // a stack is made for each call
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

// lists reports whether a field of an input or an output is a list that is not empty.
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
