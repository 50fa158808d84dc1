package ledger

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// Folder keeps small records beside the versions, below <root>/<name>/. Each is written once. It
// is safe for concurrent use.
type Folder struct {
	ledger *Ledger
	base   string
}

// Beside is the folder of that name beside those of the versions.
func (l *Ledger) Beside(name string) *Folder { return &Folder{ledger: l, base: l.key(name) + "/"} }

// Where is the folder's address.
func (f *Folder) Where() string {
	return "s3://" + f.ledger.bucket + "/" + strings.TrimSuffix(f.base, "/")
}

// Create writes a record that must not exist. One that exists with other content is fs.ErrExist.
func (f *Folder) Create(ctx context.Context, name string, content []byte) error {
	_, err := f.ledger.objects.Create(ctx, f.base+name, content, "application/json")
	if IsKind(err, Precondition) {
		return fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	return err
}

// Read reads a record. A missing one is fs.ErrNotExist.
func (f *Folder) Read(ctx context.Context, name string) ([]byte, error) {
	found, err := f.ledger.objects.Read(ctx, f.base+name)
	if IsKind(err, NotFound) {
		return nil, errors.Join(fs.ErrNotExist, err)
	}
	if err != nil {
		return nil, err
	}
	return found.Content, nil
}

// List lists the names of the records that begin with prefix, in the order of the store.
func (f *Folder) List(ctx context.Context, prefix string) ([]string, error) {
	var names []string
	err := f.ledger.each(ctx, "list records (s3:ListBucket)", f.ledger.at(f.base+prefix), func(key string) error {
		names = append(names, strings.TrimPrefix(key, f.base))
		return nil
	})
	return names, err
}
