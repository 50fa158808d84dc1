package pipeline

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// withConfig is a source with a pipeline.yaml.
func withConfig(content string) runner.Files {
	return fake.Files(map[string]string{"main.py": "print()\n", "streamlit_app/chatbot.py": "", "pipeline.yaml": content})
}

// function is a public function of the Dagger module.
type function struct {
	// name is Type.Method.
	name string
	// entry is the function of this package that it comes down to; empty for one that only reads
	// a field of its object.
	entry string
	// stages are those it runs, operation is what it does to a service.
	stages    []string
	operation string
}

// effect says whether the function is there to change something outside of its run.
func (f function) effect() bool {
	switch f.entry {
	case "Run":
		return slices.ContainsFunc(f.stages, verdict.Effectful)
	case "Operate":
		return f.operation != Status && f.operation != Import
	case "Explain", "Doctor", "Models", "Runs", "Dora", "Metrics", "Observability", "Verify", "Scan", "Advisories", "Init", "":
		return false
	case "Notify": // it reaches the channels of the configuration, and here there is none
		return false
	}
	return true
}

// entries are the functions of this package through which package main reaches a backend.
var entries = []string{"Run", "Explain", "Doctor", "Operate", "Verify", "Scan", "Join", "Advisories", "Models", "Promote", "RollbackModel", "CleanClaims",
	"Runs", "Dora", "Metrics", "Observability", "Notify", "Init"}

// publicFunctions reads the module's public functions from its source: package main compiles
// only where the Dagger client has been generated.
func publicFunctions(t *testing.T) []function {
	t.Helper()
	declared := map[string]*ast.FuncDecl{}
	for _, file := range parse(t, filepath.Join("..", "..")) {
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok {
				declared[nameOf(f)] = f
			}
		}
	}
	var all []function
	for _, name := range slices.Sorted(maps.Keys(declared)) {
		if f := declared[name]; f.Name.IsExported() && (f.Recv == nil || ast.IsExported(receiver(f))) {
			found := function{name: name}
			follow(declared, f, &found, map[string]bool{})
			all = append(all, found)
		}
	}
	require.Greater(t, len(all), 20)
	return all
}

// parse parses the Go files of a directory that are not tests and not generated.
func parse(t *testing.T, dir string) []*ast.File {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var files []*ast.File
	for _, entry := range entries {
		if name := entry.Name(); strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && name != "dagger.gen.go" {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, name), nil, parser.SkipObjectResolution)
			require.NoError(t, err)
			files = append(files, file)
		}
	}
	return files
}

func receiver(f *ast.FuncDecl) string {
	kind := f.Recv.List[0].Type
	if star, ok := kind.(*ast.StarExpr); ok {
		kind = star.X
	}
	return kind.(*ast.Ident).Name
}

func nameOf(f *ast.FuncDecl) string {
	if f.Recv == nil {
		return f.Name.Name
	}
	return receiver(f) + "." + f.Name.Name
}

// follow collects what a function, and those of its package that it calls, come down to.
func follow(declared map[string]*ast.FuncDecl, f *ast.FuncDecl, into *function, seen map[string]bool) {
	if seen[nameOf(f)] {
		return
	}
	seen[nameOf(f)] = true
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		selector, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := selector.X.(*ast.Ident); ok && x.Name == "pipeline" {
			if slices.Contains(entries, selector.Sel.Name) {
				into.entry = selector.Sel.Name
			}
			return true
		}
		switch selector.Sel.Name {
		case "run", "operate":
			for _, arg := range call.Args {
				into.argument(arg)
			}
		}
		for name, target := range declared {
			if target.Name.Name == selector.Sel.Name && target.Recv != nil && name != nameOf(f) {
				follow(declared, target, into, seen)
			}
		}
		return true
	})
}

