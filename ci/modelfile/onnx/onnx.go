// Package onnx looks into ONNX files without the library: operators and their domains, opsets,
// inputs and outputs, and whether every tensor has the bytes that it should have.
//
// An ONNX file is one protocol buffer (ModelProto). It names operators, which the library that
// runs it brings; those of a domain of others run whatever code is registered for them there.
// Tensors may lie in other files, by a path: here only beside the model, and only in files that
// travel with it.
package onnx

import (
	"context"
	_ "embed" // load.py
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed load.py
var loader []byte

// Format is ONNX.
var Format = modelfile.Format{
	Name: "onnx", Library: "ONNX", Extensions: []string{".onnx"}, Inspect: inspect, Loader: loader,
	Packages: []string{"onnxruntime", "onnx", "numpy"}, Flavor: flavor,
	Allows: func(o modelfile.Options) []string { return o.AllowDomains },
}

func failure(name, meaning, remedy string) verdict.Code {
	return verdict.Code{Name: name, Stage: verdict.Train, Outcome: verdict.Fail, Meaning: meaning, Remedy: remedy}
}

// The codes of ONNX files, beside those of package modelfile.
var (
	CustomDomain = failure("CUSTOM_DOMAIN",
		"The ONNX file names operators of a custom domain, which run whatever code is registered for them.",
		"Export the model with the operators of ONNX alone, or allow the domain by name under train.allow_domains in pipeline.yaml after "+
			"a review")
	ExternalData = failure("EXTERNAL_DATA",
		"The ONNX file keeps tensors in another file that is not published with it, or cannot be.",
		"Save the model as one file (save_as_external_data=False), or keep the data in one file beside it and name that in train.artifacts")
)

// Codes lists them.
func Codes() []verdict.Code { return []verdict.Code{CustomDomain, ExternalData} }

// flavor is the model as mlflow.onnx loads it.
func flavor(path string, saved modelfile.Saved) modelfile.Flavor {
	values := map[string]any{"data": path, "providers": []string{"CPUExecutionProvider"}}
	if v := saved.Versions["onnx"]; v != "" {
		values["onnx_version"] = v
	}
	return modelfile.Flavor{Name: "onnx", Values: values, Loader: "mlflow.onnx", Pyfunc: map[string]any{"data": path}}
}

// known are the domains that every ONNX runtime brings.
var known = map[string]bool{"ai.onnx": true, "ai.onnx.ml": true, "ai.onnx.training": true, "ai.onnx.preview.training": true,
	"ai.onnx.preview": true}

const (
	// maxDepth is how deep graphs may nest in the attributes of operators, maxName how long a name
	// may be, maxDims how many dimensions a tensor may have.
	maxDepth, maxName, maxDims = 16, 4096, 64
	// maxNodes and maxTensors bound what is counted; the largest models have tens of thousands.
	maxNodes, maxTensors = 2_000_000, 2_000_000
	// maxNames is how many domains a file may use, and operators of each; maxFunctions how many it may
	// define. What is beyond could not be judged.
	maxNames, maxFunctions = 10_000, 100_000
	maxShown               = 12
)

// model is what is collected of a file.
type model struct {
	in     *modelfile.Input
	report *modelfile.Report
	// opsets are the imported versions by domain, used the operators of each domain by their
	// number, own the file's own functions by domain and name.
	opsets  map[string]int64
	used    map[string]map[string]int
	own     map[string]map[string]bool
	nodes   int
	tensors int
	// functions counts those that the file defines.
	functions int
	// initial are the tensors of the main graph by name: older files list them as inputs, too.
	initial  map[string]bool
	external map[string]bool
	graphs   int
	ir       int64
}

func inspect(ctx context.Context, in *modelfile.Input, report *modelfile.Report) error {
	m := &model{in: in, report: report, opsets: map[string]int64{}, used: map[string]map[string]int{}, own: map[string]map[string]bool{},
		initial: map[string]bool{}, external: map[string]bool{}}
	report.Parameters = 0
	err := m.model(modelfile.NewMessage(ctx, in.File, in.Size))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, modelfile.ErrProto):
		report.Invalid("%s is not an ONNX file: %v", in.Name, err)
		return nil
	case err != nil:
		return err
	}
	m.judge()
	return nil
}

