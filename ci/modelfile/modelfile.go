// Package modelfile is what all formats of model files have in common: how one is described
// (Format), what looking into a file finds (Report), and how a file is loaded by its own
// library. Each format is a package below it, and one line in the table of package formats.
//
// Nothing of a model file is executed here. What cannot be looked into is refused.
package modelfile

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// Format is one format of model files.
type Format struct {
	// Name is the format's name in train.format, Library what people call what writes it.
	Name, Library string
	// Extensions are the endings that a file of the format has, in lower case. Those that other
	// files have too (.json) are in Ambiguous: they count only where train.format names the format.
	Extensions, Ambiguous []string
	// Inspect looks into a file, with bounded memory, and fills the report. What is wrong with the
	// file goes into the report; the error is for what cannot be read.
	Inspect func(ctx context.Context, in *Input, report *Report) error
	// Loader is a Python module that loads a file with the library of the format; load_model.py
	// uses it and describes what it has to hold.
	Loader []byte
	// Allows are the names by which the contract allows a file of the format to hold more than what
	// is known to be harmless; nil for none that its library must know.
	Allows func(Options) []string
	// Packages are the Python packages whose versions matter when a file is loaded: the library
	// that loads it first.
	Packages []string
	// Flavor is how MLflow loads the file at path, relative to the model's directory, by the
	// packages' versions as far as known.
	Flavor func(path string, report Saved) Flavor
	// Requirements are the packages that load the file, as pip writes them. Nil stands for
	// Packages with their versions.
	Requirements func(versions map[string]string) []string
}

// Saved is what is known of a file when it is published.
type Saved struct {
	// Versions are those of packages by name, as far as known.
	Versions map[string]string
	// Facts are Report.Facts by name.
	Facts map[string]string
	// Allowed are the names that the contract allows beyond what is known to be harmless.
	Allowed []string
}

// Flavor is a flavour of MLflow's model format.
type Flavor struct {
	// Name and Values are the flavour and its keys in MLmodel.
	Name   string
	Values map[string]any
	// Loader is the module by which mlflow.pyfunc loads the model, Pyfunc further keys of its flavour.
	Loader string
	Pyfunc map[string]any
	// Files are further files, by their path relative to the model's directory.
	Files map[string][]byte
}

// KerasDir is where mlflow.keras looks for its model within the model's directory. The other
// libraries of MLflow look beside the file MLmodel, some of them nowhere else.
const KerasDir = "data"

// Served is where a file of a model is within MLflow's model directory: the model file under a
// fixed name, whatever the application calls it, the others beside it under their own. model is
// the model file's name.
func Served(name, model string) string {
	if name == model {
		name = "model" + Extension(model)
	}
	if Extension(model) == ".keras" {
		return KerasDir + "/" + name
	}
	return name
}

