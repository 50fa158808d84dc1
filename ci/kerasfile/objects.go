package kerasfile

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/strictjson"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// maxProblems keeps a file full of refusals readable.
const maxProblems = 20

// readMetadata takes the Keras version from metadata.json.
func readMetadata(report *Report, content []byte) {
	value, err := strictjson.Parse(content, strictjson.Limits{Depth: 10, Values: 1000})
	if err != nil {
		report.refuse(modelfile.ArchiveInvalid, "%s: %v", metadataEntry, err)
		return
	}
	metadata, _ := value.(map[string]any)
	version, _ := metadata["keras_version"].(string)
	numbers, ok := modelfile.ParseVersion(version)
	switch {
	case version != "" && !modelfile.ValidVersion(version):
		report.refuse(VersionInvalid, "%s names Keras %q as what saved the model, which is not a version", metadataEntry,
			version[:min(len(version), 80)])
		return
	case !ok:
		report.refuse(modelfile.ArchiveInvalid, "%s names no Keras version", metadataEntry)
		return
	}
	report.KerasVersion = version
	report.SavedAt, _ = metadata["date_saved"].(string)
	safe, _ := modelfile.ParseVersion(SafeVersion)
	for i := range numbers {
		if numbers[i] != safe[i] {
			report.OldKeras = numbers[i] < safe[i]
			break
		}
	}
}

// readConfig walks config.json: everything in it that Keras would make an object of
// must be on the allow-list.
func readConfig(report *Report, content []byte, opts Options) {
	value, err := strictjson.Parse(content, strictjson.Limits{Depth: 200, Values: 2_000_000})
	if err != nil {
		report.refuse(modelfile.ArchiveInvalid, "%s: %v", configEntry, err)
		return
	}
	root, _ := value.(map[string]any)
	w := &walker{report: report, allowed: set(strings.Join(opts.AllowLayers, " ")), limit: opts.Limits.Layers}
	if class, _ := root["class_name"].(string); class == "" {
		report.refuse(modelfile.ArchiveInvalid, "%s is not a serialised model: it names no class", configEntry)
		return
	}
	w.walk(root, "", 0)
	w.allowAll()
	if w.refused > maxProblems {
		report.refuse(UnsafeLayer, "%d further objects are refused", w.refused-maxProblems)
	}
	if len(report.Layers) == 0 && w.refused == 0 {
		report.refuse(modelfile.ArchiveInvalid, "%s holds no layer", configEntry)
	} else if opts.Recurrent && len(report.Recurrent) == 0 {
		report.Problems = append(report.Problems, w.notRecurrent())
	}
}

// notRecurrent is the problem of a model without a recurrent layer. What a class of others
// is made of is in its code, which is not in the file.
func (w *walker) notRecurrent() *verdict.Problem {
	problem := verdict.Problemf(WrongArch, "none of the model's %d layers is recurrent (found: %s)", len(w.report.Layers),
		classes(w.report.Layers))
	if len(w.custom) > 0 {
		problem.Cause += fmt.Sprintf("; what %s is made of cannot be seen, as its code is not in the file", w.custom[0])
		problem.Next = fmt.Sprintf("Set train.recurrent: false in pipeline.yaml if %s holds the recurrent layer, or build the model of "+
			"Keras's own layers", w.custom[0])
	}
	return problem
}

// classes names the classes of some layers, for messages.
func classes(layers []Layer) string {
	var names []string
	seen := map[string]bool{}
	for _, l := range layers {
		if !seen[l.Class] {
			seen[l.Class] = true
			names = append(names, l.Class)
		}
	}
	return strings.Join(names, ", ")
}

type walker struct {
	report  *Report
	allowed map[string]bool
	limit   int
	refused int
	// custom are the classes of others that a setting allows.
	custom []string
	// strange are the problems that a setting can allow, names what it would have to name.
	strange []*verdict.Problem
	names   []string
}

// refuse reports one object; next is the remedy where it has one of its own.
func (w *walker) refuse(next, format string, args ...any) {
	problem := verdict.Problemf(UnsafeLayer, format, args...)
	problem.Next = next
	w.add(problem)
}

func (w *walker) add(problem *verdict.Problem) {
	if w.refused++; w.refused <= maxProblems {
		w.report.Problems = append(w.report.Problems, problem)
	}
}

// stranger refuses a class or function that train.allow_layers can name; that of another library
// is named with its module, so that nobody allows it for one of the application.
func (w *walker) stranger(module, name, format string, args ...any) {
	if own := ofKeras(module); own != "" && own != "builtins" && own != "__main__" && own != "keras" && !strings.HasPrefix(own, "keras.") {
		name = module + "." + name
	}
	problem := verdict.Problemf(UnsafeLayer, format, args...)
	w.add(problem)
	w.strange = append(w.strange, problem)
	if allowable.MatchString(name) && !slices.Contains(w.names, name) && len(w.names) < maxProblems {
		w.names = append(w.names, name)
	}
}

