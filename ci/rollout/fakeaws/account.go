package fakeaws

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/smithy-go"

	"github.com/openstack-rca/openstack-rca/ci/awscall/ecr"
)

// Account is an account of AWS as far as a rollout uses it: the deployment engine, and
// the services around it as plain stores. Elastic Load Balancing's, Application Auto
// Scaling's and CloudWatch's rules are from their API references.
type Account struct {
	ECS        *ECS
	Balancing  *Balancing
	Scaling    *Scaling
	CloudWatch *CloudWatch
	Logs       *Logs
	Objects    *Objects
	Identity   *Identity
	Roles      *Roles
	Images     *Images
	wire       *cable
}

// NewAccount returns an empty account.
func NewAccount(clock *Clock) *Account {
	c := &cable{clock: clock, faults: map[string][]error{}}
	a := &Account{
		ECS: NewECS(clock), Balancing: &Balancing{cable: c}, Scaling: &Scaling{cable: c}, CloudWatch: &CloudWatch{cable: c}, Logs: &Logs{cable: c}, wire: c,
		Objects: &Objects{cable: c, all: map[string]object{}}, Identity: &Identity{Account: accountID, cable: c}, Roles: &Roles{cable: c,
			clock: clock, all: map[string]*role{}}, Images: &Images{cable: c, Scans: map[string][]*ecr.DescribeImageScanFindingsOutput{}},
	}
	a.Balancing.clear()
	a.Scaling.clear()
	a.CloudWatch.clear()
	a.Logs.clear()
	a.ECS.wire = c
	a.Scaling.exists = a.ECS.has
	a.Balancing.used = a.ECS.uses
	a.Balancing.health = a.ECS.targets
	a.CloudWatch.rings = a.ECS.rings
	a.ECS.weigh = a.Balancing.weighGroups
	a.ECS.attached = a.Balancing.attached
	a.ECS.unknown = a.Roles.unknown
	a.Logs.lines = a.ECS.logLines
	return a
}

// Now is the time of AWS.
func (a *Account) Now() time.Time { return a.wire.clock.Now() }

// ErrCut is what a client sees when its program is gone: in truth nothing.
var ErrCut = errors.New("the program was ended")

// cable is what all calls of an account go over.
type cable struct {
	clock  *Clock
	mu     sync.Mutex
	calls  []string
	faults map[string][]error
	// disturb is asked about every call; nil disturbs none.
	disturb func(operation string) Disturbance
	// cut is the number of the last call; after is set if that call still takes effect.
	cut   int
	after bool
}

// Cut ends the program at its n-th call from now: before the call is carried out, or after,
// so that only the answer is lost. All later calls fail. 0 mends it.
func (a *Account) Cut(n int, after bool) {
	a.wire.mu.Lock()
	defer a.wire.mu.Unlock()
	a.wire.cut, a.wire.after = 0, after
	if n > 0 {
		a.wire.cut = len(a.wire.calls) + n
	}
}

// Disturbance is what happens to a call on its way. The zero value is nothing.
type Disturbance struct {
	// Wait passes before the call is carried out, as when the SDK waits after it was throttled.
	Wait time.Duration
	// Err is returned; the call is not carried out, unless it is a LostAnswer.
	Err error
	// Twice carries the call out twice, as when the SDK repeats one whose answer was lost.
	Twice bool
}

// Disturb asks for each call what is to happen to it. The clock must not run anything by
// itself meanwhile, as the fake is held.
func (a *Account) Disturb(by func(operation string) Disturbance) {
	a.wire.mu.Lock()
	defer a.wire.mu.Unlock()
	a.wire.disturb = by
}

// Fail makes the next calls of an operation, such as elb:CreateRule, return errors.
func (a *Account) Fail(operation string, errors ...error) {
	a.wire.mu.Lock()
	defer a.wire.mu.Unlock()
	a.wire.faults[operation] = append(a.wire.faults[operation], errors...)
}

// Calls are the operations called so far, such as ecs:CreateCluster.
func (a *Account) Calls() []string {
	a.wire.mu.Lock()
	defer a.wire.mu.Unlock()
	return slices.Clone(a.wire.calls)
}

// Writes are those calls that change something.
func Writes(calls []string) []string {
	return slices.DeleteFunc(slices.Clone(calls), func(call string) bool { return reads.MatchString(call) })
}

// over carries a call: it is counted, and carried out unless the cable is cut.
func over[T any](c *cable, operation string, effect func() (*T, error)) (*T, error) {
	if c == nil {
		return effect()
	}
	c.mu.Lock()
	c.calls = append(c.calls, operation)
	n := len(c.calls)
	gone := c.cut > 0 && (n > c.cut || n == c.cut && !c.after)
	lost := c.cut > 0 && n == c.cut && c.after
	var planned error
	if all := c.faults[operation]; len(all) > 0 && !gone {
		planned, c.faults[operation] = all[0], all[1:]
	}
	var d Disturbance
	if c.disturb != nil && !gone && planned == nil {
		d = c.disturb(operation)
	}
	c.mu.Unlock()
	if d.Wait > 0 {
		_ = c.clock.Sleep(context.Background(), d.Wait)
	}
	switch {
	case gone:
		return nil, ErrCut
	case planned != nil:
		return nil, planned
	case d.Err != nil && !isLostAnswer(d.Err):
		return nil, d.Err
	}
	out, err := effect()
	if d.Twice {
		out, err = effect()
	}
	if d.Err != nil {
		return nil, d.Err
	}
	if lost {
		return nil, ErrCut
	}
	return stamped(out, c.clock.Now()), err
}

func refuse(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// values are a map's, in the order of its keys.
func values[T any](m map[string]T) []T {
	all := make([]T, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		all = append(all, m[key])
	}
	return all
}
