package runledger_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/ledger"
	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/runledger"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const app = "shop"

var began = time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)

func record(n int, at time.Time) runledger.Record {
	return runledger.Record{Schema: runledger.Schema, ID: fmt.Sprintf("%016x", n), Call: "run", Application: app, Environment: "staging",
		Ref: "main", Started: at, Seconds: 60, Budget: 900, Verdict: verdict.Pass}
}

// inS3 is the folder of an application in a store in memory.
func inS3(t *testing.T) (*ledgertest.Store, *ledger.Folder) {
	t.Helper()
	store := ledgertest.Start(t, "bucket")
	opened, err := ledger.Open(t.Context(), ledger.Options{Root: "s3://bucket/models", Endpoint: store.URL, Region: "eu-west-1",
		AccessKey: "access", SecretKey: "secret", Attempts: 1})
	require.NoError(t, err)
	return store, opened.Beside(runledger.FolderOf(app))
}

// stores are both kinds of store.
func stores(t *testing.T) map[string]runledger.Store {
	t.Helper()
	_, folder := inS3(t)
	return map[string]runledger.Store{"s3": folder, "directory": runledger.InDir(filepath.Join(t.TempDir(), "state"), app)}
}

func TestWhatIsWrittenIsRead(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			l := runledger.Open(store, "staging")
			empty, err := l.Read(t.Context(), began, began.AddDate(0, 0, 1))
			require.NoError(t, err)
			assert.Empty(t, empty.Records, "a ledger that does not exist yet is empty")
			first, second := record(1, began), record(2, began.Add(time.Hour))
			first.Measures = []verdict.Measure{{Name: verdict.MeasureCoverage, Of: "total", Value: 0.9}}
			for _, r := range []runledger.Record{second, first, first} {
				require.NoError(t, l.Write(t.Context(), r), "writing the same again changes nothing")
			}
			require.NoError(t, runledger.Open(store, "production").Write(t.Context(), record(3, began)))
			h, err := l.Read(t.Context(), began, began.AddDate(0, 0, 1))
			require.NoError(t, err)
			assert.Equal(t, []runledger.Record{first, second}, h.Records)
			h, err = l.Read(t.Context(), began.Add(time.Minute), began.AddDate(0, 0, 1))
			require.NoError(t, err)
			assert.Equal(t, []runledger.Record{second}, h.Records, "only those of the window")
			changed := first
			changed.Seconds = 61
			assert.ErrorIs(t, l.Write(t.Context(), changed), os.ErrExist, "a record is written once")
		})
	}
}

func TestAClosedMonthIsOneFile(t *testing.T) {
	for name, store := range stores(t) {
		t.Run(name, func(t *testing.T) {
			l := runledger.Open(store, "staging")
			want := make([]runledger.Record, 0, 30)
			for n := range 30 {
				want = append(want, record(n, began.Add(time.Duration(n)*time.Hour)))
				require.NoError(t, l.Write(t.Context(), want[n]))
			}
			early := record(90, time.Date(2026, 4, 1, 12, 0, 0, 0, time.UTC))
			require.NoError(t, l.Write(t.Context(), early))
			_, err := store.Read(t.Context(), "staging/2026/03.json")
			require.ErrorIs(t, err, os.ErrNotExist, "a run of March may not have ended yet")
			late := record(91, time.Date(2026, 4, 4, 12, 0, 0, 0, time.UTC))
			require.NoError(t, l.Write(t.Context(), late))
			_, err = store.Read(t.Context(), "staging/2026/03.json")
			require.NoError(t, err)
			h, err := l.Read(t.Context(), began, late.Started.Add(time.Hour))
			require.NoError(t, err)
			assert.Equal(t, append(want, early, late), h.Records, "each once")
		})
	}
}

