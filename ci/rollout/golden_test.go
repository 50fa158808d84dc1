package rollout

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files of testdata")

// golden compares a text with a file of testdata, or writes the file with -update.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", filepath.FromSlash(name))
	if *update {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
		return
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err, "run the tests with -update to write the golden files")
	assert.Equal(t, string(want), string(got))
}

// differences lists the lines by which got differs from base. Each group of lines stands
// below the resource it belongs to, between the lines before and after it.
func differences(base, got string) string {
	a, b := strings.Split(base, "\n"), strings.Split(got, "\n")
	// common[i][j] is the number of lines that a[i:] and b[j:] have in common, in order.
	common := make([][]int, len(a)+1)
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			common[i][j] = max(common[i+1][j], common[i][j+1])
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	var out []string
	section, inside := "", false
	for i, j := 0, 0; i < len(a) || j < len(b); {
		same := i < len(a) && j < len(b) && a[i] == b[j]
		if !same && !inside {
			out = append(out, "@@ "+section)
			if i > 0 {
				out = append(out, "  "+a[i-1])
			}
		}
		switch {
		case same:
			if inside {
				out = append(out, "  "+a[i])
			}
			if strings.HasPrefix(a[i], "+ create ") || strings.HasPrefix(a[i], "#") {
				section = a[i]
			}
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
		inside = !same
	}
	return strings.Join(append(out, ""), "\n")
}

func TestDifferences(t *testing.T) {
	assert.Empty(t, strings.TrimSpace(differences("a\nb", "a\nb")))
	base := "+ create one\na\nb\n+ create two\nc\nd"
	assert.Equal(t, "@@ + create two\n  + create two\n- c\n+ x\n+ y\n  d\n", differences(base, strings.Replace(base, "\nc\n", "\nx\ny\n", 1)))
	for n := range 6 {
		lines := strings.Split(base, "\n")
		changed := strings.Join(slices.Delete(lines, n, n+1), "\n")
		assert.Contains(t, differences(base, changed), "- "+strings.Split(base, "\n")[n], "a missing line is seen")
	}
}
