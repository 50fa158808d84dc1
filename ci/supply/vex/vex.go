// Package vex reads OpenVEX documents: what a project says about vulnerabilities that do not affect it.
package vex

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
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

// Read returns the exceptions that a document states: for each package that it calls not affected, with
// the reason, and an end as far away from its time as an exception may be. They are bound to the version
// that the package URL has, if it has one. place is where the packages are, "locks" or "image".
func Read(content []byte, place string) ([]config.AllowedAdvisory, error) {
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
	var all []config.AllowedAdvisory
	for i, s := range document.Statements {
		at := s.Timestamp
		if at.IsZero() {
			at = document.Timestamp
		}
		reason := strings.Join(strings.Fields(strings.TrimSpace(s.Justification+" "+s.Impact)), " ")
		switch {
		case s.Status == "affected", s.Status == "under_investigation", s.Status == "fixed":
			continue // it allows nothing: a package that is fixed is not found
		case s.Status != "not_affected":
			return nil, fmt.Errorf("read VEX: statement %d has the status %q", i+1, s.Status)
		case s.Vulnerability.Name == "" || reason == "" || at.IsZero():
			return nil, fmt.Errorf("read VEX: statement %d lacks the vulnerability, a justification or a time", i+1)
		}
		for _, p := range s.Products {
			parts := p.Parts
			if len(parts) == 0 {
				parts = []product{p}
			}
			for _, part := range parts {
				name, version, ok := purl(part.ID)
				if !ok {
					return nil, fmt.Errorf("read VEX: statement %d names %q, which is no package URL", i+1, part.ID)
				}
				for _, id := range append([]string{s.Vulnerability.Name}, s.Vulnerability.Aliases...) {
					all = append(all, config.AllowedAdvisory{
						ID: id, Package: name, Version: version, In: place, Reason: reason, Stated: true,
						Until: at.Add(judge.Longest).UTC().Format(time.DateOnly),
					})
				}
			}
		}
	}
	return all, nil
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
