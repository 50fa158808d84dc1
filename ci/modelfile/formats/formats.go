// Package formats is the table of the formats of model files. A new format is a package beside
// this one, and a line here.
package formats

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/kerasfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/lightgbm"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/onnx"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/safetensors"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/skops"
	"github.com/openstack-rca/openstack-rca/ci/modelfile/xgboost"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// All are the formats, in the order of the documentation.
var All = []modelfile.Format{
	kerasfile.Format,
	onnx.Format,
	skops.Format,
	xgboost.Format,
	lightgbm.Format,
	safetensors.Format,
}

// MaxBytes is the size of the largest file that is looked into.
const MaxBytes = 4 << 30

// Codes lists every code that looking into a file can give.
func Codes() []verdict.Code {
	return slices.Concat(modelfile.Codes(), kerasfile.Codes(), onnx.Codes(), skops.Codes(), safetensors.Codes())
}

// Named returns a format by its name.
func Named(name string) (modelfile.Format, bool) {
	i := slices.IndexFunc(All, func(f modelfile.Format) bool { return f.Name == name })
	if i < 0 {
		return modelfile.Format{}, false
	}
	return All[i], true
}

// Names are those of all formats.
func Names() []string {
	var names []string
	for _, f := range All {
		names = append(names, f.Name)
	}
	return names
}

// Packages are those of all formats, each once.
func Packages() []string {
	names := []string{"python"}
	for _, f := range All {
		for _, name := range f.Packages {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// LooksLikeModel says what kind of model a file's name promises, and nothing for a name that
// promises none.
func LooksLikeModel(name string) (kind string, ok bool) {
	for _, f := range All {
		if f.Has(name, false) {
			return f.Library, true
		}
	}
	return kerasfile.LooksLikeModel(name)
}

// pick chooses the format that looks into a file: the one of the contract, else the one that the
// file's name tells. Every other file goes to Keras's, which lets nothing through but what
// train.allow_formats names.
func pick(name string, opts modelfile.Options) (modelfile.Format, *verdict.Problem) {
	if wanted, ok := Named(opts.Format); ok {
		if wanted.Has(name, true) || wanted.Name == kerasfile.Format.Name {
			return wanted, nil
		}
		problem := verdict.Problemf(modelfile.FormatRefused, "%s is not a file of %s, which the contract asks for: those end in %s", name,
			wanted.Library, strings.Join(slices.Concat(wanted.Extensions, wanted.Ambiguous), " or "))
		problem.Next = fmt.Sprintf("Save the model as such a file and name it in train.model, or correct train.format (it is %s)", wanted.Name)
		return wanted, problem
	}
	for _, f := range All {
		if f.Has(name, false) {
			return f, nil
		}
	}
	for _, f := range All {
		if f.Has(name, true) {
			problem := verdict.Problemf(modelfile.FormatRefused, "the name of %s does not tell its format", name)
			problem.Next = fmt.Sprintf("Set train.format: %s in pipeline.yaml if it is a model of %s", f.Name, f.Library)
			return f, problem
		}
	}
	return kerasfile.Format, nil
}

// Inspect looks into the file at a path, in one opening and with bounded memory. What is wrong
// with the file is in Report.Problems; the error is for what cannot be read at all.
func Inspect(ctx context.Context, path string, opts modelfile.Options) (*modelfile.Report, error) {
	name := filepath.Base(path)
	var report *modelfile.Report
	cause, err := modelfile.Open(path, func(file io.ReaderAt, size int64) (err error) {
		report, err = InspectReader(ctx, file, size, name, opts)
		return err
	})
	if err != nil {
		return nil, err
	}
	if report == nil {
		report = &modelfile.Report{Parameters: -1}
	}
	if cause != "" {
		report.Invalid("%s %s", name, cause)
	}
	return report, nil
}

// InspectReader is Inspect for size bytes of any reader; name is for messages, and its ending
// may tell the format.
func InspectReader(ctx context.Context, file io.ReaderAt, size int64, name string, opts modelfile.Options) (*modelfile.Report, error) {
	report := &modelfile.Report{Bytes: size, Parameters: -1}
	switch format, problem := pick(name, opts); {
	case size > MaxBytes:
		report.Invalid("%s is %d bytes long, more than the limit of %d", name, size, int64(MaxBytes))
		return report, nil
	case problem != nil:
		report.Problems = append(report.Problems, problem)
	case size == 0:
		report.Invalid("%s is empty", name)
	default:
		if err := format.Inspect(ctx, &modelfile.Input{File: file, Size: size, Name: name, Options: opts}, report); err != nil {
			return nil, fmt.Errorf("inspect model file %s: %w", name, err)
		}
		if report.OK() && report.Unseen == "" {
			report.Format = format.Name
		}
	}
	if report.SHA256 == "" {
		hash := sha256.New()
		if _, err := modelfile.CopyContext(ctx, hash, io.NewSectionReader(file, 0, size)); err != nil {
			return nil, fmt.Errorf("hash model file %s: %w", name, err)
		}
		report.SHA256 = hex.EncodeToString(hash.Sum(nil))
	}
	return report, nil
}
