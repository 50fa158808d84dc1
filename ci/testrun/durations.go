package testrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"os"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// recordedFile is the file in which pytest-split records the durations of tests. A project that uses it already has one.
const recordedFile = ".test_durations"

// Limits for recorded durations. With more than maxDurations tests, only the sums per file are kept, because the records
// become part of each shard's input.
const (
	maxDurationBytes = 64 << 20
	maxDurations     = 5000
)

// readDurations returns how long each test takes, from the given report or else from the source. Missing records are not an
// error.
func readDurations(ctx context.Context, in Input) (map[string]float64, error) {
	if in.Durations != "" {
		f, err := os.Open(in.Durations)
		if err != nil {
			return nil, fmt.Errorf("open durations: %w", err)
		}
		found, err := parseDurations(f)
		return found, errors.Join(err, f.Close())
	}
	content, err := in.Source.Read(ctx, recordedFile, maxDurationBytes)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", recordedFile, err)
	}
	return parseDurations(strings.NewReader(string(content)))
}

// parseDurations reads a JUnit report or JSON with seconds by test id.
func parseDurations(r io.ReadSeeker) (map[string]float64, error) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(r, first); err != nil {
		return nil, errors.New("read durations: the file is empty")
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read durations: %w", err)
	}
	found := map[string]float64{}
	if first[0] == '{' {
		if err := json.NewDecoder(io.LimitReader(r, maxDurationBytes)).Decode(&found); err != nil {
			return nil, fmt.Errorf("read durations: %w", err)
		}
	} else if _, err := junit.Parse(r, junit.Options{Each: func(c junit.Case) {
		if c.File != "" && !c.Collection {
			found[c.ID()] = c.Seconds
		}
	}}); err != nil {
		return nil, fmt.Errorf("read durations: %w", err)
	}
	for id, seconds := range found {
		if math.IsNaN(seconds) || seconds < 0 || seconds > 1e6 {
			return nil, fmt.Errorf("read durations: %.200q takes %v seconds", id, seconds)
		}
	}
	return compact(found), nil
}

// compact sums durations per file if there are too many tests.
func compact(found map[string]float64) map[string]float64 {
	if len(found) <= maxDurations {
		return found
	}
	sums := map[string]float64{}
	for id, seconds := range found {
		file, _, _ := strings.Cut(id, "::")
		sums[file] += seconds
	}
	return sums
}

// durationsJSON writes each test's duration for later runs and for pytest-split.
func durationsJSON(e *events) []byte {
	took := map[string]float64{}
	for id, t := range e.tests {
		if t.finished {
			took[id] = math.Round(t.seconds*1e4) / 1e4
		}
	}
	content, err := json.MarshalIndent(maps.Clone(took), "", " ")
	if err != nil {
		panic(err) // names and finite numbers can always be encoded
	}
	return append(content, '\n')
}
