package s3object_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/s3object"
)

// recorder answers with answers, the last one again and again, and keeps what was sent.
type recorder struct {
	answers []reply
	sent    []*http.Request
	bodies  []string
}

type reply = func(*http.Request) (*http.Response, error)

func (r *recorder) Do(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
	}
	r.sent, r.bodies = append(r.sent, request), append(r.bodies, string(body))
	return r.answers[min(len(r.sent), len(r.answers))-1](request)
}

func answer(status int, body string, headers ...string) reply {
	return func(request *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(headers); i += 2 {
			h.Set(headers[i], headers[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
			Request: request}, nil
	}
}

func over(r *recorder, region string) aws.Config {
	return aws.Config{Region: region, HTTPClient: r, Credentials: credentials.NewStaticCredentialsProvider("key", "none", "session"),
		Retryer: func() aws.Retryer {
			return retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = time.Millisecond })
		}}
}

// theirs is the SDK's client, as this project has used it.
func theirs(cfg aws.Config, endpoint string, byPath bool) *s3.Client {
	return s3.NewFromConfig(cfg, func(o *s3.Options) {
		if endpoint != "" {
			o.BaseEndpoint = aws.String(endpoint)
		}
		o.UsePathStyle = byPath || o.BaseEndpoint != nil
		o.RequestChecksumCalculation = aws.RequestChecksumCalculationWhenRequired
		o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
	})
}

// operation is one call by either client.
type operation struct {
	theirs func(context.Context, *s3.Client, string) error
	ours   func(context.Context, *s3object.Client, string) error
}

const bucket = "models-bucket"

func operations(content []byte) map[string]operation {
	b, meta := aws.String(bucket), map[string]string{"sha256": "abc"}
	sum, md5 := s3object.SHA256(content), s3object.MD5(content)
	return map[string]operation{
		"GetObject": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: &key})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.GetObject(ctx, bucket, key)
			return err
		}},
		"HeadObject": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: &key})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.HeadObject(ctx, bucket, key)
			return err
		}},
		"PutObject": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: &key, Body: bytes.NewReader(content), ContentType: aws.String("text/plain"),
				ContentLength: aws.Int64(int64(len(content))), Metadata: meta, ChecksumSHA256: &sum, IfNoneMatch: aws.String("*")})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.PutObject(ctx, &s3object.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(content),
				ContentType: "text/plain", Metadata: meta, ChecksumSHA256: sum, IfNoneMatch: "*"})
			return err
		}},
		"PutObject with If-Match": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: b, Key: &key, Body: bytes.NewReader(content), ContentMD5: &md5,
				ContentLength: aws.Int64(int64(len(content))), IfMatch: aws.String(`"etag"`), ContentType: aws.String("text/plain")})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.PutObject(ctx, &s3object.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(content), ContentMD5: md5,
				IfMatch: `"etag"`, ContentType: "text/plain"})
			return err
		}},
		"DeleteObject": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: b, Key: &key})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			return c.DeleteObject(ctx, bucket, key)
		}},
		"CreateBucket": {func(ctx context.Context, c *s3.Client, _ string) error {
			_, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: b})
			return err
		}, func(ctx context.Context, c *s3object.Client, _ string) error {
			return c.CreateBucket(ctx, bucket)
		}},
		"ListObjectsV2": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b, Prefix: &key, ContinuationToken: aws.String("a+/=")})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.ListObjectsV2(ctx, bucket, key, "a+/=")
			return err
		}},
		"CreateMultipartUpload": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: b, Key: &key, ContentType: aws.String("text/plain"),
				Metadata: meta, ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.CreateMultipartUpload(ctx, &s3object.CreateMultipartUploadInput{Bucket: bucket, Key: key, ContentType: "text/plain",
				Metadata: meta, ChecksumAlgorithm: "SHA256"})
			return err
		}},
		"UploadPart": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: b, Key: &key, UploadId: aws.String("id/+="), PartNumber: aws.Int32(7),
				Body: bytes.NewReader(content), ChecksumSHA256: &sum})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.UploadPart(ctx, &s3object.UploadPartInput{Bucket: bucket, Key: key, UploadID: "id/+=", PartNumber: 7,
				Body: bytes.NewReader(content), ChecksumSHA256: sum})
			return err
		}},
		"CompleteMultipartUpload": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: b, Key: &key, UploadId: aws.String("id"),
				IfNoneMatch: aws.String("*"), MultipartUpload: &types.CompletedMultipartUpload{Parts: []types.CompletedPart{
					{PartNumber: aws.Int32(1), ETag: aws.String("etag<&"), ChecksumSHA256: &sum}, {PartNumber: aws.Int32(2), ETag: aws.String("b")}}}})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			return c.CompleteMultipartUpload(ctx, &s3object.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadID: "id",
				IfNoneMatch: "*", Parts: []s3object.CompletedPart{{PartNumber: 1, ETag: "etag<&", ChecksumSHA256: sum}, {PartNumber: 2, ETag: "b"}}})
		}},
		"AbortMultipartUpload": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: b, Key: &key, UploadId: aws.String("id")})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			return c.AbortMultipartUpload(ctx, bucket, key, "id")
		}},
		"ListMultipartUploads": {func(ctx context.Context, c *s3.Client, key string) error {
			_, err := c.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b, Prefix: &key})
			return err
		}, func(ctx context.Context, c *s3object.Client, key string) error {
			_, err := c.ListMultipartUploads(ctx, bucket, key)
			return err
		}},
	}
}

