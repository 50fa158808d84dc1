// Package skops looks into skops files, the format in which scikit-learn's models are saved
// without pickle: every type that the file names is held against an allow-list.
//
// A skops file is a zip of schema.json, a tree of objects with their Python types, and arrays in
// files of NumPy. Loading imports each type, and calls some of them. The library has an
// allow-list of its own; ways around it were found in several versions, all with a type that is
// named at an unexpected place (CVE-2025-54412, CVE-2025-54413). So here every object that
// names a type is looked at, wherever it is.
package skops

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	_ "embed" // load.py, names.json
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

//go:embed load.py
var loader []byte

//go:embed names.json
var namesJSON []byte

// names are what skops itself trusts, of the versions that scripts/skops-names was run with.
type names struct {
	// Objects are estimators and their parts, Losses those of gradient boosting, Functions those
	// of NumPy and SciPy, DTypes NumPy's numbers, Sparse SciPy's matrices.
	Objects   []string `json:"objects"`
	Losses    []string `json:"losses"`
	Functions []string `json:"functions"`
	DTypes    []string `json:"dtypes"`
}

// Format is skops.
var Format = modelfile.Format{
	Name: "skops", Library: "scikit-learn (skops)", Extensions: []string{".skops"}, Inspect: inspect, Loader: loader,
	Packages: []string{"scikit-learn", "skops", "numpy", "scipy"}, Flavor: flavor,
	Allows: func(o modelfile.Options) []string { return o.AllowTypes },
}

// UntrustedType is a type that is not on the list.
var UntrustedType = verdict.Code{Name: "UNTRUSTED_TYPE", Stage: verdict.Train, Outcome: verdict.Fail,
	Meaning: "The skops file names a Python type or function that is not known to be harmless when it is loaded.",
	Remedy: "Use scikit-learn's own estimators, or allow the type by name under train.allow_types in pipeline.yaml after a review of its " +
		"code"}

// Codes lists the codes of skops files, beside those of package modelfile.
func Codes() []verdict.Code { return []verdict.Code{UntrustedType} }

// flavor is the model as mlflow.sklearn loads it, since MLflow 3.
func flavor(path string, saved modelfile.Saved) modelfile.Flavor {
	values := map[string]any{"pickled_model": path, "serialization_format": "skops"}
	if v := saved.Versions["scikit-learn"]; v != "" {
		values["sklearn_version"] = v
	}
	if len(saved.Allowed) > 0 {
		values["skops_trusted_types"] = saved.Allowed
	}
	return modelfile.Flavor{Name: "sklearn", Values: values, Loader: "mlflow.sklearn", Pyfunc: map[string]any{"model_path": path}}
}

const (
	schemaEntry = "schema.json"
	// maxSchema is the size of schema.json, maxDepth how deep it nests, maxValues how many values
	// it has: a forest of thousands of trees has hundreds of thousands.
	maxSchema, maxDepth, maxValues = 32 << 20, 400, 2_000_000
)

var zipLimits = modelfile.ZipLimits{UnpackedBytes: 8 << 30, Entries: 200_000, Ratio: 1000, Part: part}

// part says why an entry is no part of a skops file, or nothing.
func part(f *zip.File) string {
	switch {
	case f.Name == schemaEntry && f.UncompressedSize64 > maxSchema:
		return fmt.Sprintf("is %d bytes long, more than the limit of %d", f.UncompressedSize64, maxSchema)
	case f.Name == schemaEntry:
		return ""
	case strings.Contains(f.Name, "/") || f.Mode().IsDir():
		return "is in a folder"
	case slices.Contains([]string{".npy", ".npz", ".bin"}, modelfile.Extension(f.Name)):
		return ""
	}
	return "is not part of a skops file"
}

func inspect(ctx context.Context, in *modelfile.Input, report *modelfile.Report) error {
	archive, err := zip.NewReader(in.File, in.Size)
	if err != nil {
		report.Invalid("%s is not a skops file: the archive cannot be opened: %v", in.Name, err)
		return nil
	}
	entries, causes, whole := modelfile.CheckZip(archive, in.File, in.Size, zipLimits)
	for _, cause := range causes {
		report.Invalid("%s", cause)
	}
	if !whole || !report.OK() {
		return nil // reading on could mean unpacking a bomb
	}
	schema := entries[schemaEntry]
	if schema == nil {
		report.Invalid("entry %s is missing", schemaEntry)
		return nil
	}
	report.Parameters = 0
	sums := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(entries)) {
		if name == schemaEntry {
			continue
		}
		var err error
		if sums[name], err = array(ctx, in, report, entries[name]); err != nil {
			return err
		}
	}
	content := &strings.Builder{}
	if err := modelfile.Unpack(ctx, schema, content); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		report.Invalid("entry %s is damaged: %v", schemaEntry, err)
		return nil
	}
	value, err := strictjson.Parse([]byte(content.String()), strictjson.Limits{Depth: maxDepth, Values: maxValues})
	if err != nil {
		report.Invalid("%s: %v", schemaEntry, err)
		return nil
	}
	root, _ := value.(map[string]any)
	w := &walker{report: report, entries: entries, allowed: map[string]bool{}, refused: map[string]bool{}}
	for _, name := range in.AllowTypes {
		w.allowed[name] = true
	}
	w.header(root)
	w.walk(value)
	w.judge(root)
	if in.Content && report.OK() {
		report.Content = contentHash(value, sums)
	}
	return nil
}

