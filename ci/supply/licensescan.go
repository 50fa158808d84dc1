package supply

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"slices"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/supply/licenses"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed licenses.py
var listLicenses string

const licensesOut = "out/licenses.json"

// licenses reads the licences of installed packages, because locks have none. It uses the environments of tests, training and
// serving, which their stages use too.
func (a *audit) licenses(ctx context.Context) {
	byName := map[string]licenses.Package{}
	for _, project := range a.projects {
		env := project.Environment(a.runner, a.Source)
		result, err := a.runner.Run(ctx, runner.Step{
			Name: "licences", Env: env, Args: []string{"python", "-I", "-c", listLicenses, licensesOut},
			Outputs: []string{licensesOut}, Offline: true,
			Inputs: []runner.Mount{{Path: ".", Files: a.runner.NewFiles(map[string][]byte{"out/.keep": nil})}},
		})
		if err != nil {
			a.fail(ScannerFailed, "read licences of the environment of %s: %v", project.Stage, err)
			return
		}
		content, err := result.Outputs.Read(ctx, licensesOut, fileLimit)
		var list []licenses.Package
		if err = errors.Join(err, json.Unmarshal(content, &list)); err != nil {
			a.fail(ReportUnreadable, "licences of the environment of %s: %v", project.Stage, err)
			return
		}
		for _, p := range list {
			byName[locks.Normal(p.Name)+" "+p.Version] = p
		}
	}
	packages := make([]licenses.Package, 0, len(byName))
	for _, p := range byName {
		packages = append(packages, p)
	}
	slices.SortFunc(packages, func(x, y licenses.Package) int {
		return slices.Compare([]string{x.Name, x.Version}, []string{y.Name, y.Version})
	})
	if len(packages) < a.Config.Security.MinPackages {
		a.fail(ScanEmpty, "the environments have %s", plural(len(packages), "package"))
		return
	}
	rules := a.Config.Security.Licenses
	v := licenses.Judge(packages, rules, a.Now)
	a.stage.Add("packages with a licence to judge", plural(len(packages), "package"))
	a.listed(LicenseDenied, v.Denied)
	switch rules.Unknown {
	case judge.Fail:
		a.listed(LicenseDenied, v.Unknown)
	case judge.Warn:
		for _, text := range v.Unknown {
			a.stage.Warn(LicenseUnknown, "%s", text)
		}
	}
	a.exceptions(v.Exceptions)
}

// listed fails with a list of details.
func (a *audit) listed(code verdict.Code, found []string) {
	if len(found) == 0 {
		return
	}
	problem := a.fail(code, "%s", found[0])
	if len(found) > 1 {
		problem.Cause += ", and " + plural(len(found)-1, "more")
	}
	problem.Details = found
}
