// Package supply holds the audit and the attestation against the real programs: Gitleaks, Grype
// with databases that are made here, and cosign. What is not on PATH is skipped, with the reason.
package supply

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/attest/oci"
	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/filetree"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
	audits "github.com/openstack-rca/openstack-rca/ci/supply"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// program is the directory and the name of a program on PATH, or a reason to skip.
func program(t *testing.T, name string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not on PATH; docs/supply-chain.md says how it is built", name)
	}
	return file
}

// tool gives the audit a program in the pinned version.
func tool(t *testing.T) func(context.Context, string) (runner.Files, error) {
	return func(ctx context.Context, name string) (runner.Files, error) {
		file := program(t, name)
		wanted, err := tools.Find(name)
		if err != nil {
			return nil, err
		}
		if out, err := exec.CommandContext(ctx, file, "version").Output(); err != nil || !wanted.Is(string(out)) {
			t.Skipf("%s on PATH is not version %s", name, wanted.Version)
		}
		return filetree.Paths(filepath.Dir(file), []string{name}), nil
	}
}

func audit(t *testing.T, change func(in *audits.Input), checks ...string) verdict.Stage {
	t.Helper()
	r, err := native.New(native.Options{Log: &bytes.Buffer{}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
	in := audits.Input{
		Config: config.Default(), Checks: checks, Now: time.Now(), Scratch: t.TempDir(), Tool: tool(t),
		Import: func(dir string) (runner.Files, error) { return native.Source(dir), nil },
		Source: files(map[string]string{"main.py": "print()\n", "requirements.txt": "markupsafe==3.0.2\n"}),
	}
	in.Config.Python = "3.11"
	change(&in)
	return audits.Audit(t.Context(), r, in)
}

func files(contents map[string]string) runner.Files {
	all := map[string][]byte{}
	for name, text := range contents {
		all[name] = []byte(text)
	}
	return filetree.New(all)
}

// advisory is a record of the GitHub database in the form of Grype's provider.
func advisory(id, name, fixed, severity string) string {
	return fmt.Sprintf(`{"schema":"https://raw.githubusercontent.com/anchore/vunnel/main/schema/vulnerability/github-security-advisory/schema-1.0.0.json",`+
		`"identifier":%q,"item":{"Vulnerability":{},"Advisory":{"Classification":"GENERAL","Severity":%q,"CVSS":null,"FixedIn":[{"name":%q,`+
		`"identifier":%q,"ecosystem":"python","namespace":"github:python","range":"< %s"}],"Summary":"made for a test","url":"https://example.invalid",`+
		`"CVE":[],"Metadata":{"CVE":[]},"ghsaId":%q,"published":"2026-01-01T00:00:00Z","updated":"2026-01-01T00:00:00Z","withdrawn":null,`+
		`"namespace":"github:python"}}}`, id, severity, name, fixed, fixed, id)
}

const debian = `{"schema":"https://raw.githubusercontent.com/anchore/vunnel/main/schema/vulnerability/os/schema-1.0.0.json","identifier":"debian:12/cve-2026-0001",` +
	`"item":{"Vulnerability":{"CVSS":[],"Description":"","FixedIn":[{"Name":"openssl","NamespaceName":"debian:12","Version":"3.0.1-1",` +
	`"VersionFormat":"dpkg","VendorAdvisory":{"AdvisorySummary":[],"NoAdvisory":false}}],"Link":"https://example.invalid","Metadata":{},` +
	`"Name":"CVE-2026-0001","NamespaceName":"debian:12","Severity":"High"}}}`

// builder is the program that makes databases, built once.
var builder = sync.OnceValues(func() (string, error) { return built("makedb", "tools.mod") })

// built is the program in a directory beside this file, with the pinned modules of a tool.
func built(name, mod string) (string, error) {
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		return "", err
	}
	mod, err = filepath.Abs(filepath.Join("../../ci/supply/tools", mod))
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, name)
	build := exec.Command("go", "build", "-trimpath", "-modfile="+mod, "-o", out, ".") //nolint:gosec,noctx // our own program
	build.Dir = name
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", name, err, text)
	}
	return out, nil
}

// database makes an archive of a database from records by provider.
func database(t *testing.T, captured time.Time, records map[string][]string) string {
	t.Helper()
	program(t, tools.Grype)
	made, err := builder()
	require.NoError(t, err)
	providers, out := t.TempDir(), t.TempDir()
	for name, all := range records {
		dir := filepath.Join(providers, name, "results")
		require.NoError(t, os.MkdirAll(dir, 0o755))
		for i, record := range all {
			require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.json", i)), []byte(record), 0o600))
		}
	}
	text, err := exec.CommandContext(t.Context(), made, captured.UTC().Format(time.RFC3339), providers, out).CombinedOutput()
	require.NoError(t, err, "%s", text)
	archives, err := filepath.Glob(filepath.Join(out, "*.tar.*"))
	require.NoError(t, err)
	require.Len(t, archives, 1)
	return archives[0]
}

