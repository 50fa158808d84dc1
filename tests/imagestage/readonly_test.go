package imagestage_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readonly runs a shell's command in a directory, with the right to write in its directory
// "volume" alone, with this host's Python.
func readonly(t *testing.T, dir, command string) (out string, code int) {
	t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("no python3 on this machine")
	}
	script, err := filepath.Abs("../../ci/image/scripts/readonly.py")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "root")
	ran := exec.CommandContext(t.Context(), python, "-I", script, file, filepath.Join(dir, "volume"), filepath.Join(dir, "nothing"), "--", "sh", "-c", command)
	ran.Dir = dir
	ran.Env = append(os.Environ(), "HOME="+dir)
	printed, err := ran.CombinedOutput()
	if err != nil {
		require.IsType(t, &exec.ExitError{}, err)
	}
	held, err := os.ReadFile(file)
	require.NoError(t, err)
	if strings.HasPrefix(string(held), "not held: ") {
		t.Skip("this kernel does not let the rule in: " + string(held))
	}
	assert.Equal(t, "held\n", string(held))
	return string(printed), ran.ProcessState.ExitCode()
}

func TestOnlyTheVolumesCanBeWrittenTo(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"volume", "other"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o750))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), []byte("as it was"), 0o600))

	out, code := readonly(t, dir, "cd volume && mkdir a b && echo x >a/y && mv a/y b/z && : >b/z && ln -s b c && rm -r a && cat ../file >/dev/null && exit 7")
	assert.Empty(t, out, "all of it goes below a volume")
	assert.Equal(t, 7, code, "the command's own")

	for _, command := range []string{
		"echo x >file", "echo x >>file", ": >file", "rm file", "mv file volume/", "mv volume/b/z other/", "ln -s file link", "mkdir new", "rmdir other", "mkfifo pipe",
		"sh -c 'echo x >other/new'", "truncate -s 0 file", "ln file volume/hard",
	} {
		out, code := readonly(t, dir, command)
		assert.NotZero(t, code, command)
		assert.Regexp(t, "Permission denied|Invalid cross-device link", out, command)
	}
	content, err := os.ReadFile(filepath.Join(dir, "file"))
	require.NoError(t, err)
	assert.Equal(t, "as it was", string(content))
}
