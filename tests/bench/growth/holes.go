package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
)

// serveHoles is an S3 API that compares the checksums of what it gets and keeps nothing.
func serveHoles() (url string, stop func()) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		hash := sha256.New()
		if _, err := io.Copy(hash, r.Body); err != nil {
			panic(http.ErrAbortHandler)
		}
		sum := base64.StdEncoding.EncodeToString(hash.Sum(nil))
		if want := r.Header.Get("X-Amz-Checksum-Sha256"); want != "" && r.Method == http.MethodPut && want != sum {
			http.Error(w, "<Error><Code>BadDigest</Code></Error>", http.StatusBadRequest)
			return
		}
		switch {
		case r.Method == http.MethodHead:
			w.WriteHeader(http.StatusNotFound)
		case r.Method == http.MethodPost && query.Has("uploads"):
			_, _ = fmt.Fprint(w, `<InitiateMultipartUploadResult><UploadId>1</UploadId></InitiateMultipartUploadResult>`)
		case r.Method == http.MethodPost:
			_, _ = fmt.Fprint(w, `<CompleteMultipartUploadResult><ETag>"1"</ETag></CompleteMultipartUploadResult>`)
		case r.Method == http.MethodGet:
			_, _ = fmt.Fprint(w, `<ListMultipartUploadsResult></ListMultipartUploadsResult>`)
		default:
			w.Header().Set("ETag", `"1"`)
			w.Header().Set("X-Amz-Checksum-Sha256", sum)
		}
	}))
	return server.URL, server.Close
}
