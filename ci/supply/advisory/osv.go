package advisory

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/openstack-rca/openstack-rca/ci/supply/locks"
)

// PyPI is the ecosystem whose OSV records are used.
const PyPI = "PyPI"

// Limits of an OSV database. That of all of PyPI has 20,000 records in 100 MB.
const (
	maxRecord  = 16 << 20
	maxRecords = 2_000_000
)

// record is the part of an OSV record that is read.
type record struct {
	ID        string     `json:"id"`
	Aliases   []string   `json:"aliases"`
	Modified  moment     `json:"modified"`
	Published moment     `json:"published"`
	Withdrawn moment     `json:"withdrawn"`
	Severity  []score    `json:"severity"`
	Affected  []affected `json:"affected"`
	Database  specific   `json:"database_specific"`
}

// moment is a time in RFC 3339, or as YAML formats it, because PyPA's records are written in YAML.
type moment struct{ time.Time }

// UnmarshalJSON parses a time; null and an empty string are the zero time.
func (m *moment) UnmarshalJSON(content []byte) error {
	var text *string
	if err := json.Unmarshal(content, &text); err != nil || text == nil || *text == "" {
		return err
	}
	var err error
	if m.Time, err = time.Parse(time.RFC3339, *text); err != nil {
		m.Time, err = time.Parse("2006-01-02 15:04:05.999999999Z07:00", *text)
	}
	return err
}

type score struct {
	Type  string `json:"type"`
	Score string `json:"score"`
}

type specific struct {
	Severity any `json:"severity"`
}

type affected struct {
	Package struct {
		Ecosystem string `json:"ecosystem"`
		Name      string `json:"name"`
	} `json:"package"`
	Severity []score    `json:"severity"`
	Ranges   []versions `json:"ranges"`
	Versions []string   `json:"versions"`
	Specific specific   `json:"ecosystem_specific"`
}

type versions struct {
	Type   string              `json:"type"`
	Events []map[string]string `json:"events"`
}

// MatchOSV compares pinned packages with the OSV records at a local path: a directory of JSON files, a file with one record
// per line, or a zip archive of JSON files, as osv.dev provides. Only records for PyPI are used. The findings are not merged.
//
// An error means that the database cannot be read; then no part of it may be trusted.
func MatchOSV(ctx context.Context, file string, packages []locks.Package) ([]Finding, Database, error) {
	m := &matcher{
		packages: map[string][]locks.Package{}, sum: newSum(),
		database: Database{Kind: "osv", Data: map[string]time.Time{}, Records: map[string]int{}},
	}
	for _, p := range packages {
		m.packages[p.Name] = append(m.packages[p.Name], p)
	}
	if err := m.read(ctx, file); err != nil {
		return nil, Database{}, fmt.Errorf("read advisories in %s: %w", filepath.Base(file), err)
	}
	m.database.Digest = m.sum.text()
	return m.findings, m.database, nil
}

type matcher struct {
	packages map[string][]locks.Package
	findings []Finding
	database Database
	seen     int
	sum      *sum
}

// sum is a digest that does not depend on the order of records.
type sum struct{ total [sha256.Size]byte }

func newSum() *sum { return &sum{} }

func (s *sum) add(content []byte) {
	for i, b := range sha256.Sum256(content) {
		s.total[i] ^= b
	}
}

func (s *sum) text() string { return hex.EncodeToString(s.total[:]) }

func (m *matcher) read(ctx context.Context, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	switch {
	case info.IsDir():
		return m.directory(ctx, file)
	case strings.HasSuffix(file, ".zip"):
		return m.archive(ctx, file)
	}
	return m.lines(ctx, file)
}

func (m *matcher) directory(ctx context.Context, dir string) error {
	return fs.WalkDir(os.DirFS(dir), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case entry.IsDir():
			return nil
		case path.Ext(name) != ".json" && path.Ext(name) != ".jsonl":
			return m.passed(dir, name, entry)
		case path.Ext(name) == ".jsonl":
			return m.lines(ctx, filepath.Join(dir, name))
		}
		f, err := os.Open(filepath.Join(dir, name)) //nolint:gosec // the caller names the directory
		if err != nil {
			return err
		}
		content, err := bounded(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return m.record(name, content)
	})
}

