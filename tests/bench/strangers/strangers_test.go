package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/junit"
)

func TestProjectsArePinned(t *testing.T) {
	names := map[string]bool{}
	for _, p := range projects {
		assert.NotEmpty(t, p.Version, p.Name)
		assert.NotEmpty(t, p.Measured, p.Name)
		assert.Contains(t, p.pin(), "--hash=sha256:", "%s: make sources.lock again", p.Name)
		assert.Equal(t, 1, strings.Count(p.pin(), "=="), p.Name)
		assert.NotEqual(t, p.Sync == nil, p.Install == nil, "%s is installed in one way", p.Name)
		assert.False(t, names[p.Name], p.Name)
		names[p.Name] = true
	}
	assert.GreaterOrEqual(t, len(projects), 10)
}

func TestUnknownProjectsAreRefused(t *testing.T) {
	var out bytes.Buffer
	assert.Equal(t, 2, run(t.Context(), []string{"nobody"}, &out, &out))
	assert.Contains(t, out.String(), "no project is named nobody")
	assert.Equal(t, 0, run(t.Context(), []string{"-list"}, &out, &out))
	assert.Contains(t, out.String(), "attrs")
}

func TestEveryDifferenceIsTold(t *testing.T) {
	hand := &found{
		tests: map[string]junit.Outcome{"a": junit.Passed, "b": junit.Passed, "c": junit.Skipped},
		files: map[string]map[int]bool{"x.py": {1: true, 2: false, 3: true}, "y.py": {1: true}, "docs/conf.py": {1: true}, "empty.py": {}},
	}
	assert.Empty(t, compare(hand, hand))
	assert.Equal(t, []string{"x.py is measured by the stage only"}, compare(&found{},
		&found{files: map[string]map[int]bool{"x.py": {1: true}}}))
	stage := &found{
		tests: map[string]junit.Outcome{"a": junit.Passed, "b": junit.Failed, "d": junit.Passed},
		files: map[string]map[int]bool{"x.py": {1: true, 2: true}, "z.py": {1: false}},
	}
	assert.Equal(t, []string{
		"test b: by hand passed, stage failed", "test c: by hand skipped, stage not there", "test d: by hand not there, stage passed",
		"x.py:2: by hand missed, stage executed", "x.py:3: by hand executed, stage not a line",
		"y.py is measured by hand only", "z.py is measured by the stage only",
	}, compare(hand, stage))
}

func TestReportsThatAreNotThereAreErrors(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x")
	_, err := readTests(name)
	require.Error(t, err)
	_, err = readXML(name)
	require.Error(t, err)
	_, err = readJSON(name, ".")
	require.Error(t, err)
	require.NoError(t, os.WriteFile(name, []byte(`{"files":{"/p/a.py":{"executed_lines":[1],"missing_lines":[2]}}}`), 0o600))
	files, err := readJSON(name, "/p")
	require.NoError(t, err)
	assert.Equal(t, map[string]map[int]bool{"a.py": {1: true, 2: false}}, files)
	require.Error(t, unpack(name, t.TempDir()))
}
