package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/codes"
)

const root = "../../.."

// pages are those of the documentation, by path.
func pages(t *testing.T) map[string]string {
	t.Helper()
	texts := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "examples/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		require.NoError(t, err)
		for _, page := range found {
			text, err := os.ReadFile(page)
			require.NoError(t, err)
			texts[page] = string(text)
		}
	}
	require.Contains(t, texts, filepath.Join(root, "README.md"))
	require.Contains(t, texts, filepath.Join(root, "docs", "rollout.md"))
	return texts
}

// ownFlags are the flags of the command, and of the module's public functions.
func ownFlags(t *testing.T) map[string]bool {
	t.Helper()
	flags := map[string]bool{"help": true}
	var collect func(command *cobra.Command)
	collect = func(command *cobra.Command) {
		for _, set := range []*pflag.FlagSet{command.Flags(), command.PersistentFlags()} {
			set.VisitAll(func(f *pflag.Flag) { flags[f.Name] = true })
		}
		for _, sub := range command.Commands() {
			collect(sub)
		}
	}
	collect(newCommand(io.Discard, io.Discard))
	// The package does not compile without the generated client, so it is parsed.
	files, err := filepath.Glob(filepath.Join(root, "*.go"))
	require.NoError(t, err)
	capital := regexp.MustCompile(`[A-Z]`)
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		require.NoError(t, err)
		for _, decl := range parsed.Decls {
			function, ok := decl.(*ast.FuncDecl)
			if !ok || !function.Name.IsExported() {
				continue
			}
			for _, parameter := range function.Type.Params.List {
				for _, name := range parameter.Names {
					flags[strings.ToLower(capital.ReplaceAllString(name.Name, "-$0"))] = true
				}
			}
		}
	}
	require.True(t, flags["mlflow-s3-endpoint-url"] && flags["detailed-exitcode"] && flags["git"])
	return flags
}

// foreignFlags are those of other programs that the documentation or a remedy names. Add yours.
var foreignFlags = map[string]string{
	"a bench":   "readme",
	"aws":       "aws-service-name cli-input-json parameter-overrides stack-name template-file",
	"dagger":    "progress",
	"docker":    "privileged rm install",
	"ecspresso": "dry-run skip-task-definition",
	"example":   "mode enable-mlflow issue out golden port server verbose",
	"fakeaws":   "crash theirs errors task-fails",
	"git":       "init recursive",
	"gunicorn":  "chdir pythonpath",
	"helm":      "create-namespace namespace version",
	"mlflow":    "artifacts-only",
	"pip, uv":   "require-hashes no-deps find-links universal generate-hashes wheel pre trusted-host",
	"pytest":    "assert cov cov-fail-under cov-report no-cov collect-only deselect doctest-modules ignore maxfail max-warnings stepwise",
}

var flagPattern = regexp.MustCompile("(?:^|[\\s`(\\[\"])--([a-z][a-z0-9-]*)")

func TestTheDocumentationAndTheRemediesNameFlagsThatExist(t *testing.T) {
	known := ownFlags(t)
	for _, flags := range foreignFlags {
		for _, flag := range strings.Fields(flags) {
			known[flag] = true
		}
	}
	texts := pages(t)
	delete(texts, filepath.Join(root, "docs", "codes.md")) // made from the codes
	all, err := codes.All()
	require.NoError(t, err)
	for _, code := range all {
		texts[code.Name] = code.Meaning + "\n" + code.Remedy
	}
	for where, text := range texts {
		for _, found := range flagPattern.FindAllStringSubmatch(text, -1) {
			assert.True(t, known[found[1]], "%s: --%s is no flag of the command or the module, nor a known one of another program", where, found[1])
		}
	}
	assert.Equal(t, "no-such", flagPattern.FindStringSubmatch("give `--no-such X`")[1])
}

func TestRelativeLinksOfTheDocumentationLeadToFiles(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for page, text := range pages(t) {
		for _, found := range link.FindAllStringSubmatch(text, -1) {
			to, err := url.Parse(found[1])
			require.NoError(t, err, page)
			if to.IsAbs() || to.Path == "" {
				continue
			}
			assert.FileExists(t, onlyFile(t, filepath.Join(filepath.Dir(page), to.Path)), "%s: %s", page, found[1])
		}
	}
}

// onlyFile is the path itself or, for a directory, something in it: what a link may lead to.
func onlyFile(t *testing.T, path string) string {
	t.Helper()
	if entries, err := os.ReadDir(path); err == nil {
		for _, entry := range entries {
			if !entry.IsDir() {
				return filepath.Join(path, entry.Name())
			}
		}
	}
	return path
}

// TestEveryPageCanBeFound: from README, from the list in docs, and from the menu of the site.
func TestEveryPageCanBeFound(t *testing.T) {
	all, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	require.NoError(t, err)
	for from, prefix := range map[string]string{"README.md": "docs/", "docs/README.md": "", "scripts/site/mkdocs.yml": ""} {
		text, err := os.ReadFile(filepath.Join(root, from))
		require.NoError(t, err)
		for _, page := range all {
			if name := filepath.Base(page); name != "README.md" {
				assert.Regexp(t, `[( ]`+regexp.QuoteMeta(prefix+name)+`[)#\n]`, string(text), from)
			}
		}
	}
}
