// Package ledger keeps the versions of a model in S3 so that a number is given out
// once and a version, once committed, never changes.
//
// The layout is the pipeline document's, with two records beside the model:
//
//	<root>/openstack-rca-system-<env>_<NNNN>/CLAIM.json                    who took the number
//	<root>/openstack-rca-system-<env>_<NNNN>/models/lstm_model_v<N>.keras  and side files
//	<root>/openstack-rca-system-<env>_<NNNN>/COMMIT.json                   written last
//	<root>/openstack-rca-system-<env>.keys/<idempotency key>.json          content -> number
//	<root>/openstack-rca-system-<env>.keys/SERIES.json                     whose folders these are
//	<root>/openstack-rca-system-<env>.keys/<idempotency key>-2.json        the same, after that number was abandoned
//
// COMMIT.json ends a number for ever: with the manifest, or with the note that the claim
// was abandoned. Whoever cleans up and a publisher that is only slow meet there, and one
// of them loses.
//
// All of them are written with If-None-Match: *, so that two publishers can meet at
// any point and neither overwrites the other. A store that ignores this header
// cannot keep the promise; Probe finds out before anything is claimed.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/openstack-rca/openstack-rca/ci/awsclock"
	"github.com/openstack-rca/openstack-rca/ci/s3object"
	"github.com/openstack-rca/openstack-rca/ci/stall"
)

// Clock is time as the ledger sees it.
type Clock interface {
	Now() time.Time
	Sleep(ctx context.Context, d time.Duration) error
}

// systemClock is the real time.
type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Options say where the ledger is and how to get there.
type Options struct {
	// Root is s3://bucket/prefix, the document's MLFLOW_ARTIFACT_ROOT.
	Root   string
	Series Series
	// Endpoint is the address of an S3 API other than AWS's own; empty for AWS.
	// With an endpoint, buckets are addressed by path.
	Endpoint string
	// PathStyle addresses buckets by path on AWS too.
	PathStyle bool
	Region    string
	// AccessKey, SecretKey and SessionToken are the credentials. Without them, and
	// with DefaultCredentials, AWS's default chain is used; without either, none.
	AccessKey, SecretKey, SessionToken string
	DefaultCredentials                 bool
	// Transport is the SDK's when nil.
	Transport http.RoundTripper
	Clock     Clock
	// Attempts is how often the SDK tries a call (8 when 0), MaxBackoff the longest
	// wait between two of them (20 s when 0).
	Attempts   int
	MaxBackoff time.Duration
	// AnswerTimeout is how long one attempt waits for an answer to begin once all of the
	// request is sent; 45 s when 0. A connection that went dead is then left for a new one.
	AnswerTimeout time.Duration
	// StallTimeout is how long reading an object waits for its next byte; stall.Limit when 0.
	StallTimeout time.Duration
	// PartSize is the size of the parts of a large upload and the size above which
	// an upload has parts; 16 MiB when 0, at least 5 MiB on AWS.
	PartSize int64
}

// Ledger is one series of versions in one store. It is safe for concurrent use.
type Ledger struct {
	opts           Options
	client         *s3.Client
	objects        *s3object.Store
	bucket, prefix string

	mu       sync.Mutex
	warnings []string
}

// Warnings are what went wrong without breaking a promise, such as parts of an
// earlier upload that could not be removed.
func (l *Ledger) Warnings() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.warnings)
}

func (l *Ledger) warn(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.warnings = append(l.warnings, err.Error())
}

