package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/pipeline"
	"github.com/openstack-rca/openstack-rca/ci/policy"
	"github.com/openstack-rca/openstack-rca/ci/publish"
	"github.com/openstack-rca/openstack-rca/ci/rollout/deployment"
	"github.com/openstack-rca/openstack-rca/ci/scaffold"
	"github.com/openstack-rca/openstack-rca/ci/testrun"
)

// ofFunctions reads the options of the module's functions from their source.
func ofFunctions(t *testing.T) map[string]option {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	all, kinds, sets := map[string]option{}, map[string]string{}, map[string][]string{}
	for _, file := range files {
		places := token.NewFileSet()
		parsed, err := parser.ParseFile(places, file, nil, parser.ParseComments|parser.SkipObjectResolution)
		require.NoError(t, err)
		// The parser attaches no comment to a parameter: it ends on the line before.
		above := map[int]*ast.CommentGroup{}
		for _, comment := range parsed.Comments {
			above[places.Position(comment.End()).Line+1] = comment
		}
		ast.Inspect(parsed, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.ValueSpec:
				if kind, ok := n.Type.(*ast.Ident); ok && len(n.Values) == 1 {
					value, err := strconv.Unquote(n.Values[0].(*ast.BasicLit).Value)
					require.NoError(t, err)
					assert.True(t, strings.EqualFold(n.Names[0].Name, kind.Name+value), "dagger takes %s by its name", value)
					sets[kind.Name] = append(sets[kind.Name], value)
				}
			case *ast.FuncDecl:
				if !n.Name.IsExported() || n.Recv == nil && n.Name.Name != "New" || n.Recv != nil && receiverOf(n) != "OpenstackRca" {
					return false
				}
				function := ""
				if n.Recv != nil {
					function = kebab(n.Name.Name)
				}
				for _, parameter := range n.Type.Params.List {
					for _, name := range parameter.Names {
						if name.Name == "ctx" {
							continue
						}
						key := strings.TrimSpace(function + " " + kebab(name.Name))
						all[key] = optionOf(above[places.Position(name.Pos()).Line])
						kind := parameter.Type
						if list, ok := kind.(*ast.ArrayType); ok {
							kind = list.Elt
						}
						if named, ok := kind.(*ast.Ident); ok {
							kinds[key] = named.Name
						}
					}
				}
				return false
			}
			return true
		})
	}
	for key, o := range all {
		o.Values = sets[kinds[key]]
		all[key] = o
		assert.NotEmpty(t, o.Help, key)
	}
	require.Greater(t, len(all), 100)
	return all
}

// optionOf is what a parameter's comment says: its text, and the default among the pragmas that follow.
func optionOf(comment *ast.CommentGroup) option {
	var found option
	if comment == nil {
		return found
	}
	var words []string
	for _, line := range comment.List {
		text := strings.TrimSpace(strings.TrimPrefix(line.Text, "//"))
		if strings.HasPrefix(text, "+ignore") {
			break
		}
		if value, is := strings.CutPrefix(text, "+default="); is {
			found.Default = json.RawMessage(value)
		} else if !strings.HasPrefix(text, "+") {
			words = append(words, text)
		}
	}
	found.Help = strings.TrimSpace(strings.Join(words, " "))
	return found
}

// TestTheOptionsAreThoseOfTheModule: one text, default and closed set for both ways to call.
func TestTheOptionsAreThoseOfTheModule(t *testing.T) {
	want := ofFunctions(t)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", " ")
	require.NoError(t, encoder.Encode(want))
	if *updateReference {
		require.NoError(t, os.WriteFile("options.json", out.Bytes(), 0o644)) //nolint:gosec // a file of the source
		optionsJSON, options = out.Bytes(), want
	}
	assert.Equal(t, out.String(), string(optionsJSON), "go test ./ci/cmd/openstack-rca -update")
	assert.Equal(t, names(deployment.InFlights), want["deploy in-flight"].Values)
	assert.Equal(t, names(deployment.Policies), want["deploy on-timeout"].Values)
	assert.Equal(t, scaffold.Systems(), want["init ci"].Values)
	assert.ElementsMatch(t, slices.Collect(maps.Keys(pipeline.Statements())), want["verify verify-require"].Values)
}

// TestTheHelpNamesTheLimitsThatAreChecked, and the defaults that stand for a value that is not given.
func TestTheHelpNamesTheLimitsThatAreChecked(t *testing.T) {
	for key, text := range map[string]string{
		"test shards":       fmt.Sprintf("at most %d.", testrun.MaxShards),
		"test rerun-failed": fmt.Sprintf("at most %d times", testrun.MaxReruns),
		"test workers":      fmt.Sprintf("at most %d.", testrun.MaxWorkers),
		"deploy lock-wait":  fmt.Sprintf("at most %gh;", pipeline.MaxLockWait.Hours()),
		"runs days":         fmt.Sprintf("at most %d;", pipeline.MaxDays),
		"models limit":      fmt.Sprintf("%d when 0", publish.DefaultLimit),
	} {
		assert.Contains(t, options[key].Help, text, key)
	}
	assert.JSONEq(t, `["`+policy.ReleaseBranch+`"]`, string(options["release-branch"].Default))
	assert.JSONEq(t, `"`+publish.ProductionAlias+`"`, string(options["promote alias"].Default))
	assert.JSONEq(t, `"`+config.Sandbox+`"`, string(options["environment"].Default))
}

func names[T ~string](values []T) []string {
	var all []string
	for _, value := range values {
		all = append(all, string(value))
	}
	return all
}

// TestAnOptionSaysTheSameInEveryFunction: but for names that mean another thing in some of them.
func TestAnOptionSaysTheSameInEveryFunction(t *testing.T) {
	others := []string{"advisories", "alias", "from", "git", "image", "number", "python", "verify-key"}
	said := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(options)) {
		name := key[strings.LastIndexByte(key, ' ')+1:]
		text, err := json.Marshal(options[key])
		require.NoError(t, err)
		if before, again := said[name]; again && !slices.Contains(others, name) {
			assert.Equal(t, before, string(text), key)
		}
		said[name] = string(text)
	}
	for name, different := range differences {
		found := false
		for key, o := range options {
			found = found || key[strings.LastIndexByte(key, ' ')+1:] == name && strings.Contains(o.Help, different[0])
		}
		assert.True(t, found, "no --%s says %q", name, different[0])
	}
}

func TestAFlagThatTheModuleLacksIsSeen(t *testing.T) {
	assert.PanicsWithValue(t, `function "test" of the module has no --shard`, func() {
		var n int
		bind(&cobra.Command{}, "test", to{"shard": &n})
	})
	assert.Panics(t, func() { bind(&cobra.Command{}, "test", to{"shards": 1}) })
	assert.Panics(t, func() {
		var n int
		bind(&cobra.Command{}, "deploy", to{"on-timeout": &n})
	})
}
