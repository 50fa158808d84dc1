package s3object

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go/middleware"

	"github.com/openstack-rca/openstack-rca/ci/awscall"
)

// none is the output of an operation that returns nothing.
type none struct{}

// GetObjectOutput is an object. The body is to be closed.
type GetObjectOutput struct {
	Body io.ReadCloser
	// ContentLength is its size in bytes, -1 where the store did not say.
	ContentLength int64
	ETag          string
	// LastModified is zero where the store did not say.
	LastModified   time.Time
	ResultMetadata middleware.Metadata
}

func (o *GetObjectOutput) take(answer *http.Response) {
	o.Body, o.ContentLength, o.ETag = answer.Body, answer.ContentLength, answer.Header.Get("ETag")
	o.LastModified, _ = http.ParseTime(answer.Header.Get("Last-Modified"))
}

// GetObject reads an object.
func (c *Client) GetObject(ctx context.Context, bucket, key string) (*GetObjectOutput, error) {
	return awscall.Do[GetObjectOutput](ctx, c.api, "GetObject", &request{method: http.MethodGet, bucket: bucket, key: key})
}

// HeadObjectOutput is what is known of an object.
type HeadObjectOutput struct {
	// ContentLength is its size in bytes, -1 where the store did not say.
	ContentLength int64
	// Metadata is the user's, with names in lower case.
	Metadata map[string]string
}

const metadataPrefix = "X-Amz-Meta-"

func (o *HeadObjectOutput) take(answer *http.Response) {
	o.ContentLength, o.Metadata = answer.ContentLength, map[string]string{}
	for name := range answer.Header {
		if rest, is := strings.CutPrefix(name, metadataPrefix); is {
			o.Metadata[strings.ToLower(rest)] = answer.Header.Get(name)
		}
	}
}

// HeadObject looks at an object without reading it.
func (c *Client) HeadObject(ctx context.Context, bucket, key string) (*HeadObjectOutput, error) {
	return awscall.Do[HeadObjectOutput](ctx, c.api, "HeadObject", &request{method: http.MethodHead, bucket: bucket, key: key})
}

// PutObjectInput is an object to write.
type PutObjectInput struct {
	Bucket, Key string
	Body        io.ReadSeeker
	ContentType string
	// Metadata is the user's.
	Metadata map[string]string
	// ChecksumSHA256 or ContentMD5 is the digest of the body, in base64.
	ChecksumSHA256, ContentMD5 string
	// IfNoneMatch is * for an object that must not exist, IfMatch the ETag that it must have.
	IfNoneMatch, IfMatch string
}

// PutObjectOutput is what was written.
type PutObjectOutput struct {
	ETag           string
	ResultMetadata middleware.Metadata
}

func (o *PutObjectOutput) take(answer *http.Response) {
	o.ETag = answer.Header.Get("ETag")
}

// PutObject writes an object.
func (c *Client) PutObject(ctx context.Context, in *PutObjectInput) (*PutObjectOutput, error) {
	return awscall.Do[PutObjectOutput](ctx, c.api, "PutObject", &request{method: http.MethodPut, bucket: in.Bucket, key: in.Key,
		body: in.Body, content: true, headers: withMetadata(in.Metadata, map[string]string{"Content-Type": in.ContentType,
			"X-Amz-Checksum-Sha256": in.ChecksumSHA256, "Content-Md5": in.ContentMD5, "If-None-Match": in.IfNoneMatch, "If-Match": in.IfMatch})})
}

func withMetadata(metadata, headers map[string]string) map[string]string {
	for name, value := range metadata {
		headers[metadataPrefix+name] = value
	}
	return headers
}

// DeleteObject removes an object; one that is not there is removed already.
func (c *Client) DeleteObject(ctx context.Context, bucket, key string) error {
	_, err := awscall.Do[none](ctx, c.api, "DeleteObject", &request{method: http.MethodDelete, bucket: bucket, key: key})
	return err
}

// CreateBucket makes a bucket in us-east-1, or in a store without regions.
func (c *Client) CreateBucket(ctx context.Context, bucket string) error {
	_, err := awscall.Do[none](ctx, c.api, "CreateBucket", &request{method: http.MethodPut, bucket: bucket, ofBucket: true})
	return err
}

// ListObjectsV2Output is a page of a listing.
type ListObjectsV2Output struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Contents              []struct{ Key string }
	IsTruncated           bool
	NextContinuationToken string
	ResultMetadata        middleware.Metadata `xml:"-"`
}

func (o *ListObjectsV2Output) read(document []byte) error {
	return xml.Unmarshal(document, o)
}

// ListObjectsV2 lists the keys with a prefix: the first page, or the one of a page's NextContinuationToken.
func (c *Client) ListObjectsV2(ctx context.Context, bucket, prefix, token string) (*ListObjectsV2Output, error) {
	query := map[string]string{"list-type": "2", "prefix": prefix}
	if token != "" {
		query["continuation-token"] = token
	}
	return awscall.Do[ListObjectsV2Output](ctx, c.api, "ListObjectsV2",
		&request{method: http.MethodGet, bucket: bucket, ofBucket: true, query: query})
}