// contentHash is Report.Content: skops numbers objects by their addresses, and names files by them.
func contentHash(value any, sums map[string]string) string {
	content, err := json.Marshal(withoutAddresses(value, sums))
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(content)
	return hex.EncodeToString(sum[:])
}

func withoutAddresses(value any, sums map[string]string) any {
	switch v := value.(type) {
	case map[string]any:
		delete(v, "__id__")
		if file, ok := v["file"].(string); ok && sums[file] != "" {
			v["file"] = sums[file]
		}
		for key := range v {
			v[key] = withoutAddresses(v[key], sums)
		}
	case []any:
		for i := range v {
			v[i] = withoutAddresses(v[i], sums)
		}
	}
	return value
}

// header reads what the root says of the file.
func (w *walker) header(root map[string]any) {
	version, _ := root["_skops_version"].(string)
	w.report.Library, w.report.Version = "skops", modelfile.Clip(version, 60)
	w.report.Knows("skops", version)
	switch protocol, ok := root["protocol"].(float64); {
	case !ok || root["__loader__"] == nil:
		w.report.Invalid("%s is not that of a skops file", schemaEntry)
	case protocol != 1 && protocol != 2:
		w.report.Invalid("the file has the protocol %v of skops; those that are known are 1 and 2", protocol)
	}
}

// judge adds what was found to the report.
func (w *walker) judge(root map[string]any) {
	model := typeOf(root)
	w.report.Fact("model type", "%s", modelfile.Clip(model, 120))
	if len(w.estimators) > 0 {
		w.report.Fact("model estimators", "%s", modelfile.List(w.estimators, 12))
	}
	if w.report.OK() && !strings.HasPrefix(model, "sklearn.") && !w.allowed[model] {
		w.report.Refuse(UntrustedType, "the file holds a %s, which is no estimator of scikit-learn", modelfile.Clip(model, 80))
	}
	if features, ok := scalar(w.attribute(root, "n_features_in_")).(float64); ok {
		w.report.Inputs = []modelfile.Tensor{{Name: "X", Shape: fmt.Sprintf("[?, %.0f]", features)}}
	}
	for _, problem := range w.report.Problems {
		if problem.Code.Name == UntrustedType.Name && len(w.asked) > 0 {
			problem.Next = fmt.Sprintf("Once you know that its code is harmless: train.allow_types: [%s] in pipeline.yaml",
				strings.Join(w.asked, ", "))
			if slices.ContainsFunc(w.asked, func(name string) bool { return strings.HasPrefix(name, "__main__.") }) {
				problem.Next = "Only the training's script has what is in __main__: move it to a module of its own, which the script imports, " +
					"and train again"
			}
		}
	}
	if more := len(w.refused) - maxNamed; more > 0 {
		w.report.Refuse(UntrustedType, "%d further types are not trusted", more)
	}
}

var known = sync.OnceValue(func() map[string]map[string]bool {
	var n names
	if err := json.Unmarshal(namesJSON, &n); err != nil {
		panic("names.json is part of this program: " + err.Error())
	}
	set := func(lists ...[]string) map[string]bool {
		s := map[string]bool{}
		for _, list := range lists {
			for _, name := range list {
				s[name] = true
			}
		}
		return s
	}
	text := []string{"builtins.int", "builtins.float", "builtins.str", "builtins.bool"}
	// By what the file says loads the type. None is allowed of those with an empty set but what
	// the contract names; a loader that is not here is refused.
	return map[string]map[string]bool{
		"DictNode": set([]string{"builtins.dict", "collections.OrderedDict"}), "DefaultDictNode": set([]string{"collections.defaultdict"}),
		"ListNode": set([]string{"builtins.list"}), "SetNode": set([]string{"builtins.set"}), "TupleNode": set([]string{"builtins.tuple"}),
		"BytesNode": set([]string{"builtins.bytes"}), "BytearrayNode": set([]string{"builtins.bytearray"}),
		"SliceNode": set([]string{"builtins.slice"}), "JsonNode": set(text), "FunctionNode": set(n.Functions),
		"TypeNode":   set(text, []string{"builtins.list", "builtins.set", "builtins.map", "builtins.tuple"}, n.DTypes),
		"ObjectNode": set(n.Objects), "LossNode": set(n.Losses), "SparseMatrixNode": {},
		"NdArrayNode": set([]string{"numpy.ndarray"}, n.DTypes), "MaskedArrayNode": set([]string{"numpy.ma.MaskedArray"}),
		"RandomStateNode":           set([]string{"numpy.random.mtrand.RandomState"}),
		"RandomGeneratorNode":       set([]string{"numpy.random._generator.Generator"}),
		"ConstructorFromReduceNode": {}, "PartialNode": {}, "MethodNode": {}, "OperatorFuncNode": {}, "TreeNode": {}, "DTypeNode": {},
		"QuantileForestNode": {},
	}
})
