// Package vex reads OpenVEX documents: what a project says about vulnerabilities that do not affect it.
package vex

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/supply/judge"
)

// maxStatements bounds a document.
const maxStatements = 10_000

// product is named by a package URL; parts are the packages in it.
type product struct {
	ID    string    `json:"@id"`
	Parts []product `json:"subcomponents"`
}

// UnmarshalJSON implements json.Unmarshaler: the first version of the format has names only.
func (p *product) UnmarshalJSON(content []byte) error {
	if len(content) > 0 && content[0] == '"' {
		return json.Unmarshal(content, &p.ID)
	}
	type plain product
	return json.Unmarshal(content, (*plain)(p))
}

// vulnerability has a name, and further ones.
type vulnerability struct {
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

// UnmarshalJSON implements json.Unmarshaler: the first version of the format has names only.
func (v *vulnerability) UnmarshalJSON(content []byte) error {
	if len(content) > 0 && content[0] == '"' {
		return json.Unmarshal(content, &v.Name)
	}
	type plain vulnerability
	return json.Unmarshal(content, (*plain)(v))
}

// Statement is what a document says of a vulnerability in a package at a time: an exception, or, without a reason, that
// the package is or may be affected.
type Statement struct {
	about config.AllowedAdvisory
	ids   []string
	in    string // the product that the package is part of, without a version; empty for the package itself
	at    time.Time
}

// Exceptions are those that no later statement takes back: of all about one package, the latest counts. Statements
// of one time count in the order given. Each exception has one name of its vulnerability.
func Exceptions(statements []Statement) []config.AllowedAdvisory {
	var all []config.AllowedAdvisory
	for i, s := range statements {
		over := func(other Statement) bool { return other.contradicts(s) }
		later := func(other Statement) bool { return over(other) && (other.at.IsZero() || other.at.After(s.at)) }
		after := func(other Statement) bool { return over(other) && other.at.Equal(s.at) }
		if s.about.Reason == "" || slices.ContainsFunc(statements, later) || slices.ContainsFunc(statements[i+1:], after) {
			continue
		}
		for _, id := range s.ids {
			one := s.about
			one.ID = id
			all = append(all, one)
		}
	}
	return all
}

// contradicts reports whether a statement says of what s allows that it is affected. A product that is affected as a whole
// is so for all its packages.
func (t Statement) contradicts(s Statement) bool {
	named := func(id string) bool {
		return slices.ContainsFunc(s.ids, func(other string) bool { return strings.EqualFold(id, other) })
	}
	switch {
	case t.about.Reason != "" || !slices.ContainsFunc(t.ids, named):
		return false
	case t.about.Package == "":
		return t.in == s.in
	}
	return judge.Same(t.about.Package, s.about.Package) && (t.in == s.in || t.in == "" || s.in == "") &&
		(t.about.Version == s.about.Version || t.about.Version == "" || s.about.Version == "")
}

// Read returns what a document states of packages. A package that is called not affected is an exception with
// the reason, and an end as far away from its time as an exception may be. It is bound to the version
// that the package URL has, if it has one. place is where the packages are, "locks" or "image".
func Read(content []byte, place string) ([]Statement, error) {
	var document struct {
		Context    string    `json:"@context"`
		Timestamp  time.Time `json:"timestamp"`
		Statements []struct {
			Vulnerability vulnerability `json:"vulnerability"`
			Timestamp     time.Time     `json:"timestamp"`
			Products      []product     `json:"products"`
			Status        string        `json:"status"`
			Justification string        `json:"justification"`
			Impact        string        `json:"impact_statement"`
		} `json:"statements"`
	}
	if err := json.Unmarshal(content, &document); err != nil {
		return nil, fmt.Errorf("read VEX: %w", err)
	}
	if !strings.HasPrefix(document.Context, "https://openvex.dev/ns") {
		return nil, errors.New("read VEX: it is no document of OpenVEX")
	}
	if len(document.Statements) > maxStatements {
		return nil, fmt.Errorf("read VEX: more than %d statements", maxStatements)
	}
	var all []Statement
	for i, s := range document.Statements {
		at := s.Timestamp
		if at.IsZero() {
			at = document.Timestamp
		}
		reason := strings.Join(strings.Fields(strings.TrimSpace(s.Justification+" "+s.Impact)), " ")
		switch {
		case s.Status == "fixed":
			continue // it allows nothing: a package that is fixed is not found
		case s.Status == "affected", s.Status == "under_investigation":
			reason = ""
		case s.Status != "not_affected":
			return nil, fmt.Errorf("read VEX: statement %d has the status %q", i+1, s.Status)
		case s.Vulnerability.Name == "" || reason == "" || at.IsZero():
			return nil, fmt.Errorf("read VEX: statement %d lacks the vulnerability, a justification or a time", i+1)
		}
		for _, p := range s.Products {
			in, parts := unversioned(p.ID), p.Parts
			if _, _, ok := purl(p.ID); len(parts) == 0 && (ok || reason != "") {
				in, parts = "", []product{p}
			} else if len(parts) == 0 {
				parts = []product{{}} // the product as a whole
			}
			for _, part := range parts {
				name, version, ok := purl(part.ID)
				if !ok && reason != "" {
					return nil, fmt.Errorf("read VEX: statement %d names %q, which is no package URL", i+1, part.ID)
				}
				all = append(all, Statement{
					ids: append([]string{s.Vulnerability.Name}, s.Vulnerability.Aliases...), in: in, at: at,
					about: config.AllowedAdvisory{
						Package: name, Version: version, In: place, Reason: reason, Stated: true,
						Until: at.Add(judge.Longest).UTC().Format(time.DateOnly),
					},
				})
			}
		}
	}
	return all, nil
}

// unversioned is the name of a product without what tells its versions apart.
func unversioned(id string) string {
	id, _, _ = strings.Cut(id, "?")
	id, _, _ = strings.Cut(id, "@")
	return id
}

// purl is the name and the version of a package URL. An image is none.
func purl(text string) (name, version string, ok bool) {
	rest, ok := strings.CutPrefix(text, "pkg:")
	if !ok {
		return "", "", false
	}
	rest, _, _ = strings.Cut(rest, "?")
	rest, _, _ = strings.Cut(rest, "#")
	path, version, _ := strings.Cut(rest, "@")
	kind, name, ok := strings.Cut(path, "/")
	name = name[strings.LastIndex(name, "/")+1:]
	var err error
	if name, err = url.PathUnescape(name); err == nil {
		version, err = url.PathUnescape(version)
	}
	return name, version, ok && err == nil && kind != "oci" && name != ""
}
