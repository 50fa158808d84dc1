package image

import (
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/model"
)

var (
	// notOpened is in a line about a file that is not there, as Python, Keras, XGBoost and LightGBM print it.
	notOpened = regexp.MustCompile(`(?i)no such file|file not found|does not exist|not open|unable to open|opening \S+ failed`)
	// pathInLine is a name without the quotes and the colon that may stand around it.
	pathInLine = regexp.MustCompile("[^\\s'\"`=,:;()\\[\\]]+")
)

// OpenedNext is the remedy of an application that printed that it could not open a file of the model: the folder where it
// looks, or the one where the model is. dir is image.model_dir. It is empty for any other failure.
func OpenedNext(printed, dir string, artifact *model.Artifact) string {
	if artifact == nil {
		return ""
	}
	dir = path.Clean(dir)
	next := ""
	for line := range strings.Lines(printed) {
		if !notOpened.MatchString(line) {
			continue
		}
		for _, name := range pathInLine.FindAllString(line, -1) {
			name = strings.TrimRight(name, ".")
			base := path.Base(name)
			if _, is := artifact.Paths[base]; !is && base != artifact.File {
				continue
			}
			folder := path.Dir(strings.TrimPrefix(path.Clean(name), AppDir+"/"))
			switch {
			case folder == dir && path.IsAbs(name):
				continue
			case folder == dir:
				next = fmt.Sprintf("%s is below the application's root, and the application looks for it from another directory: start it in "+
					"the root (gunicorn: --pythonpath, not --chdir), or open it by a path that begins at Path(__file__)", name)
				continue
			case folder == "." || path.IsAbs(folder) || strings.HasPrefix(folder, ".."):
				return fmt.Sprintf("Open %s in the application: the pipeline puts the model there, and not at %s (image.model_dir in "+
					"pipeline.yaml, which can be any folder below the root)", path.Join(dir, base), name)
			}
			return fmt.Sprintf("Write image.model_dir: %s into pipeline.yaml: the application opens %s, and the pipeline puts the model into %s",
				folder, name, dir)
		}
	}
	return next
}
