package verdict

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/safetext"
)

// told are warnings of one code, as people read them: nine lines about three things hide the fourth.
type told struct {
	code string
	// stages raised it, the last one first: what it holds for is closest to an effect. causes and nexts are in the order
	// of the stages. None has repetitions.
	stages, causes, nexts []string
	times                 int
}

// grouped gathers the warnings of a run, or its remarks, by their code, in the order of the stages.
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

// maxNexts is how many things to do are shown for one code.
const maxNexts = 3

// line is "train, test CODE: cause; cause".
func (t *told) line() string {
	return safetext.Cut(fmt.Sprintf("%s %s: %s", strings.Join(t.stages, ", "), t.code, strings.Join(t.causes, "; ")), 600)
}

// summaryWarnings are the warnings with what to do, and one line for the remarks.
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
