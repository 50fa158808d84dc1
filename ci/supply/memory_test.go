package supply

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
	"github.com/openstack-rca/openstack-rca/ci/supply/tools"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// shelf is a memory, and what goes to and from it.
type shelf struct {
	found map[string][]byte
	fails error
}

func (s *shelf) Recall(_ context.Context, key string) []byte { return s.found[key] }

func (s *shelf) Keep(_ context.Context, found map[string][]byte) error {
	if s.fails != nil {
		return s.fails
	}
	maps.Copy(s.found, found)
	return nil
}

const (
	knownBOM = `{"metadata":{"component":{"version":"` + scanned + `"}},"components":[{"name":"demo","version":"1","purl":"pkg:pypi/demo@1"}]}`
	captured = `{"github":{"captured":"2026-11-28T00:00:00Z"}}`
)

// looking counts what a scan does.
type looking struct {
	t     *testing.T
	in    Input
	shelf *shelf
	image Image
	// runner is that of the next scan; grype is what Grype reports.
	runner *fake.Runner
	grype  string
	work   []string
}

func newLooking(t *testing.T) *looking {
	l := &looking{t: t, in: input(t), shelf: &shelf{found: map[string][]byte{}}, image: exported("app/main.py")}
	l.in.Advisories = filepath.Join(t.TempDir(), "db.tar.zst")
	require.NoError(t, os.WriteFile(l.in.Advisories, []byte("monday"), 0o600))
	l.in.Memory, l.grype = l.shelf, grypeReport("2026-11-28", captured, "")
	return l
}

// scan returns the verdict and what was done for it, in the order of the alphabet.
func (l *looking) scan() (verdict.Stage, string) {
	l.work = nil
	bom := strings.Replace(knownBOM, scanned, l.image.Digest, 1)
	l.runner = programs(bom, l.grype)
	in, image := l.in, l.image
	work := make(chan string, 20)
	in.Import = func(dir string) (runner.Files, error) { work <- "upload"; return l.in.Import(dir) }
	image.Export = func(ctx context.Context, dir string) error { work <- "export"; return l.image.Export(ctx, dir) }
	image.Unpack = func(dir string) error { work <- "unpack"; return l.image.Unpack(dir) }
	stage := Scan(l.t.Context(), l.runner, in, image)
	close(work)
	for one := range work {
		l.work = append(l.work, one)
	}
	for _, step := range l.runner.Steps() {
		l.work = append(l.work, step.Name)
	}
	slices.Sort(l.work)
	return stage, strings.Join(l.work, " ")
}

const (
	all      = "export gitleaks grype syft unpack upload upload upload"
	matching = "grype upload"
)

func TestAnImageThatWasScannedIsNotScannedAgain(t *testing.T) {
	l := newLooking(t)
	first, work := l.scan()
	require.Equal(t, verdict.Pass, first.Verdict, "%v", first.Problems)
	require.Equal(t, all, work)
	require.Len(t, l.shelf.found, 2, "what is in the image, and the report of Grype")

	before := maps.Clone(l.shelf.found)
	l.in.Now = now.Add(time.Hour)
	second, work := l.scan()
	require.Equal(t, verdict.Pass, second.Verdict, "%v", second.Problems)
	assert.Empty(t, work, "no export, no upload, no step")
	assert.Equal(t, first.Files, second.Files)
	assert.Equal(t, first.Blocks, second.Blocks)
	assert.Equal(t, first.Measures, second.Measures)
	require.Len(t, second.Evidence, len(first.Evidence)+1)
	last := second.Evidence[len(second.Evidence)-1]
	assert.Equal(t, "reports of programs", last.Name)
	assert.Contains(t, last.Value, "2026-11-29 12:00:00 UTC")
	assert.ElementsMatch(t, first.Evidence, second.Evidence[:len(first.Evidence)])
	assert.Equal(t, before, l.shelf.found, "nor is it kept again, as if it had been looked at")

	l.image.Digest = "sha256:bb"
	_, work = l.scan()
	require.Equal(t, all, work)
	l.image.Digest = scanned
	_, work = l.scan()
	assert.Empty(t, work, "several images are known")
}

// TestNothingIsKeptUnderAKeyThatDoesNotSayAll.
func TestNothingIsKeptUnderAKeyThatDoesNotSayAll(t *testing.T) {
	l := newLooking(t)
	before := runner.Program
	runner.Program = func() string { return "" }
	defer func() { runner.Program = before }()
	stage, _ := l.scan()
	assert.Equal(t, verdict.Pass, stage.Verdict)
	assert.Empty(t, l.shelf.found)
	runner.Program = before
	l.in.Tool = nil
	assert.Empty(t, (&scan{audit: &audit{Input: l.in, runner: fake.New()}, image: l.image}).imageKey(t.Context()))
	a := &audit{Input: l.in, runner: fake.New()}
	assert.NotEmpty(t, a.grypeKey(t.Context(), fake.Files(nil), l.in.Advisories, nil))
	assert.Empty(t, a.grypeKey(t.Context(), fake.Files(nil), filepath.Dir(l.in.Advisories), nil), "a directory")
	assert.Empty(t, a.grypeKey(t.Context(), fake.Dir(filepath.Join(t.TempDir(), "none")), l.in.Advisories, nil), "a program that is not there")
}

