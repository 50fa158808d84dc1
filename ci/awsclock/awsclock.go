// Package awsclock compares this machine's clock with a server's: it tells the server's time
// and the time that has passed, on a machine whose own clock may be wrong.
//
// A time that AWS or an S3 store recorded is never compared with this machine's clock. A
// machine that slept, or the virtual machine of a container engine, is often minutes off,
// and nobody notices: the SDK signs its calls with the server's time after the first answer.
// Every answer has a Date header, from which the difference is measured here.
package awsclock

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"sync"
	"time"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/openstack-rca/openstack-rca/ci/clock"
)

const (
	// resolution is the smallest difference that can be measured: a Date has whole seconds, and
	// an answer takes time to arrive. Smaller ones are ignored.
	resolution = 2 * time.Second
	// Tolerated is the largest difference without a warning.
	Tolerated = 5 * time.Second
)

// Clock is this machine's clock compared with one server's. It is safe for concurrent use.
type Clock struct {
	base clock.Clock

	mu sync.Mutex
	// first and ahead are by how much the server is ahead of this machine, by the first and
	// the last measurement; worst is the largest of all in size.
	first, ahead, worst time.Duration
	measured            bool
}

// Of returns a clock for the answers of a server; base itself when it is a *Clock already.
func Of(base clock.Clock) *Clock {
	if c, is := base.(*Clock); is {
		return c
	}
	return &Clock{base: base}
}

// Apart returns a clock of the same machine for the answers of another server, such as an S3
// store. Until that server has answered, it uses what base has measured.
func Apart(base clock.Clock) *Clock {
	known, is := base.(*Clock)
	if !is {
		return &Clock{base: base}
	}
	known.mu.Lock()
	defer known.mu.Unlock()
	return &Clock{base: known.base, first: known.ahead, ahead: known.ahead}
}

// Now is for measuring durations: the difference of two of its times is the time that passed,
// even if this machine's clock was changed in between and the server has answered since.
// Never compare it with a time that a server recorded; that is what Server is for.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Now().Add(c.ahead - c.first)
}

// Server is the server's current time, or this machine's before the first answer. Use it for
// times that the server recorded or that other machines will read. It carries no monotonic
// reading.
func (c *Clock) Server() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base.Now().Round(0).Add(c.ahead)
}

// Sleep waits, or returns the context's error when that ends first.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error { return c.base.Sleep(ctx, d) }

// See takes a measurement from the Date of an answer: from its metadata, or from the error if
// there is one. An answer without a Date changes nothing.
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

// See takes a measurement from what a call of an SDK client returned: every output has the
// metadata of its answer in the field ResultMetadata.
func See[Output any](c *Clock, out *Output, err error) {
	var answer middleware.Metadata
	if out != nil {
		if field := reflect.ValueOf(out).Elem().FieldByName("ResultMetadata"); field.IsValid() {
			answer, _ = field.Interface().(middleware.Metadata)
		}
	}
	c.See(answer, err)
}

// At takes a measurement: date is the server's current time.
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
// it was behind. The second value is false before the first measurement.
func (c *Clock) Ahead() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.worst, c.measured
}

// Measured reports whether any answer of the server had a Date.
func (c *Clock) Measured() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.measured
}

// Skew describes by how much this machine's clock differed at most from that of a server,
// whose name is a possessive ("AWS's"): see Skew. It is empty before any answer.
func (c *Clock) Skew(whose string) string {
	ahead, _ := c.Ahead()
	return Skew(ahead, whose)
}

// Skew describes the clock of a machine to whose server, named in the possessive, it is
// compared: "this machine's clock is 7s behind the store's". ahead is by how much the
// server's clock is ahead; within Tolerated the text is empty.
func Skew(ahead time.Duration, whose string) string {
	direction := "behind"
	switch {
	case ahead.Abs() <= Tolerated:
		return ""
	case ahead < 0:
		direction = "ahead of"
	}
	return fmt.Sprintf("this machine's clock is %s %s %s", ahead.Abs().Round(time.Second), direction, whose)
}

// Remedy is what to do about a clock that is wrong.
const Remedy = "Set this machine's clock, such as by chrony or systemd-timesyncd (NTP); restart a virtual machine that slept, such as " +
	"Docker Desktop's"
