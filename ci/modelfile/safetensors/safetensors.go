// Package safetensors looks into files of weights in the safetensors format, as PyTorch's
// models are saved without pickle: every tensor must have the bytes that its shape takes, and
// none may overlap another.
//
// Such a file holds no code, and no model either: the layers are in the application. So the
// contract names the module that makes a model of the weights.
package safetensors

import (
	"context"
	_ "embed" // load.py
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed load.py
var loader []byte

// Format is safetensors.
var Format = modelfile.Format{
	Name: "safetensors", Library: "PyTorch (safetensors)", Extensions: []string{".safetensors"}, Inspect: inspect, Loader: loader,
	Packages: []string{"safetensors", "torch", "numpy"}, Flavor: flavor,
	Allows: func(o modelfile.Options) []string { return []string{o.Loader} },
}

// WeightsOnly is a file of weights without a module that makes a model of them.
var WeightsOnly = verdict.Code{Name: "WEIGHTS_ONLY", Stage: verdict.Train, Outcome: verdict.Fail,
	Meaning: "The model file holds weights alone, and train.loader names no module among the model's files that makes a model of them.",
	Remedy: "Write a module with a function _load_pyfunc(path) that returns an object with a method predict, let it be one of " +
		"train.artifacts, and name it in train.loader"}

// Codes lists the codes of safetensors files, beside those of package modelfile.
func Codes() []verdict.Code { return []verdict.Code{WeightsOnly} }

// flavor is the model as mlflow.pyfunc loads it: by the application's module, which lies beside it.
func flavor(path string, saved modelfile.Saved) modelfile.Flavor {
	module := strings.Join(saved.Allowed, "")
	return modelfile.Flavor{Loader: module, Pyfunc: map[string]any{"data": path, "code": "."}}
}

const (
	// maxHeader is below the library's own limit of 100 MB: the largest models have some 10,000
	// tensors, of 100 bytes each in the header.
	maxHeader  = 32 << 20
	maxTensors = 300_000
	maxDims    = 64
	maxShown   = 1000
)

// widths are the bits of an element by its type.
var widths = map[string]int64{
	"BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E5M2FNUZ": 8, "F8_E4M3FNUZ": 8, "U16": 16, "I16": 16,
	"F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}

// tensor is an entry of the header.
type tensor struct {
	name, kind, shape string
	from, to          int64
}

func inspect(_ context.Context, in *modelfile.Input, report *modelfile.Report) error {
	head := make([]byte, 8)
	if in.Size < 8 {
		report.Invalid("%s is too short for a safetensors file", in.Name)
		return nil
	}
	if _, err := in.File.ReadAt(head, 0); err != nil {
		return fmt.Errorf("read header: %w", err)
	}
	length := binary.LittleEndian.Uint64(head)
	if length > maxHeader || length > uint64(in.Size-8) { //nolint:gosec // at least 8, above
		report.Invalid("%s is not a safetensors file: its header would be %d bytes long", in.Name, length)
		return nil
	}
	header := make([]byte, length)
	if _, err := in.File.ReadAt(header, 8); err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt gives io.EOF bare
		return fmt.Errorf("read header: %w", err)
	}
	if len(header) == 0 || header[0] != '{' {
		report.Invalid("%s is not a safetensors file: its header does not begin with {", in.Name)
		return nil
	}
	value, err := strictjson.Parse(header, strictjson.Limits{Depth: 5, Values: 3_000_000})
	if err != nil {
		report.Invalid("the header: %v", err)
		return nil
	}
	object, _ := value.(map[string]any)
	report.Library, report.Parameters = "safetensors", 0
	tensors := entries(report, object)
	judge(report, tensors, in.Size-8-int64(length)) //nolint:gosec // bounded above
	if module := in.Loader; !report.OK() {
		return nil
	} else if file := module + ".py"; module == "" {
		report.Refuse(WeightsOnly, "%s holds %d tensors and no model, and train.loader is empty", in.Name, len(tensors))
	} else if _, beside := in.Beside[file]; !beside {
		report.Refuse(WeightsOnly, "train.loader is %s, and %s is not among the files of the model (train.artifacts)", module, file)
	}
	return nil
}

// entries reads the header's entries, in the order of the data.
func entries(report *modelfile.Report, object map[string]any) []tensor {
	var all []tensor
	if len(object) > maxTensors {
		report.Invalid("the header has %d tensors, more than the limit of %d", len(object), maxTensors)
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(object)) {
		entry, isEntry := object[name].(map[string]any)
		shown := modelfile.Clip(name, 80)
		if name == "__metadata__" {
			for _, key := range slices.Sorted(maps.Keys(entry)) {
				if _, isText := entry[key].(string); !isText {
					report.Invalid("the metadata %s is no text", modelfile.Clip(key, 80))
				}
			}
			if made, _ := entry["format"].(string); made != "" {
				report.Fact("model saved from", "%s", modelfile.Clip(made, 40))
			}
			continue
		}
		if !isEntry {
			report.Invalid("the tensor %s is not described", shown)
			continue
		}
		t, cause := read(entry)
		if cause != "" {
			report.Invalid("the tensor %s %s", shown, cause)
			continue
		}
		t.name = name
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b tensor) int {
		if a.from != b.from {
			return int(min(max(a.from-b.from, -1), 1))
		}
		return int(min(max(a.to-b.to, -1), 1))
	})
	return all
}

