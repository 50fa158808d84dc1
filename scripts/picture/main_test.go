package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// complete is a graph that has every package of the table of layers, plus the given imports.
func complete(imports map[string][]string) map[string][]string {
	all := map[string][]string{}
	for _, l := range layers {
		for _, p := range l.packages {
			all[p] = nil
		}
	}
	for from, to := range imports {
		all[from] = to
	}
	return all
}

func TestOnlyDirectImportsAboveTheBaseAreDrawn(t *testing.T) {
	picture, err := draw(complete(map[string][]string{
		"pipeline": {"testrun", "junit", "verdict"}, "testrun": {"junit", "config"}, "junit": {"xmlscan"}, "xmlscan": nil,
	}))
	require.NoError(t, err)
	assert.Contains(t, picture, "p_pipeline --> p_testrun\n")
	assert.Contains(t, picture, "p_testrun --> p_junit\n")
	assert.NotContains(t, picture, "p_pipeline --> p_junit", "it follows from the other two")
	assert.NotContains(t, picture, "--> p_verdict", "everything imports the base")
	assert.Contains(t, picture, `p_cmd_openstack_rca["cmd/openstack-rca"]`)
}

func TestImportsThatPointUpwardsAndUnknownPackagesAreErrors(t *testing.T) {
	graph := complete(map[string][]string{"junit": {"train"}, "verdict": {"junit"}})
	delete(graph, "sandbox")
	_, err := draw(graph)
	require.Error(t, err)
	for _, want := range []string{
		"junit imports train, which is in a higher layer", "verdict imports junit, which is in a higher layer",
		"the table of layers names sandbox, which does not exist",
	} {
		assert.Contains(t, err.Error(), want)
	}
}

func TestSubpackagesBelongToTheirPackageAndTestSupportIsLeftOut(t *testing.T) {
	imports, err := parse([]byte(`{"ImportPath": "` + module + `/ci/rollout/release", "Imports": ["` + module + `/ci/rollout/journal", "` +
		module + `/ci/rollout/spec", "` + module + `/ci/s3object", "fmt"]}
		{"ImportPath": "` + module + `/ci/rollout/fakeaws", "Imports": ["` + module + `/ci/train"]}`))
	require.NoError(t, err)
	assert.Equal(t, map[string][]string{"rollout": {"rollout/spec", "s3object"}}, imports)
	_, err = parse([]byte(`{"ImportPath": `))
	assert.Error(t, err)
}

func TestACycleOfFoldedPackagesEnds(t *testing.T) {
	graph := map[string][]string{"a": {"b"}, "b": {"a"}}
	assert.False(t, reaches(graph, "a", "c", map[string]bool{}))
	assert.True(t, reaches(graph, "a", "b", map[string]bool{}))
}

func TestThePictureGoesBetweenTheMarkers(t *testing.T) {
	text, err := insert("before\n"+begin+"old\n"+end+"\nafter\n", "new\n")
	require.NoError(t, err)
	assert.Equal(t, "before\n"+begin+"new\n"+end+"\nafter\n", text)
	_, err = insert(strings.Replace("x"+begin, begin, "", 1), "new\n")
	assert.ErrorContains(t, err, "lacks the markers")
}
