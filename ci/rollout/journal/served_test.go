package journal

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func digestOf(n string) string { return "sha256:" + strings.Repeat(n, 64) }

func TestHowLongADigestServed(t *testing.T) {
	start := time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)
	now := start.Add(10 * time.Hour)
	run := func(hour int, n, verdict, kind string) Run {
		return Run{Kind: kind, Image: "shop/web@" + digestOf(n), Verdict: verdict, Ended: start.Add(time.Duration(hour) * time.Hour)}
	}
	for name, test := range map[string]struct {
		ended []Run
		hours float64
	}{
		"never":                  {nil, 0},
		"since two hours":        {[]Run{run(8, "a", Passed, Deploy)}, 2},
		"deployed again":         {[]Run{run(4, "a", Passed, Deploy), run(8, "a", Passed, Deploy)}, 6},
		"replaced":               {[]Run{run(1, "a", Passed, Deploy), run(4, "b", Passed, Deploy)}, 3},
		"replaced and back":      {[]Run{run(1, "a", Passed, Deploy), run(4, "b", Passed, Deploy), run(9, "a", Passed, Rollback)}, 3},
		"back for longer":        {[]Run{run(1, "a", Passed, Deploy), run(2, "b", Passed, Deploy), run(4, "a", Passed, Rollback)}, 6},
		"another one failed":     {[]Run{run(1, "a", Passed, Deploy), run(4, "b", "fail", Deploy)}, 9},
		"it failed itself":       {[]Run{run(1, "a", "fail", Deploy)}, 0},
		"the service is deleted": {[]Run{run(1, "a", Passed, Deploy), run(3, "", Passed, Destroy)}, 2},
	} {
		s := State{Ended: test.ended}
		assert.Equal(t, test.hours, s.served(digestOf("a"), now).For(now).Hours(), name)
	}
}

func TestAMarkOfAnEarlierVersionIsCompleted(t *testing.T) {
	ctx := context.Background()
	w := newWorld(t)
	j := w.open("one")
	_, err := j.objects.Create(ctx, j.markKey("staging", digestOf("a")), []byte(`{"image": "x", "by": "old", "at": "2026-01-01T00:00:00Z"}`),
		contentType)
	require.NoError(t, err)
	served, err := j.Served(ctx, "staging", digestOf("a"))
	require.NoError(t, err)
	assert.Zero(t, served.For(w.clock.Now()), "it does not say where")
	w.read(j)
	require.NoError(t, j.Hold(ctx))
	require.NoError(t, j.MarkRan(ctx, "shop/web@"+digestOf("a"), digestOf("a")))
	require.NoError(t, j.MarkRan(ctx, "shop/web@"+digestOf("a"), digestOf("a")), "again")
	require.NoError(t, j.End(ctx, Run{Kind: Deploy, Image: "shop/web@" + digestOf("a"), Verdict: Passed}))
	require.NoError(t, w.clock.Sleep(ctx, time.Hour))
	served, err = w.open("two").Served(ctx, "staging", digestOf("a"))
	require.NoError(t, err)
	assert.InDelta(t, 1, served.For(w.clock.Now()).Hours(), 0.01)
	none, err := j.Served(ctx, "staging", digestOf("b"))
	require.NoError(t, err)
	assert.Zero(t, none)
}
