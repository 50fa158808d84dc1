package release

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/clock"
)

// After a rollback, the next one goes back further: past the release that was left.
func TestWhatARollbackWouldGoBackToIsNotPruned(t *testing.T) {
	w := newWorld(t, "rolling")
	for _, n := range []string{"9", "a", "b"} {
		w.deployed(n)
	}
	w.passed(w.asked(Rollback))
	require.Equal(t, family+"2", w.serving())
	w.passed(w.asked(func(ctx context.Context, c Clients, k clock.Clock, in Input) *Result { return Prune(ctx, c, k, in, 1) }))
	w.passed(w.asked(Rollback))
	assert.Equal(t, family+"1", w.serving())
}
