package kerasfile

import (
	_ "embed" // load_model.py
	"strings"
	"time"
)

// LoadScript is a Python program that loads a .keras file with the package that the file
// names, in safe mode, and says both versions: `python load_model.py FILE`.
//
//go:embed load_model.py
var LoadScript []byte

// The exit codes of LoadScript besides 0 and 1, which means that the model does not load:
// there is no Keras for it, or Keras does not know a class of it.
const (
	ExitNoKeras      = 77
	ExitUnknownClass = 78
)

// LoadLimit bounds the time for loading a model and scoring a few samples.
const LoadLimit = 10 * time.Minute

// LoadSaid is what LoadScript says of the model: the last line of its output that is not
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