// answers are what an operation that succeeds reads.
var answers = map[string]string{
	"ListObjectsV2":           "<ListBucketResult/>",
	"CreateMultipartUpload":   "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>",
	"CompleteMultipartUpload": "\n \n<CompleteMultipartUploadResult/>", // after what keeps the connection open
	"ListMultipartUploads":    "<ListMultipartUploadsResult/>",
}

var oddKeys = []string{"root/a_0001/CLAIM.json", "a b+c", "ü/日本/€", "100%/%2F", "a//b/", "x\ny\tz", "?#&=;:@!$'()*,[]~", "./.."}

// The SDK's client is the judge: the same call sends the same method, address, headers and body, and signs the same
// of it. Only the query x-id, with the operation's name, is not sent.
func TestRequestsAreThoseOfTheSDK(t *testing.T) {
	for name, op := range operations([]byte("content")) {
		for _, endpoint := range []string{"", "http://store.test:9000", "https://store.test/base/"} {
			for _, key := range oddKeys {
				t.Run(fmt.Sprintf("%s %s %q", name, endpoint, key), func(t *testing.T) {
					compare(t, op, endpoint, key, answers[name])
				})
			}
		}
	}
}

func TestLargeContentIsAskedForAsByTheSDK(t *testing.T) {
	for _, size := range []int{0, 2<<20 - 1, 2 << 20} {
		for _, endpoint := range []string{"", "http://store.test"} {
			all := operations(bytes.Repeat([]byte("x"), size))
			compare(t, all["PutObject"], endpoint, "key", "")
			compare(t, all["UploadPart"], endpoint, "key", "")
		}
	}
}

