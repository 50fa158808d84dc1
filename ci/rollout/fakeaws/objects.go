package fakeaws

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/openstack-rca/openstack-rca/ci/awscall/sts"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
)

const accountID = "111122223333"

// Objects is Amazon S3 as far as conditional writes go ("Conditional writes" in its user
// guide): If-None-Match: * makes an object that is not there, If-Match replaces the one
// that was read. Its methods are those of the client.
type Objects struct {
	// IgnoreConditions makes it ignore both, as some stores do.
	IgnoreConditions bool
	// Conflicts is how many conditional writes from now on meet another one in flight: a write that is
	// refused with 409 may be sent again.
	Conflicts int

	cable  *cable
	mu     sync.Mutex
	all    map[string]object
	number int
}

type object struct {
	content []byte
	etag    string
	// modified is when it was written.
	modified time.Time
}

// Content is what is stored under bucket/key, and whether anything is.
func (o *Objects) Content(path string) (string, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found, exists := o.all[path]
	return string(found.content), exists
}

// Set stores something, as another writer would.
func (o *Objects) Set(path, content string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.set(path, []byte(content))
}

// now is the time of the store, which is AWS's where it is S3.
func (o *Objects) now() time.Time {
	if o.cable == nil {
		return time.Time{}
	}
	return o.cable.clock.Now()
}

func (o *Objects) set(path string, content []byte) string {
	o.number++
	etag := fmt.Sprintf("%q", fmt.Sprint(o.number))
	o.all[path] = object{content, etag, o.now()}
	return etag
}

// GetObject reads an object.
func (o *Objects) GetObject(_ context.Context, bucket, key string) (*s3object.GetObjectOutput, error) {
	return over(o.cable, "s3:GetObject", func() (*s3object.GetObjectOutput, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		found, exists := o.all[bucket+"/"+key]
		if !exists {
			return nil, refuse("NoSuchKey", "The specified key does not exist.")
		}
		return &s3object.GetObjectOutput{Body: io.NopCloser(bytes.NewReader(found.content)), ContentLength: int64(len(found.content)),
			ETag: found.etag, LastModified: found.modified}, nil
	})
}

// PutObject writes one, if its condition holds.
func (o *Objects) PutObject(_ context.Context, in *s3object.PutObjectInput) (*s3object.PutObjectOutput, error) {
	content, err := io.ReadAll(in.Body)
	if err != nil {
		return nil, err
	}
	return over(o.cable, "s3:PutObject", func() (*s3object.PutObjectOutput, error) {
		o.mu.Lock()
		defer o.mu.Unlock()
		path := in.Bucket + "/" + in.Key
		found, exists := o.all[path]
		conditional := in.IfNoneMatch != "" || in.IfMatch != ""
		switch {
		case o.IgnoreConditions:
		case conditional && o.Conflicts > 0:
			o.Conflicts--
			return nil, refuse("ConditionalRequestConflict", "A conflicting conditional operation is currently in progress against this resource.")
		case in.IfNoneMatch != "" && exists, in.IfMatch != "" && exists && found.etag != in.IfMatch:
			return nil, refuse("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
		case in.IfMatch != "" && !exists:
			return nil, refuse("NoSuchKey", "The specified key does not exist.")
		}
		return &s3object.PutObjectOutput{ETag: o.set(path, content)}, nil
	})
}

// Identity is AWS STS for the caller itself.
type Identity struct {
	// Account is the account that the credentials are of.
	Account string
	cable   *cable
}

// GetCallerIdentity says who is calling.
func (i *Identity) GetCallerIdentity(context.Context, *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput,
	error) {
	return over(i.cable, "sts:GetCallerIdentity", func() (*sts.GetCallerIdentityOutput, error) {
		return &sts.GetCallerIdentityOutput{
			Account: aws.String(i.Account), Arn: aws.String("arn:aws:sts::" + i.Account + ":assumed-role/deployer/test"),
		}, nil
	})
}
