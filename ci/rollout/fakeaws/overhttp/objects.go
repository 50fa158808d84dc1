package overhttp

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
)

// objectInput is a request about a bucket, or about an object of it: bucket/key.
type objectInput struct{ path string }

// serveObject is GET and PUT of one object, in path style: /bucket/key.
func (s *Server) serveObject(w http.ResponseWriter, r *http.Request, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Time != nil {
		s.Time()
	}
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	request := Request{Action: "s3:" + map[string]string{http.MethodGet: "GetObject", http.MethodPut: "PutObject"}[r.Method], Key: signer(r)}
	put := &s3object.PutObjectInput{Bucket: bucket, Key: key, IfMatch: r.Header.Get("If-Match"), IfNoneMatch: r.Header.Get("If-None-Match")}
	request.Input = &objectInput{bucket + "/" + key}
	s.calls = append(s.calls, request)
	fault := s.next(request.Action)
	if fault.Reset || fault.Status != 0 {
		fault.instead(w)
		return
	}
	err := fault.Err
	if err == nil {
		err = s.STS.check(r, "", true)
	}
	if err == nil && s.Allow != nil {
		if denied := s.Allow(request); denied != nil {
			err = refused("AccessDenied", "%v", denied)
		}
	}
	content, etag := []byte(nil), ""
	switch {
	case err != nil:
	case r.Method == http.MethodGet:
		var out *s3object.GetObjectOutput
		if out, err = s.objects.GetObject(r.Context(), bucket, key); err == nil {
			etag = out.ETag
			content, err = io.ReadAll(out.Body)
		}
	default:
		var plain []byte
		if plain, err = unchunk(r, body); err == nil {
			put.Body = bytes.NewReader(plain)
			var out *s3object.PutObjectOutput
			if out, err = s.objects.PutObject(r.Context(), put); err == nil {
				etag = out.ETag
			}
		}
	}
	if s.Allow != nil && err != nil && errorCode(err) == "NoSuchKey" {
		// Who may not list is not told what is missing (GetObject in the API reference).
		if denied := s.Allow(Request{Action: "s3:ListBucket", Input: &objectInput{bucket}}); denied != nil {
			err = refused("AccessDenied", "%v", denied)
		}
	}
	switch {
	case fault.Lost || errors.Is(err, fakeaws.ErrCut):
		hang(w, nil)
	case err != nil:
		refuseObject(w, err)
	default:
		requestID(w)
		w.Header().Set("ETag", etag)
		if fault.Half {
			w = &half{ResponseWriter: w}
		}
		_, _ = w.Write(content)
	}
}

func errorCode(err error) string {
	var known smithy.APIError
	if errors.As(err, &known) {
		return known.ErrorCode()
	}
	return ""
}

// refuseObject answers an error as S3 does ("Error responses" in its API reference).
func refuseObject(w http.ResponseWriter, err error) {
	code, message, status := "InternalError", err.Error(), http.StatusInternalServerError
	var known smithy.APIError
	if errors.As(err, &known) {
		code, message = known.ErrorCode(), known.ErrorMessage()
		status = map[string]int{"NoSuchKey": 404, "NoSuchBucket": 404, "PreconditionFailed": 412, "AccessDenied": 403,
			"ConditionalRequestConflict": 409, "SlowDown": 503}[code]
		if status == 0 {
			status = http.StatusBadRequest
		}
	}
	var b bytes.Buffer
	// Strings are always written.
	_ = writeXML(&b, "Error", map[string]any{"Code": code, "Message": message})
	requestID(w)
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

// unchunk takes a body out of chunks with a checksum behind them, in which the SDK sends
// what it cannot read twice.
func unchunk(r *http.Request, body []byte) ([]byte, error) {
	if !strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		return body, nil
	}
	var all []byte
	for {
		line, rest, found := bytes.Cut(body, []byte("\r\n"))
		size, _, _ := strings.Cut(string(line), ";")
		n, err := strconv.ParseUint(size, 16, 31)
		if !found || err != nil || int(n)+2 > len(rest) {
			return nil, fmt.Errorf("read chunk %q: it is not whole", line)
		}
		if n == 0 {
			return all, nil
		}
		all, body = append(all, rest[:n]...), rest[n+2:]
	}
}
