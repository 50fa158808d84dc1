package s3object

import (
	"fmt"
	"mime"
	"net/http"
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

func webPage(answer *http.Response) error {
	return &webPageError{answer.Request.URL.Host, answer.StatusCode}
}

// isWebPage reports whether an answer that is no error is a page for people, which would pass for an object, or
// for a write that succeeded. An S3 API puts the identifier of the request into its answers, also when the object
// that it hands out is a page. Some declare an empty body as HTML. Pages with an error status keep the meaning of
// their status.
func isWebPage(answer *http.Response) bool {
	mediaType, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return err == nil && mediaType == "text/html" && answer.StatusCode < 400 && answer.ContentLength != 0 && answer.Request != nil &&
		answer.Request.Method != http.MethodHead && answer.Header.Get("X-Amz-Request-Id") == ""
}
