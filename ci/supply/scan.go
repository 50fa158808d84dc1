package supply

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/safetext"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/supply/licenses"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Directories of an exported image.
const (
	// Layout is an OCI layout; Layers has each layer as NN.tar, the lowest first.
	Layout = "layout"
	Layers = "layers"
)

// Image is the image to scan.
type Image struct {
	// Digest is sha256:<hex>.
	Digest string
	// Export writes the image into a local directory, as Layout, and verifies all digests.
	Export func(ctx context.Context, dir string) error
	// Unpack writes Layers beside Layout while the packages are read.
	Unpack func(dir string) error
}

// material is the part of a bill of materials that is read.
type material struct {
	Metadata struct {
		Component struct{ Version string }
	}
	Components []component
}

// component is one package.
type component struct {
	Type, Name, Version, PURL string
	Licenses                  []struct {
		Expression string
		License    struct{ ID, Name string }
	}
}

// scan is the audit of an image.
type scan struct {
	*audit
	image Image
	// dir is the local directory of the image; files is its Layout.
	dir   string
	files runner.Files
	seen  imageSeen
}

// Scan examines an image: its packages with their vulnerabilities and licences, and the files of all layers, including those
// that a later layer deletes. It does not look into archives there, because an image has thousands of compressed pages and
// wheels. Advisories must be a Grype database.
//
// Results in Input.Memory for this digest are judged instead of being computed again.
func Scan(ctx context.Context, r runner.Runner, in Input, image Image) verdict.Stage {
	a := &audit{Input: in, runner: r, stage: verdict.Stage{Name: verdict.Scan}}
	a.stage.Add("image", image.Digest)
	s := &scan{audit: a, image: image, dir: filepath.Join(in.Scratch, "scan")}
	key, known := s.imageKey(ctx), false
	if s.seen, known = recalled(ctx, a, key, func(seen imageSeen) bool { return seen.credible(image.Digest) }); !known {
		if err := s.export(ctx); err != nil {
			a.fail(ImageUnreadable, "%v", err)
			return *a.stage.Judge(a.problems...)
		}
	}
	a.stated(ctx, "image")
	layers, searched := s.seen.Layers, known
	wait := a.aside(func(beside *audit) {
		if known {
			return
		}
		if err := image.Unpack(s.dir); err != nil {
			beside.fail(ImageUnreadable, "%v", err)
		} else {
			layers, searched = secretSearch{beside}.search(ctx, filepath.Join(s.dir, Layers))
		}
	})
	listed := false
	var found material
	if known || s.syft(ctx) {
		if found, listed = s.packages(); listed {
			s.matched(ctx, found)
			s.second(ctx)
			s.licenses(found)
		}
	}
	wait()
	if s.seen.Layers = layers; listed && searched {
		s.unseen(found)
		if !known {
			keep(a, key, s.seen)
		}
	}
	s.inLayersFound(layers, searched)
	a.report()
	return *a.remember(ctx, a.stage.Judge(a.problems...))
}

// export exports the image.
func (s *scan) export(ctx context.Context) error {
	err := os.MkdirAll(s.dir, 0o755) //nolint:gosec // the image is not secret
	if err == nil {
		err = s.image.Export(ctx, s.dir)
	}
	if err == nil {
		s.files, err = s.Import(filepath.Join(s.dir, Layout))
	}
	return err
}

// syft creates the bill of materials in both formats.
func (s *scan) syft(ctx context.Context) bool {
	program, problem := s.tool(ctx, tools.Syft)
	if problem != nil {
		problem.Code = s.own(problem.Code)
		s.problems = append(s.problems, problem)
		return false
	}
	result, err := s.runner.Run(ctx, runner.Step{
		Name: "syft", Env: runner.Environment{Python: s.Config.Python, Files: s.runner.NewFiles(nil)},
		Inputs: []runner.Mount{
			{Path: toolDir, Files: program}, {Path: Layout, Files: s.files},
			{Path: ".", Files: s.runner.NewFiles(map[string][]byte{"out/.keep": nil})},
		},
		Args: []string{
			"./tool/syft", "scan", "oci-dir:" + Layout, "--quiet", "--output", "cyclonedx-json@1.6=out/sbom.cdx.json",
			"--output", "spdx-json@2.3=out/sbom.spdx.json",
		},
		Vars: map[string]string{"SYFT_CHECK_FOR_APP_UPDATE": "false"}, Outputs: []string{"out"}, Offline: true,
	})
	if err != nil {
		s.fail(ScannerFailed, "run syft: %v", err)
		return false
	}
	var unread error
	s.seen.BOM, err = result.Outputs.Read(ctx, "out/sbom.cdx.json", secretsLimit)
	s.seen.SPDX, unread = result.Outputs.Read(ctx, "out/sbom.spdx.json", secretsLimit)
	if err = errors.Join(err, unread); errors.Is(err, fs.ErrNotExist) || err == nil && result.ExitCode != 0 {
		s.fail(ScannerFailed, "syft ended with %d: %s", result.ExitCode, strings.Join(safetext.LastLines(result.Stderr, 3), " "))
		return false
	}
	if err != nil {
		s.fail(ReportUnreadable, "read the bill of materials: %v", err)
	}
	return err == nil
}