func TestADamagedMonthIsReadFromItsRecords(t *testing.T) {
	dir := t.TempDir()
	l := runledger.Open(runledger.InDir(dir, app), "staging")
	require.NoError(t, l.Write(t.Context(), record(1, began)))
	month := filepath.Join(dir, "shop.runs", "staging", "2026", "03.json")
	for _, content := range []string{"{", `{"schema":9}`, `{"schema":1,"month":"2026-02","records":[]}`,
		`{"schema":1,"month":"2026-03","records":[{}]}`} {
		require.NoError(t, os.WriteFile(month, []byte(content), 0o600))
		h, err := l.Read(t.Context(), began, began.AddDate(0, 1, 0))
		require.NoError(t, err, content)
		assert.Len(t, h.Records, 1, content)
	}
}

func TestUnreadableRecordsAreNamedAndHideNothing(t *testing.T) {
	dir := t.TempDir()
	l := runledger.Open(runledger.InDir(dir, app), "staging")
	for n := range 3 {
		require.NoError(t, l.Write(t.Context(), record(n, began.Add(time.Duration(n)*time.Minute))))
	}
	folder := filepath.Join(dir, "shop.runs", "staging", "2026", "03")
	for name, content := range map[string]string{
		"20260310T120500Z-00000000000000aa.json": `{"schema":1,"id":"00000000000000aa","star`,
		"20260310T120600Z-00000000000000ab.json": `{"schema":2,"id":"x"}`,
		"20260310T120700Z-00000000000000ac.json": `{"schema":1,"id":"x","started":"2026-03-10T12:07:00Z","verdict":"maybe"}`,
		"20260310T120800Z-00000000000000ad.json": `{"schema":1,"seconds":"x"}`,
		"20260310T120900Z-00000000000000ae.json": ``,
		"notes.txt":                              "hello",
		".0000.partial":                          "half",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	h, err := l.Read(t.Context(), began, began.Add(time.Hour))
	require.NoError(t, err)
	assert.Len(t, h.Records, 3)
	require.Len(t, h.Unreadable, 6, strings.Join(h.Unreadable, "\n"))
	text := strings.Join(h.Unreadable, "\n")
	assert.Contains(t, text, "schema 2")
	assert.Contains(t, text, "no JSON, or only a part")
	// Such a month gets no file of its own: a later version may be able to read it.
	require.NoError(t, l.Write(t.Context(), record(50, began.AddDate(0, 1, 0))))
	assert.NoFileExists(t, filepath.Join(dir, "shop.runs", "staging", "2026", "03.json"))
}

func TestAStoreThatCannotBeReadIsAnError(t *testing.T) {
	store, folder := inS3(t)
	l := runledger.Open(folder, "staging")
	require.NoError(t, l.Write(t.Context(), record(1, began)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := l.Read(ctx, began, began.Add(time.Hour))
	require.Error(t, err)
	require.Error(t, l.Write(ctx, record(2, began)))
	store.Bucket = "another"
	_, err = l.Read(t.Context(), began, began.Add(time.Hour))
	require.Error(t, err, "what could not be looked at is not empty")

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	l = runledger.Open(runledger.InDir(file, app), "staging")
	require.Error(t, l.Write(t.Context(), record(1, began)))
	_, err = l.Read(t.Context(), began, began.Add(time.Hour))
	require.Error(t, err)
}

func TestADirectoryIsNotLeftThroughLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "shop.runs")))
	l := runledger.Open(runledger.InDir(dir, app), "staging")
	require.Error(t, l.Write(t.Context(), record(1, began)))
	entries, err := os.ReadDir(outside)
	require.NoError(t, err)
	assert.Empty(t, entries)
}

