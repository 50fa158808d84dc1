package runledger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"
)

// Store keeps the records: ledger.Folder in S3, or Dir. Names are slash-separated paths.
type Store interface {
	// Create writes what must not exist; else it is fs.ErrExist.
	Create(ctx context.Context, name string, content []byte) error
	// Read reads a record; a missing one is fs.ErrNotExist.
	Read(ctx context.Context, name string) ([]byte, error)
	// List lists the names that begin with prefix.
	List(ctx context.Context, prefix string) ([]string, error)
	// Where is the address, for messages.
	Where() string
}

// FolderOf is the name of the folder of an application's records.
func FolderOf(app string) string { return app + ".runs" }

// Ledger is the record of the runs of one environment. It is safe for concurrent use.
type Ledger struct {
	store       Store
	environment string
}

// Open is the ledger of an environment in a store of one application; it calls nothing.
func Open(store Store, environment string) *Ledger { return &Ledger{store, environment} }

// Where is the address of the ledger.
func (l *Ledger) Where() string { return l.store.Where() + "/" + l.environment }

const (
	// readers is how many records are read at a time.
	readers = 16
	// settled is how long after its end a month takes no further records: a run that began on its
	// last day has ended by then.
	settled = 48 * time.Hour
	// maxRollup bounds the file of a month, in bytes; a larger one is not written.
	maxRollup = 4 << 20
)

// Write writes the record of a run, and the file of the month before, if that has ended and has
// none. It is idempotent for the same record.
func (l *Ledger) Write(ctx context.Context, r Record) error {
	content, err := r.encode()
	if err != nil {
		return err
	}
	if err := l.store.Create(ctx, l.environment+"/"+r.name(), content); err != nil {
		return fmt.Errorf("write record: %w", err)
	}
	if at := r.Started.UTC(); at.Sub(monthOf(at)) > settled {
		if err := l.rollUp(ctx, monthOf(at).AddDate(0, -1, 0)); err != nil {
			return fmt.Errorf("the record is written, and the file of the month before is not: %w", err)
		}
	}
	return nil
}

