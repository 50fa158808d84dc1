//go:build linux

package imagestage_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// slim runs ci/image/scripts/slim.py, and returns what it says.
func slim(t *testing.T, args ...string) string {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not installed")
	}
	out, err := exec.CommandContext(t.Context(), python, append([]string{"-I", "../../ci/image/scripts/slim.py"}, args...)...).CombinedOutput()
	require.NoError(t, err, string(out))
	return string(out)
}

// plant writes files; a name that ends in / is a directory.
func plant(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	}
}

func exists(root, name string) bool {
	_, err := os.Lstat(filepath.Join(root, name))
	return err == nil
}

// program is a program with symbols for debuggers.
func program(t *testing.T, path string) {
	t.Helper()
	main := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(main, []byte("package main\n\nfunc main() { println(\"runs\") }\n"), 0o600))
	build := exec.CommandContext(t.Context(), "go", "build", "-o", path, main)
	build.Env = append(os.Environ(), "GOFLAGS=", "CGO_ENABLED=0")
	out, err := build.CombinedOutput()
	require.NoError(t, err, string(out))
}

func TestPackagesWithoutWhatServingDoesNotRead(t *testing.T) {
	tree := t.TempDir()
	site := "lib/python3.11/site-packages/"
	gone := map[string]string{
		site + "pandas/tests/test_a.py": "import pandas.tests.b", site + "pandas/tests/__init__.py": "", site + "numpy/a.pyi": "",
		site + "numpy/_core/include/numpy/x.h": "", site + "numpy/y.pyx": "", site + "numpy/lib.a": "", site + "pydeck/index.js.map": "{}",
		"share/jupyter/x.js": "", "share/man/man1/x.1": "", site + "distlib/t64.exe": "", site + "conf/tests/__init__.py": "",
	}
	kept := map[string]string{
		site + "pandas/__init__.py": "from pandas.testing import x\nNAME = 'tests'\n", site + "pandas/testing.py": "",
		// These tests are imported by code that is not of a test.
		site + "needs/__init__.py": "from needs.tests import helper\n", site + "needs/tests/helper.py": "",
		site + "far/__init__.py": "from far import (a, tests)\n", site + "far/tests/helper.py": "",
		site + "near/__init__.py": "from .tests import helper\n", site + "near/tests/helper.py": "",
		// lazy_loader reads this stub, and PyTorch compiles against its headers.
		site + "skimage/__init__.py":  "import lazy_loader as lazy\na, b, c = lazy.attach_stub(__name__, __file__)\n",
		site + "skimage/__init__.pyi": "", site + "torch/include/ATen.h": "", site + "triton/lib/x.a": "",
		// The top folder is a package of somebody, whatever it is called.
		site + "tests/__init__.py": "", site + "conf/conftest.py": "from conf.tests import x", site + "pandas/data.csv": "", "bin/python": "",
		site + "numpy/x.so": "not ELF", site + "pandas.dist-info/RECORD": "",
	}
	plant(t, tree, gone)
	plant(t, tree, kept)
	program(t, filepath.Join(tree, site, "numpy/core.so"))
	plant(t, tree, map[string]string{site + "pyarrow/libarrow.so": "ELF", site + "pyarrow/libarrow.so.25": "ELF", site + "pyarrow/lib.so": "other"})
	said := slim(t, "packages", tree)
	for name := range gone {
		assert.False(t, exists(tree, name), name)
	}
	for name := range kept {
		assert.True(t, exists(tree, name), name)
	}
	assert.Contains(t, said, "symbols")
	same, err := os.Readlink(filepath.Join(tree, site, "pyarrow/libarrow.so"))
	require.NoError(t, err, "one library under two names")
	assert.Equal(t, "libarrow.so.25", same)

	before, err := os.ReadFile(filepath.Join(tree, site, "numpy/core.so"))
	require.NoError(t, err)
	file, err := elf.Open(filepath.Join(tree, site, "numpy/core.so"))
	require.NoError(t, err)
	for _, section := range file.Sections {
		assert.False(t, strings.HasPrefix(section.Name, ".debug_") && section.Size > 0, section.Name)
	}
	require.NoError(t, file.Close())
	out, err := exec.CommandContext(t.Context(), filepath.Join(tree, site, "numpy/core.so")).CombinedOutput()
	require.NoError(t, err, string(out))
	assert.Equal(t, "runs\n", string(out))

	slim(t, "packages", tree)
	after, err := os.ReadFile(filepath.Join(tree, site, "numpy/core.so"))
	require.NoError(t, err)
	assert.Equal(t, before, after, "the second time there is nothing to do")
}

