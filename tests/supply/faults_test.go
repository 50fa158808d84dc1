package supply

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest"
	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	audits "github.com/openstack-rca/openstack-rca/ci/supply"
	advisories "github.com/openstack-rca/openstack-rca/ci/supply/advisory"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// planted is a fault: how it is made, with which real programs, and what is said of it.
type planted struct {
	// fault is the fault in words, real names the real program that meets it; crafted reports when empty.
	fault, real string
	// found returns the codes that were raised, those of warnings in lower case.
	found func(t *testing.T) string
}

// faults are all of them, by the code that each must raise. A name in lower case is that of a warning.
var faults = map[string]planted{}

func plant(code, fault, program string, found func(t *testing.T) string) {
	if _, has := faults[code]; has {
		panic(code + " is there twice")
	}
	faults[code] = planted{fault, program, found}
}

// TestEveryPlantedFaultHasItsCode walks through all of them: each raises its own code, and a fault that is
// no mere warning is never a pass.
func TestEveryPlantedFaultHasItsCode(t *testing.T) {
	require.GreaterOrEqual(t, len(faults), 40)
	actual := 0
	for _, code := range slices.Sorted(maps.Keys(faults)) {
		f := faults[code]
		if f.real != "" {
			actual++
		}
		t.Run(code, func(t *testing.T) {
			for name := range strings.FieldsSeq(f.real) {
				program(t, name)
			}
			got := strings.Fields(f.found(t))
			assert.Contains(t, got, code, "%s", f.fault)
			if code == strings.ToLower(code) {
				assert.NotContains(t, strings.Join(got, " "), strings.ToUpper(code), "it is a warning")
			}
		})
	}
	assert.GreaterOrEqual(t, actual, 12, "met by real programs")
}

const (
	vulnerable = "GHSA-demo-high-0001"
	scriptCode = "print()\n"
)

// crafted audits with programs that answer what the test says; nothing real is started.
func crafted(t *testing.T, checks string, answer map[string]string, change func(in *audits.Input)) string {
	t.Helper()
	in := audits.Input{
		Config: config.Default(), Checks: strings.Fields(checks), Now: time.Now(), Scratch: t.TempDir(),
		Import: func(dir string) (runner.Files, error) { return native.Source(dir), nil },
		Tool: func(_ context.Context, name string) (runner.Files, error) {
			return fake.Files(map[string]string{name: "#!"}), nil
		},
		Source: files(map[string]string{"main.py": scriptCode, "requirements.txt": "markupsafe==3.0.2\n"}),
	}
	change(&in)
	return coded(t, audits.Audit(t.Context(), answering(answer), in))
}

func answering(outputs map[string]string) *fake.Runner {
	return fake.New().OnRun(func(runner.Step) (*runner.Result, error) { return fake.Result(0, outputs), nil })
}

// coded are the codes of a stage. A problem of a stage that passed would be a fault of the pipeline.
func coded(t *testing.T, stage verdict.Stage) string {
	t.Helper()
	assert.Equal(t, len(stage.Problems) == 0, stage.Verdict == verdict.Pass)
	return codes(stage)
}

const gitleaksOut = `[{"RuleID":"aws-access-token","File":"scan/planted/settings.py"}]`

