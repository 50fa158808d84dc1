package scaffold

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/openstack-rca/openstack-rca/ci/config"
)

// an application whose training leaves artifacts/m.keras.
func serves(more map[string]string) map[string]string {
	files := map[string]string{"pyproject.toml": "[project]\nname = \"a\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n", "tests/test_a.py": "", "app/main.py": "from fastapi import FastAPI\napp = FastAPI()\n",
		"train.py": "model.fit(x)\nmodel.save('artifacts/m.keras')\n"}
	for name, content := range more {
		files[name] = content
	}
	return files
}

func TestVolumesAreThoseOfTheFileWithoutCodeAndModel(t *testing.T) {
	const web = "FROM python:3.12\nWORKDIR /srv\n"
	usual := config.Default().Image.Volumes
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"none":             {map[string]string{"Dockerfile": web + "USER a\nEXPOSE 80\n"}, usual},
		"of the file":      {map[string]string{"Dockerfile": web + "ENV D=state\nVOLUME [\"/srv/up\", \"/var/x\"]\nVOLUME ${D}\nUSER a\nEXPOSE 80\n"}, []string{"/srv/up", "/var/x", "/srv/state"}},
		"not used":         {map[string]string{"Dockerfile": web + "VOLUME /srv/up /var/x\n"}, []string{"/app/up", "/var/x"}},
		"code":             {map[string]string{"Dockerfile": web + "VOLUME /srv/app /srv/up /srv\nUSER a\nEXPOSE 80\n"}, []string{"/srv/up"}},
		"the model":        {map[string]string{"Dockerfile": web + "VOLUME /srv/artifacts\nVOLUME /srv/artifacts/cache\nUSER a\nEXPOSE 80\n"}, []string{}},
		"of another stage": {map[string]string{"Dockerfile": "FROM a AS b\nVOLUME /x\nFROM a\nVOLUME /y\nUSER a\nEXPOSE 80\n"}, []string{"/y"}},
		"of compose": {map[string]string{"compose.yml": "services: {web: {build: ., ports: [\"80:80\"], volumes: [up:/app/up, ./app:/app/app, {type: volume, source: c, target: /c}]}}\n",
			"Dockerfile": "FROM a\n"}, []string{"/app/up", "/c"}},
	} {
		_, cfg := propose(t, serves(c.files))
		assert.Equal(t, c.want, cfg.Image.Volumes, name)
	}
}

func TestTheStageThatIsDeployedIsTaken(t *testing.T) {
	const stages = "FROM a AS base\nENV PORT=9000\nFROM base AS Prod\nARG UID=root\nUSER web\nEXPOSE ${PORT}/tcp\nENV MODE=x PYTHONPATH=.\n" +
		"HEALTHCHECK CMD curl http://localhost:$PORT/well\nCMD [\"x\"]\nFROM base AS test\nCMD [\"pytest\"]\n"
	_, cfg := propose(t, serves(map[string]string{"Dockerfile": stages}))
	assert.Equal(t, []any{"Dockerfile", "prod", 9000, "/well"}, []any{cfg.Image.Dockerfile, cfg.Image.Target, cfg.Image.Port, cfg.Image.Health})

	compose := map[string]string{"docker/web.Dockerfile": strings.ReplaceAll(stages, "AS test", "AS other"), "compose.yaml": "services:\n" +
		"  web: {build: {context: ., dockerfile: docker/web.Dockerfile, target: prod}, ports: [{target: 7000}], environment: [A=1, B], env_file: .env}\n" +
		"  worker: {build: ., command: work}\n  db: {image: postgres}\n"}
	p, cfg := propose(t, serves(compose))
	assert.Equal(t, []string{"docker/web.Dockerfile", "prod"}, []string{cfg.Image.Dockerfile, cfg.Image.Target})
	found := strings.Join(p.Found, "\n")
	assert.Contains(t, found, "compose.yaml sets A, B, those of .env: write what the application needs into image.vars")
	assert.NotContains(t, found, "sets PORT", "the file itself sets it")

	compose["docker/web.Dockerfile"] = strings.ReplaceAll(stages, "USER web", "USER $UID")
	p, cfg = propose(t, serves(compose))
	assert.Empty(t, cfg.Image.Dockerfile+cfg.Image.Target, "the user is root")
	assert.Contains(t, strings.Join(p.Found, "\n"), "docker/web.Dockerfile sets PORT, MODE: write")
}
