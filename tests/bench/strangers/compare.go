package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

// unseen is what the stage leaves out by default: the key exclude of pipeline.yaml.
const unseen = "docs/"

// compare says what the two sides do not have in common: tests by name and outcome, lines by file.
func compare(hand, stage *found) (differences []string) {
	say := func(format string, args ...any) { differences = append(differences, fmt.Sprintf(format, args...)) }
	for _, id := range union(hand.tests, stage.tests) {
		if a, b := or(hand.tests, id), or(stage.tests, id); a != b {
			say("test %s: by hand %s, stage %s", id, a, b)
		}
	}
	for _, name := range union(hand.files, stage.files) {
		if strings.HasPrefix(name, unseen) {
			continue
		}
		a, inHand := hand.files[name]
		b, inStage := stage.files[name]
		switch {
		case !inStage && len(a) > 0:
			say("%s is measured by hand only", name)
		case !inHand && len(b) > 0:
			say("%s is measured by the stage only", name)
		case inHand && inStage:
			for _, n := range union(a, b) {
				if x, y := line(a, n), line(b, n); x != y {
					say("%s:%d: by hand %s, stage %s", name, n, x, y)
				}
			}
		}
	}
	return differences
}

func or(tests map[string]junit.Outcome, id string) junit.Outcome {
	if outcome, ok := tests[id]; ok {
		return outcome
	}
	return "not there"
}

func line(lines map[int]bool, n int) string {
	hit, ok := lines[n]
	switch {
	case !ok:
		return "not a line"
	case hit:
		return "executed"
	}
	return "missed"
}

func union[K interface{ ~string | ~int }, V any](a, b map[K]V) []K {
	all := map[K]V{}
	maps.Copy(all, a)
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}
