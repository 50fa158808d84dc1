package publish

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// operation is one operation on the servers, with what to report about it.
type operation struct {
	*connection
	stage *verdict.Stage
	// at is the current phase of the protocol; visible is what others can see so far.
	at      phase
	visible []string
}

// operate runs an operation and judges it, unless the input already has problems. The result lists everything that was
// published.
func operate(ctx context.Context, in Input, wrong []*verdict.Problem, run func(*operation) error) verdict.Stage {
	started := time.Now()
	connection, problems := in.connect(ctx, true)
	o := &operation{connection: connection, stage: &verdict.Stage{Name: verdict.Publish}}
	if problems = append(problems, wrong...); len(problems) == 0 {
		err := run(o)
		// No decision depends on the clock, but a wrong clock also makes the times in the records wrong.
		if skew := o.skew(); skew != "" {
			o.stage.Warn(CodeClockOff, "%s", skew)
		}
		for _, leftover := range o.ledger.Warnings() {
			o.stage.Warn(CodeLeftover, "%s", leftover)
		}
		if err != nil {
			found := problem(ctx, o.at, err)
			found.Published = o.visible
			problems = append(problems, found)
		}
	}
	if in.Model == nil {
		sameAgain(problems...)
	}
	o.stage.Judge(problems...)
	if len(problems) == 0 {
		o.stage.Published = o.visible
	}
	hide(o.stage, o.redact)
	o.stage.Took(started)
	return *o.stage
}

// sameAgain adapts remedies to an operation that publishes nothing, because publishing could undo the very move that failed.
func sameAgain(problems ...*verdict.Problem) {
	for _, p := range problems {
		next := strings.ReplaceAll(cmp.Or(p.Next, p.Code.Remedy), again+", without uploading again", "run the same again")
		p.Next = strings.NewReplacer(again, "run the same again", "run publish again", "run the same again").Replace(next)
	}
}

// show records what others can see from now on.
func (o *operation) show(format string, args ...any) {
	o.visible = append(o.visible, fmt.Sprintf(format, args...))
}

// hide masks credentials in everything that is reported.
func hide(s *verdict.Stage, redact func(string) string) {
	mask := func(list []verdict.Finding) {
		for i := range list {
			list[i].Cause, list[i].Next = redact(list[i].Cause), redact(list[i].Next)
			for j := range list[i].Details {
				list[i].Details[j] = redact(list[i].Details[j])
			}
		}
	}
	s.Cause, s.Next = redact(s.Cause), redact(s.Next)
	mask(s.Problems)
	mask(s.Warnings)
	s.Published = slices.Clone(s.Published)
	for i := range s.Published {
		s.Published[i] = redact(s.Published[i])
	}
	for i := range s.Evidence {
		s.Evidence[i].Value = redact(s.Evidence[i].Value)
	}
	for _, block := range s.Blocks {
		for _, row := range block.Table.Rows {
			for i := range row {
				row[i] = redact(row[i])
			}
		}
	}
}
