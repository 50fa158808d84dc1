package testrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/coverage"
	"github.com/openstack-rca/openstack-rca/ci/glob"
	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// maxReportBytes limits each report of a run. A larger one is not read at all.
var maxReportBytes = xmlscan.Default().Bytes

// part is one run of the test command: the whole suite or one shard of it.
type part struct {
	// name is empty for the whole suite, otherwise "shard 2 of 4".
	name string
	ran  *runner.Result
	// dir has the fetched reports, which files lists. refused has the reasons for the others.
	dir     string
	files   []string
	refused map[string]error
	events  *events
	// seal is the run's own record of its reports; changed lists the fetched reports that do not match it.
	seal    *seal
	changed []string
	// report is the part's JUnit report; junitErr explains why there is no readable one.
	report   *junit.Report
	junitErr error
	// eventsErr explains why the events, or some of them, cannot be read.
	eventsErr error
	// selected is what the plugin reported about its selection, or nil.
	selected *selection
	// seen are its tests; nil if they are read in another way.
	seen *seen
	// measured is its coverage, if it leaves a complete report.
	measured
	// incomplete is set if the part did not run to its end.
	incomplete bool
}

// measured is the coverage of a run, including that of the tests.
type measured struct {
	coverage *coverage.Report
	// err explains why an existing report cannot be read.
	err error
	// kept is what the report leaves out.
	kept *keptOut
}

// prefix returns the part's name for the start of a message.
func (p *part) prefix() string {
	if p.name == "" {
		return ""
	}
	return p.name + ": "
}

// collect copies the part's reports into a local directory, each as a stream because they may be large, and reads those that
// tell how the part ended.
func (p *part) collect(ctx context.Context, dir string, in Input) error {
	p.dir = dir
	if p.name != "" {
		var err error
		if p.dir, err = os.MkdirTemp(dir, "part-"); err != nil {
			return fmt.Errorf("make directory for reports: %w", err)
		}
	}
	p.events = newEvents()
	if p.ran.Outputs == nil {
		return nil
	}
	if err := p.list(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		// The run left something else there, such as a link out of the directory.
		p.junitErr = fmt.Errorf("list what the run left: %w", &runner.FileError{Path: ".", Err: err})
		return nil
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
	// Must be done before anything is written here again.
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
			if p.name == "" && in.Reruns == 0 {
				// This is the complete report, so it need not be read again.
				p.seen = in.newSeen(p.events)
				options.Each = p.seen.add
			}
			p.report, err = junit.Parse(f, options)
			return err
		}))
	}
	return ctx.Err()
}

// list returns the names of the existing reports.
func (p *part) list(ctx context.Context) error {
	left, err := p.ran.Outputs.List(ctx)
	for _, name := range left {
		if inside, ok := strings.CutPrefix(name, reportDir+"/"); ok {
			p.files = append(p.files, inside)
		}
	}
	return err
}

// readCoverage reads the coverage report of a run, and keeps its HTML pages for the report of the stage.
func (p *part) readCoverage(result *Result) {
	if p.has(coverageFile) {
		p.err = p.open(coverageFile, func(f *os.File) (err error) {
			p.coverage, err = coverage.Parse(f, xmlscan.Limits{})
			return err
		})
		if p.refused[coverageFile] == nil {
			result.attach(coverageFile, filepath.Join(p.dir, coverageFile))
		}
	}
	if p.err == nil && p.has(keptOutFile) {
		p.err = p.open(keptOutFile, func(f *os.File) (err error) { p.kept, err = readKeptOut(f); return err })
	}
	if n := p.pages(); n > maxPages {
		result.Stage.Warn(verdict.CodeReportFile, "%s: %d pages, at most %d are taken over", htmlDir, n, maxPages)
	} else if n > 0 {
		if err := makeInert(filepath.Join(p.dir, htmlDir)); err != nil {
			result.Stage.Warn(verdict.CodeReportFile, "%s: %v", htmlDir, err)
		}
		result.attach(htmlDir, filepath.Join(p.dir, htmlDir))
	}
}

// pages counts the HTML files.
func (p *part) pages() (n int) {
	for _, name := range p.files {
		if isPage(name) {
			n++
		}
	}
	return n
}

// hasFailed reports whether the session ended and had failed tests.
func (p *part) hasFailed() bool {
	return p.events.ended && p.report != nil && len(p.report.CollectionErrors) == 0 && p.report.Bad() > 0
}

// stopped reports whether pytest ended early because of failures: by -x, --maxfail or --stepwise. pytest-xdist reports that
// as an interruption; pytest alone does not.
func (p *part) stopped() bool { return p.hasFailed() && p.events.collected > p.events.finished() }

func (p *part) has(name string) bool { return slices.Contains(p.files, name) }

// fetch copies several reports at once, because each round trip to the engine takes time. A report that is too large is not
// copied.
func (p *part) fetch(ctx context.Context, names ...string) error {
	reports := p.ran.Outputs.Sub(reportDir)
	var wanted, single []string
	for _, name := range names {
		switch {
		case p.has(name):
			single = append(single, name)
		case name == htmlDir && p.pages() <= maxPages:
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

// open reads one fetched report.
func (p *part) open(name string, read func(*os.File) error) error {
	if err := p.refused[name]; err != nil {
		return fmt.Errorf("open %s: %w", name, err)
	}
	local := filepath.Join(p.dir, name)
	info, err := os.Lstat(local)
	if err == nil && !info.Mode().IsRegular() {
		// For example a link to a local file.
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