func compare(t *testing.T, op operation, endpoint, key, body string) {
	t.Helper()
	for try := 1; ; try++ {
		sdk, own := &recorder{answers: []reply{answer(200, body)}}, &recorder{answers: []reply{answer(200, body)}}
		require.NoError(t, op.theirs(t.Context(), theirs(over(sdk, "eu-west-1"), endpoint, false), key))
		require.NoError(t, op.ours(t.Context(), s3object.NewClient(over(own, "eu-west-1"), endpoint, false), key))
		require.Len(t, sdk.sent, 1)
		require.Len(t, own.sent, 1)
		want, got := sdk.sent[0], own.sent[0]
		if try < 10 && want.Header.Get("X-Amz-Date") != got.Header.Get("X-Amz-Date") {
			continue
		}
		query := want.URL.Query()
		query.Del("x-id")
		assert.Equal(t, query, got.URL.Query())
		want.URL.RawQuery, got.URL.RawQuery = "", ""
		assert.Equal(t, want.Method+" "+want.URL.String(), got.Method+" "+got.URL.String())
		assert.Equal(t, want.URL.RequestURI(), got.URL.RequestURI())
		assert.Equal(t, sdk.bodies, own.bodies)
		assert.Equal(t, want.ContentLength, got.ContentLength)
		assert.Equal(t, want.Body == nil, got.Body == nil)
		for _, one := range []*http.Request{want, got} {
			one.Header.Del("User-Agent")
			one.Header.Del("Amz-Sdk-Invocation-Id") // which is random, and signed
			scope, _, _ := strings.Cut(one.Header.Get("Authorization"), "Signature=")
			one.Header.Set("Authorization", scope)
		}
		assert.Equal(t, want.Header, got.Header)
		return
	}
}

// Every region of every partition, with its variants, and buckets whose name is no name of a host.
func TestAddressesAreThoseOfTheSDK(t *testing.T) {
	for _, region := range []string{"us-east-1", "ap-south-1", "us-gov-west-1", "cn-north-1", "us-iso-east-1", "us-isob-east-1", "eusc-de-east-1"} {
		for _, v := range []variant{{}, {fips: true}, {dual: true}, {fips: true, dual: true}} {
			for _, name := range []string{bucket, "models.example.org"} {
				for _, byPath := range []bool{false, true} {
					sdk, own := &recorder{answers: []reply{answer(200, "")}}, &recorder{answers: []reply{answer(200, "")}}
					cfg := over(sdk, region)
					cfg.ConfigSources = []any{v}
					_, err := theirs(cfg, "", byPath).GetObject(t.Context(), &s3.GetObjectInput{Bucket: &name, Key: aws.String("key")})
					cfg.HTTPClient = own
					_, ownErr := s3object.NewClient(cfg, "", byPath).GetObject(t.Context(), name, "key")
					if len(sdk.sent) == 0 {
						assert.Equal(t, "cn-north-1", region, "AWS in China has no FIPS: %v", err)
						continue
					}
					require.NoError(t, ownErr)
					sdk.sent[0].URL.RawQuery = ""
					assert.Equal(t, sdk.sent[0].URL.String(), own.sent[0].URL.String())
					assert.Contains(t, own.sent[0].Header.Get("Authorization"), "/"+region+"/s3/aws4_request")
				}
			}
		}
	}
	_, err := s3object.NewClient(over(nil, "moon"), "", false).GetObject(t.Context(), bucket, "key")
	require.ErrorContains(t, err, `"moon" is no region`)
}

type variant struct{ fips, dual bool }

func (v variant) GetUseFIPSEndpoint(context.Context) (aws.FIPSEndpointState, bool, error) {
	if v.fips {
		return aws.FIPSEndpointStateEnabled, true, nil
	}
	return aws.FIPSEndpointStateUnset, false, nil
}

func (v variant) GetUseDualStackEndpoint(context.Context) (aws.DualStackEndpointState, bool, error) {
	if v.dual {
		return aws.DualStackEndpointStateEnabled, true, nil
	}
	return aws.DualStackEndpointStateUnset, false, nil
}

