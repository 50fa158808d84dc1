package main

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/codes"
)

var (
	// keyInText are keys of pipeline.yaml; files such as requirements/train.lock have a slash or a
	// hyphen in front.
	keyInText = regexp.MustCompile(`(?:^|[^/\w.-])((?:test|train|publish|image|rollout)\.[a-z_]+(?:\.[a-z_]+)*)`)
	// reportFile are files of a report, docFile of this repository.
	reportFile = regexp.MustCompile(`(?:^|[^/\w.-])((?:test|train|image|rollout|publish)/[a-z_.-]+\.(?:xml|png|md|json))`)
	docFile    = regexp.MustCompile(`docs/[a-z/.-]*[a-z]`)
	quoted     = regexp.MustCompile("`([^`]+)`")
	inTable    = regexp.MustCompile("(?m)^\\| `([a-z_.\\[\\]]+)` \\|")
	// shown are the parts of a report that a remedy may name, with the titles they have in the code.
	shown = map[string]string{"confusion matrix": `"Confusion matrix"`, "per-class table": `"Classes"`}
	// foreign are other programs that a remedy may tell to run.
	foreign = []string{"aws", "uv", "pyenv", "git", "docker", "dagger", "python"}
)

// remedyFaults are what a remedy names and is not there.
func remedyFaults(text string, keys, commands []string, sources string) []string {
	var faults []string
	for _, found := range keyInText.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(keys, found[1]) && !slices.ContainsFunc(keys, func(key string) bool { return strings.HasPrefix(key, found[1]+".") }) {
			faults = append(faults, "no key "+found[1])
		}
	}
	for _, found := range reportFile.FindAllStringSubmatch(text, -1) {
		if !strings.Contains(sources, filepath.Base(found[1])+`"`) {
			faults = append(faults, "no stage writes "+found[1])
		}
	}
	for _, name := range docFile.FindAllString(text, -1) {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			faults = append(faults, "no page "+name)
		}
	}
	for part, title := range shown {
		if strings.Contains(text, part) && !strings.Contains(sources, title) {
			faults = append(faults, "no report shows a "+part)
		}
	}
	for _, found := range quoted.FindAllStringSubmatch(text, -1) {
		words := strings.Fields(strings.TrimPrefix(found[1], "openstack-rca "))
		switch {
		case found[1] == "openstack-rca", strings.HasPrefix(words[0], "-"), slices.Contains(foreign, words[0]), slices.Contains(keys, words[0]):
		case !slices.Contains(commands, words[0]):
			faults = append(faults, "no command "+found[1])
		}
	}
	return faults
}

// TestARemedyNamesOnlyWhatExists: a key is in the table, a file is written by a stage, a page is in
// docs, a command is one. Flags are checked beside this.
func TestARemedyNamesOnlyWhatExists(t *testing.T) {
	table, err := os.ReadFile(filepath.Join(root, "docs", "configuration.md"))
	require.NoError(t, err)
	var keys, commands []string
	for _, found := range inTable.FindAllStringSubmatch(string(table), -1) {
		keys = append(keys, strings.ReplaceAll(found[1], "[]", ""))
	}
	require.Greater(t, len(keys), 100)
	for _, command := range newCommand(io.Discard, io.Discard).Commands() {
		commands = append(commands, command.Name())
	}
	var sources strings.Builder
	require.NoError(t, filepath.WalkDir(filepath.Join(root, "ci"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, "codes.go") {
			return err
		}
		content, err := os.ReadFile(path)
		sources.Write(content)
		return err
	}))
	all, err := codes.All()
	require.NoError(t, err)
	for _, code := range all {
		assert.Empty(t, remedyFaults(code.Meaning+"\n"+code.Remedy, keys, commands, sources.String()), code.Name)
	}
	for text, want := range map[string]string{
		"set test.covrage.total": "no key test.covrage.total", "look at image/pages.png": "no stage writes image/pages.png",
		"see docs/nowhere.md": "no page docs/nowhere.md", "run `openstack-rca fix`": "no command openstack-rca fix", "run `mend`": "no command mend",
	} {
		assert.Equal(t, []string{want}, remedyFaults(text, keys, commands, sources.String()))
	}
}