// CreateMultipartUploadInput is an object to write in parts.
type CreateMultipartUploadInput struct {
	Bucket, Key, ContentType string
	// Metadata is the user's.
	Metadata map[string]string
	// ChecksumAlgorithm is that of the parts' digests, such as SHA256.
	ChecksumAlgorithm string
}

// CreateMultipartUploadOutput names the upload.
type CreateMultipartUploadOutput struct {
	XMLName  xml.Name `xml:"InitiateMultipartUploadResult"`
	UploadID string   `xml:"UploadId"`
}

func (o *CreateMultipartUploadOutput) read(document []byte) error {
	err := xml.Unmarshal(document, o)
	if err == nil && o.UploadID == "" {
		err = errors.New("it has no UploadId")
	}
	return err
}

// CreateMultipartUpload begins an upload in parts.
func (c *Client) CreateMultipartUpload(ctx context.Context, in *CreateMultipartUploadInput) (*CreateMultipartUploadOutput, error) {
	return awscall.Do[CreateMultipartUploadOutput](ctx, c.api, "CreateMultipartUpload", &request{method: http.MethodPost,
		bucket: in.Bucket, key: in.Key, query: map[string]string{"uploads": ""},
		headers: withMetadata(in.Metadata, map[string]string{"Content-Type": in.ContentType, "X-Amz-Checksum-Algorithm": in.ChecksumAlgorithm})})
}

// UploadPartInput is a part, counted from 1.
type UploadPartInput struct {
	Bucket, Key, UploadID string
	PartNumber            int
	Body                  io.ReadSeeker
	// ChecksumSHA256 or ContentMD5 is the digest of the body, in base64.
	ChecksumSHA256, ContentMD5 string
}

// UploadPartOutput is the part that was written.
type UploadPartOutput struct{ ETag string }

func (o *UploadPartOutput) take(answer *http.Response) {
	o.ETag = answer.Header.Get("ETag")
}

// UploadPart writes a part.
func (c *Client) UploadPart(ctx context.Context, in *UploadPartInput) (*UploadPartOutput, error) {
	return awscall.Do[UploadPartOutput](ctx, c.api, "UploadPart", &request{method: http.MethodPut, bucket: in.Bucket, key: in.Key,
		query: map[string]string{"uploadId": in.UploadID, "partNumber": strconv.Itoa(in.PartNumber)}, body: in.Body, content: true,
		headers: map[string]string{"Content-Type": "application/octet-stream", "X-Amz-Checksum-Sha256": in.ChecksumSHA256,
			"Content-Md5": in.ContentMD5}})
}

// CompletedPart is a part that was written.
type CompletedPart struct {
	ChecksumSHA256 string `xml:",omitempty"`
	ETag           string
	PartNumber     int
}

// CompleteMultipartUploadInput is an upload with all its parts, in their order.
type CompleteMultipartUploadInput struct {
	Bucket, Key, UploadID string
	Parts                 []CompletedPart
	// IfNoneMatch is * for an object that must not exist.
	IfNoneMatch string
}

// CompleteMultipartUpload makes an object of the parts of an upload.
func (c *Client) CompleteMultipartUpload(ctx context.Context, in *CompleteMultipartUploadInput) error {
	body, err := xml.Marshal(struct {
		XMLName xml.Name        `xml:"http://s3.amazonaws.com/doc/2006-03-01/ CompleteMultipartUpload"`
		Parts   []CompletedPart `xml:"Part"`
	}{Parts: in.Parts})
	if err != nil {
		return err
	}
	_, err = awscall.Do[none](ctx, c.api, "CompleteMultipartUpload", &request{method: http.MethodPost, bucket: in.Bucket, key: in.Key,
		query: map[string]string{"uploadId": in.UploadID}, body: bytes.NewReader(body),
		headers: map[string]string{"Content-Type": "application/xml", "If-None-Match": in.IfNoneMatch}})
	return err
}

// AbortMultipartUpload removes an upload and its parts.
func (c *Client) AbortMultipartUpload(ctx context.Context, bucket, key, uploadID string) error {
	_, err := awscall.Do[none](ctx, c.api, "AbortMultipartUpload", &request{method: http.MethodDelete, bucket: bucket, key: key,
		query: map[string]string{"uploadId": uploadID}})
	return err
}

// ListMultipartUploadsOutput are uploads that were neither completed nor removed.
type ListMultipartUploadsOutput struct {
	XMLName xml.Name `xml:"ListMultipartUploadsResult"`
	Uploads []Upload `xml:"Upload"`
}

// Upload is one of them.
type Upload struct {
	Key      string
	UploadID string `xml:"UploadId"`
}

func (o *ListMultipartUploadsOutput) read(document []byte) error {
	return xml.Unmarshal(document, o)
}

// ListMultipartUploads lists the first uploads to keys with a prefix.
func (c *Client) ListMultipartUploads(ctx context.Context, bucket, prefix string) (*ListMultipartUploadsOutput, error) {
	return awscall.Do[ListMultipartUploadsOutput](ctx, c.api, "ListMultipartUploads", &request{method: http.MethodGet, bucket: bucket,
		ofBucket: true, query: map[string]string{"uploads": "", "prefix": prefix}})
}
