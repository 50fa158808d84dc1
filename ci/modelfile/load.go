package modelfile

import (
	_ "embed" // load_model.py
	"encoding/json"
	"path"
	"strings"
	"time"
)

//go:embed load_model.py
var loadModel []byte

const (
	// loadFile is the program that loads a model, loaderFile the format's module that it uses.
	loadFile, loaderFile = "load_model.py", "model_format.py"
	// LoadLimit bounds the time for loading a model and scoring a few samples.
	LoadLimit = 10 * time.Minute
)

// The exit codes of the program besides 0 and 1, which means that the model does not load.
const (
	// ExitNoLibrary: the environment has no library for the file.
	ExitNoLibrary = 77
	// ExitUnknownClass: the file names something that the library alone does not know.
	ExitUnknownClass = 78
	// ExitDiffers: the model loads and does not give the golden sample's outputs.
	ExitDiffers = 79
	// ExitNoGolden: the golden sample is not in the form that the program can score.
	ExitNoGolden = 80
)

// Programs are the files of the program that loads a file of the format.
func (f Format) Programs() map[string][]byte {
	return map[string][]byte{loadFile: loadModel, loaderFile: f.Loader}
}

// Load is the command that loads the file at a path, and scores the golden sample if there is
// one; dir is where Programs are, allowed are further names that
// the contract allows the file to hold.
func (f Format) Load(dir, file, golden string, allowed []string) []string {
	command := []string{"python", path.Join(dir, loadFile), file}
	if golden != "" {
		command = append(command, "--golden", golden)
	}
	for _, name := range allowed {
		command = append(command, "--allow", name)
	}
	return command
}

// LoadSaid is what the program says of the model: the last line of its output that is not
// about the time it takes, without "error: ". It is empty for an output without such a line.
func LoadSaid(output string) string {
	said := ""
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		for _, begins := range []string{"error: ", "loaded ", "nothing here loads it: "} {
			if strings.HasPrefix(line, begins) {
				said = strings.TrimPrefix(line, "error: ")
			}
		}
	}
	return said
}

// LoadedWith are the versions of the packages that the program loaded the model with; those
// that are no versions are left out.
func LoadedWith(output string) map[string]string {
	versions := map[string]string{}
	for line := range strings.Lines(output) {
		text, ok := strings.CutPrefix(strings.TrimSpace(line), "versions ")
		var said map[string]string
		if !ok || len(text) > 4096 || json.Unmarshal([]byte(text), &said) != nil {
			continue
		}
		for name, version := range said {
			if ValidVersion(version) {
				versions[name] = version
			}
		}
	}
	return versions
}
