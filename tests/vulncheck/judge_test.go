package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	config    = `{"config":{"db":"file:///db"}}`
	advisory  = `{"osv":{"id":"GO-1","summary":"a parser reads past its input"}}`
	reachable = `{"finding":{"osv":"GO-1","fixed_version":"v1.2.3","trace":[{"module":"example.org/m","version":"v1.0.0","package":"example.org/m/p","function":"Parse"}]}}`
	imported  = `{"finding":{"osv":"GO-1","fixed_version":"v1.2.3","trace":[{"module":"example.org/m","version":"v1.0.0","package":"example.org/m/p"}]}}`
	toolchain = `{"finding":{"osv":"GO-1","fixed_version":"v1.26.9","trace":[{"module":"stdlib","version":"v1.26.8","package":"net/http","function":"Get"}]}}`
)

func day(t *testing.T, text string) time.Time {
	t.Helper()
	parsed, err := time.Parse(time.DateOnly, text)
	require.NoError(t, err)
	return parsed
}

func TestOnlyReachableAdvisoriesFail(t *testing.T) {
	now := day(t, "2026-11-29")
	allowed := []Exception{{"GO-1", "example.org/m", "held by another module", day(t, "2026-11-01"), day(t, "2026-11-29")}}
	for name, c := range map[string]struct {
		stream                             []string
		allowed                            []Exception
		now                                time.Time
		failed, accepted, toolchain, stale int
	}{
		"reachable":                                {[]string{config, advisory, reachable}, nil, now, 1, 0, 0, 0},
		"reachable by two paths is one advisory":   {[]string{config, advisory, reachable, reachable}, nil, now, 1, 0, 0, 0},
		"imported and never called":                {[]string{config, advisory, imported}, nil, now, 0, 0, 0, 0},
		"of the toolchain":                         {[]string{config, advisory, toolchain}, nil, now, 0, 0, 1, 0},
		"allowed on its last day":                  {[]string{config, advisory, reachable}, allowed, now, 0, 1, 0, 0},
		"not allowed on the day after":             {[]string{config, advisory, reachable}, allowed, now.AddDate(0, 0, 1), 1, 0, 0, 0},
		"an entry whose advisory is not reachable": {[]string{config, advisory}, allowed, now, 0, 0, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			report, err := Judge(strings.NewReader(strings.Join(c.stream, "\n")), c.allowed, c.now)
			require.NoError(t, err)
			assert.Len(t, report.Failed, c.failed)
			assert.Len(t, report.Allowed, c.accepted)
			assert.Len(t, report.Toolchain, c.toolchain)
			assert.Len(t, report.Stale, c.stale)
			assert.Equal(t, c.failed == 0, report.Passed())
		})
	}
}

func TestAScanThatLookedAtNothingIsAnError(t *testing.T) {
	for name, stream := range map[string]string{
		"no output":           "",
		"no database":         advisory,
		"an empty database":   config,
		"output that is torn": config + advisory + `{"finding":{"osv":`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Judge(strings.NewReader(stream), nil, time.Now())
			assert.Error(t, err)
		})
	}
}

func TestTheAgeOfTheDataIsThatOfTheDatabase(t *testing.T) {
	captured, err := Captured("golang.org/x/vulndb@v0.0.0-20261105234957-e22db6528018")
	require.NoError(t, err)
	assert.Equal(t, time.Date(2026, 11, 5, 23, 49, 57, 0, time.UTC), captured)
	_, err = Captured("golang.org/x/vulndb@v1.2.3")
	assert.Error(t, err)
}

func TestTheAllowListNamesReasonAndEnd(t *testing.T) {
	committed, err := os.ReadFile("allowed.json")
	require.NoError(t, err)
	_, err = ParseAllowed(committed)
	require.NoError(t, err)

	_, err = ParseAllowed([]byte(`[
		{"id":"GO-1","module":"m","reason":"","since":"2026-01-01","until":"2026-02-01"},
		{"id":"GO-2","module":"m","reason":"r","since":"2026-01-01","until":"2026-12-01"},
		{"id":"GO-3","module":"m","reason":"r","since":"2026-01-01","until":"soon"},
		{"id":"GO-4","module":"m","reason":"r","since":"2026-01-01","until":"2026-02-01"},
		{"id":"GO-4","module":"m","reason":"r","since":"2026-01-01","until":"2026-02-01"}]`))
	require.Error(t, err)
	for _, id := range []string{"GO-1", "GO-2", "GO-3", "GO-4"} {
		assert.ErrorContains(t, err, id)
	}
	assert.NotContains(t, strings.Split(err.Error(), "\n")[0], "GO-4")
}
