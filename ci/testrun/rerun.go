package testrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// maxReruns is the largest number of failures for which tests are run again. More failures are not flakiness, and their names
// would not fit on a command line.
const maxReruns = 50

// rerun runs the failed tests again, each time only those that still fail, and returns those that passed.
func (e *execution) rerun(ctx context.Context, found *outcome) ([]string, error) {
	failed := failedTests(found.parts)
	if e.plan.in.Reruns == 0 || len(failed) == 0 {
		return nil, nil
	}
	if found.stopped() {
		e.result.Stage.Add("run again", "nothing: pytest stopped at a failure, so other tests never ran")
		return nil, nil
	}
	if len(failed) > maxReruns {
		e.result.Stage.Add("run again", fmt.Sprintf("nothing: %d tests failed, up to %d are run again", len(failed), maxReruns))
		return nil, nil
	}
	var flaky []string
	for attempt := 1; attempt <= e.plan.in.Reruns && len(failed) > 0; attempt++ {
		passed, err := e.again(ctx, failed, attempt)
		if err != nil {
			return nil, err
		}
		flaky = append(flaky, passed...)
		failed = slices.DeleteFunc(failed, func(id string) bool { return slices.Contains(flaky, id) })
	}
	e.result.Stage.Add("run again", fmt.Sprintf("%d of %d failed tests passed then", len(flaky), len(flaky)+len(failed)))
	return flaky, nil
}

// failedTests returns the failed tests of runs that ended normally; other runs prove nothing.
func failedTests(parts []*part) []string {
	var failed []string
	for _, p := range parts {
		if p.report == nil || p.junitErr != nil || !p.events.ended {
			return nil
		}
		if p.report.Bad() > len(p.report.Failures) {
			return make([]string, p.report.Bad()) // too many to name and to run again
		}
		for _, c := range p.report.Failures {
			failed = append(failed, c.ID())
		}
	}
	return failed
}

// again runs tests in a process of their own, without using a cached result, and returns those that passed.
func (e *execution) again(ctx context.Context, failed []string, attempt int) ([]string, error) {
	in := e.plan.in
	in.Paths, in.Keyword, in.Marker, in.Category, in.Changes, in.Shards = failed, "", "", "", nil, 0
	in.rerun = true
	in.Fresh = fmt.Sprintf("%s, attempt %d", time.Now().UTC().Format(time.RFC3339Nano), attempt)
	plan, err := newPlan(ctx, e.runner, in)
	if err != nil {
		return nil, err
	}
	plan.step.Name = fmt.Sprintf("pytest, failed tests again (%d)", attempt)
	ran, err := e.runner.Run(ctx, plan.step)
	if err != nil {
		return nil, err
	}
	p := &part{name: plan.step.Name, ran: ran}
	if err := p.collect(ctx, e.dir, in); err != nil {
		return nil, err
	}
	if p.eventsErr != nil {
		e.result.Stage.Warn(EventsMissing, "%s: %v", p.name, p.eventsErr)
	}
	whole := p.report != nil && p.junitErr == nil && p.events.ended
	if !whole {
		return nil, nil // killed or timed out: nothing passed
	}
	if len(p.changed) > 0 {
		return nil, nil // the report was altered
	}
	var passed []string
	f, err := os.Open(filepath.Join(p.dir, junitFile))
	if err != nil {
		return nil, fmt.Errorf("open JUnit report: %w", err)
	}
	options := p.events.options()
	options.Each = func(c junit.Case) {
		if c.Outcome == junit.Passed || c.Outcome == junit.Flaky {
			passed = append(passed, c.ID())
		}
	}
	_, err = junit.Parse(f, options)
	return passed, errors.Join(err, f.Close())
}

// markFlaky rewrites the report so that the first failure is that of a flaky test. A run without a report needs no change.
func markFlaky(name string, flaky []string) error {
	marked := map[string]bool{}
	for _, id := range flaky {
		marked[id] = true
	}
	in, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open JUnit report: %w", err)
	}
	out, err := os.OpenFile(name+".marked", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return errors.Join(fmt.Errorf("write JUnit report: %w", err), in.Close())
	}
	err = junit.MarkFlaky(out, in, xmlscan.Limits{}, func(id string) bool { return marked[id] })
	if err = errors.Join(err, out.Close(), in.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".marked", name); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}
