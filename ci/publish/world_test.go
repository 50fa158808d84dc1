package publish

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/mlflow/mlflowtest"
	"github.com/openstack-rca/openstack-rca/ci/model"
)

// world is a store, a server and time.
type world struct {
	t     testing.TB
	store *ledgertest.Store
	mlf   *mlflowtest.Server
	clock *testClock
	// transport is shared: a client of its own for each of a hundred publications
	// would leave a hundred idle connections.
	transport *http.Transport
	calls     atomic.Int64
}

// testClock is time that passes only in sleep.
type testClock struct{ ms atomic.Int64 }

func (c *testClock) Now() time.Time { return time.UnixMilli(c.ms.Load()).UTC() }

func (c *testClock) Sleep(ctx context.Context, d time.Duration) error {
	c.ms.Add(d.Milliseconds())
	return ctx.Err()
}

// secret is a fixed value.
type secret string

func (s secret) Name() string                              { return "secret" }
func (s secret) Plaintext(context.Context) (string, error) { return string(s), nil }

const bucket = "models-bucket"

func newWorld(t testing.TB) *world {
	w := &world{t: t, store: ledgertest.Start(t, bucket), mlf: mlflowtest.Start(t), clock: &testClock{}, transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	w.store.Now = w.clock.Now
	w.clock.ms.Store(time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).UnixMilli())
	t.Cleanup(w.transport.CloseIdleConnections)
	return w
}

// artifact writes a model whose weights are text and describes it.
func artifact(t testing.TB, weights string) *model.Artifact {
	t.Helper()
	dir := t.TempDir()
	var archive bytes.Buffer
	z := zip.NewWriter(&archive)
	for _, entry := range [][2]string{{"metadata.json", `{"keras_version": "3.13.2"}`}, {"config.json", "{}"}, {"model.weights.h5", weights}} {
		f, err := z.Create(entry[0])
		require.NoError(t, err)
		_, err = f.Write([]byte(entry[1]))
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lstm_model.keras"), archive.Bytes(), 0o600))
	description := `{"versions": {"python": "3.11.7", "keras": "3.13.2", "tensorflow": "2.21.0", "bad": "x y"}}`
	require.NoError(t, os.WriteFile(filepath.Join(dir, "lstm_model.json"), []byte(description), 0o600))
	sum := sha256.Sum256(archive.Bytes())
	return &model.Artifact{
		Format: "keras", Versions: map[string]string{"keras": "3.13.2"},
		Dir: dir, File: "lstm_model.keras", SHA256: hex.EncodeToString(sum[:]), Bytes: int64(archive.Len()),
		Metrics: map[string]float64{"accuracy": 0.96, "loss": 0.1},
		History: map[string][]model.Point{"loss": {{Step: 1, Timestamp: 1000, Value: 0.5}, {Step: 2, Timestamp: 2000, Value: 0.1}}},
		Params:  map[string]string{"epochs": "2"}, Tags: map[string]string{"task": "root_cause", "mlflow.user": "x"}, Data: "sha256:d0",
	}
}

// input publishes a model to the world.
func (w *world) input(m *model.Artifact) Input {
	return Input{
		Config: config.Default(), Model: m, Environment: "staging", Commit: "c0ffee", Tree: "t1", ModuleVersion: "0.1.0", Clock: w.clock,
		Target: Target{TrackingURI: w.mlf.URL, S3Endpoint: w.store.URL, ArtifactRoot: "s3://" + bucket + "/group6-capstone",
			AccessKey: secret("test-access"), SecretKey: secret("test-secret-value")},
		tuning: tuning{transport: w.transport, maxBackoff: time.Millisecond, attempts: 3},
	}
}

const (
	root       = "group6-capstone/"
	registered = "openstack_rca_system_staging_lstm_model"
)

// failStore answers the n-th request (from 1) of the store that matches with an error,
// and all that follow when forever.
func (w *world) failStore(method, part string, status int, code string, forever bool) {
	var seen atomic.Int64
	w.store.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
		if method != "" && r.Method != method || !strings.Contains(r.URL.String(), part) {
			return false
		}
		if n := seen.Add(1); n > 1 && !forever {
			return false
		}
		ledgertest.Fail(rw, status, code, "injected")
		return true
	})
}

// failMLflow answers the calls of the server that match with an error.
func (w *world) failMLflow(part string, answer http.HandlerFunc) {
	w.mlf.SetBefore(func(rw http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.Method+" "+r.URL.Path, part) {
			return false
		}
		answer(rw, r)
		return true
	})
}

// heal ends all faults.
func (w *world) heal() {
	w.mlf.SetBefore(nil)
	w.mlf.SetAfter(nil)
	w.store.SetBefore(nil)
	w.store.SetAfter(nil)
}

// commits returns the numbers of the committed versions of staging.
func (w *world) commits() []string {
	var folders []string
	for _, key := range w.store.Keys() {
		if strings.HasSuffix(key, "/COMMIT.json") {
			folders = append(folders, strings.TrimSuffix(strings.TrimPrefix(key, root), "/COMMIT.json"))
		}
	}
	return folders
}

// killed makes the n-th call to either server the last one of the process: executed
// and never answered; and nothing reaches a server after it.
func (w *world) killed(ctx context.Context, n int64) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	w.calls.Store(0)
	entry := func(http.ResponseWriter, *http.Request) bool {
		if w.calls.Add(1) > n {
			cancel()
			panic(http.ErrAbortHandler)
		}
		return false
	}
	w.store.SetBefore(entry)
	w.mlf.SetBefore(entry)
	after := func(*http.Request) bool {
		if w.calls.Load() >= n {
			cancel()
			return true
		}
		return false
	}
	w.store.SetAfter(after)
	w.mlf.SetAfter(after)
	return ctx, cancel
}

// dump is everything that a publication shows or leaves anywhere.
func (w *world) dump(results ...*Result) string {
	var b strings.Builder
	for _, r := range results {
		j, err := json.Marshal(r)
		require.NoError(w.t, err)
		b.Write(j)
		fmt.Fprint(&b, r.Stage.Blocks, r.Stage.Failure())
	}
	for _, key := range w.store.Keys() {
		o, _ := w.store.Get(key)
		fmt.Fprintf(&b, "%s %s %v\n", key, o.Content, o.Meta)
	}
	fmt.Fprint(&b, w.mlf.Runs(), w.mlf.Versions(registered))
	for name, content := range w.mlf.Artifacts() {
		fmt.Fprintf(&b, "%s %s\n", name, content)
	}
	return b.String()
}