// Open checks the options and makes a Ledger. Only DefaultCredentials make it talk
// to anyone (AWS's credential endpoints).
func Open(ctx context.Context, opts Options) (*Ledger, error) {
	bucket, prefix, err := ParseURI(opts.Root)
	if err != nil {
		return nil, err
	}
	if opts.Region == "" {
		return nil, errors.New("open ledger: no region is given")
	}
	if opts.PartSize == 0 {
		opts.PartSize = 16 << 20
	}
	if opts.Attempts == 0 {
		opts.Attempts = 8
	}
	if opts.MaxBackoff == 0 {
		opts.MaxBackoff = 20 * time.Second
	}
	if opts.AnswerTimeout == 0 {
		opts.AnswerTimeout = 45 * time.Second
	}
	if opts.StallTimeout == 0 {
		opts.StallTimeout = stall.Limit
	}
	if opts.Clock == nil {
		opts.Clock = systemClock{}
	}
	cfg := aws.Config{Region: opts.Region}
	switch {
	case opts.AccessKey != "" && opts.SecretKey != "":
		cfg.Credentials = credentials.NewStaticCredentialsProvider(opts.AccessKey, opts.SecretKey, opts.SessionToken)
	case opts.AccessKey != "" || opts.SecretKey != "":
		return nil, errors.New("open ledger: an access key needs its secret key and the other way round")
	case opts.DefaultCredentials:
		if cfg, err = awsconfig.LoadDefaultConfig(ctx, awsconfig.WithRegion(opts.Region)); err != nil {
			return nil, fmt.Errorf("load default AWS credentials: %w", err)
		}
	default:
		return nil, errors.New("open ledger: no AWS credentials are given")
	}
	client := s3.NewFromConfig(cfg, func(o *s3.Options) {
		s3object.Configure(o, opts.Endpoint, opts.PathStyle)
		o.Retryer = retry.NewAdaptiveMode(func(a *retry.AdaptiveModeOptions) {
			a.StandardOptions = append(a.StandardOptions, func(s *retry.StandardOptions) {
				s.MaxAttempts = opts.Attempts
				s.MaxBackoff = opts.MaxBackoff
			})
		})
		if opts.Transport != nil {
			o.HTTPClient = &http.Client{Transport: opts.Transport}
		} else {
			o.HTTPClient = awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) {
				t.ResponseHeaderTimeout = opts.AnswerTimeout
				t.IdleConnTimeout = idleTimeout
			})
		}
	})
	return &Ledger{opts: opts, client: client, objects: s3object.New(client, opts.Clock, bucket), bucket: bucket, prefix: prefix}, nil
}

// key is the object key of a path below the root.
func (l *Ledger) key(path string) string {
	if l.prefix == "" {
		return path
	}
	return l.prefix + "/" + path
}

// inVersion is the object key of a path in version n's folder.
func (l *Ledger) inVersion(n int, path string) string {
	return l.key(l.opts.Series.Folder(n) + "/" + path)
}

// URI is the address of a path in version n's folder.
func (l *Ledger) URI(n int, path string) string {
	return "s3://" + l.bucket + "/" + l.inVersion(n, path)
}

// Folder is the address of version n's folder.
func (l *Ledger) Folder(n int) string { return strings.TrimSuffix(l.URI(n, ""), "/") }

// Probe finds out whether the store honours conditional writes: of two conditional
// writes of one key the second must be refused. The key stays, so that one request
// is enough from then on. A store that ignores or refuses them is NoCAS.
func (l *Ledger) Probe(ctx context.Context) error {
	return l.objects.Probe(ctx, l.key(l.opts.Series.App+".probe"), false)
}

// Clock is this machine's clock compared with the store's.
func (l *Ledger) Clock() *awsclock.Clock { return l.objects.Clock() }

// Entry is a folder of the series.
type Entry struct {
	Number int
	// Claimed and Committed say which records it holds. A folder with neither was
	// made by something else; its number is taken all the same.
	// Committed means that COMMIT.json is there; it may say that the number was abandoned.
	Claimed, Committed bool
	// Files counts the objects beside the two records.
	Files int
}

// State is what a listing of the series found.
type State struct {
	// Entries are the folders, by number, ascending.
	Entries []Entry
	// Ignored counts keys that are not of the series although their names begin like it.
	Ignored int
}

// Next is the lowest number above all that are taken.
func (s *State) Next() int {
	if len(s.Entries) == 0 {
		return 1
	}
	return s.Entries[len(s.Entries)-1].Number + 1
}

// Open returns the numbers that are claimed and neither committed nor abandoned, ascending.
func (s *State) Open() []int {
	var open []int
	for _, e := range s.Entries {
		if e.Claimed && !e.Committed {
			open = append(open, e.Number)
		}
	}
	return open
}