func TestTheEnvironmentNamesTheStore(t *testing.T) {
	called := func(endpoint string) string {
		r := &recorder{answers: []reply{answer(200, "")}}
		cfg, err := config.LoadDefaultConfig(t.Context(), config.WithRegion("eu-west-1"), config.WithHTTPClient(r),
			config.WithCredentialsProvider(credentials.NewStaticCredentialsProvider("key", "none", "")))
		require.NoError(t, err)
		_, err = s3object.NewClient(cfg, endpoint, false).GetObject(t.Context(), bucket, "key")
		require.NoError(t, err)
		return r.sent[0].URL.String()
	}
	t.Setenv("AWS_CONFIG_FILE", "/dev/null")
	t.Setenv("AWS_CA_BUNDLE", "")
	t.Setenv("AWS_ENDPOINT_URL", "http://all.test:1/base")
	assert.Equal(t, "http://all.test:1/base/models-bucket/key", called(""))
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://s3.test:2")
	assert.Equal(t, "http://s3.test:2/models-bucket/key", called(""))
	assert.Equal(t, "http://given.test:3/models-bucket/key", called("http://given.test:3"))
	t.Setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")
	assert.Equal(t, "https://models-bucket.s3.eu-west-1.amazonaws.com/key", called(""))
}

// What is refused is refused in the same words, and as often.
func TestRefusalsAreThoseOfTheSDK(t *testing.T) {
	const told = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>a &lt;b&gt;</Message><RequestId>1</RequestId></Error>`
	for name, refusal := range map[string]reply{
		"denied":             answer(403, fmt.Sprintf(told, "AccessDenied")),
		"another region":     answer(301, fmt.Sprintf(told, "PermanentRedirect"), "X-Amz-Bucket-Region", "eu-central-1"),
		"an expired token":   answer(400, fmt.Sprintf(told, "ExpiredToken")),
		"throttled":          answer(503, fmt.Sprintf(told, "SlowDown")),
		"a slow upload":      answer(400, fmt.Sprintf(told, "RequestTimeout")),
		"without a body":     answer(404, ""),
		"a failed success":   answer(200, fmt.Sprintf(told, "InternalError")),
		"a gateway":          answer(502, ""),
		"a precondition":     answer(412, fmt.Sprintf(told, "PreconditionFailed")),
		"another in flight":  answer(409, fmt.Sprintf(told, "ConditionalRequestConflict")),
		"a code alone":       answer(400, "<Error><Code>X</Code></Error>"),
		"a reset connection": func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset by peer") },
	} {
		for operationName, op := range operations([]byte("content")) {
			if name == "a failed success" && operationName == "GetObject" {
				continue // an object may be such a document
			}
			t.Run(name+" "+operationName, func(t *testing.T) {
				sdk, own := &recorder{answers: []reply{refusal}}, &recorder{answers: []reply{refusal}}
				err := op.theirs(t.Context(), theirs(over(sdk, "eu-west-1"), "", false), "key")
				ownErr := op.ours(t.Context(), s3object.NewClient(over(own, "eu-west-1"), "", false), "key")
				require.Error(t, ownErr)
				assert.Len(t, own.sent, len(sdk.sent))
				assert.Equal(t, code(err), code(ownErr))
				wrapped, ownWrapped := s3object.Wrap("op", bucket, "key", err), s3object.Wrap("op", bucket, "key", ownErr)
				var their, ours *s3object.Error
				require.ErrorAs(t, wrapped, &their)
				require.ErrorAs(t, ownWrapped, &ours)
				assert.Equal(t, their.Kind, ours.Kind)
				assert.Equal(t, their.Status, ours.Status)
				assert.Equal(t, their.Region, ours.Region)
			})
		}
	}
}

func code(err error) string {
	var refused smithy.APIError
	if errors.As(err, &refused) {
		return cmp.Or(refused.ErrorCode(), "none")
	}
	return ""
}

func TestAnswersAreReadAsByTheSDK(t *testing.T) {
	both := func(one reply) (*s3.Client, *s3object.Client) {
		return theirs(over(&recorder{answers: []reply{one}}, "eu-west-1"), "", false),
			s3object.NewClient(over(&recorder{answers: []reply{one}}, "eu-west-1"), "", false)
	}
	b, key, ctx := aws.String(bucket), aws.String("key"), t.Context()
	const page = `<?xml version="1.0" encoding="UTF-8"?>
<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><IsTruncated>true</IsTruncated>
<NextContinuationToken>a&amp;b+/=</NextContinuationToken><Contents><Key> a b+c </Key><Size>1</Size></Contents>
<Contents><Key>ü/&#13;&#10;&lt;x&gt;%2F//</Key><Owner><ID>x</ID></Owner></Contents><CommonPrefixes><Prefix>p</Prefix></CommonPrefixes></ListBucketResult>`
	sdk, own := both(answer(200, page, "Date", "Mon, 30 Nov 2026 08:00:00 GMT"))
	theirPage, err := sdk.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: b})
	require.NoError(t, err)
	ownPage, err := own.ListObjectsV2(ctx, bucket, "", "")
	require.NoError(t, err)
	assert.Equal(t, *theirPage.NextContinuationToken, ownPage.NextContinuationToken)
	assert.True(t, ownPage.IsTruncated)
	require.Len(t, ownPage.Contents, 2)
	for i, object := range theirPage.Contents {
		assert.Equal(t, *object.Key, ownPage.Contents[i].Key)
	}
	at, dated := awsmiddleware.GetServerTime(ownPage.ResultMetadata)
	assert.True(t, dated)
	assert.Equal(t, 8, at.Hour())

	sdk, own = both(answer(200, `<ListMultipartUploadsResult><Upload><Key>a&amp;b</Key><UploadId>u+1</UploadId></Upload></ListMultipartUploadsResult>`))
	theirUploads, err := sdk.ListMultipartUploads(ctx, &s3.ListMultipartUploadsInput{Bucket: b})
	require.NoError(t, err)
	ownUploads, err := own.ListMultipartUploads(ctx, bucket, "")
	require.NoError(t, err)
	assert.Equal(t, []s3object.Upload{{Key: *theirUploads.Uploads[0].Key, UploadID: *theirUploads.Uploads[0].UploadId}}, ownUploads.Uploads)

	sdk, own = both(answer(200, "content", "ETag", `"e"`, "Last-Modified", "Mon, 30 Nov 2026 07:00:00 GMT", "X-Amz-Meta-Sha256", "abc", "Content-Length", "7"))
	theirObject, err := sdk.GetObject(ctx, &s3.GetObjectInput{Bucket: b, Key: key})
	require.NoError(t, err)
	ownObject, err := own.GetObject(ctx, bucket, "key")
	require.NoError(t, err)
	content, err := io.ReadAll(ownObject.Body)
	require.NoError(t, errors.Join(err, theirObject.Body.Close(), ownObject.Body.Close()))
	assert.Equal(t, "content", string(content))
	assert.EqualValues(t, 7, ownObject.ContentLength)
	assert.Equal(t, *theirObject.ETag, ownObject.ETag)
	assert.True(t, theirObject.LastModified.Equal(ownObject.LastModified))
	theirHead, err := sdk.HeadObject(ctx, &s3.HeadObjectInput{Bucket: b, Key: key})
	require.NoError(t, err)
	ownHead, err := own.HeadObject(ctx, bucket, "key")
	require.NoError(t, err)
	assert.Equal(t, theirHead.Metadata, ownHead.Metadata)
	assert.Equal(t, *theirHead.ContentLength, ownHead.ContentLength)
	put, err := own.PutObject(ctx, &s3object.PutObjectInput{Bucket: bucket, Key: "key"})
	require.NoError(t, err)
	assert.Equal(t, `"e"`, put.ETag)
}

