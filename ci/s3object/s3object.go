// Package s3object writes and reads small objects of an S3 API under conditions: what
// must not exist yet is created, what was read is replaced. The ledger of models and the
// journal of rollouts keep their records with it. Its Client is the project's one client of S3.
//
// Every write carries its SHA-256, because a bucket with Object Lock refuses a write
// without a checksum ("x-amz-sdk-checksum-algorithm header is required", S3's PutObject).
// A store that does not know checksum headers gets Content-MD5 instead.
//
// Times come from the store alone (Last-Modified and Date of its answers), so that no
// decision compares the clocks of two machines.
package s3object

import (
	"bytes"
	"context"
	"crypto/md5" // Content-MD5 is S3's own header; it protects from accidents only
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/clock"
)

// API is what a Store asks of a Client.
type API interface {
	GetObject(ctx context.Context, bucket, key string) (*GetObjectOutput, error)
	PutObject(ctx context.Context, in *PutObjectInput) (*PutObjectOutput, error)
}

const (
	// MaxRecord bounds an object that is read, in bytes: records are a few KiB.
	MaxRecord = 4 << 20
	// CallTimeout bounds one small operation with all its attempts.
	CallTimeout = 2 * time.Minute
	// attempts is how often a write is repeated that met another one in flight.
	attempts = 10
	// readings is how often an object that was just written is looked for.
	readings = 4
)

// Store is a bucket. It is safe for concurrent use.
type Store struct {
	api    API
	clock  *awsclock.Clock
	bucket string

	// plain is set once the store has refused checksum headers.
	plain atomic.Bool
}

// dated measures the store's time by each of its answers.
type dated struct {
	API
	clock *awsclock.Clock
}

// GetObject implements API.
func (d dated) GetObject(ctx context.Context, bucket, key string) (*GetObjectOutput, error) {
	out, err := d.API.GetObject(ctx, bucket, key)
	awsclock.See(d.clock, out, err)
	return out, err
}

// PutObject implements API.
func (d dated) PutObject(ctx context.Context, in *PutObjectInput) (*PutObjectOutput, error) {
	out, err := d.API.PutObject(ctx, in)
	awsclock.See(d.clock, out, err)
	return out, err
}

// New makes a store; it calls nothing. The clock spaces attempts, and is compared with the
// store's by every answer.
func New(api API, clock clock.Clock, bucket string) *Store {
	known := awsclock.Of(clock)
	return &Store{api: dated{api, known}, clock: known, bucket: bucket}
}

// Clock is this machine's clock compared with the store's.
func (s *Store) Clock() *awsclock.Clock { return s.clock }

// Object is what was read.
type Object struct {
	Content []byte
	ETag    string
	// Modified is when the store took the object, Now when it answered; both by the
	// store's clock, and zero where it did not say.
	Modified, Now time.Time
}

// Age is how old the object was by the store's own clock. Without both of its times it is
// unknown, which the second value says.
func (o *Object) Age() (time.Duration, bool) {
	if o.Modified.IsZero() || o.Now.IsZero() {
		return 0, false
	}
	return o.Now.Sub(o.Modified), true
}

// Read reads an object of at most MaxRecord bytes. A missing one is NotFound.
func (s *Store) Read(ctx context.Context, key string) (*Object, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	out, err := s.api.GetObject(ctx, s.bucket, key)
	if err != nil {
		return nil, Wrap("read record (s3:GetObject)", s.bucket, key, err)
	}
	defer func() { _ = out.Body.Close() }() // ReadAll reports a broken body
	content, err := io.ReadAll(io.LimitReader(out.Body, MaxRecord+1))
	if err != nil {
		return nil, Wrap("read record (s3:GetObject)", s.bucket, key, err)
	}
	if len(content) > MaxRecord {
		return nil, &Error{Op: "read record", Bucket: s.bucket, Key: key, Kind: Unreadable, Message: "it is too large to be a record"}
	}
	return &Object{Content: content, ETag: out.ETag, Modified: out.LastModified, Now: date(out.ResultMetadata)}, nil
}

// Create writes an object that must not exist. When one exists it is Precondition, unless
// its content is the same: then an earlier attempt of ours was carried out and its answer
// was lost. It returns the ETag.
func (s *Store) Create(ctx context.Context, key string, content []byte, contentType string) (string, error) {
	return s.write(ctx, key, content, contentType, "")
}

// Replace writes an object that must still have the ETag with which it was read; one
// without an ETag must not exist. Where the object is another one by now it is
// Precondition or NotFound, unless it has the content that was to be written.
func (s *Store) Replace(ctx context.Context, key string, content []byte, contentType, etag string) (string, error) {
	return s.write(ctx, key, content, contentType, etag)
}

func (s *Store) write(ctx context.Context, key string, content []byte, contentType, etag string) (string, error) {
	written, err := s.put(ctx, key, content, contentType, etag)
	gone := etag != "" && IsKind(err, NotFound)
	if !gone && !IsKind(err, Precondition) {
		return written, err
	}
	there, readErr := s.Read(ctx, key)
	switch {
	case readErr == nil && bytes.Equal(there.Content, content):
		return there.ETag, nil
	case readErr != nil && !IsKind(readErr, NotFound): // whose it is cannot be said
		return "", readErr
	}
	return "", err
}

