package scaffold

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
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
		"beside the script":         {"OUT = Path(__file__).resolve().parent\nm.fit(x)\njoblib.dump(m, OUT / 'm.pkl')\n", "m.pkl"},
		"below the root":            {"ROOT = pathlib.Path(__file__).parents[0]\nDIR: Path = ROOT / 'out' / \"a\"\nm.fit(x)\njoblib.dump(m, DIR / 'm.pkl')\n", "out/a/m.pkl"},
		"names with a slash":        {"A = Path(\"./a/b\")\nB = A / 'c/d'\nm.fit(x)\njoblib.dump(m, B / 'm.pkl')\n", "a/b/c/d/m.pkl"},
		"by Path in the line":       {"m.fit(x)\njoblib.dump(m, Path('out') / 'm.pkl')\n", "out/m.pkl"},
		"above the root":            {"DIR = Path(__file__).parent.parent.parent\nm.fit(x)\njoblib.dump(m, DIR / 'm.pkl')\n", "m.pkl"},
		"assigned twice":            {"D = Path('a')\nD = Path('b')\nm.fit(x)\njoblib.dump(m, D / 'm.pkl')\n", "**/m.pkl"},
		"a loop of variables":       {"A = B / 'x'\nB = A / 'y'\nm.fit(x)\njoblib.dump(m, A / 'm.pkl')\n", "**/m.pkl"},
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

func TestAFolderInAVariableIsFound(t *testing.T) {
	const save = "m.fit(x)\nm.save(os.path.join(OUT, 'm.keras'))\n"
	for sentence, c := range map[string]struct{ code, settings, want string }{
		"joined":               {"OUT = 'art'\n" + save, "", "art/m.keras"},
		"deeper, with comment": {"OUT: str = \"a/b/\"  # here\n" + save, "", "a/b/m.keras"},
		"of another file":      {"from settings import OUT\n" + save, "OUT = Path('art')\n", "art/m.keras"},
		"divided":              {"OUT = Path('art')\nm.fit(x)\nm.save(OUT / 'm.keras')\n", "", "art/m.keras"},
		"assigned twice":       {"OUT = 'art'\nOUT = args.out\n" + save, "", "**/m.keras"},
		"a parameter":          {"def f(\n    OUT='art',\n): pass\n" + save, "", "**/m.keras"},
		"computed":             {"OUT = os.path.dirname(__file__)\n" + save, "", "**/m.keras"},
		"absolute":             {"OUT = '/art'\n" + save, "", "**/m.keras"},
		"above":                {"OUT = '../art'\n" + save, "", "**/m.keras"},
		"unknown":              {save, "", "**/m.keras"},
	} {
		_, model, _ := trainingOf(t, map[string]string{"train.py": c.code, "settings.py": c.settings})
		assert.Equal(t, c.want, model, sentence)
	}
}

func TestTheMetricThatDecidesIsWhatTheTrainingReports(t *testing.T) {
	const fit = "m.fit(x)\nm.save('m.keras')\n"
	for code, want := range map[string]string{
		"json.dump({'val_accuracy': a}, f)\n":                         "val_accuracy",
		"r = {'train_accuracy': a, 'val_accuracy': b}\n":              "val_accuracy",
		"import mlflow\nmlflow.log_metric('test_accuracy', a)\n":      "test_accuracy",
		"json.dump({'accuracy': a, 'val_accuracy': b}, f)\n":          "accuracy",
		"json.dump({'val_accuracy': a, 'balanced_accuracy': b}, f)\n": "accuracy", // a run names both
		"m.compile(metrics=['accuracy'])\n":                           "accuracy",
		"import mlflow\nmlflow.autolog()\nd = {'val_accuracy': a}\n":  "accuracy",
	} {
		_, cfg := propose(t, map[string]string{"requirements.txt": "keras\n", "train.py": code + fit})
		assert.Equal(t, want, cfg.Train.Gates[0].Metric, code)
		assert.InDelta(t, 0.85, *cfg.Train.Gates[0].Min, 0, code)
	}
}

