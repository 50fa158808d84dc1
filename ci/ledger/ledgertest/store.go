// Package ledgertest is an S3 API in memory, with conditional writes and the faults
// that tests ask for.
package ledgertest

import (
	"crypto/md5" // S3's ETag, not a protection
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Object is what is stored under a key.
type Object struct {
	Content []byte
	Meta    map[string]string
	// Modified is when it was stored, by the store's clock.
	Modified time.Time
}

type upload struct {
	key   string
	meta  map[string]string
	parts map[int][]byte
}

// Before sees a request and may answer it: true when it did.
type Before func(w http.ResponseWriter, r *http.Request) bool

// After runs when a request has been executed, before its answer is sent; true drops the answer.
type After func(r *http.Request) bool

// Store is one bucket in memory.
type Store struct {
	// Bucket is the bucket's name; requests for another are NoSuchBucket.
	Bucket string
	// URL is the endpoint.
	URL string
	// PageSize is the length of a listing's page; 1000 when 0.
	PageSize int
	// IgnoreConditions makes the store ignore If-None-Match and If-Match, as some do.
	IgnoreConditions bool
	// Profile is what the store takes and refuses; all of AWS's when it is empty.
	Profile Profile
	// Now is the store's clock; this machine's when nil.
	Now    func() time.Time
	before atomic.Pointer[Before]
	after  atomic.Pointer[After]

	mu      sync.Mutex
	objects map[string]Object
	uploads map[string]*upload
	next    int
	// clock counts requests and writes; written has when a key was written last.
	clock   int
	written map[string]int
	// Requests counts requests by method.
	requests []string
}

// New returns an empty store that nothing serves yet: its caller does, and sets URL.
func New(bucket string) *Store {
	return &Store{Bucket: bucket, objects: map[string]Object{}, uploads: map[string]*upload{}, written: map[string]int{}}
}

// Start runs a store until the test ends.
func Start(t testing.TB, bucket string) *Store {
	t.Helper()
	s := New(bucket)
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Set stores an object.
func (s *Store) Set(key string, content []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.objects[key] = Object{Content: content, Modified: s.now()}
}

// Delete removes an object.
func (s *Store) Delete(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.objects, key)
}

func (s *Store) now() time.Time {
	if s.Now == nil {
		return time.Now()
	}
	return s.Now()
}

// Get returns an object and whether it exists.
func (s *Store) Get(key string) (Object, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o, ok := s.objects[key]
	return o, ok
}

// Keys returns all keys, sorted.
func (s *Store) Keys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]string, 0, len(s.objects))
	for key := range s.objects {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// Uploads returns the ids of unfinished uploads, sorted.
func (s *Store) Uploads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var ids []string
	for id := range s.uploads {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// Requests returns "METHOD key" of all requests so far.
func (s *Store) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Writes counts the requests that change the store.
func (s *Store) Writes() int {
	n := 0
	for _, r := range s.Requests() {
		if !strings.HasPrefix(r, "GET") && !strings.HasPrefix(r, "HEAD") {
			n++
		}
	}
	return n
}

// Fail answers a request with an S3 error.
func Fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>%s</Message></Error>`, code, message)
}

// SetBefore makes each request go through f first; nil for none.
func (s *Store) SetBefore(f Before) {
	if f == nil {
		s.before.Store(nil)
		return
	}
	s.before.Store(&f)
}

// SetAfter makes each executed request go through f; nil for none.
func (s *Store) SetAfter(f After) {
	if f == nil {
		s.after.Store(nil)
		return
	}
	s.after.Store(&f)
}

// ServeHTTP implements http.Handler.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if before := s.before.Load(); before != nil && (*before)(w, r) {
		return
	}
	recorder := httptest.NewRecorder()
	s.serve(recorder, r)
	if after := s.after.Load(); after != nil && (*after)(r) {
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Date", s.now().UTC().Format(http.TimeFormat))
	w.Header().Set("X-Amz-Request-Id", "4442587FB7D0A2F9")
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	if r.Method != http.MethodHead {
		_, _ = w.Write(recorder.Body.Bytes()) // a client that left gets nothing
	}
}

// tick is the next moment of the store's own time.
func (s *Store) tick() int {
	s.clock++
	return s.clock
}

func (s *Store) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	arrived := s.tick()
	s.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if s.Profile.refuses(w, r) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	query := r.URL.Query()
	s.requests = append(s.requests, r.Method+" "+key)
	if bucket != s.Bucket {
		Fail(w, http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist")
		return
	}
	object, exists := s.objects[key]
	id := query.Get("uploadId")
	if sum := r.Header.Get("X-Amz-Checksum-Sha256"); sum != "" && r.Method == http.MethodPut {
		if got := sha256.Sum256(body); base64.StdEncoding.EncodeToString(got[:]) != sum {
			Fail(w, http.StatusBadRequest, "BadDigest", "The SHA256 you specified did not match")
			return
		}
	}
	if sum := r.Header.Get("Content-Md5"); sum != "" && r.Method == http.MethodPut {
		if got := md5.Sum(body); base64.StdEncoding.EncodeToString(got[:]) != sum {
			Fail(w, http.StatusBadRequest, "BadDigest", "The Content-MD5 you specified did not match what we received")
			return
		}
	}
	match := r.Header.Get("If-Match")
	blocked := !s.IgnoreConditions && (exists && r.Header.Get("If-None-Match") == "*" || exists && match != "" &&
		match != etag(object.Content))
	if match != "" && !exists && !s.IgnoreConditions {
		Fail(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist.")
		return
	}
	switch {
	case key == "" && r.Method == http.MethodGet && query.Has("uploads"):
		s.listUploads(w, query.Get("prefix"))
	case key == "" && r.Method == http.MethodGet:
		s.list(w, query.Get("prefix"), query.Get("continuation-token"))
	case id != "" && s.uploads[id] == nil:
		Fail(w, http.StatusNotFound, "NoSuchUpload", "The specified upload does not exist")
	case r.Method == http.MethodPost && query.Has("uploads"):
		s.next++
		id = fmt.Sprintf("upload-%d", s.next)
		s.uploads[id] = &upload{key: key, meta: meta(r), parts: map[int][]byte{}}
		_, _ = fmt.Fprintf(w, `<InitiateMultipartUploadResult><Bucket>%s</Bucket><Key>%s</Key><UploadId>%s</UploadId></InitiateMultipartUploadResult>`,
			bucket, key, id)
	case r.Method == http.MethodPut && id != "":
		n, err := strconv.Atoi(query.Get("partNumber"))
		if err != nil {
			Fail(w, http.StatusBadRequest, "InvalidArgument", "part number")
			return
		}
		s.uploads[id].parts[n] = body
		w.Header().Set("ETag", etag(body))
		w.Header().Set("X-Amz-Checksum-Sha256", r.Header.Get("X-Amz-Checksum-Sha256"))
	case (r.Method == http.MethodPost && id != "" || r.Method == http.MethodPut) && blocked && s.written[key] > arrived:
		// Two were in flight ("Conditional writes" in the user guide).
		Fail(w, http.StatusConflict, "ConditionalRequestConflict", "A conflicting operation occurred during the upload")
	case r.Method == http.MethodPost && id != "" && blocked, r.Method == http.MethodPut && blocked:
		Fail(w, http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
	case r.Method == http.MethodPost && id != "":
		up := s.uploads[id]
		var content []byte
		for n := 1; n <= len(up.parts); n++ {
			content = append(content, up.parts[n]...)
		}
		s.objects[key], s.written[key] = Object{Content: content, Meta: up.meta, Modified: s.now()}, s.tick()
		delete(s.uploads, id)
		_, _ = fmt.Fprintf(w, `<CompleteMultipartUploadResult><Key>%s</Key><ETag>%s</ETag></CompleteMultipartUploadResult>`, key, etag(content))
	case r.Method == http.MethodDelete && id != "":
		delete(s.uploads, id)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodDelete && key != "":
		delete(s.objects, key)
		w.WriteHeader(http.StatusNoContent)
	case r.Method == http.MethodPut:
		s.objects[key], s.written[key] = Object{Content: body, Meta: meta(r), Modified: s.now()}, s.tick()
		w.Header().Set("ETag", etag(body))
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && !exists:
		Fail(w, http.StatusNotFound, "NoSuchKey", "The specified key does not exist")
	case r.Method == http.MethodGet || r.Method == http.MethodHead:
		for name, value := range object.Meta {
			w.Header().Set("X-Amz-Meta-"+name, value)
		}
		w.Header().Set("ETag", etag(object.Content))
		w.Header().Set("Last-Modified", object.Modified.UTC().Format(http.TimeFormat))
		w.Header().Set("Content-Length", strconv.Itoa(len(object.Content)))
		_, _ = w.Write(object.Content) // into a recorder
	default:
		Fail(w, http.StatusMethodNotAllowed, "MethodNotAllowed", r.Method)
	}
}

func (s *Store) list(w http.ResponseWriter, prefix, token string) {
	size := s.PageSize
	if size == 0 {
		size = 1000
	}
	var keys []string
	for key := range s.objects {
		if strings.HasPrefix(key, prefix) && key > token {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	type content struct {
		Key  string
		Size int
	}
	out := struct {
		XMLName               xml.Name `xml:"ListBucketResult"`
		IsTruncated           bool
		NextContinuationToken string `xml:",omitempty"`
		Contents              []content
	}{IsTruncated: len(keys) > size}
	if out.IsTruncated {
		keys = keys[:size]
		out.NextContinuationToken = keys[size-1]
	}
	for _, key := range keys {
		out.Contents = append(out.Contents, content{Key: key, Size: len(s.objects[key].Content)})
	}
	_ = xml.NewEncoder(w).Encode(out) // into a recorder
}

func (s *Store) listUploads(w http.ResponseWriter, prefix string) {
	_, _ = fmt.Fprint(w, "<ListMultipartUploadsResult>")
	for id, up := range s.uploads {
		if strings.HasPrefix(up.key, prefix) {
			_, _ = fmt.Fprintf(w, "<Upload><Key>%s</Key><UploadId>%s</UploadId></Upload>", up.key, id)
		}
	}
	_, _ = fmt.Fprint(w, "</ListMultipartUploadsResult>")
}

func meta(r *http.Request) map[string]string {
	m := map[string]string{}
	for name, values := range r.Header {
		if rest, ok := strings.CutPrefix(name, "X-Amz-Meta-"); ok {
			m[strings.ToLower(rest)] = values[0]
		}
	}
	return m
}

func etag(b []byte) string {
	sum := md5.Sum(b)
	return `"` + hex.EncodeToString(sum[:]) + `"`
}
