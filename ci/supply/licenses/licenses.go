// Package licenses compares packages' licences with the rules.
package licenses

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/github/go-spdx/v2/spdxexp"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
)

// Package is what a package declares about its licence.
type Package struct {
	Name, Version string
	// Expression is an SPDX expression (License-Expression), Text the older free field
	// (License), Classifiers those of PyPI.
	Expression, Text string
	Classifiers      []string
}

// Verdict is the judgement on all packages, as "name version: licence".
type Verdict struct {
	Denied, Unknown, Excepted []string
	judge.Exceptions
}

// Judge compares every package with the rules.
func Judge(packages []Package, rules config.Licenses, now time.Time) Verdict {
	var v Verdict
	used := make([]bool, len(rules.Except))
	for _, p := range packages {
		expression := p.SPDX()
		text := fmt.Sprintf("%s %s: %s", p.Name, p.Version, shown(expression))
		known := expression != ""
		denied := known && !permitted(expression, rules)
		if known && !denied {
			unread := p.unread()
			if len(unread) == 0 {
				continue
			}
			text += ", and " + strings.Join(unread, ", ")
		}
		excepted := false
		for i, e := range rules.Except {
			if locks.Normal(e.Package) == locks.Normal(p.Name) {
				used[i] = true
				excepted = excepted || judge.Holds(e.Until, now)
			}
		}
		switch {
		case excepted:
			v.Excepted = append(v.Excepted, text)
		case denied:
			v.Denied = append(v.Denied, text)
		default:
			v.Unknown = append(v.Unknown, text)
		}
	}
	for i, e := range rules.Except {
		v.Note("licence of "+e.Package, e.Until, used[i], now)
	}
	return v
}

func shown(expression string) string {
	if expression == "" {
		return "no licence that is known"
	}
	return expression
}

// permitted reports whether an expression can be satisfied: with allowed licences or, if only some are denied, without those.
// For a choice (OR) one side is enough.
func permitted(expression string, rules config.Licenses) bool {
	all, err := spdxexp.ExtractLicenses(expression)
	if err != nil {
		return false
	}
	allowed := rules.Allow
	if len(allowed) == 0 {
		allowed = all
	}
	allowed = slices.DeleteFunc(slices.Clone(allowed), func(id string) bool {
		return slices.ContainsFunc(rules.Deny, func(denied string) bool { return family(denied) == family(id) })
	})
	if len(allowed) == 0 {
		return false
	}
	ok, err := spdxexp.Satisfies(expression, allowed)
	return err == nil && ok
}

// family returns a licence in lower case without its version qualifier: a rule for AGPL-3.0-only also covers AGPL-3.0, as
// packages still write it, and AGPL-3.0-or-later.
func family(id string) string {
	id = strings.ToLower(id)
	for _, ending := range []string{"+", "-only", "-or-later"} {
		id = strings.TrimSuffix(id, ending)
	}
	return id
}

// versionOf returns the version at the end of a licence's family.
var versionOf = regexp.MustCompile(`-[0-9.]+$`)

// kin returns a licence without any version, because classifiers are coarse, and have the same name for two licences of
// Python.
func kin(id string) string {
	if id = versionOf.ReplaceAllString(family(id), ""); id == "psf" {
		return "python"
	}
	return id
}

// SPDX returns the package's licence as an SPDX expression, or an empty string. If there is an expression only that counts.
// The free-text field and the classifiers may contradict each other; then both count.
func (p Package) SPDX() string {
	stated := p.stated()
	var ids []string
	if stated != "" && p.Expression == "" {
		known, _ := spdxexp.ExtractLicenses(stated)
		for _, id := range p.classified() {
			if !slices.ContainsFunc(known, func(other string) bool { return kin(other) == kin(id) }) {
				ids = append(ids, id)
			}
		}
		if len(ids) == 0 {
			return stated
		}
		return strings.Join(append([]string{"(" + stated + ")"}, ids...), " AND ")
	}
	// Several classifiers can mean either; all of them must then be acceptable.
	return cmp.Or(stated, strings.Join(p.classified(), " AND "))
}