// Extension is the ending of a file's name, in lower case and with its point.
func Extension(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 && !strings.ContainsAny(name[i:], `/\`) {
		return strings.ToLower(name[i:])
	}
	return ""
}

// Has reports whether a file's name ends as those of the format do. The named ones are accepted
// only where the contract names the format.
func (f Format) Has(name string, named bool) bool {
	extension := Extension(name)
	return slices.Contains(f.Extensions, extension) || named && slices.Contains(f.Ambiguous, extension)
}

// Require lists what loads a file, pinned as far as the versions are known.
func (f Format) Require(versions map[string]string) []string {
	if f.Requirements != nil {
		return f.Requirements(versions)
	}
	lines := make([]string, 0, len(f.Packages))
	for _, name := range f.Packages {
		if v := versions[name]; v != "" {
			name += "==" + v
		}
		lines = append(lines, name)
	}
	return lines
}

// Input is a file to look into.
type Input struct {
	// File is the file's content, Size its length in bytes, Name what it is called.
	File io.ReaderAt
	Size int64
	Name string
	Options
}

// Options say what the contract allows.
type Options struct {
	// Format is the format that the file must have; empty for the one that its name tells.
	Format string
	// AllowLayers are further layer classes of a Keras file, AllowTypes further Python types of
	// a skops file, AllowDomains further operator domains of an ONNX file.
	AllowLayers, AllowTypes, AllowDomains []string
	// Loader is the application's module that makes a model of weights.
	Loader string
	// AllowFormats are formats that are let through unseen: "h5", "pickle".
	AllowFormats []string
	// Recurrent demands a recurrent layer of a Keras file.
	Recurrent bool
	// Python is the version of the training's environment.
	Python string
	// Beside are the sizes in bytes of the files that travel with the model, by base name.
	Beside map[string]int64
	// Content asks for Report.Content.
	Content bool
}

// Report is what a model file holds.
type Report struct {
	// SHA256 is the file's hash in lower-case hex, Bytes its size.
	SHA256 string
	Bytes  int64
	// Format is the name of the file's format; empty for one that was refused or not looked into.
	Format string
	// Unseen is the format of a file that was let through without a look into it, or empty.
	Unseen string
	// Library and Version are what saved the file, as far as it says so.
	Library, Version string
	// Versions are those of Python packages that the file names.
	Versions map[string]string
	// Facts are what else is worth telling, in order.
	Facts []Fact
	// Inputs and Outputs are what the model takes and gives, as far as the file says so.
	Inputs, Outputs []Tensor
	// Parameters counts the numbers that were learned; negative when unknown.
	Parameters int64
	// Layers are the parts of the model in order: layers, steps, tensors.
	Layers []Layer
	// Content is the hash of what the model is, without what each saving writes anew; empty
	// unless asked for, or where the file itself is that.
	Content string
	// Warnings are what is to be told of a file that may be used.
	Warnings []Warning
	// Problems are all reasons to refuse the file.
	Problems []*verdict.Problem
}

// Fact is a line of the report.
type Fact struct{ Name, Value string }

// Tensor is an input or output.
type Tensor struct {
	// Name and Type are as in the file; Shape has a number, a name or ? for each dimension.
	Name, Type, Shape string
}

// Layer is a part of a model.
type Layer struct {
	// Name and Class are as in the file, Size is in the unit of the part.
	Name, Class, Size string
	// Depth counts the parts around it.
	Depth int
}

// Warning is a finding that does not refuse the file.
type Warning struct {
	Code        verdict.Code
	Next, Cause string
}

// maxProblems keeps a file full of refusals readable.
const maxProblems = 20

// OK means that the file may be loaded.
func (r *Report) OK() bool { return len(r.Problems) == 0 }

// Refuse adds a reason to refuse the file; beyond the first twenty they are all alike.
func (r *Report) Refuse(code verdict.Code, format string, args ...any) {
	if len(r.Problems) < maxProblems {
		r.Problems = append(r.Problems, verdict.Problemf(code, format, args...))
	}
}

// Invalid refuses the file as damaged.
func (r *Report) Invalid(format string, args ...any) { r.Refuse(ArchiveInvalid, format, args...) }

// Fact adds a line to the report, unless its value is empty.
func (r *Report) Fact(name, format string, args ...any) {
	if value := fmt.Sprintf(format, args...); value != "" {
		r.Facts = append(r.Facts, Fact{name, Clip(value, 300)})
	}
}

// Knows notes the version of a package that the file names. Each becomes a line of the
// environment that the registry hands out: what is no version is refused.
func (r *Report) Knows(name, version string) {
	switch {
	case version == "":
	case !ValidVersion(version):
		r.Invalid("the file names %q as a version of %s, which is none", Clip(version, 80), name)
	default:
		if r.Versions == nil {
			r.Versions = map[string]string{}
		}
		r.Versions[name] = version
	}
}

// Clip shortens text to at most n bytes, at a rune's border.
func Clip(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return strings.ToValidUTF8(text[:n-3], "") + "..."
}

// List names at most n of the texts, and how many more there are.
func List(all []string, n int) string {
	text := strings.Join(all[:min(len(all), n)], ", ")
	if more := len(all) - n; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
