package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/s3object"
)

// mark records that a digest served in an environment, and by which service. That service's journal has the times.
type mark struct {
	Image   string    `json:"image"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
	Service string    `json:"service,omitempty"`
}

func (j *Journal) markKey(environment, digest string) string {
	return j.prefix + environment + "/ran/" + strings.TrimPrefix(digest, "sha256:") + ".json"
}

// MarkRan records, once per service, that the environment has run an image.
func (j *Journal) MarkRan(ctx context.Context, image, digest string) error {
	content, err := json.MarshalIndent(mark{image, j.opts.Name, j.clock.Server().UTC(), j.opts.Service}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode mark: %w", err)
	}
	content = append(content, '\n')
	key := j.markKey(j.opts.Environment, digest)
	_, err = j.objects.Create(ctx, key, content, contentType)
	if s3object.IsKind(err, s3object.Precondition) {
		err = j.remark(ctx, key, content)
	}
	if err != nil && !s3object.IsKind(err, s3object.Precondition) {
		return fmt.Errorf("record that %s ran: %w", digest, err)
	}
	return nil
}

// remark replaces a mark of another service, or of a version that did not record the service.
func (j *Journal) remark(ctx context.Context, key string, content []byte) error {
	there, etag, err := j.get(ctx, key)
	if err != nil {
		return err
	}
	var old mark
	if json.Unmarshal(there, &old) == nil && old.Service == j.opts.Service || etag == "" {
		return nil
	}
	_, err = j.objects.Replace(ctx, key, content, contentType, etag)
	return err
}

// Ran reports whether an environment has run a digest.
func (j *Journal) Ran(ctx context.Context, environment, digest string) (bool, error) {
	_, etag, err := j.get(ctx, j.markKey(environment, digest))
	return etag != "", err
}

// Served is an uninterrupted time in which a digest served in an environment.
type Served struct {
	// Since is the start; zero if the journal does not know it.
	Since time.Time
	// Until is when something else began to serve; zero if the digest still serves.
	Until time.Time
}

// For returns how long it had served at a given time.
func (s Served) For(now time.Time) time.Duration {
	switch {
	case s.Since.IsZero():
		return 0
	case s.Until.IsZero():
		return max(0, now.Sub(s.Since))
	default:
		return s.Until.Sub(s.Since)
	}
}

// Served returns the longest uninterrupted time that a digest served in an environment, according to the journal of the
// service that ran it last.
func (j *Journal) Served(ctx context.Context, environment, digest string) (Served, error) {
	content, etag, err := j.get(ctx, j.markKey(environment, digest))
	if err != nil || etag == "" {
		return Served{}, err
	}
	var m mark
	if err := json.Unmarshal(content, &m); err != nil || m.Service == "" {
		return Served{}, nil //nolint:nilerr // an earlier version did not record the service
	}
	content, etag, err = j.get(ctx, j.prefix+environment+"/"+m.Service+".json")
	if err != nil || etag == "" {
		return Served{}, err
	}
	s, err := decode(content)
	if err != nil {
		return Served{}, fmt.Errorf("read the journal of %s: %w", m.Service, err)
	}
	return s.served(digest, j.clock.Server()), nil
}

// served returns the longest uninterrupted time that a digest served.
func (s *State) served(digest string, now time.Time) Served {
	var longest, current Served
	end := func(at time.Time) {
		if current.Until = at; !current.Since.IsZero() && current.For(now) >= longest.For(now) {
			longest = current
		}
		current = Served{}
	}
	for _, run := range s.Ended {
		if run.Verdict != Passed {
			continue // rolled back or unknown: the previous release is assumed to serve on
		}
		ours := strings.HasSuffix(run.Image, "@"+digest) && run.Kind != Destroy
		switch {
		case ours && current.Since.IsZero():
			current.Since = run.Ended
		case !ours:
			end(run.Ended)
		}
	}
	if !current.Since.IsZero() {
		end(time.Time{})
	}
	return longest
}