// What is no answer of a store is not taken for an empty one.
func TestAnAnswerThatIsNotTheOperationsIsAnError(t *testing.T) {
	for name, op := range operations(nil) {
		for _, body := range []string{"", "<a/>", "<", `{"ok": true}`} {
			r := &recorder{answers: []reply{answer(200, body)}}
			err := op.ours(t.Context(), s3object.NewClient(over(r, "eu-west-1"), "", false), "key")
			switch {
			case name == "GetObject":
				require.NoError(t, err)
			case answers[name] != "" && name != "CompleteMultipartUpload", body == "<":
				var unreadable *smithy.DeserializationError
				require.ErrorAs(t, err, &unreadable, "%s %q", name, body)
				assert.Len(t, r.sent, 1)
			default:
				require.NoError(t, err, "%s %q", name, body)
			}
		}
	}
	own := s3object.NewClient(over(&recorder{answers: []reply{answer(200, "<InitiateMultipartUploadResult/>")}}, "eu-west-1"), "", false)
	_, err := own.CreateMultipartUpload(t.Context(), &s3object.CreateMultipartUploadInput{Bucket: bucket, Key: "key"})
	require.ErrorContains(t, err, "no UploadId")
}

// Without its key, reading an object would list the bucket; without its upload, aborting would delete an object.
func TestNothingIsSentWithoutItsSubject(t *testing.T) {
	r := &recorder{answers: []reply{answer(200, "")}}
	own, ctx := s3object.NewClient(over(r, "eu-west-1"), "", false), t.Context()
	for name, op := range operations(nil) {
		if name != "CreateBucket" && !strings.HasPrefix(name, "List") {
			require.ErrorContains(t, op.ours(ctx, own, ""), "no key", name)
		}
	}
	require.ErrorContains(t, own.DeleteObject(ctx, "", "key"), "no bucket")
	require.ErrorContains(t, own.AbortMultipartUpload(ctx, bucket, "key", ""), "no upload id")
	require.ErrorContains(t, own.CompleteMultipartUpload(ctx, &s3object.CompleteMultipartUploadInput{Bucket: bucket, Key: "key"}), "no upload id")
	assert.Empty(t, r.sent)
}

