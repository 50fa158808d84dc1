package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	// callOf begins a call of the command or of the module, in a block or in a line of text.
	callOf = regexp.MustCompile("(?m)(?:^\\s*|`)(?:\\$ )?(openstack-rca|go run \\./ci/cmd/openstack-rca|dagger(?: --progress=\\w+)?(?: -m \\S+)? call) ([^`\\n]*)")
	// substitution is what a shell puts in.
	substitution = regexp.MustCompile(`\$\([^()]*\)`)
	// placeholder stands for something that the reader puts in.
	placeholder = regexp.MustCompile(`^(?:\.\.\.|…)$`)
)

// documented are the calls that the documentation shows, as words, by the program that is called.
func documented(text string) (ofCommand, ofModule [][]string) {
	text = strings.ReplaceAll(text, "\\\n", " ")
	for _, found := range callOf.FindAllStringSubmatch(text, -1) {
		line, _, _ := strings.Cut(found[2], " #")
		for substitution.MatchString(line) {
			line = substitution.ReplaceAllString(line, "X")
		}
		var words []string
		quoted := ""
		for _, word := range strings.Fields(line) {
			if quoted != "" {
				words[len(words)-1] += " " + word
				if strings.HasSuffix(word, quoted) {
					quoted = ""
				}
				continue
			}
			if slices.Contains([]string{"|", "||", "&&", ">", ";", "2>&1"}, word) {
				break
			}
			for _, mark := range []string{`"`, "'"} {
				if strings.Count(word, mark) == 1 {
					quoted = mark
				}
			}
			words = append(words, word)
		}
		words = slices.DeleteFunc(words, placeholder.MatchString)
		if strings.HasPrefix(found[1], "dagger") {
			ofModule = append(ofModule, words)
		} else {
			ofCommand = append(ofCommand, words)
		}
	}
	return ofCommand, ofModule
}

// TestEveryDocumentedCommandIsOne parses every call of the command that the documentation shows: its function and
// its flags exist, and each flag takes the value that is given.
func TestEveryDocumentedCommandIsOne(t *testing.T) {
	checked := 0
	for page, text := range pages(t) {
		if base := filepath.Base(page); base == "codes.md" || base == "commands.md" {
			continue // made from the commands and the codes, with escapes
		}
		calls, _ := documented(text)
		for _, words := range calls {
			if len(words) == 0 || strings.HasPrefix(words[0], "$") {
				continue
			}
			shown := page + ": openstack-rca " + strings.Join(words, " ")
			command, rest, err := newCommand(io.Discard, io.Discard).Find(words)
			if !assert.NoError(t, err, shown) || !assert.NotEmpty(t, command.HasParent() || strings.HasPrefix(words[0], "-"), shown) {
				continue
			}
			command.InitDefaultHelpFlag()
			command.InitDefaultVersionFlag()
			assert.NoError(t, command.ParseFlags(rest), shown)
			for _, extra := range command.Flags().Args() {
				assert.True(t, strings.HasPrefix(extra, "$"), "%s: %s is no flag", shown, extra)
			}
			checked++
		}
	}
	assert.Greater(t, checked, 40)
}

// moduleType is an object of the module: its functions and fields by the name in dagger call.
type moduleType map[string]moduleFunction

// moduleFunction has its flags, true for those without a value, and the type that it returns.
type moduleFunction struct {
	flags   map[string]bool
	returns string
}

