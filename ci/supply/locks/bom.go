package locks

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
)

// PURL is the package's address, such as pkg:pypi/jinja2@3.1.6.
func (p Package) PURL() string {
	return "pkg:pypi/" + url.PathEscape(p.Name) + "@" + url.PathEscape(p.Version)
}

// Distinct are the packages once each, by name and version, in that order. The first file that
// pins one is kept.
func Distinct(packages []Package) []Package {
	sorted := slices.Clone(packages)
	slices.SortStableFunc(sorted, func(a, b Package) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version))
	})
	return slices.CompactFunc(sorted, func(a, b Package) bool { return a.Name == b.Name && a.Version == b.Version })
}

// BOM is the bill of materials of the packages, as CycloneDX 1.6 in JSON. The same packages
// give the same bytes: it has no time, and its serial number is that of the content.
func BOM(application string, packages []Package) ([]byte, error) {
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Component: &cyclonedx.Component{
		Type: cyclonedx.ComponentTypeApplication, Name: application, BOMRef: "application",
	}}
	components := []cyclonedx.Component{}
	sum := sha256.New()
	for _, p := range Distinct(packages) {
		// A hash never fails to write.
		_, _ = fmt.Fprintln(sum, p.PURL(), p.File)
		components = append(components, cyclonedx.Component{
			Type: cyclonedx.ComponentTypeLibrary, BOMRef: p.PURL(), Name: p.Name, Version: p.Version, PackageURL: p.PURL(),
			Properties: &[]cyclonedx.Property{{Name: "openstack-rca:lock", Value: p.File}},
		})
	}
	bom.Components = &components
	id := sum.Sum(nil)
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80 // a UUID of version 8: of our own making
	text := hex.EncodeToString(id[:16])
	bom.SerialNumber = strings.Join([]string{"urn:uuid:" + text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-")
	var out bytes.Buffer
	encoder := cyclonedx.NewBOMEncoder(&out, cyclonedx.BOMFileFormatJSON).SetPretty(true)
	if err := encoder.EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return out.Bytes(), nil
}
