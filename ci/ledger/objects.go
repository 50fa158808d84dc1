package ledger

import (
	"context"
	"crypto/md5" // Content-MD5, where a store knows no better checksum
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/stall"
)

const (
	// transferTimeout bounds the transfer of one file.
	transferTimeout = 30 * time.Minute
	// parallelParts bounds the connections of one upload.
	parallelParts = 4
	// maxParts is S3's limit.
	maxParts = 10000
	// hashMeta is the user metadata that holds the whole file's hash. S3's own
	// checksum of an upload in parts is a hash of hashes.
	hashMeta = "sha256"
)

// Local is a file of this machine that is to be stored.
type Local struct {
	// Path is where it is.
	Path string
	// SHA256, in lower-case hex, and Bytes are what it must be.
	SHA256 string
	Bytes  int64
}

// Store keeps files at any address of one S3 store. It is safe for concurrent use.
type Store struct {
	client  *s3object.Client
	objects *s3object.Store
	opts    Options

	mu       sync.Mutex
	warnings []string
}

// address is where an object is.
type address struct{ bucket, key string }

func (a address) wrap(op string, err error) error { return s3object.Wrap(op, a.bucket, a.key, err) }

func (a address) fail(op string, kind Kind, message string) *Error {
	return &Error{Op: op, Bucket: a.bucket, Key: a.key, Kind: kind, Message: message}
}

// Warnings are what went wrong without breaking a promise, such as parts of an
// earlier upload that could not be removed.
func (s *Store) Warnings() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.warnings)
}

func (s *Store) warn(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warnings = append(s.warnings, err.Error())
}

// Clock is this machine's clock compared with the store's.
func (s *Store) Clock() *awsclock.Clock { return s.objects.Clock() }

// Put stores a file at an address unless the same file is there already; something else
// there is a Conflict and stays. It reports whether bytes were written.
func (s *Store) Put(ctx context.Context, uri string, file Local) (bool, error) {
	bucket, key, err := ParseURI(uri)
	if err != nil {
		return false, err
	}
	to := address{bucket, key}
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	parts := file.Bytes > s.opts.PartSize
	there, err := s.same(ctx, to, file)
	if there && parts {
		s.abortOthers(ctx, to)
	}
	if there || err != nil {
		return false, err
	}
	f, err := os.Open(file.Path)
	if err != nil {
		return false, &Error{Op: "open file", Kind: LocalFile, Message: err.Error(), Err: err}
	}
	defer func() { _ = f.Close() }()
	written := true
	for n := 1; ; n++ {
		if parts {
			err = s.putParts(ctx, to, f, file)
		} else {
			err = s.putWhole(ctx, to, f, file)
		}
		if !IsKind(err, Precondition) && !IsKind(err, Gone) && !IsKind(err, Busy) {
			break
		}
		// Another publisher of the same content was faster, or the answer to our own
		// first attempt was lost.
		if there, sameErr := s.same(ctx, to, file); sameErr != nil {
			return false, sameErr
		} else if there {
			written, err = false, nil
			break
		}
		// One that met another in flight is sent again, in parts from the first one on ("Conditional writes" in
		// S3's user guide).
		if !IsKind(err, Busy) || n == 10 || s.opts.Clock.Sleep(ctx, time.Duration(n)*100*time.Millisecond) != nil {
			return false, err
		}
	}
	if err == nil && parts {
		s.abortOthers(ctx, to)
	}
	return written && err == nil, err
}