// Keep is Create, and reads the object back: a store that acknowledges a write and keeps
// nothing, or something else, is Lost.
func (s *Store) Keep(ctx context.Context, key string, content []byte, contentType string) error {
	if _, err := s.Create(ctx, key, content, contentType); err != nil {
		return err
	}
	lost := &Error{Op: "read back what was written", Bucket: s.bucket, Key: key, Kind: Lost,
		Message: "the store acknowledged the write, and the object is not there"}
	for n := 1; ; n++ {
		there, err := s.Read(ctx, key)
		switch {
		case err == nil && bytes.Equal(there.Content, content):
			return nil
		case err == nil:
			lost.Message = fmt.Sprintf("the store acknowledged the write, and the object has sha256 %x, ours is %x", sha256.Sum256(there.Content),
				sha256.Sum256(content))
			return lost
		case !IsKind(err, NotFound):
			return err
		case n == readings:
			return lost
		}
		if err := s.clock.Sleep(ctx, time.Duration(n)*time.Second); err != nil {
			return err
		}
	}
}

// Probe finds out whether the store honours If-None-Match and, when match is set,
// If-Match, with an object that stays. A store that ignores one, or does not implement
// it, is NoCAS.
func (s *Store) Probe(ctx context.Context, key string, match bool) error {
	body := []byte("Written to find out whether this store honours conditional writes. It may be deleted.\n")
	refused := func(err error) error {
		if refusesCondition(err) {
			return &Error{Op: "probe conditional writes", Bucket: s.bucket, Key: key, Kind: NoCAS,
				Message: "the store does not implement conditional writes", Err: err}
		}
		return err
	}
	absent := false
	for range 2 {
		_, err := s.put(ctx, key, body, "text/plain", "")
		if absent = IsKind(err, Precondition); absent {
			break
		}
		if err != nil {
			return refused(err)
		}
	}
	if !absent {
		return &Error{Op: "probe conditional writes", Bucket: s.bucket, Key: key, Kind: NoCAS,
			Message: "the store ignores If-None-Match: the second of two writes with If-None-Match: * was accepted"}
	}
	if !match {
		return nil
	}
	_, err := s.put(ctx, key, body, "text/plain", `"00000000000000000000000000000000"`)
	switch {
	case err == nil:
		return &Error{Op: "probe conditional writes", Bucket: s.bucket, Key: key, Kind: NoCAS,
			Message: "the store ignores If-Match: a write with an ETag that the object does not have was accepted"}
	case IsKind(err, Precondition):
		return nil
	}
	return refused(err)
}

// put sends a conditional write. One that meets another in flight (409) is sent again, as
// S3 demands.
func (s *Store) put(ctx context.Context, key string, content []byte, contentType, etag string) (string, error) {
	in := PutObjectInput{Bucket: s.bucket, Key: key, ContentType: contentType, IfMatch: etag}
	if etag == "" {
		in.IfNoneMatch = "*"
	}
	var err error
	for n := range attempts {
		var out *PutObjectOutput
		err = s.Checked(func(checksum bool) error {
			attempt := in
			attempt.Body = bytes.NewReader(content)
			if checksum {
				attempt.ChecksumSHA256 = SHA256(content)
			} else {
				attempt.ContentMD5 = MD5(content)
			}
			ctx, cancel := context.WithTimeout(ctx, CallTimeout)
			defer cancel()
			out, err = s.api.PutObject(ctx, &attempt)
			return Wrap("create object (s3:PutObject)", s.bucket, key, err)
		})
		if err == nil {
			return out.ETag, nil
		}
		if !IsKind(err, Busy) {
			return "", err
		}
		if s.clock.Sleep(ctx, time.Duration(n+1)*100*time.Millisecond) != nil {
			return "", err
		}
	}
	return "", err
}

// Checked sends a request with a checksum header and, if the store does not take one,
// without. What it learned holds for all later requests. send is told whether to set
// the header, and returns an *Error.
func (s *Store) Checked(send func(checksum bool) error) error {
	if s.plain.Load() {
		return send(false)
	}
	err := send(true)
	if !refusesChecksum(err) {
		return err
	}
	plain := send(false)
	if plain == nil || !IsKind(plain, NotImplemented) && !IsKind(plain, Other) && !IsKind(plain, Refused) {
		s.plain.Store(true)
	}
	return plain
}

// refusesChecksum reports whether the store may have refused a request for its checksum
// header. Stores name it ("Unsupported header 'x-amz-checksum-sha256'"), or say no more
// than that some header is not implemented.
func refusesChecksum(err error) bool {
	if IsKind(err, NotImplemented) {
		return true
	}
	if !IsKind(err, Other) && !IsKind(err, Refused) {
		return false
	}
	text := strings.ToLower(err.Error())
	return strings.Contains(text, "checksum") || strings.Contains(text, "xamzcontentsha256mismatch")
}

// refusesCondition reports whether the store refused a conditional write for its condition.
func refusesCondition(err error) bool {
	text := strings.ToLower(err.Error())
	return IsKind(err, NotImplemented) || IsKind(err, Other) &&
		(strings.Contains(text, "if-match") || strings.Contains(text, "if-none-match") || strings.Contains(text, "condition"))
}

// SHA256 and MD5 are digests in the form of S3's headers.
func SHA256(content []byte) string {
	sum := sha256.Sum256(content)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// MD5 is the value of the header Content-MD5.
func MD5(content []byte) string {
	sum := md5.Sum(content)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// date is the store's time in an answer; zero when it sent none.
func date(metadata middleware.Metadata) time.Time {
	at, _ := awsmiddleware.GetServerTime(metadata)
	return at
}
