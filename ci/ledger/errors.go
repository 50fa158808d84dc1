package ledger

import "github.com/openstack-rca/openstack-rca/ci/s3object"

type (
	// Error is a failed operation on the store.
	Error = s3object.Error
	// Kind is what went wrong, as far as the caller can act on it.
	Kind = s3object.Kind
)

// The kinds of failure; package s3object describes each.
const (
	Unreachable    = s3object.Unreachable
	Untrusted      = s3object.Untrusted
	AccessDenied   = s3object.AccessDenied
	BadCredentials = s3object.BadCredentials
	NoBucket       = s3object.NoBucket
	WrongRegion    = s3object.WrongRegion
	ClockSkew      = s3object.ClockSkew
	Throttled      = s3object.Throttled
	NoCAS          = s3object.NoCAS
	Unreadable     = s3object.Unreadable
	Corrupt        = s3object.Corrupt
	Conflict       = s3object.Conflict
	Taken          = s3object.Taken
	Partial        = s3object.Partial
	Abandoned      = s3object.Abandoned
	NotFound       = s3object.NotFound
	Precondition   = s3object.Precondition
	LocalFile      = s3object.LocalFile
	NotImplemented = s3object.NotImplemented
	Refused        = s3object.Refused
	Lost           = s3object.Lost
	TooLong        = s3object.TooLong
	NotS3          = s3object.NotS3
	Other          = s3object.Other
	Busy           = s3object.Busy
	Gone           = s3object.Gone
)

// IsKind reports whether err is an *Error of that kind.
func IsKind(err error, kind Kind) bool { return s3object.IsKind(err, kind) }

// ParseURI splits s3://bucket/key. The key may be empty and has no slash at its ends.
func ParseURI(uri string) (bucket, key string, err error) { return s3object.ParseURI(uri) }