// allowable is a name that pipeline.yaml takes as it is.
var allowable = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.>]{0,99}$`)

// allowAll gives the one setting that allows all strangers to each of them.
func (w *walker) allowAll() {
	if len(w.names) == 0 {
		return
	}
	for _, problem := range w.strange {
		problem.Next = fmt.Sprintf("Use what Keras itself has, or review their code and set train.allow_layers: [%s] in pipeline.yaml",
			strings.Join(w.names, ", "))
	}
}

func (w *walker) walk(value any, path string, depth int) {
	switch v := value.(type) {
	case []any:
		for i, element := range v {
			w.walk(element, fmt.Sprintf("%s[%d]", path, i), depth)
		}
	case map[string]any:
		if _, object := v["class_name"]; object {
			if w.object(v, path, depth) {
				depth++
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below := strings.TrimPrefix(path+"."+key, ".")
			w.name(key, v[key], below)
			w.walk(v[key], below, depth)
		}
	}
}

// allows reports whether train.allow_layers has a class or function: its name, with or without its module, or the name
// that it is registered by. That one counts for what has this name only: where nothing is registered by it, Keras takes
// what the file names in the module that the file names.
func (w *walker) allows(module, name, registered string) bool {
	return w.allowed[name] || w.allowed[module+"."+name] || w.allowed[registered] && registersAs(registered, name)
}

// registersAs reports whether a registered name, such as svc>Pool, is that of a class or function of the same name.
func registersAs(registered, name string) bool {
	return registered[strings.LastIndex(registered, ">")+1:] == name
}

// object checks one serialised object, and reports whether it was a layer.
func (w *walker) object(v map[string]any, path string, depth int) bool {
	class, isText := v["class_name"].(string)
	module, moduleIsText := v["module"].(string)
	registered, registeredIsText := v["registered_name"].(string)
	where := path
	if where == "" {
		where = "the model"
	}
	allowed := w.allows(module, class, registered)
	switch {
	case !isText:
		w.refuse("", "%s: the class name is not text", where)
		return false
	case v["module"] != nil && !moduleIsText, v["registered_name"] != nil && !registeredIsText:
		w.refuse("", "%s: module or registered name of %s is not text", where, class)
		return false
	case never[class]:
		w.refuse("Write it with layers and operations of Keras (keras.ops), or as a layer class of the application, which "+
			"train.allow_layers can name after a review", "%s: %s runs code when the model is loaded; nothing allows it", where, class)
		return false
	case plain[class]:
		return false
	case class == "function":
		w.function(v, where, module)
		return false
	case tensorFlowLayers[class] && (allowed || ofTensorFlow(module)):
		// Whoever allows the class allows no function: only a review of each file could.
		w.operation(v, where, class)
		return w.layer(v, path, depth, class, module)
	case allowed:
		w.custom = append(w.custom, cmp.Or(registered, class))
		return w.layer(v, path, depth, class, module)
	case registered != "" && registered != class && registersAs(registered, class):
		w.stranger("", registered, "%s: %s is the custom object %q", where, class, registered)
		return false
	case registered != "" && registered != class:
		w.stranger(module, class, "%s: %s of module %q is the custom object %q", where, class, module, registered)
		return false
	}
	k, known := kindOf(module, class)
	switch {
	case !known && module != "" && keras().Refused[class] != "":
		w.stranger(module, class, "%s: the class %q of module %q is not one of Keras's that are allowed: %s", where, class, module,
			keras().Refused[class])
	case !known && module == "":
		w.stranger(module, class, "%s: the class %q is not one of Keras", where, class)
	case !known:
		w.stranger(module, class, "%s: the class %q of module %q is not one of Keras's that are allowed", where, class, module)
	case k.name == "layer":
		return w.layer(v, path, depth, class, module)
	}
	return k.name == "model"
}

// layer records a layer.
func (w *walker) layer(v map[string]any, path string, depth int, class, module string) bool {
	config, _ := v["config"].(map[string]any)
	if vocabulary, ok := config["vocabulary"].(string); ok {
		// A path here is read from the host that loads the model (CVE-2025-12058).
		w.refuse("Give the layer the words themselves (vocabulary=[...], or adapt), so that the model holds them",
			"%s: %s reads its vocabulary from the file %q", path, class, vocabulary)
	}
	if len(w.report.Layers) >= w.limit {
		if len(w.report.Layers) == w.limit && w.refused <= maxProblems {
			w.refused = maxProblems + 1
			w.report.refuse(modelfile.ArchiveInvalid, "the model has more layers than the limit of %d", w.limit)
		}
		return true
	}
	l := Layer{Path: path, Depth: depth, Class: class, Module: module}
	l.Name, _ = config["name"].(string)
	for _, key := range []string{"units", "filters", "output_dim"} {
		if units, ok := config[key].(float64); ok && units >= 0 && units < 1e9 {
			l.Units = int(units)
			break
		}
	}
	w.report.Layers = append(w.report.Layers, l)
	if recurrent[class] {
		w.report.Recurrent = append(w.report.Recurrent, class)
	}
	return true
}

// function checks a serialised function: only the built-in ones, by name.
func (w *walker) function(v map[string]any, where, module string) {
	name, ok := v["config"].(string)
	registered, _ := v["registered_name"].(string)
	switch {
	case ok && functions()[fold(name)] && (module == "builtins" || strings.HasPrefix(ofKeras(module), "keras.")):
	case ok && !dangerous[name] && w.allows(module, name, registered):
	case ok && !dangerous[name]:
		w.stranger(module, name, "%s: the function %v of module %q is not one of Keras's", where, name, module)
	default:
		w.refuse("", "%s: the function %v of module %q is not one of Keras's", where, v["config"], module)
	}
}

// name checks the strings by which Keras looks up functions and classes: a name that is
// not built in would be looked up among the custom objects of the program that loads the model.
func (w *walker) name(key string, value any, path string) {
	text, ok := value.(string)
	if !ok || text == "" || w.allowed[text] {
		return
	}
	known := true
	switch {
	case key == "activation" || strings.HasSuffix(key, "_activation"):
		known = functions()[fold(text)]
	case key == "initializer" || strings.HasSuffix(key, "_initializer"):
		known = namesKind("initializer", text)
	case key == "regularizer" || strings.HasSuffix(key, "_regularizer"):
		known = namesKind("regularizer", text)
	case strings.HasSuffix(key, "_constraint"):
		known = namesKind("constraint", text)
	}
	if !known {
		w.stranger("", text, "%s: %q is not one of Keras's", path, text)
	}
}