// same reports whether the object is the file, by size and recorded hash. An object
// that is something else is a Conflict.
func (s *Store) same(ctx context.Context, at address, file Local) (bool, error) {
	head, err := call(ctx, func(ctx context.Context) (*s3object.HeadObjectOutput, error) {
		return s.client.HeadObject(ctx, at.bucket, at.key)
	})
	err = at.wrap("look at object (s3:GetObject)", err)
	if IsKind(err, NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	sum := head.Metadata[hashMeta]
	if sum == "" {
		// Written by something else: only its bytes tell.
		if sum, _, err = s.Hash(ctx, "s3://"+at.bucket+"/"+at.key, file.Bytes); IsKind(err, TooLong) {
			sum = "of a larger file"
		} else if err != nil {
			return false, err
		}
	}
	if sum != file.SHA256 || head.ContentLength != file.Bytes {
		return false, at.fail("store file", Conflict, fmt.Sprintf("the object there has sha256 %s, ours is %s", sum, file.SHA256))
	}
	return true, nil
}

func (s *Store) putWhole(ctx context.Context, to address, f *os.File, file Local) error {
	return s.objects.Checked(func(checksum bool) error {
		in := s3object.PutObjectInput{
			Bucket: to.bucket, Key: to.key, Body: io.NewSectionReader(f, 0, file.Bytes),
			ContentType: mediaType(to.key), IfNoneMatch: "*", Metadata: map[string]string{hashMeta: file.SHA256},
		}
		var err error
		if checksum {
			in.ChecksumSHA256 = hexTo64(file.SHA256)
		} else if in.ContentMD5, err = digest(f, 0, file.Bytes, md5.New()); err != nil {
			return err
		}
		_, err = s.client.PutObject(ctx, &in)
		return to.wrap("upload object (s3:PutObject)", err)
	})
}

// digest is a hash of a stretch of a file in the form of S3's headers.
func digest(f *os.File, start, size int64, h hash.Hash) (string, error) {
	if n, err := io.Copy(h, io.NewSectionReader(f, start, size)); err != nil || n != size {
		return "", &Error{Op: "read file", Kind: LocalFile, Message: "it ended early", Err: err}
	}
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

// putParts uploads a large file in parts. Parts are read from the file where they
// lie, so that memory does not grow with the file.
//
// Each part's checksum is computed beforehand and sent as a header: many S3 APIs other than
// AWS's refuse one that trails its body.
func (s *Store) putParts(ctx context.Context, to address, f *os.File, file Local) error {
	const op = "upload object in parts (s3:PutObject)"
	size := s.opts.PartSize
	for (file.Bytes+size-1)/size > maxParts {
		size *= 2
	}
	var created *s3object.CreateMultipartUploadOutput
	sums := false
	if err := s.objects.Checked(func(checksum bool) error {
		in := s3object.CreateMultipartUploadInput{Bucket: to.bucket, Key: to.key, ContentType: mediaType(to.key),
			Metadata: map[string]string{hashMeta: file.SHA256}}
		if sums = checksum; checksum {
			in.ChecksumAlgorithm = "SHA256"
		}
		var err error
		created, err = call(ctx, func(ctx context.Context) (*s3object.CreateMultipartUploadOutput, error) {
			return s.client.CreateMultipartUpload(ctx, &in)
		})
		return to.wrap(op, err)
	}); err != nil {
		return err
	}
	parts := make([]s3object.CompletedPart, (file.Bytes+size-1)/size)
	group, uploading := errgroup.WithContext(ctx)
	group.SetLimit(parallelParts)
	for i := range parts {
		group.Go(func() error {
			start := int64(i) * size
			section := io.NewSectionReader(f, start, min(size, file.Bytes-start))
			in := s3object.UploadPartInput{Bucket: to.bucket, Key: to.key, UploadID: created.UploadID, PartNumber: i + 1, Body: section}
			var err error
			if sums {
				in.ChecksumSHA256, err = digest(f, start, section.Size(), sha256.New())
			} else {
				in.ContentMD5, err = digest(f, start, section.Size(), md5.New())
			}
			if err != nil {
				return err
			}
			out, err := s.client.UploadPart(uploading, &in)
			if err != nil {
				return err
			}
			parts[i] = s3object.CompletedPart{PartNumber: i + 1, ETag: out.ETag, ChecksumSHA256: in.ChecksumSHA256}
			return nil
		})
	}
	err := group.Wait()
	if err == nil {
		in := s3object.CompleteMultipartUploadInput{Bucket: to.bucket, Key: to.key, UploadID: created.UploadID, IfNoneMatch: "*", Parts: parts}
		err = s.client.CompleteMultipartUpload(ctx, &in)
		if IsKind(to.wrap(op, err), NotImplemented) {
			// Some stores know the condition for whole objects only. The key lies under a
			// number that is claimed, so that nothing but the same file can be there.
			in.IfNoneMatch = ""
			err = s.client.CompleteMultipartUpload(ctx, &in)
		}
	}
	if err == nil {
		return nil
	}
	err = to.wrap(op, err)
	// A failed upload must not leave parts that are paid for and seen by nobody; also
	// when it failed because the run was cancelled.
	aborting, cancel := context.WithTimeout(context.WithoutCancel(ctx), 15*time.Second)
	defer cancel()
	if abortErr := s.abort(aborting, to, created.UploadID); abortErr != nil && !IsKind(abortErr, Gone) {
		return &Error{Op: op, Bucket: to.bucket, Key: to.key, Kind: Partial, UploadID: created.UploadID, Err: errors.Join(err,
			abortErr)}
	}
	return err
}

func (s *Store) abort(ctx context.Context, at address, id string) error {
	return at.wrap("abort upload (s3:AbortMultipartUpload)", s.client.AbortMultipartUpload(ctx, at.bucket, at.key, id))
}

// abortOthers removes uploads of a key that is complete: none of them can be
// completed any more. Failing at it breaks no promise, so that it only warns.
func (s *Store) abortOthers(ctx context.Context, at address) {
	s.abortIn(ctx, at, func(found string) bool { return found == at.key })
}

func (s *Store) abortIn(ctx context.Context, in address, ours func(key string) bool) {
	out, err := call(ctx, func(ctx context.Context) (*s3object.ListMultipartUploadsOutput, error) {
		return s.client.ListMultipartUploads(ctx, in.bucket, in.key)
	})
	if err != nil {
		s.warn(in.wrap("list unfinished uploads (s3:ListBucketMultipartUploads)", err))
		return
	}
	for _, upload := range out.Uploads {
		if !ours(upload.Key) {
			continue
		}
		if err := s.abort(ctx, address{in.bucket, upload.Key}, upload.UploadID); err != nil && !IsKind(err, Gone) {
			s.warn(err)
		}
	}
}

// Hash reads an object back and returns its hash, in lower-case hex, and size. One of more
// than limit bytes is TooLong.
func (s *Store) Hash(ctx context.Context, uri string, limit int64) (string, int64, error) {
	h := sha256.New()
	n, err := s.Copy(ctx, uri, limit, h, func() error { h.Reset(); return nil })
	if err != nil {
		return "", 0, err
	}
	return hex.EncodeToString(h.Sum(nil)), n, nil
}

// readBack is what a copy does, for its errors.
const readBack = "read object back (s3:GetObject)"

// Copy streams an object into w and returns its size. An object of more than limit bytes is
// TooLong: it is left after one byte more than that. again is called before each attempt and
// makes w forget what an earlier one wrote.
func (s *Store) Copy(ctx context.Context, uri string, limit int64, w io.Writer, again func() error) (int64, error) {
	bucket, key, err := ParseURI(uri)
	if err != nil {
		return 0, err
	}
	from := address{bucket, key}
	ctx, cancel := context.WithTimeout(ctx, transferTimeout)
	defer cancel()
	for attempt := 1; ; attempt++ {
		if err := again(); err != nil {
			return 0, &Error{Op: readBack, Bucket: bucket, Key: key, Kind: LocalFile, Err: err}
		}
		n, err := s.copyOnce(ctx, from, limit, w)
		if n > limit {
			return n, from.fail(readBack, TooLong, fmt.Sprintf("it has more than %d bytes", limit))
		}
		if err == nil {
			return n, nil
		}
		var refused *Error
		if errors.As(err, &refused) {
			return 0, err
		}
		// The connection broke within the body: the SDK retries only until the headers.
		if attempt == 3 || attempt == 2 && errors.As(err, new(*stall.Error)) || ctx.Err() != nil {
			return 0, &Error{Op: readBack, Bucket: bucket, Key: key, Kind: Unreachable, Err: err}
		}
	}
}

// copyOnce makes one attempt. An answer that is an error is an *Error; any other error is of a broken body.
func (s *Store) copyOnce(ctx context.Context, from address, limit int64, w io.Writer) (n int64, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out, err := s.client.GetObject(ctx, from.bucket, from.key)
	if err != nil {
		return 0, from.wrap(readBack, err)
	}
	defer func() { _ = out.Body.Close() }() // what was read is compared with its size and hash
	body := stall.Reader(out.Body, s.opts.StallTimeout, cancel)
	n, err = io.CopyBuffer(w, io.LimitReader(body, limit+1), make([]byte, 256<<10))
	if err == nil && out.ContentLength >= 0 && n != out.ContentLength {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// hexTo64 changes the notation of a hash; what is not hex becomes empty, which is not sent.
func hexTo64(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(b)
}

func mediaType(key string) string {
	if strings.HasSuffix(key, ".json") {
		return "application/json"
	}
	return "application/octet-stream"
}