func TestATrainingIsStartedAsItsImportsNeed(t *testing.T) {
	const fit = "m.fit(x)\nm.save('m.keras')\n"
	for sentence, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a package in src":                       {map[string]string{"src/a/__init__.py": "", "src/a/train.py": fit}, "python -m a.train"},
		"src is a package":                       {map[string]string{"src/a.py": "", "src/train.py": "from src.a import x\n" + fit}, "python -m src.train"},
		"src has an __init__":                    {map[string]string{"src/__init__.py": "", "src/models/__init__.py": "", "src/models/train_model.py": "import sklearn\n" + fit}, "python -m src.models.train_model"},
		"src has an __init__ and is on the path": {map[string]string{"src/__init__.py": "", "src/a/__init__.py": "", "src/b.py": "", "src/a/train.py": "from a.c import x\nimport b\n" + fit}, "python -m a.train"},
		"src, deeper":                            {map[string]string{"src/a/b.py": "", "src/a/train.py": "import src.a.b\n" + fit}, "python -m src.a.train"},
		"the files beside it":                    {map[string]string{"ml/__init__.py": "", "ml/data.py": "", "ml/train.py": "from data import x\n" + fit}, "python ml/train.py"},
		"beside it and above":                    {map[string]string{"ml/__init__.py": "", "ml/data.py": "", "log.py": "", "ml/train.py": "from data import x\nimport log\n" + fit}, "env PYTHONPATH=. python ml/train.py"},
		"a package of the root":                  {map[string]string{"app/x.py": "", "scripts/train.py": "from app.x import x\n" + fit}, "env PYTHONPATH=. python scripts/train.py"},
		"it sets the path":                       {map[string]string{"app/x.py": "", "scripts/train.py": "sys.path.insert(0, '.')\nfrom app.x import x\n" + fit}, "python scripts/train.py"},
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

func TestTheModelIsWhereTheApplicationOpensIt(t *testing.T) {
	const app = "from fastapi import FastAPI\napp = FastAPI()\n"
	for sentence, c := range map[string]struct {
		files                map[string]string
		model, format, where string
	}{
		"XGBoost, in a folder": {map[string]string{"train.py": "import xgboost as xgb\nm = xgb.train(p, d)\nm.save_model('model/xgb.json')\n",
			"app.py": app + "m.load_model(os.path.join('model', 'xgb.json'))\n"}, "model/xgb.json", "xgboost", "model"},
		"XGBoost, in a variable's default": {map[string]string{"train.py": "import xgboost as xgb\nm = xgb.train(p, d)\nm.save_model('out/xgb.json')\n",
			"app.py": app + "m.load_model(path or os.environ.get(\"MODEL_PATH\", \"model/xgb.json\"))\n"}, "out/xgb.json", "xgboost", "model"},
		"LightGBM, joined": {map[string]string{"train.py": "from lightgbm import LGBMClassifier\nm.fit(x)\nm.booster_.save_model(os.path.join(\"artifacts\", \"m.txt\"))\n",
			"app.py": app}, "artifacts/m.txt", "lightgbm", "artifacts"},
		"ONNX, elsewhere in the application": {map[string]string{"train.py": "m.fit(x)\nonnx.save(m, 'out/m.onnx')\n", "svc/app.py": app + "s = Session('svc/data/m.onnx')\n"},
			"out/m.onnx", "", "svc/data"},
		"CatBoost's own JSON":       {map[string]string{"train.py": "import catboost\nm.fit(x)\nm.save_model('m/c.json', format='json')\n", "app.py": app}, "", "", "models"},
		"the default":               {map[string]string{"train.py": "m.fit(x)\nonnx.save(m, 'models/m.onnx')\n", "app.py": app}, "models/m.onnx", "", "models"},
		"in the root":               {map[string]string{"train.py": "m.fit(x)\nonnx.save(m, 'm.onnx')\n", "app.py": app}, "m.onnx", "", "models"},
		"in a folder of a variable": {map[string]string{"train.py": "m.fit(x)\nonnx.save(m, f'{out}/m.onnx')\n", "app.py": app}, "**/m.onnx", "", "models"},
	} {
		c.files["requirements.txt"] = "uvicorn\n"
		p, cfg := propose(t, c.files)
		assert.Equal(t, c.where, cfg.Image.ModelDir, sentence)
		assert.Equal(t, c.format, cfg.Train.Format, sentence)
		if c.model != "" {
			assert.Equal(t, c.model, cfg.Train.Model, sentence)
		} else {
			assert.NotContains(t, p.Config(), "train.model", sentence)
		}
	}
}

func TestHowToSaveWithoutPickleIsSaidForTheLibrary(t *testing.T) {
	for code, want := range map[string]string{
		"from sklearn.svm import SVC\nm.fit(x)\njoblib.dump(m, 'out/m.pkl')\n":                   "save it by skops.io.dump(model, \"out/m.skops\")",
		"import sklearn\nimport xgboost as xgb\nm.fit(x)\npickle.dump(m, open('m.pkl', 'wb'))\n": "save it by model.save_model(\"m.ubj\")",
		"import lightgbm\nm.fit(x)\njoblib.dump(m, 'm.joblib')\n":                                "save it by booster.save_model(\"m.lgb\")",
		"import sklearn\nm.fit(x)\njoblib.dump(m, f'{d}/m.pkl')\n":                               "save in a format without code",
	} {
		p, cfg := propose(t, map[string]string{"train.py": code, "requirements.txt": "x\n"})
		assert.True(t, slices.ContainsFunc(p.Unknown, func(u Unknown) bool { return strings.HasPrefix(u.Next, want) }), "%s: %v", want, p.Unknown)
		assert.False(t, cfg.Train.Recurrent, "nobody can see the layers of a pickle")
	}
}

func TestCodeInTheFolderOfModelsIsSeenByTheTraining(t *testing.T) {
	files := map[string]string{"train.py": "from models.net import N\nm.fit(x)\nm.save('models/a.keras')\n", "models/net.py": "", "models/old.pkl": "", "models/w/b.h5": ""}
	_, cfg := propose(t, files)
	assert.NotContains(t, cfg.Train.Inputs.Exclude, "models/**")
	assert.Subset(t, cfg.Train.Inputs.Exclude, []string{"tests/**", "models/**/*.pkl", "models/**/*.h5"})
	delete(files, "models/net.py")
	_, cfg = propose(t, files)
	assert.Contains(t, cfg.Train.Inputs.Exclude, "models/**")
}

func TestTheInterpreterOfAMakefileIsAVariable(t *testing.T) {
	for _, makefile := range []string{
		"PY ?= python\ntrain: data.csv\n\t$(PY) -m fraud.train --out model/\n",
		"PYTHON := python3 # ours\nOUT = model/\ntrain:\n\t${PYTHON} -m fraud.train --out $(OUT)\n",
	} {
		_, cfg := propose(t, map[string]string{"Makefile": makefile, "fraud/__init__.py": "",
			"fraud/train.py": "import xgboost\nm.fit(x)\nm.save_model(os.path.join(a.output, 'fraud.json'))\nif __name__ == '__main__':\n    main()\n"})
		assert.Equal(t, []string{"python", "-m", "fraud.train", "--out", "model/"}, cfg.Train.Command)
		assert.Equal(t, "**/fraud.json", cfg.Train.Model)
	}
	_, cfg := propose(t, map[string]string{"Makefile": "train:\n\t$(PY) train.py --a $(shell evil)\n", "train.py": trainer})
	assert.NotContains(t, cfg.Train.Command, "--a")
}

func TestAModelThatTheApplicationOpensInTheRootIsAQuestion(t *testing.T) {
	files := func(opens string) map[string]string {
		return map[string]string{"requirements.txt": "uvicorn\n", "train.py": "m.fit(x)\nonnx.save(m, 'm.onnx')\n",
			"app.py": "from fastapi import FastAPI\napp = FastAPI()\ns = Session('" + opens + "')\n"}
	}
	const what = "how app.py finds the model: it opens m.onnx in the root, and the pipeline puts the model into a folder"
	p, _ := propose(t, files("m.onnx"))
	at := slices.IndexFunc(p.Unknown, func(u Unknown) bool { return u.What == what })
	require.GreaterOrEqual(t, at, 0, "%v", p.Unknown)
	assert.Equal(t, "open models/m.onnx there, or the file in the folder that `image.model_dir` names", p.Unknown[at].Next)
	p, _ = propose(t, files("models/m.onnx"))
	assert.NotContains(t, fmt.Sprint(p.Unknown), "how app.py finds the model")
}
