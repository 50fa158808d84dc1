package testrun

import (
	"fmt"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// judgeChange measures the coverage of the lines that the change altered. It fails nothing: the gates are of
// the whole.
func judgeChange(r *Result, base *Base, selective bool) {
	switch {
	case base == nil:
		return
	case base.Unknown != "":
		r.Stage.Warn(LinesUnknown, "%s", base.Unknown)
		return
	case selective:
		return // other tests may execute them
	}
	part := base.Lines.Of(r.Coverage)
	rate := part.Totals().LineRate()
	if rate.Whole == 0 {
		r.Stage.Add("line coverage of the change", "no executable line differs from "+base.Since)
		return
	}
	r.Stage.Add("line coverage of the change", fmt.Sprintf("%s (%d of %d lines since %s)", rate, rate.Part, rate.Whole, base.Since))
	r.Stage.Measure(verdict.MeasureCoverage, "changed", float64(rate.Part)/float64(rate.Whole), nil)
	if rate.Part == rate.Whole {
		return
	}
	r.Stage.Warn(LinesUncovered, "%d of %d lines that differ from %s", rate.Whole-rate.Part, rate.Whole, base.Since)
	warning := &r.Stage.Warnings[len(r.Stage.Warnings)-1]
	for _, f := range byMissing(part, false) {
		noteChange(&r.Stage, f)
		for _, l := range f.Lines {
			if !l.Hit {
				// As a place in a file: a code host shows it beside the line.
				warning.Details = append(warning.Details, fmt.Sprintf("%s:%d: no test executes line %s", f.Path, l.Number,
					xmlscan.Clip(f.Missing(), 200)))
				break
			}
		}
	}
}
