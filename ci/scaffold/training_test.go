package scaffold

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// trainingOf is what init writes for a training, as one line.
func trainingOf(t *testing.T, files map[string]string) (command, model string, unknown string) {
	t.Helper()
	all := map[string]string{"requirements.txt": "scikit-learn\n", "tests/test_a.py": "from app import x\n"}
	maps.Copy(all, files)
	p, cfg := propose(t, all)
	for _, u := range p.Unknown {
		unknown += u.What + "\n"
	}
	for _, s := range p.Settings {
		if s.Key == "train.model" {
			model = cfg.Train.Model
		}
	}
	return strings.Join(cfg.Train.Command, " "), model, unknown
}

func TestTheModelIsNotWhatPreparesTheData(t *testing.T) {
	for sentence, c := range map[string]struct{ code, want string }{
		"dumped after its scaler":   {"m.fit(x)\njoblib.dump(s, 'out/scaler.pkl')\njoblib.dump(m, 'out/model.pkl')\n", "out/model.pkl"},
		"a list of names":           {"m.fit(x)\nNAMES = ['trained_model.pkl', 'encoder.pkl', 'labelizer.pkl']\npickle.dump(m, open(NAMES[0], 'wb'))\n", "**/trained_model.pkl"},
		"of no telling name":        {"m.fit(x)\njoblib.dump(v, 'tfidf_vectorizer.joblib')\njoblib.dump(m, 'spam.joblib')\n", "spam.joblib"},
		"a label that is the model": {"m.fit(x)\njoblib.dump(m, 'label_classifier.pkl')\n", "label_classifier.pkl"},
		"tables":                    {"d = pd.read_hdf('data/a.h5', index_col=0)\nm.fit(d)\nd.to_pickle('rest.pkl')\njoblib.dump(m, 'm.pkl')\n", "m.pkl"},
		"in folders of a variable":  {"m.fit(x)\njoblib.dump(m, f'{PATHS.models}/model.joblib')\n", "**/model.joblib"},
		"a scaler alone":            {"m.fit(x)\njoblib.dump(s, '../scaler_std.pkl')\njoblib.dump(s, 'scaler_std.pkl')\nbentoml.save_model('a', m)\n", ""},
		"features alone":            {"m.fit(x)\njoblib.dump(s, 'feature_builder.joblib')\njoblib.dump(m, path)\n", ""},
	} {
		_, model, unknown := trainingOf(t, map[string]string{"train.py": c.code})
		assert.Equal(t, c.want, model, sentence)
		assert.Equal(t, c.want == "", strings.Contains(unknown, "the model's file"), "%s: %s", sentence, unknown)
	}
	_, model, _ := trainingOf(t, map[string]string{"src/fit.py": "m.fit(x)\njoblib.dump(m, sys.argv[1])\njoblib.dump(s, 'scaler.pkl')\n",
		"dvc.yaml": "stages: {train: {cmd: python src/fit.py out/m.pkl, outs: [out/x.csv, {out/plots: {cache: false}}, out/m.pkl]}}\n"})
	assert.Equal(t, "out/m.pkl", model, "what DVC's stage leaves")
}

func TestATrainingIsStartedAsItsImportsNeed(t *testing.T) {
	const fit = "m.fit(x)\nm.save('m.keras')\n"
	for sentence, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a package in src":      {map[string]string{"src/a/__init__.py": "", "src/a/train.py": fit}, "python -m a.train"},
		"src is a package":      {map[string]string{"src/a.py": "", "src/train.py": "from src.a import x\n" + fit}, "python -m src.train"},
		"src, deeper":           {map[string]string{"src/a/b.py": "", "src/a/train.py": "import src.a.b\n" + fit}, "python -m src.a.train"},
		"the files beside it":   {map[string]string{"ml/__init__.py": "", "ml/data.py": "", "ml/train.py": "from data import x\n" + fit}, "python ml/train.py"},
		"beside it and above":   {map[string]string{"ml/__init__.py": "", "ml/data.py": "", "log.py": "", "ml/train.py": "from data import x\nimport log\n" + fit}, "env PYTHONPATH=. python ml/train.py"},
		"a package of the root": {map[string]string{"app/x.py": "", "scripts/train.py": "from app.x import x\n" + fit}, "env PYTHONPATH=. python scripts/train.py"},
		"it sets the path":      {map[string]string{"app/x.py": "", "scripts/train.py": "sys.path.insert(0, '.')\nfrom app.x import x\n" + fit}, "python scripts/train.py"},
		"functions and a script": {map[string]string{"models/train.py": "def train(m):\n    m.fit(x)\n",
			"scripts/run_train_2.py": "if __name__ == '__main__':\n    train().save('a.keras')\n", "scripts/make_training_data.py": fit}, "python scripts/run_train_2.py"},
		"DVC with variables": {map[string]string{"src/t.py": fit, "dvc.yaml": "stages: {train: {cmd: PYTHONPATH=\".\" SEED=1 python src/t.py}}\n"},
			"env PYTHONPATH=. SEED=1 python src/t.py"},
		"DVC with a shell": {map[string]string{"train.py": fit, "dvc.yaml": "stages: {train: {cmd: A=$(x) python t.py && b}}\n"}, "python train.py"},
	} {
		command, _, _ := trainingOf(t, c.files)
		assert.Equal(t, c.want, command, sentence)
	}
}

func TestPackagesOfFoldersAreNotMissing(t *testing.T) {
	p, _ := propose(t, map[string]string{"backend/app.py": "import fastapi\n", "backend/requirements.txt": "fastapi\n", "web/pyproject.toml": "",
		"web/src/a.py": "", "docs/requirements.txt": "sphinx\n"})
	assert.Equal(t, "what to install: packages are listed in backend/requirements.txt, web/pyproject.toml, and not in the root", p.Unknown[0].What)
	assert.Contains(t, p.Unknown[0].Next, "--source backend")
}
