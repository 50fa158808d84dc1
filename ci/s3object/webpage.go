package s3object

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/http"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// webPageError is an answer that is a web page: a login page, or another server at the address of the store.
type webPageError struct {
	host   string
	status int
}

// Error implements error.
func (e *webPageError) Error() string {
	return fmt.Sprintf("%s answers with a web page (HTTP %d, text/html)", e.host, e.status)
}

// refuseWebPages makes an error of a web page. The SDK would take it for an empty listing, for the object that was
// asked for, or for a write that succeeded.
func refuseWebPages(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("RefuseWebPages",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
			middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			answer, ok := out.RawResponse.(*smithyhttp.Response)
			if err != nil || !ok || !isWebPage(answer.Response) {
				return out, metadata, err
			}
			page := &webPageError{status: answer.StatusCode}
			if request, ok := in.Request.(*smithyhttp.Request); ok {
				page.host = request.URL.Host
			}
			return out, metadata, errors.Join(page, answer.Body.Close())
		}), middleware.After) // closest to the connection, before the answer is decoded
}

// isWebPage reports whether an answer that is no error is a page for people. An S3 API puts the identifier of the
// request into its answers, also when the object that it hands out is a page. Some declare an empty body as HTML.
// Pages with an error status keep the meaning of their status.
func isWebPage(answer *http.Response) bool {
	mediaType, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return err == nil && mediaType == "text/html" && answer.StatusCode < 400 && answer.ContentLength != 0 &&
		answer.Request.Method != http.MethodHead && answer.Header.Get("X-Amz-Request-Id") == ""
}
