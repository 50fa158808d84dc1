//go:build unix

package native_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestABuildFindsTheCompilersOfTheHost: a backend that does not find Rust downloads it.
func TestABuildFindsTheCompilersOfTheHost(t *testing.T) {
	const rustc = "#!/bin/sh\ntest -z \"$SECRET_TOKEN\" && test \"$*\" = '--print sysroot' && pwd | /usr/bin/grep -qx / && echo %s"
	for name, c := range map[string]struct {
		said, cargo string
		found       bool
	}{
		"behind rustup":       {"%s", "bin/cargo", true},
		"a compiler alone":    {"%s", "bin/rustc", false},
		"no directory":        {"toolchain", "bin/cargo", false},
		"not one on the path": {"", "bin/cargo", false},
	} {
		t.Run(name, func(t *testing.T) {
			bin, root := t.TempDir(), t.TempDir()
			require.NoError(t, os.MkdirAll(filepath.Join(root, "bin"), 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(root, c.cargo), []byte("#!/bin/sh\n"), 0o755))
			if c.said != "" {
				script := strings.Replace(rustc, "%s", strings.Replace(c.said, "%s", root, 1), 1)
				require.NoError(t, os.WriteFile(filepath.Join(bin, "rustc"), []byte(script), 0o755))
			}
			opts := options(t)
			t.Setenv("PATH", bin)
			t.Setenv("SECRET_TOKEN", "x")
			r := open(t, opts)
			step := sh(`echo "$PATH"`)
			step.Env.Compiler = true
			assert.Equal(t, c.found, strings.HasSuffix(strings.TrimSpace(run(t, r, step).Stdout), ":"+filepath.Join(root, "bin")))
			step.Env.Compiler = false
			assert.NotContains(t, run(t, r, step).Stdout, root, "only where the build needs a compiler")
		})
	}
}
