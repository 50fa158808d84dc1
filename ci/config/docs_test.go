package config

import (
	"flag"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update", false, "write the generated files instead of comparing with them")

func TestEveryKeyIsDocumented(t *testing.T) {
	known := map[string]bool{}
	for _, l := range leaves() {
		assert.NotEmpty(t, l.meaning, "%s has no entry in keys", l.path)
		known[l.path] = true
	}
	for _, d := range keys {
		assert.True(t, known[d.path], "%s is in the table and is no key", d.path)
	}
}

// A key without a limit takes anything of its type.
func TestEveryKeyHasALimit(t *testing.T) {
	free := []string{
		"test.max_skipped", "train.gates[].min", "train.gates[].max", "train.gates[].alert_below", // their limits depend on the metric
		"rollout.memory", // depends on rollout.cpu
		"test.categories", "train.gates", "rollout.volumes", "rollout.analysis", "rollout.services", "rollout.tasks",
		"rollout.analysis[].metrics", "rollout.analysis[].metrics[].dimensions", // lists of keys
		"security.allow", "security.allow_secrets", "security.licenses.except", "notify.channels",
	}
	for _, l := range leaves() {
		if l.limit.check == nil && l.kind.Kind() != reflect.Bool {
			assert.Contains(t, free, l.path)
		}
	}
}

func TestConfigurationDocument(t *testing.T) {
	const file, begin, end = "../../docs/configuration.md", "<!-- keys: generated, see ci/config/keys.go -->\n", "<!-- /keys -->"
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	head, rest, found := strings.Cut(string(content), begin)
	require.True(t, found)
	keys, foot, found := strings.Cut(rest, end)
	require.True(t, found)
	if *update {
		require.NoError(t, os.WriteFile(file, []byte(head+begin+"\n"+keysMarkdown()+"\n"+end+foot), 0o644))
		return
	}
	assert.Equal(t, "\n"+keysMarkdown()+"\n", keys, "go test ./ci/config -update writes it")
	for _, l := range leaves() {
		assert.Contains(t, keys, "| `"+l.path+"` |")
	}
}

func TestTheSchemaIsThatOfTheTypes(t *testing.T) {
	if *update {
		require.NoError(t, os.WriteFile("pipeline.schema.json", makeSchema(), 0o644))
		return
	}
	assert.Equal(t, string(makeSchema()), schemaFile(t), "go test ./ci/config -update writes it")
}

func schemaFile(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("pipeline.schema.json")
	require.NoError(t, err)
	return string(content)
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(schemaFile(t)))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("pipeline.schema.json", document))
	schema, err := compiler.Compile("pipeline.schema.json")
	require.NoError(t, err)
	return schema
}

func TestTheSchemaAcceptsWhatLoadAccepts(t *testing.T) {
	schema := compiled(t)
	for name, content := range map[string]string{
		"the defaults": string(Show(Default())), "every key": everyKey, "an overlay": "environments: {staging: {rollout: {cpu: 512}}}",
		"the largest task":     "rollout: {cpu: 32768, memory: 249856}",
		"an unquoted Python":   "python: 3.10",
		"empty where optional": "rollout: {account: '', journal: '', vpc: ''}\nimage: {platform: '', dockerfile: '', source: ''}\ntrain: {golden: ''}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]byte(content), "")
			require.NoError(t, err)
			var instance any
			require.NoError(t, yaml.Unmarshal([]byte(content), &instance))
			assert.NoError(t, schema.Validate(instance))
		})
	}
}

func TestTheSchemaRefuses(t *testing.T) {
	schema := compiled(t)
	for name, content := range map[string]string{
		"an unknown key":              "tests: {}",
		"an unknown key in a overlay": "environments: {staging: {rolout: {}}}",
		"a threshold of 101":          "test: {coverage: {total: 101}}",
		"text for a number":           "image: {port: http}",
		"a subnet's name":             "rollout: {subnets: [subnet-private]}",
		"a margin of 1":               "train: {baseline_margin: 1}",
		"a retention there is not":    "rollout: {log_days: 31}",
		"a strategy there is not":     "rollout: {strategy: yolo}",
		"a time without a unit":       "test: {timeout: 90}",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Load([]byte(content), "")
			require.Error(t, err, "Load refuses it too")
			var instance any
			require.NoError(t, yaml.Unmarshal([]byte(content), &instance))
			assert.Error(t, schema.Validate(instance))
		})
	}
}