// moduleTypes are parsed: the package does not compile without the generated client.
func moduleTypes(t *testing.T) map[string]moduleType {
	t.Helper()
	types := map[string]moduleType{}
	add := func(object, name string, function moduleFunction) {
		if types[object] == nil {
			types[object] = moduleType{}
		}
		types[object][kebab(name)] = function
	}
	plain := func(e ast.Expr) string {
		if star, ok := e.(*ast.StarExpr); ok {
			e = star.X
		}
		if name, ok := e.(*ast.Ident); ok {
			return name.Name
		}
		return ""
	}
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		ast.Inspect(parsed, func(node ast.Node) bool {
			switch n := node.(type) {
			case *ast.FuncDecl:
				object := "New"
				if n.Recv != nil {
					object = plain(n.Recv.List[0].Type)
				}
				if !n.Name.IsExported() || n.Recv == nil && n.Name.Name != "New" || n.Type.Results == nil {
					return false
				}
				function := moduleFunction{map[string]bool{}, plain(n.Type.Results.List[0].Type)}
				for _, parameter := range n.Type.Params.List {
					for _, name := range parameter.Names {
						function.flags[kebab(name.Name)] = plain(parameter.Type) == "bool"
					}
				}
				add(object, n.Name.Name, function)
				return false
			case *ast.TypeSpec:
				if fields, ok := n.Type.(*ast.StructType); ok && n.Name.IsExported() {
					for _, field := range fields.Fields.List {
						for _, name := range field.Names {
							if name.IsExported() {
								add(n.Name.Name, name.Name, moduleFunction{map[string]bool{}, plain(field.Type)})
							}
						}
					}
				}
			}
			return true
		})
	}
	return types
}

// TestEveryDocumentedCallIsOne follows every call of the module that the documentation shows, from function to
// function. What Dagger's own objects have, such as export, is not looked at.
func TestEveryDocumentedCallIsOne(t *testing.T) {
	types := moduleTypes(t)
	require.Contains(t, types["OpenstackRca"], "test")
	checked := 0
	for page, text := range pages(t) {
		if strings.Contains(page, filepath.Join("examples", "compose")) {
			continue // another module
		}
		_, calls := documented(text)
		for _, words := range calls {
			shown := page + ": dagger call " + strings.Join(words, " ")
			object, function := "OpenstackRca", types["New"]["new"]
			for i := 0; i < len(words) && object != ""; i++ {
				word := words[i]
				if strings.HasPrefix(word, "$") {
					continue
				}
				if word == "-m" {
					i++ // a flag of dagger itself
					continue
				}
				if name, given := strings.CutPrefix(word, "--"); given {
					name, _, withValue := strings.Cut(name, "=")
					single, known := function.flags[name]
					assert.True(t, known || name == "help", "%s: --%s", shown, name)
					if known && !single && !withValue {
						i++
					}
					continue
				}
				next, known := types[object][word]
				if !assert.True(t, known, "%s: %s has no %s", shown, object, word) {
					break
				}
				object, function = next.returns, next
				checked++
				if types[object] == nil {
					break
				}
			}
		}
	}
	assert.Greater(t, checked, 40)
}

// TestWhatTheDocumentationRunsIsThere: targets of make, programs of go run, and scripts.
func TestWhatTheDocumentationRunsIsThere(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	require.NoError(t, err)
	targets := regexp.MustCompile("(?m)(?:^\\s*|`)make ([a-z-]+)(?:`|\\s|$)")
	paths := regexp.MustCompile("(?m)(?:^\\s*|`)(?:go run \\./|(?:\\./)?(scripts/))([A-Za-z0-9_./-]*[A-Za-z0-9_])")
	checked := 0
	for page, text := range pages(t) {
		if strings.HasPrefix(filepath.ToSlash(page), root+"/examples/") || filepath.Base(page) == "CHANGELOG.md" {
			continue // has folders of its own, or tells of what was
		}
		for _, found := range targets.FindAllStringSubmatch(text, -1) {
			assert.Contains(t, string(makefile), "\n"+found[1]+":", "%s: make %s", page, found[1])
			checked++
		}
		for _, found := range paths.FindAllStringSubmatch(text, -1) {
			_, err := os.Stat(filepath.Join(root, found[1]+found[2]))
			assert.NoError(t, err, page)
			checked++
		}
	}
	assert.Greater(t, checked, 20)
}