func init() {
	plant("DEPENDENCY_UNPINNED", "a requirement without a version", "", func(t *testing.T) string {
		return crafted(t, "pinning", nil, func(in *audits.Input) {
			in.Source = files(map[string]string{"a.py": "", "requirements.txt": "demo>=1\nb==1\n"})
		})
	})
	plant("LOCK_UNREADABLE", "a lock that includes a file that is not there", "", func(t *testing.T) string {
		return crafted(t, "pinning", nil, func(in *audits.Input) {
			in.Source = files(map[string]string{"a.py": "", "requirements.txt": "-r gone.txt\nb==1\n"})
		})
	})
	plant("LICENSE_DENIED", "a package under a licence that is denied", "", func(t *testing.T) string {
		list := `[{"Name":"demo","Version":"1","Expression":"AGPL-3.0-only"}]`
		return crafted(t, "licenses", map[string]string{"out/licenses.json": list}, deny)
	})
	plant("license_unknown", "a package that states none", "", func(t *testing.T) string {
		return crafted(t, "licenses", map[string]string{"out/licenses.json": `[{"Name":"demo","Version":"1"}]`}, deny)
	})
	plant("SCANNER_MISSING", "no program", "", func(t *testing.T) string {
		return crafted(t, "secrets", nil, func(in *audits.Input) { in.Tool = nil })
	})
	plant("SCANNER_FAILED", "exit code 0 and no report", "", func(t *testing.T) string {
		return crafted(t, "secrets", nil, func(*audits.Input) {})
	})
	plant("REPORT_UNREADABLE", "half a report", "", func(t *testing.T) string {
		return crafted(t, "secrets", map[string]string{"out/gitleaks.json": `[{"RuleID":`}, func(*audits.Input) {})
	})
	plant("ADVISORIES_MISSING", "no database", "", func(t *testing.T) string {
		return crafted(t, "advisories", nil, func(*audits.Input) {})
	})
	plant("HISTORY_INCOMPLETE", "a shallow clone", "", func(t *testing.T) string {
		return crafted(t, "secrets", map[string]string{"out/gitleaks.json": gitleaksOut}, func(in *audits.Input) {
			in.History = func(context.Context, string) (audits.History, error) {
				return audits.History{}, errors.New("the clone is shallow")
			}
		})
	})
	plant("waiver_unused", "an exception for nothing", "", func(t *testing.T) string {
		return crafted(t, "secrets", map[string]string{"out/gitleaks.json": gitleaksOut}, func(in *audits.Input) {
			in.Config.Security.AllowSecrets = []config.AllowedSecret{{Rule: "x", Path: "a.py", Reason: "none", Until: day(30)}}
		})
	})
	plant("SECRET_FOUND", "a key in a notebook's output", "gitleaks", func(t *testing.T) string {
		notebook := `{"cells":[{"cell_type":"code","outputs":[{"output_type":"stream","text":["` + canary() + `\n"]}]}],"nbformat":4}`
		return coded(t, audit(t, func(in *audits.Input) { in.Source = files(map[string]string{"a.ipynb": notebook}) }, "secrets"))
	})
	grypeFaults()
	scanFaults()
}

func deny(in *audits.Input) { in.Config.Security.Licenses.Deny = []string{"AGPL-3.0-only"} }

// day is the date in some days.
func day(days int) string { return time.Now().AddDate(0, 0, days).Format(time.DateOnly) }

// grypeFaults are met by the real Grype with a database that is made for each.
func grypeFaults() {
	known := advisory("GHSA-plan-ted0-0001", "jinja2", "2.7.2", "High")
	high := advisory(vulnerable, "markupsafe", "3.0.3", "High")
	recent := time.Now().Add(-time.Hour)
	met := func(code, fault string, captured time.Time, records map[string][]string, change func(in *audits.Input)) {
		plant(code, fault, "grype", func(t *testing.T) string {
			return coded(t, audit(t, func(in *audits.Input) {
				in.Advisories = database(t, captured, records)
				if change != nil {
					change(in)
				}
			}, "advisories"))
		})
	}
	found := map[string][]string{"github": {known, high}}
	allow := func(until string) func(*audits.Input) {
		return func(in *audits.Input) {
			in.Config.Security.Allow = []config.AllowedAdvisory{
				{ID: vulnerable, Package: "markupsafe", In: "locks", Reason: "made up", Until: until},
			}
		}
	}
	met("DEPENDENCY_VULNERABLE", "a vulnerable package", recent, found, nil)
	unknown := advisory(vulnerable, "markupsafe", "3.0.3", "Unknown")
	met("vulnerable", "a vulnerability of unknown severity", recent, map[string][]string{"github": {known, unknown}}, nil)
	met("vulnerable_allowed", "one that is allowed", recent, found, allow(day(60)))
	met("waiver_ends_soon", "one that is allowed for a week", recent, found, allow(day(7)))
	met("WAIVER_EXPIRED", "one that was allowed", recent, found, allow(day(-2)))
	met("WAIVER_TOO_LONG", "one that is allowed for a year", recent, found, allow(day(365)))
	met("ADVISORIES_STALE", "a database that was built today from data of last month", recent.AddDate(0, 0, -30), found, nil)
	met("ADVISORIES_INCOMPLETE", "a database without advisories of Python", recent, map[string][]string{"debian": {debian}}, nil)
	met("SCANNER_BLIND", "a database without what was planted", recent, map[string][]string{"github": {high}}, nil)
	met("dependency_not_compared", "a requirement at a commit", recent, map[string][]string{"github": {known}}, func(in *audits.Input) {
		commit := strings.Repeat("a", 40)
		in.Source = files(map[string]string{"a.py": "", "requirements.txt": "plain==1\ndemo @ git+https://host/demo@" + commit + "\n"})
	})
	met("ADVISORIES_CORRUPT", "half an archive", recent, found, func(in *audits.Input) {
		content, err := os.ReadFile(in.Advisories)
		if err == nil {
			err = os.WriteFile(in.Advisories, content[:len(content)/2], 0o600)
		}
		if err != nil {
			panic(err)
		}
	})
}

