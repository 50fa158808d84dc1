// Package journal keeps the lock and the history of a service's rollouts in S3: a lease with a
// fencing token, the record of the run in progress, which an interrupted run leaves behind, the
// releases that a rollback can choose from, and the digests that an environment has run.
//
//	<root>/<app>.rollouts/<environment>/<service>.json     lock, run in progress, history
//	<root>/<app>.rollouts/<environment>/ran/<digest>.json  written once: this digest served here
//
// Every write is conditional, so a change since the last read is never overwritten. A store that
// ignores conditions is refused before the first write.
package journal

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/clock"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Objects is the part of the S3 client that this package needs.
type Objects = s3object.API

const (
	// Lease is how long a lock lasts without renewal.
	Lease = 2 * time.Minute
	// Skew is how long after its expiry a lock may be taken over. It covers the difference between two machines' estimates of
	// the store's time, and a renewal in progress.
	Skew = 30 * time.Second
)

// ErrMoved means that another run wrote since the journal was read. Any decision based on that read must be made again.
var ErrMoved = errors.New("another run wrote to the journal meanwhile")

// Options have the address of a journal and the identity of its user.
type Options struct {
	// Root is s3://bucket/prefix.
	Root string
	// App, Environment and Service name it.
	App, Environment, Service string
	// Name identifies the holder of the lock to others.
	Name string
	// Lease overrides the package's lease, for tests.
	Lease time.Duration
}

// Journal is the journal of one service. It is safe for concurrent use.
type Journal struct {
	opts    Options
	objects *s3object.Store
	// clock tells the store's time. All times in the journal are the store's, so the clocks of
	// machines need not agree.
	clock          *awsclock.Clock
	bucket, prefix string

	mu    sync.Mutex
	state State
	etag  string
	held  bool
	lost  bool
	// unanswered are writes since the last read whose response was lost.
	unanswered [][]byte
}

// Open returns a journal. It makes no request.
func Open(objects Objects, clock clock.Clock, opts Options) (*Journal, *verdict.Problem) {
	if opts.Root == "" {
		return nil, verdict.Problemf(JournalFailed, "neither rollout.journal nor publish.artifact_root says where the journal is")
	}
	bucket, prefix, err := s3object.ParseURI(opts.Root)
	if err != nil {
		return nil, verdict.Problemf(JournalFailed, "%v", err)
	}
	opts.Lease = cmp.Or(opts.Lease, Lease)
	opts.Name = cmp.Or(opts.Name, "openstack-rca")
	base := opts.App + ".rollouts/"
	if prefix != "" {
		base = prefix + "/" + base
	}
	store := awsclock.Apart(clock)
	return &Journal{opts: opts, objects: s3object.New(objects, store, bucket), clock: store, bucket: bucket, prefix: base}, nil
}

func (j *Journal) key() string {
	return j.prefix + j.opts.Environment + "/" + j.opts.Service + ".json"
}

// Where returns the journal's address.
func (j *Journal) Where() string { return "s3://" + j.bucket + "/" + j.key() }

// Read reads the state. It is empty if nothing was written yet.
func (j *Journal) Read(ctx context.Context) (State, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.read(ctx); err != nil {
		return State{}, err
	}
	return j.copy(), nil
}

func (j *Journal) copy() State {
	s := j.state
	s.Ended = slices.Clone(s.Ended)
	return s
}

func (j *Journal) read(ctx context.Context) error {
	found, err := j.objects.Read(ctx, j.key())
	missing := s3object.IsKind(err, s3object.NotFound)
	if err != nil && !missing {
		return err
	}
	j.unanswered = nil
	if missing || found.ETag == "" {
		j.state, j.etag = State{}, ""
		return nil
	}
	state, err := decode(found.Content)
	if err != nil {
		return fmt.Errorf("read journal %s: %w", j.Where(), err)
	}
	j.state, j.etag = *state, found.ETag
	if h := j.state.Holder; h != nil && !found.Modified.IsZero() {
		// The lease starts at the store's time of the holder's last write: the holder's clock may have jumped when it
		// computed the expiry.
		if end := found.Modified.Add(j.opts.Lease); end.Before(h.Until) {
			h.Until = end.UTC()
		}
	}
	return nil
}

// Held returns another run that holds the lock in a state, or nil if the lock is free or has expired.
func (j *Journal) Held(s State) *Holder {
	if s.Holder == nil || j.clock.Server().After(s.Holder.Until.Add(Skew)) {
		return nil
	}
	return s.Holder
}

// Hold takes the lock if nobody wrote since Read, and renews it once half of its lease has passed. The error is ErrMoved if
// another run wrote; any other error means that the store does not respond and the lease may have expired.
func (j *Journal) Hold(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.hold(ctx)
}

func (j *Journal) hold(ctx context.Context) error {
	if j.lost {
		return ErrMoved
	}
	if !j.held {
		return j.take(ctx, func(*State) {})
	}
	// More than a whole lease left means that this machine's clock was set back.
	if left := j.state.Holder.Until.Sub(j.clock.Server()); left > j.opts.Lease/2 && left <= j.opts.Lease {
		return nil
	}
	err := j.swap(ctx, func(s *State) { s.Holder.Until = j.until() })
	if err != nil && !errors.Is(err, ErrMoved) && j.clock.Server().Before(j.state.Holder.Until) {
		return nil // the lock is still ours; the next poll tries again
	}
	return err
}

