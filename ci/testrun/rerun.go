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
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// maxReruns is with how many failures tests are still run again: more are not flaky, they
// are broken, and their names would not fit on a command line.
const maxReruns = 50

// rerun runs the failed tests again, each time those that still fail, and marks those that
// passed as flaky in the report.
func (s *session) rerun(ctx context.Context, r runner.Runner) error {
	failed := s.failedTests()
	if s.in.Reruns == 0 || len(failed) == 0 {
		return nil
	}
	if s.stopped() {
		s.result.Stage.Add("run again", "nothing: pytest stopped at a failure, so other tests never ran")
		return nil
	}
	if len(failed) > maxReruns {
		s.result.Stage.Add("run again", fmt.Sprintf("nothing: %d tests failed, up to %d are run again", len(failed), maxReruns))
		return nil
	}
	s.flaky = map[string]bool{}
	for attempt := 1; attempt <= s.in.Reruns && len(failed) > 0; attempt++ {
		passed, err := s.again(ctx, r, failed, attempt)
		if err != nil {
			return err
		}
		for _, id := range passed {
			s.flaky[id] = true
		}
		failed = slices.DeleteFunc(failed, func(id string) bool { return s.flaky[id] })
	}
	s.result.Stage.Add("run again", fmt.Sprintf("%d of %d failed tests passed then", len(s.flaky), len(s.flaky)+len(failed)))
	if len(s.flaky) == 0 {
		return nil
	}
	return s.markFlaky()
}

// failedTests are the tests that failed in runs that came to their end; of others nothing
// is sure.
func (s *session) failedTests() []string {
	var failed []string
	for _, p := range s.parts {
		if p.report == nil || p.junitErr != nil || !p.events.ended {
			return nil
		}
		if p.report.Bad() > len(p.report.Failures) {
			return make([]string, p.report.Bad()) // too many to name, and to run again
		}
		for _, c := range p.report.Failures {
			failed = append(failed, c.ID())
		}
	}
	return failed
}

// again runs tests in a process of their own, never from a cache, and says which passed.
func (s *session) again(ctx context.Context, r runner.Runner, failed []string, attempt int) ([]string, error) {
	in := s.in
	in.Paths, in.Keyword, in.Marker, in.Category, in.Changes, in.Shards = failed, "", "", "", nil, 0
	in.rerun = true
	in.Fresh = fmt.Sprintf("%s, attempt %d", time.Now().UTC().Format(time.RFC3339Nano), attempt)
	plan, err := newPlan(ctx, r, in)
	if err != nil {
		return nil, err
	}
	plan.step.Name = fmt.Sprintf("pytest, failed tests again (%d)", attempt)
	ran, err := r.Run(ctx, plan.step)
	if err != nil {
		return nil, err
	}
	p := &part{name: plan.step.Name, ran: ran}
	if err := s.collect(ctx, p); err != nil {
		return nil, err
	}
	if p.eventsErr != nil {
		s.result.Stage.Warn(EventsMissing, "%s: %v", p.name, p.eventsErr)
	}
	whole := p.report != nil && p.junitErr == nil && p.events.ended
	if !whole {
		return nil, nil // killed, or out of time: nothing passed
	}
	if len(p.changed) > 0 {
		return nil, nil // its report is not what the run left
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

// markFlaky rewrites the report: the first failure stays in it, as that of a flaky test.
func (s *session) markFlaky() error {
	name := filepath.Join(s.dir, junitFile)
	in, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("open JUnit report: %w", err)
	}
	out, err := os.OpenFile(name+".marked", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return errors.Join(fmt.Errorf("write JUnit report: %w", err), in.Close())
	}
	err = junit.MarkFlaky(out, in, xmlscan.Limits{}, func(id string) bool { return s.flaky[id] })
	if err = errors.Join(err, out.Close(), in.Close()); err != nil {
		return err
	}
	if err := os.Rename(name+".marked", name); err != nil {
		return fmt.Errorf("write JUnit report: %w", err)
	}
	return nil
}
