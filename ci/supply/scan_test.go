package supply

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

const scanned = "sha256:aa"

// exported writes an image with the given files in its only layer.
func exported(names ...string) Image {
	return Image{Digest: scanned, Export: func(_ context.Context, dir string) error {
		return errors.Join(os.MkdirAll(filepath.Join(dir, Layout), 0o755),
			os.WriteFile(filepath.Join(dir, Layout, "index.json"), []byte("{}"), 0o600))
	}, Unpack: func(dir string) error {
		var layer bytes.Buffer
		archive := tar.NewWriter(&layer)
		for _, name := range names {
			if err := archive.WriteHeader(&tar.Header{Name: name, Size: 1, Mode: 0o644}); err != nil {
				return err
			}
			if _, err := archive.Write([]byte("x")); err != nil {
				return err
			}
		}
		return errors.Join(archive.Close(), os.MkdirAll(filepath.Join(dir, Layers), 0o755),
			os.WriteFile(filepath.Join(dir, Layers, "00.tar"), layer.Bytes(), 0o600))
	}}
}

// programs answers as Syft, Grype and Gitleaks do.
func programs(bom, grype string) *fake.Runner {
	return fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		switch step.Name {
		case "syft":
			if bom == "" {
				return fake.Result(1, nil), nil
			}
			return fake.Result(0, map[string]string{"out/sbom.cdx.json": bom, "out/sbom.spdx.json": "{}"}), nil
		case "grype":
			return fake.Result(0, map[string]string{grypeOut: grype}), nil
		}
		return fake.Result(0, map[string]string{secretsOut: `[{"RuleID":"aws-access-token","File":"scan/planted/settings.py"}]`}), nil
	})
}

func TestTheProvidersOfDistributions(t *testing.T) {
	of := func(purls ...string) (m material) {
		for _, purl := range purls {
			m.Components = append(m.Components, component{PURL: purl})
		}
		return m
	}
	has := advisory.Database{Data: map[string]time.Time{"rhel": now}}
	needed, unknown := demanded(of("pkg:rpm/rocky/x@1", "pkg:pypi/x@1", "pkg:apk/alpine/x@1", "", "pkg:generic/x@1"), has)
	assert.Equal(t, []string{"alpine", "github", "rhel"}, needed)
	assert.Empty(t, unknown)
	_, unknown = demanded(of("pkg:deb/x@1", "pkg:rpm/opensuse/x@1"), has)
	assert.Equal(t, []string{"deb/x@1", "rpm/opensuse"}, unknown)
}

func TestEnded(t *testing.T) {
	for text, want := range map[string]string{
		"debian 12.15": "", "debian 10": "2024-06-30", "Debian 10.13": "2024-06-30", "alpine 3.18.4": "2025-05-09", "alpine 3.22.1": "",
		"ubuntu 20.04": "2025-05-31", "arch": "", "": "", "debian 1": "",
	} {
		day, over, known := ended(text, now)
		assert.Equal(t, want != "", over, text)
		if over {
			assert.Equal(t, want, day)
			assert.True(t, known)
		}
	}
	for name, of := range lifetimes {
		assert.Regexp(t, "^https://", of.source, name)
		for version, day := range of.last {
			_, err := time.Parse(time.DateOnly, day)
			require.NoError(t, err, "%s %s", name, version)
		}
		_, err := time.Parse(time.DateOnly, of.checked)
		require.NoError(t, err, name)
	}
	_, over, _ := ended("debian 12", time.Date(2028, 6, 30, 23, 0, 0, 0, time.UTC))
	assert.False(t, over, "the last day is not over")
}

