package supply

import (
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
)

// providers are Grype's providers for the packages of a distribution, by the start of their address. The database must
// contain one of them.
var providers = map[string][]string{
	"deb/debian": {"debian"}, "deb/ubuntu": {"ubuntu"}, "apk/alpine": {"alpine"}, "apk/wolfi": {"wolfi"}, "apk/chainguard": {"chainguard"},
	"rpm/redhat": {"rhel"}, "rpm/rhel": {"rhel"}, "rpm/centos": {"rhel"}, "rpm/rocky": {"rocky", "rhel"},
	"rpm/almalinux": {"alma", "rhel"}, "rpm/amzn": {"amazon"}, "rpm/amazon": {"amazon"}, "rpm/ol": {"oracle"}, "rpm/oracle": {"oracle"},
	"rpm/sles": {"sles"}, "rpm/mariner": {"mariner"}, "rpm/azurelinux": {"mariner"}, "rpm/fedora": {"fedora"}, "rpm/photon": {"photon"},
	"rpm/scientific": {"rhel"}, "deb/raspbian": {"debian"}, "deb/echo": {"echo"}, "apk/postmarketos": {"alpine"}, "apk/minimos": {"minimos"},
	"apk/secureos": {"secureos"},
}

// languages are the kinds of packages that share one provider.
var languages = []string{"pypi", "npm", "golang", "maven", "gem", "cargo", "nuget", "composer"}

// demanded returns the providers that an image's packages need, and the distributions for which no provider is known: their
// packages cannot be compared.
func demanded(found material, database advisory.Database) (needed, unknown []string) {
	want, nobody := map[string]bool{}, map[string]bool{}
	for _, c := range found.Components {
		kind, rest, _ := strings.Cut(strings.TrimPrefix(c.PURL, "pkg:"), "/")
		if slices.Contains(languages, kind) {
			want["github"] = true
		}
		if !slices.Contains(ofSystem, kind+"/") {
			continue
		}
		namespace, _, _ := strings.Cut(rest, "/")
		names := providers[kind+"/"+namespace]
		switch at := slices.IndexFunc(names, func(name string) bool { _, has := database.Data[name]; return has }); {
		case len(names) == 0:
			nobody[kind+"/"+namespace] = true
		case at >= 0:
			want[names[at]] = true
		default:
			want[names[0]] = true
		}
	}
	return slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(nobody))
}