// model reads a ModelProto.
func (m *model) model(message modelfile.Message) error {
	var producer, version string
	err := message.Fields(func(f modelfile.Field) (err error) {
		switch f.Number {
		case 1:
			m.ir = int64(f.Value) //nolint:gosec // judged below
		case 2:
			producer, err = f.Message.Text(maxName)
		case 3:
			version, err = f.Message.Text(maxName)
		case 7:
			m.graphs++
			err = m.graph(f.Message, 0)
		case 8:
			err = m.opset(f.Message)
		case 20: // training_info: two graphs
			err = f.Message.Fields(func(f modelfile.Field) error {
				if f.Number == 1 || f.Number == 2 {
					return m.graph(f.Message, 1)
				}
				return nil
			})
		case 25:
			err = m.function(f.Message)
		}
		return err
	})
	m.report.Library, m.report.Version = modelfile.Clip(producer, 60), modelfile.Clip(version, 60)
	return err
}

// opset reads an OperatorSetIdProto.
func (m *model) opset(message modelfile.Message) error {
	var domain string
	var version uint64
	err := message.Fields(func(f modelfile.Field) (err error) {
		switch f.Number {
		case 1:
			domain, err = f.Message.Text(maxName)
		case 2:
			version = f.Value
		}
		return err
	})
	if len(m.opsets) < 1000 {
		m.opsets[named(domain)] = int64(version) //nolint:gosec // judged below
	}
	return err
}

// named gives ONNX's own domain its name, which files leave empty.
func named(domain string) string {
	if domain == "" {
		return "ai.onnx"
	}
	return domain
}

// function reads a FunctionProto: an operator that the file defines itself.
func (m *model) function(message modelfile.Message) error {
	var name, domain string
	err := message.Fields(func(f modelfile.Field) (err error) {
		switch f.Number {
		case 1:
			name, err = f.Message.Text(maxName)
		case 7:
			err = m.node(f.Message, 1)
		case 9:
			err = m.opset(f.Message)
		case 10:
			domain, err = f.Message.Text(maxName)
		case 11: // an attribute's default
			err = m.attribute(f.Message, 1)
		}
		return err
	})
	if m.functions++; m.functions > maxFunctions {
		return fmt.Errorf("%w: it defines more than %d functions", modelfile.ErrProto, maxFunctions)
	}
	domain = named(domain)
	if m.own[domain] == nil {
		m.own[domain] = map[string]bool{}
	}
	m.own[domain][name] = true
	return err
}

// foreign are the operators of a domain that the file does not define itself.
func (m *model) foreign(domain string) map[string]int {
	count := maps.Clone(m.used[domain])
	maps.DeleteFunc(count, func(operator string, _ int) bool { return m.own[domain][operator] })
	return count
}

// graph reads a GraphProto; those at depth 0 are the model's own.
func (m *model) graph(message modelfile.Message, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%w: graphs nest deeper than %d", modelfile.ErrProto, maxDepth)
	}
	var inputs, outputs []modelfile.Tensor
	err := message.Fields(func(f modelfile.Field) error {
		switch f.Number {
		case 1:
			return m.node(f.Message, depth)
		case 5:
			return m.tensor(f.Message, depth == 0, true)
		case 15: // sparse: values and indices
			return f.Message.Fields(func(f modelfile.Field) error {
				if f.Number == 1 || f.Number == 2 {
					return m.tensor(f.Message, false, f.Number == 1)
				}
				return nil
			})
		case 11, 12:
			into := &inputs
			if f.Number == 12 {
				into = &outputs
			}
			t, err := value(f.Message)
			if depth == 0 && len(*into) < 100_000 {
				*into = append(*into, t)
			}
			return err
		}
		return nil
	})
	if depth == 0 {
		m.report.Inputs, m.report.Outputs = inputs, outputs
	}
	return err
}

