package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// onlyModule and onlyCommand are what one has and the other lacks, each with the reason. A key is
// a function, or a function and its flag; the flags that all functions share have an empty function.
var (
	onlyModule = map[string]string{
		" --image-address":    "nothing is pushed without an engine",
		" --docker-username":  "nothing is pushed without an engine",
		" --docker-password":  "nothing is pushed without an engine",
		" --index-url":        "installations read PIP_INDEX_URL and UV_DEFAULT_INDEX, as by hand",
		"test --git":          "the history is that of --source",
		"attest --sign-key":   "the key is in the variable ATTEST_KEY: arguments are visible to all processes",
		"attest --sign-token": "the token is in the variable SIGSTORE_ID_TOKEN: arguments are visible to all processes",
		"run --git":           "the history is that of --source",
		"run --sign-key":      "without an engine there is no image to attest",
		"run --sign-kms":      "without an engine there is no image to attest",
		"pipeline --git":      "the history is that of --source",
		"pipeline --sign-key": "without an engine there is no image to attest",
		"pipeline --sign-kms": "without an engine there is no image to attest",
		"doctor --as-json":    "generated code needs the name json: it is doctor --json of the command",
		"doctor --sign-key":   "the key is in the variable ATTEST_KEY: arguments are visible to all processes",
		"doctor --enforce":    "the command's exit code says it without a flag",
	}
	onlyCommand = map[string]string{
		" --verbose":               "dagger call shows the output of the steps itself",
		" --report":                "the module's functions return the report: report export --path",
		"doctor --json":            "the module has it as doctor --as-json",
		"runs --json":              "the module has it as runs json",
		"dora --json":              "the module has it as dora json",
		"metrics --format":         "the module has it as metrics text, open, history and emf",
		"advisories --out":         "the module returns the directory: advisories export --path",
		"observability --out":      "the module returns the directory: observability export --path",
		"publish":                  "the module has it as train publish, with the model as an object",
		"run --model":              "the module returns it: run model",
		"pipeline --model":         "the module returns it: run model",
		"train --model":            "the module returns it: train directory",
		"plan --detailed-exitcode": "the module has it as plan unchanged",
		"init --check":             "the module has it as init enforce",
		"import --output":          "the module has it in the report: report file --path pipeline.yaml",
	}
	// ofThisMachine are flags of every command that opens the account: a container has no shared
	// configuration and no role of its own.
	ofThisMachine = []string{"aws-profile", "aws-default-credentials"}
)

// signatures are functions with their flags; those that all share are under the empty name.
type signatures map[string][]string

// ofModule reads the module's functions from its source, which does not compile without the
// generated client.
func ofModule(t *testing.T) signatures {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	all := signatures{}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || !f.Name.IsExported() {
				continue
			}
			name := kebab(f.Name.Name)
			switch {
			case f.Recv == nil && f.Name.Name == "New":
				name = ""
			case f.Recv == nil || receiverOf(f) != "OpenstackRca":
				continue
			}
			all[name] = []string{}
			for _, parameter := range f.Type.Params.List {
				for _, p := range parameter.Names {
					if p.Name != "ctx" {
						all[name] = append(all[name], kebab(p.Name))
					}
				}
			}
		}
	}
	require.Greater(t, len(all), 10)
	return all
}

func receiverOf(f *ast.FuncDecl) string {
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	if name, ok := kind.(*ast.Ident); ok {
		return name.Name
	}
	return ""
}

// kebab is a name as dagger call shows it: RollbackModel is rollback-model.
func kebab(name string) string {
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) {
			if i > 0 {
				b.WriteByte('-')
			}
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	return b.String()
}

// ofCommand walks the commands.
func ofCommand() signatures {
	all := signatures{}
	collect := func(name string, flags *pflag.FlagSet) {
		all[name] = []string{}
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name != "help" {
				all[name] = append(all[name], f.Name)
			}
		})
	}
	top := newCommand(io.Discard, io.Discard)
	collect("", top.PersistentFlags())
	for _, command := range top.Commands() {
		if !slices.Contains([]string{"help", "completion", "man"}, command.Name()) {
			collect(command.Name(), localFlags(command))
		}
	}
	return all
}

func localFlags(command *cobra.Command) *pflag.FlagSet {
	local := pflag.NewFlagSet("", pflag.ContinueOnError)
	command.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if command.InheritedFlags().Lookup(f.Name) == nil {
			local.AddFlag(f)
		}
	})
	return local
}

// missing are the functions and flags of a that b lacks.
func missing(a, b signatures) []string {
	var found []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		flags, ok := b[name]
		if !ok {
			found = append(found, name)
			continue
		}
		for _, flag := range a[name] {
			if !slices.Contains(flags, flag) {
				found = append(found, name+" --"+flag)
			}
		}
	}
	slices.Sort(found)
	return found
}

// TestTheModuleAndTheCommandAreCalledTheSame walks both and accepts no difference without a
// reason, and no reason without a difference.
func TestTheModuleAndTheCommandAreCalledTheSame(t *testing.T) {
	module, command := ofModule(t), ofCommand()
	for _, c := range []struct {
		found   []string
		reasons map[string]string
	}{{missing(module, command), onlyModule}, {missing(command, module), onlyCommand}} {
		found := slices.DeleteFunc(c.found, func(key string) bool {
			_, flag, _ := strings.Cut(key, " --")
			return slices.Contains(ofThisMachine, flag)
		})
		assert.Equal(t, slices.Sorted(maps.Keys(c.reasons)), found)
		for key, reason := range c.reasons {
			assert.NotEmpty(t, reason, key)
		}
	}
}

func TestADifferenceIsSeen(t *testing.T) {
	a := signatures{"": {"source"}, "run": {"data", "param"}, "image": {}}
	assert.Equal(t, []string{" --source", "image", "run --param"}, missing(a, signatures{"": {}, "run": {"data", "more"}}))
	assert.Empty(t, missing(a, a))
	assert.Equal(t, "mlflow-s3-endpoint-url", kebab("mlflowS3EndpointUrl"))
}

// TestNoArgumentHidesAPackageOfTheGeneratedCode: the generated code declares a variable for each
// argument, so one with the name of a package that it imports does not compile.
func TestNoArgumentHidesAPackageOfTheGeneratedCode(t *testing.T) {
	imported := []string{
		"context", "json", "fmt", "slog", "os", "errors", "gqlerror", "otel", "trace", "resource", "semconv", "telemetry", "dagger", "querybuilder", "dag",
	}
	for name, arguments := range ofModule(t) {
		for _, argument := range arguments {
			assert.NotContains(t, imported, argument, name)
		}
	}
}
