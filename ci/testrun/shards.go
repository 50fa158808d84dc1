package testrun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// part is one run of the test command: the whole suite, or one shard of it.
type part struct {
	// name is empty for the whole suite, else "shard 2 of 4".
	name string
	ran  *runner.Result
	// dir is where the reports are that were fetched, of those in files. Why the others were
	// not is in refused.
	dir     string
	files   []string
	refused map[string]error
	events  *events
	// seal is what the run printed of its reports, changed what is wrong with those that were fetched.
	seal    *seal
	changed []string
	// report is the part's own; junitErr says why there is none that can be read.
	report   *junit.Report
	junitErr error
	// eventsErr says why the events, or some of them, cannot be read.
	eventsErr error
	// selected is what the plugin told of its selection; nil without one.
	selected *selection
	// incomplete means that the part did not come to its end.
	incomplete bool
}

// prefix names the part at the begin of a message.
func (p *part) prefix() string {
	if p.name == "" {
		return ""
	}
	return p.name + ": "
}

// runParts runs the test command, shards side by side, and reads what each left.
func (s *session) runParts(ctx context.Context, r runner.Runner) error {
	if s.in.Shards < 2 {
		ran, err := r.Run(ctx, s.plan.step)
		s.parts, s.ran = []*part{{ran: ran}}, ran
		if err != nil {
			return err
		}
		return s.collect(ctx, s.parts[0])
	}
	s.parts = make([]*part, s.in.Shards)
	failed := make([]error, s.in.Shards)
	var group sync.WaitGroup
	for i := range s.parts {
		s.parts[i] = &part{name: fmt.Sprintf("shard %d of %d", i+1, s.in.Shards)}
		in := s.in
		in.shard = i
		group.Go(func() {
			plan, err := newPlan(ctx, r, in)
			if err == nil {
				plan.step.Name = fmt.Sprintf("pytest, shard %d", i+1)
				s.parts[i].ran, err = r.Run(ctx, plan.step)
			}
			if err == nil {
				err = s.collect(ctx, s.parts[i])
			}
			failed[i] = err
		})
	}
	group.Wait()
	for _, err := range failed {
		if err != nil {
			return err // of several failures to start, the first is like the others
		}
	}
	s.ran = together(s.parts)
	return nil
}

// together is what the report says of all shards.
func together(parts []*part) *runner.Result {
	all := &runner.Result{Started: parts[0].ran.Started}
	for _, p := range parts {
		all.Seconds = max(all.Seconds, p.ran.Seconds)
		all.TimedOut = all.TimedOut || p.ran.TimedOut
		// A shard may have nothing to do.
		if p.ran.ExitCode != exitNone {
			all.ExitCode = max(all.ExitCode, p.ran.ExitCode)
		}
		if p.ran.Started.Before(all.Started) {
			all.Started = p.ran.Started
		}
		all.Stdout += "--- " + p.name + "\n" + strings.Join(safetext.LastLines(unsealed(p.ran.Stdout), 25), "\n") + "\n"
		if p.ran.Stderr != "" {
			all.Stderr += "--- " + p.name + "\n" + strings.Join(safetext.LastLines(p.ran.Stderr, 25), "\n") + "\n"
		}
	}
	return all
}

// unite makes one JUnit report and one coverage report of those of the parts.
func (s *session) unite(ctx context.Context, r runner.Runner) error {
	s.events = s.parts[0].events
	if len(s.parts) == 1 {
		s.junitErr = s.parts[0].junitErr
		return nil
	}
	s.events = newEvents()
	s.events.ended = true
	for _, p := range s.parts {
		s.events.join(p.events)
		s.events.ended = s.events.ended && p.events.ended
	}
	if err := s.uniteTests(); err != nil {
		s.junitErr = err
	}
	return s.uniteCoverage(ctx, r)
}