// TestASecretInALayer is one that a later layer may have deleted.
func TestASecretInALayer(t *testing.T) {
	in := input(t)
	in.Advisories = ""
	r := fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		if step.Name != "gitleaks" {
			return fake.Result(1, nil), nil
		}
		return fake.Result(0, map[string]string{secretsOut: `[{"RuleID":"aws-access-token","File":"scan/planted/settings.py"},` +
			`{"RuleID":"generic-api-key","File":"scan/source/00.tar!app/settings.py","StartLine":2,"Secret":"the-value","Match":"the-value"}]`}), nil
	})
	stage := Scan(t.Context(), r, in, exported("app/settings.py"))
	assert.Equal(t, "IMAGE_SECRET SCANNER_FAILED", codes(stage))
	assert.Contains(t, fmt.Sprintf("%+v", stage), "00.tar!app/settings.py")
	assert.NotContains(t, fmt.Sprintf("%+v", stage), "the-value")
}

// TestPlantedFaultsOfAScan are faults of an image, its bill of materials, or the database.
func TestPlantedFaultsOfAScan(t *testing.T) {
	const fresh = `{"github":{"captured":"2026-11-28T00:00:00Z"}}`
	bom := `{"metadata":{"component":{"version":"` + scanned + `"}},"components":[{"name":"demo","version":"1","purl":"pkg:pypi/demo@1",` +
		`"licenses":[{"license":{"id":"AGPL-3.0-only"}}]}]}`
	apk := strings.Replace(bom, "pkg:pypi/demo@1", "pkg:apk/alpine/demo@1", 1)
	clean := grypeReport("2026-11-28", fresh, "")
	for name, tc := range map[string]struct {
		bom, grype string
		image      Image
		change     func(in *Input)
		want       string
	}{
		"nothing to find":    {bom, clean, exported("app/main.py"), nil, ""},
		"of another image":   {strings.Replace(bom, scanned, "sha256:bb", 1), clean, exported(), nil, "SBOM_OTHER_DIGEST"},
		"no packages":        {strings.Replace(bom, "pkg:pypi/demo@1", "", 1), clean, exported(), nil, "SCAN_EMPTY"},
		"no form":            {`{"components":7}`, clean, exported(), nil, "REPORT_UNREADABLE"},
		"syft ended":         {"", clean, exported(), nil, "SCANNER_FAILED"},
		"no database":        {bom, clean, exported(), func(in *Input) { in.Advisories = "" }, "ADVISORIES_MISSING"},
		"a database of PyPI": {bom, clean, exported(), func(in *Input) { in.Advisories += "x.jsonl" }, "ADVISORIES_INCOMPLETE"},
		"no distribution":    {apk, clean, exported(), nil, "DISTRO_UNKNOWN ADVISORIES_INCOMPLETE"},
		"a distribution that the database has not": {strings.Replace(bom, "pkg:pypi/demo@1", "pkg:deb/ubuntu/demo@1", 1),
			strings.Replace(clean, `{"matches"`, `{"distro":{"name":"ubuntu","version":"24.04"},"matches"`, 1), exported(), nil, "ADVISORIES_INCOMPLETE"},
		"a distribution that nobody knows": {strings.Replace(bom, "pkg:pypi/demo@1", "pkg:deb/kali/demo@1", 1),
			strings.Replace(clean, `{"matches"`, `{"distro":{"name":"kali","version":"2026"},"matches"`, 1), exported(), nil, "DISTRO_UNKNOWN vulnerable"},
		"a distribution that has ended": {strings.Replace(bom, "pkg:pypi/demo@1", "pkg:deb/debian/demo@1?distro=debian-10", 1),
			strings.Replace(strings.Replace(strings.ReplaceAll(clean, "jinja2", "openssl"), "2.4.1", "1.0.1", 1),
				`{"matches"`, `{"distro":{"name":"debian","version":"10"},"matches"`, 1), exported(), nil, "DISTRO_ENDED ADVISORIES_INCOMPLETE"},
		"a database that cannot be fetched": {bom, clean, exported(), func(in *Input) {
			in.Advisories, in.Fetch = "", func(context.Context) (string, error) { return "", errors.New("no route") }
		}, "ADVISORIES_MISSING"},
		"packages of another language": {strings.Replace(bom, "pkg:pypi/demo@1", "pkg:npm/demo@1", 1),
			strings.Replace(clean, fresh, `{"debian":{"captured":"2026-11-28T00:00:00Z"}}`, 1), exported(), nil, "ADVISORIES_INCOMPLETE"},
		"packages that syft did not see": {bom, clean, exported("var/lib/dpkg/status"), nil, "DISTRO_UNKNOWN"},
		"an old database":                {bom, grypeReport("2026-11-01", fresh, ""), exported(), nil, "ADVISORIES_STALE"},
		"what was planted is gone":       {bom, strings.Replace(clean, "2.4.1", "9", 1), exported(), nil, "SCANNER_BLIND"},
		"what is planted is really there": {
			strings.ReplaceAll(strings.Replace(bom, `"version":"1"`, `"version":"2.4.1"`, 1), "demo", "Jinja2"),
			strings.Replace(clean, `"severity":"High"`, `"severity":"High","fix":{"versions":["3"]}`, 1), exported(), nil, "IMAGE_VULNERABLE",
		},
		"a licence that is denied": {bom, clean, exported(), func(in *Input) {
			in.Config.Security.Licenses.Deny = []string{"AGPL-3.0-only"}
		}, "IMAGE_LICENSE_DENIED"},
		"no program": {bom, clean, exported(), func(in *Input) { in.Tool = nil }, "SCANNER_MISSING SCANNER_MISSING"},
		"no image": {bom, clean, Image{Digest: scanned, Export: func(context.Context, string) error { return errors.New("401") }}, nil,
			"IMAGE_UNREADABLE"},
		"layers that cannot be unpacked": {bom, clean, Image{Digest: scanned, Export: exported().Export,
			Unpack: func(string) error { return errors.New("gzip: invalid header") }}, nil, "IMAGE_UNREADABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Advisories = filepath.Join(t.TempDir(), "db.tar.zst")
			require.NoError(t, os.WriteFile(in.Advisories, nil, 0o600))
			if tc.change != nil {
				tc.change(&in)
			}
			stage := Scan(t.Context(), programs(tc.bom, tc.grype), in, tc.image)
			assert.Equal(t, tc.want, codes(stage), "%v", stage.Problems)
			assert.Equal(t, tc.want == "", stage.Verdict == verdict.Pass)
		})
	}
}