func codes(stage verdict.Stage) string {
	var all []string
	for _, p := range stage.Problems {
		all = append(all, p.Code)
	}
	for _, w := range stage.Warnings {
		all = append(all, strings.ToLower(w.Code))
	}
	return strings.Join(all, " ")
}

// TestGrype plants faults for the real Grype. Its own exit code is 0 or 1 for most of them.
func TestGrype(t *testing.T) {
	program(t, tools.Grype)
	known := advisory("GHSA-plan-ted0-0001", "jinja2", "2.7.2", "High")
	high := advisory("GHSA-demo-high-0001", "markupsafe", "3.0.3", "High")
	today := time.Now().Add(-time.Hour)
	whole := map[string][]string{"github": {known}, "debian": {debian}}
	for name, tc := range map[string]struct {
		change func(t *testing.T, in *audits.Input)
		want   string
	}{
		"nothing to find": {func(t *testing.T, in *audits.Input) { in.Advisories = database(t, today, whole) }, ""},
		"a vulnerable package": {func(t *testing.T, in *audits.Input) {
			in.Advisories = database(t, today, map[string][]string{"github": {known, high}})
		}, "DEPENDENCY_VULNERABLE"},
		"a build of the last vulnerable version": {func(t *testing.T, in *audits.Input) {
			in.Source = files(map[string]string{"main.py": "print()\n", "requirements.txt": "markupsafe==3.0.2+cpu\n"})
			last := strings.Replace(high, `"< 3.0.3"`, `"<= 3.0.2"`, 1)
			in.Advisories = database(t, today, map[string][]string{"github": {known, last}})
		}, "DEPENDENCY_VULNERABLE"},
		"without a severity": {func(t *testing.T, in *audits.Input) {
			in.Advisories = database(t, today, map[string][]string{"github": {known, advisory("GHSA-demo-none-0001", "markupsafe", "3.0.3", "Unknown")}})
		}, "vulnerable"},
		"data of last month": {func(t *testing.T, in *audits.Input) {
			in.Advisories = database(t, time.Now().AddDate(0, 0, -30), whole)
		}, "ADVISORIES_STALE"},
		"built too long ago": {func(t *testing.T, in *audits.Input) {
			in.Advisories, in.Now = database(t, today, whole), time.Now().AddDate(0, 0, 6)
		}, "ADVISORIES_STALE"},
		"no advisories of Python": {func(t *testing.T, in *audits.Input) {
			in.Advisories = database(t, today, map[string][]string{"debian": {debian}})
		}, "ADVISORIES_INCOMPLETE"},
		"without what was planted": {func(t *testing.T, in *audits.Input) {
			in.Advisories = database(t, today, map[string][]string{"github": {high}})
		}, "SCANNER_BLIND"},
		"changed bytes": {func(t *testing.T, in *audits.Input) {
			archive := database(t, today, whole)
			dir := t.TempDir()
			out, err := exec.CommandContext(t.Context(), "tar", "-xf", archive, "-C", dir).CombinedOutput()
			require.NoError(t, err, "%s", out)
			file := filepath.Join(dir, "vulnerability.db")
			content, err := os.ReadFile(file)
			require.NoError(t, err)
			copy(content[len(content)/2:], bytes.Repeat([]byte{0xff}, 4096))
			require.NoError(t, os.WriteFile(file, content, 0o600))
			in.Advisories = dir
		}, "ADVISORIES_CORRUPT"},
		"half an archive": {func(t *testing.T, in *audits.Input) {
			archive := database(t, today, whole)
			content, err := os.ReadFile(archive)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(archive, content[:len(content)/2], 0o600))
			in.Advisories = archive
		}, "ADVISORIES_CORRUPT"},
	} {
		t.Run(name, func(t *testing.T) {
			stage := audit(t, func(in *audits.Input) { tc.change(t, in) }, "advisories")
			assert.Equal(t, tc.want, codes(stage), "%+v", stage.Problems)
		})
	}
}