// scanFaults are those of an image.
func scanFaults() {
	release := "ID=debian\nVERSION_ID=\"%s\"\nNAME=\"Debian GNU/Linux\"\n"
	status := func(version string) string {
		return "Package: openssl\nStatus: install ok installed\nVersion: " + version + "\nArchitecture: amd64\n" +
			"Maintainer: a <a@example.invalid>\nDescription: x\n\n"
	}
	records := map[string][]string{"github": {advisory("GHSA-plan-ted0-0001", "jinja2", "2.7.2", "High")}, "debian": {debian}}
	met := func(code, fault string, lower map[string]string) {
		plant(code, fault, "syft grype gitleaks", func(t *testing.T) string {
			image, digest := twoLayers(t, lower, "app/settings.py")
			r, err := native.New(native.Options{Log: &bytes.Buffer{}})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
			in := audits.Input{
				Config: config.Default(), Now: time.Now(), Scratch: t.TempDir(), Tool: tool(t),
				Advisories: database(t, time.Now().Add(-time.Hour), records),
				Import:     func(dir string) (runner.Files, error) { return native.Source(dir), nil },
			}
			in.Config.Python = "3.11"
			export := func(_ context.Context, dir string) error { return image.Export(dir) }
			return coded(t, audits.Scan(t.Context(), r, in, audits.Image{Digest: digest, Export: export, Unpack: oci.Unpack}))
		})
	}
	debian12 := fmt.Sprintf(release, "12")
	met("IMAGE_VULNERABLE", "a vulnerable package of Debian", map[string]string{
		"etc/os-release": debian12, "var/lib/dpkg/status": status("3.0.0-1"),
	})
	met("IMAGE_SECRET", "a key in a file that a later layer deletes", map[string]string{
		"etc/os-release": debian12, "var/lib/dpkg/status": status("3.0.2-1"), "app/settings.py": "key = \"" + canary() + "\"\n",
	})
	met("DISTRO_UNKNOWN", "packages of Debian without a name of the distribution", map[string]string{
		"var/lib/dpkg/status": status("3.0.2-1"),
		"usr/lib/python3/dist-packages/MarkupSafe-3.0.3.dist-info/METADATA": "Metadata-Version: 2.1\nName: MarkupSafe\nVersion: 3.0.3\n",
	})
	met("DISTRO_ENDED", "Debian 10", map[string]string{"etc/os-release": fmt.Sprintf(release, "10"), "var/lib/dpkg/status": status("3.0.2-1")})
	met("SCAN_EMPTY", "an image without packages", map[string]string{"a": "b"})

	const digest = "sha256:aa"
	bom := `{"metadata":{"component":{"version":"` + digest + `"}},"components":[{"name":"demo","version":"1",` +
		`"purl":"pkg:pypi/demo@1","licenses":[{"license":{"id":"AGPL-3.0-only"}}]}]}`
	at := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	matched := `{"matches":[{"vulnerability":{"id":"GHSA-jinja","severity":"High"},"artifact":{"name":"Jinja2","version":"2.4.1",` +
		`"purl":"pkg:pypi/jinja2@2.4.1"}}],"descriptor":{"version":"0.121.2","db":{"status":{"built":"` + at + `","valid":true},` +
		`"providers":{"github":{"captured":"` + at + `"}}}}}`
	scanned := func(t *testing.T, bom string, export error, change func(in *audits.Input)) string {
		t.Helper()
		in := audits.Input{
			Config: config.Default(), Now: time.Now(), Scratch: t.TempDir(),
			Import: func(dir string) (runner.Files, error) { return filetree.Dir(dir), nil },
			Tool: func(_ context.Context, name string) (runner.Files, error) {
				return fake.Files(map[string]string{name: "#!"}), nil
			},
		}
		change(&in)
		return coded(t, audits.Scan(t.Context(), answering(map[string]string{
			"out/sbom.cdx.json": bom, "out/sbom.spdx.json": "{}", "out/gitleaks.json": gitleaksOut, "out/grype.json": matched,
		}), in, audits.Image{Digest: digest, Export: func(_ context.Context, dir string) error {
			return errors.Join(export, os.MkdirAll(filepath.Join(dir, audits.Layout), 0o755),
				os.WriteFile(filepath.Join(dir, audits.Layout, "index.json"), []byte("{}"), 0o600))
		}, Unpack: func(dir string) error {
			return errors.Join(os.MkdirAll(filepath.Join(dir, audits.Layers), 0o755),
				os.WriteFile(filepath.Join(dir, audits.Layers, "00.tar"), make([]byte, 1024), 0o600))
		}}))
	}
	simulated := func(code, fault, bom string, export error) {
		plant(code, fault, "", func(t *testing.T) string { return scanned(t, bom, export, deny) })
	}
	simulated("SBOM_OTHER_DIGEST", "a bill of materials of another image", strings.Replace(bom, digest, "sha256:bb", 1), nil)
	simulated("IMAGE_LICENSE_DENIED", "a package in the image under a licence that is denied", bom, nil)
	simulated("IMAGE_UNREADABLE", "a registry that asks for a login", bom, errors.New("401"))
	registry := func(code, fault string, opinion audits.Opinion, err error) {
		plant(code, fault, "", func(t *testing.T) string {
			file := filepath.Join(t.TempDir(), "db.tar.zst")
			require.NoError(t, os.WriteFile(file, nil, 0o600))
			return scanned(t, bom, nil, func(in *audits.Input) {
				in.Advisories, in.Registry = file, func(context.Context) (audits.Opinion, error) { return opinion, err }
			})
		})
	}
	critical := []advisories.Finding{{ID: "CVE-2026-9", Package: "openssl", Severity: advisories.Critical}}
	registry("registry_scan_disagrees", "a registry that found more", audits.Opinion{Data: time.Now(), Found: critical}, nil)
	registry("REGISTRY_SCAN_MISSING", "a registry that has not scanned the image", audits.Opinion{}, errors.New("it has not scanned it"))
}

