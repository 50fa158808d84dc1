package native

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMountsAreFoundByTheirPlace(t *testing.T) {
	info := "22 1 8:1 / / rw shared:1 - ext4 /dev/root rw\n" +
		"30 22 0:5 /x /t/step-1/in/a\\040b\\134 rw - tmpfs tmpfs rw\n" +
		"31 22 0:5 / /t/step-1 rw - tmpfs tmpfs rw\n" +
		"32 22 0:5 / /t/step-10/in rw - tmpfs tmpfs rw\n" +
		"short line\n"
	assert.Equal(t, []string{"/t/step-1/in/a b\\", "/t/step-1"}, mountsBelow(info, "/t/step-1"))
	assert.Empty(t, mountsBelow(info, "/t/step-2"))
	assert.Equal(t, `a\9zz`, unescaped(`a\9zz`), "no escape")
}

// A folder that a step bound into its directory is not the step's to remove.
func TestWhatIsMountedIsNotRemoved(t *testing.T) {
	precious, dir := t.TempDir(), t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(filepath.Dir(dir), link))
	dir = filepath.Join(link, filepath.Base(dir))
	require.NoError(t, os.WriteFile(filepath.Join(precious, "file"), []byte("x"), 0o600))
	at := filepath.Join(dir, "work", "bound here")
	require.NoError(t, os.MkdirAll(at, 0o700))
	if err := syscall.Mount(precious, at, "", syscall.MS_BIND, ""); err != nil {
		t.Skip("mounting needs root: ", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(at, detach) })
	require.NoError(t, removeAll(dir))
	assert.NoDirExists(t, dir)
	assert.FileExists(t, filepath.Join(precious, "file"))
}
