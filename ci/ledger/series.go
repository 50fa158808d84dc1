package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Entry is a folder of the series.
type Entry struct {
	Number int
	// Claimed and Committed say which records it holds. A folder with neither was
	// made by something else; its number is taken all the same.
	// Committed means that COMMIT.json is there; it may record that the number was abandoned.
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
	err := l.each(ctx, "list versions (s3:ListBucket)", l.at(base+l.prefix()), func(object string) error {
		folder, path, inFolder := strings.Cut(strings.TrimPrefix(object, base), "/")
		n, ok := l.number(folder)
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
	ours := owner{Schema: schema, App: l.App, Environment: l.Environment}
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
	err := l.owned(ctx, owner{App: l.App, Environment: l.Environment})
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
	return l.at(l.key(l.prefix())).fail("take series", Taken, fmt.Sprintf("the versions there are those of %s in environment %s, not of %s "+
		"in %s", by.App, by.Environment, l.App, l.Environment))
}