// whole is a number without a fraction, from 0 to what a float64 holds exactly.
func whole(value any) (int64, bool) {
	v, ok := value.(float64)
	return int64(v), ok && v >= 0 && v < 1<<53 && v == math.Trunc(v)
}

// read reads an entry and compares its bytes with its shape.
func read(entry map[string]any) (tensor, string) {
	kind, _ := entry["dtype"].(string)
	width, known := widths[kind]
	shape, isShape := entry["shape"].([]any)
	offsets, isOffsets := entry["data_offsets"].([]any)
	switch {
	case !known:
		return tensor{}, fmt.Sprintf("has the unknown type %q", modelfile.Clip(kind, 40))
	case !isShape || len(shape) > maxDims:
		return tensor{}, "has no shape, or one of too many dimensions"
	case !isOffsets || len(offsets) != 2 || len(entry) != 3:
		return tensor{}, "has no two offsets, or more than type, shape and offsets"
	}
	count := int64(1)
	var dims []string
	for _, value := range shape {
		d, ok := whole(value)
		if !ok || d > 0 && count > (1<<50)/d {
			return tensor{}, "has more elements than any file can hold, or a size that is none"
		}
		count *= d
		dims = append(dims, fmt.Sprint(d))
	}
	from, okFrom := whole(offsets[0])
	to, okTo := whole(offsets[1])
	if !okFrom || !okTo || to < from {
		return tensor{}, "has offsets that are none"
	}
	if bits := count * width; bits%8 != 0 || to-from != bits/8 {
		return tensor{}, fmt.Sprintf("has %d bytes, its %d elements of %s take %d bits", to-from, count, kind, bits)
	}
	return tensor{kind: kind, shape: "[" + strings.Join(dims, ", ") + "]", from: from, to: to}, ""
}

// judge checks that the tensors fill the file: none overlaps another, and nothing lies between.
func judge(report *modelfile.Report, tensors []tensor, size int64) {
	at := int64(0)
	for _, t := range tensors {
		if t.from != at {
			report.Invalid("the tensor %s begins at byte %d, and the one before ends at %d", modelfile.Clip(t.name, 80), t.from, at)
			return
		}
		at = t.to
	}
	switch {
	case at != size && report.OK():
		report.Invalid("the tensors end at byte %d, and the file has %d", at, size)
	case len(tensors) == 0 && report.OK():
		report.Invalid("the file holds no tensor")
	}
	kinds := map[string]int{}
	for i, t := range tensors {
		kinds[t.kind]++
		if strings.HasPrefix(t.kind, "F") || strings.HasPrefix(t.kind, "BF") || t.kind == "C64" {
			report.Parameters += (t.to - t.from) * 8 / widths[t.kind]
		}
		if i < maxShown {
			report.Layers = append(report.Layers, modelfile.Layer{Name: modelfile.Clip(t.name, 120), Class: t.kind, Size: t.shape})
		}
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		parts = append(parts, fmt.Sprintf("%d of %s", kinds[kind], kind))
	}
	report.Fact("model tensors", "%s", strings.Join(parts, ", "))
}
