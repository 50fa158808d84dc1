package cifiles

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

const engineFiles = "../../examples/engine"

// engineVersion is the version of the engine that the module is for, without its v.
func engineVersion(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("../../dagger.json")
	require.NoError(t, err)
	var module struct{ EngineVersion string }
	require.NoError(t, json.Unmarshal(content, &module))
	return strings.TrimPrefix(module.EngineVersion, "v")
}

// rendered are the manifests that helm makes of the chart with the values files of examples/engine. OPENSTACK_RCA_DAGGER_CHART is
// a directory with the chart, where its registry is not reached.
func rendered(t *testing.T, values ...string) string {
	t.Helper()
	if _, err := exec.LookPath("helm"); err != nil {
		t.Skip("there is no helm")
	}
	from := []string{"oci://registry.dagger.io/dagger-helm", "--version", engineVersion(t)}
	if dir := os.Getenv("OPENSTACK_RCA_DAGGER_CHART"); dir != "" {
		from = []string{dir}
	}
	args := append([]string{"template", "rca"}, from...)
	for _, name := range values {
		args = append(args, "--values", filepath.Join(engineFiles, name))
	}
	out, err := tool(t, ".", "helm", args...)
	if err != nil && strings.Contains(out, "registry.dagger.io") {
		t.Skipf("the chart cannot be fetched: %s", out)
	}
	require.NoError(t, err, out)
	return out
}

// document is the one of a kind among manifests.
func document(t *testing.T, manifests, kind string) map[string]any {
	t.Helper()
	decoder := yaml.NewDecoder(strings.NewReader(manifests))
	for {
		var d map[string]any
		require.NoError(t, decoder.Decode(&d), "no %s in:\n%s", kind, manifests)
		if d["kind"] == kind {
			return d
		}
	}
}

// at is a value below maps and the first elements of lists.
func at(t *testing.T, value any, keys ...string) any {
	t.Helper()
	for _, key := range keys {
		if list, ok := value.([]any); ok {
			require.NotEmpty(t, list, key)
			value = list[0]
		}
		m, ok := value.(map[string]any)
		require.True(t, ok, "%s is not below a map", key)
		value = m[key]
	}
	return value
}

func TestTheChartTakesTheValuesOfASharedEngine(t *testing.T) {
	for name, c := range map[string]struct {
		values []string
		image  string
	}{
		"shared":    {[]string{"values.yaml"}, "registry.dagger.io/engine:v" + engineVersion(t)},
		"with GPUs": {[]string{"values.yaml", "values-gpu.yaml"}, "registry.dagger.io/engine:v" + engineVersion(t) + "-gpu"},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := rendered(t, c.values...)
			set := document(t, manifests, "StatefulSet")
			container := at(t, set, "spec", "template", "spec", "containers")
			assert.Equal(t, c.image, at(t, container, "image"))
			assert.Equal(t, "24Gi", at(t, container, "resources", "limits", "memory"))
			assert.Equal(t, "200Gi", at(t, set, "spec", "volumeClaimTemplates", "spec", "resources", "requests", "storage"))
			assert.Contains(t, at(t, container, "args"), "tcp://0.0.0.0:1234")
			assert.NotContains(t, manifests, "hostPath", "the cache must move with the engine")
			config, ok := at(t, document(t, manifests, "ConfigMap"), "data", "engine.json").(string)
			require.True(t, ok)
			var parsed struct {
				GC struct{ MaxUsedSpace, MinFreeSpace string }
			}
			require.NoError(t, json.Unmarshal([]byte(config), &parsed))
			assert.Equal(t, "160GB", parsed.GC.MaxUsedSpace)
			assert.Equal(t, "10%", parsed.GC.MinFreeSpace)
			valid(t, manifests)
		})
	}
}

func TestTheFilesAreForTheModulesEngine(t *testing.T) {
	version := regexp.MustCompile(`[^.\d](0\.\d+\.\d+)[^.\d]`) // and no address
	for _, name := range []string{"../../docs/engines.md", engineFiles + "/values.yaml", engineFiles + "/values-gpu.yaml"} {
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		found := version.FindAllStringSubmatch(string(content), -1)
		require.NotEmpty(t, found, name)
		for _, v := range found {
			assert.Equal(t, engineVersion(t), v[1], name)
		}
	}
}

func TestTheNetworkPolicyMeetsTheEngine(t *testing.T) {
	content, err := os.ReadFile(filepath.Join(engineFiles, "network-policy.yaml"))
	require.NoError(t, err)
	valid(t, string(content))
	set := document(t, rendered(t, "values.yaml"), "StatefulSet")
	policy := document(t, string(content), "NetworkPolicy")
	assert.Equal(t, at(t, set, "spec", "selector", "matchLabels"), at(t, policy, "spec", "podSelector", "matchLabels"))
	assert.EqualValues(t, 1234, at(t, policy, "spec", "ingress", "ports", "port"))
}

// valid fails for manifests that the schemas of Kubernetes refuse.
func valid(t *testing.T, manifests string) {
	t.Helper()
	check := filepath.Join(filepath.Dir(schemas(t)), "kubernetes-validate")
	file := filepath.Join(t.TempDir(), "manifests.yaml")
	for text, ok := range map[string]bool{manifests: true, strings.Replace(manifests, "spec:", "spek:", 1): false} {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		out, err := tool(t, ".", check, "--strict", file)
		if ok {
			assert.NoError(t, err, out)
		} else {
			assert.Error(t, err, "a misspelt key is accepted")
		}
	}
}
