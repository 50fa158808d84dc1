package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var updateReference = flag.Bool("update", false, "write docs/commands.md instead of comparing it")

// reference is the page of the commands, made from the commands themselves.
func reference() string {
	var b strings.Builder
	b.WriteString(`# Commands

<!-- generated: go test ./ci/cmd/openstack-rca -update -->

These are the commands of ` + "`openstack-rca`" + `, and their flags. The functions of the module have the same names: ` +
		"`dagger call --source . test --path tests/test_a.py summary`" + `. Flags of the first table stand before the function there.
` + "`openstack-rca completion`" + ` makes completions for a shell, and ` + "`openstack-rca man`" + ` manual pages.

## All commands

`)
	top := newCommand(io.Discard, io.Discard)
	table(&b, top.PersistentFlags())
	for _, command := range top.Commands() {
		if command.Name() == "help" || command.Name() == "completion" || command.Hidden {
			continue
		}
		fmt.Fprintf(&b, "\n## `%s`\n\n%s.\n", command.Name(), command.Short)
		if own := localFlags(command); own.HasFlags() {
			b.WriteString("\n")
			table(&b, own)
		}
	}
	return b.String()
}

// machine are flags whose default comes from the environment of who asks.
var machine = map[string]bool{"aws-profile": true, "region": true}

func table(b *strings.Builder, flags *pflag.FlagSet) {
	b.WriteString("| Flag | Default | Meaning |\n| --- | --- | --- |\n")
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" {
			return
		}
		value := f.DefValue
		if value == "" || value == "[]" || value == "false" || value == "0" || machine[f.Name] {
			value = ""
		} else {
			value = "`" + strings.Trim(value, "[]") + "`"
		}
		fmt.Fprintf(b, "| `--%s` | %s | %s |\n", f.Name, value, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(f.Usage))
	})
}

func TestTheReferenceIsThatOfTheCommands(t *testing.T) {
	file := filepath.Join(root, "docs", "commands.md")
	want := reference()
	if *updateReference {
		require.NoError(t, os.WriteFile(file, []byte(want), 0o644)) //nolint:gosec // a page
	}
	written, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, want, string(written), "go test ./ci/cmd/openstack-rca -update")
}

func TestManualPagesAreWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man")
	code, out := called(t, "man", "--out", dir)
	require.Equal(t, 0, code, out)
	page, err := os.ReadFile(filepath.Join(dir, "openstack-rca-init.1"))
	require.NoError(t, err)
	assert.Contains(t, string(page), ".SH NAME")
	assert.Contains(t, string(page), "--check")
	assert.NotContains(t, string(page), "Auto generated")
	code, _ = called(t, "man", "x")
	assert.Equal(t, 2, code)
	code, _ = called(t, "man", "--out", "/dev/null/x")
	assert.NotEqual(t, 0, code)
}

func TestCompletionsAreMade(t *testing.T) {
	for shell, want := range map[string]string{"bash": "complete", "zsh": "#compdef", "fish": "complete -c",
		"powershell": "Register-ArgumentCompleter"} {
		var out strings.Builder
		top := newCommand(&out, io.Discard)
		top.SetOut(&out)
		top.SetArgs([]string{"completion", shell})
		require.NoError(t, top.Execute())
		assert.Contains(t, out.String(), want, shell)
	}
}
