package overhttp

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/awscall/sts"
	"github.com/openstack-rca/openstack-rca/ci/rollout/fakeaws"
)

// STS gives out credentials that end, and refuses requests that are signed with ones
// that ended. Its rules are from the API reference of AWS STS. Signatures themselves
// are not checked: whose key it is, and the session token, are.
type STS struct {
	// Lifetime is how long a session lasts whatever was asked for; 0 means as asked.
	Lifetime time.Duration
	// Identity is the web identity token that is accepted; empty accepts any.
	Identity string
	// Roles are those that may be assumed; nil is any.
	Roles []string
	// Now tells the time.
	Now func() time.Time

	caller   *fakeaws.Identity
	mu       sync.Mutex
	number   int
	sessions map[string]session
	// ended are long-lived keys that are refused from now on.
	ended map[string]bool
}

type session struct {
	token, role, name string
	until             time.Time
}

func newSTS(caller *fakeaws.Identity) *STS {
	return &STS{caller: caller, Now: time.Now, sessions: map[string]session{}, ended: map[string]bool{}}
}

func refused(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

type signerKey struct{}

// GetCallerIdentity says who signed the request.
func (s *STS) GetCallerIdentity(ctx context.Context, in *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	out, err := s.caller.GetCallerIdentity(ctx, in)
	s.mu.Lock()
	defer s.mu.Unlock()
	key, _ := ctx.Value(signerKey{}).(string)
	if now, is := s.sessions[key]; is && err == nil {
		out.Arn = aws.String("arn:aws:sts::" + s.caller.Account + ":assumed-role/" + now.role[strings.LastIndexByte(now.role,
			'/')+1:] + "/" + now.name)
	}
	return out, err
}

// AssumeRole gives out a session of a role.
func (s *STS) AssumeRole(_ context.Context, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	given, err := s.give(aws.ToString(in.RoleArn), aws.ToString(in.RoleSessionName), in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleOutput{Credentials: given}, nil
}

// AssumeRoleWithWebIdentity gives one out for the token of an identity provider.
func (s *STS) AssumeRoleWithWebIdentity(_ context.Context, in *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	if s.Identity != "" && aws.ToString(in.WebIdentityToken) != s.Identity {
		return nil, refused("InvalidIdentityToken", "The web identity token is not one of this provider.")
	}
	given, err := s.give(aws.ToString(in.RoleArn), aws.ToString(in.RoleSessionName), in.DurationSeconds)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleWithWebIdentityOutput{Credentials: given}, nil
}

func (s *STS) give(role, name string, seconds *int32) (*sts.Credentials, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Roles != nil && !slices.Contains(s.Roles, role) {
		return nil, refused("AccessDenied", "User is not authorized to perform: sts:AssumeRole on resource: %s", role)
	}
	lifetime := time.Hour
	if seconds != nil {
		lifetime = time.Duration(*seconds) * time.Second
	}
	if s.Lifetime > 0 {
		lifetime = s.Lifetime
	}
	s.number++
	key := fmt.Sprintf("session-%d", s.number)
	now := session{token: fmt.Sprintf("token-%d", s.number), role: role, name: name, until: s.Now().Add(lifetime)}
	s.sessions[key] = now
	return &sts.Credentials{AccessKeyId: aws.String(key), SecretAccessKey: aws.String("not-checked"), SessionToken: aws.String(now.token),
		Expiration: aws.Time(now.until)}, nil
}

// End ends all sessions, or the keys that are named, now.
func (s *STS) End(keys ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range keys {
		s.ended[key] = true
	}
	if len(keys) == 0 {
		for key := range s.sessions {
			s.ended[key] = true
		}
	}
}

// Last makes all sessions from now on last so long.
func (s *STS) Last(lifetime time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Lifetime = lifetime
}

// Sessions is how many sessions were given out.
func (s *STS) Sessions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.number
}

// check refuses what is not signed with valid credentials.
func (s *STS) check(r *http.Request, operation string, text bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if operation == "AssumeRoleWithWebIdentity" || operation == "AssumeRoleWithSAML" {
		return nil // the token is what proves who asks
	}
	key := signer(r)
	if key == "" {
		return refused(either(text, "MissingAuthenticationToken", "MissingAuthenticationTokenException"),
			"Request is missing Authentication Token")
	}
	given, is := s.sessions[key]
	switch {
	case s.ended[key], is && !s.Now().Before(given.until):
		return refused(either(text, "ExpiredToken", "ExpiredTokenException"), "The security token included in the request is expired")
	case is && r.Header.Get("X-Amz-Security-Token") != given.token:
		return refused(either(text, "InvalidClientTokenId", "UnrecognizedClientException"),
			"The security token included in the request is invalid.")
	}
	*r = *r.WithContext(context.WithValue(r.Context(), signerKey{}, key))
	return nil
}

func either(first bool, a, b string) string {
	if first {
		return a
	}
	return b
}

// signer is the access key in a request's signature.
func signer(r *http.Request) string {
	_, rest, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
	key, _, _ := strings.Cut(rest, "/")
	return key
}
