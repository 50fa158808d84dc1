package s3object

import (
	"fmt"
	"regexp"
	"strings"
)

// bucketName follows AWS's rules for general purpose buckets.
var bucketName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)

// ParseURI splits s3://bucket/key. The key may be empty and has no slash at its ends.
func ParseURI(uri string) (bucket, key string, err error) {
	rest, ok := strings.CutPrefix(uri, "s3://")
	if !ok {
		return "", "", fmt.Errorf("parse S3 address %q: it does not begin with s3://", clip(uri))
	}
	bucket, key, _ = strings.Cut(rest, "/")
	key = strings.Trim(key, "/")
	for _, suffix := range []string{"--x-s3", "--xa-s3", "--op-s3"} {
		if strings.HasSuffix(bucket, suffix) {
			return "", "", fmt.Errorf("parse S3 address %q: buckets of S3 Express One Zone and of Outposts are not supported", clip(uri))
		}
	}
	if !bucketName.MatchString(bucket) || strings.Contains(bucket, "..") {
		return "", "", fmt.Errorf("parse S3 address %q: %q is not a bucket name", clip(uri), clip(bucket))
	}
	for _, part := range strings.Split(key, "/") {
		if part == "." || part == ".." || (part == "" && key != "") {
			return "", "", fmt.Errorf("parse S3 address %q: its path has the part %q", clip(uri), part)
		}
	}
	if strings.ContainsAny(key, "\x00\r\n\\?#") {
		return "", "", fmt.Errorf("parse S3 address %q: its path has characters that break clients", clip(uri))
	}
	return bucket, key, nil
}

func clip(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:200], "") + "..."
	}
	return s
}
