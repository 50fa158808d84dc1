package mlflow

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// artifactsPath is where a server that proxies artifacts serves them.
const artifactsPath = "mlflow-artifacts/artifacts"

// Proxied returns the path of an artifact address that this server itself serves
// (mlflow-artifacts:/1/abc/artifacts), and false for one that it does not: another
// scheme, or another host, to which the credentials must not go.
func (a Artifacts) Proxied(uri string) (string, bool) {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "mlflow-artifacts" || u.Host != "" && u.Host != a.base.Host {
		return "", false
	}
	clean := strings.Trim(path.Clean("/"+u.Path), "/")
	// A server may hand out the address with its API's path in front.
	clean = strings.TrimPrefix(clean, strings.Trim(apiPrefix, "/")+"/"+artifactsPath+"/")
	return clean, clean != ""
}

// CheckServed asks for the list of artifacts below a proxied path. NotServed is the answer of a server that serves none, though
// its experiments may say so.
func (a Artifacts) CheckServed(ctx context.Context, proxied string) error {
	return a.json(ctx, "list artifacts "+proxied, http.MethodGet, artifactsPath, url.Values{"path": {proxied}}, nil, nil, false)
}

// UploadArtifact stores bytes under a proxied path (see Proxied). open is called for
// each attempt and returns the content with its size; an upload may be repeated, as
// it replaces what is there.
func (a Artifacts) UploadArtifact(ctx context.Context, proxied string, open func() (io.ReadCloser, int64, error)) error {
	body := func() (io.ReadCloser, int64, error) {
		r, n, err := open()
		if err != nil {
			return nil, 0, fmt.Errorf("%w: %w", errLocal, err)
		}
		return r, n, nil
	}
	req := call{op: "upload artifact " + proxied, method: http.MethodPut, path: apiPrefix + artifactsPath + "/" + proxied,
		body: body, contentType: "application/octet-stream", repeatable: true, transfer: true}
	return a.attempt(ctx, req, func(resp *http.Response) error {
		// The answer is "{}"; a login page is not.
		b, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
		if err != nil {
			return err
		}
		if s := strings.TrimSpace(string(b)); s != "" && s[0] != '{' {
			return errNotJSON
		}
		return nil
	})
}

// DownloadArtifact streams a proxied artifact into the writer that begin returns; begin is
// called for each attempt and must discard what an earlier one wrote. One of more than
// limit bytes is Endless, and no more than one byte above the limit is written.
func (a Artifacts) DownloadArtifact(ctx context.Context, proxied string, limit int64, begin func() io.Writer) (int64, error) {
	var n int64
	req := call{op: "download artifact " + proxied, method: http.MethodGet, path: apiPrefix + artifactsPath + "/" + proxied,
		repeatable: true, transfer: true}
	err := a.attempt(ctx, req, func(resp *http.Response) error {
		// MLflow declares what a file's name says: a web page of another name is that of a login.
		declared, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type"))
		if declared == "text/html" && !strings.Contains(path.Ext(proxied), "htm") {
			return errNotJSON
		}
		var err error
		n, err = io.Copy(begin(), io.LimitReader(resp.Body, limit+1))
		if err == nil && n > limit {
			return &Error{Kind: Endless, Message: fmt.Sprintf("it has more than the %d bytes that were stored", limit)}
		}
		if err == nil && resp.ContentLength >= 0 && n != resp.ContentLength {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	return n, err
}
