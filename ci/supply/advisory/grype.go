package advisory

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
)

// Matched is the content of Grype's report.
type Matched struct {
	Findings []Finding
	Database Database
	// Version is Grype's version.
	Version string
	// Distribution is the detected operating system, or empty.
	Distribution string
}

// match is the part of a match that is read.
type match struct {
	Vulnerability struct {
		ID       string `json:"id"`
		Severity string `json:"severity"`
		CVSS     []struct {
			Metrics struct {
				BaseScore float64 `json:"baseScore"`
			} `json:"metrics"`
		} `json:"cvss"`
		Fix struct {
			Versions []string `json:"versions"`
		} `json:"fix"`
		KnownExploited []json.RawMessage `json:"knownExploited"`
		Published      *time.Time        `json:"publishedDate"`
	} `json:"vulnerability"`
	Related []struct {
		ID       string `json:"id"`
		Severity string `json:"severity"`
	} `json:"relatedVulnerabilities"`
	Artifact struct {
		Name      string `json:"name"`
		Version   string `json:"version"`
		PURL      string `json:"purl"`
		Locations []struct {
			Path string `json:"path"`
		} `json:"locations"`
	} `json:"artifact"`
}

// ReadGrype reads Grype's JSON report. It keeps only one match at a time in memory besides the findings, so a report may have
// hundreds of megabytes. The findings are not merged.
func ReadGrype(report io.Reader) (Matched, error) {
	d := json.NewDecoder(report)
	matched := Matched{Database: Database{Kind: "grype", Data: map[string]time.Time{}, Exploited: true}}
	fail := func(err error) (Matched, error) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return Matched{}, fmt.Errorf("read report of grype: %w", err)
	}
	if err := open(d, '{'); err != nil {
		return fail(err)
	}
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return fail(err)
		}
		name, _ := key.(string)
		if seen[name] {
			return fail(fmt.Errorf("%q is there twice", name))
		}
		seen[name] = true
		switch name {
		case "matches":
			err = matched.matches(d)
		case "descriptor":
			err = matched.descriptor(d)
		case "distro":
			var distro struct{ Name, Version string }
			err = d.Decode(&distro)
			matched.Distribution = strings.TrimSpace(distro.Name + " " + distro.Version)
		default:
			err = skip(d)
		}
		if err != nil {
			return fail(err)
		}
	}
	if _, err := d.Token(); err != nil {
		return fail(err)
	}
	if !seen["matches"] || !seen["descriptor"] {
		return fail(errors.New("it has no matches or no descriptor"))
	}
	return matched, nil
}

func open(d *json.Decoder, want rune) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	if delim, ok := token.(json.Delim); !ok || rune(delim) != want {
		return fmt.Errorf("%v is not %q", token, want)
	}
	return nil
}

// skip skips a value without keeping it in memory.
func skip(d *json.Decoder) error {
	depth := 0
	for {
		token, err := d.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (m *Matched) matches(d *json.Decoder) error {
	if err := open(d, '['); err != nil {
		return err
	}
	for d.More() {
		var one match
		if err := d.Decode(&one); err != nil {
			return err
		}
		f, err := one.finding()
		if err != nil {
			return err
		}
		m.Findings = append(m.Findings, f)
	}
	_, err := d.Token()
	return err
}

func (one match) finding() (Finding, error) {
	v, a := one.Vulnerability, one.Artifact
	if v.ID == "" || a.Name == "" {
		return Finding{}, errors.New("a match names no vulnerability or no package")
	}
	f := Finding{
		ID: v.ID, Package: a.Name, Version: a.Version, Type: purlType(a.PURL), Severity: Word(v.Severity), Fixed: v.Fix.Versions,
		Exploited: len(v.KnownExploited) > 0,
	}
	if f.Type == "pypi" {
		f.Package = locks.Normal(a.Name)
	}
	for _, related := range one.Related {
		f.Aliases = append(f.Aliases, related.ID)
		// A distribution's record may have less information than the record that it refers to.
		if other := Word(related.Severity); f.Severity == Unknown {
			f.Severity = other
		}
	}
	for _, c := range v.CVSS {
		f.Score = max(f.Score, c.Metrics.BaseScore)
	}
	if v.Published != nil {
		f.Published = *v.Published
	}
	for _, l := range a.Locations {
		f.Locations = append(f.Locations, l.Path)
	}
	return f, nil
}

func purlType(purl string) string {
	kind, _, _ := strings.Cut(strings.TrimPrefix(purl, "pkg:"), "/")
	return kind
}

func (m *Matched) descriptor(d *json.Decoder) error {
	var descriptor struct {
		Version string `json:"version"`
		DB      struct {
			Status struct {
				SchemaVersion string     `json:"schemaVersion"`
				Built         *time.Time `json:"built"`
				From          string     `json:"from"`
				Valid         *bool      `json:"valid"`
				Error         string     `json:"error"`
			} `json:"status"`
			Providers map[string]struct {
				Captured *time.Time `json:"captured"`
			} `json:"providers"`
		} `json:"db"`
	}
	if err := d.Decode(&descriptor); err != nil {
		return err
	}
	status := descriptor.DB.Status
	m.Version, m.Database.Schema = descriptor.Version, status.SchemaVersion
	if status.Valid != nil && !*status.Valid {
		return fmt.Errorf("grype calls its database not valid: %s", status.Error)
	}
	if status.Built != nil {
		m.Database.Built = *status.Built
	}
	for name, provider := range descriptor.DB.Providers {
		at := time.Time{}
		if provider.Captured != nil {
			at = *provider.Captured
		}
		m.Database.Data[name] = at
	}
	if _, checksum, found := strings.Cut(status.From, "checksum="); found {
		m.Database.Digest = checksum
	}
	return nil
}
