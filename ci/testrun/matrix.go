package testrun

import (
	"context"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// RunMatrix runs the tests with several Python versions concurrently and judges them together: the stage passes if every
// version passes. With one version or none, it is Run.
func RunMatrix(ctx context.Context, r runner.Runner, in Input, versions []string) verdict.Stage {
	if len(versions) < 2 {
		if len(versions) == 1 {
			in.Python = versions[0]
		}
		return Run(ctx, r, in).Stage
	}
	started := time.Now()
	results := make([]*Result, len(versions))
	var group sync.WaitGroup
	for i, version := range versions {
		one := in
		one.Python = version
		group.Go(func() { results[i] = Run(ctx, r, one) })
	}
	group.Wait()
	stage := &verdict.Stage{Name: verdict.Test}
	var problems []*verdict.Problem
	table := &verdict.Table{Columns: []string{"Python", "Verdict", "Tests", "Seconds"}}
	for i, version := range versions {
		of := &results[i].Stage
		for _, p := range results[i].problems {
			named := *p
			named.Cause = "Python " + version + ": " + p.Cause
			problems = append(problems, &named)
		}
		counts := "none"
		if results[i].JUnit != nil {
			counts = results[i].JUnit.String()
		}
		table.Rows = append(table.Rows, []string{version, strings.TrimSpace(string(of.Verdict) + " " + of.Code), counts,
			strconv.FormatFloat(of.Seconds, 'f', 1, 64)})
		take(stage, version, of)
	}
	stage.Blocks = append([]verdict.Block{{Title: "Python versions", Table: table, Summary: true}}, stage.Blocks...)
	stage.Judge(problems...)
	stage.Took(started)
	return *stage
}

// take adds the findings for one version to the stage, labelled with the version.
func take(stage *verdict.Stage, version string, of *verdict.Stage) {
	name := "Python " + version
	for _, e := range of.Evidence {
		e.Name = name + ", " + e.Name
		stage.Evidence = append(stage.Evidence, e)
	}
	for _, w := range of.Warnings {
		w.Cause = name + ": " + w.Cause
		stage.Warnings = append(stage.Warnings, w)
	}
	for _, b := range of.Blocks {
		b.Title = name + ": " + b.Title
		stage.Blocks = append(stage.Blocks, b)
	}
	if len(stage.Measures) == 0 {
		stage.Measures = of.Measures // only those of the first version: several values would contradict each other
	}
	for _, f := range of.Files {
		f.Path = path.Join(verdict.Test, "python"+version, strings.TrimPrefix(f.Path, verdict.Test+"/"))
		stage.Files = append(stage.Files, f)
	}
}