func TestOf(t *testing.T) {
	secret := strings.Join([]string{"hook", "address", "4711"}, "-")
	floor := 0.8
	run := &verdict.Run{Application: app, Environment: "production", Ref: "feature/" + secret, Started: began, Seconds: 12,
		Redact: verdict.Redact(secret), Stages: []verdict.Stage{{Name: verdict.Test}, {Name: verdict.Deploy}}}
	run.Stages[0].Measure(verdict.MeasureCoverage, "total", 0.9, &floor)
	run.Stages[0].Warn(verdict.CodeOverBudget, "x")
	run.Stages[0].Judge()
	run.Stages[1].Deployment = &verdict.Deployment{ID: "d1", Service: "s", Outcome: verdict.DeploymentRolledBack}
	run.Stages[1].Judge(verdict.Problemf(verdict.Code{Name: "ROLLED_BACK", Stage: verdict.Deploy, Outcome: verdict.Fail, Remedy: "x"},
		"%s", secret))
	run.Judge()
	r, err := runledger.Of(run, runledger.Details{Call: "deploy", CommitTime: time.Unix(0, 0), Hotfix: true})
	require.NoError(t, err)
	assert.Equal(t, "deploy", r.Failed)
	assert.Equal(t, "ROLLED_BACK", r.Code)
	assert.Equal(t, []string{"OVER_BUDGET"}, r.Warnings)
	assert.Equal(t, verdict.DeploymentRolledBack, r.Deployment.Outcome)
	assert.True(t, r.CommitTime.IsZero(), "1970 is no time of a commit")
	value, ok := r.Measured(verdict.MeasureCoverage, "total")
	assert.True(t, ok)
	assert.InDelta(t, 0.9, value, 0)
	_, ok = r.Measured("x", "")
	assert.False(t, ok)
	content, err := json.Marshal(r)
	require.NoError(t, err)
	assert.NotContains(t, string(content), secret)
	assert.Equal(t, began.Add(12*time.Second), r.Ended())
}

func TestALargeRecordLosesItsMeasurementsOnly(t *testing.T) {
	dir := t.TempDir()
	l := runledger.Open(runledger.InDir(dir, app), "staging")
	r := record(1, began)
	for n := range 400 {
		r.Measures = append(r.Measures, verdict.Measure{Name: verdict.MeasureModel, Of: fmt.Sprintf("metric-with-a-long-name-%d", n)})
	}
	require.NoError(t, l.Write(t.Context(), r))
	h, err := l.Read(t.Context(), began, began.Add(time.Hour))
	require.NoError(t, err)
	require.Len(t, h.Records, 1)
	assert.Empty(t, h.Records[0].Measures)
	r.ID, r.Ref = "00000000000000ff", strings.Repeat("x", runledger.MaxBytes)
	assert.ErrorContains(t, l.Write(t.Context(), r), "more than")
}

func TestSorted(t *testing.T) {
	var all []runledger.Record
	for n := range 50 {
		all = append(all, record(n, began.Add(time.Duration(n/2)*time.Second)))
	}
	want, _ := runledger.Sorted(all)
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		mixed := append(append([]runledger.Record{}, all...), all[random.IntN(50)], all[random.IntN(50)])
		random.Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		got, duplicates := runledger.Sorted(mixed)
		assert.Equal(t, want, got)
		assert.Equal(t, 2, duplicates)
	}
}

func TestARecordThatCannotBeIsInNoFigure(t *testing.T) {
	odd := map[string]func(*runledger.Record){
		"more than a year": func(r *runledger.Record) { r.Seconds = 1e300 },
		"negative": func(r *runledger.Record) {
			r.Stages = []runledger.Stage{{Name: verdict.Test, Seconds: -1}}
		},
		"or one of more":           func(r *runledger.Record) { r.Deployment = &verdict.Deployment{Seconds: -5} },
		"no application":           func(r *runledger.Record) { r.Application = "" },
		`environment "production"`: func(r *runledger.Record) { r.Environment = "production" },
	}
	for why, change := range odd {
		store := runledger.InDir(t.TempDir(), app)
		l := runledger.Open(store, "staging")
		require.NoError(t, l.Write(t.Context(), record(1, began)))
		r := record(2, began.Add(time.Minute))
		change(&r)
		require.NoError(t, l.Write(t.Context(), r))
		h, err := l.Read(t.Context(), began.Add(-time.Hour), began.Add(time.Hour))
		require.NoError(t, err)
		assert.Len(t, h.Records, 1, why)
		require.Len(t, h.Unreadable, 1, why)
		assert.Contains(t, h.Unreadable[0], why)
	}
}
