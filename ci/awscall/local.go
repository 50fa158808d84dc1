package awscall

import (
	"context"
	"errors"
	"net"
	"net/url"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Local reports whether an address is one of this machine, as that of a stand-in for AWS such as
// LocalStack is.
func Local(address string) bool {
	at, err := url.Parse(address)
	return err == nil && local(at)
}

func local(at *url.URL) bool {
	return at.Hostname() == "localhost" || net.ParseIP(at.Hostname()).IsLoopback()
}

// LocalOnly changes a client so that it reaches this machine alone; it is one of aws.Config's
// APIOptions. A variable or profile can give one service an address of its own
// (AWS_ENDPOINT_URL_ECS): a request to another machine is an error and is not sent.
func LocalOnly(stack *middleware.Stack) error {
	check := func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
		middleware.DeserializeOutput, middleware.Metadata, error,
	) {
		if request, is := in.Request.(*smithyhttp.Request); !is || !local(request.URL) {
			return middleware.DeserializeOutput{}, middleware.Metadata{},
				errors.New("without --ref the call may only reach AWS on this machine, and this service has another address")
		}
		return next.HandleDeserialize(ctx, in)
	}
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("LocalOnly", check), middleware.After)
}