// packages checks that the bill of materials belongs to this image.
func (s *scan) packages() (found material, ok bool) {
	if err := json.Unmarshal(s.seen.BOM, &found); err != nil {
		s.fail(ReportUnreadable, "read the bill of materials: %v", err)
		return found, false
	}
	if got := found.Metadata.Component.Version; got != s.image.Digest {
		s.fail(OtherDigest, "it is of %q, not of %s", got, s.image.Digest)
		return found, false
	}
	packages := 0
	for _, c := range found.Components {
		if c.PURL != "" {
			packages++
		}
	}
	least := s.Config.Security.MinPackages
	s.stage.Gate("packages in the image", plural(packages, "package"), ">= "+plural(least, "package"), packages >= least)
	if packages < least {
		s.fail(ScanEmpty, "the image has %s; security.min_packages is %d", plural(packages, "package"), least)
		return found, false
	}
	s.found.bom = s.seen.BOM
	s.file("sbom.spdx.json", s.seen.SPDX)
	return found, true
}

// records are where distributions list installed packages, by package type.
var records = map[string][]string{
	"deb/": {"var/lib/dpkg/status"}, "apk/": {"lib/apk/db/installed", "usr/lib/apk/db/installed"},
	"rpm/": {"var/lib/rpm/rpmdb.sqlite", "var/lib/rpm/Packages", "usr/lib/sysimage/rpm/rpmdb.sqlite"},
}

// recordOf returns the package type of a file with such a list, or an empty string.
func recordOf(name string) string {
	for kind, names := range records {
		if slices.Contains(names, name) {
			return kind
		}
	}
	return ""
}

// unseen fails if a layer has a distribution's package list but the bill of materials has none of its packages: Syft reads
// the list only if it recognises the distribution.
func (s *scan) unseen(found material) {
	for _, name := range s.seen.Layers.Sorted.Records {
		kind := recordOf(name)
		if !slices.ContainsFunc(found.Components, func(c component) bool { return strings.HasPrefix(c.PURL, "pkg:"+kind) }) {
			s.fail(DistroUnknown, "%s is in the image, and none of its packages is in the bill of materials", name)
		}
	}
}

// plants are vulnerable packages that are added to the comparison, for each package type in use.
var plants = map[string]struct{ name, version, purl string }{
	"pypi":       {"jinja2", "2.4.1", "pkg:pypi/jinja2@2.4.1"},
	"deb/debian": {"openssl", "1.0.1", "pkg:deb/debian/openssl@1.0.1?arch=amd64&distro=debian-12"},
}

// ofSystem are the package types of distributions.
var ofSystem = []string{"deb/", "apk/", "rpm/"}

