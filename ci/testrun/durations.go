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

// recordedFile is where pytest-split keeps the durations of tests, by id; a project that
// uses it has its records there already.
const recordedFile = ".test_durations"

// Bounds on recorded durations. With more tests than maxDurations, only the sums of files
// are kept: the records become part of each shard's description.
const (
	maxDurationBytes = 64 << 20
	maxDurations     = 5000
)

// readDurations finds out how long each test takes: from the report that was given, else
// from the source. No records are no error.
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

// parseDurations reads a JUnit report, or seconds by id in JSON.
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

// compact keeps the sums of files where there are many tests.
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

// durationsJSON records how long each test took, for a later run and for pytest-split.
func durationsJSON(e *events) []byte {
	took := map[string]float64{}
	for id, t := range e.tests {
		if t.finished {
			took[id] = math.Round(t.seconds*1e4) / 1e4
		}
	}
	content, err := json.MarshalIndent(maps.Clone(took), "", " ")
	if err != nil {
		panic(err) // names and finite numbers: they always encode
	}
	return append(content, '\n')
}