// stated returns the licence from the two licence fields.
func (p Package) stated() string {
	for _, text := range []string{p.Expression, p.Text} {
		text = strings.TrimSpace(text)
		if id := usual[strings.ToLower(text)]; id != "" {
			return id
		}
		if text == "" || len(text) > 200 || strings.Contains(text, "\n") {
			continue
		}
		if valid, _ := spdxexp.ValidateLicenses([]string{text}); valid {
			return text
		}
	}
	return ""
}

// classified returns the known licences that classifiers name.
func (p Package) classified() []string {
	var ids []string
	for _, c := range p.Classifiers {
		name, is := strings.CutPrefix(c, "License :: OSI Approved :: ")
		if id := usual[strings.ToLower(name)]; is && id != "" && !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// unread returns the classifiers with an unknown licence if there is nothing but classifiers, because the others do not cover
// these.
func (p Package) unread() []string {
	if p.stated() != "" {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(p.Classifiers), func(c string) bool {
		name, is := strings.CutPrefix(c, "License :: OSI Approved :: ")
		return is && usual[strings.ToLower(name)] != "" || c == "License :: OSI Approved"
	})
}

// usual maps common names to licences.
var usual = map[string]string{
	"mit": "MIT", "mit license": "MIT", "the mit license": "MIT", "the mit license (mit)": "MIT", "expat": "MIT",
	"apache": "Apache-2.0", "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0",
	"apache license 2.0": "Apache-2.0", "apache license, version 2.0": "Apache-2.0", "apache license version 2.0": "Apache-2.0",
	"apache software license": "Apache-2.0", "apache software license 2.0": "Apache-2.0", "apache 2.0 license": "Apache-2.0",
	"bsd 3-clause": "BSD-3-Clause", "bsd-3": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause", "3-clause bsd license": "BSD-3-Clause",
	"bsd 3-clause license": "BSD-3-Clause", "new bsd": "BSD-3-Clause", "modified bsd": "BSD-3-Clause", "new bsd license": "BSD-3-Clause",
	"bsd 2-clause": "BSD-2-Clause", "bsd 2-clause license": "BSD-2-Clause",
	"simplified bsd": "BSD-2-Clause", "isc license": "ISC", "isc license (iscl)": "ISC", "isc": "ISC",
	"mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "mpl 2.0": "MPL-2.0", "mpl-2.0": "MPL-2.0", "mozilla public license 2.0": "MPL-2.0",
	"psf": "Python-2.0", "psf license": "Python-2.0", "python software foundation license": "Python-2.0", "psfl": "Python-2.0",
	"the unlicense (unlicense)": "Unlicense", "unlicense": "Unlicense",
	"zope public license": "ZPL-2.1", "zpl 2.1": "ZPL-2.1", "historical permission notice and disclaimer (hpnd)": "HPND", "hpnd": "HPND",
	"gnu general public license v2 (gplv2)": "GPL-2.0-only", "gnu general public license v3 (gplv3)": "GPL-3.0-only",
	"gnu general public license v2 or later (gplv2+)": "GPL-2.0-or-later", "gplv3": "GPL-3.0-only", "gplv2": "GPL-2.0-only",
	"gnu general public license v3 or later (gplv3+)":         "GPL-3.0-or-later",
	"gnu affero general public license v3":                    "AGPL-3.0-only",
	"gnu affero general public license v3 or later (agplv3+)": "AGPL-3.0-or-later",
	"gnu lesser general public license v3 (lgplv3)":           "LGPL-3.0-only",
	"gnu lesser general public license v2 or later (lgplv2+)": "LGPL-2.0-or-later",
	"gnu lesser general public license v3 or later (lgplv3+)": "LGPL-3.0-or-later",
}