// TestWhatIsScannedAgain changes one thing that a report depends on.
func TestWhatIsScannedAgain(t *testing.T) {
	const own = "export gitleaks syft unpack upload upload"
	newer := func(name string) func(*testing.T, *looking) {
		return func(_ *testing.T, l *looking) {
			before := l.in.Tool
			l.in.Tool = func(ctx context.Context, n string) (runner.Files, error) {
				if n == name {
					return fake.Files(map[string]string{n: "#!newer"}), nil
				}
				return before(ctx, n)
			}
		}
	}
	for name, tc := range map[string]struct {
		change func(t *testing.T, l *looking)
		want   string
	}{
		"another image": {func(_ *testing.T, l *looking) { l.image.Digest = "sha256:bb" }, all},
		"another database": {func(t *testing.T, l *looking) {
			require.NoError(t, os.WriteFile(l.in.Advisories, []byte("tuesday"), 0o600))
		}, matching},
		"another Syft":     {newer(tools.Syft), own},
		"another Gitleaks": {newer(tools.Gitleaks), own},
		"another Grype":    {newer(tools.Grype), matching},
		"other rules": {func(t *testing.T, _ *looking) {
			before := byForm.rules
			byForm.rules += "# more\n"
			t.Cleanup(func() { byForm.rules = before })
		}, own},
		"another version of this program": {func(t *testing.T, _ *looking) {
			before := runner.Program
			runner.Program = func() string { return "newer" }
			t.Cleanup(func() { runner.Program = before })
		}, all},
		"a program that cannot be read": {func(t *testing.T, _ *looking) {
			before := runner.Program
			runner.Program = func() string { return "" }
			t.Cleanup(func() { runner.Program = before })
		}, all},
		"another Python": {func(_ *testing.T, l *looking) { l.in.Config.Python = "3.12" }, all},
		"no memory":      {func(_ *testing.T, l *looking) { l.in.Memory = nil }, all},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLooking(t)
			first, _ := l.scan()
			require.Equal(t, verdict.Pass, first.Verdict, "%v", first.Problems)
			tc.change(t, l)
			stage, work := l.scan()
			assert.Equal(t, tc.want, work)
			assert.Equal(t, verdict.Pass, stage.Verdict, "%v", stage.Problems)
		})
	}
}

