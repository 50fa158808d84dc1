package supply

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
)

// Opinion is the registry's own list of an image's vulnerabilities.
type Opinion struct {
	// Data is when the advisories that it used were collected.
	Data time.Time
	// Found are its findings, with only names, package and severity.
	Found []advisory.Finding
}

// second compares the findings with the registry's. Only findings that just the registry has are a warning, because its basic
// scan only knows system packages.
func (s *scan) second(ctx context.Context) {
	if s.Registry == nil || s.found.database == nil {
		return
	}
	o, err := s.Registry(ctx)
	if err != nil {
		s.fail(RegistryScanMissing, "%v", err)
		return
	}
	if age := s.Now.Sub(o.Data); age > s.Config.Security.MaxDataAge.Std() {
		s.fail(RegistryScanMissing, "its advisories are of %s, older than security.max_data_age", o.Data.UTC().Format(time.DateOnly))
		return
	}
	known := map[string]bool{}
	for _, j := range s.found.vulnerabilities.All {
		for _, name := range j.Names() {
			known[name] = true
		}
	}
	var alone []string
	for _, f := range o.Found {
		serious := f.Severity == advisory.Critical || f.Severity == advisory.High
		if serious && !slices.ContainsFunc(f.Names(), func(name string) bool { return known[name] }) {
			alone = append(alone, f.ID+" in "+f.Package+" ("+f.Severity+")")
		}
	}
	s.stage.Add("the registry's own scan", plural(len(o.Found), "vulnerability")+", advisories of "+o.Data.UTC().Format(time.DateOnly))
	if n := len(alone); n > 0 {
		s.stage.Warn(RegistryDisagrees, "%s", plural(n, "vulnerability")+" that this scan did not find: "+strings.Join(alone[:min(n, 10)], ", "))
	}
}
