package scaffold

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/glob"
)

// loadable are formats that can run code when they are loaded.
var loadable = map[string]string{"pkl": "pickle", "pickle": "pickle", "joblib": "pickle"}

// modelsFolder is the directory that the default searches, as named in code.
var modelsFolder = regexp.MustCompile(`["'](?:\./)?models/?["']`)

// modelFile finds the model file that the training writes, and its format.
func (s learning) modelFile(file string) {
	defaults := config.Default().Train
	all := s.modelFiles(file)
	best := func(suffixes ...string) *literal {
		for i := range all {
			if slices.Contains(suffixes, all[i].suffix) {
				return &all[i]
			}
		}
		return nil
	}
	if found := best("keras"); found != nil {
		s.model = *found
		inModels := strings.HasPrefix(found.pattern, "**/") && s.tree.uses(modelsFolder)
		if !glob.Match(defaults.Model, found.pattern) && !inModels {
			s.set("train.model", found.pattern, "%s saves the model there", found.in)
		}
		if !s.tree.uses(recurrent) {
			s.set("train.recurrent", false, "no file names an LSTM or another recurrent layer")
		}
		return
	}
	if found := best("json", "txt"); found != nil {
		s.model = *found
		s.set("train.model", found.pattern, "%s saves it", found.in)
		s.set("train.format", map[string]string{"json": "xgboost", "txt": "lightgbm"}[found.suffix],
			"the ending .%s alone does not tell", found.suffix)
		return
	}
	found := best("onnx", "skops", "ubj", "lgb", "safetensors", "h5", "hdf5", "pt", "pth", "pkl", "pickle", "joblib")
	if found != nil && found.helps() {
		s.unknown("train.model", "write `train.model` with the path of the file that the training saves the model to",
			"the model's file: by their names, %s and the like only prepare the data", path.Base(found.pattern))
		return
	}
	if found == nil {
		s.unknown("train.model", "write `train.model: path/to/*.keras`", "the model's file: no file names one. %s is expected", defaults.Model)
		return
	}
	s.model = *found
	s.set("train.model", found.pattern, "%s names it", found.in)
	if slices.Contains([]string{"h5", "hdf5", "pt", "pth"}, found.suffix) || loadable[found.suffix] != "" {
		s.set("train.recurrent", false, "the layers of such a file cannot be seen")
	}
	switch {
	case slices.Contains([]string{"onnx", "skops", "ubj", "lgb"}, found.suffix):
	case found.suffix == "safetensors":
		s.unknown("train.loader", "write `train.loader` with a module that makes the model of them: docs/models.md",
			"what loads %s: it has weights alone",
			found.pattern)
	case found.suffix == "h5" || found.suffix == "hdf5":
		s.unknown("train.allow_formats train.model",
			"save as .keras, or write `train.allow_formats: [h5]`: such a model is never published, and no image is built with it",
			"whether %s may pass: the older format cannot be inspected", found.pattern)
	case loadable[found.suffix] != "":
		s.unknown("train.allow_formats train.model",
			s.withoutPickle(found)+"; or write `train.allow_formats: [pickle]`: such a model is never published, and no image is built with it",
			"whether %s may pass: opening a pickle runs what is in it, so it is refused unless you allow it", found.pattern)
	default:
		s.unknown("train.model", "save it as safetensors or ONNX: docs/models.md",
			"how %s could pass: it is a pickle, whose content is code", found.pattern)
	}
}

// withoutPickle returns how the training could save its model in a format that cannot run code.
func (s learning) withoutPickle(found *literal) string {
	text, name := s.tree.text(found.in), strings.TrimSuffix(found.pattern, "."+found.suffix)
	for _, c := range []struct {
		uses     *regexp.Regexp
		how, end string
	}{
		{useXGBoost, "model.save_model(%q)", ".ubj"}, {useLightGBM, "booster.save_model(%q)", ".lgb"},
		{useSklearn, "skops.io.dump(model, %q)", ".skops"},
	} {
		if c.uses.MatchString(text) && !strings.Contains(name, "*") {
			return "save it by " + fmt.Sprintf(c.how, name+c.end) + " (docs/models.md)"
		}
	}
	return "save in a format without code (docs/models.md)"
}

