package overhttp_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws/overhttp"
)

func code(err error) string {
	var known smithy.APIError
	if errors.As(err, &known) {
		return known.ErrorCode()
	}
	return ""
}

func TestObjectsAreWrittenUnderConditions(t *testing.T) {
	w := newWorld(t)
	ctx := context.Background()
	client := s3.New(s3.Options{Region: "ap-south-1", BaseEndpoint: aws.String(w.url), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider("key-0", "none", "")})
	put := func(content, match, none string) (string, error) {
		in := &s3.PutObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a/b c"), Body: bytes.NewReader([]byte(content))}
		if match != "" {
			in.IfMatch = aws.String(match)
		}
		if none != "" {
			in.IfNoneMatch = aws.String(none)
		}
		out, err := client.PutObject(ctx, in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.ETag), nil
	}
	get := func() (string, string) {
		out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a/b c")})
		require.NoError(t, err)
		defer out.Body.Close()
		content, err := io.ReadAll(out.Body)
		require.NoError(t, err)
		return string(content), aws.ToString(out.ETag)
	}
	_, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String("a/b c")})
	assert.Equal(t, "NoSuchKey", code(err))
	_, err = put("none", "\"7\"", "")
	assert.Equal(t, "NoSuchKey", code(err))

	first, err := put("first", "", "*")
	require.NoError(t, err)
	_, err = put("other", "", "*")
	assert.Equal(t, "PreconditionFailed", code(err))
	second, err := put("second", first, "")
	require.NoError(t, err)
	_, err = put("other", first, "")
	assert.Equal(t, "PreconditionFailed", code(err))
	content, etag := get()
	assert.Equal(t, "second", content)
	assert.Equal(t, second, etag)

	w.server.Break("s3:GetObject", overhttp.Fault{Status: 503}, overhttp.Fault{Reset: true})
	content, _ = get()
	assert.Equal(t, "second", content)
	// A conditional write whose answer is lost meets itself when it is repeated.
	w.server.Break("s3:PutObject", overhttp.Fault{Lost: true})
	_, err = put("third", second, "")
	assert.Equal(t, "PreconditionFailed", code(err))
	content, _ = get()
	assert.Equal(t, "third", content)
	w.server.Allow = func(overhttp.Request) error { return errors.New("no") }
	_, err = put("fourth", "", "")
	assert.Equal(t, "AccessDenied", code(err))
}
