package testrun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/pyenv"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// Run runs the tests and judges them. It always returns a result; what went wrong is
// in its stage's verdict, all of it at once. It changes nothing outside of in.Scratch.
func Run(ctx context.Context, r runner.Runner, in Input) *Result {
	started := time.Now()
	s := &session{in: in, result: &Result{Stage: verdict.Stage{Name: verdict.Test}}}
	s.run(ctx, r)
	s.result.problems = s.problems
	s.result.Stage.Judge(s.problems...)
	s.result.Stage.Took(started)
	return s.result
}

// maxReportBytes bounds each report of a run. A larger one is not read at all.
var maxReportBytes = xmlscan.Default().Bytes

// session is the state of one Run.
type session struct {
	in       Input
	result   *Result
	plan     *plan
	problems []*verdict.Problem
	// source are the names of all its files.
	source []string

	// parts are the runs of the test command: one, or one for each shard.
	parts []*part
	// ran and events are those of all parts together.
	ran    *runner.Result
	events *events
	dir    string
	// junitErr and coverageErr say why a report that exists cannot be read.
	junitErr, coverageErr error
	// measured is the coverage of everything, tests included.
	measured *coverage.Report
	// tests are the measured files that count in no total, kept is what the report does not hold.
	tests             *coverage.Report
	kept              *keptOut
	leftOutOfCoverage *verdict.Block
	// flaky are the tests that passed when they were run again, by id.
	flaky map[string]bool
	// seen are the tests of the whole report; nil until it is read.
	seen *seen
	// groups are the categories with their counts.
	groups []category
	// selected is what the plugin told of a selection by changes; nil without one.
	selected *selectedFiles
}

// fail adds a problem.
func (s *session) fail(code verdict.Code, format string, args ...any) {
	_ = s.problem(code, format, args...)
}

// problem adds a problem and returns it, for its details.
func (s *session) problem(code verdict.Code, format string, args ...any) *verdict.Problem {
	p := verdict.Problemf(code, format, args...)
	s.problems = append(s.problems, p)
	return p
}

func (s *session) run(ctx context.Context, r runner.Runner) {
	if !s.prepare(ctx, r) {
		return
	}
	if err := s.execute(ctx, r); err != nil {
		s.unable(ctx, err)
		return
	}
	s.judgeRun()
	s.judgeCoverage()
	s.report()
}

// execute runs the tests and reads what they left.
func (s *session) execute(ctx context.Context, r runner.Runner) error {
	if err := s.makeScratch(); err != nil {
		return err
	}
	if err := s.runParts(ctx, r); err != nil {
		return err
	}
	if err := s.unite(ctx, r); err != nil {
		return err
	}
	s.readSelection()
	if err := s.rerun(ctx, r); err != nil {
		return err
	}
	return s.readTests(ctx)
}

// prepare checks the source and plans the step.
func (s *session) prepare(ctx context.Context, r runner.Runner) bool {
	if s.in.Source == nil {
		s.fail(SourceEmpty, "no source was given")
		return false
	}
	names, err := s.in.Source.List(ctx)
	if err != nil {
		s.unable(ctx, fmt.Errorf("list source: %w", err))
		return false
	}
	if len(names) == 0 {
		s.fail(SourceEmpty, "the source holds no files")
		return false
	}
	s.source = names
	if !slices.ContainsFunc(names, func(name string) bool { return strings.HasSuffix(name, ".py") }) {
		s.fail(SourceNotPython, "none of the source's %d files ends in .py (the first is %s)", len(names), names[0])
		return false
	}
	if wrong := s.in.check(); len(wrong) > 0 {
		for _, cause := range wrong {
			s.fail(ArgumentInvalid, "%s", cause)
		}
		return false
	}
	if s.in.Shards > 1 {
		if s.in.durations, err = readDurations(ctx, s.in); err != nil {
			s.result.Stage.Warn(DurationsUnused, "%v", err)
		}
	}
	s.plan, err = newPlan(ctx, r, s.in)
	var problem *verdict.Problem
	if errors.As(err, &problem) {
		s.problems = append(s.problems, problem)
		return false
	}
	if err != nil {
		s.unable(ctx, err)
		return false
	}
	if s.plan.nothing {
		s.fail(NoTests, "no file belongs to the category %s", s.in.Category)
		return false
	}
	for _, f := range slices.Concat(s.plan.project.Findings, s.plan.built.Findings) {
		s.result.Stage.WarnNext(f.Code, f.Next, "%s", f.Cause)
	}
	return true
}