// matched compares the packages of an image, and the planted ones.
func (s *scan) matched(ctx context.Context, found material) {
	if s.Advisories == "" && s.Fetch != nil {
		var err error
		if s.Advisories, err = s.Fetch(ctx); err != nil {
			s.fail(AdvisoriesMissing, "fetch advisories: %v", err)
			return
		}
	}
	if s.Advisories == "" {
		s.fail(AdvisoriesMissing, "an image is compared with a database of Grype, and none was given")
		return
	}
	if !IsGrype(s.Advisories) {
		s.fail(AdvisoriesIncomplete, "the database has no advisories of distributions; an image takes one of Grype")
		return
	}
	planted, needed, system := plant(s.seen.BOM, found)
	if planted == nil {
		s.fail(ReportUnreadable, "the bill of materials has no components")
		return
	}
	var wanted []locks.Package
	for _, kind := range needed {
		wanted = append(wanted, locks.Package{Name: plants[kind].name, Version: plants[kind].version})
	}
	matched, err := s.grype(ctx, s.Advisories, planted, wanted)
	var known *verdict.Problem
	if errors.As(err, &known) {
		known.Code = s.own(known.Code)
		s.problems = append(s.problems, known)
		return
	}
	s.stage.Add("distribution", joinOr(slices.DeleteFunc([]string{matched.Distribution}, func(s string) bool { return s == "" }), "none"))
	if system && matched.Distribution == "" {
		s.fail(DistroUnknown, "none of the packages of the system was compared")
	}
	if day, over, known := ended(matched.Distribution, s.Now); over {
		name, _, _ := strings.Cut(strings.ToLower(matched.Distribution), " ")
		s.fail(DistroEnded, "%s, on %s, by %s", matched.Distribution, day, lifetimes[name].source)
	} else if system && !known {
		s.stage.Add("end of the distribution", "not known")
	}
	s.found.database = &matched.Database
	providers, nobody := demanded(found, matched.Database)
	if len(nobody) > 0 {
		s.fail(DistroUnknown, "there are no advisories of %s, so none of their packages was compared", strings.Join(nobody, ", "))
	}
	if s.database(matched.Database, providers); s.blind() {
		return
	}
	rest := matched.Findings
	for _, kind := range needed {
		p := plants[kind]
		at := func(f advisory.Finding) bool { return f.Package == p.name && f.Version == p.version }
		if !slices.ContainsFunc(rest, at) {
			s.fail(ScannerBlind, "%s %s, which was planted, was not found", p.name, p.version)
			return
		}
		own := slices.ContainsFunc(found.Components, func(c component) bool {
			return strings.HasPrefix(c.PURL, "pkg:"+kind+"/") && locks.Normal(c.Name) == p.name && c.Version == p.version
		})
		if !own {
			rest = slices.DeleteFunc(slices.Clone(rest), at)
		}
	}
	s.stage.Gate("planted vulnerabilities", "found", "found", true)
	s.found.vulnerabilities = judge.Advisories(advisory.Merge(rest), s.Config.Security, "image", s.Now)
	s.judged(ImageVulnerable, s.found.vulnerabilities)
}

// plant adds the planted packages to a bill of materials. It returns nil if that has no components.
func plant(bom []byte, found material) (planted []byte, needed []string, system bool) {
	var whole map[string]any
	if json.Unmarshal(bom, &whole) != nil {
		return nil, nil, false
	}
	components, is := whole["components"].([]any)
	if !is {
		return nil, nil, false
	}
	for _, c := range found.Components {
		purl := strings.TrimPrefix(c.PURL, "pkg:")
		system = system || slices.ContainsFunc(ofSystem, func(kind string) bool { return strings.HasPrefix(purl, kind) })
		for kind := range plants {
			if strings.HasPrefix(purl, kind+"/") && !slices.Contains(needed, kind) {
				needed = append(needed, kind)
			}
		}
	}
	slices.Sort(needed)
	for _, kind := range needed {
		p := plants[kind]
		components = append(components, map[string]any{
			"type": "library", "name": p.name, "version": p.version, "purl": p.purl, "bom-ref": "planted-" + p.name,
		})
	}
	whole["components"] = components
	planted, err := json.Marshal(whole)
	if err != nil {
		return nil, nil, false
	}
	return planted, needed, system
}

// licenses judges the licences in the bill of materials, if there are rules.
func (s *scan) licenses(found material) {
	rules := s.Config.Security.Licenses
	if len(rules.Allow)+len(rules.Deny) == 0 {
		s.stage.Add("licenses", "not looked at: security.licenses has no rules")
		return
	}
	var packages []licenses.Package
	for _, c := range found.Components {
		if c.PURL == "" {
			continue
		}
		p := licenses.Package{Name: c.Name, Version: c.Version}
		var ids []string
		for _, l := range c.Licenses {
			for _, text := range []string{l.Expression, l.License.ID, l.License.Name} {
				if id := (licenses.Package{Expression: text}).SPDX(); id != "" {
					ids = append(ids, "("+id+")")
					break
				}
			}
		}
		p.Expression = strings.Join(ids, " AND ")
		packages = append(packages, p)
	}
	v := licenses.Judge(packages, rules, s.Now)
	s.stage.Add("packages with a licence to judge", plural(len(packages), "package"))
	s.listed(ImageLicense, v.Denied)
	switch rules.Unknown {
	case judge.Fail:
		s.listed(ImageLicense, v.Unknown)
	case judge.Warn:
		if len(v.Unknown) > 0 {
			s.stage.Warn(LicenseUnknown, "%s", v.Unknown[0]+", of "+plural(len(v.Unknown), "package"))
		}
	}
	s.exceptions(v.Exceptions)
}
