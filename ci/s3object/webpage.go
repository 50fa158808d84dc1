package s3object

import (
	"fmt"
	"html"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"unicode/utf8"
)

// webPageError is an answer that no S3 API gives: a login page, or that of another server at the address of the store.
type webPageError struct {
	host   string
	status int
	// form is what the answer is, said its title or its words.
	form, said string
	// to is the address of another server that a redirect leads to.
	to string
}

// Error implements error.
func (e *webPageError) Error() string {
	if e.to != "" {
		return fmt.Sprintf("%s redirects to %s (HTTP %d); where that is the store, give its address", e.host, e.to, e.status)
	}
	text := fmt.Sprintf("%s answers with %s", e.host, e.form)
	if e.said != "" {
		text += ": " + e.said
	}
	return text
}

// webPage is the error of an answer with a body that is no document of S3; its title is kept.
func webPage(answer *http.Response, body []byte) error {
	form, _, err := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	switch {
	case err != nil:
		form = "no content type"
	case form == "text/html":
		form = "a web page"
	}
	host := "another server"
	if answer.Request != nil {
		host = answer.Request.URL.Host
	}
	form = fmt.Sprintf("%s (HTTP %d)", form, answer.StatusCode)
	return &webPageError{host: host, status: answer.StatusCode, said: titleOf(body), form: form}
}

// isForeign reports whether a refusal is of something else than a store, such as MLflow or a console at its address: S3
// says why in a document. Proxies in front of a store do not, and have other statuses.
func isForeign(answer *http.Response, body []byte) bool {
	switch answer.StatusCode {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusMisdirectedRequest:
		return len(body) > 0 && answer.Request != nil && answer.Header.Get("X-Amz-Request-Id") == ""
	}
	return false
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

var title = regexp.MustCompile(`(?is)<title[^>]*>([^<]{1,200})</title>`)

// titleOf is what a page or a line of text says that a proxy answers an error with; empty for anything else.
func titleOf(body []byte) string {
	if m := title.FindSubmatch(body); m != nil {
		return html.UnescapeString(strings.TrimSpace(string(m[1])))
	}
	if line := strings.TrimSpace(string(body)); utf8.ValidString(line) && !strings.ContainsAny(line, "<\n") {
		return clip(line)
	}
	return ""
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