// argument notes verdict.Test, verdict.Stages() or pipeline.Rollback among the arguments.
func (f *function) argument(arg ast.Expr) {
	if call, ok := arg.(*ast.CallExpr); ok {
		if selector, ok := call.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "Stages" {
			f.stages = verdict.Stages()
		}
		return
	}
	selector, ok := arg.(*ast.SelectorExpr)
	if !ok {
		return
	}
	switch from, ok := selector.X.(*ast.Ident); {
	case ok && from.Name == "verdict":
		f.stages = append(f.stages, strings.ToLower(selector.Sel.Name))
	case ok && from.Name == "pipeline":
		f.operation = strings.ToLower(selector.Sel.Name)
	}
}

// TestThePublicFunctions is the list of all public functions and what each comes down to. A
// new one belongs here, and is then walked through the gate by the tests beside this one.
func TestThePublicFunctions(t *testing.T) {
	got := map[string]string{}
	for _, f := range publicFunctions(t) {
		got[f.name] = strings.TrimSpace(f.entry + " " + f.operation + strings.Join(f.stages, " "))
	}
	all := "Run test train audit publish image scan attest deploy"
	assert.Equal(t, map[string]string{
		"New":              "",
		"OpenstackRca.Run": all, "OpenstackRca.Pipeline": all,
		"OpenstackRca.Plan": "Explain", "OpenstackRca.Doctor": "Doctor",
		"OpenstackRca.Attest": "Run attest", "OpenstackRca.Verify": "Verify", "OpenstackRca.Scan": "Scan", "ScanReport.Sbom": "", "ScanReport.Sarif": "", "ScanReport.Enforce": "",
		"Attestation.Enforce":     "",
		"OpenstackRca.Advisories": "Advisories",
		"OpenstackRca.Audit":      "Run audit", "AuditReport.Sbom": "", "AuditReport.Sarif": "", "AuditReport.Enforce": "",
		"OpenstackRca.Test": "Run test", "TestReport.Coverage": "", "TestReport.Enforce": "",
		"OpenstackRca.Train": "Run train", "Model.Publish": "Run test train audit publish",
		"Model.File": "", "Model.Trained": "", "Model.Directory": "", "Model.Metrics": "", "Model.Enforce": "",
		"OpenstackRca.Image": "Run train image", "Image.Publish": "Run test train audit publish image", "Image.Container": "", "Image.Enforce": "",
		"OpenstackRca.Join": "Join", "Index.Enforce": "",
		"OpenstackRca.Deploy": "Run deploy", "Rollout.Enforce": "",
		"OpenstackRca.Status": "Operate status", "OpenstackRca.Rollback": "Operate rollback", "OpenstackRca.Approve": "Operate approve",
		"OpenstackRca.Reject": "Operate reject", "OpenstackRca.Wait": "Operate wait", "OpenstackRca.Prune": "Operate prune",
		"OpenstackRca.Destroy": "Operate destroy", "OpenstackRca.Import": "Operate import",
		"OpenstackRca.Models": "Models", "Models.Enforce": "", "OpenstackRca.Promote": "Promote",
		"OpenstackRca.RollbackModel": "RollbackModel", "OpenstackRca.CleanClaims": "CleanClaims",
		"OpenstackRca.Runs": "Runs", "OpenstackRca.Dora": "Dora", "History.Enforce": "",
		"OpenstackRca.Metrics": "Metrics", "Metrics.Enforce": "", "OpenstackRca.Observability": "Observability", "OpenstackRca.Notify": "Notify",
		"OpenstackRca.Init": "Init", "Setup.Enforce": "",
		"Run.Enforce": "", "Run.Model": "", "Run.Image": "", "Plan.Enforce": "", "Plan.Unchanged": "",
	}, got)
}

