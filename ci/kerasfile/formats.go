package kerasfile

import (
	"archive/zip"
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
var extensions = map[string][]string{
	"h5": {".h5", ".hdf5"}, "pickle": {".pkl", ".pickle", ".joblib"}, "torchscript": {".pt", ".pth", ".ts"},
}

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
	".tflite": "TensorFlow Lite", ".ts": "PyTorch", ".pt2": "PyTorch", ".bst": "XGBoost in its old binary form",
	".pb": "a TensorFlow SavedModel", ".gguf": "GGUF", ".ubj": "XGBoost", ".cbm": "CatBoost", ".skops": "skops", ".mar": "TorchServe",
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
	if slices.Contains(extensions["torchscript"], extension) && bytes.HasPrefix(head, []byte("PK\x03\x04")) {
		what, key = torchFile(r, size)
	}
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

// torchFile tells what a zip of PyTorch is: a program with its weights, or a pickle.
func torchFile(r io.ReaderAt, size int64) (what, key string) {
	archive, err := zip.NewReader(r, size)
	if err != nil {
		return "a damaged file of PyTorch", ""
	}
	code, constants := false, false
	for _, f := range archive.File {
		code = code || strings.Contains(f.Name, "/code/")
		constants = constants || strings.HasSuffix(f.Name, "/constants.pkl")
	}
	if code && constants {
		return "a TorchScript program", "torchscript"
	}
	return "a pickle by torch.save", ""
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
	case known && !strings.Contains(framework, "Keras") && key != "torchscript":
		what += " (" + strings.TrimSuffix(framework, " by joblib") + ")"
	}
	archive := extension == ".keras" || weights || key == "h5" || strings.Contains(framework, "Keras")
	problem := verdict.Problemf(modelfile.FormatRefused, "%s is %s, which cannot be inspected", name, what)
	if archive {
		problem.Cause = fmt.Sprintf("%s is %s, not a .keras archive", name, what)
	}
	unseen := fmt.Sprintf("train.allow_formats: [%s] and train.recurrent: false accept this file without a look into it: it is "+
		"never published, so a run ends after the training, before the image", key)
	if key != "" && !slices.Contains(extensions[key], extension) {
		unseen = fmt.Sprintf("named %s, it can be let through without a look into it (docs/models.md)", extensions[key][0])
	}
	switch {
	case archive && key == "h5" && extension != ".keras" && !weights:
		problem.Next = "Save the model in the Keras v3 format (model.save(\"models/NAME.keras\")); " + unseen
	case archive:
		problem.Next = "Save the model in the Keras v3 format (model.save(\"models/NAME.keras\"))"
	case key == "pickle" && !strings.Contains(framework, "PyTorch"):
		problem.Next = "Save a model of scikit-learn with skops (skops.io.dump(model, \"models/NAME.skops\")) and name it in train.model; " +
			unseen + " (its metrics are held, it is scored by train.score_command)"
	case strings.Contains(framework, "PyTorch"):
		problem.Next = "Save the weights as safetensors with a module for train.loader, or export the model to ONNX (docs/models.md)"
		if key == "torchscript" {
			problem.Next += "; " + unseen
		}
	default:
		problem.Next = "Save the model in a format that docs/models.md lists: Keras, skops, XGBoost, LightGBM, safetensors or ONNX"
	}
	return problem
}
