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

// named are the operations of Elastic Load Balancing that are called for named resources only: it describes each, or
// refuses the call (API reference, such as TargetGroupNotFound).
var named = []string{"DescribeLoadBalancers", "DescribeTargetGroups", "DescribeTags"}

// heardOnly is an option of the clients of ECS and of Elastic Load Balancing. For each resource that a call names, ECS
// describes it or lists a failure, such as MISSING (API reference, Failure). An answer without both, as a gateway may
// give, says nothing.
func heardOnly(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("refuse silence", func(ctx context.Context,
		in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
		out, metadata, err := next.HandleDeserialize(ctx, in)
		if err == nil && strings.HasPrefix(stack.ID(), "Describe") && silent(out.Result, slices.Contains(named, stack.ID())) {
			err = errSilent
		}
		return out, metadata, err
	}), middleware.Before)
}

// silent reports whether an output that has something, or can list failures, has neither.
func silent(output any, has bool) bool {
	v := reflect.Indirect(reflect.ValueOf(output))
	if v.Kind() != reflect.Struct || !has && !v.FieldByName("Failures").IsValid() {
		return false
	}
	for i := range v.NumField() {
		if field := v.Field(i); field.Kind() == reflect.Slice && field.Len() > 0 {
			return false
		}
	}
	return true
}
