package analysis

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
)

// Counter measures a distribution: the number of samples per class in a window. The counts are empty while there is no data.
type Counter interface {
	Count(ctx context.Context, m *Metric, of Subject, in Window) (map[string]float64, error)
}

// Values of Compare.
const (
	// Index compares the new version's distribution with the old one's by the population stability index.
	Index = "psi"
)

// Usual interpretation of the index: no shift below 0.1, a shift from 0.25 on.
const (
	indexGood = "value < 0.1"
	indexBad  = "value >= 0.25"
	// DefaultMinSamples keeps the contribution of chance, about (classes-1) * (1/new + 1/old), well below the usual limits:
	// 0.04 with ten classes.
	DefaultMinSamples = 500
)

// checkCompare checks a metric that compares distributions, and fills in defaults.
func (m *Metric) checkCompare() error {
	switch {
	case m.Compare == "" && m.MinSamples == 0:
		return nil
	case m.Compare == "":
		return errors.New("min_samples: it is for compare: psi")
	case m.Compare != Index:
		return fmt.Errorf("compare: there is no %q; there is %s", m.Compare, Index)
	case m.MinSamples < 0:
		return errors.New("min_samples: it is negative")
	case len(m.Command) > 0:
		return errors.New("command: an exit code is no distribution to compare")
	case len(m.Metrics) > 0 && (m.Query != "" || len(m.Metrics) < 2):
		return errors.New("metrics: compare takes the count of each class, at least two, and no query")
	}
	if m.MinSamples == 0 {
		m.MinSamples = DefaultMinSamples
	}
	if m.Success == "" && m.Failure == "" {
		m.Success, m.Failure = indexGood, indexBad
	}
	return nil
}

// shift measures how far the new version's distribution is from the old one's. It is unknown with too few samples; note has
// their number.
func (a *Analyzer) shift(ctx context.Context, m *Metric, in Window) (index float64, known bool, note string, err error) {
	source, counts := a.Source(m).(Counter)
	switch {
	case !counts:
		return 0, false, "", errors.New("this source has no distributions")
	case a.old == (Subject{}):
		return 0, false, "ECS names no old version to compare with", nil
	}
	newer, err := source.Count(ctx, m, a.of, in)
	if err != nil {
		return 0, false, "", err
	}
	older, err := source.Count(ctx, m, a.old, in)
	if err != nil {
		return 0, false, "", err
	}
	few := min(total(newer), total(older)) < float64(m.MinSamples)
	note = fmt.Sprintf("%.0f samples of the new version, %.0f of the old one", total(newer), total(older))
	if few {
		return 0, false, note + fmt.Sprintf("; %d of each are needed", m.MinSamples), nil
	}
	return StabilityIndex(older, newer), true, note, nil
}

func total(counts map[string]float64) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += n
	}
	return sum
}

// StabilityIndex returns the population stability index of two distributions, given as counts per class: the sum of (q - p) *
// ln(q / p) over all classes. It is 0 for equal shares. Half a sample is added to each class, so that a class that is empty
// on one side has a share.
func StabilityIndex(old, now map[string]float64) float64 {
	classes := maps.Clone(old)
	if classes == nil {
		classes = map[string]float64{}
	}
	maps.Copy(classes, now)
	const half = 0.5
	extra := half * float64(len(classes))
	index := 0.0
	for _, class := range slices.Sorted(maps.Keys(classes)) { // in a fixed order, because sums of floats depend on it
		p, q := (old[class]+half)/(total(old)+extra), (now[class]+half)/(total(now)+extra)
		index += (q - p) * math.Log(q/p)
	}
	return index
}

// buckets converts the cumulative counts of a histogram, by upper bound, into counts per bucket.
func buckets(cumulative map[string]float64) (map[string]float64, error) {
	type bucket struct {
		bound float64
		name  string
	}
	var all []bucket
	for name := range cumulative {
		bound, err := strconv.ParseFloat(name, 64)
		if err != nil {
			return nil, fmt.Errorf("le=%q is no number", name)
		}
		all = append(all, bucket{bound, name})
	}
	slices.SortFunc(all, func(a, b bucket) int {
		if a.bound < b.bound {
			return -1
		}
		return 1
	})
	counts, below := map[string]float64{}, 0.0
	for _, b := range all {
		counts[b.name] = max(0, cumulative[b.name]-below)
		below = max(below, cumulative[b.name])
	}
	return counts, nil
}
