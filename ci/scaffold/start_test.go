package scaffold

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// project is a training, and packages of all servers, with more files.
func project(more map[string]string) map[string]string {
	files := map[string]string{"train.py": trainer, "tests/test_a.py": "", "requirements.txt": "keras\nuvicorn\ngunicorn\nhypercorn\ngranian\n"}
	maps.Copy(files, more)
	return files
}

const factory = `from fastapi import FastAPI

def create_app(debug: bool = False) -> FastAPI:
    app = FastAPI(title="churn")

    @app.get("/health")
    def health(): ...
    return app
`

func TestAnApplicationThatAFunctionMakes(t *testing.T) {
	const ending = ` --host 0.0.0.0 --port {{port}}`
	for sentence, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"called in its module": {map[string]string{"churn/__init__.py": "", "churn/api.py": factory + "\napp = create_app()\n"}, "uvicorn churn.api:app" + ending},
		"called in another one": {map[string]string{"churn/factory.py": factory, "churn/asgi.py": "import churn.factory\nservice: FastAPI = churn.factory.create_app(True)\n"},
			"uvicorn churn.asgi:service" + ending},
		"called by the server": {map[string]string{"src/churn/api.py": factory}, "uvicorn --app-dir src churn.api:create_app --factory" + ending},
		"with a type, made elsewhere": {map[string]string{"a.py": "def build() -> \"fastapi.FastAPI\":\n    return assemble(everything)\n"},
			"uvicorn a:build --factory" + ending},
		"of Flask": {map[string]string{"web.py": "def application_for(env='x'):\n\tapp = flask.Flask(__name__)\n\treturn app\n",
			"wsgi.py": "from web import application_for\napplication = application_for('prod')\n"}, "gunicorn --bind 0.0.0.0:{{port}} wsgi:application"},
		"of BentoML": {map[string]string{"service.py": "import bentoml\nsvc = bentoml.Service('a', runners=[r])\n"},
			"bentoml serve service:svc --host 0.0.0.0 --port {{port}}"},
		"of BentoML, a class": {map[string]string{"src/api/service.py": "from __future__ import annotations\nimport bentoml\nimport src.x\n@bentoml.service(\n    traffic={'timeout': 9},\n)\nclass Iris:\n    pass\n"},
			"bentoml serve src.api.service:Iris --host 0.0.0.0 --port {{port}}"},
		"of LitServe": {map[string]string{"serve.py": "import litserve as ls\nls.LitServer(Api(), track=True).run(port=8080)\n"}, "python serve.py"},
		"of Flask, in src": {map[string]string{"src/web.py": "app = Flask(__name__)\n"},
			"gunicorn --bind 0.0.0.0:{{port}} --pythonpath src web:app"},
		"of Flask, without gunicorn": {map[string]string{"src/web.py": "app = Flask(__name__)\n", "requirements.txt": "flask\n"},
			"flask --app src/web.py:app run --host 0.0.0.0 --port {{port}}"},
		"that imports src":       {map[string]string{"src/api.py": "from src.models import m\napp = FastAPI()\n"}, "uvicorn src.api:app" + ending},
		"that needs an argument": {map[string]string{"a.py": "def create_app(settings):\n    return FastAPI()\n"}, ""},
		"of a method":            {map[string]string{"a.py": "class A:\n    def create_app(self):\n        return FastAPI()\n"}, ""},
	} {
		t.Run(sentence, func(t *testing.T) {
			p, cfg := propose(t, project(c.files))
			if c.want == "" {
				assert.Contains(t, p.Config(), "# Nothing says how an application is started.")
				return
			}
			assert.Equal(t, c.want, strings.Join(cfg.Image.Command, " "))
		})
	}
}