// unable records that the stage could not do its work.
func (s *session) unable(ctx context.Context, err error) {
	var environment *runner.EnvironmentError
	var service *runner.StartError
	var file *runner.FileError
	problem := runner.Problem(err)
	switch {
	case ctx.Err() != nil:
		s.fail(Cancelled, "%v", context.Cause(ctx))
	case problem != nil:
		s.problems = append(s.problems, problem)
	case errors.As(err, &environment):
		p := s.problem(EnvironmentFailed, "%v", environment)
		p.Next, p.Details = pyenv.PythonNext(environment.Output), safetext.LastLines(environment.Output, 30)
	case errors.As(err, &service):
		s.problem(ServiceFailed, "%v", service).Details = safetext.LastLines(service.Logs, 30)
	case errors.As(err, &file) && strings.HasPrefix(file.Path, reportDir+"/"):
		// The run made it, and the next run would make it again.
		p := s.problem(runner.CodeOutputUnusable, "the run left %s, which no report can hold: %v", file.Path, file.Err)
		p.Next = "Find the test or the plugin that makes this file, and let it make it in a directory of its own (tmp_path)"
		p.Details = safetext.LastLines(err.Error(), shown)
	default:
		s.fail(Internal, "%v", err)
	}
}

// makeScratch makes the directory for the files of the report.
func (s *session) makeScratch() error {
	if s.in.Scratch == "" {
		dir, err := os.MkdirTemp("", "openstack-rca-test-")
		if err != nil {
			return fmt.Errorf("make directory for reports: %w", err)
		}
		s.in.Scratch = dir
	}
	s.result.Scratch = s.in.Scratch
	var err error
	if s.dir, err = os.MkdirTemp(s.in.Scratch, "test-"); err != nil {
		return fmt.Errorf("make directory for reports: %w", err)
	}
	return nil
}

// collect brings the reports of one part into this process's file system, as a stream
// each, since they may be large, and reads those that say how the part ended. The parts of one
// run are collected side by side, each as soon as it ended: of the session it changes
// nothing that two of them share.
func (s *session) collect(ctx context.Context, p *part) error {
	p.dir = s.dir
	if p.name != "" {
		var err error
		if p.dir, err = os.MkdirTemp(s.dir, "part-"); err != nil {
			return fmt.Errorf("make directory for reports: %w", err)
		}
	}
	p.events = newEvents()
	if p.ran.Outputs == nil {
		return nil
	}
	left, err := p.ran.Outputs.List(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		// The run made it, such as a link that leads out of the folder.
		p.junitErr = fmt.Errorf("list what the run left: %w", &runner.FileError{Path: ".", Err: err})
		return nil
	}
	for _, name := range left {
		if inside, ok := strings.CutPrefix(name, reportDir+"/"); ok {
			p.files = append(p.files, inside)
		}
	}
	if len(p.files) == 0 {
		return nil
	}
	files := []string{eventsFile, selectionFile, junitFile}
	if p.name == "" {
		files = append(files, coverageFile, keptOutFile, htmlDir)
	}
	if err := p.fetch(ctx, files...); err != nil {
		return err
	}
	// Before anything of it is written here again.
	if p.seal = readSeal(p.ran.Stdout); p.seal != nil {
		p.changed = p.seal.check(p, files...)
	}
	if p.has(eventsFile) {
		p.eventsErr = p.open(eventsFile, func(f *os.File) (err error) { p.events, err = readEvents(f); return err })
	}
	if p.has(selectionFile) {
		if err := p.open(selectionFile, func(f *os.File) (err error) { p.selected, err = readSelected(f); return err }); err != nil {
			p.junitErr = fmt.Errorf("read what was selected: %w", err)
		}
	}
	if p.has(junitFile) {
		p.junitErr = errors.Join(p.junitErr, p.open(junitFile, func(f *os.File) (err error) {
			options := p.events.options()
			if p.name == "" && s.in.Reruns == 0 {
				// This is the whole report: it need not be read a second time.
				s.seen = s.in.newSeen(p.events)
				options.Each = s.seen.add
			}
			p.report, err = junit.Parse(f, options)
			return err
		}))
	}
	if p.name == "" {
		s.collectCoverage(p)
	}
	return ctx.Err()
}

