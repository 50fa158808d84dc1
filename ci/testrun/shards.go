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
	"time"

	"github.com/openstack-rca/openstack-rca/ci/junit"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/xmlscan"
)

// together describes all shards in the report.
func together(parts []*part) *runner.Result {
	all := &runner.Result{Started: parts[0].ran.Started}
	for _, p := range parts {
		all.Seconds = max(all.Seconds, p.ran.Seconds)
		all.TimedOut = all.TimedOut || p.ran.TimedOut
		all.Altered = append(all.Altered, p.ran.Altered...)
		// A shard may have no tests.
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

// uniteTests merges the existing JUnit reports.
func uniteTests(parts []*part, dir string) (err error) {
	var documents []io.Reader
	for _, p := range parts {
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
	merged, err := os.OpenFile(filepath.Join(dir, junitFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("merge JUnit reports: %w", err)
	}
	return errors.Join(junit.Merge(merged, xmlscan.Limits{}, documents...), merged.Close())
}

// uniteCoverage makes coverage.py combine the data of the shards and write the reports, in the environment of the tests. It
// needs the data of every shard.
func (e *execution) uniteCoverage(ctx context.Context, found *outcome) error {
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
	step := e.plan.step
	step.Inputs = slices.Clone(step.Inputs[:1])
	for i, p := range found.parts {
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
	step.Inputs = append(step.Inputs, runner.Mount{Path: controlDir, Files: e.runner.NewFiles(map[string][]byte{"merge.json": content})})
	step.Name = "coverage of all shards"
	// -I keeps the current directory, which is the project's, out of sys.path. -P does only that, but Python 3.10 does not
	// have it.
	step.Args = []string{"python", "-I", "-m", "openstack_rca_merge", path.Join(controlDir, "merge.json")}
	step.Vars, step.Services, step.Needs = nil, nil, nil
	step.Timeout = 10 * time.Minute
	ran, err := e.runner.Run(ctx, step)
	if err != nil {
		return err
	}
	if ran.ExitCode != 0 {
		found.err = fmt.Errorf("unite the coverage of %d shards: exit code %d: %s", len(found.parts), ran.ExitCode,
			lastError(ran.Stdout+"\n"+ran.Stderr))
		return nil
	}
	found.ran.Stdout += "--- " + step.Name + "\n" + ran.Stdout
	union := &part{name: step.Name, ran: ran, dir: e.dir}
	if err := union.list(ctx); err != nil {
		return fmt.Errorf("list coverage reports: %w", err)
	}
	if err := union.fetch(ctx, coverageFile, keptOutFile, htmlDir); err != nil {
		return err
	}
	union.readCoverage(e.result)
	found.measured = union.measured
	return nil
}

// dedupe removes files that several shards failed to load.
func dedupe(r *junit.Report) {
	seen := map[string]bool{}
	r.CollectionErrors = slices.DeleteFunc(r.CollectionErrors, func(c junit.Case) bool {
		again := seen[c.ID()]
		seen[c.ID()] = true
		return again
	})
}

// checkPartition checks the shards' selections: every test must belong to exactly one of them.
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