// TestAMemoryThatWasTouchedIsIgnored: then the image is looked at again, and what is wrong with it is found.
func TestAMemoryThatWasTouchedIsIgnored(t *testing.T) {
	resealed := func(change func(seen *imageSeen, when *time.Time)) func(key string, content []byte) []byte {
		return func(key string, content []byte) []byte {
			var entry kept[imageSeen]
			if !unseal(key, content, &entry) || entry.Found.BOM == nil {
				return content
			}
			change(&entry.Found, &entry.Seen)
			sealed, err := seal(key, entry)
			require.NoError(t, err)
			return sealed
		}
	}
	flip := func(at int) func(string, []byte) []byte {
		return func(_ string, content []byte) []byte {
			i := (at + len(content)) % len(content)
			changed := slices.Clone(content)
			changed[i] ^= 1
			return changed
		}
	}
	for name, change := range map[string]func(key string, content []byte) []byte{
		"a bit in the checksum":     flip(3),
		"a bit in the content":      flip(100),
		"a bit at the end":          flip(-1),
		"cut":                       func(_ string, content []byte) []byte { return content[:len(content)/2] },
		"nothing in it":             func(string, []byte) []byte { return []byte{} },
		"an empty entry":            func(key string, _ []byte) []byte { return []byte(checksum(key, "")) },
		"one that is no archive":    func(key string, _ []byte) []byte { return []byte(checksum(key, "eA==") + "eA==") },
		"one that is not base64":    func(key string, _ []byte) []byte { return []byte(checksum(key, "?") + "?") },
		"what was planted is gone":  resealed(func(seen *imageSeen, _ *time.Time) { seen.Layers.Reports[0] = nil }),
		"no layer":                  resealed(func(seen *imageSeen, _ *time.Time) { seen.Layers.Reports = nil }),
		"packages of another image": resealed(func(seen *imageSeen, _ *time.Time) { seen.BOM = []byte(`{"metadata":{}}`) }),
		"no packages":               resealed(func(seen *imageSeen, _ *time.Time) { seen.BOM = []byte(`x`) }),
		"no SPDX":                   resealed(func(seen *imageSeen, _ *time.Time) { seen.SPDX = nil }),
		"without a day":             resealed(func(_ *imageSeen, when *time.Time) { *when = time.Time{} }),
		"from tomorrow":             resealed(func(_ *imageSeen, when *time.Time) { *when = now.AddDate(0, 0, 1) }),
	} {
		t.Run(name, func(t *testing.T) {
			l := newLooking(t)
			l.scan()
			for key, content := range l.shelf.found {
				l.shelf.found[key] = change(key, content)
			}
			stage, work := l.scan()
			assert.Contains(t, work, "export gitleaks")
			assert.Contains(t, work, "syft unpack upload")
			assert.Equal(t, verdict.Pass, stage.Verdict, "%v", stage.Problems)
			stage, work = l.scan()
			assert.Empty(t, work, "it was replaced")
			assert.Equal(t, verdict.Pass, stage.Verdict)
		})
	}
	t.Run("the entry of another image", func(t *testing.T) {
		l, other := newLooking(t), newLooking(t)
		l.scan()
		other.image.Digest = "sha256:bb"
		other.scan()
		for _, content := range l.shelf.found {
			for foreign := range other.shelf.found {
				other.shelf.found[foreign] = content
			}
		}
		_, work := other.scan()
		assert.Equal(t, all, work)
	})
	t.Run("the entry of an older program", func(t *testing.T) {
		l := newLooking(t)
		l.scan()
		old := maps.Clone(l.shelf.found)
		tool := l.in.Tool
		l.in.Tool = func(ctx context.Context, name string) (runner.Files, error) {
			if name == tools.Syft {
				return fake.Files(map[string]string{name: "#!newer"}), nil
			}
			return tool(ctx, name)
		}
		l.scan()
		require.Len(t, l.shelf.found, 3)
		for key := range l.shelf.found {
			for before, content := range old {
				var entry kept[imageSeen]
				if old[key] == nil && unseal(before, content, &entry) && entry.Found.BOM != nil {
					l.shelf.found[key] = content
				}
			}
		}
		_, work := l.scan()
		assert.Contains(t, work, "syft")
	})
	t.Run("a report of Grype without what was planted", func(t *testing.T) {
		l := newLooking(t)
		l.scan()
		for key, content := range l.shelf.found {
			var entry kept[[]byte]
			if unseal(key, content, &entry) && len(entry.Found) > 0 {
				entry.Found = []byte(strings.Replace(string(entry.Found), "2.4.1", "9", 1))
				sealed, err := seal(key, entry)
				require.NoError(t, err)
				l.shelf.found[key] = sealed
			}
		}
		_, work := l.scan()
		assert.Equal(t, matching, work)
	})
}

// TestWhatIsRememberedIsJudgedAnew: a memory holds no verdict.
func TestWhatIsRememberedIsJudgedAnew(t *testing.T) {
	l := newLooking(t)
	l.grype = grypeReport("2026-11-28", captured, `,{"vulnerability":{"id":"CVE-2026-1","severity":"High","fix":{"versions":["2"]}},`+
		`"artifact":{"name":"demo","version":"1","purl":"pkg:pypi/demo@1"}}`)
	l.in.Config.Security.Allow = []config.AllowedAdvisory{{ID: "CVE-2026-1", Package: "demo", In: "image", Reason: "x", Until: "2026-11-30"}}
	stage, _ := l.scan()
	require.Equal(t, verdict.Pass, stage.Verdict, "%v", stage.Problems)
	for name, tc := range map[string]struct {
		change func()
		want   string
	}{
		"the exception ends":      {func() { l.in.Now = now.AddDate(0, 0, 2) }, "WAIVER_EXPIRED"},
		"the exception is gone":   {func() { l.in.Config.Security.Allow = nil }, "IMAGE_VULNERABLE"},
		"the database gets old":   {func() { l.in.Now, l.in.Config.Security.Allow = now.AddDate(0, 0, 30), nil }, "ADVISORIES_STALE"},
		"more packages are asked": {func() { l.in.Now, l.in.Config.Security.MinPackages = now, 2 }, "SCAN_EMPTY"},
	} {
		before := l.in
		tc.change()
		stage, work := l.scan()
		assert.Empty(t, work, name)
		assert.Contains(t, codes(stage), tc.want, name)
		assert.NotEqual(t, verdict.Pass, stage.Verdict, name)
		l.in = before
	}
}