func TestTheContainerSaysWhatIsStarted(t *testing.T) {
	for sentence, c := range map[string]struct {
		files map[string]string
		want  string
		port  int
	}{
		"a list": {map[string]string{"Dockerfile": `CMD ["uvicorn", "churn.api:app", "--host", "0.0.0.0", "--port", "8080"]`},
			"uvicorn churn.api:app --host 0.0.0.0 --port {{port}}", 8080},
		"a line": {map[string]string{"Dockerfile": `CMD exec gunicorn -w 2 --bind=0.0.0.0:5000 "churn.api:make()"`},
			"gunicorn -w 2 --bind=0.0.0.0:{{port}} churn.api:make()", 5000},
		"a list for a shell, with the port of a variable": {map[string]string{"Dockerfile": "ENV PORT=9000\n" +
			`CMD ["sh", "-c", "uvicorn churn.api:app --host 0.0.0.0 --port ${PORT}"]`},
			"uvicorn churn.api:app --host 0.0.0.0 --port {{port}}", 9000},
		"a variable of the older form": {map[string]string{"Dockerfile": "ENV PORT 9001\nCMD uvicorn churn.api:app --host 0.0.0.0 --port $PORT"},
			"uvicorn churn.api:app --host 0.0.0.0 --port {{port}}", 9001},
		"a default in the line": {map[string]string{"Dockerfile": "EXPOSE 8000\nCMD uvicorn churn.api:app --host 0.0.0.0 --port ${PORT:-8000}"},
			"uvicorn churn.api:app --host 0.0.0.0 --port {{port}}", 8000},
		"a package in src": {map[string]string{"src/shop/web.py": "", "Dockerfile": `CMD ["gunicorn", "-b", "0.0.0.0:80", "shop.web:app"]`},
			"gunicorn -b 0.0.0.0:{{port}} --pythonpath src shop.web:app", 80},
		"a folder of the root": {map[string]string{"backend/shop/web.py": "", "Dockerfile": `CMD ["gunicorn", "-b", "0.0.0.0:80", "shop.web:app"]`},
			"gunicorn -b 0.0.0.0:{{port}} --chdir backend shop.web:app", 80},
		"a port of the platform": {map[string]string{"Dockerfile": "EXPOSE 8088\nCMD gunicorn -b :$PORT churn.api:app"},
			"gunicorn -b :{{port}} churn.api:app", 8088},
		"an entry point and its arguments": {map[string]string{"Dockerfile": "ENTRYPOINT [\"tini\", \"--\", \"uvicorn\"]\nCMD [\"churn.api:app\"]\n"},
			"uvicorn churn.api:app --port {{port}} --host 0.0.0.0", 8000},
		"a script before it": {map[string]string{"Dockerfile": "CMD [\"hypercorn\", \"churn.api:app\", \"-b\", \"0.0.0.0:8001\"]\nENTRYPOINT [\"/entry.sh\"]\n"},
			"hypercorn churn.api:app -b 0.0.0.0:{{port}}", 8001},
		"of the stage below": {map[string]string{"Dockerfile": "FROM a AS b\nCMD [\"python\", \"-m\", \"uvicorn\", \"churn.api:app\", \"--port=81\"]\nFROM b\nEXPOSE 80\n"},
			"python -m uvicorn churn.api:app --port={{port}} --host 0.0.0.0", 80},
		"a program by a tool": {map[string]string{"Dockerfile": `CMD ["uv", "run", "--frozen", "granian", "--interface", "asgi", "churn.api:app"]`},
			"granian --interface asgi churn.api:app --port {{port}} --host 0.0.0.0", 8000},
		"a folder that is the working directory there": {map[string]string{"backend/main.py": "from .a import app\n",
			"Dockerfile": "WORKDIR /srv\nCOPY backend/ .\nCMD [\"uvicorn\", \"main:app\", \"--host\", \"0.0.0.0\"]\n"},
			"uvicorn --app-dir backend main:app --host 0.0.0.0 --port {{port}}", 8000},
		"a file": {map[string]string{"serve.py": "", "Dockerfile": "EXPOSE 4000\nCMD [\"python3\", \"-u\", \"serve.py\"]\n"}, "python -u serve.py", 4000},
		"a page": {map[string]string{"ui/page.py": "", "Dockerfile": "CMD streamlit run ui/page.py --server.port=8502 --server.headless true"},
			"streamlit run ui/page.py --server.port={{port}} --server.headless true", 8502},
		"Django": {map[string]string{"site/__init__.py": "", "site/wsgi.py": "import django\n", "Dockerfile": `CMD ["gunicorn", "site.wsgi:application"]`},
			"gunicorn site.wsgi:application --bind 0.0.0.0:{{port}}", 8000},
		"compose": {map[string]string{"Dockerfile": "FROM a\n", "compose.yaml": "services: {web: {build: ., command: uvicorn churn.api:app --port 8007, ports: ['80:8007']}}"},
			"uvicorn churn.api:app --port {{port}} --host 0.0.0.0", 8007},
		"which of two": {map[string]string{"one.py": "app = FastAPI()\n", "two.py": "app = FastAPI()\n", "Dockerfile": `CMD ["uvicorn", "two:app"]`},
			"uvicorn two:app --host 0.0.0.0 --port {{port}}", 7051},

		"two commands":       {map[string]string{"Dockerfile": "CMD python migrate.py && uvicorn churn.api:app"}, "", 0},
		"a variable":         {map[string]string{"Dockerfile": "CMD uvicorn $APP_MODULE"}, "", 0},
		"a missing module":   {map[string]string{"Dockerfile": `CMD ["uvicorn", "gone.api:app"]`}, "", 0},
		"a missing file":     {map[string]string{"Dockerfile": `CMD ["python", "gone.py"]`}, "", 0},
		"a script":           {map[string]string{"Dockerfile": `CMD ["./start.sh"]`}, "", 0},
		"the image's own":    {map[string]string{"Dockerfile": "FROM a AS b\nCMD uvicorn churn.api:app\nFROM b\nENTRYPOINT [\"nginx\"]\n"}, "", 0},
		"a hostile argument": {map[string]string{"Dockerfile": "CMD uvicorn churn.api:app;evil --port $(evil)"}, "", 0},
	} {
		t.Run(sentence, func(t *testing.T) {
			files := project(map[string]string{"churn/__init__.py": "", "churn/api.py": "app = build(settings)\n"})
			maps.Copy(files, c.files)
			p, cfg := propose(t, files)
			if c.want == "" {
				assert.NotContains(t, p.Config(), "image:")
				assert.True(t, slices.ContainsFunc(p.Unknown, func(u Unknown) bool { return strings.Contains(u.What, "which application Dockerfile starts") }), "%v", p.Unknown)
				return
			}
			assert.Equal(t, c.want, strings.Join(cfg.Image.Command, " "))
			assert.Equal(t, c.port, cfg.Image.Port)
			assert.NotContains(t, p.Config(), "policy:")
		})
	}
}