const packages = `Package: perl-base
Status: install ok installed

Package: apt
Depends: libc6, perl-base | other

Package: needed
Depends: mount (>= 1:4), debconf | debconf-2.0, libc6

Package: debconf
Depends: perl-base

Package: mount
Pre-Depends: libc6

Package: libc6

`

func TestABaseWithoutWhatServingDoesNotRead(t *testing.T) {
	from, to := t.TempDir(), filepath.Join(t.TempDir(), "new")
	require.NoError(t, os.Mkdir(to, 0o755))
	gone := map[string]string{
		"usr/bin/perl": "", "usr/bin/apt": "", "usr/share/man/man1/x.1": "", "usr/share/doc/apt/changelog.gz": "", "var/cache/x": "",
		"usr/local/lib/python3.11/idlelib/x.py": "", "usr/local/lib/python3.11/tkinter": "", "usr/local/lib/python3.11/config-3.11-x86_64-linux-gnu/libpython3.11.a": "",
		"usr/local/include/python3.11/Python.h": "", "var/lib/dpkg/info/apt.md5sums": "", "var/lib/dpkg/info/libc6.postinst": "",
	}
	kept := map[string]string{
		"usr/bin/mount": "", "usr/share/doc/apt/copyright": "", "usr/share/zoneinfo/UTC": "", "usr/local/lib/python3.11/os.py": "",
		"usr/local/lib/python3.11/config-3.11-x86_64-linux-gnu/Makefile": "", "etc/passwd": "app:x:1:1::/:/bin/sh\n", "usr/bin/both": "",
		"var/lib/dpkg/info/libc6.md5sums": "", "usr/share/perl5/Git.pm": "",
	}
	plant(t, from, gone)
	plant(t, from, kept)
	require.NoError(t, os.MkdirAll(filepath.Join(from, "var/log/app"), 0o755))
	plant(t, from, map[string]string{
		"var/lib/dpkg/status": packages, "var/lib/dpkg/info/apt.list": "/.\n/usr\n/usr/bin\n/usr/bin/apt\n/usr/bin/both\n",
		"var/lib/dpkg/info/perl-base.list": "/bin/perl\n", "var/lib/dpkg/info/mount.list": "/usr/bin/mount\n", "var/lib/dpkg/info/libc6.list": "/usr/bin/both\n",
	})
	require.NoError(t, os.Symlink("usr/bin", filepath.Join(from, "bin")))
	require.NoError(t, os.Link(filepath.Join(from, "usr/bin/both"), filepath.Join(from, "usr/bin/again")))
	require.NoError(t, os.Chmod(filepath.Join(from, "var"), 0o711))
	program(t, filepath.Join(from, "usr/bin/tool"))
	said := slim(t, "base", from, to)
	assert.Contains(t, said, "symbols")
	for name := range gone {
		assert.False(t, exists(to, name), name)
	}
	for name := range kept {
		assert.True(t, exists(to, name), name)
	}
	assert.True(t, exists(to, "var/log/app"), "an application may write there")
	target, err := os.Readlink(filepath.Join(to, "bin"))
	require.NoError(t, err)
	assert.Equal(t, "usr/bin", target)
	one, err := os.Stat(filepath.Join(to, "usr/bin/both"))
	require.NoError(t, err)
	other, err := os.Stat(filepath.Join(to, "usr/bin/again"))
	require.NoError(t, err)
	assert.True(t, os.SameFile(one, other), "hard links stay")
	mode, err := os.Stat(filepath.Join(to, "var"))
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o711), mode.Mode().Perm())
	old, err := os.Stat(filepath.Join(from, "usr/bin/both"))
	require.NoError(t, err)
	assert.Equal(t, old.ModTime(), one.ModTime())
	status, err := os.ReadFile(filepath.Join(to, "var/lib/dpkg/status"))
	require.NoError(t, err)
	assert.NotContains(t, string(status), "Package: apt")
	assert.NotContains(t, string(status), "Package: perl-base")
	assert.Contains(t, string(status), "Package: mount", "another package needs it")
	out, err := exec.CommandContext(t.Context(), filepath.Join(to, "usr/bin/tool")).CombinedOutput()
	require.NoError(t, err, string(out))
}