// uniteTests merges the JUnit reports that there are.
func (s *session) uniteTests() (err error) {
	var documents []io.Reader
	for _, p := range s.parts {
		if p.report == nil || p.junitErr != nil {
			continue
		}
		f, err := os.Open(filepath.Join(p.dir, junitFile))
		if err != nil {
			return fmt.Errorf("merge JUnit reports: %w", err)
		}
		defer func() { err = errors.Join(err, f.Close()) }()
		documents = append(documents, f)
	}
	if len(documents) == 0 {
		return nil
	}
	merged, err := os.OpenFile(filepath.Join(s.dir, junitFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("merge JUnit reports: %w", err)
	}
	return errors.Join(junit.Merge(merged, xmlscan.Limits{}, documents...), merged.Close())
}

// uniteCoverage lets coverage.py unite the data of the shards and write the reports, in
// the environment of the tests. Without the data of every shard there is nothing to unite.
func (s *session) uniteCoverage(ctx context.Context, r runner.Runner) error {
	spec := struct {
		Data        string            `json:"data"`
		Parts       []string          `json:"parts"`
		Digests     map[string]string `json:"digests"`
		Directories []string          `json:"directories"`
		XML         string            `json:"xml"`
		HTML        string            `json:"html"`
	}{
		Data: path.Join(reportDir, dataFile), XML: path.Join(reportDir, coverageFile), HTML: path.Join(reportDir, htmlDir),
		Directories: []string{}, Digests: map[string]string{},
	}
	step := s.plan.step
	step.Inputs = slices.Clone(step.Inputs[:1])
	for i, p := range s.parts {
		if !p.has(dataFile) {
			return nil
		}
		at := path.Join(controlDir, fmt.Sprint(i))
		step.Inputs = append(step.Inputs, runner.Mount{Path: at, Files: p.ran.Outputs.Sub(reportDir).Filter([]string{dataFile}, nil)})
		spec.Parts = append(spec.Parts, path.Join(at, dataFile))
		if p.seal != nil && p.seal.digests[dataFile] != "" {
			spec.Digests[path.Join(at, dataFile)] = p.seal.digests[dataFile]
		}
		if d := p.events.directory; d != "" && !slices.Contains(spec.Directories, d) {
			spec.Directories = append(spec.Directories, d)
		}
	}
	content, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("describe the union of coverage: %w", err)
	}
	step.Inputs = append(step.Inputs, runner.Mount{Path: controlDir, Files: r.NewFiles(map[string][]byte{"merge.json": content})})
	step.Name = "coverage of all shards"
	// -I keeps the current directory, the project's, out of the search for modules; -P, which says
	// just that, is not known to Python 3.10.
	step.Args = []string{"python", "-I", "-m", "openstack_rca_merge", path.Join(controlDir, "merge.json")}
	step.Vars, step.Services, step.Needs = nil, nil, nil
	step.Timeout = 10 * time.Minute
	ran, err := r.Run(ctx, step)
	if err != nil {
		return err
	}
	if ran.ExitCode != 0 {
		s.coverageErr = fmt.Errorf("unite the coverage of %d shards: exit code %d: %s", len(s.parts), ran.ExitCode,
			lastError(ran.Stdout+"\n"+ran.Stderr))
		return nil
	}
	s.ran.Stdout += "--- " + step.Name + "\n" + ran.Stdout
	union := &part{name: step.Name, ran: ran, dir: s.dir}
	left, err := ran.Outputs.List(ctx)
	if err != nil {
		return fmt.Errorf("list coverage reports: %w", err)
	}
	for _, name := range left {
		if inside, ok := strings.CutPrefix(name, reportDir+"/"); ok {
			union.files = append(union.files, inside)
		}
	}
	if err := union.fetch(ctx, coverageFile, keptOutFile, htmlDir); err != nil {
		return err
	}
	s.collectCoverage(union)
	return nil
}

// readTests reads the tests of all parts, with those that were flaky as such, and sorts
// them into the categories.
func (s *session) readTests(ctx context.Context) error {
	name := filepath.Join(s.dir, junitFile)
	if s.junitErr != nil || s.parts[0].report == nil && len(s.parts) == 1 {
		if _, err := os.Stat(name); err == nil {
			s.attach(junitFile, name)
		}
		return nil
	}
	if s.seen != nil {
		s.result.JUnit = s.parts[0].report
	} else if err := s.readUnited(name); errors.Is(err, os.ErrNotExist) {
		return nil // no shard left a report
	} else if err != nil {
		s.junitErr = err
	}
	if s.junitErr == nil {
		s.groups = s.seen.groups.all()
		dedupe(s.result.JUnit)
		s.seen.spans.emit(ctx, s.events)
	}
	s.attach(junitFile, name)
	return nil
}

// readUnited reads the report of several runs.
func (s *session) readUnited(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("open JUnit report: %w", err)
	}
	s.seen = s.in.newSeen(s.events)
	options := s.events.options()
	options.Each = s.seen.add
	s.result.JUnit, err = junit.Parse(f, options)
	return errors.Join(err, f.Close())
}

// seen are what is kept of the tests of a report as they go by.
type seen struct {
	groups *groups
	spans  *spans
}

// newSeen sorts tests into the categories; a category that was asked for comes first, for
// a test belongs to the first one that it matches.
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

// dedupe takes files out that several shards could not load.
func dedupe(r *junit.Report) {
	seen := map[string]bool{}
	r.CollectionErrors = slices.DeleteFunc(r.CollectionErrors, func(c junit.Case) bool {
		again := seen[c.ID()]
		seen[c.ID()] = true
		return again
	})
}

// checkPartition says what is wrong with the shards' selections: every test must belong to
// exactly one of them.
func checkPartition(parts []*part) []string {
	var wrong []string
	all, mine := map[string]int{}, map[string]int{}
	for _, p := range parts {
		if p.selected == nil || p.selected.Shard == nil {
			return []string{p.name + " did not tell what it selected"}
		}
		for name, counts := range p.selected.Shard.Files {
			if before, known := all[name]; known && before != counts[0] {
				wrong = append(wrong, fmt.Sprintf("shards disagree about %s: %d and %d tests", name, before, counts[0]))
			}
			all[name] = counts[0]
			mine[name] += counts[1]
		}
	}
	for _, p := range parts {
		for _, name := range p.selected.Shard.Ignored {
			if _, loaded := all[name]; !loaded {
				wrong = append(wrong, fmt.Sprintf("%s was loaded by no shard", name))
				all[name] = 0
			}
		}
	}
	for name, want := range all {
		if mine[name] != want {
			wrong = append(wrong, fmt.Sprintf("%s has %d tests, the shards ran %d", name, want, mine[name]))
		}
	}
	slices.Sort(wrong)
	return wrong
}
