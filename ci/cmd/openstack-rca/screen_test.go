package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// drawing is a terminal of a width that keeps what was written to it.
type drawing struct {
	mu sync.Mutex
	b  strings.Builder
}

func (d *drawing) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.Write(p)
}

func (d *drawing) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.b.String()
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestTheLastLineSaysWhatRunsAndFits(t *testing.T) {
	out, log := &drawing{}, &drawing{}
	s := newScreen(out, log, true, func() int { return 30 })
	began := time.Now()
	s.mu.Lock()
	s.now = func() time.Time { return began }
	s.mu.Unlock()
	s.Line("train: started")
	n, err := s.Write([]byte("train | Epoch 3/10\nserver | Epoch 4/5\npytest | tests/test_a.py PASSED   [ 12%]\n"))
	require.NoError(t, err)
	assert.Positive(t, n)
	s.Line("test: started")
	s.Line("train: still running after 1m0s")
	for _, line := range strings.FieldsFunc(out.String(), func(r rune) bool { return r == '\n' || r == '\r' }) {
		if line = strings.TrimPrefix(line, "\x1b[K"); strings.HasPrefix(line, "running: ") {
			assert.LessOrEqual(t, len([]rune(line)), 29, line)
		}
	}
	assert.Contains(t, out.String(), "running: train 0s (epoch 3 o…")
	assert.Contains(t, out.String(), "train: still running after 1m0s (epoch 3 of 10)\n")
	s.Line("train: pass after 2m0s; the next stage waits for test")
	s.Line("deploy: 40 % of the traffic")
	s.mu.Lock()
	assert.Equal(t, []string{"test"}, s.running)
	s.mu.Unlock()
	s.Close()
	s.Close()
	assert.True(t, strings.HasSuffix(out.String(), "\r\x1b[K"), "nothing is left of the last line")
	assert.Contains(t, log.String(), "Epoch 4/5")
	assert.NotContains(t, out.String(), "Epoch")
}

func TestAnInstallationIsTold(t *testing.T) {
	for _, live := range []bool{true, false} {
		out, log := &drawing{}, &drawing{}
		s := newScreen(out, log, live, func() int { return 80 })
		s.Line("test: started")
		_, err := s.Write([]byte("install for pytest | Resolved 25 packages in 12ms\ninstall for mlflow | installing packages\n" +
			"install for s3 | installing packages\ninstall for look for MLflow | Resolved 25 packages in 12ms\ninstall for other | Resolved 3 packages in 1ms\ninstall | Resolved 1 package\ninstall for pytest | Installed 25 packages\n"))
		require.NoError(t, err)
		s.Line("test: still running after 1m0s")
		assert.Contains(t, out.String(), "test: installing 25 packages\n")
		assert.Equal(t, 1, strings.Count(out.String(), "publish: installing packages\n"), "both are servers of one stage")
		assert.Contains(t, out.String(), "train: installing 25 packages\n")
		assert.Contains(t, out.String(), "test: still running after 1m0s (installing 25 packages)\n")
		assert.NotContains(t, out.String(), " 3 packages")
		assert.Contains(t, log.String(), "install for other | Resolved 3 packages")
		_, err = s.Write([]byte("pytest | collecting\n"))
		require.NoError(t, err)
		s.Line("test: still running after 2m0s")
		assert.Contains(t, out.String(), "test: still running after 2m0s\n", "what is installed runs")
		s.Close()
	}
}

func TestWithoutATerminalNothingIsDrawn(t *testing.T) {
	out := &drawing{}
	s := newScreen(out, broken{}, false, func() int { return 0 })
	s.Line("test: started")
	n, err := s.Write([]byte("pytest | x\n"))
	require.NoError(t, err, "a log that cannot be written ends nothing")
	assert.Equal(t, 11, n)
	s.Line("test: fail after 2s (TESTS_FAILED)")
	s.Close()
	assert.Equal(t, "test: started\ntest: fail after 2s (TESTS_FAILED)\n", out.String())
	assert.False(t, isTerminal(out))
	file, err := os.Create(filepath.Join(t.TempDir(), "x"))
	require.NoError(t, err)
	assert.False(t, isTerminal(file))
	require.NoError(t, file.Close())
}

func TestTheLogIsBounded(t *testing.T) {
	path := filepath.Join(t.TempDir(), logName)
	l := &fileLog{path: path, room: 10}
	for range 3 {
		_, err := l.Write([]byte("12345678\n"))
		require.NoError(t, err)
	}
	l.Close()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, "12345678\n… the rest is left out: the log is too large\n", string(content))
	none := &fileLog{path: filepath.Join(path, "below a file"), room: 10}
	_, err = none.Write([]byte("x"))
	require.NoError(t, err)
	none.Close()
}

func TestLinesBreakBetweenWords(t *testing.T) {
	assert.Equal(t, "  one two three four\n    five six\nshort", fitted("  one two three four five six\nshort", 20))
	for _, line := range strings.Split(fitted("  FAIL test X: "+strings.Repeat("words of ten ", 40), 36), "\n") {
		assert.LessOrEqual(t, len(line), 36)
	}
	path := "/" + strings.Repeat("a", 100)
	assert.Equal(t, path, fitted(path, 40))
	assert.Equal(t, strings.Repeat("x ", 50), fitted(strings.Repeat("x ", 50), 5))
	assert.Equal(t, "\x1b[31mFAIL\x1b[0m test X: y\nWARNING", painted("FAIL test X: y\nWARNING"))
}

func TestNoColorIsHeld(t *testing.T) {
	t.Setenv("NO_COLOR", "1")
	assert.False(t, wantsColour(os.Stdout))
}
