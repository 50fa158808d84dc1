package testrun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/runner"
)

// outcome is the combined result of all runs of the test command.
type outcome struct {
	// parts are the runs of the test command: one, or one per shard.
	parts []*part
	// ran and events are those of all parts together.
	ran    *runner.Result
	events *events
	// junitErr explains why an existing report cannot be read.
	junitErr error
	measured
	// flaky are tests that passed when they were run again, by id.
	flaky []string
	// groups are the categories with their counts.
	groups []category
	// selected is what the plugin reported about a selection by changes, or nil.
	selected *selectedFiles
	// selective is set if only a part of the suite ran.
	selective bool
}

func (o *outcome) stopped() bool { return slices.ContainsFunc(o.parts, (*part).stopped) }

// execution carries out what was planned.
type execution struct {
	runner runner.Runner
	plan   *plan
	// result receives the files of the report and the findings about the runs themselves.
	result *Result
	dir    string
}

// execute runs the tests and reads the reports.
func execute(ctx context.Context, r runner.Runner, p *plan, result *Result) (*outcome, error) {
	dir, err := result.makeScratch(p.in.Scratch)
	if err != nil {
		return nil, err
	}
	e := &execution{runner: r, plan: p, result: result, dir: dir}
	found, err := e.runParts(ctx)
	if err != nil {
		return nil, err
	}
	if err := e.unite(ctx, found); err != nil {
		return nil, err
	}
	found.selected = selectedBy(found.parts, p)
	found.selective = p.in.Selective() || found.selected.some()
	again, err := e.rerun(ctx, found)
	if err != nil {
		return nil, err
	}
	// A plugin's rerun leaves the failed subtests of the first attempt in the report (findings/pytest-reruns-*.sh).
	found.flaky = slices.Concat(again, found.events.flaky())
	if len(found.flaky) > 0 && found.junitErr == nil {
		if err := markFlaky(filepath.Join(e.dir, junitFile), found.flaky); err != nil {
			return nil, err
		}
	}
	e.readTests(ctx, found)
	if result.JUnit == nil {
		attachPartial(result, found.events, dir)
	}
	return found, nil
}

// makeScratch makes a directory for the files of the report.
func (r *Result) makeScratch(given string) (string, error) {
	var err error
	if r.Scratch = given; given == "" {
		if r.Scratch, err = os.MkdirTemp("", "openstack-rca-test-"); err != nil {
			return "", fmt.Errorf("make directory for reports: %w", err)
		}
	}
	dir, err := os.MkdirTemp(r.Scratch, "test-")
	if err != nil {
		return "", fmt.Errorf("make directory for reports: %w", err)
	}
	return dir, nil
}

// runParts runs the test command, shards concurrently, and reads the reports of each run.
func (e *execution) runParts(ctx context.Context) (*outcome, error) {
	in := e.plan.in
	if in.Shards < 2 {
		ran, err := e.runner.Run(ctx, e.plan.step)
		if err != nil {
			return nil, err
		}
		whole := &part{ran: ran}
		if err := whole.collect(ctx, e.dir, in); err != nil {
			return nil, err
		}
		whole.readCoverage(e.result)
		return &outcome{parts: []*part{whole}, ran: ran, measured: whole.measured}, nil
	}
	parts := make([]*part, in.Shards)
	failed := make([]error, in.Shards)
	var group sync.WaitGroup
	for i := range parts {
		parts[i] = &part{name: fmt.Sprintf("shard %d of %d", i+1, in.Shards)}
		one := in
		one.shard = i
		group.Go(func() {
			plan, err := newPlan(ctx, e.runner, one)
			if err == nil {
				plan.step.Name = fmt.Sprintf("pytest, shard %d", i+1)
				parts[i].ran, err = e.runner.Run(ctx, plan.step)
			}
			if err == nil {
				err = parts[i].collect(ctx, e.dir, in)
			}
			failed[i] = err
		})
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return nil, err // if several failed to start, the first error is representative
		}
	}
	return &outcome{parts: parts, ran: together(parts)}, nil
}

// unite merges the JUnit and coverage reports of the parts.
func (e *execution) unite(ctx context.Context, found *outcome) error {
	found.events = found.parts[0].events
	if len(found.parts) == 1 {
		found.junitErr = found.parts[0].junitErr
		return nil
	}
	found.events = newEvents()
	found.events.ended = true
	for _, p := range found.parts {
		found.events.join(p.events)
		found.events.ended = found.events.ended && p.events.ended
	}
	found.junitErr = uniteTests(found.parts, e.dir)
	return e.uniteCoverage(ctx, found)
}

// readTests reads the tests of all parts, marks the flaky ones, and sorts them into the categories.
func (e *execution) readTests(ctx context.Context, found *outcome) {
	name := filepath.Join(e.dir, junitFile)
	first := found.parts[0]
	if found.junitErr != nil || first.report == nil && len(found.parts) == 1 {
		if _, err := os.Stat(name); err == nil {
			e.result.attach(junitFile, name)
		}
		return
	}
	tests := first.seen
	if tests != nil {
		e.result.JUnit = first.report
	} else {
		tests = e.plan.in.newSeen(found.events)
		e.result.JUnit, found.junitErr = readUnited(name, found.events, tests)
		if errors.Is(found.junitErr, os.ErrNotExist) {
			found.junitErr = nil // no shard left a report
			return
		}
	}
	if found.junitErr == nil {
		found.groups = tests.groups.all()
		dedupe(e.result.JUnit)
		tests.spans.emit(ctx, found.events)
	}
	e.result.attach(junitFile, name)
}

// readUnited reads the merged report of several runs.
func readUnited(name string, events *events, tests *seen) (*junit.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open JUnit report: %w", err)
	}
	options := events.options()
	options.Each = tests.add
	report, err := junit.Parse(f, options)
	return report, errors.Join(err, f.Close())
}

// seen collects what is needed of the tests while a report is read.
type seen struct {
	groups *groups
	spans  *spans
}

// newSeen sorts tests into the categories. A selected category comes first, because a test belongs to the first category that
// it matches.
func (in Input) newSeen(e *events) *seen {
	categories := in.Config.Test.Categories
	if asked, ok := in.asked(); ok {
		others := slices.DeleteFunc(slices.Clone(categories), func(c config.Category) bool { return c.Name == asked.Name })
		categories = append([]config.Category{asked}, others...)
	}
	return &seen{groups: newGroups(categories, e), spans: &spans{}}
}

func (s *seen) add(c junit.Case) {
	s.groups.add(c)
	s.spans.add(c)
}

// attachPartial writes what the events tell about a run that left no JUnit report.
func attachPartial(result *Result, events *events, dir string) {
	if len(events.order) == 0 {
		return
	}
	name := "junit-incomplete.xml"
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(0o644))
	if err == nil {
		err = errors.Join(junit.Write(f, "incomplete", events.cases()), f.Close())
	}
	if err != nil {
		result.Stage.Warn(EventsMissing, "write %s: %v", name, err)
		return
	}
	result.attach(name, filepath.Join(dir, name))
}