// until returns when a lease that starts now expires, in the store's time.
func (j *Journal) until() time.Time { return j.clock.Server().Add(j.opts.Lease).UTC() }

// take takes the lock and makes another change in the same write.
func (j *Journal) take(ctx context.Context, besides func(*State)) error {
	if j.Held(j.state) != nil {
		return ErrMoved // another run holds a valid lock
	}
	if err := j.probe(ctx); err != nil {
		return err
	}
	err := j.swap(ctx, func(s *State) {
		s.Token++
		s.Holder = &Holder{Name: j.opts.Name, Since: j.clock.Server().UTC(), Until: j.until()}
		besides(s)
	})
	j.held = err == nil
	return err
}

// Holding reports whether this journal holds the lock.
func (j *Journal) Holding() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.held && !j.lost
}

// Taken reports whether this journal has ever taken the lock, even if it has lost it since.
func (j *Journal) Taken() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.held
}

// Record writes the run in progress, and takes the lock first if needed.
func (j *Journal) Record(ctx context.Context, run Run) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	write := func(s *State) {
		run.Token, run.By = s.Token, j.opts.Name
		s.Run = &run
		s.Holder.Until = j.until()
	}
	switch {
	case j.lost:
		return ErrMoved
	case !j.held:
		return j.take(ctx, write)
	}
	if err := j.hold(ctx); err != nil {
		return err
	}
	return j.swap(ctx, write)
}

// End writes the result of the run, and releases the lock.
func (j *Journal) End(ctx context.Context, run Run) error {
	if err := j.Hold(ctx); err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	run.Token, run.By, run.Ended = j.state.Token, j.opts.Name, j.clock.Server().UTC()
	err := j.swap(ctx, func(s *State) {
		s.end(run)
		s.Holder = nil
	})
	j.held = j.held && err != nil
	return err
}

// Release releases the lock and changes nothing else.
func (j *Journal) Release(ctx context.Context) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.held || j.lost {
		return nil
	}
	err := j.swap(ctx, func(s *State) { s.Holder = nil })
	j.held = j.held && err != nil
	return err
}

// swap replaces the object that was read. If the response is lost, the object is read again: if it has our content the write
// succeeded, even if by an earlier attempt.
func (j *Journal) swap(ctx context.Context, change func(*State)) error {
	err := j.replace(ctx, change)
	if errors.Is(err, errOurs) {
		return j.replace(ctx, change)
	}
	return err
}

// errOurs: an earlier write of ours created this object, so the change must be applied to it.
var errOurs = errors.New("an earlier write of ours was carried out")

func (j *Journal) replace(ctx context.Context, change func(*State)) error {
	next := j.copy()
	if next.Holder != nil {
		holder := *next.Holder
		next.Holder = &holder
	}
	change(&next)
	content, err := encode(&next)
	if err != nil {
		return err
	}
	etag, err := j.objects.Replace(ctx, j.key(), content, contentType, j.etag)
	switch {
	case err == nil:
		j.state, j.etag, j.unanswered = next, etag, nil
		return nil
	case !s3object.IsKind(err, s3object.Precondition) && !s3object.IsKind(err, s3object.NotFound):
		j.unanswered = append(j.unanswered, content)
		return fmt.Errorf("write journal %s: %w", j.Where(), err)
	}
	there, now, err := j.get(ctx, j.key())
	if err != nil { // the writer is unknown
		j.unanswered = append(j.unanswered, content)
		return err
	}
	ours := func(written []byte) bool { return bytes.Equal(there, written) }
	if now != "" && slices.ContainsFunc(j.unanswered, ours) {
		if earlier, err := decode(there); err == nil {
			j.state, j.etag, j.unanswered = *earlier, now, nil
			return errOurs
		}
	}
	if there != nil && now == j.etag {
		// Nobody wrote. The ETag that the store, or a compressing proxy, returns is not the one that it accepts.
		return &s3object.Error{Op: "replace what was read", Bucket: j.bucket, Key: j.key(), Kind: s3object.NoCAS,
			Message: fmt.Sprintf("the store refuses the ETag %q, which it gives for this very object", now)}
	}
	j.lost = j.held
	return ErrMoved
}

const contentType = "application/json"

// probe checks, with an object of its own, that the store honours both conditions.
func (j *Journal) probe(ctx context.Context) error {
	return j.objects.Probe(ctx, j.prefix+"probe", true)
}

// get reads an object. A missing object has an empty ETag.
func (j *Journal) get(ctx context.Context, key string) ([]byte, string, error) {
	found, err := j.objects.Read(ctx, key)
	if s3object.IsKind(err, s3object.NotFound) {
		return nil, "", nil
	}
	if err != nil {
		return nil, "", err
	}
	return found.Content, found.ETag, nil
}
