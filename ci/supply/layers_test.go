package supply

import (
	"archive/tar"
	"crypto/md5" //nolint:gosec // it is what dpkg records
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
)

func layer(t *testing.T, file string, contents map[string]string) {
	t.Helper()
	f, err := os.Create(file) //nolint:gosec // below a test's directory
	require.NoError(t, err)
	w := tar.NewWriter(f)
	for name, text := range contents {
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}))
		_, err := w.Write([]byte(text))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	require.NoError(t, f.Close())
}

// TestLayersAreSorted by what packages of Debian say of their files; whatever else is there is the makers' own.
func TestLayersAreSorted(t *testing.T) {
	const text = "the same for all"
	sum := md5.Sum([]byte(text)) //nolint:gosec // it is what dpkg records
	line := func(name string) string { return hex.EncodeToString(sum[:]) + "  " + name + "\n" }
	dir, to := t.TempDir(), t.TempDir()
	layer(t, filepath.Join(dir, "00.tar"), map[string]string{
		"var/lib/dpkg/info/perl.md5sums": line("usr/include/cop.h") + line("usr/include/changed.h") + line("lib/x.conf") +
			line("etc/later") + "x\n",
		"usr/include/cop.h": text, "usr/include/changed.h": text + "!", "usr/lib/x.conf": text, "app/settings.py": text, "empty": "",
		"venv/lib/python3.11/site-packages/a.py": text, "usr/lib/python3/dist-packages/b.py": text,
	})
	layer(t, filepath.Join(dir, "01.tar"), map[string]string{"./usr/include/cop.h": "changed later", "/etc/later": text})
	newer := sha256.Sum256([]byte(text))
	wheel := "../../../share/a.js,sha256=" + base64.RawURLEncoding.EncodeToString(newer[:]) + ",3\nb.js,sha256=other,3\n,\n"
	const site = "venv/lib/python3.11/site-packages/"
	layer(t, filepath.Join(dir, "02.tar"), map[string]string{
		site + "w-1.dist-info/RECORD": wheel, "venv/share/a.js": text, site + "broken.dist-info/RECORD": "\"",
		"own/lib/x/y/o-1.dist-info/RECORD": wheel, "own/lib/x/y/o-1.dist-info/direct_url.json": "{}", "own/share/a.js": text,
		"own/lib/x/y/b.js": text,
	})
	s, err := sortLayers(dir, to)
	require.NoError(t, err)
	assert.Equal(t, sorted{Own: 7, Packaged: 4, Closed: 5}, s)
	names := func(name string) []string {
		found := map[string]bool{}
		require.NoError(t, eachFile(filepath.Join(to, name), func(name string, header *tar.Header, content io.Reader) error {
			text, err := io.ReadAll(content)
			assert.Len(t, text, int(header.Size))
			found[strings.TrimPrefix(original("!"+name), "!")] = true
			return err
		}))
		return slices.Sorted(maps.Keys(found))
	}
	assert.Equal(t, []string{
		"app/settings.py", "usr/include/changed.h", "usr/lib/python3/dist-packages/b.py", "var/lib/dpkg/info/perl.md5sums",
	}, names("own/00.tar"))
	assert.Equal(t, []string{"usr/include/cop.h", "usr/lib/x.conf"}, names("packaged/00.tar"))
	assert.Equal(t, []string{"usr/include/cop.h"}, names("own/01.tar"))
	assert.Equal(t, []string{"etc/later"}, names("packaged/01.tar"))
	assert.Equal(t, []string{"venv/share/a.js"}, names("packaged/02.tar"), "not what a wheel of the source's own brought")

	require.NoError(t, os.WriteFile(filepath.Join(dir, "03.tar"), []byte("no archive, and long enough for a header"), 0o600))
	_, err = sortLayers(dir, t.TempDir())
	require.Error(t, err)
}

// TestHowLayersAreSearched: what packages brought is searched by the form of secrets alone, all else in full.
func TestHowLayersAreSearched(t *testing.T) {
	const text = "the same for all"
	sum := md5.Sum([]byte(text)) //nolint:gosec // it is what dpkg records
	dir := t.TempDir()
	layer(t, filepath.Join(dir, "00.tar"), map[string]string{
		"var/lib/dpkg/info/a.md5sums": hex.EncodeToString(sum[:]) + "  usr/a\n", "usr/a": text, "app/b": text,
	})
	var steps []runner.Step
	var mu sync.Mutex
	r := fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		steps = append(steps, step)
		return fake.Result(0, map[string]string{secretsOut: `[{"RuleID":"aws-access-token","File":"scan/planted/settings.py"}]`}), nil
	})
	a := &audit{Input: input(t), runner: r}
	_, ok := secretSearch{a}.search(t.Context(), dir)
	require.True(t, ok)
	require.Len(t, steps, 2)
	decodes := map[string]string{}
	for _, step := range steps {
		at := slices.Index(step.Args, "--max-decode-depth")
		rules, err := step.Inputs[2].Files.Read(t.Context(), "rules.toml", 1<<20)
		require.NoError(t, err)
		decodes[step.Args[at+1]] = string(rules)
	}
	assert.NotContains(t, decodes["5"], genericRule)
	assert.Contains(t, decodes["0"], `disabledRules = ["generic-api-key"]`)
	left, err := filepath.Glob(filepath.Join(a.Scratch, "sorted", "*"))
	require.NoError(t, err)
	assert.Empty(t, left)

	blind := fake.New().OnRun(func(step runner.Step) (*runner.Result, error) {
		if slices.Contains(step.Args, "0") { // one of the two finds nothing
			return fake.Result(0, map[string]string{secretsOut: `[]`}), nil
		}
		return r.Run(t.Context(), step)
	})
	one := &scan{audit: &audit{Input: input(t), runner: blind}}
	seen, ok := secretSearch{one.audit}.search(t.Context(), dir)
	one.inLayersFound(seen, ok)
	require.Len(t, one.problems, 1)
	assert.Equal(t, "SCANNER_BLIND", one.problems[0].Code.Name)
	assert.Zero(t, one.found.secrets)
}

// TestLayersWithNamesThatGitleaksSkips: the makers' own are searched under another name, and found under theirs.
func TestLayersWithNamesThatGitleaksSkips(t *testing.T) {
	const site = "opt/lib/python3.11/site-packages/"
	dir, to := t.TempDir(), t.TempDir()
	layer(t, filepath.Join(dir, "00.tar"), map[string]string{
		"app/gitleaks.toml/a.py": "x", "app/settings.bin": "x", "app/main.py": "x", "app/node_modules/a.js": "x", site + "other.py": "x",
		site + "app.py": "x", site + "app-1.dist-info/RECORD": "app.py,sha256=other,1\n", site + "app-1.dist-info/direct_url.json": "{}",
	})
	s, err := sortLayers(dir, to)
	require.NoError(t, err)
	assert.Equal(t, 4, s.Own)
	assert.Equal(t, 4, s.Closed)
	var names []string
	require.NoError(t, eachFile(filepath.Join(to, ownLayers, "00.tar"), func(name string, _ *tar.Header, _ io.Reader) error {
		assert.NotRegexp(t, byName, name)
		names = append(names, original("00.tar!"+name))
		return nil
	}))
	assert.ElementsMatch(t, []string{
		"00.tar!app/gitleaks.toml/a.py", "00.tar!app/settings.bin", "00.tar!app/main.py", "00.tar!" + site + "app.py",
	}, names)
	for _, odd := range []string{"00.tar!" + renamed + "zz.txt", "a.py", "00.tar!" + renamed} {
		assert.Equal(t, odd, original(odd))
	}
}