// monthOf is the beginning of the month of a time.
func monthOf(at time.Time) time.Time {
	at = at.UTC()
	return time.Date(at.Year(), at.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// rollup is the file of a month.
type rollup struct {
	Schema  int      `json:"schema"`
	Month   string   `json:"month"`
	Records []Record `json:"records"`
}

func (l *Ledger) rollupName(month time.Time) string {
	return l.environment + month.Format("/2006/01.json")
}

// rollUp writes the file of a month. A month with a record that cannot be read gets none: a later
// version may be able to read it.
func (l *Ledger) rollUp(ctx context.Context, month time.Time) error {
	name := l.rollupName(month)
	if _, err := l.store.Read(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	h, err := l.singles(ctx, month, month, month.AddDate(0, 1, 0))
	if err != nil || len(h.Unreadable) > 0 || len(h.Records) == 0 {
		return err
	}
	content, err := json.Marshal(rollup{Schema, month.Format("2006-01"), h.Records})
	if err != nil {
		return fmt.Errorf("encode month: %w", err)
	}
	if len(content) > maxRollup {
		return nil
	}
	if err := l.store.Create(ctx, name, content); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write month: %w", err)
	}
	return nil
}

// History is what was read.
type History struct {
	// Records are the runs, the oldest first, each once.
	Records []Record
	// Unreadable are the names of records that could not be read, with the reason.
	Unreadable []string
	// Duplicates counts records that were there more than once.
	Duplicates int
}

// Read reads the runs that began in [since, until). An error means that nothing is known; a
// record that cannot be read does not keep the others from being read.
func (l *Ledger) Read(ctx context.Context, since, until time.Time) (History, error) {
	var all History
	for month := monthOf(since); month.Before(until); month = month.AddDate(0, 1, 0) {
		h, err := l.month(ctx, month, since, until)
		if err != nil {
			return History{}, err
		}
		all.Records = append(all.Records, h.Records...)
		all.Unreadable = append(all.Unreadable, h.Unreadable...)
	}
	all.sort()
	return all, nil
}

// month reads a month's own file, or its records.
func (l *Ledger) month(ctx context.Context, month, since, until time.Time) (History, error) {
	content, err := l.store.Read(ctx, l.rollupName(month))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return History{}, fmt.Errorf("read month: %w", err)
	}
	var whole rollup
	usable := err == nil && json.Unmarshal(content, &whole) == nil && whole.Schema == Schema && whole.Month == month.Format("2006-01")
	for i := range whole.Records {
		r := &whole.Records[i]
		usable = usable && r.Schema == Schema && r.check() == nil && r.Environment == l.environment
	}
	if !usable {
		return l.singles(ctx, month, since, until) // it is only derived
	}
	var h History
	for _, r := range whole.Records {
		if !r.Started.Before(since) && r.Started.Before(until) {
			h.Records = append(h.Records, r)
		}
	}
	return h, nil
}

// singles reads the records of a month one by one.
func (l *Ledger) singles(ctx context.Context, month, since, until time.Time) (History, error) {
	names, err := l.store.List(ctx, l.environment+month.Format("/2006/01/"))
	if err != nil {
		return History{}, fmt.Errorf("list records: %w", err)
	}
	var wanted, unreadable []string
	for _, name := range names {
		short := strings.TrimPrefix(name, l.environment+"/")
		at, ok := named(short)
		switch {
		case !ok:
			unreadable = append(unreadable, short+": it has no name of a record")
		case !at.Before(since.Truncate(time.Second)) && at.Before(until):
			wanted = append(wanted, short)
		}
	}
	records, failures := make([]*Record, len(wanted)), make([]string, len(wanted))
	errs := make([]error, len(wanted))
	var group sync.WaitGroup
	room := make(chan struct{}, readers)
	for i, name := range wanted {
		room <- struct{}{}
		group.Go(func() {
			defer func() { <-room }()
			content, err := l.store.Read(ctx, l.environment+"/"+name)
			if err != nil {
				errs[i] = fmt.Errorf("read record %s: %w", name, err)
				return
			}
			r, err := decode(content)
			if err == nil && r.Environment != l.environment {
				err = fmt.Errorf("it is of the environment %q", r.Environment)
			}
			if err != nil {
				failures[i] = name + ": " + err.Error()
				return
			}
			records[i] = &r
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		return History{}, err
	}
	h := History{Unreadable: unreadable}
	for i := range wanted {
		switch r := records[i]; {
		case r == nil:
			h.Unreadable = append(h.Unreadable, failures[i])
		case !r.Started.Before(since) && r.Started.Before(until):
			h.Records = append(h.Records, *r)
		}
	}
	h.sort()
	return h, nil
}

// sort puts the records in order and removes repetitions.
func (h *History) sort() {
	h.Records, h.Duplicates = Sorted(h.Records)
	slices.Sort(h.Unreadable)
}

// Sorted returns the records by their start, each once, and how many were repetitions. Of records
// with the same ID the one that began first counts.
func Sorted(records []Record) (sorted []Record, duplicates int) {
	all := slices.Clone(records)
	slices.SortStableFunc(all, func(a, b Record) int {
		if n := a.Started.Compare(b.Started); n != 0 {
			return n
		}
		return strings.Compare(a.ID, b.ID)
	})
	seen := map[string]bool{}
	for _, r := range all {
		if seen[r.ID] {
			duplicates++
			continue
		}
		seen[r.ID] = true
		sorted = append(sorted, r)
	}
	return sorted, duplicates
}

// Last reads the newest runs that began before a time: at most n, of that month and the one before.
func (l *Ledger) Last(ctx context.Context, n int, before time.Time) (History, error) {
	var all History
	for month := monthOf(before); len(all.Records) < n && !month.Before(monthOf(before).AddDate(0, -1, 0)); month = month.AddDate(0, -1, 0) {
		names, err := l.store.List(ctx, l.environment+month.Format("/2006/01/"))
		if err != nil {
			return History{}, fmt.Errorf("list records: %w", err)
		}
		var starts []time.Time
		for _, name := range names {
			if at, ok := named(strings.TrimPrefix(name, l.environment+"/")); ok && at.Before(before) {
				starts = append(starts, at)
			}
		}
		slices.SortFunc(starts, time.Time.Compare)
		if len(starts) == 0 {
			continue
		}
		h, err := l.singles(ctx, month, starts[max(0, len(starts)-(n-len(all.Records)))], before)
		if err != nil {
			return History{}, err
		}
		all.Records, all.Unreadable = append(all.Records, h.Records...), append(all.Unreadable, h.Unreadable...)
	}
	all.sort()
	all.Records = all.Records[max(0, len(all.Records)-n):]
	return all, nil
}
