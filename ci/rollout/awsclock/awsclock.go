// Package awsclock tells the time of AWS and the time that passes, on a machine whose own
// clock may be wrong.
//
// Nothing that AWS stamped may be compared with this machine's clock: a machine that slept,
// or the virtual machine of a container engine, is minutes off without anybody noticing, as
// the SDK signs its calls with the server's time after the first answer. Every answer carries
// a Date, from which the difference is measured here.
package awsclock

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"sync"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Base is this machine's clock.
type Base interface {
	Now() time.Time
	// Sleep waits, or returns the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

const (
	// resolution is how exactly a difference can be measured: a Date has whole seconds, and an
	// answer takes time to arrive. Smaller ones are ignored.
	resolution = 2 * time.Second
	// Tolerated is the difference above which a clock is worth a warning.
	Tolerated = 5 * time.Second
)

// Clock is this machine's clock held against one server's. It is safe for concurrent use.
type Clock struct {
	base Base

	mu sync.Mutex
	// first and ahead are by how much the server is ahead of this machine, at the first
	// measurement and at the last one; worst is the largest of all.
	first, ahead, worst time.Duration
	measured            bool
}

// Of is a clock for answers of AWS; base itself when it is one already.
func Of(base Base) *Clock {
	if c, is := base.(*Clock); is {
		return c
	}
	return &Clock{base: base}
}

// Apart is a clock of the same machine for the answers of another server, such as a store of
// objects. Until that has answered, it goes by what is known of AWS.
func Apart(base Base) *Clock {
	known, is := base.(*Clock)
	if !is {
		return &Clock{base: base}
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	return &Clock{base: known.base, first: known.ahead, ahead: known.ahead}
}

// Now is for what passes: the difference of two of its times is the time between them, also
// where this machine's clock was set anew in between and the server has answered since. It
// is not to be compared with anything that a server stamped.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Now().Add(c.ahead - c.first)
}

// Server is the server's time, as far as it has answered: for all that it stamped, and all
// that other machines will read. It carries no monotonic reading.
func (c *Clock) Server() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Now().Round(0).Add(c.ahead)
}

// Sleep waits, or returns the context's error when that ends first.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error { return c.base.Sleep(ctx, d) }

// See measures by the Date of an answer: by the metadata of one without an error, and else
// by the error. What carries no Date changes nothing.
func (c *Clock) See(answer middleware.Metadata, err error) {
	if err == nil {
		if date, dated := awsmiddleware.GetServerTime(answer); dated {
			c.At(date)
		}
		return
	}
	var refused *smithyhttp.ResponseError
	if errors.As(err, &refused) && refused.Response != nil && refused.Response.Response != nil {
		if date, parsed := http.ParseTime(refused.Response.Header.Get("Date")); parsed == nil {
			c.At(date)
		}
	}
}

// See measures by what a client's call returned: all outputs of the SDK hold the metadata of
// their answer in the same member.
func See[Output any](c *Clock, out *Output, err error) {
	var answer middleware.Metadata
	if out != nil {
		if field := reflect.ValueOf(out).Elem().FieldByName("ResultMetadata"); field.IsValid() {
			answer, _ = field.Interface().(middleware.Metadata)
		}
	}
	c.See(answer, err)
}

// At measures by the time that the server has said it is now.
func (c *Clock) At(date time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ahead := date.Sub(c.base.Now().Round(0))
	if first := !c.measured; (ahead - c.ahead).Abs() > resolution {
		c.ahead = ahead
		if first {
			c.first = ahead
		}
	}
	c.measured = true
	if c.ahead.Abs() > c.worst.Abs() {
		c.worst = c.ahead
	}
}

// Ahead is by how much the server's time was ahead of this machine's at most, negative when
// it was behind, and whether any answer said.
func (c *Clock) Ahead() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worst, c.measured
}

// Measured says that an answer of the server had a date.
func (c *Clock) Measured() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.measured
}

// Wrong says in words by how much this machine's clock is wrong; empty within Tolerated.
func (c *Clock) Wrong() string { return Words(firstOf(c.Ahead())) }

func firstOf(d time.Duration, _ bool) time.Duration { return d }

// Words say by how much a machine's clock differs from a server's that is ahead of it by a
// duration; empty within Tolerated.
func Words(ahead time.Duration) string {
	switch {
	case ahead.Abs() <= Tolerated:
		return ""
	case ahead > 0:
		return "this machine's clock is " + ahead.Round(time.Second).String() + " behind"
	default:
		return "this machine's clock is " + (-ahead).Round(time.Second).String() + " ahead"
	}
}
