// Package tools knows the programs that look for vulnerabilities and secrets or sign without a key: their versions, and how
// they are built. They are never part of this program; a step runs them.
package tools

import (
	"embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// pins pin tools and everything in them, as go.mod and go.sum do. `go build -modfile=tools.mod` reads both.
// Cosign has its own: who only signs builds nothing of the scanners.
//
//go:embed tools.mod tools.sum cosign.mod cosign.sum
var pins embed.FS

// The tools.
const (
	Cosign   = "cosign"
	Gitleaks = "gitleaks"
	Grype    = "grype"
	Syft     = "syft"
)

// Tool is one program.
type Tool struct {
	// Name is the program's, Version without a leading v.
	Name, Version string
	// Package is what is built, VersionVariable the variable that is set to the version.
	Package, VersionVariable string
	// Tags are build tags.
	Tags string
	// Mod and Sum are the files that pin it, by name; Pin has their contents.
	Mod, Sum string
}

var known = []Tool{
	{Name: Cosign, Package: "github.com/sigstore/cosign/v3/cmd/cosign", VersionVariable: "sigs.k8s.io/release-utils/version.gitVersion",
		Mod: "cosign.mod", Sum: "cosign.sum"},
	// RE2 finds the same in a third of the time that Go's expressions take in large files.
	{Name: Gitleaks, Tags: "gore2regex", Package: "github.com/zricethezav/gitleaks/v8",
		VersionVariable: "github.com/zricethezav/gitleaks/v8/version.Version"},
	{Name: Grype, Package: "github.com/anchore/grype/cmd/grype", VersionVariable: "main.version"},
	{Name: Syft, Package: "github.com/anchore/syft/cmd/syft", VersionVariable: "main.version"},
}

// Names lists the tools.
func Names() []string {
	names := make([]string, 0, len(known))
	for _, tool := range known {
		names = append(names, tool.Name)
	}
	return names
}

// Find returns a tool with its pinned version.
func Find(name string) (Tool, error) {
	i := slices.IndexFunc(known, func(t Tool) bool { return t.Name == name })
	if i < 0 {
		return Tool{}, fmt.Errorf("find tool %q: there are %s", name, strings.Join(Names(), ", "))
	}
	tool := known[i]
	if tool.Mod == "" {
		tool.Mod, tool.Sum = "tools.mod", "tools.sum"
	}
	module, _, _ := strings.Cut(tool.Package, "/cmd/")
	m := regexp.MustCompile(`(?m)^(?:require)?\s*` + regexp.QuoteMeta(module) + ` v(\S+)`).FindStringSubmatch(tool.Pin(tool.Mod))
	if m == nil {
		return Tool{}, fmt.Errorf("find tool %q: %s has no version of %s", name, tool.Mod, module)
	}
	tool.Version = m[1]
	return tool, nil
}

// Pin is the content of one of the files that pin the tool; empty for any other.
func (t Tool) Pin(file string) string {
	content, err := pins.ReadFile(file)
	if err != nil || file != t.Mod && file != t.Sum {
		return ""
	}
	return string(content)
}

// GoVersion is the version of Go that the tool needs.
func (t Tool) GoVersion() string {
	m := regexp.MustCompile(`(?m)^go (\S+)`).FindStringSubmatch(t.Pin(t.Mod))
	if m == nil {
		return ""
	}
	return m[1]
}

// Build is the command that builds the tool as out, in a directory with its pins.
func (t Tool) Build(out string) []string {
	build := []string{"go", "build", "-modfile=" + t.Mod, "-mod=readonly", "-trimpath"}
	if t.Tags != "" {
		build = append(build, "-tags="+t.Tags)
	}
	return append(build, "-ldflags=-s -w -X "+t.VersionVariable+"="+t.Version, "-o", out, t.Package)
}

// Is reports whether the output of `<tool> version` names the pinned version.
func (t Tool) Is(output string) bool {
	return slices.ContainsFunc(strings.Fields(output), func(word string) bool { return strings.TrimPrefix(word, "v") == t.Version })
}
