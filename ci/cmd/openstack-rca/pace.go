package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// pace is how fast the epochs of a training follow each other.
type pace struct {
	last, all int
	// at is when the last one was first named, took how long those before it lasted.
	at   time.Time
	took []time.Duration
}

// saw notes that a line of the training's output names an epoch. Another count, or an epoch that does not follow the
// last one, is another training, such as the next fold of a cross-validation.
func (p *pace) saw(epoch, of string, now time.Time) {
	n, err := strconv.Atoi(epoch)
	all, unreadable := strconv.Atoi(of)
	switch {
	case err != nil || unreadable != nil || n > all:
	case n == p.last && all == p.all:
		// A line of the same epoch.
	case n == p.last+1 && all == p.all:
		p.took = append(p.took, now.Sub(p.at))
		p.last, p.at = n, now
	default:
		*p = pace{last: n, all: all, at: now}
	}
}

// text says which epoch runs and how long the rest takes, if each lasts as long as the median of those that were seen.
func (p *pace) text(now time.Time) string {
	text := fmt.Sprintf("epoch %d of %d", p.last, p.all)
	if len(p.took) == 0 {
		return text
	}
	sorted := slices.Sorted(slices.Values(p.took))
	left := sorted[len(sorted)/2]*time.Duration(p.all-p.last+1) - now.Sub(p.at)
	switch {
	case left < time.Second: // the last one, or one that is slower than the others
		return text
	case left > time.Minute:
		left = left.Round(10 * time.Second)
	default:
		left = left.Round(time.Second)
	}
	return text + ", about " + left.String() + " left"
}