// passed skips entries that are not files of records. A link to a directory would hide what is behind it, so it is an error,
// except hidden links, which a Kubernetes volume has.
func (m *matcher) passed(dir, name string, entry fs.DirEntry) error {
	if entry.Type()&fs.ModeSymlink == 0 || strings.HasPrefix(path.Base(name), ".") {
		return nil
	}
	if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.IsDir() {
		return fmt.Errorf("%s is a link to a directory, which is not followed", name)
	}
	return nil
}

func (m *matcher) archive(ctx context.Context, file string) error {
	r, err := zip.OpenReader(file)
	if err != nil {
		return err
	}
	for _, entry := range r.File {
		if ctx.Err() != nil {
			err = ctx.Err()
			break
		}
		if path.Ext(entry.Name) != ".json" {
			continue
		}
		var f io.ReadCloser
		if f, err = entry.Open(); err != nil {
			break
		}
		var content []byte
		content, err = bounded(f) // the checksum is compared at the end
		if err = errors.Join(err, f.Close()); err == nil {
			err = m.record(entry.Name, content)
		}
		if err != nil {
			err = fmt.Errorf("%s: %w", entry.Name, err)
			break
		}
	}
	return errors.Join(err, r.Close())
}

func (m *matcher) lines(ctx context.Context, file string) error {
	f, err := os.Open(file) //nolint:gosec // the caller names the file
	if err != nil {
		return err
	}
	scanner := bufio.NewScanner(f)
	scanner.Buffer(make([]byte, 64<<10), maxRecord)
	for n := 1; err == nil && scanner.Scan(); n++ {
		if len(bytes.TrimSpace(scanner.Bytes())) > 0 {
			err = m.record(fmt.Sprintf("line %d", n), scanner.Bytes())
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
	}
	return errors.Join(err, scanner.Err(), f.Close())
}

func bounded(r io.Reader) ([]byte, error) {
	content, err := io.ReadAll(io.LimitReader(r, maxRecord+1))
	if err == nil && len(content) > maxRecord {
		err = fmt.Errorf("larger than %d bytes", maxRecord)
	}
	return content, err
}

// record compares the packages with one record.
func (m *matcher) record(name string, content []byte) error {
	if m.seen++; m.seen > maxRecords {
		return fmt.Errorf("more than %d records", maxRecords)
	}
	var r record
	if err := json.Unmarshal(content, &r); err != nil {
		return fmt.Errorf("%s is not an OSV record: %w", name, err)
	}
	if r.ID == "" || r.Modified.IsZero() {
		return fmt.Errorf("%s is not an OSV record: it has no id or no time of its last change", name)
	}
	m.sum.add(content)
	ours := false
	for _, a := range r.Affected {
		ours = ours || ecosystem(a) == PyPI
	}
	if !ours {
		return nil
	}
	m.database.Records[PyPI]++
	if r.Modified.Time.After(m.database.Data[PyPI]) {
		m.database.Data[PyPI] = r.Modified.Time
	}
	if !r.Withdrawn.IsZero() {
		return nil
	}
	for _, a := range r.Affected {
		if ecosystem(a) != PyPI {
			continue
		}
		for _, p := range m.packages[locks.Normal(a.Package.Name)] {
			if is, why := a.includes(p.Version); is {
				m.findings = append(m.findings, r.finding(a, p, why))
			}
		}
	}
	return nil
}

// ecosystem returns the name without the release, such as Debian for Debian:12.
func ecosystem(a affected) string {
	name, _, _ := strings.Cut(a.Package.Ecosystem, ":")
	return name
}

func (r record) finding(a affected, p locks.Package, uncertain string) Finding {
	f := Finding{
		ID: r.ID, Aliases: r.Aliases, Package: p.Name, Version: p.Version, Type: "pypi", Published: r.Published.Time, Uncertain: uncertain,
		Fixed: a.fixes(p.Version), Locations: []string{p.File},
	}
	f.Severity, f.Score = severity(append(append([]score(nil), r.Severity...), a.Severity...), r.Database.Severity, a.Specific.Severity)
	return f
}