// TestTheRegistrysOpinion compares what the registry found with what was found here.
func TestTheRegistrysOpinion(t *testing.T) {
	bom := `{"metadata":{"component":{"version":"` + scanned + `"}},"components":[{"name":"demo","version":"1","purl":"pkg:pypi/demo@1"}]}`
	critical := advisory.Finding{ID: "CVE-2026-9", Package: "openssl", Severity: advisory.Critical}
	low := advisory.Finding{ID: "CVE-2026-8", Package: "openssl", Severity: advisory.Low}
	for name, tc := range map[string]struct {
		opinion Opinion
		err     error
		want    string
	}{
		"nothing more":              {Opinion{Data: now, Found: []advisory.Finding{low}}, nil, ""},
		"one that was not found":    {Opinion{Data: now, Found: []advisory.Finding{low, critical}}, nil, "registry_scan_disagrees"},
		"advisories of last month":  {Opinion{Data: now.AddDate(0, -1, 0)}, nil, "REGISTRY_SCAN_MISSING"},
		"a registry without a scan": {Opinion{}, errors.New("it has not scanned this image"), "REGISTRY_SCAN_MISSING"},
	} {
		t.Run(name, func(t *testing.T) {
			in := input(t)
			in.Advisories = filepath.Join(t.TempDir(), "db.tar.zst")
			require.NoError(t, os.WriteFile(in.Advisories, nil, 0o600))
			in.Registry = func(context.Context) (Opinion, error) { return tc.opinion, tc.err }
			clean := grypeReport("2026-11-28", `{"github":{"captured":"2026-11-28T00:00:00Z"}}`, "")
			assert.Equal(t, tc.want, codes(Scan(t.Context(), programs(bom, clean), in, exported("app/main.py"))))
		})
	}
}
