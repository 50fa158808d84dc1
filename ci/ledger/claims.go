package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/s3object"
)

// pointed reads a pointer of a key; 0 for none.
func (l *Ledger) pointed(ctx context.Context, key string, turn int) (int, error) {
	var p pointer
	at := l.pointerKey(key, turn)
	_, err := l.read(ctx, at, &p)
	if IsKind(err, NotFound) {
		return 0, nil
	}
	if err == nil && (p.Key != key || p.Number < 1) {
		err = l.at(at).fail("read record", Unreadable, "it points elsewhere than its name says")
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
		return nil, l.at(key).fail("read record", Abandoned, "since "+commit.Abandoned.At.Format(time.RFC3339))
	}
	if commit.Number != n || commit.ModelFile() == nil {
		return nil, l.at(key).fail("read record", Unreadable, "it is not the manifest of its folder")
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
		return nil, l.at(key).fail("commit version", Conflict, fmt.Sprintf("it is committed with model sha256 %s", theirs.SHA256))
	}
	return held, nil
}

// Abandon ends an open claim for good: the number is neither committed nor given out
// again. A version that is committed already is a Conflict and stays.
func (l *Ledger) Abandon(ctx context.Context, claim Claim, at time.Time) error {
	body, err := encode(Commit{Schema: schema, Number: claim.Number, Key: claim.Key, Commit: claim.Commit, Tree: claim.Tree,
		Abandoned: &Abandonment{At: at.UTC()}})
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
	return l.at(key).fail("abandon claim", Conflict, "it is committed")
}

// Discard removes the files of an abandoned number, its records excepted, and what is
// left of its uploads. It returns the addresses of what it removed.
func (l *Ledger) Discard(ctx context.Context, n int) ([]string, error) {
	if _, err := l.ReadCommit(ctx, n); !IsKind(err, Abandoned) {
		if err == nil {
			err = l.at(l.inVersion(n, commitName)).fail("discard files", Conflict, "it is committed")
		}
		return nil, err
	}
	var removed []string
	prefix := l.inVersion(n, "")
	err := l.each(ctx, "list files (s3:ListBucket)", l.at(prefix), func(key string) error {
		if key == prefix+claimName || key == prefix+commitName {
			return nil
		}
		removing, cancel := context.WithTimeout(ctx, s3object.CallTimeout)
		defer cancel()
		err := l.at(key).wrap("remove file (s3:DeleteObject)", l.client.DeleteObject(removing, l.bucket, key))
		if err != nil && !IsKind(err, NotFound) {
			return err
		}
		removed = append(removed, "s3://"+l.bucket+"/"+key)
		return nil
	})
	if err != nil {
		return removed, err
	}
	l.abortIn(ctx, l.at(prefix), func(string) bool { return true })
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