// modelFiles returns the file names in the code that may be the model, most likely first: outputs of DVC's stage, then what
// the training names, then what other files load. Within these, names like "model" come first and preprocessing last.
func (s learning) modelFiles(file string) (all []literal) {
	for _, out := range s.tree.stage().Outs {
		if m := modelFile.FindStringSubmatch(`"` + out.Value + `"`); m != nil && plainName.MatchString(m[2]) {
			return []literal{{pattern: path.Clean(m[2]), suffix: m[3], in: "dvc.yaml"}}
		}
	}
	all = slices.DeleteFunc(s.literals(file, modelFile, boosterFile), func(l literal) bool {
		uses := map[string]*regexp.Regexp{"json": useXGBoost, "txt": useLightGBM}[l.suffix]
		return table.MatchString(l.before) || uses != nil && !uses.MatchString(s.tree.text(l.in))
	})
	rank := func(l literal) (n int) {
		if l.helps() {
			n += 4
		}
		if l.in != file {
			n += 2
		}
		if !called.MatchString(path.Base(l.pattern)) {
			n++
		}
		return n
	}
	slices.SortStableFunc(all, func(a, b literal) int { return rank(a) - rank(b) })
	return all
}

var (
	useXGBoost  = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+xgboost\b`)
	useLightGBM = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+lightgbm\b`)
	useSklearn  = regexp.MustCompile(`(?m)^\s*(?:import|from)\s+sklearn\b`)
	// table matches a call that reads or writes data.
	table = regexp.MustCompile(`\b(?:read_\w+|to_hdf|to_pickle|HDFStore|h5py\.File)\((?:[^()"']*,\s*)?[rf]?$`)
	// called matches part of a model's name, models its end; helper matches names of preprocessing objects.
	called = regexp.MustCompile(`(?i)model|classifier|clf|regress|estimator|predictor|forest|xgb|lgbm|best|checkpoint`)
	models = regexp.MustCompile(`(?i)(?:model|classifier|clf|regressor|estimator|predictor|forest)\.\w+$`)
	helper = regexp.MustCompile(`(?i)scaler|encoder|label|binari[sz]er|vectori[sz]er|tokeni[sz]er|imputer|transform|preproc|feature|column|` +
		`mapping|builder|vocab|stats|meta|history|data|explainer|(?:^|[/_])(?:x|y|train|test|val)_`)
)

// helps reports whether a file name suggests preprocessing rather than a model.
func (l literal) helps() bool {
	base := path.Base(l.pattern)
	return helper.MatchString(base) && !models.MatchString(base)
}

// metrics finds where the gates read the metrics: from an MLflow run or a file.
func (s learning) metrics(file string) {
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
	decides := s.decides(file)
	switch {
	case decides != "":
		gate := config.Default().Train.Gates[0]
		s.set("train.gates", asYAML(fmt.Sprintf("[{metric: %s, min: %v, alert_below: %v}]", decides, *gate.Min, *gate.AlertBelow)),
			"%s reports %s and no accuracy", file, decides)
	case !s.tree.uses(accuracy):
		s.unknown("train.gates", "write `train.gates: [{metric: NAME, min: NUMBER}]`, or max, with a metric that the training reports",
			"which metric decides: no file names accuracy, which must be at least %v by default", *config.Default().Train.Gates[0].Min)
	}
}

var (
	// reported returns the name under which code reports an accuracy: a dictionary key or an argument of MLflow.
	reported = regexp.MustCompile(`(?:["'](\w*accuracy)["']\s*:|log_metric\(\s*["'](\w*accuracy)["'])`)
	autolog  = regexp.MustCompile(`\bautolog\(`)
	ofData   = regexp.MustCompile(`^train(?:ing)?_`)
)

// decides returns the training's only metric on held-out data, if it does not report the default's accuracy; "" if there is
// none or more than one.
func (s learning) decides(file string) string {
	names := func(file string) (all []string) {
		for _, m := range reported.FindAllStringSubmatch(s.tree.text(file), -1) {
			if name := m[1] + m[2]; !ofData.MatchString(name) && !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
		return all
	}
	if s.tree.uses(autolog) || slices.ContainsFunc(s.tree.code, func(f string) bool { return slices.Contains(names(f), "accuracy") }) {
		return ""
	}
	if own := names(file); len(own) == 1 {
		return own[0]
	}
	return ""
}