// collectCoverage reads the coverage report that a run left, and keeps its pages.
func (s *session) collectCoverage(p *part) {
	if p.has(coverageFile) {
		s.coverageErr = p.open(coverageFile, func(f *os.File) (err error) {
			s.measured, err = coverage.Parse(f, xmlscan.Limits{})
			return err
		})
		if p.refused[coverageFile] == nil {
			s.attach(coverageFile, filepath.Join(p.dir, coverageFile))
		}
	}
	if s.coverageErr == nil && p.has(keptOutFile) {
		s.coverageErr = p.open(keptOutFile, func(f *os.File) (err error) { s.kept, err = readKeptOut(f); return err })
	}
	if slices.ContainsFunc(p.files, isPage) {
		if err := makeInert(filepath.Join(p.dir, htmlDir)); err != nil {
			s.result.Stage.Warn(verdict.CodeReportFile, "%s: %v", htmlDir, err)
			return
		}
		s.attach(htmlDir, filepath.Join(p.dir, htmlDir))
	}
}

func (p *part) has(name string) bool { return slices.Contains(p.files, name) }

// fetch brings what there is of some reports here, all at once: each way to the engine and
// back takes its time. A report that is too large stays where it is.
func (p *part) fetch(ctx context.Context, names ...string) error {
	reports := p.ran.Outputs.Sub(reportDir)
	var wanted, single []string
	for _, name := range names {
		switch {
		case p.has(name):
			single = append(single, name)
		case name == htmlDir:
			for _, file := range p.files {
				if isPage(file) {
					wanted = append(wanted, glob.Escape(file))
				}
			}
		}
	}
	problems := make([]error, len(single))
	var group sync.WaitGroup
	for i, name := range single {
		group.Go(func() {
			size, err := reports.Size(ctx, name)
			if err == nil && size > maxReportBytes {
				err = fmt.Errorf("%d bytes, at most %d are allowed: %w", size, maxReportBytes, runner.ErrTooLarge)
			}
			problems[i] = err
		})
	}
	group.Wait()
	p.refused = map[string]error{}
	for i, name := range single {
		if problems[i] != nil {
			p.refused[name] = problems[i]
		} else {
			wanted = append(wanted, name)
		}
	}
	if len(wanted) == 0 {
		return ctx.Err()
	}
	if err := reports.Filter(wanted, nil).Export(ctx, p.dir); err != nil {
		return fmt.Errorf("export %s: %w", strings.Join(wanted, ", "), err)
	}
	return ctx.Err()
}

// open reads one report that was fetched.
func (p *part) open(name string, read func(*os.File) error) error {
	if err := p.refused[name]; err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	local := filepath.Join(p.dir, name)
	info, err := os.Lstat(local)
	if err == nil && !info.Mode().IsRegular() {
		// Such as a link to a file of this process.
		err = &runner.FileError{Path: reportDir + "/" + name, Err: errors.New("it is not a regular file")}
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	f, err := os.Open(local)
	if err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	return errors.Join(read(f), f.Close())
}

// attach adds a file or directory of this process's file system to the report.
func (s *session) attach(name, local string) {
	s.result.Stage.Files = append(s.result.Stage.Files, verdict.ReportFile{Path: path.Join(verdict.Test, name), Local: local})
}

// attachPartial writes what the events tell of a run that left no JUnit report.
func (s *session) attachPartial() {
	if len(s.events.order) == 0 {
		return
	}
	name := "junit-incomplete.xml"
	f, err := os.OpenFile(filepath.Join(s.dir, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(0o644))
	if err == nil {
		err = errors.Join(junit.Write(f, "incomplete", s.events.cases()), f.Close())
	}
	if err != nil {
		s.result.Stage.Warn(EventsMissing, "write %s: %v", name, err)
		return
	}
	s.attach(name, filepath.Join(s.dir, name))
}