// TestNobodyGoesAroundTheGate holds the structure that makes the gate the only way: package
// main and the command call no package with effects, and what this package does with
// credentials takes a permit.
func TestNobodyGoesAroundTheGate(t *testing.T) {
	effectful := []string{"publish", "release", "image", "join", "account", "ledger", "mlflow", "deployment", "ensure"}
	for _, dir := range []string{filepath.Join("..", ".."), filepath.Join("..", "cmd", "openstack-rca")} {
		for _, file := range parse(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				if selector, ok := call.Fun.(*ast.SelectorExpr); ok {
					if x, ok := selector.X.(*ast.Ident); ok {
						assert.NotContains(t, effectful, x.Name, "%s calls %s.%s: only package pipeline does, behind the gate", file.Name, x.Name,
							selector.Sel.Name)
					}
				}
				return true
			})
		}
	}
	// What may name the credentials without a permit: it hides them, or only asks whether there are any.
	free := []string{"doctor.checkVariables", "Options.secrets", "Options.credentials", "doctor.checkPublishing", "state.train"}
	seen := 0
	for _, file := range parse(t, ".") {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			names := false
			ast.Inspect(f, func(n ast.Node) bool {
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				from, _ := selector.X.(*ast.Ident)
				ofPackage := from != nil && (from.Name == "publish" || from.Name == "sandbox")
				names = names || !ofPackage && (selector.Sel.Name == "Target" || selector.Sel.Name == "WebIdentity")
				return true
			})
			if !names || slices.Contains(free, nameOf(f)) {
				continue
			}
			seen++
			permit := slices.ContainsFunc(f.Type.Params.List, func(p *ast.Field) bool {
				selector, ok := p.Type.(*ast.SelectorExpr)
				return ok && selector.Sel.Name == "Permit"
			})
			assert.True(t, permit, "%s uses credentials and takes no policy.Permit", nameOf(f))
		}
	}
	assert.GreaterOrEqual(t, seen, 3)
}

// TestEverySecretIsKeptForTheReportsToHide holds that an argument or a variable becomes a
// secret only where it is kept.
func TestEverySecretIsKeptForTheReportsToHide(t *testing.T) {
	// Names that reports may show: a short one, hidden, would take half of a report with it.
	shown := []string{"DockerUsername", "MlflowTrackingUsername"}
	wrapped := 0
	var kept []string
	for _, file := range parse(t, filepath.Join("..", "..")) {
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok {
				continue
			}
			bridge := slices.Contains([]string{"call.secret", "call.sdkSecret", "call.sdkUsername", "username", "daggerSecret.Plaintext"},
				nameOf(f))
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					if kind, ok := n.Type.(*ast.Ident); ok && kind.Name == "daggerSecret" {
						wrapped++
						assert.True(t, bridge, "%s wraps a secret by itself", nameOf(f))
					}
				case *ast.CallExpr:
					if selector, ok := n.Fun.(*ast.SelectorExpr); ok && selector.Sel.Name == "Keep" {
						kept = append(kept, nameOf(f))
					}
					name := ""
					switch called := n.Fun.(type) {
					case *ast.SelectorExpr:
						name = called.Sel.Name
					case *ast.Ident:
						name = called.Name
					}
					if name == "Plaintext" {
						assert.True(t, bridge, "%s reads a secret by itself", nameOf(f))
					}
					if (name == "username" || name == "sdkUsername") && !bridge {
						argument, ok := n.Args[len(n.Args)-1].(*ast.SelectorExpr)
						assert.True(t, ok && slices.Contains(shown, argument.Sel.Name), "%s shows a secret", nameOf(f))
					}
				}
				return true
			})
		}
	}
	assert.Equal(t, 2, wrapped, "one that is kept, one that is shown")
	assert.Equal(t, []string{"call.secret"}, kept)
	secretName := regexp.MustCompile(`SECRET|TOKEN|PASSWORD|KEY`)
	for _, dir := range []string{filepath.Join("..", "..", "ci", "cmd", "openstack-rca"), filepath.Join("..", "assembly")} {
		for _, file := range parse(t, dir) {
			ast.Inspect(file, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok || len(call.Args) != 1 {
					return true
				}
				selector, ok := call.Fun.(*ast.SelectorExpr)
				text, isText := call.Args[0].(*ast.BasicLit)
				if ok && isText && (strings.EqualFold(selector.Sel.Name, "getenv") || selector.Sel.Name == "variable") {
					assert.False(t, secretName.MatchString(text.Value), "%s is read and not kept", text.Value)
				}
				return true
			})
		}
	}
}
