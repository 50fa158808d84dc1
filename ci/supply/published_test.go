package supply

import (
	"archive/tar"
	"crypto/md5" //nolint:gosec // it is what dpkg records
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/supply/secrets"
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

// TestPublished excuses what a package brought unchanged, and nothing else.
func TestPublished(t *testing.T) {
	const text = "the same for all"
	old, sum := md5.Sum([]byte(text)), sha256.Sum256([]byte(text)) //nolint:gosec // it is what dpkg records
	wheel := "a.py,sha256=" + base64.RawURLEncoding.EncodeToString(sum[:]) + ",3\nb.py,sha256=other,3\n,\n../../bin/tool,sha256=" +
		base64.RawURLEncoding.EncodeToString(sum[:]) + ",1\n"
	dir := t.TempDir()
	layer(t, filepath.Join(dir, "00.tar"), map[string]string{
		"usr/include/cop.h": text, "usr/include/changed.h": text + "!", "opt/own.h": text,
		"var/lib/dpkg/info/perl.md5sums": hex.EncodeToString(old[:]) + "  usr/include/cop.h\n" + hex.EncodeToString(old[:]) + "  usr/include/changed.h\nx\n",
	})
	layer(t, filepath.Join(dir, "01.tar"), map[string]string{
		"venv/lib/a.py": text, "venv/lib/b.py": text, "bin/tool": text, "venv/lib/w-1.dist-info/RECORD": wheel, "venv/own/a.py": text,
		"venv/own/o-1.dist-info/RECORD": wheel, "venv/own/o-1.dist-info/direct_url.json": `{"url":"file:///src"}`,
		"venv/lib/broken.dist-info/RECORD": "\"", "usr/include/cop.h": text + " of a later layer",
	})
	found := func(rule, file string) secrets.Finding { return secrets.Finding{Rule: rule, File: file, Line: 1} }
	for file, want := range map[string]bool{
		"00.tar!usr/include/cop.h": true, "00.tar!usr/include/changed.h": false, "00.tar!opt/own.h": false, "01.tar!usr/include/cop.h": false,
		"01.tar!venv/lib/a.py": true, "01.tar!venv/lib/b.py": false, "01.tar!venv/own/a.py": false, "01.tar!bin/tool": true,
		"01.tar!gone": false, "01.tar!venv/lib/a.zip!a.py": false, "00.tar": false,
	} {
		known, err := published(dir, []secrets.Finding{found(genericRule, file), found("aws-access-token", file)})
		require.NoError(t, err)
		if want {
			assert.Equal(t, []secrets.Finding{found(genericRule, file)}, known, "%s: a key by its form is never excused", file)
		} else {
			assert.Empty(t, known, file)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "02.tar"), []byte("no archive, and long enough for a header"), 0o600))
	_, err := published(dir, []secrets.Finding{found(genericRule, "00.tar!opt/own.h")})
	require.Error(t, err)
}