// Scan lists the series, all pages of it.
func (l *Ledger) Scan(ctx context.Context) (*State, error) {
	state := &State{}
	found := map[int]*Entry{}
	base := l.key("")
	err := l.each(ctx, "list versions (s3:ListBucket)", base+l.opts.Series.prefix(), func(object string) error {
		folder, path, inFolder := strings.Cut(strings.TrimPrefix(object, base), "/")
		n, ok := l.opts.Series.number(folder)
		if !ok || !inFolder {
			state.Ignored++
			return nil
		}
		entry := found[n]
		if entry == nil {
			entry = &Entry{Number: n}
			found[n] = entry
		}
		switch path {
		case claimName:
			entry.Claimed = true
		case commitName:
			entry.Committed = true
		default:
			entry.Files++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, entry := range found {
		state.Entries = append(state.Entries, *entry)
	}
	slices.SortFunc(state.Entries, func(a, b Entry) int { return a.Number - b.Number })
	return state, nil
}

// maxPages bounds a listing: ten million keys.
const maxPages = 10_000

// each calls f for every key with a prefix. A listing that comes back to a page it has
// shown, or does not end, is TooLong: half of a listing must not be taken for all of it.
func (l *Ledger) each(ctx context.Context, op, prefix string, f func(key string) error) error {
	seen := map[string]bool{}
	in := s3.ListObjectsV2Input{Bucket: aws.String(l.bucket), Prefix: aws.String(prefix)}
	for {
		page, err := call(ctx, func(ctx context.Context) (*s3.ListObjectsV2Output, error) { return l.client.ListObjectsV2(ctx, &in) })
		if err != nil {
			return s3object.Wrap(op, l.bucket, prefix, err)
		}
		l.objects.Clock().See(page.ResultMetadata, nil)
		for _, object := range page.Contents {
			if err := f(aws.ToString(object.Key)); err != nil {
				return err
			}
		}
		if !aws.ToBool(page.IsTruncated) {
			return nil
		}
		in.ContinuationToken = page.NextContinuationToken
		next := aws.ToString(in.ContinuationToken)
		if next == "" || seen[next] || len(seen) == maxPages {
			return &Error{Op: op, Bucket: l.bucket, Key: prefix, Kind: TooLong,
				Message: fmt.Sprintf("after %d pages the listing begins again or does not end", len(seen)+1)}
		}
		seen[next] = true
	}
}

// Newest returns the manifest of the highest committed version above a number, nil when
// there is none.
func (l *Ledger) Newest(ctx context.Context, state *State, above int) (*Commit, error) {
	for _, e := range slices.Backward(state.Entries) {
		if e.Number <= above {
			break
		}
		if !e.Committed {
			continue
		}
		commit, err := l.ReadCommit(ctx, e.Number)
		if !IsKind(err, Abandoned) {
			return commit, err
		}
	}
	return nil, nil
}

// Found is where content stands.
type Found struct {
	// Number is the number that the content has; 0 for none.
	Number int
	// Commit is the manifest, when the number is committed.
	Commit *Commit
	// Turn counts the numbers that were given to this content, from 1. It grows when
	// one is abandoned.
	Turn int
}

// Find says where the content with this idempotency key stands: by its pointer or, when a
// publisher died between claim and pointer, by an open claim.
func (l *Ledger) Find(ctx context.Context, key string, state *State) (Found, error) {
	found := Found{}
	for found.Turn = 1; ; found.Turn++ {
		n, err := l.pointed(ctx, key, found.Turn)
		if err != nil {
			return found, err
		}
		if n == 0 {
			break
		}
		commit, err := l.ReadCommit(ctx, n)
		switch {
		case err == nil, IsKind(err, NotFound):
			found.Number, found.Commit = n, commit
			return found, nil
		case !IsKind(err, Abandoned):
			return found, err
		}
	}
	for _, open := range state.Open() {
		claim, err := l.ReadClaim(ctx, open)
		if err != nil {
			return found, err
		}
		if claim.Key == key {
			found.Number = open
			break
		}
	}
	return found, nil
}

// Own makes sure that the series belongs to this application and environment, and takes
// it when it belongs to nobody. The folders' names alone do not tell: name rca with
// environment prod-eu reads like name rca-prod with environment eu. A series of another
// one is Taken.
func (l *Ledger) Own(ctx context.Context, state *State) error {
	ours := owner{Schema: schema, App: l.opts.Series.App, Environment: l.opts.Series.Environment}
	err := l.owned(ctx, ours)
	if !IsKind(err, NotFound) {
		return err
	}
	// A version of a program that wrote no such record names its environment.
	newest, err := l.Newest(ctx, state, 0)
	if err != nil && !IsKind(err, Unreadable) { // a damaged one names nobody
		return err
	}
	if newest != nil && newest.Environment != ours.Environment {
		return l.taken(owner{Environment: newest.Environment, App: "an application"})
	}
	body, err := encode(ours)
	if err != nil {
		return err
	}
	if err := l.create(ctx, l.ownerKey(), body); !IsKind(err, Precondition) {
		return err
	}
	return l.owned(ctx, ours)
}

// CheckOwner is Own for those who only read or move aliases: it writes nothing, and a
// series that nobody has taken yet is nobody else's.
func (l *Ledger) CheckOwner(ctx context.Context) error {
	err := l.owned(ctx, owner{App: l.opts.Series.App, Environment: l.opts.Series.Environment})
	if IsKind(err, NotFound) {
		return nil
	}
	return err
}

// owned reads who keeps the series: nil for us, Taken for another, NotFound for nobody.
func (l *Ledger) owned(ctx context.Context, ours owner) error {
	var found owner
	if _, err := l.read(ctx, l.ownerKey(), &found); err != nil {
		return err
	}
	if found.App != ours.App || found.Environment != ours.Environment {
		return l.taken(found)
	}
	return nil
}

func (l *Ledger) taken(by owner) error {
	return &Error{Op: "take series", Bucket: l.bucket, Key: l.key(l.opts.Series.prefix()), Kind: Taken,
		Message: fmt.Sprintf("the versions there are those of %s in environment %s, not of %s in %s", by.App, by.Environment, l.opts.Series.App, l.opts.Series.Environment)}
}

func (l *Ledger) ownerKey() string {
	return l.key(l.opts.Series.App + "-" + l.opts.Series.Environment + ".keys/SERIES.json")
}

func (l *Ledger) pointerKey(key string, turn int) string {
	name := key
	if turn > 1 {
		name = fmt.Sprintf("%s-%d", key, turn)
	}
	return l.key(l.opts.Series.App + "-" + l.opts.Series.Environment + ".keys/" + name + ".json")
}

// pointed reads a pointer of a key; 0 for none.
func (l *Ledger) pointed(ctx context.Context, key string, turn int) (int, error) {
	var p pointer
	at := l.pointerKey(key, turn)
	_, err := l.read(ctx, at, &p)
	if IsKind(err, NotFound) {
		return 0, nil
	}
	if err == nil && (p.Key != key || p.Number < 1) {
		err = &Error{Op: "read record", Bucket: l.bucket, Key: at, Kind: Unreadable,
			Message: "it points elsewhere than its name says"}
	}
	return p.Number, err
}

// Take claims the lowest free number from first on for the claim's content and
// returns it. When a publisher of the same content claimed a number meanwhile, that
// number is returned: the work is the same.
func (l *Ledger) Take(ctx context.Context, claim Claim, first int) (int, error) {
	claim.Schema = schema
	for n := first; ; n++ {
		claim.Number = n
		body, err := encode(claim)
		if err != nil {
			return 0, err
		}
		key := l.inVersion(n, claimName)
		err = l.create(ctx, key, body)
		if err == nil {
			return n, nil
		}
		if !IsKind(err, Precondition) {
			return 0, err
		}
		// The number is taken: by us, if the answer to an earlier attempt was lost.
		held, err := l.ReadClaim(ctx, n)
		if err != nil {
			return 0, err
		}
		if held.Key == claim.Key {
			return n, nil
		}
	}
}

// Point writes the pointer from a key to its number, in the turn that Find named. When
// another publisher of the same content was first, its number is returned instead and holds.
func (l *Ledger) Point(ctx context.Context, key string, turn, n int) (int, error) {
	body, err := encode(pointer{Schema: schema, Number: n, Key: key})
	if err != nil {
		return 0, err
	}
	err = l.create(ctx, l.pointerKey(key, turn), body)
	if IsKind(err, Precondition) {
		return l.pointed(ctx, key, turn)
	}
	return n, err
}

// ReadClaim reads the claim of version n, with its age by the store's clock.
func (l *Ledger) ReadClaim(ctx context.Context, n int) (*Claim, error) {
	var claim Claim
	object, err := l.read(ctx, l.inVersion(n, claimName), &claim)
	if err != nil {
		return nil, err
	}
	claim.Age, claim.Aged = object.Age()
	return &claim, nil
}

// ReadCommit reads the manifest of version n; NotFound when it is not committed,
// Abandoned when it never will be.
func (l *Ledger) ReadCommit(ctx context.Context, n int) (*Commit, error) {
	key := l.inVersion(n, commitName)
	var commit Commit
	if _, err := l.read(ctx, key, &commit); err != nil {
		return nil, err
	}
	if commit.Number == n && commit.Abandoned != nil {
		return nil, &Error{Op: "read record", Bucket: l.bucket, Key: key, Kind: Abandoned,
			Message: "since " + commit.Abandoned.At.Format(time.RFC3339)}
	}
	if commit.Number != n || commit.ModelFile() == nil {
		return nil, &Error{Op: "read record", Bucket: l.bucket, Key: key, Kind: Unreadable, Message: "it is not the manifest of its folder"}
	}
	return &commit, nil
}

// Commit writes the manifest of a version, which makes the version real, and returns
// the manifest that holds: the one given, or that of another publisher of the same
// content who was first. Another content's manifest there is a Conflict.
func (l *Ledger) Commit(ctx context.Context, commit Commit) (*Commit, error) {
	commit.Schema = schema
	body, err := encode(commit)
	if err != nil {
		return nil, err
	}
	key := l.inVersion(commit.Number, commitName)
	err = l.create(ctx, key, body)
	if err == nil {
		return &commit, nil
	}
	if !IsKind(err, Precondition) {
		return nil, err
	}
	held, err := l.ReadCommit(ctx, commit.Number)
	if err != nil {
		return nil, err
	}
	ours, theirs := commit.ModelFile(), held.ModelFile()
	if held.Key != commit.Key || ours == nil || ours.SHA256 != theirs.SHA256 {
		return nil, &Error{Op: "commit version", Bucket: l.bucket, Key: key, Kind: Conflict,
			Message: fmt.Sprintf("it is committed with model sha256 %s", theirs.SHA256)}
	}
	return held, nil
}

// Abandon ends an open claim for ever: the number is neither committed nor given out
// again. A version that is committed already is a Conflict and stays.
func (l *Ledger) Abandon(ctx context.Context, claim Claim, at time.Time) error {
	body, err := encode(Commit{Schema: schema, Number: claim.Number, Key: claim.Key, Commit: claim.Commit, Tree: claim.Tree, Abandoned: &Abandonment{At: at.UTC()}})
	if err != nil {
		return err
	}
	key := l.inVersion(claim.Number, commitName)
	err = l.create(ctx, key, body)
	if !IsKind(err, Precondition) {
		return err
	}
	_, err = l.ReadCommit(ctx, claim.Number)
	switch {
	case IsKind(err, Abandoned):
		return nil
	case err != nil:
		return err
	}
	return &Error{Op: "abandon claim", Bucket: l.bucket, Key: key, Kind: Conflict, Message: "it is committed"}
}

// Discard removes the files of an abandoned number, its records excepted, and what is
// left of its uploads. It returns the addresses of what it removed.
func (l *Ledger) Discard(ctx context.Context, n int) ([]string, error) {
	if _, err := l.ReadCommit(ctx, n); !IsKind(err, Abandoned) {
		if err == nil {
			err = &Error{Op: "discard files", Bucket: l.bucket, Key: l.inVersion(n, commitName), Kind: Conflict, Message: "it is committed"}
		}
		return nil, err
	}
	var removed []string
	prefix := l.inVersion(n, "")
	err := l.each(ctx, "list files (s3:ListBucket)", prefix, func(key string) error {
		if key == prefix+claimName || key == prefix+commitName {
			return nil
		}
		_, err := call(ctx, func(ctx context.Context) (*s3.DeleteObjectOutput, error) {
			return l.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(l.bucket), Key: aws.String(key)})
		})
		if err = s3object.Wrap("remove file (s3:DeleteObject)", l.bucket, key, err); err != nil && !IsKind(err, NotFound) {
			return err
		}
		removed = append(removed, "s3://"+l.bucket+"/"+key)
		return nil
	})
	if err != nil {
		return removed, err
	}
	l.abortIn(ctx, l.bucket, prefix, func(string) bool { return true })
	return removed, nil
}

// create writes a record that must not exist, and reads it back: Precondition when
// another one is there, Lost when the store did not keep it.
func (l *Ledger) create(ctx context.Context, key string, body []byte) error {
	return l.objects.Keep(ctx, key, body, "application/json")
}

// read gets a record.
func (l *Ledger) read(ctx context.Context, key string, record any) (*s3object.Object, error) {
	object, err := l.objects.Read(ctx, key)
	if err != nil {
		return nil, err
	}
	if err := decode(key, object.Content, record); err != nil {
		var e *Error
		if errors.As(err, &e) {
			e.Bucket = l.bucket
		}
		return nil, err
	}
	return object, nil
}

// idleTimeout is how long a connection is kept for the next request. A server may close it
// after two seconds, and tunnels (a Dagger service of the host) do not always hand that on.
const idleTimeout = time.Second

// call runs a small operation within s3object.CallTimeout.
func call[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s3object.CallTimeout)
	defer cancel()
	return f(ctx)
}
