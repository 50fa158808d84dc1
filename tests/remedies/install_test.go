package remedies

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAnInstallationIsTriedByTheRemedy: its command fails as the installation did, and succeeds with what it names corrected.
func TestAnInstallationIsTriedByTheRemedy(t *testing.T) {
	w := bench(t)
	command := regexp.MustCompile(`(uv (?:lock|pip compile)[^;]*);`)
	for sentence, c := range map[string]struct {
		files map[string]string
		// fails is what the command prints while nothing is corrected; empty where it is the correction.
		fails, file, before, after string
	}{
		"no such version": {map[string]string{"requirements.txt": "pytest\niniconfig==99.1\n"},
			"no version of iniconfig==99.1", "requirements.txt", "==99.1", ""},
		"versions that exclude each other": {map[string]string{"requirements.txt": "pytest==8.4.2\niniconfig\npluggy<1\n"},
			"unsatisfiable", "requirements.txt", "pluggy<1", ""},
		"a line that is none": {map[string]string{"requirements.txt": "pytest\niniconfig=>2\n"},
			"Couldn't parse requirement", "requirements.txt", "=>", ">="},
		"a lock with another hash": {map[string]string{"requirements.lock": "iniconfig==2.1.0 --hash=sha256:" + strings.Repeat("0", 64) + "\n"},
			"", "requirements.lock", " --hash=sha256:" + strings.Repeat("0", 64), ""},
		"a lock that is behind": {map[string]string{
			"pyproject.toml": "[project]\nname = \"app\"\nversion = \"1\"\ndependencies = [\"iniconfig==99.1\"]\nrequires-python = \">=3.10\"\n" +
				"[tool.uv]\npackage = false\n",
			"uv.lock": "version = 1\nrevision = 3\nrequires-python = \">=3.10\"\n"},
			"iniconfig==99.1", "pyproject.toml", "==99.1", ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			source := write(t, app(c.files))
			found, ok := w.run(t, source, "test")["ENV_FAILED"]
			require.True(t, ok)
			typed := command.FindStringSubmatch(found.Next)
			require.NotNil(t, typed, found.Next)
			if c.fails != "" {
				out, err := w.typeIn(t, source, typed[1])
				require.Error(t, err, found.Next)
				assert.Contains(t, strings.Join(strings.Fields(out), " "), c.fails)
			}
			content, err := os.ReadFile(filepath.Join(source, c.file))
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(source, c.file), []byte(strings.ReplaceAll(string(content), c.before, c.after)), 0o644))
			out, err := w.typeIn(t, source, typed[1])
			require.NoError(t, err, "%s\n%s", found.Next, out)
			after := w.run(t, source, "test")
			assert.NotContains(t, after, "ENV_FAILED")
			assert.NotContains(t, after, "TESTS_FAILED")
		})
	}
}