func TestWhatAPipelineSaysAlreadyIsNotAskedAgain(t *testing.T) {
	files := project(map[string]string{"train.py": strings.Replace(trainer, `"out/metrics.json"`, "sys.argv[1]", 1),
		"Dockerfile":      "CMD [\"./start.sh\"]\n",
		"report.py":       "",
		"out/report.html": "", "out/report.json": "", "out/rollout/task-definition.json": `{"containerDefinitions": []}`,
		"report/report.html": "", "report/report.json": "", "report/rollout/task-definition.json": `{"containerDefinitions": []}`})
	p, _ := propose(t, files)
	nothing := func(string) (string, bool) { return "", false }
	text := p.Text(nil, nothing)
	for _, part := range []string{"train.metrics", "image.command", "policy.main", "train.command: [python, train.py]"} {
		assert.Contains(t, text, part)
	}
	assert.NotContains(t, text, "task definition", "what a run wrote is not the project's")

	text = p.Text(nil, func(string) (string, bool) {
		return "train: {metrics: a.json}\nimage: {command: [./start.sh], health: /}\n", true
	})
	for _, part := range []string{"train.metrics", "image.command", "policy.main", "image.health"} {
		assert.NotContains(t, text, part)
	}
	assert.Contains(t, text, "train.command: [python, train.py]", "what is missing is still said")

	p, _ = propose(t, map[string]string{"a.py": "", "tests/test_a.py": ""})
	text = p.Text(nil, func(string) (string, bool) { return "train: {command: [make, train]}\n", true })
	assert.NotContains(t, text, "policy.")
	assert.NotContains(t, text, "a training")

	p, _ = propose(t, map[string]string{"a.py": "", "deploy/task.json": `{"containerDefinitions": []}`})
	assert.Contains(t, p.Text(nil, nothing), "deploy/task.json is a task definition")
}