// TestScan looks at an image of two layers with the real Syft, Grype and Gitleaks. The lower one has
// a key, which the upper one deletes.
func TestScan(t *testing.T) {
	for _, name := range []string{tools.Syft, tools.Grype, tools.Gitleaks} {
		program(t, name)
	}
	const status = "Package: openssl\nStatus: install ok installed\nVersion: 3.0.0-1\nArchitecture: amd64\n" +
		"Maintainer: somebody <a@example.invalid>\nDescription: x\n\n"
	release := "ID=debian\nVERSION_ID=\"12\"\nNAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n"
	metadata := func(version string) string {
		return "Metadata-Version: 2.1\nName: MarkupSafe\nVersion: " + version + "\n"
	}
	const dist = "usr/lib/python3/dist-packages/"
	known := advisory("GHSA-plan-ted0-0001", "jinja2", "2.7.2", "High")
	high := advisory("GHSA-demo-high-0001", "markupsafe", "3.0.3", "High")
	clean := map[string]string{
		"etc/os-release": release, "var/lib/dpkg/status": strings.ReplaceAll(status, "3.0.0-1", "3.0.2-1"),
		dist + "MarkupSafe-3.0.3.dist-info/METADATA": metadata("3.0.3"),
	}
	with := func(changes map[string]string) map[string]string {
		all := maps.Clone(clean)
		for name, text := range changes {
			if all[name] = text; text == "" {
				delete(all, name)
			}
		}
		return all
	}
	today := time.Now().Add(-time.Hour)
	for name, tc := range map[string]struct {
		lower   map[string]string
		records map[string][]string
		want    string
	}{
		"nothing to find": {clean, map[string][]string{"github": {known, high}, "debian": {debian}}, ""},
		"a vulnerable Python package": {
			with(map[string]string{dist + "MarkupSafe-3.0.2.dist-info/METADATA": metadata("3.0.2")}),
			map[string][]string{"github": {known, high}, "debian": {debian}}, "IMAGE_VULNERABLE",
		},
		"a vulnerable Debian package": {with(map[string]string{"var/lib/dpkg/status": status}), map[string][]string{"github": {known}, "debian": {debian}}, "IMAGE_VULNERABLE"},
		"a key in a deleted file":     {with(map[string]string{"app/settings.py": "key = \"" + canary() + "\"\n"}), map[string][]string{"github": {known}, "debian": {debian}}, "IMAGE_SECRET"},
		"a database without Debian":   {clean, map[string][]string{"github": {known}}, "ADVISORIES_INCOMPLETE"},
		"no distribution":             {with(map[string]string{"etc/os-release": ""}), map[string][]string{"github": {known}, "debian": {debian}}, "DISTRO_UNKNOWN"},
		"no packages":                 {map[string]string{"a": "b"}, map[string][]string{"github": {known}, "debian": {debian}}, "SCAN_EMPTY"},
	} {
		t.Run(name, func(t *testing.T) {
			image, digest := twoLayers(t, tc.lower, "app/settings.py")
			r, err := native.New(native.Options{Log: &bytes.Buffer{}})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, r.Close(context.Background())) })
			in := audits.Input{
				Config: config.Default(), Now: time.Now(), Scratch: t.TempDir(), Tool: tool(t), Advisories: database(t, today, tc.records),
				Import: func(dir string) (runner.Files, error) { return native.Source(dir), nil },
			}
			in.Config.Python = "3.11"
			kept := shelf{}
			in.Memory = kept
			exports := 0
			export := func(_ context.Context, dir string) error { exports++; return image.Export(dir) }
			first := audits.Scan(t.Context(), r, in, audits.Image{Digest: digest, Export: export, Unpack: oci.Unpack})
			assert.Equal(t, tc.want, codes(first), "%+v %+v", first.Problems, first.Evidence)
			assert.NotContains(t, fmt.Sprintf("%+v", first), canary())

			// Once more: from what was kept, unless something could not be looked at.
			in.Scratch = t.TempDir()
			again := audits.Scan(t.Context(), r, in, audits.Image{Digest: digest, Export: export, Unpack: oci.Unpack})
			assert.Equal(t, tc.want, codes(again), "%+v %+v", again.Problems, again.Evidence)
			assert.NotContains(t, fmt.Sprintf("%+v", again), canary())
			if first.Verdict == verdict.CouldNotRun {
				assert.Empty(t, kept)
				return
			}
			assert.Equal(t, 1, exports)
			assert.Equal(t, first.Files, again.Files)
			assert.Equal(t, first.Problems, again.Problems)
		})
	}
}

// shelf keeps what a scan reported.
type shelf map[string][]byte

// Recall implements audits.Memory.
func (s shelf) Recall(_ context.Context, key string) []byte { return s[key] }

// Keep implements audits.Memory.
func (s shelf) Keep(_ context.Context, found map[string][]byte) error {
	maps.Copy(s, found)
	return nil
}

