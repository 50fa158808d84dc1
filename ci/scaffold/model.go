package scaffold

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
)

// loadable are formats that run code when they are opened.
var loadable = map[string]string{"pkl": "pickle", "pickle": "pickle", "joblib": "pickle"}

// modelsFolder is the folder in which the default looks, as the code names it.
var modelsFolder = regexp.MustCompile(`["'](?:\./)?models/?["']`)

// model finds the file that the training leaves, and what it is.
func (s *survey) model(file string) {
	defaults := config.Default().Train
	all := s.literals(file, modelFile)
	// What the training itself names comes before what other files load.
	best := func(suffixes ...string) *literal {
		for i := range all {
			if slices.Contains(suffixes, all[i].suffix) {
				return &all[i]
			}
		}
		return nil
	}
	if found := best("keras"); found != nil {
		inModels := strings.HasPrefix(found.pattern, "**/") && s.tree.uses(modelsFolder)
		if !glob.Match(defaults.Model, found.pattern) && !inModels {
			s.set("train.model", found.pattern, "%s saves the model there", found.in)
		}
		if !s.tree.uses(recurrent) {
			s.set("train.recurrent", false, "no file names an LSTM or another recurrent layer")
		}
		return
	}
	found := best("onnx", "skops", "ubj", "lgb", "safetensors", "h5", "hdf5", "pt", "pth", "pkl", "pickle", "joblib")
	if found == nil {
		s.unknown("train.model", "write `train.model: path/to/*.keras`", "the model's file: no file names one. %s is expected", defaults.Model)
		return
	}
	s.set("train.model", found.pattern, "%s names it", found.in)
	switch {
	case slices.Contains([]string{"onnx", "skops", "ubj", "lgb"}, found.suffix):
	case found.suffix == "safetensors":
		s.unknown("train.loader", "write `train.loader` with a module that makes the model of them: docs/models.md",
			"what loads %s: it has weights alone",
			found.pattern)
	case found.suffix == "h5" || found.suffix == "hdf5":
		s.unknown("train.allow_formats train.model", "save as .keras, or write `train.allow_formats: [h5]`; such a model is never published",
			"whether %s may pass: the older format cannot be inspected", found.pattern)
	case loadable[found.suffix] != "":
		s.unknown("train.allow_formats train.model",
			"save in a format without code (docs/models.md), or write `train.allow_formats: [pickle]`; such a model is never published",
			"whether %s may pass: opening a pickle runs what is in it, so it is refused unless you allow it", found.pattern)
	default:
		s.unknown("train.model", "save it as safetensors or ONNX: docs/models.md",
			"how %s could pass: it is a pickle, whose content is code", found.pattern)
	}
}

// metrics finds how the gates learn the metrics: from an MLflow run, or from a file.
func (s *survey) metrics(file string) {
	if !s.tree.uses(mlflowUse) {
		all := s.literals(file, jsonFile)
		at := slices.IndexFunc(all, func(l literal) bool { return !strings.Contains(l.pattern, "*") })
		switch {
		case at >= 0:
			s.set("train.metrics", path.Clean(all[at].pattern), "%s writes it; the code does not use MLflow", all[at].in)
		case len(all) > 0:
			s.unknown("train.metrics", "write `train.metrics` with its path", "where %s, the file of metrics, is written", path.Base(all[0].pattern))
		default:
			s.unknown("train.metrics", "write the metrics into a JSON file such as {\"accuracy\": 0.9}, and name it in `train.metrics`",
				"the metrics: the code uses no MLflow and writes no file of that name")
		}
	}
	if !s.tree.uses(accuracy) {
		s.unknown("train.gates", "write `train.gates: [{metric: NAME, min: NUMBER}]`, or max, with a metric that the training reports",
			"which metric decides: no file names accuracy, which must be at least %v by default", *config.Default().Train.Gates[0].Min)
	}
}
