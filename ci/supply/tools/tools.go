// Package tools knows which programs look for vulnerabilities and secrets, in which version, and
// how they are built. They are never part of this program: a step runs them.
package tools

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Mod and Sum pin the tools and everything in them, as go.mod and go.sum do. `go build
// -modfile=tools.mod` reads both.
var (
	//go:embed tools.mod
	Mod string
	//go:embed tools.sum
	Sum string
)

// The tools.
const (
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
}

var known = []Tool{
	{Name: Gitleaks, Package: "github.com/zricethezav/gitleaks/v8", VersionVariable: "github.com/zricethezav/gitleaks/v8/version.Version"},
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
	module, _, _ := strings.Cut(tool.Package, "/cmd/")
	m := regexp.MustCompile(`(?m)^\s*` + regexp.QuoteMeta(module) + ` v(\S+)`).FindStringSubmatch(Mod)
	if m == nil {
		return Tool{}, fmt.Errorf("find tool %q: tools.mod has no version of %s", name, module)
	}
	tool.Version = m[1]
	return tool, nil
}

// GoVersion is the version of Go that the tools need.
func GoVersion() string {
	m := regexp.MustCompile(`(?m)^go (\S+)`).FindStringSubmatch(Mod)
	if m == nil {
		return ""
	}
	return m[1]
}

// Build is the command that builds the tool as out, in a directory with tools.mod and tools.sum.
func (t Tool) Build(out string) []string {
	return []string{
		"go", "build", "-modfile=tools.mod", "-mod=readonly", "-trimpath",
		"-ldflags=-s -w -X " + t.VersionVariable + "=" + t.Version, "-o", out, t.Package,
	}
}

// Is reports whether the output of `<tool> version` names the pinned version.
func (t Tool) Is(output string) bool {
	return slices.ContainsFunc(strings.Fields(output), func(word string) bool { return strings.TrimPrefix(word, "v") == t.Version })
}
