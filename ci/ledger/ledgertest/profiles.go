package ledgertest

import (
	"net/http"
	"slices"
	"strings"
)

// Profile is how an S3 API parts from AWS's, as its documentation or its users say. The
// zero value takes everything that this module sends.
type Profile struct {
	// Name is the store's.
	Name string
	// Regions are those that a signature may name; any when empty.
	Regions []string
	// NoConditions refuses conditional writes, NoConditionOnComplete only those of
	// uploads in parts.
	NoConditions, NoConditionOnComplete bool
	// NoChecksums refuses x-amz-checksum-* and x-amz-sdk-checksum-algorithm by name,
	// NoHeaders with words that name no header.
	NoChecksums, NoHeaders bool
	// Locked is a bucket with Object Lock and default retention: a write without a
	// checksum is refused.
	Locked bool
	// Trailers takes bodies in chunks with a trailing checksum. None of the others does.
	Trailers bool
}

// Profiles are S3 APIs that people publish to. docs/stores.md has the sources.
func Profiles() []Profile {
	return []Profile{
		{Name: "Amazon S3"},
		{Name: "Amazon S3 with Object Lock", Locked: true},
		{Name: "Cloudflare R2", Regions: []string{"auto", "us-east-1"}, NoConditionOnComplete: true},
		{Name: "Backblaze B2", Regions: []string{"us-west-004"}, NoConditions: true},
		{Name: "Ceph RGW", NoConditionOnComplete: true},
		{Name: "a store that refuses checksum headers", NoChecksums: true, NoConditionOnComplete: true},
		{Name: "Garage", Regions: []string{"garage"}, NoConditions: true},
		{Name: "SeaweedFS"},
		{Name: "MinIO", Regions: []string{"us-east-1"}},
		{Name: "a gateway that knows no new header", NoHeaders: true, NoConditionOnComplete: true},
	}
}

// refuses answers what the store does not take.
func (p Profile) refuses(w http.ResponseWriter, r *http.Request) bool {
	if len(p.Regions) > 0 && !slices.Contains(p.Regions, region(r)) {
		Fail(w, http.StatusBadRequest, "InvalidRegionName", "Invalid region name, must be one of: "+strings.Join(p.Regions, ", "))
		return true
	}
	chunked := r.Header.Get("Content-Encoding") == "aws-chunked" || strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING")
	if chunked && !p.Trailers {
		Fail(w, http.StatusNotImplemented, "NotImplemented", "chunked bodies")
		return true
	}
	sum := ""
	for name := range r.Header {
		if lower := strings.ToLower(name); strings.HasPrefix(lower, "x-amz-checksum-") || lower == "x-amz-sdk-checksum-algorithm" {
			sum = lower
		}
	}
	complete := r.Method == http.MethodPost && r.URL.Query().Has("uploadId")
	conditional := r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Match") != ""
	switch {
	case sum != "" && p.NoChecksums:
		Fail(w, http.StatusBadRequest, "InvalidArgument", "Unsupported header '"+sum+"' received for this API call.")
	case sum != "" && p.NoHeaders,
		conditional && (p.NoConditions || complete && p.NoConditionOnComplete) && r.Method != http.MethodGet:
		Fail(w, http.StatusNotImplemented, "NotImplemented", "A header you provided implies functionality that is not implemented")
	case p.Locked && r.Method == http.MethodPut && sum == "" && r.Header.Get("Content-Md5") == "":
		Fail(w, http.StatusBadRequest, "InvalidRequest",
			"Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests with Object Lock parameters")
	default:
		return false
	}
	return true
}

// region is the one that the request is signed for: the third part of the credential's
// scope (Signature Version 4).
func region(r *http.Request) string {
	_, credential, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	parts := strings.Split(credential, "/")
	if len(parts) < 3 {
		return ""
	}
	return parts[2]
}