func TestAnAttemptThatFailsIsRepeatedWithItsBody(t *testing.T) {
	for name, broken := range map[string]reply{
		"reset":     func(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset by peer") },
		"throttled": answer(503, "<Error><Code>SlowDown</Code></Error>"), "a gateway": answer(502, "<html>"),
	} {
		for _, endpoint := range []string{"", "http://store.test"} {
			r := &recorder{answers: []reply{broken, answer(200, "", "ETag", "e")}}
			own := s3object.NewClient(over(r, "eu-west-1"), endpoint, false)
			out, err := own.PutObject(t.Context(), &s3object.PutObjectInput{Bucket: bucket, Key: "key", Body: strings.NewReader("content")})
			require.NoError(t, err, name)
			assert.Equal(t, "e", out.ETag)
			assert.Equal(t, []string{"content", "content"}, r.bodies, name)
			assert.Equal(t, r.sent[0].Header.Get("X-Amz-Content-Sha256"), r.sent[1].Header.Get("X-Amz-Content-Sha256"))
		}
	}
}

// A machine's clock is off: the answer says so, and the next attempt is signed with the store's time.
func TestAWrongClockIsCorrected(t *testing.T) {
	ahead := time.Now().Add(20 * time.Minute).UTC()
	skewed := answer(403, "<Error><Code>RequestTimeTooSkewed</Code></Error>", "Date", ahead.Format(http.TimeFormat))
	r := &recorder{answers: []reply{skewed, answer(200, "")}}
	_, err := s3object.NewClient(over(r, "eu-west-1"), "", false).GetObject(t.Context(), bucket, "key")
	require.NoError(t, err)
	require.Len(t, r.sent, 2)
	at, err := time.Parse("20060102T150405Z", r.sent[1].Header.Get("X-Amz-Date"))
	require.NoError(t, err)
	assert.WithinDuration(t, ahead, at, time.Minute)
}

func TestAnErrorHasTheRequestsID(t *testing.T) {
	r := &recorder{answers: []reply{answer(403, "<Error><Code>AccessDenied</Code><Message>no</Message></Error>", "X-Amz-Request-Id", "r-1")}}
	_, err := s3object.NewClient(over(r, "eu-west-1"), "", false).GetObject(t.Context(), bucket, "key")
	require.EqualError(t, err, "operation error S3: GetObject, https response error StatusCode: 403, RequestID: r-1, api error AccessDenied: no")
}
