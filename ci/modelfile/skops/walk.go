package skops

import (
	"archive/zip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
)

// maxNamed keeps a file full of refusals readable.
const maxNamed = 15

// never are modules, or functions, that can do anything: no contract allows them.
var never = regexp.MustCompile(`^(os|posix|nt|sys|subprocess|shutil|importlib|runpy|pty|code|codeop|ctypes|_ctypes|socket|pickle|_pickle|` +
	`cloudpickle|joblib|dill|marshal|shelve|multiprocessing|threading|asyncio|webbrowser|urllib|http|pip|site|pathlib|io|tempfile|glob|` +
	`inspect|types|gc|atexit|signal|builtins\.(eval|exec|compile|open|getattr|setattr|delattr|__import__|input|breakpoint|globals|vars|` +
	`object|type|super)|operator\.methodcaller)(\.|$)`)

// typeForm is what train.allow_types takes.
var typeForm = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$`)

// walker goes through schema.json.
type walker struct {
	report  *modelfile.Report
	entries map[string]*zip.File
	// allowed are the types that the contract names, refused those that were refused.
	allowed, refused map[string]bool
	// estimators are the classes of scikit-learn in the file, each once.
	estimators []string
	// asked are the refused types that a contract could name.
	asked []string
}

// typeOf is the type that an object names.
func typeOf(object map[string]any) string {
	module, _ := object["__module__"].(string)
	class, _ := object["__class__"].(string)
	return module + "." + class
}

// walk looks at every object of the file: each that names a type, or what loads it, must name
// both, and the type must be one that this loader may load.
func (w *walker) walk(value any) {
	switch v := value.(type) {
	case []any:
		for _, element := range v {
			w.walk(element)
		}
	case map[string]any:
		if v["__loader__"] != nil || v["__class__"] != nil || v["__module__"] != nil {
			w.node(v)
		}
		for _, key := range slices.Sorted(maps.Keys(v)) { // in one order, so that reports are alike
			w.walk(v[key])
		}
	}
}

// node judges an object that names a type.
func (w *walker) node(v map[string]any) {
	loader, isLoader := v["__loader__"].(string)
	_, isClass := v["__class__"].(string)
	_, isModule := v["__module__"].(string)
	if !isLoader || !isClass || !isModule {
		w.report.Invalid("%s has an object that names a type and not how it is loaded", schemaEntry)
		return
	}
	trusted, known := known()[loader]
	name := typeOf(v)
	if !known {
		w.report.Invalid("%s has the loader %q, which no known version of skops writes", schemaEntry, modelfile.Clip(loader, 80))
		return
	}
	if loader == "MethodNode" {
		content, _ := v["content"].(map[string]any)
		method, _ := content["func"].(string)
		name += "." + method
	}
	switch {
	case never.MatchString(name) && !trusted[name]:
		w.refuse(name, "%s can do anything, and is never allowed")
	case !trusted[name] && !w.allowed[name]:
		w.refuse(name, "%s is not on the list of what is trusted ("+loader+")")
	case loader == "ObjectNode" && strings.HasPrefix(name, "sklearn.") && len(w.estimators) < 1000:
		if class := v["__class__"].(string); !slices.Contains(w.estimators, class) { //nolint:errcheck,forcetypeassert // checked above
			w.estimators = append(w.estimators, class)
		}
	}
	if file, named := v["file"]; named {
		if text, ok := file.(string); !ok || w.entries[text] == nil {
			w.report.Invalid("%s names the file %v, which is not in the archive", schemaEntry, modelfile.Clip(fmt.Sprint(file), 80))
		}
	}
}

func (w *walker) refuse(name, why string) {
	if w.refused[name] || len(w.refused) > 100_000 {
		return
	}
	if w.refused[name] = true; len(w.refused) <= maxNamed {
		w.report.Refuse(UntrustedType, why, modelfile.Clip(name, 120))
		if typeForm.MatchString(name) && !never.MatchString(name) {
			w.asked = append(w.asked, name)
		}
	}
}

// attribute is an attribute of an object, or of the last step of a pipeline's first step.
func (w *walker) attribute(object map[string]any, name string) any {
	for range 20 {
		dict, _ := object["content"].(map[string]any)
		attributes, _ := dict["content"].(map[string]any)
		if found := attributes[name]; found != nil {
			return found
		}
		steps, _ := attributes["steps"].(map[string]any)
		list, _ := steps["content"].([]any)
		if len(list) == 0 {
			return nil
		}
		pair, _ := list[0].(map[string]any)
		members, _ := pair["content"].([]any)
		if len(members) != 2 {
			return nil
		}
		object, _ = members[1].(map[string]any)
	}
	return nil
}

// scalar is the value of an object that holds JSON.
func scalar(value any) any {
	object, _ := value.(map[string]any)
	text, _ := object["content"].(string)
	var v any
	if len(text) > 100 || json.Unmarshal([]byte(text), &v) != nil {
		return nil
	}
	return v
}

// npyHeader are type and shape in the header of a NumPy file that has plain numbers.
var npyHeader = regexp.MustCompile(`^\{'descr': '([<>|=])([a-zA-Z])(\d+)', 'fortran_order': (?:True|False), 'shape': \(([\d, ]*)\), \}\s*$`)

// array looks into a file beside the schema: the checksum must hold, and an array must have the
// bytes that its shape takes.
// It returns the hash of the file's content.
func array(ctx context.Context, in *modelfile.Input, report *modelfile.Report, f *zip.File) (string, error) {
	head, hash := &first{limit: 4096}, sha256.New()
	if err := modelfile.Unpack(ctx, f, io.MultiWriter(head, hash)); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		report.Invalid("entry %s is damaged: %v", f.Name, err)
		return "", nil
	}
	switch modelfile.Extension(f.Name) {
	case ".npz":
		nested(in, report, f)
	case ".npy":
		npy(report, f, head.bytes)
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// nested looks into the directory of an archive in the archive.
func nested(in *modelfile.Input, report *modelfile.Report, f *zip.File) {
	offset, err := f.DataOffset()
	if err != nil || f.Method != zip.Store {
		report.Invalid("entry %s is packed twice, so that nothing can look into it", f.Name)
		return
	}
	size := int64(f.UncompressedSize64) //nolint:gosec // bounded by the archive's limits
	section := io.NewSectionReader(in.File, offset, size)
	archive, err := zip.NewReader(section, size)
	if err != nil {
		report.Invalid("entry %s is not an archive: %v", f.Name, err)
		return
	}
	limits := zipLimits
	limits.Part = func(f *zip.File) string {
		if modelfile.Extension(f.Name) != ".npy" {
			return "is no array"
		}
		return ""
	}
	_, causes, _ := modelfile.CheckZip(archive, section, size, limits)
	for _, cause := range causes {
		report.Invalid("in %s: %s", f.Name, cause)
	}
}

// npy compares an array's length with its header.
func npy(report *modelfile.Report, f *zip.File, head []byte) {
	if len(head) < 12 || string(head[:6]) != "\x93NUMPY" {
		report.Invalid("entry %s is not an array of NumPy: first bytes %x", f.Name, head[:min(len(head), 8)])
		return
	}
	start := 10
	length := int(head[8]) | int(head[9])<<8
	if head[6] >= 2 {
		start, length = 12, length|int(head[10])<<16|int(head[11])<<24
	}
	if length > len(head)-start {
		if length > 1<<20 || uint64(length) > f.UncompressedSize64 {
			report.Invalid("entry %s has a header of %d bytes", f.Name, length)
		}
		return // a table of many columns
	}
	header := string(head[start : start+length])
	if strings.Contains(header, "'|O'") || strings.Contains(header, "'O'") {
		report.Invalid("entry %s holds pickled objects", f.Name)
		return
	}
	parts := npyHeader.FindStringSubmatch(header)
	if parts == nil {
		return // a table: NumPy compares its length itself
	}
	width, err := strconv.ParseInt(parts[3], 10, 32)
	count := int64(1)
	for _, text := range strings.FieldsFunc(parts[4], func(r rune) bool { return r == ',' || r == ' ' }) {
		d, parseErr := strconv.ParseInt(text, 10, 64)
		if parseErr != nil || d > 0 && count > math.MaxInt64/d {
			report.Invalid("entry %s has more elements than any file can hold", f.Name)
			return
		}
		count *= d
	}
	if parts[2] == "U" {
		width *= 4
	}
	if err != nil || width > 0 && count > math.MaxInt64/width || uint64(start+length)+uint64(count*width) != f.UncompressedSize64 {
		report.Invalid("entry %s has %d bytes, its %d elements take %d each", f.Name, f.UncompressedSize64, count, width)
		return
	}
	if parts[2] == "f" && report.Parameters < math.MaxInt64-count {
		report.Parameters += count
	}
}

// first keeps the first bytes written to it.
type first struct {
	bytes []byte
	limit int
}

// Write implements io.Writer.
func (f *first) Write(p []byte) (int, error) {
	f.bytes = append(f.bytes, p[:min(len(p), max(f.limit-len(f.bytes), 0))]...)
	return len(p), nil
}