// node reads a NodeProto.
func (m *model) node(message modelfile.Message, depth int) error {
	if m.nodes++; m.nodes > maxNodes {
		return fmt.Errorf("%w: it has more than %d operators", modelfile.ErrProto, maxNodes)
	}
	var operator, domain string
	err := message.Fields(func(f modelfile.Field) (err error) {
		switch f.Number {
		case 4:
			operator, err = f.Message.Text(maxName)
		case 5:
			err = m.attribute(f.Message, depth)
		case 7:
			domain, err = f.Message.Text(maxName)
		}
		return err
	})
	domain = named(domain)
	if m.used[domain] == nil {
		m.used[domain] = map[string]int{}
	}
	if m.used[domain][operator]++; len(m.used) > maxNames || len(m.used[domain]) > maxNames {
		return fmt.Errorf("%w: it uses more than %d domains, or operators of %s", modelfile.ErrProto, maxNames, modelfile.Clip(domain, 80))
	}
	return err
}

// attribute reads an AttributeProto: it can hold tensors and graphs.
func (m *model) attribute(message modelfile.Message, depth int) error {
	return message.Fields(func(f modelfile.Field) error {
		switch f.Number {
		case 5, 10:
			return m.tensor(f.Message, false, true)
		case 6, 11:
			return m.graph(f.Message, depth+1)
		case 22, 23:
			return f.Message.Fields(func(f modelfile.Field) error {
				if f.Number == 1 || f.Number == 2 {
					return m.tensor(f.Message, false, f.Number == 1)
				}
				return nil
			})
		}
		return nil
	})
}

// judge holds what was collected against what is allowed.
func (m *model) judge() {
	r := m.report
	switch {
	case m.graphs != 1:
		r.Invalid("the file has %d graphs instead of one", m.graphs)
	case m.ir < 1 || m.ir > 1000:
		r.Invalid("the file names %d as the version of its format", m.ir)
	case m.nodes == 0 && m.tensors == 0:
		r.Invalid("the file's graph is empty")
	case len(r.Outputs) == 0:
		r.Invalid("the file's graph has no output")
	}
	domains := slices.Sorted(maps.Keys(m.used))
	for _, domain := range domains {
		switch version, imported := m.opsets[domain]; {
		case !imported && m.own[domain] == nil:
			r.Invalid("operators of the domain %s are used, and no version of it is imported", modelfile.Clip(domain, 80))
		case imported && (version < 1 || version > 1_000_000):
			r.Invalid("the version %d of the domain %s is none", version, modelfile.Clip(domain, 80))
		}
		if of := m.foreign(domain); len(of) > 0 && !known[domain] && !slices.Contains(m.in.AllowDomains, domain) {
			r.Refuse(CustomDomain, "the domain %s is not ONNX's own: %s", modelfile.Clip(domain, 80), operators(of))
		}
	}
	r.Inputs = slices.DeleteFunc(r.Inputs, func(t modelfile.Tensor) bool { return m.initial[t.Name] })
	var opsets, all []string
	for _, domain := range domains {
		opsets = append(opsets, fmt.Sprintf("%s %d", domain, m.opsets[domain]))
		all = append(all, operators(m.used[domain]))
	}
	r.Fact("model graph", "%d operators (%s); opset %s; format version %d", m.nodes, modelfile.Clip(strings.Join(all, ", "), 160),
		modelfile.List(opsets, maxShown), m.ir)
	if len(m.external) > 0 {
		r.Fact("model data beside it", "%s", modelfile.List(slices.Sorted(maps.Keys(m.external)), maxShown))
	}
}

// operators lists operators with their number, the most frequent first.
func operators(count map[string]int) string {
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%d %s", count[name], modelfile.Clip(name, 40))
	}
	return modelfile.List(names, maxShown)
}
