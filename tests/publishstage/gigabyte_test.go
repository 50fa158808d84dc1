//go:build linux

package publishstage_test

import (
	"archive/zip"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/ledger/ledgertest"
	"github.com/openstack-rca/openstack-rca/ci/model"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/sandbox"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// gigabyte is the size of the model of the benchmark.
const gigabyte = 1 << 30

// childVariable makes this test binary a publisher: its value is a task.
const childVariable = "PUBLISHSTAGE_CHILD"

type task struct {
	Dir, SHA256                           string
	Bytes                                 int64
	TrackingURI, Endpoint, Bucket, Region string
}

type outcome struct {
	Failure string
	// Seconds are by step.
	Seconds map[string]string
	// PeakMB is the process's largest resident set so far, in MiB.
	PeakMB int
	Total  float64
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childVariable); text != "" {
		child(text)
		return
	}
	os.Exit(m.Run())
}

// child publishes, as a process whose memory is nobody else's.
func child(text string) {
	var t task
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		panic(err)
	}
	started := time.Now()
	result := publish.Run(context.Background(), publish.Input{
		Config: config.Default(), Environment: "large", Commit: "c0ffee", Tree: "tree-1",
		Model: &model.Artifact{Format: "keras", Dir: t.Dir, File: "lstm_model.keras", SHA256: t.SHA256, Bytes: t.Bytes, Metrics: map[string]float64{"accuracy": 0.97}},
		Target: publish.Target{TrackingURI: t.TrackingURI, S3Endpoint: t.Endpoint, ArtifactRoot: "s3://" + t.Bucket + "/models", Region: t.Region,
			AccessKey: password(sandbox.AccessKey), SecretKey: password(sandbox.SecretKey)},
	})
	out := outcome{Failure: result.Stage.Failure(), Seconds: map[string]string{}, Total: time.Since(started).Seconds()}
	if result.Stage.Verdict == verdict.Pass {
		for _, row := range result.Stage.Blocks[0].Table.Rows {
			if step, ok := strings.CutPrefix(row[0], "Seconds to "); ok {
				out.Seconds[step] = row[1]
			}
		}
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		panic(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscanf(rest, "%d", &out.PeakMB); err != nil {
		panic(err)
	}
	out.PeakMB /= 1024
	if err := json.NewEncoder(os.Stdout).Encode(out); err != nil {
		panic(err)
	}
}

// largeModel writes a model file of about a gigabyte that does not compress.
func largeModel(t *testing.T) task {
	t.Helper()
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "lstm_model.keras"))
	require.NoError(t, err)
	hash := sha256.New()
	archive := zip.NewWriter(io.MultiWriter(file, hash))
	for name, content := range map[string]string{"metadata.json": `{"keras_version": "3.15.1"}`, "config.json": "{}"} {
		entry, err := archive.Create(name)
		require.NoError(t, err)
		_, err = entry.Write([]byte(content))
		require.NoError(t, err)
	}
	weights, err := archive.CreateHeader(&zip.FileHeader{Name: "model.weights.h5", Method: zip.Store})
	require.NoError(t, err)
	block := make([]byte, 1<<20)
	_, err = rand.Read(block)
	require.NoError(t, err)
	for i := range gigabyte / len(block) {
		block[0], block[1] = byte(i), byte(i>>8)
		_, err = weights.Write(block)
		require.NoError(t, err)
	}
	require.NoError(t, archive.Close())
	info, err := file.Stat()
	require.NoError(t, err)
	require.NoError(t, file.Close())
	return task{Dir: dir, SHA256: hex.EncodeToString(hash.Sum(nil)), Bytes: info.Size()}
}

// plainCopy is `aws s3 cp` of the same file to the same endpoint; it returns its seconds.
func plainCopy(t *testing.T, to task, key string) float64 {
	t.Helper()
	command := exec.CommandContext(t.Context(), "aws", "--endpoint-url", to.Endpoint, "s3", "cp", "--only-show-errors",
		filepath.Join(to.Dir, "lstm_model.keras"), "s3://"+to.Bucket+"/"+key)
	command.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+sandbox.AccessKey, "AWS_SECRET_ACCESS_KEY="+sandbox.SecretKey, "AWS_DEFAULT_REGION="+to.Region,
		"AWS_REQUEST_CHECKSUM_CALCULATION=when_required", "AWS_EC2_METADATA_DISABLED=true")
	started := time.Now()
	out, err := command.CombinedOutput()
	require.NoError(t, err, string(out))
	return time.Since(started).Seconds()
}

// TestPublishingAGigabyte measures memory and throughput of a publisher of 1 GiB, against
// `aws s3 cp` of the same file on the same endpoint in the same run: on a real S3 API, and
// on one in this process that is faster than either client. It runs with
// PUBLISHSTAGE_GIGABYTE=1 (tests/bench/publish-gigabyte).
func TestPublishingAGigabyte(t *testing.T) {
	if os.Getenv("PUBLISHSTAGE_GIGABYTE") == "" {
		t.Skip("moves gigabytes; run with PUBLISHSTAGE_GIGABYTE=1")
	}
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("no aws command to compare with")
	}
	s := start(t, sandbox.MLflow)
	file := largeModel(t)
	file.TrackingURI, file.Region = s.target.TrackingURI, sandbox.Region
	fast := ledgertest.Start(t, sandbox.Bucket)
	for name, endpoint := range map[string]string{"moto": s.target.S3Endpoint, "in memory": fast.URL} {
		t.Run(name, func(t *testing.T) {
			to := file
			to.Endpoint, to.Bucket = endpoint, sandbox.Bucket
			before := plainCopy(t, to, "plain/1")
			text, err := json.Marshal(to)
			require.NoError(t, err)
			self, err := os.Executable()
			require.NoError(t, err)
			command := exec.CommandContext(t.Context(), self)
			command.Env = append(os.Environ(), childVariable+"="+string(text))
			command.Stderr = os.Stderr
			stdout, err := command.Output()
			require.NoError(t, err)
			var out outcome
			require.NoError(t, json.Unmarshal(stdout, &out), string(stdout))
			require.Empty(t, out.Failure)
			after := plainCopy(t, to, "plain/2")
			var upload float64
			_, err = fmt.Sscan(out.Seconds["upload"], &upload)
			require.NoError(t, err)
			plain := (before + after) / 2
			mb := float64(to.Bytes) / (1 << 20)
			t.Logf("%.0f MiB: aws s3 cp %.1f s and %.1f s (%.0f MiB/s); our upload %.1f s (%.0f MiB/s), %.0f %% of that; peak memory %d MiB; whole publication %.1f s: %v",
				mb, before, after, mb/plain, upload, mb/upload, 100*plain/upload, out.PeakMB, out.Total, out.Seconds)
			assert.Less(t, out.PeakMB, 150)
			assert.GreaterOrEqual(t, plain/upload, 0.7)
		})
	}
}