// twoLayers is an image in a registry: the lower layer has the files, the upper one deletes one.
func twoLayers(t *testing.T, lower map[string]string, deleted string) (oci.Image, string) {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	contents := map[string][]byte{}
	for name, text := range lower {
		contents[name] = []byte(text)
	}
	first, err := crane.Layer(contents)
	require.NoError(t, err)
	dir, base := filepath.Split(deleted)
	second, err := crane.Layer(map[string][]byte{dir + ".wh." + base: nil})
	require.NoError(t, err)
	image, err := mutate.AppendLayers(empty.Image, first, second)
	require.NoError(t, err)
	tag, err := name.NewTag(strings.TrimPrefix(server.URL, "http://") + "/app:v1")
	require.NoError(t, err)
	require.NoError(t, remote.Write(tag, image))
	digest, err := image.Digest()
	require.NoError(t, err)
	at, err := oci.At(t.Context(), tag.Context().Digest(digest.String()).String(), oci.Login{}, nil)
	require.NoError(t, err)
	return at, digest.String()
}

// canary has the form of a key of AWS; it is put together here, so that no file has one.
func canary() string { return "AK" + "IA" + "Z7QX2M5RTB4WNC6D" }

// TestGitleaks plants a key for the real Gitleaks.
func TestGitleaks(t *testing.T) {
	program(t, tools.Gitleaks)
	line := "key = \"" + canary() + "\"\n"
	var zipped bytes.Buffer
	z := zip.NewWriter(&zipped)
	w, err := z.Create("inner/settings.py")
	require.NoError(t, err)
	_, err = w.Write([]byte(line))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	notebook := `{"cells":[{"cell_type":"code","outputs":[{"output_type":"stream","text":["` + canary() + `\n"]}]}],"nbformat":4}`
	for name, tc := range map[string]struct {
		source map[string]string
		want   string
	}{
		"nothing":                      {map[string]string{"main.py": "print()\n"}, ""},
		"in a file":                    {map[string]string{"main.py": line}, "SECRET_FOUND"},
		"in a notebook's output":       {map[string]string{"main.py": "", "a.ipynb": notebook}, "SECRET_FOUND"},
		"in UTF-16":                    {map[string]string{"main.py": "", "a/env.txt": wide(binary.LittleEndian, "\xff\xfe", line)}, "SECRET_FOUND"},
		"in UTF-16 of the other order": {map[string]string{"main.py": "", "env.txt": wide(binary.BigEndian, "\xfe\xff", line)}, "SECRET_FOUND"},
		"nothing, in UTF-16":           {map[string]string{"main.py": "", "env.txt": wide(binary.LittleEndian, "\xff\xfe", "six\n") + "\x00"}, ""},
		"in an archive":                {map[string]string{"main.py": "", "data.zip": zipped.String()}, "SECRET_FOUND"},
		"in a file that no stage sees": {map[string]string{"main.py": "", "docs/a.md": line}, "SECRET_FOUND"},
		"where the source says to look away": {map[string]string{
			"main.py":         "key = \"" + canary() + "\" # gitleaks:allow\n",
			".gitleaks.toml":  "[allowlist]\npaths = ['''.*''']\n",
			".gitleaksignore": "scan/source/main.py:aws-access-token:1\nmain.py:aws-access-token:1\n",
		}, "SECRET_FOUND"},
	} {
		t.Run(name, func(t *testing.T) {
			stage := audit(t, func(in *audits.Input) { in.Source = files(tc.source) }, "secrets")
			assert.Equal(t, tc.want, codes(stage), "%+v", stage.Problems)
			run := &verdict.Run{Stages: []verdict.Stage{stage}}
			dir := filepath.Join(t.TempDir(), "report")
			require.NoError(t, verdict.WriteReport(dir, run.Judge()))
			require.NoError(t, filepath.WalkDir(dir, func(name string, entry os.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				content, err := os.ReadFile(name)
				text := string(content)
				if z, unzipped := gzip.NewReader(bytes.NewReader(content)); unzipped == nil {
					inner, _ := io.ReadAll(z)
					text += string(inner)
				}
				for _, form := range forms(canary()) {
					assert.NotContains(t, text, form, name)
				}
				return err
			}))
		})
	}
}

// wide is text in UTF-16, as PowerShell writes it.
func wide(order binary.AppendByteOrder, mark, text string) string {
	content := []byte(mark)
	for _, unit := range utf16.Encode([]rune(text)) {
		content = order.AppendUint16(content, unit)
	}
	return string(content)
}

// forms are those in which a value could be in a report: as it is, and in the usual encodings.
func forms(value string) []string {
	all := []string{value, strings.ToLower(value), hex.EncodeToString([]byte(value)), strings.ToUpper(hex.EncodeToString([]byte(value)))}
	for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		for _, shift := range []string{"", "a", "ab"} {
			text := encoding.EncodeToString([]byte(shift + value))
			all = append(all, text[4:len(text)-4])
		}
	}
	percent, escaped := "", ""
	for _, b := range []byte(value) {
		percent += fmt.Sprintf("%%%02X", b)
		escaped += fmt.Sprintf(`\\u%04x`, b)
	}
	return append(all, percent, strings.ToLower(percent), escaped)
}
