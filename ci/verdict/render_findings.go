package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// told combines the warnings of one code, because a long list of similar lines hides the others.
type told struct {
	code string
	// stages have the code, last one first, because the last is closest to an effect. causes and nexts are in stage order,
	// without repetitions.
	stages, causes, nexts []string
	times                 int
}

// grouped combines the warnings or remarks of a run by code, in stage order.
func grouped(r *Run, remarks bool) []*told {
	var all []*told
	add := func(stage string, findings []Finding) {
		for _, f := range findings {
			if f.Remark != remarks {
				continue
			}
			at := slices.IndexFunc(all, func(t *told) bool { return t.code == f.Code })
			if at < 0 {
				all, at = append(all, &told{code: f.Code}), len(all)
			}
			t := all[at]
			t.times++
			if !slices.Contains(t.stages, stage) {
				t.stages = slices.Insert(t.stages, 0, stage)
			}
			for _, one := range []struct {
				to   *[]string
				text string
			}{{&t.causes, f.Cause}, {&t.nexts, f.Next}} {
				if one.text != "" && !slices.Contains(*one.to, one.text) {
					*one.to = append(*one.to, one.text)
				}
			}
		}
	}
	add("run", r.Warnings)
	for _, s := range r.all() {
		add(s.Name, s.Warnings)
	}
	return all
}

// maxNexts limits the remedies shown for one code.
const maxNexts = 3

// line is "train, test CODE: cause; cause".
func (t *told) line() string {
	return safetext.Cut(fmt.Sprintf("%s %s: %s", strings.Join(t.stages, ", "), t.code, strings.Join(t.causes, "; ")), 600)
}

// summaryWarnings renders the warnings with their remedies, and the remarks in one line.
func summaryWarnings(r *Run) string {
	var b strings.Builder
	warnings := grouped(r, false)
	for _, t := range warnings[:min(len(warnings), 40)] {
		fmt.Fprintf(&b, "WARN %s\n", t.line())
		for _, next := range t.nexts[:min(len(t.nexts), maxNexts)] {
			fmt.Fprintf(&b, "     -> %s\n", next)
		}
	}
	var names []string
	for _, t := range grouped(r, true) {
		name := t.code + " (" + strings.Join(t.stages, ", ")
		if t.times > len(t.stages) {
			name += fmt.Sprintf(", %d times", t.times)
		}
		names = append(names, name+")")
	}
	if len(names) > 0 {
		fmt.Fprintf(&b, "No action needed (reasons in the report): %s\n", strings.Join(names[:min(len(names), 20)], ", "))
	}
	return b.String()
}
