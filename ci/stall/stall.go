// Package stall ends transfers that stand still. A limit on the whole transfer must allow for large files and slow
// networks, so that a connection that went dead would hold the run for all of it.
package stall

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"
)

// Limit is how long a transfer may wait for the next byte.
const Limit = time.Minute

// Error is a transfer that stood still.
type Error struct {
	// After is the limit without a byte that was reached.
	After time.Duration
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("no byte came for %s", e.After) }

// Reader reads from body. When a read waits longer than limit, cancel is called and the read fails with an *Error;
// cancel must make a pending read of body return, as that of an HTTP request's context does. The time between reads
// does not count: a slow writer is no dead connection.
func Reader(body io.Reader, limit time.Duration, cancel context.CancelFunc) io.Reader {
	return &reader{body: body, limit: limit, cancel: cancel}
}

type reader struct {
	body    io.Reader
	limit   time.Duration
	cancel  context.CancelFunc
	stalled atomic.Bool
}

func (r *reader) Read(p []byte) (int, error) {
	timer := time.AfterFunc(r.limit, func() {
		r.stalled.Store(true)
		r.cancel()
	})
	n, err := r.body.Read(p)
	timer.Stop()
	if err != nil && err != io.EOF && r.stalled.Load() {
		return n, &Error{After: r.limit}
	}
	return n, err
}
