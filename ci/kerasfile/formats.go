package kerasfile

import (
	"bytes"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/modelfile"
	"github.com/openstack-rca/openstack-rca/ci/verdict"
)

// formats are the beginnings of what else is called a model.
var formats = []struct {
	magic, name string
	// key is the format's name in Options.AllowFormats; empty for one that is never allowed.
	key string
}{
	{"\x89HDF\r\n\x1a\n", "an HDF5 file", "h5"},
	{"\x80\x02", "a Python pickle", "pickle"}, {"\x80\x03", "a Python pickle", "pickle"},
	{"\x80\x04", "a Python pickle", "pickle"}, {"\x80\x05", "a Python pickle", "pickle"},
	{"\x93NUMPY", "a NumPy array", ""},
	{"\x1f\x8b", "a gzip file", ""},
	{"BZh", "a bzip2 file", ""},
	{"\xfd7zXZ", "an xz file", ""},
	{"GGUF", "a GGUF file", ""},
	{"CBM1", "a CatBoost model", ""},
	{"version https://git-lfs", "a Git LFS pointer: the file itself was not fetched", ""},
	{"<!DOCTYPE", "an HTML page", ""}, {"<html", "an HTML page", ""},
}

// extensions are the names that a format goes by. A pickle called .keras is never let
// through: a reader would take it for something else.
var extensions = map[string][]string{"h5": {".h5", ".hdf5"}, "pickle": {".pkl", ".pickle", ".joblib"}}

// joblib are the beginnings of what joblib.dump writes: a pickle, or one that is
// compressed by zlib, gzip, bz2, xz, lzma or lz4 (its parameter compress).
var joblib = []string{"\x80", "\x78\x01", "\x78\x5e", "\x78\x9c", "\x78\xda", "\x1f\x8b", "BZh", "\xfd7zXZ", "]\x00\x00",
	"\x04\x22\x4d\x18"}

// others are models by the extension of their file, and what they are of.
var others = map[string]string{
	".h5": "Keras before 3, or its weights", ".hdf5": "Keras before 3, or its weights",
	".pkl": "a pickle, as scikit-learn is often saved", ".pickle": "a pickle, as scikit-learn is often saved",
	".joblib": "scikit-learn by joblib",
	".pt":     "PyTorch", ".pth": "PyTorch", ".ckpt": "a checkpoint of PyTorch or TensorFlow", ".safetensors": "safetensors", ".onnx": "ONNX",
	".tflite": "TensorFlow Lite",
	".pb":     "a TensorFlow SavedModel", ".gguf": "GGUF", ".ubj": "XGBoost", ".cbm": "CatBoost", ".skops": "skops", ".mar": "TorchServe",
	".pmml": "PMML",
}

// LooksLikeModel says what kind of model a file's name promises: Keras for .keras, the
// framework for others, and nothing for a name that promises none.
func LooksLikeModel(name string) (kind string, ok bool) {
	extension := strings.ToLower(filepath.Ext(name))
	if extension == ".keras" {
		return "Keras", true
	}
	kind, ok = others[extension]
	return kind, ok
}

// checkFormat tells the format by name and first bytes, and refuses all but a zip called .keras.
func checkFormat(report *Report, r io.ReaderAt, size int64, name string, opts Options) bool {
	if size == 0 {
		report.refuse(modelfile.ArchiveInvalid, "%s is empty", name)
		return false
	}
	head := make([]byte, min(size, 64))
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF { //nolint:errorlint // io.ReaderAt gives io.EOF bare
		report.refuse(modelfile.ArchiveInvalid, "%s cannot be read: %v", name, err)
		return false
	}
	extension := strings.ToLower(filepath.Ext(name))
	what, key := formatOf(head, extension)
	switch {
	case what == "" && extension == ".keras":
		// Python looks for the zip's directory from the end and accepts anything in front.
		// A file with something in front is two files to two readers.
		if bytes.HasPrefix(head, []byte("PK\x03\x04")) {
			return true
		}
		report.refuse(modelfile.ArchiveInvalid, "%s does not begin as a zip archive: first bytes %x", name, head[:min(len(head), 8)])
	case key != "" && slices.Contains(opts.AllowFormats, key) && slices.Contains(extensions[key], extension):
		report.Unseen = key
		if opts.Recurrent {
			report.refuse(WrongArch, "%s is %s, whose layers nothing here can see", name, what)
		}
	default:
		report.Problems = append(report.Problems, refusedFormat(name, extension, what, key))
	}
	return false
}

// formatOf tells a format by its first bytes, and its key in Options.AllowFormats.
func formatOf(head []byte, extension string) (what, key string) {
	begins := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	if extension == ".joblib" && slices.ContainsFunc(joblib, begins) {
		return "a Python pickle by joblib", "pickle"
	}
	for _, f := range formats {
		if begins(f.magic) {
			return f.name, f.key
		}
	}
	return "", ""
}

// refusedFormat is the problem of a file that is no .keras archive, with what its user can
// do about this one.
func refusedFormat(name, extension, what, key string) *verdict.Problem {
	framework, known := others[extension]
	weights := strings.HasSuffix(strings.ToLower(name), ".weights.h5")
	switch {
	case weights:
		what = "the weights of a Keras model without the model"
	case what == "" && known:
		what = framework
	case what == "":
		what = fmt.Sprintf("a file with the extension %q", extension)
	case known && !strings.Contains(framework, "Keras"):
		what += " (" + framework + ")"
	}
	problem := verdict.Problemf(modelfile.FormatRefused, "%s is %s, not a .keras archive", name, what)
	keras := "save the model in the Keras v3 format (model.save(\"models/NAME.keras\"))"
	switch {
	case extension == ".keras" || weights || key == "h5" || strings.Contains(framework, "Keras"):
		problem.Next = strings.ToUpper(keras[:1]) + keras[1:]
		if key == "h5" && extension != ".keras" && !weights {
			problem.Next += "; train.allow_formats: [h5] and train.recurrent: false let it pass unseen, to be built into the image and never " +
				"published"
		}
	case key == "pickle":
		problem.Next = "This release looks into and publishes Keras models alone. train.allow_formats: [pickle] and train.recurrent: false " +
			"let this one pass " +
			"unseen (its metrics are held, it is scored by train.score_command); to publish a model, " + keras
	default:
		problem.Next = "This release looks into and publishes Keras models alone, and takes no other framework's files; " + keras
	}
	return problem
}
