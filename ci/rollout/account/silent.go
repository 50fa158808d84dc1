package account

import (
	"context"
	"errors"
	"reflect"
	"strings"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go/middleware"
)

// errSilent is no refusal, so it is retried, and nothing is taken for missing because of it.
var errSilent = errors.New("the answer has neither what was asked for nor a reason why not, so it is not of ECS")

// heardOnly is an option of the client of ECS. For each resource that a call names, ECS describes it or lists a failure,
// such as MISSING (API reference, Failure). An answer without both, as a gateway may give, says nothing.
func heardOnly(o *ecs.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("refuse silence", func(ctx context.Context,
			in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if err == nil && strings.HasPrefix(awsmiddleware.GetOperationName(ctx), "Describe") && silent(out.Result) {
				err = errSilent
			}
			return out, metadata, err
		}), middleware.Before)
	})
}

// silent reports whether an output that can list failures has none, and nothing else either.
func silent(output any) bool {
	v := reflect.Indirect(reflect.ValueOf(output))
	if v.Kind() != reflect.Struct || !v.FieldByName("Failures").IsValid() {
		return false
	}
	for i := range v.NumField() {
		if field := v.Field(i); field.Kind() == reflect.Slice && field.Len() > 0 {
			return false
		}
	}
	return true
}
