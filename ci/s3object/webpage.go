package s3object

import (
	"fmt"
	"mime"
	"net/http"
	"regexp"
)

// webPageError is an answer that is a web page: a login page, or another server at the address of the store.
type webPageError struct {
	host   string
	status int
	// to is the address of another server that a redirect leads to.
	to string
}

// Error implements error.
func (e *webPageError) Error() string {
	if e.to != "" {
		return fmt.Sprintf("%s redirects to %s (HTTP %d); where that is the store, give its address", e.host, e.to, e.status)
	}
	return fmt.Sprintf("%s answers with a web page (HTTP %d, text/html)", e.host, e.status)
}

func webPage(answer *http.Response) error {
	return &webPageError{host: answer.Request.URL.Host, status: answer.StatusCode}
}

// redirected is the error of an answer that leads to another server, as of a proxy that wants https; nil for any other.
// AWS names a region instead.
func redirected(answer *http.Response) error {
	to, _ := answer.Location() // nil when there is none
	if to == nil || answer.StatusCode/100 != 3 || answer.Request == nil || answer.Header.Get("X-Amz-Bucket-Region")+
		answer.Header.Get("X-Amz-Request-Id") != "" {
		return nil
	}
	if asked := answer.Request.URL; to.Host == "" || to.Scheme == asked.Scheme && to.Host == asked.Host {
		return nil
	}
	return &webPageError{host: answer.Request.URL.Host, status: answer.StatusCode, to: to.Scheme + "://" + to.Host}
}

// title is that of the page that a proxy answers an error with.
var title = regexp.MustCompile(`(?is)<title[^>]*>([^<]{1,200})</title>`)

// isWebPage reports whether an answer that is no error is a page for people, which would pass for an object, or
// for a write that succeeded. An S3 API puts the identifier of the request into its answers, also when the object
// that it hands out is a page. Some declare an empty body as HTML. Pages with an error status keep the meaning of
// their status.
func isWebPage(answer *http.Response) bool {
	mediaType, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	return err == nil && mediaType == "text/html" && answer.StatusCode < 400 && answer.ContentLength != 0 && answer.Request != nil &&
		answer.Request.Method != http.MethodHead && answer.Header.Get("X-Amz-Request-Id") == ""
}
