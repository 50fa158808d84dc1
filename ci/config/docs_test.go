package config

import (
	"flag"
	"os"
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
		assert.NotEmpty(t, l.meaning, "%s has no entry in keyDocs", l.key)
		known[l.key] = true
	}
	for _, d := range keyDocs {
		assert.True(t, known[d.key], "%s is documented and is no key", d.key)
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
		require.NoError(t, os.WriteFile(file, []byte(head+begin+"\n"+KeysMarkdown()+"\n"+end+foot), 0o644))
		return
	}
	assert.Equal(t, "\n"+KeysMarkdown()+"\n", keys, "go test ./ci/config -update writes it")
	for _, l := range leaves() {
		assert.Contains(t, keys, "| `"+l.key+"` |")
	}
}

func TestTheSchemaIsThatOfTheTypes(t *testing.T) {
	if *update {
		require.NoError(t, os.WriteFile("pipeline.schema.json", makeSchema(), 0o644))
		return
	}
	assert.Equal(t, string(makeSchema()), string(Schema()), "go test ./ci/config -update writes it")
}

func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(string(Schema())))
	require.NoError(t, err)
	compiler := jsonschema.NewCompiler()
	require.NoError(t, compiler.AddResource("pipeline.schema.json", document))
	schema, err := compiler.Compile("pipeline.schema.json")
	require.NoError(t, err)
	return schema
}

func TestTheSchemaAcceptsWhatLoadAccepts(t *testing.T) {
	schema := compiled(t)
	for name, content := range map[string]string{"the defaults": string(Show(Default())), "every key": everyKey, "an overlay": "environments: {staging: {rollout: {cpu: 512}}}"} {
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