// TestWhatCouldNotBeLookedAtIsNotRemembered.
func TestWhatCouldNotBeLookedAtIsNotRemembered(t *testing.T) {
	for name, change := range map[string]func(l *looking){
		"an old database":          func(l *looking) { l.grype = grypeReport("2026-11-01", captured, "") },
		"what was planted is gone": func(l *looking) { l.grype = strings.Replace(l.grype, "2.4.1", "9", 1) },
		"no database":              func(l *looking) { l.in.Advisories = "" },
		"no Grype": func(l *looking) {
			before := l.in.Tool
			l.in.Tool = func(ctx context.Context, name string) (runner.Files, error) {
				if name == tools.Grype {
					return nil, errors.New("not here")
				}
				return before(ctx, name)
			}
		},
		"layers that cannot be unpacked": func(l *looking) { l.image.Unpack = func(string) error { return errors.New("cut") } },
	} {
		t.Run(name, func(t *testing.T) {
			l := newLooking(t)
			change(l)
			stage, _ := l.scan()
			require.Equal(t, verdict.CouldNotRun, stage.Verdict)
			assert.Empty(t, l.shelf.found)
		})
	}
	t.Run("beside what fails", func(t *testing.T) {
		l := newLooking(t)
		l.in.Config.Security.Licenses.Deny = []string{"MIT"}
		l.image.Unpack = func(string) error { return errors.New("cut") }
		l.grype = grypeReport("2026-11-28", captured, `,{"vulnerability":{"id":"CVE-2026-1","severity":"Critical","fix":{"versions":["2"]}},`+
			`"artifact":{"name":"demo","version":"1","purl":"pkg:pypi/demo@1"}}`)
		stage, _ := l.scan()
		require.Equal(t, verdict.Fail, stage.Verdict)
		assert.Empty(t, l.shelf.found)
	})
}

func TestAMemoryThatIsFullCostsTimeAlone(t *testing.T) {
	l := newLooking(t)
	l.shelf.fails = errors.New("disk full")
	stage, _ := l.scan()
	assert.Equal(t, verdict.Pass, stage.Verdict)
	assert.Contains(t, stage.Evidence[len(stage.Evidence)-1].Value, "disk full")
	large, err := seal("k", kept[imageSeen]{Found: imageSeen{BOM: noise(maxEntry)}})
	require.NoError(t, err)
	assert.Nil(t, large, "an entry has a bound")
	_, err = seal("k", func() {})
	require.Error(t, err)
}

// noise is what no program makes smaller.
func noise(n int) []byte {
	content, x := make([]byte, n), uint32(1)
	for i := range content {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		content[i] = byte(x)
	}
	return content
}

// TestNoSecretIsRemembered: the memory has places of findings, not what is there.
func TestNoSecretIsRemembered(t *testing.T) {
	l := newLooking(t)
	run := programs(knownBOM, l.grype)
	value := "the" + "-value"
	r := fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		if step.Name != "gitleaks" {
			return run.Run(t.Context(), step)
		}
		return fake.Result(0, map[string]string{secretsOut: `[{"RuleID":"aws-access-token","File":"scan/planted/settings.py"},` +
			`{"RuleID":"generic-api-key","File":"scan/source/00.tar!a.py","StartLine":2,"Secret":"` + value + `","Match":"` + value + `"}]`}), nil
	})
	stage := Scan(t.Context(), r, l.in, l.image)
	require.Equal(t, "IMAGE_SECRET", codes(stage))
	require.Len(t, l.shelf.found, 2, "a finding is a finding the next time too")
	for key, content := range l.shelf.found {
		var entry kept[imageSeen]
		if unseal(key, content, &entry) && entry.Found.BOM != nil {
			assert.Equal(t, [][]secrets.Finding{{
				{Rule: "aws-access-token", File: plantedFile}, {Rule: "generic-api-key", File: "source/00.tar!a.py", Line: 2},
			}}, entry.Found.Layers.Reports)
		}
	}
	again := Scan(t.Context(), fake.New(), l.in, l.image)
	assert.Equal(t, "IMAGE_SECRET", codes(again))
}

func TestAnAuditDoesNotMatchAgain(t *testing.T) {
	l := newLooking(t)
	l.in.Checks = []string{"advisories"}
	audit := func() (verdict.Stage, int) {
		r := programs("", l.grype)
		stage := Audit(t.Context(), r, l.in)
		return stage, len(r.Steps())
	}
	stage, steps := audit()
	require.Equal(t, verdict.Pass, stage.Verdict, "%v", stage.Problems)
	require.Equal(t, 1, steps)
	stage, steps = audit()
	assert.Equal(t, verdict.Pass, stage.Verdict, "%v", stage.Problems)
	assert.Zero(t, steps)
	l.in.Source = fake.Files(map[string]string{"requirements.txt": "demo==1.1\n"})
	_, steps = audit()
	assert.Equal(t, 1, steps, "other packages")
}
