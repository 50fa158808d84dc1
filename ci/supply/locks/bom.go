package locks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// PURL is the package's address, such as pkg:pypi/jinja2@3.1.6.
func (p Package) PURL() string {
	return "pkg:pypi/" + url.PathEscape(p.Name) + "@" + url.PathEscape(p.Version)
}

// Distinct returns the packages once each, sorted by name and version. The first file that pins a package is kept.
func Distinct(packages []Package) []Package {
	sorted := slices.Clone(packages)
	slices.SortStableFunc(sorted, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return slices.CompactFunc(sorted, func(a, b Package) bool { return a.Name == b.Name && a.Version == b.Version })
}

// bom is the used part of a CycloneDX 1.6 bill of materials. The format's library takes longer to compile than this package;
// tests use it to validate the result.
type bom struct {
	Schema     string      `json:"$schema"`
	Format     string      `json:"bomFormat"`
	Spec       string      `json:"specVersion"`
	Serial     string      `json:"serialNumber"`
	Version    int         `json:"version"`
	Metadata   metadata    `json:"metadata"`
	Components []component `json:"components"`
}

type metadata struct {
	Component component `json:"component"`
}

type component struct {
	Ref        string     `json:"bom-ref"`
	Type       string     `json:"type"`
	Name       string     `json:"name"`
	Version    string     `json:"version,omitempty"`
	PURL       string     `json:"purl,omitempty"`
	Properties []property `json:"properties,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// BOM returns the packages' bill of materials as CycloneDX 1.6 JSON. It is deterministic: there is no time, and the serial
// number is derived from the content.
func BOM(application string, packages []Package) ([]byte, error) {
	b := bom{
		Schema: "http://cyclonedx.org/schema/bom-1.6.schema.json", Format: "CycloneDX", Spec: "1.6", Version: 1,
		Metadata: metadata{component{Ref: "application", Type: "application", Name: application}}, Components: []component{},
	}
	sum := sha256.New()
	for _, p := range Distinct(packages) {
		// Writing to a hash never fails.
		_, _ = fmt.Fprintln(sum, p.PURL(), p.File)
		b.Components = append(b.Components, component{
			Ref: p.PURL(), Type: "library", Name: p.Name, Version: p.Version, PURL: p.PURL(),
			Properties: []property{{"openstack-rca:lock", p.File}},
		})
	}
	id := sum.Sum(nil)
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8, which is for custom schemes
	text := hex.EncodeToString(id[:16])
	b.Serial = strings.Join([]string{"urn:uuid:" + text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
	content, err := json.MarshalIndent(b, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return append(content, '\n'), nil
}