// refusingKMS is a key of KMS that can be read and does not sign.
func refusingKMS(t *testing.T, public []byte) string {
	t.Helper()
	block, _ := pem.Decode(public)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetPublicKey") {
			answer := map[string]any{"PublicKey": block.Bytes, "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY"}
			assert.NoError(t, json.NewEncoder(w).Encode(answer))
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"AccessDeniedException","message":"no"}`))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// checked states a run about an image and checks it: facts, demand and bundles may be changed before.
func checked(t *testing.T, change func(f *attest.Facts), demand func(d *attest.Demand), alter func(bundles [][]byte) [][]byte) string {
	t.Helper()
	private, public := keys(t)
	signer, err := attest.PrivateKey(private)
	require.NoError(t, err)
	now, digest := time.Now(), "sha256:"+strings.Repeat("a", 64)
	facts := attest.Facts{
		Repository: "registry.example/app", Digest: digest, Environment: "production", Ref: "main", Verdict: "pass", Ended: now.Add(-time.Hour),
		Stages: []attest.StageVerdict{{Name: "test", Verdict: "pass"}}, Scan: &attest.Scan{Data: now.Add(-time.Hour)},
	}
	change(&facts)
	statements, err := facts.Statements()
	require.NoError(t, err)
	var bundles [][]byte
	for _, s := range statements {
		b, err := attest.Sign(t.Context(), s, signer)
		require.NoError(t, err)
		bundles = append(bundles, b)
	}
	trusted, err := attest.PublicKeys(public)
	require.NoError(t, err)
	d := attest.Demand{
		Digest: digest, Keys: trusted, Require: []string{attest.Provenance, attest.Vulns, attest.TestResult, attest.Summary},
		Environment: "production", Refs: []string{"main"}, MaxAge: 24 * time.Hour, MaxDataAge: 24 * time.Hour, Now: now,
	}
	demand(&d)
	var all []string
	for _, p := range attest.Check(alter(bundles), d).Problems {
		all = append(all, p.Code.Name)
	}
	return strings.Join(all, " ")
}
